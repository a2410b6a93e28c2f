package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// A Job is an asynchronous job. It gets on by being polled, not by time: so many
// polls see it PROCESSING (Config.JobPolls), the next sees how it ended.
type Job struct {
	synapse.AsyncJobStatus
	Polls   int `json:"polls"`
	started time.Time
}

func jobRoutes() []route {
	return []route{
		{method: "POST", pattern: "/repo/v1/admin/asynchronous/job", scopes: view | modify, status: http.StatusCreated, body: true, handle: startJob},
		{method: "GET", pattern: "/repo/v1/admin/asynchronous/job/{id}", scopes: view, handle: getJob},
		{method: "POST", pattern: "/repo/v1/asynchronous/job", scopes: view | modify, status: http.StatusCreated, body: true, handle: startJob},
		{method: "GET", pattern: "/repo/v1/asynchronous/job/{id}", scopes: view, handle: getJob},
		{method: "GET", pattern: "/repo/v1/asynchronous/job/{id}/cancel", scopes: view | modify, status: http.StatusNoContent, handle: cancelJob},
	}
}

// Jobs returns all jobs in the order they were started.
func (s *Synapse) Jobs() []Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Job, 0, len(s.state.jobOrder))
	for _, id := range s.state.jobOrder {
		out = append(out, *s.state.jobs[id])
	}
	return out
}

func concreteType(body []byte) string {
	var in struct {
		ConcreteType string `json:"concreteType"`
	}
	if json.Unmarshal(body, &in) != nil {
		return ""
	}
	return in.ConcreteType
}

// startJob starts another job each time it is asked.
func startJob(q *request) (any, error) {
	kind := concreteType(q.body)
	known := kind == synapse.ArchivalRequestType || kind == synapse.MigrationRequestType || slices.Contains(q.s.config.JobTypes, kind)
	if !known {
		return nil, failed(http.StatusBadRequest, "Unknown concreteType: '%s'", kind)
	}
	if err := q.caller.mustBeAdmin(); err != nil {
		return nil, err
	}
	now := time.Now()
	j := &Job{started: now}
	j.JobState, j.JobID = synapse.JobProcessing, strconv.Itoa(firstJob+len(q.s.state.jobOrder))
	j.RequestBody, j.StartedByUserID = slices.Clone(q.body), q.caller.id
	j.StartedOn, j.ChangedOn, j.Etag = stamp(now), stamp(now), q.s.newEtag("job"+j.JobID)
	j.ProgressMessage, j.ProgressTotal = "Waiting for a worker", 100
	q.s.state.jobs[j.JobID] = j
	q.s.state.jobOrder = append(q.s.state.jobOrder, j.JobID)
	return j.AsyncJobStatus, nil
}

// findJob looks the job up before it asks who wants to know: 404 before 403.
func (q *request) findJob() (*Job, error) {
	if _, err := q.number("id"); err != nil {
		return nil, err
	}
	j := q.s.state.jobs[q.vars["id"]]
	if j == nil {
		return nil, failed(http.StatusNotFound, "Job %s does not exist.", q.vars["id"])
	}
	if !q.caller.admin && j.StartedByUserID != q.caller.id {
		return nil, failed(http.StatusForbidden, "Only the user who started the job may read it.")
	}
	return j, nil
}

func getJob(q *request) (any, error) {
	j, err := q.findJob()
	if err != nil {
		return nil, err
	}
	if q.hit(JobPoll500) != nil {
		return nil, failed(http.StatusInternalServerError, "Lock wait timeout exceeded")
	}
	if j.JobState != synapse.JobProcessing {
		return j.AsyncJobStatus, nil
	}
	// Workers run nothing but migration while the stack is not READ_WRITE.
	if q.s.state.status.Status != synapse.ReadWrite && concreteType(j.RequestBody) != synapse.MigrationRequestType {
		return nil, failed(http.StatusInternalServerError, "The stack is not in READ_WRITE mode.")
	}
	q.advance(j)
	return j.AsyncJobStatus, nil
}

// advance moves a job on by one poll.
func (q *request) advance(j *Job) {
	j.Polls++
	now := time.Now()
	j.ChangedOn, j.Etag = stamp(now), q.s.newEtag("job"+j.JobID)
	switch {
	case q.hit(JobFails) != nil:
		j.fail("java.lang.RuntimeException", "The worker failed.")
	case q.hit(JobForever) != nil:
		j.ProgressMessage = "Working"
	case j.Polls <= q.s.config.JobPolls:
		j.ProgressMessage, j.ProgressCurrent = "Working", int64(100*j.Polls/(q.s.config.JobPolls+1))
	default:
		j.end()
	}
	if j.JobState != synapse.JobProcessing {
		j.RuntimeMS = now.Sub(j.started).Milliseconds()
	}
}

func (j *Job) fail(exception, message string) {
	j.JobState, j.Exception, j.ErrorMessage = synapse.JobFailed, exception, message
	j.ErrorDetails = exception + ": " + message + "\n\tat org.sagebionetworks.worker.Sandbox.run(Sandbox.java:1)"
}

// end completes a job; what is wrong with its request shows only now.
func (j *Job) end() {
	var in struct {
		Limit *int64 `json:"limit"`
	}
	kind := concreteType(j.RequestBody)
	if err := json.Unmarshal(j.RequestBody, &in); err != nil {
		j.fail("java.lang.IllegalArgumentException", "The request could not be read.")
		return
	}
	response := map[string]any{"concreteType": kind + "Response"}
	switch kind {
	case synapse.ArchivalRequestType:
		limit := int64(100_000)
		if in.Limit != nil {
			limit = *in.Limit
		}
		if limit < 1 || limit > 100_000 {
			j.fail("java.lang.IllegalArgumentException", "If supplied the limit must be in the range [1, 100000]")
			return
		}
		response = map[string]any{"concreteType": synapse.ArchivalResponseType, "count": min(limit, archivable)}
	case synapse.MigrationRequestType:
		response = map[string]any{"concreteType": "org.sagebionetworks.repo.model.migration.AsyncMigrationResponse", "adminResponse": map[string]any{}}
	}
	j.ResponseBody, _ = json.Marshal(response) // a map of strings and numbers cannot fail
	j.JobState, j.ProgressMessage, j.ProgressCurrent = synapse.JobComplete, "Complete", j.ProgressTotal
}

// cancelJob asks a job to stop; it does not make it.
func cancelJob(q *request) (any, error) {
	j, err := q.findJob()
	if err != nil {
		return nil, err
	}
	j.JobCanceling = true
	return nil, nil
}
