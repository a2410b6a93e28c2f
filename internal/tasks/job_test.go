package tasks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
	"github.com/google/go-cmp/cmp"
)

func TestArchiveFiles(t *testing.T) {
	r := newRig(t, "archive-files", inputs{})
	e := r.one()
	equal(t, "summary", e.Summary, "queues at most 25000 unlinked file handles for archival")
	equal(t, "settling", e.Settle, ops.SettlePerson)
	d, err := r.perform(e)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "queued", d.After["queued"], any(int64(25000)))
	contains(t, "message", d.Message, "job 1001", "25000 file handles", "limit was reached")
	contains(t, "undo", r.undo(e), "cannot be undone: ")
	if diff := cmp.Diff([]string{`{"job_id":"1001"}`}, r.saved); diff != "" {
		t.Errorf("checkpoints: %s", diff)
	}
	if len(r.progress) == 0 || !strings.HasSuffix(r.progress[len(r.progress)-1], "/100 ") {
		t.Errorf("the progress is %q", r.progress)
	}
	contains(t, "request", string(r.sandbox.Jobs()[0].RequestBody), synapse.ArchivalRequestType, `"limit":25000`)
}

func TestArchiveFilesLimit(t *testing.T) {
	task, _ := parsed(t, "archive-files", inputs{"limit": "100000"})
	for _, limit := range []string{"0", "-1", "100001", "many"} {
		if _, err := task.Parse(inputs{"limit": limit}); err == nil {
			t.Errorf("limit %s was accepted", limit)
		}
	}
}

// After a crash the job of the checkpoint is watched; no other is started.
func TestJobGoesOnFromItsCheckpoint(t *testing.T) {
	r := newRig(t, "archive-files", inputs{"limit": "10"})
	e := r.one()
	if _, err := r.perform(e); err != nil {
		t.Fatal(err)
	}
	d, err := r.p.Perform(t.Context(), r.step(e, r.v, r.saved[0]))
	if err != nil || d.After["jobId"] != "1001" {
		t.Errorf("going on gave %+v and %v, want job 1001's end", d, err)
	}
	equal(t, "jobs", len(r.sandbox.Jobs()), 1)
}

func TestRunAdminJob(t *testing.T) {
	r := newRig(t, "run-admin-job", inputs{"job": `{"concreteType":"` + synapse.ArchivalRequestType + `","limit":7}`})
	e := r.one()
	equal(t, "challenge of an archival job", r.p.Challenge(r.v, []ops.Effect{e}, 1), "")
	equal(t, "summary", e.Summary, "starts FileHandleArchivalRequest and waits for its end")
	d, err := r.perform(e)
	if err != nil || d.After["jobState"] != "COMPLETE" {
		t.Errorf("performing gave %+v and %v, want the job complete", d, err)
	}
}

// Types that nobody here knows are asked about, then run.
func TestRunAdminJobOfAnotherType(t *testing.T) {
	kind := "org.sagebionetworks.repo.model.Reindex"
	r := rigWith(t, sandbox.New(sandbox.Config{NoThrottle: true, JobTypes: []string{kind}}), "run-admin-job", inputs{"job": `{"concreteType":"` + kind + `"}`})
	e := r.one()
	equal(t, "challenge", r.p.Challenge(r.v, []ops.Effect{e}, 1), "Reindex")
	if _, err := r.perform(e); err != nil {
		t.Error(err)
	}
}

func TestRunAdminJobRefuses(t *testing.T) {
	invalid := map[string]string{
		"no type":                `{"limit":1}`,
		"a type of other case":   `{"ConcreteType":"` + synapse.ArchivalRequestType + `"}`,
		"a type that is no text": `{"concreteType":7}`,
		"a type with blanks":     `{"concreteType":"rm -rf /"}`,
		"a type ending in dot":   `{"concreteType":"org.sage."}`,
	}
	for name, job := range invalid {
		t.Run(name, func(t *testing.T) {
			_, err := newRig(t, "run-admin-job", inputs{"job": job}).plan()
			var wrong *ops.InputErrors
			if !errors.As(err, &wrong) || len(wrong.Errors) != 1 || wrong.Errors[0].Input != "job" || wrong.Errors[0].Hint == "" {
				t.Errorf("got %v, want an error of the input job", err)
			}
		})
	}
	for _, kind := range []string{synapse.MigrationRequestType, "AsyncMigrationRequest"} {
		refusal := newRig(t, "run-admin-job", inputs{"job": `{"concreteType":"` + kind + `"}`}).refusedPlan()
		equal(t, "guard", refusal.Guard, "no-migration-job")
		contains(t, "remedy", refusal.Remedy, `"migrate"`)
	}
}

// A failed job tells its message, bounded, and never its stack trace.
func TestJobFails(t *testing.T) {
	r := newRig(t, "run-admin-job", inputs{"job": `{"concreteType":"` + synapse.ArchivalRequestType + `","limit":0}`})
	_, err := r.perform(r.one())
	if err == nil || ops.CodeOf(err) == ops.Unsettled {
		t.Fatalf("performing gave %v, want a failure that is known", err)
	}
	contains(t, "error", err.Error(), "job 1001", "limit must be in the range")
	if text := err.Error() + strings.Join(r.logs, ""); strings.Contains(text, "Sandbox.java") {
		t.Errorf("the stack trace shows: %s", text)
	}
}

