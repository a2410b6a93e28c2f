package proof_test

import (
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// TestLeaseBetweenProcesses: of two runs that need one lease the second is refused
// and told who holds it; when the holder is killed, the next takes over, and the
// holder resumed later waits its turn like any other.
func TestLeaseBetweenProcesses(t *testing.T) {
	t.Parallel()
	b := bulks[0]
	r := newRig(t, sandbox.Config{})
	ref, a := r.bring(place{call: 1, moment: beforeApplied}, append([]string{b.task}, b.args(2)...)...)

	o := r.want(3, "run", b.task, "client-ids=100001", "--no-wait")
	if !strings.Contains(o.err+o.out, string(ref.Run)) {
		t.Errorf("the refusal does not name the holder:\n%s%s", o.out, o.err)
	}
	if list := r.want(0, "leases").out; !strings.Contains(list, string(ref.Run)) {
		t.Errorf("leases does not show the holder:\n%s", list)
	}
	r.want(0, "run", "publish-dataset", "entities=syn124") // another lease is free

	r.kill(ref, a)
	r.gate.open()
	r.want(0, "run", b.task, "client-ids=100001")
	if c, _ := r.synapse.OAuthClient("100001"); !c.Verified {
		t.Error("the run that took over did nothing")
	}
	r.want(0, "resume", string(ref.Run))
	r.ok(b.done(r.synapse, 2))
	r.leaseFree(b)
}

// TestLeaseRace: of many runs at once each either performs alone or is refused,
// and one at least performs.
func TestLeaseRace(t *testing.T) {
	t.Parallel()
	b := bulks[0]
	r := newRig(t, sandbox.Config{})
	var ends []func() outcome
	for range scaled(4, 16) {
		ends = append(ends, r.background(append(append([]string{"run", b.task}, b.args(3)...), "--rate", "0", "--no-wait")...))
	}
	performed := 0
	for _, end := range ends {
		switch o := end(); o.code {
		case 0:
			performed++
		case 3:
			if !strings.Contains(o.err+o.out, "is held by") {
				t.Errorf("refused for another reason:\n%s%s", o.out, o.err)
			}
		default:
			t.Errorf("ended with %d\n%s%s", o.code, o.out, o.err)
		}
	}
	if performed == 0 {
		t.Error("none got the lease")
	}
	sent := map[string]int{}
	for _, w := range r.gate.all() {
		sent[w.effect]++
	}
	for _, e := range b.effects(3) {
		if sent[e] != 1 {
			t.Errorf("%s was sent %d times", e, sent[e])
		}
	}
}
