package trial

import (
	"container/heap"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"time"

	"golang.org/x/time/rate"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// What a call and a journal document take, in seconds.
const (
	callTime = 0.07
	saveTime = 0.04
)

// epoch is when virtual time begins.
var epoch = time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)

func moment(seconds float64) time.Time {
	return epoch.Add(time.Duration(math.Round(seconds*1e6)) * time.Microsecond)
}

// An action is due at a time.
type action struct {
	at float64
	do func()
	n  int // of two at the same time the earlier made
}

type agenda []action

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].n < a[j].n
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(action)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

// A virtual executor follows jobs of a simulated pair without real time passing.
type virtual struct {
	pair   *sim.Pair
	due    agenda
	made   int
	events []migrate.Event
	gone   map[int64]bool // forgotten
	jitter *rand.Rand
	killAt float64 // 0: never
	kill   context.CancelCauseFunc
	calls  int64
	pace   [2]*rate.Limiter // the real client's
}

var errKilled = errors.New("killed")

func newVirtual(p *sim.Pair, seed int64, kill context.CancelCauseFunc) *virtual {
	v := &virtual{pair: p, gone: map[int64]bool{}, kill: kill, jitter: rand.New(rand.NewPCG(uint64(seed), 7))}
	for side := range v.pace {
		v.pace[side] = rate.NewLimiter(adminapi.MigrationPerSecond, adminapi.MigrationBurst)
	}
	return v
}

// call lets a call reach a stack after d, or later if the client's pace asks for it.
func (v *virtual) call(side migrate.Side, d float64, do func()) {
	v.later(d, func() {
		wait := v.pace[side].ReserveN(v.Now(), 1).DelayFrom(v.Now())
		v.later(wait.Seconds()+callTime/2, do)
	})
}

func (v *virtual) Now() time.Time { return moment(v.pair.Now()) }

func (v *virtual) later(after float64, do func()) {
	v.made++
	heap.Push(&v.due, action{v.pair.Now() + after, do, v.made})
}

func (v *virtual) dead() bool { return v.killAt > 0 && v.pair.Now() >= v.killAt }

func (v *virtual) Start(_ context.Context, j migrate.Job) {
	if v.dead() {
		return
	}
	began := v.pair.Now()
	switch {
	case j.ServerID != "":
		v.call(j.Side, 0, func() { v.poll(j, parse(j.ServerID), began) })
		return
	case j.Sought != "":
		v.seek(j, began, migrate.NewSearch(j, v.Now()))
		return
	}
	v.call(j.Side, 0, func() {
		v.calls++
		id, err := v.pair.Submit(sim.Side(j.Side), request(j))
		v.later(callTime/2, func() {
			switch {
			case errors.Is(err, sim.ErrLost) && j.Findable():
				j.Sought = err.Error()
				v.tell(migrate.Event{N: j.N, Sought: true})
				v.seek(j, began, migrate.NewSearch(j, v.Now()))
			case errors.Is(err, sim.ErrLost):
				v.tell(migrate.Event{N: j.N, Lost: err.Error()})
			case err != nil:
				v.tell(migrate.Event{N: j.N, Refused: err.Error()})
			default:
				v.tell(migrate.Event{N: j.N, ServerID: number(id)})
				v.watch(j, id, began)
			}
		})
	})
}

// seek looks for the job behind a lost answer.
func (v *virtual) seek(j migrate.Job, began float64, s *migrate.Search) {
	id, wait, ok := s.Next(v.Now())
	if !ok {
		v.tell(migrate.Event{N: j.N, Lost: j.Sought})
		return
	}
	var look func()
	look = func() {
		v.calls++
		r, err := v.pair.Request(sim.Side(j.Side), id)
		v.later(callTime/2, func() {
			switch {
			case errors.Is(err, sim.ErrDown):
				v.call(j.Side, 1+3*v.jitter.Float64(), look)
				return
			case err == nil && reflect.DeepEqual(r, request(j)):
				v.tell(migrate.Event{N: j.N, ServerID: number(id)})
				v.poll(j, id, began)
				return
			case err == nil:
				s.Other()
			}
			v.seek(j, began, s)
		})
	}
	v.call(j.Side, wait.Seconds(), look)
}

func (v *virtual) watch(j migrate.Job, id int64, began float64) {
	elapsed := time.Duration((v.pair.Now() - began) * float64(time.Second))
	wait := j.PollAfter(elapsed).Seconds() * (0.9 + 0.2*v.jitter.Float64())
	v.call(j.Side, wait, func() { v.poll(j, id, began) })
}

func (v *virtual) poll(j migrate.Job, id int64, began float64) {
	if v.gone[j.N] {
		return
	}
	v.calls++
	st, err := v.pair.Poll(sim.Side(j.Side), id)
	v.later(callTime/2, func() {
		switch {
		case errors.Is(err, sim.ErrDown):
			v.call(j.Side, 1+3*v.jitter.Float64(), func() { v.poll(j, id, began) })
		case err != nil:
			v.tell(migrate.Event{N: j.N, Lost: err.Error()})
		case !st.Done:
			v.watch(j, id, began)
		case st.Error != "":
			v.tell(migrate.Event{N: j.N, Failed: st.Error})
		default:
			v.tell(migrate.Event{N: j.N, Answer: answer(st)})
		}
	})
}

func (v *virtual) tell(e migrate.Event) {
	if v.gone[e.N] {
		return
	}
	e.At = v.Now()
	v.events = append(v.events, e)
}

func (v *virtual) Forget(n int64) { v.gone[n] = true }

func (v *virtual) Wait(ctx context.Context, until time.Time) []migrate.Event {
	limit := until.Sub(epoch).Seconds()
	for len(v.events) == 0 && ctx.Err() == nil && !v.pass(limit) {
	}
	out := v.events
	v.events = nil
	return out
}

// pass goes on to what is due next, and tells whether limit came first.
func (v *virtual) pass(limit float64) bool {
	at := limit
	if len(v.due) > 0 {
		at = min(at, v.due[0].at)
	}
	if v.killAt > 0 && at >= v.killAt {
		v.pair.Advance(v.killAt)
		v.kill(errKilled)
		return true
	}
	v.pair.Advance(at)
	if len(v.due) == 0 || v.due[0].at > at {
		return true
	}
	heap.Pop(&v.due).(action).do()
	return false
}

// sleep lets time pass while the client waits for something else.
func (v *virtual) sleep(d float64) {
	until := v.pair.Now() + d
	for !v.pass(until) {
		if v.dead() {
			return
		}
	}
}

func request(j migrate.Job) sim.Request {
	return sim.Request{Kind: sim.Kind(j.Kind), Type: j.Type, Types: j.Types, Span: sim.Span(j.Span), Size: j.Size, Salt: j.Salt, Key: j.Key}
}

func answer(s sim.Status) *migrate.Answer {
	a := &migrate.Answer{Key: s.Key, Rows: s.Rows, Took: time.Duration(s.Took * float64(time.Second))}
	if s.Marks != nil {
		a.Marks = map[string]migrate.Mark{}
		for _, m := range s.Marks {
			a.Marks[m.Type] = migrate.Mark{Span: migrate.Span(m.Span), Any: m.Any}
		}
	}
	for _, r := range s.Ranges {
		a.Ranges = append(a.Ranges, migrate.Span(r))
	}
	for _, b := range s.Bins {
		a.Bins = append(a.Bins, migrate.Bin(b))
	}
	return a
}