// After a lost answer to the start nothing can tell, and nothing is started again.
func TestJobStartIsLost(t *testing.T) {
	for _, name := range []ops.TaskName{"archive-files", "run-admin-job", "backfill-grid-sessions"} {
		t.Run(string(name), func(t *testing.T) {
			r := newRig(t, name, workable[name])
			e := r.one()
			equal(t, "settling", e.Settle, ops.SettlePerson)
			r.sandbox.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.DropAfter, Method: "POST"}}})
			_, err := r.perform(e)
			equal(t, "code", ops.CodeOf(err), ops.Unsettled)
			equal(t, "writes", r.writes(), 1)
			equal(t, "checkpoints", len(r.saved), 0)
		})
	}
}

func answer(state synapse.JobState) func() (synapse.AsyncJobStatus, error) {
	return func() (synapse.AsyncJobStatus, error) {
		return synapse.AsyncJobStatus{JobID: "1001", JobState: state}, nil
	}
}

func fails(code ops.Code) func() (synapse.AsyncJobStatus, error) {
	return func() (synapse.AsyncJobStatus, error) {
		return synapse.AsyncJobStatus{}, ops.Errorf(code, "the service answered badly.")
	}
}

// watchJob performs archive-files against a fake, with real waits.
func watchJob(t *testing.T, ctx context.Context, f *fakeJobs, rec *recorder) (ops.Done, error) {
	t.Helper()
	f.started = synapse.AsyncJobStatus{JobID: "1001", JobState: synapse.JobProcessing}
	_, v := parsed(t, "archive-files", inputs{})
	p := bind(t, "archive-files", f)
	e, err := p.Plan(ctx, v, p.Targets(v)[0])
	if err != nil {
		t.Fatal(err)
	}
	return p.Perform(ctx, rec.step(e, v, ""))
}

func TestJobPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeJobs{}
		for range 20 {
			f.answers = append(f.answers, answer(synapse.JobProcessing))
		}
		f.answers = append(f.answers, answer(synapse.JobComplete))
		start := time.Now()
		if _, err := watchJob(t, t.Context(), f, &recorder{}); err != nil {
			t.Fatal(err)
		}
		if first := f.looks[0].Sub(start); first < 800*time.Millisecond || first > time.Second {
			t.Errorf("the first look came after %s, want about a second", first)
		}
		if last := f.looks[20].Sub(f.looks[19]); last < 12*time.Second || last > 15*time.Second {
			t.Errorf("the last pause was %s, want about 15 s", last)
		}
	})
}

func TestJobThatCannotBeRead(t *testing.T) {
	cases := []struct {
		name    string
		code    ops.Code
		blind   int // looks that fail before one succeeds
		want    ops.Code
		minutes float64 // at least
	}{
		{"for a while", ops.Unavailable, 60, "", 12},
		{"for ever", ops.Unavailable, 1000, ops.Unavailable, 30},
		{"not any more", ops.NotFound, 1, ops.NotFound, 0},
		{"by this token", ops.Denied, 1, ops.Denied, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeJobs{answers: []func() (synapse.AsyncJobStatus, error){answer(synapse.JobProcessing)}}
				for range c.blind {
					f.answers = append(f.answers, fails(c.code))
				}
				f.answers = append(f.answers, answer(synapse.JobComplete))
				rec := &recorder{}
				start := time.Now()
				_, err := watchJob(t, t.Context(), f, rec)
				equal(t, "code", ops.CodeOf(err), c.want)
				if took := time.Since(start).Minutes(); took < c.minutes || took > c.minutes+5 {
					t.Errorf("it took %.1f minutes, want about %.0f", took, c.minutes)
				}
				if len(rec.logs) > 2 {
					t.Errorf("the log is %q, want one line about the trouble", rec.logs)
				}
				equal(t, "starts", f.starts, 1)
			})
		})
	}
}

// Patience is with one stretch of trouble: a good answer in between starts it
// anew.
func TestJobPatienceStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeJobs{}
		for range 5 {
			for range 80 {
				f.answers = append(f.answers, fails(ops.Unavailable))
			}
			f.answers = append(f.answers, answer(synapse.JobProcessing))
		}
		f.answers = append(f.answers, answer(synapse.JobComplete))
		if _, err := watchJob(t, t.Context(), f, &recorder{}); err != nil {
			t.Error(err)
		}
	})
}

func TestJobWaitingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := watchJob(t, ctx, &fakeJobs{answers: []func() (synapse.AsyncJobStatus, error){answer(synapse.JobProcessing)}}, &recorder{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("ended after %s with %v, want at once", time.Since(start), err)
		}
	})
}

// A job whose ID cannot be recorded is named, in the log and in the error.
func TestJobThatCannotBeRecorded(t *testing.T) {
	rec := &recorder{saveErr: errors.New("the store is full")}
	f := &fakeJobs{}
	_, err := watchJob(t, t.Context(), f, rec)
	if !errors.Is(err, rec.saveErr) || !strings.Contains(err.Error(), "job 1001") {
		t.Errorf("the error is %v", err)
	}
	contains(t, "log", strings.Join(rec.logs, "\n"), "started job 1001")
	equal(t, "looks", len(f.looks), 0)
}

func TestJobCheckpointThatIsBroken(t *testing.T) {
	r := newRig(t, "archive-files", inputs{})
	for _, checkpoint := range []string{`{}`, `[]`, `{"job_id":7}`} {
		if _, err := r.p.Perform(t.Context(), r.step(r.one(), r.v, checkpoint)); ops.CodeOf(err) != ops.Internal {
			t.Errorf("checkpoint %s gave %v", checkpoint, err)
		}
	}
	equal(t, "jobs", len(r.sandbox.Jobs()), 0)
}
