package migrate

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pass lets time go on. No restore takes longer than two minutes: a scheduler that
// does not know of one may count on that.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	for _, id := range w.running() {
		if x := w.jobs[id]; x.Kind == Restore && w.now.Sub(x.began) > 2*time.Minute {
			w.perform(x)
		}
	}
}

func (w *world) running() []string {
	var out []string
	for id, x := range w.jobs {
		if !x.over {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// find returns the first ID, of those after the highest one known, whose job was asked
// for as j is.
func (w *world) find(j Job) string {
	for _, id := range slices.Sorted(maps.Keys(w.jobs)) {
		x := w.jobs[id]
		if id > fmt.Sprint(j.After) && x.Kind == j.Kind && x.Side == j.Side && x.Type == j.Type && x.Span == j.Span && x.Key == j.Key && x.Size == j.Size {
			return id
		}
	}
	return ""
}

// keep writes down what happened, through JSON as a journal does.
func (w *world) keep(s *Scheduler) {
	for _, r := range s.Records() {
		b, err := json.Marshal(r)
		var again Record
		if err == nil {
			err = json.Unmarshal(b, &again)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.journal = append(w.journal, again)
		if r.Op == opStart && r.Job.Kind == Restore {
			w.durable = len(w.journal)
		}
	}
}

// essence is what must be the same after a replay. The answers of a comparison of
// which the other side's is not there are asked for again, and so are counts.
func essence(s *Scheduler) string {
	type sumEssence struct {
		Sum     Span
		Size    int64
		Running [2]bool
		Tries   int
		After   [2]int64
		Done    bool
	}
	out := fmt.Sprintln(s.marked, s.lastN, s.most, s.quiet, s.failures, s.row, s.vain, s.stopped, s.fulls, s.highest)
	for _, t := range s.tables {
		var sums []sumEssence
		for _, c := range t.sums {
			sums = append(sums, sumEssence{c.Span, c.size, [2]bool{c.state[0] != sumWaiting, c.state[1] != sumWaiting}, c.tries, c.notBefore, c.done})
		}
		x := *t
		x.sums, x.busy = nil, [2]time.Duration{}
		costs := ""
		for _, k := range Kinds() {
			if c := x.costs[k]; c != nil {
				costs += fmt.Sprintf("%s %+v ", k, *c)
			}
		}
		x.costs, x.usual = nil, nil
		out += fmt.Sprintf("%+v\n%+v\n%s\n", x, sums, costs)
	}
	return out
}

// replayed is a scheduler of what was written down.
func (w *world) replayed(n int) *Scheduler {
	s := NewScheduler(w.o)
	for _, r := range w.journal[:n] {
		s.Replay(r)
	}
	return s
}

// newWorld has so many types and CHANGE, and no rows yet.
func newWorld(t *testing.T, seed uint64, o Options, types int) *world {
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 3)), now: time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC),
		rows: [2]map[string]map[int64]int{{}, {}}, before: map[string]map[int64]int{}, jobs: map[string]*serving{}, files: map[string]copied{},
		broken: map[string][]int64{}, unsummed: map[string]int64{}, restored: map[string][]copied{}, last: map[string]int64{}, compared: map[string]bool{},
	}
	for i := range types {
		o.Types = append(o.Types, fmt.Sprint("TYPE_", i))
	}
	o.Types = append(o.Types, Change)
	o.Salt, o.AllTypes = "salt", o.Types
	w.o = o
	return w
}

