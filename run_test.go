package ops_test

import (
	"encoding/json"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// TestRunStatusState tells a run's state from each set of documents that a run, or
// a crash in the middle of one, can leave.
func TestRunStatusState(t *testing.T) {
	starts := func(ns ...int) (s []ops.Start) {
		for _, n := range ns {
			s = append(s, ops.Start{N: n})
		}
		return s
	}
	attempts := func(ns ...int) (a []ops.Attempt) {
		for _, n := range ns {
			a = append(a, ops.Attempt{N: n})
		}
		return a
	}
	result := func(n int, o ops.Outcome) *ops.Result { return &ops.Result{Attempt: n, Outcome: o} }
	for _, c := range []struct {
		name   string
		status ops.RunStatus
		want   ops.RunState
		says   string
	}{
		{"claimed only", ops.RunStatus{}, ops.StateQueued, "queued"},
		{"started", ops.RunStatus{Starts: starts(1)}, ops.StateQueued, "queued"},
		{"worker began", ops.RunStatus{Starts: starts(1), Attempts: attempts(1)}, ops.StateRunning, "running (attempt 1)"},
		{"succeeded", ops.RunStatus{Starts: starts(1), Attempts: attempts(1), Result: result(1, ops.Succeeded)}, ops.StateEnded, "succeeded"},
		{"failed", ops.RunStatus{Starts: starts(1), Attempts: attempts(1), Result: result(1, ops.RunFailed)}, ops.StateEnded, "failed"},
		{"failed, resumed, waiting", ops.RunStatus{Starts: starts(1, 2), Attempts: attempts(1), Result: result(1, ops.RunFailed)}, ops.StateQueued, "queued"},
		{"failed, resumed, working", ops.RunStatus{Starts: starts(1, 2), Attempts: attempts(1, 2), Result: result(1, ops.RunFailed)}, ops.StateRunning, "running (attempt 2)"},
		{"failed, resumed, succeeded", ops.RunStatus{Starts: starts(1, 2), Attempts: attempts(1, 2), Result: result(2, ops.Succeeded)}, ops.StateEnded, "succeeded"},
		{"died, resumed, waiting", ops.RunStatus{Starts: starts(1, 2), Attempts: attempts(1)}, ops.StateQueued, "queued"},
		{"died, resumed, working", ops.RunStatus{Starts: starts(1, 2), Attempts: attempts(1, 2)}, ops.StateRunning, "running (attempt 2)"},
		{"handed over, waiting", ops.RunStatus{Starts: starts(1, 2, 3), Attempts: attempts(1, 2)}, ops.StateQueued, "queued"},
		{"final beats a later start", ops.RunStatus{Starts: starts(1, 2), Attempts: attempts(1), Result: result(1, ops.Succeeded)}, ops.StateEnded, "succeeded"},
		{"refused is final", ops.RunStatus{Starts: starts(1, 2), Attempts: attempts(1), Result: result(1, ops.RunRefused)}, ops.StateEnded, "refused"},
		{"canceled is final", ops.RunStatus{Starts: starts(1, 2), Attempts: attempts(1, 2), Result: result(1, ops.RunCanceled)}, ops.StateEnded, "canceled"},
		{"worker before its start shows", ops.RunStatus{Attempts: attempts(1)}, ops.StateRunning, "running (attempt 1)"},
		{"cancel asked", ops.RunStatus{Starts: starts(1), Attempts: attempts(1), Cancel: &ops.CancelMarker{}}, ops.StateRunning, "running (attempt 1)"},
		{"stale heartbeat is a reading, no state", ops.RunStatus{Starts: starts(1), Attempts: attempts(1), Heartbeat: &ops.Heartbeat{}, HeartbeatAge: time.Hour}, ops.StateRunning, "running (attempt 1)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.status.State(); got != c.want {
				t.Errorf("State = %s, want %s", got, c.want)
			}
			if got := c.status.String(); got != c.says {
				t.Errorf("String = %s, want %s", got, c.says)
			}
			if a := c.status.Attempt(); (a == nil) != (len(c.status.Attempts) == 0) || a != nil && a.N != len(c.status.Attempts) {
				t.Errorf("Attempt = %+v, want the newest", a)
			}
		})
	}
}

func TestOutcomes(t *testing.T) {
	for outcome, final := range map[ops.Outcome]bool{ops.Succeeded: true, ops.RunRefused: true, ops.RunCanceled: true, ops.RunFailed: false} {
		if outcome.Final() != final {
			t.Errorf("%s: Final = %v", outcome, !final)
		}
	}
}

// TestConfirmDigest keeps the answer out of documents, and apart from other digests.
func TestConfirmDigest(t *testing.T) {
	if ops.ConfirmDigest("2 users") == ops.ConfirmDigest("3 users") || ops.ConfirmDigest("2 users") == ops.DigestOf([]byte("2 users")) {
		t.Error("two different things have one digest")
	}
	if once, again := ops.ConfirmDigest("2 users"), ops.ConfirmDigest("2 users"); once != again {
		t.Error("the same answer has two digests")
	}
}

// TestDocumentsOmitWhatIsUnset: a zero time in a document reads as the year 1.
func TestDocumentsOmitWhatIsUnset(t *testing.T) {
	for _, doc := range []any{ops.Freeze{At: time.Unix(0, 0).UTC()}, ops.Lease{At: time.Unix(0, 0).UTC()}} {
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(b, &fields); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"released", "lifted_at", "lifted_by"} {
			if _, ok := fields[name]; ok {
				t.Errorf("%T holds %s although nothing set it: %s", doc, name, b)
			}
		}
	}
	b, _ := json.Marshal(ops.Lease{RunRef: ops.RunRef{Lane: ops.LaneAdmin, Run: "r"}})
	var back ops.Lease
	if err := json.Unmarshal(b, &back); err != nil || back.Run != "r" || back.Lane != ops.LaneAdmin {
		t.Errorf("a lease read back holds %+v, %v", back.RunRef, err)
	}
}
