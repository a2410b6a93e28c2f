// Package enginetest is the contract of an engine as tests: what the launcher and
// whoever reads a run's documents rely on, wherever runs happen. Each engine calls
// Run with a way to make itself, and has its executions do Work.
//
// What is not here: what workers do for real, and anything that only one engine
// knows.
package enginetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
)

// A Subject is an engine to try, with the documents that its workers share.
type Subject struct {
	Engine    ops.Engine
	Documents Documents
	// Kill ends the worker of an attempt without its knowing, as a machine that
	// fails does, and returns when it is over.
	Kill func(t *testing.T, a *ops.Attempt)
	// Tells are the states before a worker's claim that the engine can tell apart;
	// at least AliveProvisioning.
	Tells []ops.Liveness
}

// patience is how long anything may take before a test gives up on it.
const patience = 2 * time.Minute

// Run tries an engine. open makes a fresh one for each test.
func Run(t *testing.T, open func(t *testing.T) *Subject) {
	for _, c := range []struct {
		name string
		test func(*trial)
	}{
		{"Start", (*trial).start},
		{"StartTwice", (*trial).startTwice},
		{"StartAfterContextEnded", (*trial).startEnded},
		{"BeforeTheClaim", (*trial).beforeClaim},
		{"Liveness", (*trial).liveness},
		{"Log", (*trial).log},
		{"FollowExactlyOnce", (*trial).followOnce},
		{"Stop", (*trial).stop},
		{"Lost", (*trial).lost},
		{"NeverBegun", (*trial).neverBegun},
		{"ResumeWantsProofOfDeath", (*trial).resumeProof},
		{"ResumeAfterFailure", (*trial).resumeFailed},
		{"Cancel", (*trial).cancel},
		{"CancelOfTheDeaf", (*trial).cancelDeaf},
		{"CancelOfTheDead", (*trial).cancelDead},
		{"Settle", (*trial).settle},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, stop := context.WithTimeout(context.Background(), patience)
			defer stop()
			s := open(t)
			c.test(&trial{T: t, ctx: ctx, s: s, l: &launcher.Launcher{Documents: s.Documents, Engine: s.Engine}})
		})
	}
}

// A trial is one test of a subject.
type trial struct {
	*testing.T
	ctx context.Context
	s   *Subject
	l   *launcher.Launcher
}

func (t *trial) ok(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var by = launcher.Answers{By: "tester"}

// launch starts a run that plays the script.
func (t *trial) launch(script string) ops.RunRef {
	t.Helper()
	ref, attached, err := t.l.Launch(t.ctx, "job-1", request(script), by)
	t.ok(err)
	if attached {
		t.Error("a fresh claim was taken already")
	}
	return ref
}

func request(script string) *ops.Request {
	return &ops.Request{Task: "enginetest", TaskVersion: 1, Inputs: map[string]string{scriptInput: script}, Environment: "dev", Host: "http://127.0.0.1:1",
		Lane: ops.LaneAdmin, Requester: "tester", Synops: "test"}
}

// follow follows a run to its end.
func (t *trial) follow(ref ops.RunRef) (*ops.Result, string, error) {
	var out bytes.Buffer
	r, err := t.l.Follow(t.ctx, ref, launcher.Follow{Log: &out})
	return r, out.String(), err
}

// ends fails unless the run ends with the outcome, in attempt n.
func (t *trial) ends(ref ops.RunRef, n int, want ops.Outcome) string {
	t.Helper()
	r, text, err := t.follow(ref)
	t.ok(err)
	if r.Outcome != want || r.Attempt != n {
		t.Errorf("ended %s in attempt %d, want %s in %d", r.Outcome, r.Attempt, want, n)
	}
	return text
}

// says fails unless text holds every line of the attempts, in order and once.
func (t *trial) says(text string, attempts ...int) {
	t.Helper()
	var want strings.Builder
	for _, n := range attempts {
		for i := range lines {
			want.WriteString(line(n, i) + "\n")
		}
	}
	var got strings.Builder
	for l := range strings.Lines(text) {
		if strings.Contains(l, " says line ") { // an engine may add lines of its own
			got.WriteString(l)
		}
	}
	if got.String() != want.String() {
		t.Errorf("the log of attempts %v was printed as\n%s", attempts, text)
	}
}

// until waits for a view of the run.
func (t *trial) until(ref ops.RunRef, what string, holds func(v *launcher.View) bool) *launcher.View {
	t.Helper()
	poll := time.NewTicker(t.s.Engine.Poll())
	defer poll.Stop()
	for {
		v, err := t.l.Look(t.ctx, ref)
		t.ok(err)
		if holds(v) {
			return v
		}
		select {
		case <-t.ctx.Done():
			t.Fatalf("the run never was %s: %s, execution %s", what, v, v.Live)
		case <-poll.C:
		}
	}
}

func running(v *launcher.View) bool {
	return v.State() == ops.StateRunning && v.Live == ops.AliveRunning
}

// deaf waits until the deaf worker of attempt 1 has said its lines: one that is
// ended before keeps the rest to itself.
func (t *trial) deaf(ref ops.RunRef) *launcher.View {
	t.Helper()
	var text []byte
	cursor := ""
	return t.until(ref, "running and done speaking", func(v *launcher.View) bool {
		if !running(v) {
			return false
		}
		part, next, err := t.s.Engine.Log(t.ctx, ref, 1, cursor, false)
		t.ok(err)
		text, cursor = append(text, part...), next
		return bytes.Contains(text, []byte(line(1, lines-1)+"\n"))
	})
}

func gone(v *launcher.View) bool { return v.Live == ops.Gone }

func (t *trial) execution(ref ops.RunRef, n int) ops.Execution {
	t.Helper()
	e, err := t.s.Documents.Execution(t.ctx, ref, n)
	t.ok(err)
	if e == nil {
		t.Fatalf("what was started for attempt %d is not recorded", n)
	}
	return *e
}

func (t *trial) together(n int, do func() error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do() })
	}
	wg.Wait()
	t.ok(errors.Join(errs...))
}
