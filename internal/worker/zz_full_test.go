package worker_test

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

func TestZZFull(t *testing.T) {
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 1, Situation: "final", Types: []string{}})
		p, err := sim.New(sim.Config{Seed: 1, Profile: "R", Situation: os.Getenv("ZZ"), Scale: 1, Faults: true})
		if err != nil {
			t.Fatal(err)
		}
		m.stacks = sim.NewStacks(p, time.Now, 1)
		m.req.Inputs["batch-size"] = "50000"
		r := m.ends(ops.StartRun, ops.Succeeded, "")
		size, n := 0, 0
		for k, d := range m.docs.docs {
			if strings.Contains(k, "/journal/") {
				size += len(d)
				n++
			}
		}
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		t.Log(r.Effects[0].Message, n, "documents", size, "bytes; sys", ms.Sys>>20, "MiB")
		m.same()
	})
	_ = began
}
