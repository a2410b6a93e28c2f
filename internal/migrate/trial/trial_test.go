package trial

import (
	"flag"
	"fmt"
	"testing"

	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

var seeds = flag.Int("seeds", 4, "random seeds per situation in the small-scale proof")

// TestSmallScaleTruth: real rows and real checksums, all types, faults, a source
// that users write to: no row wrong, no rule broken, whatever the seed.
func TestSmallScaleTruth(t *testing.T) {
	for _, situation := range []string{"initial", "nightly", "final"} {
		for seed := range *seeds {
			t.Run(fmt.Sprintf("%s/%d", situation, seed), func(t *testing.T) {
				t.Parallel()
				profile := []string{"R", "B", "E"}[seed%3]
				r := try(t, Config{Config: sim.Config{Seed: int64(seed), Profile: profile, Situation: situation, Scale: 1000, Faults: true, Writes: true}, Schedule: "ours"})
				sound(t, r)
				if situation == "final" && r.Behind > 0 {
					t.Errorf("%d rows lag behind a source that nobody writes to", r.Behind)
				}
			})
		}
	}
}

func try(t *testing.T, c Config) *Result {
	t.Helper()
	r, err := Run(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sound(t *testing.T, r *Result) {
	t.Helper()
	if r.Error != "" {
		t.Errorf("it ended with %q", r.Error)
	}
	if r.Wrong > 0 {
		t.Errorf("%d rows are wrong", r.Wrong)
	}
	for i, v := range r.Violations {
		if i == 5 {
			t.Errorf("and %d more", len(r.Violations)-i)
			break
		}
		t.Error(v)
	}
}
