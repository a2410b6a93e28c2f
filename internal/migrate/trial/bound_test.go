package trial

import (
	"testing"

	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// TestSilence: a chain stands still while the stack does not answer, but for what was
// in flight, and a silence after its end costs nothing.
func TestSilence(t *testing.T) {
	for _, c := range []struct {
		why      string
		silences []sim.Silence
		want     float64
	}{
		{"it answers", nil, 100},
		{"one step goes on", []sim.Silence{{From: 10, Until: 60}}, 120},
		{"it is shorter than a step", []sim.Silence{{From: 10, Until: 30}}, 100},
		{"the chain may be over by then", []sim.Silence{{From: 101, Until: 200}}, 100},
		{"the first makes the chain meet the second", []sim.Silence{{From: 10, Until: 60}, {From: 110, Until: 210}}, 190},
	} {
		if got := wait(100, 30, c.silences); got != c.want {
			t.Errorf("%s: %.0f s, want %.0f", c.why, got, c.want)
		}
	}
}

// TestBoundsHold: neither schedule is quicker than what no schedule can beat, as it was
// dealt.
func TestBoundsHold(t *testing.T) {
	if racing {
		t.Skip("full scale; see racing")
	}
	dealt := 0
	for seed := range int64(6) {
		for _, schedule := range []string{"ours", "incumbent"} {
			r := try(t, Config{Config: sim.Config{Seed: seed + 1, Profile: "E", Situation: "final", Scale: 1, Faults: true}, Schedule: schedule})
			if r.Makespan < r.AsDealt || r.AsDealt < r.Bound || r.AsDealt < r.Redone {
				t.Errorf("%s, seed %d: %.0f s, bound %.0f s, as dealt %.0f s, %.0f s as a restore was lost", schedule, seed+1, r.Makespan, r.Bound, r.AsDealt, r.Redone)
			}
			if r.AsDealt > r.Bound {
				dealt++
			}
		}
	}
	if dealt == 0 {
		t.Error("no run was dealt anything: the test tells nothing")
	}
}
