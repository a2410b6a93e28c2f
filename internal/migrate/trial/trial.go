package trial

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// Config says what is tried.
type Config struct {
	sim.Config
	Schedule string  // ours or incumbent
	Full     bool    // verify everything again
	Kills    int     // of ours, at random instants
	Makespan float64 // of an undisturbed run, in which the kills fall
	// Look is called at every turn of ours, with the seconds so far; it may be nil.
	Look func(at float64, progress func() migrate.Progress)
}

// A Result is what one trial came to.
type Result struct {
	Profile   string  `json:"profile"`
	Situation string  `json:"situation"`
	Seed      int64   `json:"seed"`
	Schedule  string  `json:"schedule"`
	Scale     int64   `json:"scale"`
	Faults    bool    `json:"faults"`
	Makespan  float64 `json:"makespan_s"`
	Bound     float64 `json:"bound_s"`
	Redone    float64 `json:"bound_as_a_restore_was_lost_s,omitempty"` // see Bounds
	AsDealt   float64 `json:"bound_as_dealt_s"`
	sim.Summary
	Calls      int64  `json:"client_requests"`
	Saves      int    `json:"journal_documents"`
	Records    int    `json:"journal_records"`
	PeakClient uint64 `json:"peak_client_bytes"`
	Kills      int    `json:"kills"`
	InFlight   int    `json:"in_flight_at_kills"`
	Error      string `json:"error,omitempty"`

	Stretches []migrate.Stretch `json:"-"`
	Report    migrate.Report    `json:"-"`
}

// Run tries one schedule.
func Run(c Config) (*Result, error) {
	c.Once = c.Scale == 1 && c.Kills == 0
	p, err := sim.New(c.Config)
	if err != nil {
		return nil, err
	}
	r := &Result{Profile: c.Profile, Situation: c.Situation, Seed: c.Seed, Schedule: c.Schedule, Scale: c.Scale, Faults: c.Faults}
	workload := p.Workload()
	switch c.Schedule {
	case "incumbent":
		newIncumbent(p).run()
	case "ours":
		if err := ours(c, p, r); err != nil {
			r.Error = err.Error()
		}
	default:
		return nil, fmt.Errorf("schedule %q is none of ours and incumbent", c.Schedule)
	}
	for _, j := range p.Ran() { // both schedules alike: as the workers did it
		r.Stretches = append(r.Stretches, migrate.Stretch{Kind: migrate.Kind(j.Kind), Side: migrate.Side(j.Side), Type: j.Type, Span: migrate.Span(j.Span), Began: moment(j.Began).UnixMilli(), End: moment(j.Ended).UnixMilli()})
	}
	r.Makespan = p.Now()
	b := bounds(p, workload)
	r.Bound, r.Redone, r.AsDealt = b.Any, b.Redone, b.AsDealt()
	r.Summary = p.Summary()
	if c.Schedule == "incumbent" {
		r.Calls = r.Requests[0] + r.Requests[1]
	}
	return r, nil
}

// mostTurns is far more than any trial takes.
const mostTurns = 400_000

// ours runs the production scheduler, over kills.
func ours(c Config, p *sim.Pair, r *Result) error {
	rng := rand.New(rand.NewPCG(uint64(c.Seed), 99))
	var kills []float64
	for range c.Kills {
		kills = append(kills, c.Makespan*(0.02+0.96*rng.Float64()))
	}
	slices.Sort(kills)
	types, all := p.Types()
	o := migrate.Options{AllTypes: all, Batch: p.BatchSize(), Salt: fmt.Sprint("salt", c.Seed), Frozen: p.StackStatus(sim.Source) == "READ_ONLY", Full: c.Full}
	for _, t := range types {
		o.Types = append(o.Types, t.Name)
	}
	p.Advance(4 * callTime) // the destination is set READ_ONLY and read back
	p.SetStackStatus(sim.Destination, "READ_ONLY")
	journal := &memory{}
	peak := watchHeap()
	defer func() { r.PeakClient = peak() }()
	for {
		ctx, kill := context.WithCancelCause(context.Background())
		v := newVirtual(p, c.Seed+int64(r.Kills), kill)
		journal.process(v)
		if len(kills) > 0 {
			v.killAt, kills = max(kills[0], p.Now()+0.001), kills[1:]
		}
		s := migrate.NewScheduler(o)
		for _, rec := range journal.records {
			s.Replay(rec)
		}
		turns := 0
		err := migrate.Run(ctx, s, v, journal, func(now time.Time) {
			if turns++; turns > mostTurns {
				kill(fmt.Errorf("no headway after %d turns: %s", turns, s.Progress(now)))
			}
			if c.Look != nil {
				c.Look(now.Sub(epoch).Seconds(), func() migrate.Progress { return s.Progress(now) })
			}
		})
		killed := v.dead() && err != nil
		kill(nil)
		r.Calls += v.calls
		r.Saves, r.Records = journal.saves, len(journal.records)
		r.Report = s.Report(v.Now())
		if killed {
			r.Kills++
			r.InFlight += s.InFlight()
			down := 5 + 60*rng.Float64() // until somebody resumes it
			p.Advance(p.Now() + down)
			for i := range kills {
				kills[i] += down
			}
			continue
		}
		if err != nil {
			return err
		}
		p.Advance(p.Now() + 3*callTime)
		p.SetStackStatus(sim.Destination, "READ_WRITE")
		return r.Report.Err()
	}
}

// watchHeap returns a function that tells by how much the heap had grown at its
// largest: an upper limit of what the client holds, for the simulation's own growth
// is in it.
func watchHeap() func() uint64 {
	read := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	runtime.GC()
	before := read()
	var peak atomic.Uint64
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(50 * time.Millisecond)
		defer t.Stop()
		for {
			if n := read(); n > peak.Load() {
				peak.Store(n)
			}
			select {
			case <-quit:
				return
			case <-t.C:
			}
		}
	}()
	return func() uint64 {
		close(quit)
		<-done
		if n := peak.Load(); n > before {
			return n - before
		}
		return 0
	}
}
