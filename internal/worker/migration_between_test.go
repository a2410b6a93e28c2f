package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// TestMigrationGoesOnBeforeItRestores: an attempt that ends while all is still being
// compared, in whatever way that leaves a run to be gone on with, leaves the destination
// closed; so what it compared counts, and is not compared again.
func TestMigrationGoesOnBeforeItRestores(t *testing.T) {
	const soon = 33 * time.Second // comparisons begin after 29, restores after 39
	const inFlight = 16           // on both stacks, at most
	met := 0
	for name, c := range map[string]struct {
		again int
		end   func(m *migrating)
	}{
		"handed over": {0, func(m *migrating) {
			m.limit = soon * 4 / 3
			if _, err := m.attempt(m.Context()); !errors.Is(err, worker.ErrHandedOver) {
				m.Fatalf("at its limit it ended with %v\n%s", err, m.said())
			}
			m.limit = 0
		}},
		"told to stop": {0, func(m *migrating) {
			ctx, stop := context.WithCancel(m.Context())
			defer time.AfterFunc(soon, stop).Stop()
			if _, err := m.attempt(ctx); !errors.Is(err, worker.ErrStopped) {
				m.Fatalf("told to stop it ended with %v", err)
			}
			m.begin(ops.StartResume)
		}},
		"killed": {inFlight, func(m *migrating) {
			ctx, kill := context.WithCancel(m.Context())
			defer time.AfterFunc(soon, func() {
				m.dead.Store(true)
				m.docs.sever(true)
				kill()
			}).Stop()
			if r, err := m.attempt(ctx); err == nil {
				m.Fatalf("killed it ended with %+v", r)
			}
			m.dead.Store(false)
			m.docs.sever(false)
			m.begin(ops.StartResume)
		}},
		"both stacks were silent": {inFlight, func(m *migrating) {
			away := func(is bool) {
				m.away[sim.Source].Store(is)
				m.away[sim.Destination].Store(is)
			}
			defer time.AfterFunc(soon, func() { away(true) }).Stop()
			r, err := m.attempt(m.Context())
			m.ended(r, err, ops.RunFailed, ops.Unavailable, "has not answered for")
			away(false)
			m.begin(ops.StartResume)
		}},
	} {
		if met++; met%portion != 0 {
			continue
		}
		bubble(t, name, func(t *testing.T) {
			m := newMigrating(t, sim.Config{Seed: 6, Situation: "final"})
			m.begin(ops.StartRun)
			c.end(m)
			m.status("READ_ONLY")
			before := len(m.ran(sim.Checksum))
			if n := len(m.ran(sim.Restore)); before < 10 || n > 0 {
				t.Fatalf("%d comparisons and %d restores: it was to end between", before, n)
			}
			r, err := m.attempt(t.Context())
			m.ended(r, err, ops.Succeeded, "")
			m.status("READ_WRITE")
			s := m.same()
			twins := 0 // of jobs that took too long: they do the same
			for _, doc := range m.docs.docs {
				twins += strings.Count(string(doc), `"twin":true`)
			}
			if strings.Contains(m.out.String(), "compared again") || s.Repeated > twins+c.again {
				t.Errorf("%d jobs did again what was done, %d by intention, of %d before the end\n%s", s.Repeated, twins, before, m.said())
			}
			t.Logf("%d comparisons before, %d jobs did again what was done, %d of them by intention", before, s.Repeated, twins)
		})
	}
}

