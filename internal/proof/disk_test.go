package proof_test

import (
	"os"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// TestJournalCannotBeWritten: an effect whose intent cannot be made durable is not
// begun. The run stops, says so, and goes on once the store is well again.
func TestJournalCannotBeWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Config{})
	r.storeFails(func(ref ops.RunRef) (heal func()) {
		journal := r.runPath(ref, "journal")
		r.ok(os.Rename(journal, journal+"-away"))
		r.ok(os.WriteFile(journal, nil, 0o600)) // so that no folder can be made in its place
		return func() {
			r.ok(os.Remove(journal))
			r.ok(os.Rename(journal+"-away", journal))
		}
	})
}

// storeFails breaks the store while a call is in hand and wants the worker to begin
// nothing whose intent is not durable, and the run to go on after.
func (r *rig) storeFails(spoil func(ops.RunRef) (heal func())) {
	t, b := r.t, bulks[0]
	const n = 8
	ref, a := r.bring(place{call: 2, moment: beforeApplied}, append(append([]string{b.task}, b.args(n)...), "--rate", "0", "--in-flight", "1")...)
	follower := r.background("follow", string(ref.Run))
	known := r.ledger(ref).intents
	heal := spoil(ref)
	r.gate.count(func() int { return 2 })
	r.gate.open()
	r.gone(a)
	for _, w := range r.gate.all() {
		if known[w.effect] == 0 {
			t.Errorf("%s was sent although its intent could not be written", w.effect)
		}
	}
	o := follower()
	if o.code != 1 || !strings.Contains(o.err, "synops resume") {
		t.Errorf("follow ended with %d and says\n%s", o.code, o.err)
	}
	heal()
	r.gate.count(r.docs)
	r.want(0, "resume", string(ref.Run))
	r.outcomes(ref, b.effects(n), ops.EffectDone, ops.EffectUnchanged)
	r.want(0, "verify", string(ref.Run))
}
