package worker_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

func TestMigration(t *testing.T) {
	playedByKills(t)
	bubble(t, "a final pass with faults", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 1, Situation: "final", Faults: true})
		r := m.ends(ops.StartRun, ops.Succeeded, "", "4 types", "the destination is READ_WRITE", "the report is")
		m.status("READ_WRITE")
		s := m.same()
		jobs := s.Jobs["source"]["backup"] + s.Jobs["destination"]["restore"]
		t.Logf("%s; %d documents for %d copying jobs", r.Effects[0].Message, m.documents(), jobs)
		if m.documents() > 3*jobs+40 {
			t.Errorf("%d journal documents for %d backups and restores", m.documents(), jobs)
		}
		report, picture := "", ""
		for key, doc := range m.docs.docs {
			switch {
			case strings.HasSuffix(key, ".md"):
				report = string(doc)
			case strings.HasSuffix(key, ".svg"):
				picture = string(doc)
			}
		}
		contains(t, "the report", report, "# Migration of 543 543.0 into 544 544.0", "| CHANGE | done |", "## Slowest jobs", "## What to tune", ".svg")
		contains(t, "the picture", picture, "<svg", "CHANGE")
		if strings.Contains(report, "answers its users with 503") {
			t.Errorf("the report says that an open destination is closed:\n%s", report)
		}
	})
	bubble(t, "it stays closed where that was asked for, and says so first", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 2, Situation: "nightly", Writes: true}, "remain-read-only=true", "verify=full")
		r := m.ends(ops.StartRun, ops.Succeeded, "", "the destination is READ_ONLY")
		if !strings.HasPrefix(r.Message, "The destination repo-staging.prod.example.org is READ_ONLY") {
			t.Errorf("the result begins with %q", r.Message)
		}
		contains(t, "the result", r.Message, "remain-read-only asked for that", "opens it: synops run migrate source-host=https://repo-prod.prod.example.org destination-host=https://repo-staging.prod.example.org -e prod")
		m.status("READ_ONLY")
		m.same()
		m.again("types=TEAM")
		m.ends(ops.StartRun, ops.Succeeded, "")
		contains(t, "the log", m.out.String(), "is opened afterwards, whatever its other types hold: this run looks at TEAM alone")
		m.status("READ_WRITE")
		m.set(sim.Destination, "READ_ONLY")
		m.again()
		m.ends(ops.StartRun, ops.Succeeded, "")
		m.status("READ_WRITE")
		m.same()
	})
	bubble(t, "a range that cannot be compared", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 1, Situation: "final", Unsummed: map[string]int64{"ACL": 77}})
		r := m.ends(ops.StartRun, ops.RunFailed, ops.Conflict, "1 ranges could not be compared, so they are not verified: ACL from ", "Lock wait timeout exceeded", "new run")
		if !strings.HasPrefix(r.Message, "The destination repo-staging.prod.example.org is READ_ONLY") {
			t.Errorf("the result begins with %q", r.Message)
		}
		m.status("READ_ONLY")
		m.same() // it was copied all the same
		for key, doc := range m.docs.docs {
			if strings.HasSuffix(key, ".md") {
				contains(t, "the report", string(doc), "1 ranges not compared", "| checksum | ACL | ", "| **not compared** |", "| compared by halves, but not all of it |", "Lock wait timeout exceeded")
			}
		}
	})
	bubble(t, "a type that the service cannot cut into ranges", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 5, Situation: "initial", Uncut: []string{"ACL"}, Types: []string{"ACL", "TEAM"}})
		m.ends(ops.StartRun, ops.Succeeded, "")
		m.status("READ_WRITE")
		m.same()
	})
	bubble(t, "a row that cannot be copied", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 5, Situation: "initial", Broken: map[string]int64{"ACTIVITY": 701}, Types: []string{"ACTIVITY", "TEAM"}})
		r := m.ends(ops.StartRun, ops.RunFailed, ops.Conflict, "could not be copied", "new run")
		if !strings.HasPrefix(r.Message, "The destination repo-staging.prod.example.org is READ_ONLY") {
			t.Errorf("the result begins with %q", r.Message)
		}
		m.status("READ_ONLY")
	})
}

