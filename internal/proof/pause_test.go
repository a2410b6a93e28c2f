package proof_test

import (
	"syscall"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

const (
	stopped = syscall.SIGSTOP
	woken   = syscall.SIGCONT
)

// pausedAt starts a bulk over n clients, one call at a time, and stops its worker
// with a call in hand.
func pausedAt(t *testing.T, n, call int, m moment) (*rig, ops.RunRef, *ops.Attempt) {
	r := newRig(t, sandbox.Config{})
	b := bulks[0]
	ref, a := r.bring(place{call: call, moment: m}, append(append([]string{b.task}, b.args(n)...), "--rate", "0", "--in-flight", "1")...)
	r.signal(pidOf(a), stopped)
	return r, ref, a
}

// TestResumeOfAPausedWorker: a paused worker is alive, so resume attaches to it.
func TestResumeOfAPausedWorker(t *testing.T) {
	t.Parallel()
	r, ref, a := pausedAt(t, 4, 2, beforeApplied)
	r.want(4, "resume", string(ref.Run), "--until", "50ms")
	if there(r.runPath(ref, "starts/0002.json")) {
		t.Error("a second attempt was started beside a living one")
	}
	r.gate.open()
	r.signal(pidOf(a), woken)
	r.want(0, "resume", string(ref.Run))
	if got := r.result(ref); got.Attempt != 1 {
		t.Errorf("attempt %d ended the run, want 1", got.Attempt)
	}
}

// TestForce: resume --force kills a paused worker and goes on.
func TestForce(t *testing.T) {
	t.Parallel()
	r, ref, a := pausedAt(t, 4, 2, afterApplied)
	o := r.background("resume", string(ref.Run), "--force")
	r.gone(a)
	r.gate.open()
	if end := o(); end.code != 0 {
		t.Fatalf("ended with %d\n%s%s", end.code, end.out, end.err)
	}
	r.outcomes(ref, bulks[0].effects(4), ops.EffectDone, ops.EffectUnchanged)
	sent := map[string]int{}
	for _, w := range r.gate.all() {
		sent[w.effect]++
	}
	for effect, times := range sent {
		if times != 1 { // the one in hand was applied: it is read
			t.Errorf("%s was sent %d times", effect, times)
		}
	}
	r.want(0, "verify", string(ref.Run))
}

// overtake has attempt 2 take the run over from a worker that nobody killed: its
// start is written by hand, past the launcher's proof of death.
func (r *rig) overtake(ref ops.RunRef) {
	r.t.Helper()
	starts, err := r.store.Starts(r.t.Context(), ref)
	r.ok(err)
	next := starts[0]
	next.N, next.Kind, next.At = 2, ops.StartResume, time.Now().UTC()
	r.ok(r.store.CreateStart(r.t.Context(), next))
	cmd := r.command("work", string(ref.Run))
	cmd.Env = append(cmd.Env, "SYNAPSE_HOST="+r.host)
	if o := r.finish(cmd); o.code != 0 {
		r.t.Fatalf("attempt 2 ended with %d\n%s%s", o.code, o.out, o.err)
	}
}

// TestPausedWorkerWakes: a worker that wakes after another took its run over makes
// no effect: it finds the journal's next document taken, or with effects whose
// intents are durable already, a newer attempt. The exhaustive form also lets it
// sleep longer than the silence after which it does not take its own word for it.
func TestPausedWorkerWakes(t *testing.T) {
	t.Parallel()
	// Call 1 is a batch of its own: the next effects need a document first.
	wakes(t, 1, 0)
	// Of calls 2 to 4 the intents are in one document.
	wakes(t, 2, 0)
	if exhaustive() {
		wakes(t, 2, 31*time.Second)
	}
}

func wakes(t *testing.T, call int, pause time.Duration) {
	t.Helper()
	const n = 8
	r, ref, a := pausedAt(t, n, call, afterApplied)
	asleep := time.Now()
	r.gate.open() // the answer waits in the socket
	r.overtake(ref)
	r.outcomes(ref, bulks[0].effects(n), ops.EffectDone, ops.EffectUnchanged)
	sent := len(r.gate.all())

	if rest := pause - time.Since(asleep); rest > 0 {
		<-time.After(rest)
	}
	r.signal(pidOf(a), woken)
	r.gone(a)
	if again := r.gate.all()[sent:]; len(again) > 0 {
		t.Errorf("the worker that woke sent %v", again)
	}
	if got := r.result(ref); got.Attempt != 2 || got.Outcome != ops.Succeeded {
		t.Errorf("the run ended %s in attempt %d", got.Outcome, got.Attempt)
	}
	r.want(0, "verify", string(ref.Run))
}

// TestTwoWorkersForOneAttempt: one performs, the other ends at once and well.
func TestTwoWorkersForOneAttempt(t *testing.T) {
	t.Parallel()
	b := bulks[0]
	r := newRig(t, sandbox.Config{})
	ref, _ := r.bring(place{call: 1, moment: beforeApplied}, append(append([]string{b.task}, b.args(4)...), "--rate", "0")...)
	var ends []func() outcome
	for range 4 {
		ends = append(ends, r.background("work", string(ref.Run)))
	}
	for _, end := range ends {
		if o := end(); o.code != 0 {
			t.Errorf("a second worker ended with %d\n%s%s", o.code, o.out, o.err)
		}
	}
	r.gate.open()
	r.want(0, "follow", string(ref.Run))
	if sent := len(r.gate.all()); sent != 4 {
		t.Errorf("sent %d calls for 4 clients", sent)
	}
}
