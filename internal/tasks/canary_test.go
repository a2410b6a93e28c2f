package tasks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// fly performs a canary of five minutes from a checkpoint ("" for none).
func fly(t *testing.T, ctx context.Context, f *fakeVitals, rec *recorder, checkpoint string) (ops.Done, error) {
	t.Helper()
	_, v := parsed(t, "canary", inputs{})
	p := bind(t, "canary", f)
	e, err := p.Plan(ctx, v, p.Targets(v)[0])
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "instance", e.Before["instance"], any("544"))
	return p.Perform(ctx, rec.step(e, v, checkpoint))
}

func TestCanaryLooksEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, rec, start := &fakeVitals{}, &recorder{}, time.Now()
		d, err := fly(t, t.Context(), f, rec, "")
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range f.at {
			equal(t, "time of a look", at.Sub(start), time.Duration(i)*time.Minute)
		}
		equal(t, "looks", f.looks, 5)
		contains(t, "message", d.Message, "all of 5 minutes")
		equal(t, "log lines", len(rec.logs), 5)
		contains(t, "log line", rec.logs[2], "minute 3 of 5", "instance 544", `"544.0"`)
		equal(t, "progress", rec.progress[4], "5/5 minutes")
		equal(t, "last checkpoint", rec.saved[4], `{"done":5}`)
	})
}

func TestCanaryNamesMinutesThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, rec := &fakeVitals{noToken: map[int]bool{1: true, 4: true}, denied: map[int]bool{3: true}}, &recorder{}
		_, err := fly(t, t.Context(), f, rec, "")
		if err == nil {
			t.Fatal("it succeeded although minutes failed")
		}
		contains(t, "error", err.Error(), "3 of 5 minutes failed: 1, 3-4.")
		equal(t, "looks", f.looks, 5)
		contains(t, "log", strings.Join(rec.logs, "\n"), "minute 1 of 5 failed: reading the token anew", "minute 3 of 5 failed: proving that the token is an administrator's")
	})
}

func TestCanaryGoesOnFromItsCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, rec := &fakeVitals{}, &recorder{}
		_, err := fly(t, t.Context(), f, rec, `{"done":3,"failed":[2]}`)
		if err == nil {
			t.Fatal("the minute that failed before was forgotten")
		}
		contains(t, "error", err.Error(), "1 of 5 minutes failed: 2.")
		if d := cmp.Diff([]string{`{"done":4,"failed":[2]}`, `{"done":5,"failed":[2]}`}, rec.saved); d != "" {
			t.Error(d)
		}
	})
}

func TestCanaryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		start, rec := time.Now(), &recorder{}
		_, err := fly(t, ctx, &fakeVitals{}, rec, "")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 90*time.Second {
			t.Errorf("ended after %s with %v, want at once", time.Since(start), err)
		}
		equal(t, "minutes recorded", len(rec.saved), 2)
	})
}

// A look cut short by the run's own end is no failed minute: it is made again.
func TestCanaryDoesNotBlameItsOwnEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rec := &recorder{}
	f := &fakeVitals{denied: map[int]bool{1: true}, during: func(int) { cancel() }}
	_, err := fly(t, ctx, f, rec, "")
	if !errors.Is(err, context.Canceled) || len(rec.saved) != 0 {
		t.Errorf("ended with %v and checkpoints %q, want none", err, rec.saved)
	}
}

func TestCanaryStopsWhenItCannotRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, rec := &fakeVitals{}, &recorder{saveErr: errors.New("the store is full")}
		_, err := fly(t, t.Context(), f, rec, "")
		if !errors.Is(err, rec.saveErr) {
			t.Errorf("the error is %v", err)
		}
		equal(t, "looks", f.looks, 1)
	})
}

func TestCanaryMinutes(t *testing.T) {
	task, _ := parsed(t, "canary", inputs{"minutes": "2160"})
	for _, minutes := range []string{"0", "2161", "1.5"} {
		if _, err := task.Parse(inputs{"minutes": minutes}); err == nil {
			t.Errorf("minutes=%s was accepted", minutes)
		}
	}
	if limit := task.TimeLimit; limit < 2160*time.Minute {
		t.Errorf("the time limit %s is less than the most minutes", limit)
	}
}

func TestCanaryOverHTTP(t *testing.T) {
	r := newRig(t, "canary", inputs{"minutes": "3"})
	e := r.one()
	if _, err := r.perform(e); err != nil {
		t.Fatal(err)
	}
	equal(t, "proofs of the token", r.sandbox.Counts()["GET /repo/v1/admin/messages/currentnumber"], int64(3))
	contains(t, "undo", r.undo(e), "nothing to undo: ")
}

// tokenless is a lane whose credentials are refused in some minutes.
type tokenless struct {
	fakeVitals
	expired map[int]bool
	asked   int
}

func (f *tokenless) Account(context.Context) (string, error) {
	if f.asked++; f.expired[f.asked] {
		return "", ops.Errorf(ops.Denied, "the credentials have expired.")
	}
	return "111111111111", nil
}

// TestCanaryWithoutToken: where the token is not to be read, the lane's credentials
// are proven, and the token is not asked for.
func TestCanaryWithoutToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, rec := &tokenless{expired: map[int]bool{4: true}}, &recorder{}
		_, v := parsed(t, "canary", inputs{})
		p := tasks.BindTokenless(f)
		e, err := p.Plan(t.Context(), v, p.Targets(v)[0])
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Perform(t.Context(), rec.step(e, v, ""))
		if err == nil {
			t.Fatal("it succeeded although a minute failed")
		}
		contains(t, "error", err.Error(), "1 of 5 minutes failed: 4.")
		contains(t, "log line", rec.logs[0], `account "111111111111"`, "instance 544", "token is not this lane's to read")
		contains(t, "log line", rec.logs[3], "proving the credentials", "expired")
		equal(t, "looks that read the token", f.looks, 0)
	})
}
