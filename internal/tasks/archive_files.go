package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var archiveFilesTask = ops.Task{
	Name: "archive-files", Version: 1,
	Title:   "Archive unlinked files",
	Summary: "Queues files that nothing has linked to for 30 days for archival.",
	Details: "Starts the job FileHandleArchivalRequest and waits for its end. The job only queues file handles: the files are archived afterwards. " +
		"While the stack is not READ_WRITE the job is accepted but waits.",
	Undo: "Cannot be undone by a task: files are restored one by one when somebody asks for them.",
	Inputs: []ops.Input{{
		Name: "limit", Kind: ops.KindInteger, Least: 1, Most: 100_000, Default: "25000", Example: "25000",
		Help: "The most file handles to queue.",
	}},
	Class:     ops.Changes,
	Lane:      ops.LaneAdmin,
	Lease:     "archive-files",
	Noun:      "job",
	Plural:    "jobs",
	Deciding:  []string{"limit", "jobState"},
	Exempt:    true,
	TimeLimit: 8 * time.Hour,
	// Every half hour, apart from the full hour, when GitHub is late most.
	Schedule: &ops.Schedule{Cron: "17,47 0-6 * * 2-4", Zone: "America/Los_Angeles", Inputs: map[string]string{"limit": "25000"}, Reason: "Files that nothing links to leave the expensive storage in hours of little use."},
}

func archiveFiles(s Service, pause pause) ops.Procedure {
	a := adminJob{s, pause}
	return ops.Procedure{
		Targets: single("archival-job"),
		Plan: func(_ context.Context, v ops.Values, t ops.Target) (ops.Effect, error) {
			return ops.Effect{
				Target: t, Summary: fmt.Sprintf("queues at most %d unlinked file handles for archival", v.Int("limit")), Settle: ops.SettlePerson,
				BeforeAbsent: "the service does not tell how many files are unlinked",
				After:        ops.State{"limit": v.Int("limit"), "jobState": string(synapse.JobComplete)},
			}, nil
		},
		Perform: func(ctx context.Context, step *ops.Step) (ops.Done, error) {
			return archive(ctx, a, step)
		},
		Undo: irreversible("the queued files are archived. The service restores an archived file when somebody asks for it."),
	}
}

func archive(ctx context.Context, a adminJob, step *ops.Step) (ops.Done, error) {
	limit := step.Values.Int("limit")
	request, err := json.Marshal(map[string]any{"concreteType": synapse.ArchivalRequestType, "limit": limit})
	if err != nil {
		return ops.Done{}, err
	}
	status, err := a.run(ctx, step, request)
	if err != nil {
		return ops.Done{}, err
	}
	after := ops.State{"limit": limit, "jobState": string(status.JobState), "jobId": status.JobID}
	queued, told := queuedBy(status)
	if !told {
		return ops.Done{After: after, Message: "job " + status.JobID + " is complete, but does not tell how many file handles it queued"}, nil
	}
	after["queued"] = queued
	message := fmt.Sprintf("job %s queued %d file handles; they are archived from now on", status.JobID, queued)
	if queued >= limit {
		message += ", and more may be waiting: the limit was reached"
	}
	return ops.Done{After: after, Message: message}, nil
}

// queuedBy returns how many files a job says it queued; false when it does not
// say.
func queuedBy(status synapse.AsyncJobStatus) (int64, bool) {
	var response struct {
		Count *int64 `json:"count"`
	}
	if json.Unmarshal(status.ResponseBody, &response) != nil || response.Count == nil {
		return 0, false
	}
	return *response.Count, true
}
