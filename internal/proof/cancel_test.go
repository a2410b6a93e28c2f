package proof_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// inFlight is how many calls of a worker are under way at once.
const inFlight = 3

// TestCancelAnywhere cancels a bulk at every place and wants it to end canceled, or
// succeeded where all was done: nothing left open, nothing begun after.
func TestCancelAnywhere(t *testing.T) {
	var cancels atomic.Int64
	t.Run("all", func(t *testing.T) {
		for i, b := range bulks {
			n := scaled(5, 20)
			for _, p := range some(places(n), 5+i) {
				t.Run(fmt.Sprintf("%s/%s", b.task, p), func(t *testing.T) {
					t.Parallel()
					cancels.Add(1)
					cancelAt(t, b, n, p)
				})
			}
		}
	})
	t.Logf("%d cancels", cancels.Load())
}

func cancelAt(t *testing.T, b bulk, n int, p place) {
	r := newRig(t, sandbox.Config{})
	ref, _ := r.bring(p, append(append([]string{b.task}, b.args(n)...), "--rate", "0")...)
	end := r.background("cancel", string(ref.Run), "--reason", "wrong list", "--format", "json")
	marker := r.runPath(ref, "cancel.json")
	r.await("the marker", func() bool { return there(marker) || r.ended(ref) })
	asked := time.Now() // it is durable since then, or a little longer: its file's own time is that of its first byte
	r.gate.open()
	o := end()
	if o.code != 0 {
		t.Fatalf("cancel ended with %d\n%s%s", o.code, o.out, o.err)
	}
	var result ops.Result
	r.ok(json.Unmarshal([]byte(o.out), &result))
	l := r.ledger(ref)
	if all := len(l.recorded) == n; result.Outcome != ops.RunCanceled && (result.Outcome != ops.Succeeded || !all) {
		t.Errorf("ended %s with %d of %d done: %s", result.Outcome, len(l.recorded), n, result.Message)
	}
	if len(l.open) > 0 {
		t.Errorf("intents left open: %v", l.open)
	}
	if late := r.sentAfter(asked); len(late) > inFlight {
		t.Errorf("%v were sent after the marker was durable: the worker asks before each, so %d at most were under way", late, inFlight)
	}
	if begun := r.intendedAfter(ref, asked); len(begun) > 1 {
		t.Errorf("journal documents %v began effects after the marker was durable: the worker asks before each, so one at most was under way", begun)
	}
	r.balance(ref, l, len(r.gate.all()))
	r.intact(ref)
	r.leaseFree(b)
	r.want(map[ops.Outcome]int{ops.RunCanceled: 130, ops.Succeeded: 0}[result.Outcome], "follow", string(ref.Run))
}

// sentAfter lists the effects that were sent after a time.
func (r *rig) sentAfter(at time.Time) (effects []string) {
	for _, w := range r.gate.all() {
		if w.at.After(at) {
			effects = append(effects, w.effect)
		}
	}
	return effects
}

// intendedAfter lists the journal documents that were written after a time and hold
// intents. Nothing is sent without one (balance).
func (r *rig) intendedAfter(ref ops.RunRef, at time.Time) (found []int) {
	r.t.Helper()
	entries, docs := r.entries(ref)
	for i, e := range entries {
		if e.Kind != ops.EntryIntent || slices.Contains(found, docs[i]) {
			continue
		}
		info, err := os.Stat(r.runPath(ref, fmt.Sprintf("journal/%08d.jsonl", docs[i])))
		r.ok(err)
		if info.ModTime().After(at) {
			found = append(found, docs[i])
		}
	}
	return found
}

// ended tells whether the first attempt wrote a result.
func (r *rig) ended(ref ops.RunRef) bool { return there(r.runPath(ref, "results/0001.json")) }

// background starts a command; the function waits for its end.
func (r *rig) background(args ...string) func() outcome {
	return r.backgroundOf(r.command(args...))
}

func (r *rig) backgroundOf(cmd *exec.Cmd) func() outcome {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	r.ok(cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return func() outcome {
		r.t.Helper()
		select {
		case <-done: // how it ended is in the state
			return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
		case <-time.After(wait):
			r.t.Fatalf("%v has not ended", cmd.Args)
			return outcome{}
		}
	}
}

// TestCancelOfADeadWorker: nobody is left to end the run, so cancel starts a
// worker that only settles.
func TestCancelOfADeadWorker(t *testing.T) {
	for _, m := range []moment{beforeApplied, afterApplied} {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			b := bulks[0]
			r := newRig(t, sandbox.Config{})
			ref, a := r.bring(place{call: 3, moment: m}, append(append([]string{b.task}, b.args(6)...), "--rate", "0")...)
			r.kill(ref, a)
			r.gate.open()
			sent := len(r.gate.all())
			r.want(0, "cancel", string(ref.Run))
			if again := len(r.gate.all()) - sent; again != 0 {
				t.Errorf("%d calls were sent after the cancel", again)
			}
			if got := r.result(ref); got.Outcome != ops.RunCanceled {
				t.Errorf("ended %s: %s", got.Outcome, got.Message)
			}
			if l := r.ledger(ref); len(l.open) > 0 {
				t.Errorf("intents left open: %v", l.open)
			}
			r.want(0, "verify", string(ref.Run))
			r.want(130, "resume", string(ref.Run)) // it ended for good: attached to its end
			r.leaseFree(b)
		})
	}
}

// TestCancelOfADeafWorker: one that does not end within the grace is killed, its
// open intent settled, and no line of its log is printed twice.
func TestCancelOfADeafWorker(t *testing.T) {
	t.Parallel()
	b := bulks[0]
	r := newRig(t, sandbox.Config{})
	ref, a := r.bring(place{call: 2, moment: afterApplied}, append(append([]string{b.task}, b.args(4)...), "--rate", "0", "--in-flight", "1")...)
	r.signal(pidOf(a), stopped)
	o := r.want(0, "cancel", string(ref.Run), "--grace", "100ms")
	r.gone(a)
	if got := r.result(ref); got.Outcome != ops.RunCanceled || got.Attempt != 2 {
		t.Errorf("ended %s in attempt %d: %s", got.Outcome, got.Attempt, got.Message)
	}
	if printed := effectLines(o.err); len(printed) != len(effectLines(r.logs(ref, 1, 2))) {
		t.Errorf("printed otherwise than the logs have it:\n%s", o.err)
	}
	r.outcomes(ref, b.effects(2), ops.EffectDone)
	r.want(0, "verify", string(ref.Run))
}
