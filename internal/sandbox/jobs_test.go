package sandbox_test

import (
	"fmt"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

const jobPath = "/repo/v1/admin/asynchronous/job"

func archive(limit int) string {
	return fmt.Sprintf(`{"concreteType":%q,"limit":%d}`, synapse.ArchivalRequestType, limit)
}

func start(t *testing.T, s *sandbox.Synapse, body string) (path string) {
	t.Helper()
	r := admin(t, s, "POST", jobPath, body)
	if r.status != 201 || r.object["jobState"] != "PROCESSING" || r.object["responseBody"] != nil {
		t.Fatalf("start: %d %s", r.status, r.body)
	}
	return jobPath + "/" + r.object["jobId"].(string)
}

func TestJobRunsToItsEnd(t *testing.T) {
	s := quiet()
	path := start(t, s, archive(100))
	for i := range 2 {
		r := admin(t, s, "GET", path, "")
		if r.status != 200 || r.object["jobState"] != "PROCESSING" || r.object["progressCurrent"].(float64) <= 0 {
			t.Errorf("poll %d: %d %s", i+1, r.status, r.body)
		}
	}
	r := admin(t, s, "GET", path, "")
	if r.object["jobState"] != "COMPLETE" || r.object["progressMessage"] != "Complete" || r.object["responseBody"].(map[string]any)["count"] != 100.0 {
		t.Errorf("end: %s", r.body)
	}
	if r.object["startedByUserId"] != 273960.0 {
		t.Errorf("startedByUserId is a number: %s", r.body)
	}
	if again := admin(t, s, "GET", path, ""); again.body != r.body {
		t.Errorf("a final job changes no more: %s, then %s", r.body, again.body)
	}
}

func TestFailedJobIsRead200(t *testing.T) {
	s := sandbox.New(sandbox.Config{JobPolls: -1})
	for _, limit := range []int{0, 100_001} {
		r := admin(t, s, "GET", start(t, s, archive(limit)), "")
		if r.status != 200 || r.object["jobState"] != "FAILED" || r.object["errorMessage"] == nil || r.object["exception"] == nil {
			t.Errorf("limit %d: %d %s, want 200 and FAILED", limit, r.status, r.body)
		}
	}
}

func TestEachPostIsAnotherJob(t *testing.T) {
	s := sandbox.New(sandbox.Config{JobTypes: []string{"org.example.NewRequest"}})
	if a, b := start(t, s, archive(1)), start(t, s, archive(1)); a == b {
		t.Errorf("two starts, one job: %s", a)
	}
	start(t, s, `{"concreteType":"org.example.NewRequest"}`)
	if jobs := s.Jobs(); len(jobs) != 3 || jobs[0].JobID != "1001" {
		t.Errorf("jobs: %+v", jobs)
	}
}

func TestJobRefusals(t *testing.T) {
	s := quiet()
	path := start(t, s, archive(1))
	admin(t, s, "POST", jobPath, `{"concreteType":"org.example.Unknown"}`).wantError(t, "unknown type", 400)
	admin(t, s, "POST", jobPath, `{}`).wantError(t, "no type", 400)
	call(t, s, sandbox.UserToken, "POST", jobPath, archive(1)).wantError(t, "not an administrator", 403)
	call(t, s, sandbox.UserToken, "GET", jobPath+"/9", "").wantError(t, "404 before 403", 404)
	call(t, s, sandbox.UserToken, "GET", path, "").wantError(t, "somebody else's", 403)
	admin(t, s, "GET", jobPath+"/x", "").wantError(t, "no number", 400)
	admin(t, s, "GET", "/repo/v1/asynchronous/job/1001/cancel", "").want(t, "cancel asks", 204, "")
	if r := admin(t, s, "GET", path, ""); r.object["jobCanceling"] != true || r.object["jobState"] != "PROCESSING" {
		t.Errorf("after asking: %s", r.body)
	}
}

func TestJobsInMaintenance(t *testing.T) {
	s := sandbox.New(sandbox.Config{JobPolls: -1})
	s.SetStackStatus(synapse.StackStatus{Status: synapse.ReadOnly})
	admin(t, s, "GET", start(t, s, archive(1)), "").wantError(t, "an ordinary job waits", 500)
	r := admin(t, s, "GET", start(t, s, fmt.Sprintf(`{"concreteType":%q,"adminRequest":{}}`, synapse.MigrationRequestType)), "")
	if r.object["jobState"] != "COMPLETE" {
		t.Errorf("migration jobs run: %d %s", r.status, r.body)
	}
}

func TestJobFaults(t *testing.T) {
	s := sandbox.New(sandbox.Config{JobPolls: -1})
	path := start(t, s, archive(1))
	set := func(k sandbox.FaultKind) { s.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: k}}}) }
	set(sandbox.JobForever)
	for range 10 {
		if r := admin(t, s, "GET", path, ""); r.object["jobState"] != "PROCESSING" {
			t.Fatalf("for ever: %s", r.body)
		}
	}
	set(sandbox.JobPoll500)
	admin(t, s, "GET", path, "").wantError(t, "poll", 500)
	set(sandbox.JobFails)
	if r := admin(t, s, "GET", path, ""); r.status != 200 || r.object["jobState"] != "FAILED" {
		t.Errorf("fails: %d %s", r.status, r.body)
	}
}
