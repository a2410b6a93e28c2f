package remote_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate/remote"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var errKilled = errors.New("killed")

// A migration is what is to be migrated, and what has been written down. It lives
// in a synctest bubble.
type migration struct {
	t       *testing.T
	served  *sim.Stacks
	options migrate.Options
	journal [][]byte // records, as they are stored
	rng     *rand.Rand
	between func(http.RoundTripper) http.RoundTripper // of the destination; nil: nothing

	requests int64
	inFlight int // at the ends of the processes so far
	lost     int // records of jobs of which nobody knew what became
	twins    int // of jobs that took too long: they do the same
}

func newMigration(t *testing.T, c sim.Config) *migration {
	t.Helper()
	p, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	types, all := p.Types()
	m := &migration{t: t, served: sim.NewStacks(p, time.Now, 1), rng: rand.New(rand.NewPCG(uint64(c.Seed), 5))}
	m.options = migrate.Options{AllTypes: all, Batch: p.BatchSize(), Salt: fmt.Sprint("salt", c.Seed), Frozen: c.Situation == "final"}
	for _, t := range types {
		m.options.Types = append(m.options.Types, t.Name)
	}
	return m
}

// A process is one attempt, which may die.
type process struct {
	*migration
	dead    context.Context
	clients [2]*adminapi.Migration
}

// RoundTripper of a process that is dead as soon as its context is: nothing more
// leaves it, and nothing more arrives.
type mortal struct {
	dead context.Context
	wire http.RoundTripper
}

func (m mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(m.dead, cancel)()
	return m.wire.RoundTrip(r.WithContext(ctx))
}

// Save takes a moment, in which the process may die: then it may be written or not.
func (p *process) Save(ctx context.Context, records []migrate.Record) error {
	select {
	case <-time.After(40 * time.Millisecond):
	case <-p.dead.Done():
		if p.rng.IntN(2) == 0 {
			return errKilled
		}
	}
	for _, r := range records {
		if r.Op == "lost" {
			p.lost++
		}
		if r.Job != nil && r.Job.Twin {
			p.twins++
		}
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		p.journal = append(p.journal, b)
	}
	if p.dead.Err() != nil {
		return errKilled
	}
	return ctx.Err()
}

// run is one process: it ends when it is done, when it is canceled, or at its death.
func (m *migration) run(canceled, dead context.Context) error {
	m.t.Helper()
	p := &process{migration: m, dead: dead}
	for side, secret := range []string{sim.SourceSecret, sim.DestinationSecret} {
		var wire http.RoundTripper = mortal{dead, m.served.Wire(sim.Side(side), 70*time.Millisecond)}
		if m.between != nil && side == int(migrate.Destination) {
			wire = m.between(wire)
		}
		c, err := adminapi.NewMigration(adminapi.Config{
			Host: "https://stack.example.org", Transport: wire,
		}, func(context.Context) (adminapi.Credential, error) {
			return adminapi.Credential{Key: sim.Key, Secret: secret}, nil
		})
		if err != nil {
			m.t.Fatal(err)
		}
		defer c.Close()
		defer func() { m.requests += c.Stats().Requests }()
		p.clients[side] = c
	}
	ctx, giveUp := context.WithCancelCause(canceled)
	defer giveUp(nil)
	defer context.AfterFunc(dead, func() { giveUp(errKilled) })()
	status := func(to string) error {
		_, err := p.clients[1].SetStackStatus(ctx, synapse.StackStatus{Status: to})
		if err != nil && ctx.Err() != nil { // it ended meanwhile, as it might anywhere else
			return context.Cause(ctx)
		}
		return err
	}
	if err := status(synapse.ReadOnly); err != nil {
		return err
	}
	s := migrate.NewScheduler(m.options)
	for _, b := range m.journal {
		var r migrate.Record
		if err := json.Unmarshal(b, &r); err != nil {
			m.t.Fatal(err)
		}
		s.Replay(r)
	}
	x := remote.New(p.clients[0], p.clients[1], giveUp)
	err := migrate.Run(ctx, s, x, p, nil)
	x.Close()
	if err != nil {
		m.inFlight += s.InFlight()
		return err
	}
	if err := status("READ_WRITE"); err != nil {
		return err
	}
	return s.Report(time.Now()).Err()
}