func (w *world) live(deaths int) {
	s := NewScheduler(w.o)
	following := map[int64]string{}
	sought := map[int64]Job{}
	tell := func(e Event) {
		e.At = w.now
		for _, n := range s.Take(e) {
			delete(following, n)
		}
	}
	for turn := 0; !s.Done(); turn++ {
		if turn > 30_000 {
			w.t.Fatalf("no headway: %s", s.Progress(w.now))
		}
		jobs := s.Next(w.now)
		w.keep(s)
		for _, j := range jobs {
			switch {
			case w.trouble(8):
				tell(Event{N: j.N, Refused: "503"})
			case w.trouble(8):
				if w.chance(50) {
					w.serve(s, j)
				}
				if j.Findable() {
					sought[j.N] = j
					tell(Event{N: j.N, Sought: true})
					continue
				}
				tell(Event{N: j.N, Lost: "504"})
			default:
				id := w.serve(s, j)
				following[j.N] = id
				tell(Event{N: j.N, ServerID: id})
			}
		}
		for _, n := range slices.Sorted(maps.Keys(sought)) {
			switch id := w.find(sought[n]); {
			case id != "" && w.chance(40):
				following[n] = id
				tell(Event{N: n, ServerID: id})
			case w.chance(20): // it may be there
				tell(Event{N: n, Lost: "504"})
			default:
				continue
			}
			delete(sought, n)
		}
		if ids := w.running(); len(ids) > 0 && w.chance(80) {
			w.perform(w.jobs[ids[w.r.IntN(len(ids))]])
		}
		for _, n := range slices.Sorted(maps.Keys(following)) {
			x := w.jobs[following[n]]
			if x == nil || !x.over || !w.chance(60) {
				continue
			}
			delete(following, n)
			tell(Event{N: n, Answer: x.answer, Failed: x.failed})
		}
		w.keep(s)
		switch {
		case w.chance(10):
			w.pass(time.Duration(w.r.IntN(120)) * time.Second)
		default:
			w.pass(time.Duration(w.r.IntN(3000)) * time.Millisecond)
		}
		if !w.o.Frozen && s.marked && w.chance(5) { // a user adds a row
			name := w.o.Types[w.r.IntN(len(w.o.Types))]
			if last := max(s.byName[name].marks[Source].Max, w.mark(Source, name).Max); last < math.MaxInt64 {
				w.rows[Source][name][last+1] = 1
			}
		}
		if w.chance(5) && (!slices.ContainsFunc(s.tables, func(t *table) bool { return len(t.sums)+len(t.pieces) > 100 }) || w.chance(2)) {
			if d := cmp.Diff(strings.Split(essence(s), "\n"), strings.Split(essence(w.replayed(len(w.journal))), "\n")); d != "" {
				w.t.Fatalf("what was written down makes another state: %s", d)
			}
		}
		if deaths > 0 && w.chance(2) {
			deaths--
			w.journal = w.journal[:w.durable+w.r.IntN(len(w.journal)-w.durable+1)]
			w.durable = len(w.journal)
			s = w.replayed(len(w.journal))
			clear(following)
			clear(sought)
			opened := w.chance(30) // and somebody opens the destination meanwhile
			if opened {
				w.opened = true
				w.vandalize(s)
			}
			w.pass(time.Duration(w.r.IntN(100)) * time.Second)
			if opened {
				s.Distrust(w.now)
				w.keep(s)
				w.durable = len(w.journal)
			}
			for _, j := range s.Resume(w.now) {
				if j.Sought != "" {
					sought[j.N] = j
					continue
				}
				following[j.N] = j.ServerID
			}
			w.keep(s)
		}
	}
	if err := s.stopped; err != nil {
		w.t.Fatal(err)
	}
	if s.InFlight() != 0 {
		w.t.Errorf("%d jobs are in flight at the end", s.InFlight())
	}
	w.sameRows(s)
}

// vandalize changes what the destination holds.
func (w *world) vandalize(s *Scheduler) {
	for _, t := range s.tables {
		m := t.marks[Destination]
		if !s.marked || !m.Any {
			continue
		}
		for range w.r.IntN(4) {
			id := m.Min + w.r.Int64N(m.Max-m.Min+1)
			if w.chance(50) {
				delete(w.rows[Destination][t.name], id)
			} else {
				w.rows[Destination][t.name][id] = 9
			}
		}
	}
}

func (w *world) sameRows(s *Scheduler) {
	for _, t := range s.tables {
		if id, ok := w.unsummed[t.name]; len(t.uncompared) > 1 || len(t.uncompared) == 1 && (!ok || id < t.uncompared[0].Min || t.uncompared[0].Max < id) {
			w.t.Fatalf("not compared are %v of %s, where %d cannot be (%t)", t.uncompared, t.name, id, ok)
		}
		if id, ok := w.unsummed[t.name]; ok && t.compared && t.lower <= id && id <= t.upper && len(t.uncompared) == 0 {
			w.t.Fatalf("%s passes for verified, from %d to %d, although %d cannot be compared", t.name, t.lower, t.upper, id)
		}
		for i, x := range t.givenUp {
			if x.Min != x.Max || !slices.Contains(w.broken[t.name], x.Min) || slices.Contains(t.givenUp[:i], x) {
				w.t.Fatalf("given up are %v of %s, where %v cannot be read", t.givenUp, t.name, w.broken[t.name])
			}
		}
		if w.o.Frozen && len(t.givenUp) == 0 && len(t.differs) > 0 {
			w.t.Errorf("%s differs in the end: %v", t.name, t.differs)
		}
		src, dst := w.rows[Source][t.name], w.rows[Destination][t.name]
		for _, m := range []map[int64]int{src, dst} {
			for id := range m {
				if src[id] == dst[id] || slices.Contains(t.givenUp, Span{id, id}) {
					continue
				}
				if above := id > t.marks[Source].Max || !t.marks[Source].Any; !w.o.Frozen && above && (w.opened || dst[id] == w.before[t.name][id]) {
					continue // it waits for the final pass
				}
				w.t.Fatalf("%s %d is %d at the source and %d at the destination; marks %v", t.name, id, src[id], dst[id], t.marks)
			}
		}
	}
}
