package worker_test

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// TestMigrationAtFullScale: 279 million rows through the whole task, from guards to
// result, with the real client and executor: how long it takes, and how many
// documents its journal has, which a later attempt must read. A minute and more, so
// only when proving.
func TestMigrationAtFullScale(t *testing.T) {
	if os.Getenv("SYNOPS_PROVE") == "" {
		t.Skip("only when proving")
	}
	for _, c := range []sim.Config{
		{Profile: "R", Situation: "final", Seed: 1},
		{Profile: "R", Situation: "final", Seed: 2, Faults: true},
		{Profile: "R", Situation: "initial", Seed: 1, Faults: true},
	} {
		t.Run(c.Situation, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c.Scale, c.Types = 1, []string{} // all types
				m := newMigrating(t, c, "batch-size=50000", "remain-read-only=true")
				began := time.Now()
				r := m.ends(ops.StartRun, ops.Succeeded, "")
				s := m.same()
				t.Logf("%s, profile %s, seed %d, faults %t: %.0f s in all; %d documents of %d entries in the journal; %s", c.Situation, c.Profile, c.Seed, c.Faults,
					time.Since(began).Seconds(), m.documents(), r.JournalEntries, r.Effects[0].Message)
				if c.Situation == "final" && !c.Faults {
					m.opens("batch-size=50000")
					m.opens("batch-size=50000", "types=TEAM")
				}
				copying := s.Jobs["source"]["backup"] + s.Jobs["destination"]["restore"]
				if jobs := copying + s.Jobs["source"]["checksum"] + s.Jobs["destination"]["checksum"]; m.documents() > 2*jobs {
					t.Errorf("%d documents for %d jobs", m.documents(), jobs)
				}
			})
		})
	}
}

// opens runs it again, over a destination that is the same already and READ_ONLY: how
// one is opened where nothing but the task's form is at hand.
func (m *migrating) opens(inputs ...string) {
	m.Helper()
	m.set(sim.Destination, "READ_ONLY")
	m.again(inputs...)
	began := time.Now()
	m.ends(ops.StartRun, ops.Succeeded, "")
	m.status("READ_WRITE")
	m.Logf("opened by a run with %q: %.0f s in all", inputs, time.Since(began).Seconds())
}