// sound fails the test unless what there is at the end is right and no rule was
// broken on the way.
func (m *migration) sound() sim.Summary {
	m.t.Helper()
	var s sim.Summary
	m.served.Look(func(p *sim.Pair) { s = p.Summary() })
	if s.Wrong > 0 {
		m.t.Errorf("%d rows are wrong: %q", s.Wrong, s.WrongAre)
	}
	if len(s.Violations) > 0 {
		m.t.Errorf("rules are broken: %q", s.Violations[:min(5, len(s.Violations))])
	}
	return s
}

// again tells which jobs did again what had been done, but for those that are two by
// intention: a twin of a job that took too long, and that job, both begun before
// either was known to have ended.
func (m *migration) again() (jobs []string) {
	m.t.Helper()
	type does struct {
		kind migrate.Kind
		side migrate.Side
		name string
		span migrate.Span
		size int64
	}
	key := func(j migrate.Job, side migrate.Side) does { return does{j.Kind, side, j.Type, j.Span, j.Size} }
	started, ids, began := map[int64]migrate.Job{}, map[string]int64{}, map[int64]int64{}
	open, twins := map[does][]int64{}, map[int64]string{}
	for _, b := range m.journal {
		var r migrate.Record
		if err := json.Unmarshal(b, &r); err != nil {
			m.t.Fatal(err)
		}
		switch r.Op {
		case "start":
			j := *r.Job
			started[r.N], began[r.N] = j, r.At
			if before := open[key(j, j.Side)]; j.Twin && len(before) == 1 {
				why := fmt.Sprintf("job %d was begun beside job %d, %.1f s after it", r.N, before[0], float64(r.At-began[before[0]])/1000)
				twins[r.N], twins[before[0]] = why, why
			}
			open[key(j, j.Side)] = append(open[key(j, j.Side)], r.N)
		case "accepted":
			ids[r.ID] = r.N
		case "done":
			delete(open, key(started[r.N], started[r.N].Side))
		case "compared": // on both sides
			delete(open, key(started[r.N], migrate.Source))
			delete(open, key(started[r.N], migrate.Destination))
		}
	}
	nameless := map[int64]bool{} // twins that were not needed any more before their IDs were known
	for n, j := range started {
		nameless[n] = j.Twin
	}
	for _, n := range ids {
		delete(nameless, n)
	}
	m.served.Look(func(p *sim.Pair) {
		for _, id := range p.Repeats() {
			n, known := ids[fmt.Sprint(id)]
			for x, twin := range nameless {
				if !known && twin {
					n, known = x, true
					delete(nameless, x)
				}
			}
			if why := twins[n]; why != "" {
				m.t.Logf("twice by intention, %+v: %s", started[n], why)
				continue
			}
			jobs = append(jobs, fmt.Sprintf("%d %+v", n, started[n]))
		}
	})
	return jobs
}

// forever never ends.
func forever() context.Context { return context.Background() }

// small is a workload of a few types, CHANGE among them but for the race detector.
func small(situation string, seed int64) sim.Config {
	types := []string{"PRINCIPAL", "NODE", "ACL", "V2_WIKI_PAGE", "CHANGE"}
	if racing {
		types = []string{"PRINCIPAL", "ACL"}
	}
	return sim.Config{Seed: seed, Profile: "R", Situation: situation, Scale: 1000, Types: types}
}

// longestLife is how long a process works at most before it ends, where a run is to go
// over several.
const longestLife = 45 * time.Second

// proving: every case is tried, not a few.
var proving = os.Getenv("SYNOPS_PROVE") != ""

// untilDone lets process after process work, most of them for a random time only,
// until one is done. What ends the others must be why. It returns how many there
// were of them.
func (m *migration) untilDone(most int, longest time.Duration, process func(life time.Duration) error, why error) int {
	m.t.Helper()
	for ends := 0; ; ends++ {
		life := time.Millisecond + time.Duration(m.rng.Int64N(int64(longest)))
		if ends == most {
			life = 24 * time.Hour
		}
		switch err := process(life); {
		case err == nil:
			if ends == 0 {
				m.t.Error("nothing ended it")
			}
			return ends
		case !errors.Is(err, why):
			m.t.Fatalf("it ended with %v, want %v", err, why)
		}
		time.Sleep(time.Duration(5+m.rng.IntN(60)) * time.Second) // until somebody resumes it
	}
}
