package worker_test

import (
	"encoding/json"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// TestMigrationAtFullScale: 279 million rows through the whole task, from guards to
// result, with the real client and executor: how long it takes, how many documents
// its journal has, and what an attempt holds that goes on with it. Minutes, so only
// when proving.
func TestMigrationAtFullScale(t *testing.T) {
	if os.Getenv("SYNOPS_PROVE") == "" {
		t.Skip("only when proving")
	}
	for _, c := range []sim.Config{
		{Profile: "R", Situation: "final", Seed: 1},
		{Profile: "R", Situation: "final", Seed: 1, Faults: true},
		{Profile: "R", Situation: "initial", Seed: 1, Faults: true},
	} {
		t.Run(c.Situation, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.Scale, c.Types = 1, []string{} // all types
				m := newMigrating(t, c, "batch-size=50000", "remain-read-only=true")
				began := time.Now()
				r := m.ends(ops.StartRun, ops.Succeeded, "")
				took, s, held := time.Since(began).Seconds(), m.same(), m.heldOf()
				t.Logf("%s, profile %s, seed %d, faults %t: %.0f s; %d documents of %d entries in the journal, of which an attempt that goes on holds %.1f MiB; %s",
					c.Situation, c.Profile, c.Seed, c.Faults, took, m.documents(), r.JournalEntries, float64(held)/(1<<20), r.Effects[0].Message)
				copying := s.Jobs["source"]["backup"] + s.Jobs["destination"]["restore"]
				if jobs := copying + s.Jobs["source"]["checksum"] + s.Jobs["destination"]["checksum"]; m.documents() > 2*jobs {
					t.Errorf("%d documents for %d jobs", m.documents(), jobs)
				}
				if most := uint64(64 << 20); held > most {
					t.Errorf("an attempt that goes on holds %d bytes of the journal, want %d at most", held, most)
				}
				if c.Situation == "final" && !c.Faults {
					m.opens("batch-size=50000")
					m.opens("batch-size=50000", "types=TEAM")
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

// heldOf is what an attempt holds in the end that goes on with the run: its
// checkpoints, what they say, and the scheduler made of it. In bytes.
func (m *migrating) heldOf() uint64 {
	m.Helper()
	var checkpoints []json.RawMessage
	var records []migrate.Record
	before := heapNow()
	chain := ops.NewChain(m.req.Digest())
	for doc, err := range m.store.Journal(m.Context(), ops.RunRef{Lane: m.req.Lane, Run: run1}, 0) {
		if err != nil {
			m.Fatal(err)
		}
		if err := chain.Decode(doc, func(e ops.Entry) error { checkpoints = append(checkpoints, e.Data); return nil }); err != nil {
			m.Fatal(err)
		}
	}
	var o migrate.Options
	for _, c := range checkpoints {
		var cp struct {
			Begin *struct {
				Types    []string
				AllTypes []string `json:"all_types"`
				Salt     string
			}
			Records []migrate.Record
		}
		if len(c) > 0 {
			if err := json.Unmarshal(c, &cp); err != nil {
				m.Fatal(err)
			}
		}
		if cp.Begin != nil {
			o.Types, o.AllTypes, o.Salt = cp.Begin.Types, cp.Begin.AllTypes, cp.Begin.Salt
		}
		records = append(records, cp.Records...)
	}
	s := migrate.NewScheduler(o)
	for _, r := range records {
		s.Replay(r)
	}
	after := heapNow()
	if !s.Done() {
		m.Errorf("%d records replayed leave something to do: %s", len(records), s.Progress(time.Now()))
	}
	runtime.KeepAlive(checkpoints)
	runtime.KeepAlive(records)
	return after - before
}

func heapNow() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