// TestMigrationIsDisturbed: what others do to the stacks meanwhile ends the run, and
// what can be gone on with is.
func TestMigrationIsDisturbed(t *testing.T) {
	playedByKills(t)
	bubble(t, "somebody opens the destination", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 6, Situation: "initial"})
		at := time.AfterFunc(5*time.Minute, func() { m.set(sim.Destination, "READ_WRITE") })
		defer at.Stop()
		m.ends(ops.StartRun, ops.RunFailed, ops.Unavailable, "not READ_ONLY as it was set", "synops resume")
		m.ends(ops.StartResume, ops.Succeeded, "")
		contains(t, "the log", m.out.String(), "everything is compared again")
		m.stacks.Look(func(p *sim.Pair) { // what was restored within a minute of it is theirs to answer for
			if s := p.Summary(); s.Wrong > 0 {
				t.Errorf("%d rows are wrong: %v", s.Wrong, s.WrongAre)
			}
		})
	})
	bubble(t, "the source does not answer for an hour", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 6, Situation: "initial"})
		at := time.AfterFunc(5*time.Minute, func() { m.away[sim.Source].Store(true) })
		defer at.Stop()
		r := m.ends(ops.StartRun, ops.RunFailed, ops.Unavailable, "the source has not answered for", "synops resume")
		log := m.out.String()
		contains(t, "the log", log, "AWAY: the source has not answered for ", "; it is given up after 30 min")
		if n := strings.Count(log, "AWAY: "); n < 3 || n > 12 {
			t.Errorf("it said %d times that the source is away\n%s", n, m.said())
		}
		if !strings.HasPrefix(r.Message, "The destination repo-staging.prod.example.org is READ_ONLY: it answers its users with 503. Resume this run: once all is copied it opens it.") {
			t.Errorf("the result begins with %q", r.Message)
		}
		m.away[sim.Source].Store(false)
		m.ends(ops.StartResume, ops.Succeeded, "")
		m.status("READ_WRITE")
		m.same()
	})
	bubble(t, "a firewall refuses all calls for ten minutes", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 6, Situation: "initial"})
		wall := func(is bool) func() {
			return func() {
				m.walled[sim.Source].Store(is)
				m.walled[sim.Destination].Store(is)
			}
		}
		defer time.AfterFunc(3*time.Minute, wall(true)).Stop()
		defer time.AfterFunc(13*time.Minute, wall(false)).Stop()
		m.ends(ops.StartRun, ops.Succeeded, "")
		contains(t, "the log", m.out.String(), "AWAY: the destination has not answered for ", "the destination answers again")
		m.status("READ_WRITE")
		m.same()
	})
	bubble(t, "a firewall refuses all calls from then on", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 6, Situation: "initial"})
		defer time.AfterFunc(3*time.Minute, func() { m.walled[sim.Source].Store(true) }).Stop()
		m.ends(ops.StartRun, ops.RunFailed, ops.Unavailable, "the source has not answered for", "403 Forbidden, with a body that is not the service's", "Request blocked", "synops resume")
		m.walled[sim.Source].Store(false)
		m.ends(ops.StartResume, ops.Succeeded, "")
		m.status("READ_WRITE")
		m.same()
	})
	bubble(t, "the secret is changed meanwhile", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 6, Situation: "initial"})
		began := time.Now()
		defer time.AfterFunc(3*time.Minute, func() { m.turned[sim.Source].Store(true) }).Stop()
		m.ends(ops.StartRun, ops.RunFailed, ops.Unavailable, "401 Unauthorized", "does not accept this key and secret", "synops resume")
		if took := time.Since(began); took > 4*time.Minute {
			t.Errorf("it took %v to say so", took)
		}
		m.turned[sim.Source].Store(false)
		m.ends(ops.StartResume, ops.Succeeded, "")
	})
	bubble(t, "somebody opens it between two attempts, and nothing was restored", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 6, Situation: "nightly"})
		m.begin(ops.StartRun)
		stopped := func(after time.Duration) {
			t.Helper()
			ctx, stop := context.WithCancel(t.Context())
			at := time.AfterFunc(after, stop)
			defer at.Stop()
			if _, err := m.attempt(ctx); !errors.Is(err, worker.ErrStopped) {
				t.Fatalf("told to stop it ended with %v", err)
			}
		}
		stopped(26 * time.Second) // while it compares
		m.set(sim.Destination, "READ_WRITE")
		m.begin(ops.StartResume)
		go func() { // it dies as soon as the destination is closed
			for closed := false; !closed; time.Sleep(10 * time.Millisecond) {
				m.stacks.Look(func(p *sim.Pair) { closed = p.StackStatus(sim.Destination) == "READ_ONLY" })
			}
			m.dead.Store(true)
			m.docs.sever(true)
		}()
		if r, err := m.attempt(t.Context()); err == nil {
			t.Fatalf("killed it ended with %+v", r)
		}
		m.dead.Store(false)
		m.docs.sever(false)
		m.status("READ_ONLY")
		distrusted := false
		for _, doc := range m.docs.docs {
			distrusted = distrusted || strings.Contains(string(doc), `"op":"distrust"`)
		}
		if !distrusted {
			t.Errorf("it is READ_ONLY again, and nothing says that what was compared before does not count:\n%s", m.said())
		}
		m.ends(ops.StartResume, ops.Succeeded, "")
		m.same()
	})
	bubble(t, "somebody opens the source between two attempts of a final pass", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 6, Situation: "final"})
		ctx, stop := context.WithCancel(t.Context())
		at := time.AfterFunc(80*time.Second, stop)
		defer at.Stop()
		m.begin(ops.StartRun)
		if _, err := m.attempt(ctx); !errors.Is(err, worker.ErrStopped) {
			t.Fatalf("told to stop it ended with %v", err)
		}
		m.set(sim.Source, "READ_WRITE")
		r := m.ends(ops.StartResume, ops.RunRefused, ops.Conflict, "what it holds may have changed")
		if !strings.HasPrefix(r.Message, "The destination repo-staging.prod.example.org is READ_ONLY") {
			t.Errorf("the result begins with %q", r.Message)
		}
	})
}
