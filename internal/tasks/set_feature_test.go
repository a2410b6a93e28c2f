package tasks_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/google/go-cmp/cmp"
)

func TestSetFeature(t *testing.T) {
	r := newRig(t, "set-feature", inputs{"feature": "ALLOW_AGENT_WRITES", "enabled": "false"})
	e := r.one()
	equal(t, "ID", e.ID, "feature/ALLOW_AGENT_WRITES")
	equal(t, "summary", e.Summary, "enabled: true → false")
	equal(t, "settling", e.Settle, ops.SettleResend)
	done := r.done(e)
	equal(t, "enabled", r.sandbox.Feature("ALLOW_AGENT_WRITES"), false)
	equal(t, "undo", r.undo(done), "synops run set-feature feature=ALLOW_AGENT_WRITES enabled=true -e dev")
	path := "/repo/v1/admin/feature/ALLOW_AGENT_WRITES/status"
	if d := cmp.Diff([]string{"GET " + path, "POST " + path, "GET " + path}, r.paths()); d != "" {
		t.Errorf("a normal run costs a read, a write and a read: %s", d)
	}
	equal(t, "nothing to do the second time", r.one().Nothing, true)
	equal(t, "notes", len(r.p.Notes(r.v, nil)), 0)
}

func TestSetFeatureNotesInvertedNames(t *testing.T) {
	r := newRig(t, "set-feature", inputs{"feature": "DISABLE_2FA_REQUIREMENT", "enabled": "true"})
	notes := r.p.Notes(r.v, r.mustPlan())
	if len(notes) != 1 {
		t.Fatalf("the notes are %q, want one", notes)
	}
	contains(t, "note", notes[0], "DISABLE_2FA_REQUIREMENT", "NOT required")
}

// A name that this release does not list passes with a warning: the service
// decides.
func TestSetFeatureUnlisted(t *testing.T) {
	r := newRig(t, "set-feature", inputs{"feature": "BRAND_NEW_SWITCH", "enabled": "true"})
	equal(t, "warnings", len(r.v.Notes()), 1)
	refusal := r.refusedPlan()
	equal(t, "guard", refusal.Guard, "feature-exists")
	contains(t, "reason", refusal.Reason, "feature/BRAND_NEW_SWITCH")
	for _, name := range []string{"lower_case", "A", "SPACE D"} {
		if _, err := r.task.Parse(inputs{"feature": name, "enabled": "true"}); err == nil {
			t.Errorf("feature %q was accepted", name)
		}
	}
}

// verifyFeature switches a feature off and verifies it, and tells how long that
// took.
func verifyFeature(t *testing.T, ctx context.Context, f *fakeFeatures) (logs []string, took time.Duration, err error) {
	t.Helper()
	_, v := parsed(t, "set-feature", inputs{"feature": "ALLOW_AGENT_WRITES", "enabled": "false"})
	p, rec := bind(t, "set-feature", f), &recorder{}
	e, err := p.Plan(ctx, v, p.Targets(v)[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Perform(ctx, rec.step(e, v, "")); err != nil {
		return rec.logs, 0, err
	}
	start := time.Now()
	_, err = p.Verify(ctx, v, e)
	return rec.logs, time.Since(start), err
}

func TestSetFeatureWaitsForTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs, took, err := verifyFeature(t, t.Context(), &fakeFeatures{enabled: true, stale: time.Minute})
		if err != nil || took < time.Minute || took > 70*time.Second {
			t.Errorf("verified after %s with %v, want soon after a minute", took, err)
		}
		if len(logs) != 1 {
			t.Errorf("the log is %q, want one line", logs)
		}
	})
}

func TestSetFeatureGivesUpOnTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs, took, err := verifyFeature(t, t.Context(), &fakeFeatures{enabled: true, stale: time.Hour})
		equal(t, "code", wantRefusal(t, err).Code, ops.Conflict)
		equal(t, "waited", took, 75*time.Second)
		equal(t, "log lines", len(logs), 1)
	})
}

func TestSetFeatureStopsWaitingWhenCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		_, took, err := verifyFeature(t, ctx, &fakeFeatures{enabled: true, stale: time.Hour})
		if !errors.Is(err, context.DeadlineExceeded) || took != 12*time.Second {
			t.Errorf("stopped after %s with %v, want at once", took, err)
		}
	})
}

// When the service itself answers the switch with the old value, no cache is to
// blame.
func TestSetFeatureWrongAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFeatures{enabled: true, wrong: true}
		_, _, err := verifyFeature(t, t.Context(), f)
		equal(t, "code", ops.CodeOf(err), ops.Conflict)
		equal(t, "reads", f.reads, 1)
	})
}