// TestMigrationIsKilled at random instants, its process and its store with it: the
// next process goes on, in the end both stacks are the same, and little was done
// twice.
func TestMigrationIsKilled(t *testing.T) {
	for i, situation := range []string{"final", "nightly", "initial"} {
		if i%portion > 0 {
			continue
		}
		bubble(t, situation, func(t *testing.T) {
			m := newMigrating(t, sim.Config{Seed: 3, Situation: situation, Faults: true, Writes: situation != "final"})
			rng := rand.New(rand.NewPCG(3, 4))
			const kills = 6
			m.begin(ops.StartRun)
			var r *ops.Result
			for n := 0; r == nil && n < 3*kills; n++ {
				ctx, cancel := context.WithCancel(t.Context())
				kill := time.AfterFunc(time.Duration(20+rng.IntN(200))*time.Second, func() {
					if n >= kills {
						return
					}
					m.dead.Store(true)
					m.docs.sever(true)
					cancel()
				})
				ended, err := m.attempt(ctx)
				kill.Stop()
				cancel()
				if err == nil && (ended.Outcome != ops.RunFailed || ended.Code != ops.Unavailable) { // a stack may be silent for too long
					r = ended
					break
				}
				time.Sleep(time.Duration(rng.IntN(300)) * time.Second)
				m.dead.Store(false)
				m.docs.sever(false)
				m.begin(ops.StartResume)
			}
			if r == nil {
				t.Fatalf("it did not end\n%s", m.said())
			}
			m.ended(r, nil, ops.Succeeded, "")
			m.status("READ_WRITE")
			s := m.same()
			t.Logf("%d jobs did again what was done; %d documents", s.Repeated, m.documents())
			if most := kills * 8; s.Repeated > most {
				t.Errorf("%d jobs did again what was done, more than %d that can have been in flight", s.Repeated, most)
			}
		})
	}
}

// TestMigrationIsHandedOver between builds.
func TestMigrationIsHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 4, Situation: "initial"}) // a lost worker is longer away than such a build lasts
		m.limit = 8 * time.Minute
		m.begin(ops.StartRun)
		for n := 1; n < 20; n++ {
			r, err := m.attempt(t.Context())
			if errors.Is(err, worker.ErrHandedOver) {
				m.status("READ_ONLY")
				continue
			}
			m.ended(r, err, ops.Succeeded, "")
			if n < 3 {
				t.Errorf("it took %d builds, and so was handed over %d times", n, n-1)
			}
			break
		}
		m.status("READ_WRITE")
		m.same()
		// A hand-over is no alarm.
		contains(t, "the log", m.out.String(), "goes on   repo-staging.prod.example.org  ", "the next attempt goes on from its last checkpoint", "Handed over as planned")
		if strings.Contains(m.out.String(), "unsettled") {
			t.Errorf("a hand-over reads as something unsettled:\n%s", m.said())
		}
	})
}

// diesAsking ends a first attempt before it knows the ID of the restore that it had
// just asked for.
func (m *migrating) diesAsking() {
	m.Helper()
	ctx, kill := context.WithCancel(m.Context())
	m.loses = func() {
		m.dead.Store(true)
		m.docs.sever(true)
		kill()
	}
	m.begin(ops.StartRun)
	if _, err := m.attempt(ctx); err == nil {
		m.Fatal("it survived its death")
	}
	m.dead.Store(false)
	m.docs.sever(false)
	m.begin(ops.StartResume)
}

// TestMigrationFindsItsRestore: a process dies before it knows the ID of the restore
// that it had just asked for. The next one finds it, and nobody waits.
func TestMigrationFindsItsRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 4, Situation: "initial", Types: []string{"TEAM"}})
		m.diesAsking()
		began, before := time.Now(), len(m.out.String())
		r, err := m.attempt(t.Context())
		m.ended(r, err, ops.Succeeded, "")
		m.status("READ_WRITE")
		m.same()
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
		if n := len(m.ran(sim.Restore)); n != 1 {
			t.Errorf("%d restores ran", n)
		}
		if strings.Contains(m.out.String()[before:], "TEAM waits") {
			t.Errorf("it waited:\n%s", m.said())
		}
	})
}

// TestMigrationWaits: the same where the stack never took that restore, which nobody
// can know. The next ones can only wait until it must be over, which takes longer than
// each of them lasts; and wait they do.
func TestMigrationWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 4, Situation: "initial", Types: []string{"TEAM"}})
		m.limit, m.untaken = time.Minute, true
		m.diesAsking()
		handed := 0
		r, err := m.attempt(t.Context())
		for ; errors.Is(err, worker.ErrHandedOver); r, err = m.attempt(t.Context()) {
			handed++
		}
		m.ended(r, err, ops.Succeeded, "")
		m.status("READ_WRITE")
		m.same()
		contains(t, "the log", m.out.String(), "TEAM waits: whether a restore of it runs is not known, and its job is looked for. Unless it is found, TEAM goes on at about ",
			"TEAM waits until ", "whether a restore of it runs is not known, and beside it no other may be begun")
		if log := m.out.String(); strings.Index(log, "TEAM waits until ") < strings.LastIndex(log, "its job is looked for") {
			t.Errorf("it waited before it had looked for it:\n%s", m.said())
		}
		if handed < 2 {
			t.Errorf("handed over %d times within three minutes", handed)
		}
	})
}

func TestMigrationIsCanceled(t *testing.T) {
	bubble(t, "while it copies", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 5, Situation: "initial"})
		at := time.AfterFunc(5*time.Minute, m.cancelRun)
		defer at.Stop()
		r := m.ends(ops.StartRun, ops.RunCanceled, ops.Canceled, "Canceled by ada", "and opens it: synops run migrate source-host=https://repo-prod.prod.example.org destination-host=https://repo-staging.prod.example.org -e prod")
		if !strings.HasPrefix(r.Message, "The destination repo-staging.prod.example.org is READ_ONLY") {
			t.Errorf("the result begins with %q", r.Message)
		}
		m.status("READ_ONLY")
		ran := 0
		m.stacks.Look(func(p *sim.Pair) { ran = len(p.Ran()) })
		time.Sleep(time.Hour)
		m.again()
		m.ends(ops.StartRun, ops.Succeeded, "")
		m.status("READ_WRITE")
		m.same()
		if ran == 0 {
			t.Error("nothing had run when it was canceled")
		}
	})
	bubble(t, "before anything was restored", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 5, Situation: "nightly"})
		at := time.AfterFunc(11*time.Second, m.cancelRun)
		defer at.Stop()
		r := m.ends(ops.StartRun, ops.RunCanceled, ops.Canceled)
		if !strings.HasPrefix(r.Message, "Canceled by ada") {
			t.Errorf("the result begins with %q\n%s", r.Message, m.out.String())
		}
		m.status("READ_WRITE")
	})
}

// TestMigrationIsRefused before anything is begun.
func TestMigrationIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		situation string
		change    func(m *migrating)
		guard     string
		remedy    string
	}{
		"users are on the destination's host":     {"final", func(m *migrating) { m.users[0] = pairHosts[1] }, "migration-destination", ""},
		"users are on the destination's instance": {"final", func(m *migrating) { m.users[1] = "544" }, "migration-destination", ""},
		"nobody says what users are on":           {"final", func(m *migrating) { m.users[1] = "" }, "migration-destination", ""},
		"a secret is wrong":                       {"final", func(m *migrating) { m.secret[1] = "another one" }, "migration-credential", ""},
		"a final pass of a source that is open":   {"nightly", func(m *migrating) { m.req.Inputs["mode"] = "final" }, "migration-mode", "Set the source READ_ONLY first"},
		"a final pass into what is empty":         {"initial", func(m *migrating) { m.req.Inputs["mode"] = "final" }, "migration-mode", "run it with mode=initial"},
		"a first copy into what is full":          {"nightly", func(m *migrating) { m.req.Inputs["mode"] = "initial" }, "migration-mode", ""},
		"a nightly pass into what is empty":       {"initial", func(m *migrating) { m.req.Inputs["mode"] = "nightly" }, "migration-mode", ""},
		"a type that there is not":                {"final", func(m *migrating) { m.req.Inputs["types"] = "TEAM,ACLS" }, "migration-types", ""},
		"CHANGE without what it tells of":         {"final", func(m *migrating) { m.req.Inputs["types"] = "CHANGE,TEAM" }, "migration-types", ""},
		"hosts of two families":                   {"final", func(m *migrating) { m.req.Inputs["destination-host"] = "https://repo-staging.dev.example.org" }, "environment-host", ""},
	} {
		bubble(t, name, func(t *testing.T) {
			m := newMigrating(t, sim.Config{Seed: 1, Situation: c.situation})
			c.change(m)
			m.begin(ops.StartRun)
			r, err := m.attempt(t.Context())
			if err != nil || r.Outcome != ops.RunRefused || r.Guard != c.guard || !strings.Contains(r.Next, c.remedy) {
				t.Fatalf("ended with %+v (%v), want a refusal by %s that advises %q", r, err, c.guard, c.remedy)
			}
			m.status("READ_WRITE")
			m.stacks.Look(func(p *sim.Pair) {
				for _, j := range p.Ran() {
					if j.Kind != sim.Counts {
						t.Errorf("job %v ran", j)
					}
				}
			})
		})
	}
}

// TestTwoMigrations: only one may hold the environment's lease.
func TestTwoMigrations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 1, Situation: "final"})
		other := ops.RunRef{Lane: ops.LaneMigrate, Run: "20261123T141502Z-migrate-aaaa"}
		if _, _, err := m.store.AcquireLease(t.Context(), ops.Lease{Environment: "prod", Name: "migration", RunRef: other, Attempt: 1, At: time.Now()}, nil); err != nil {
			t.Fatal(err)
		}
		m.begin(ops.StartRun)
		r, err := m.attempt(t.Context())
		if err != nil || r.Outcome != ops.RunRefused || !strings.Contains(r.Message, string(other.Run)) {
			t.Fatalf("ended with %+v (%v)", r, err)
		}
		m.status("READ_WRITE")
	})
}

// TestMigrationSetsTheStatusAgain: every try of setting the destination's status was
// lost before it was made. It reads otherwise, so it is set again.
func TestMigrationSetsTheStatusAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 4, Situation: "initial", Types: []string{"TEAM"}})
		m.loseSets.Store(7)
		m.begin(ops.StartRun)
		r, err := m.attempt(t.Context())
		m.ended(r, err, ops.Succeeded, "")
		m.status("READ_WRITE")
		m.same()
	})
}
