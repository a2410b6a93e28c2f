package migrate

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A world is two stacks as small as they can be: rows by type and ID, and jobs that
// end whenever chance lets them. It checks every job that is started against the
// rules.
type world struct {
	t      *testing.T
	r      *rand.Rand
	o      Options
	now    time.Time
	rows   [2]map[string]map[int64]int // versions
	before map[string]map[int64]int    // at the destination
	jobs   map[string]*serving
	// written down, and how much of it is durable
	journal []Record
	durable int

	files    map[string]copied
	restored map[string][]copied
	last     map[string]int64 // where the newest restore of a type began
	compared map[string]bool  // at the destination since

	opened   bool               // by somebody, once
	broken   map[string][]int64 // rows that no backup can read
	unsummed map[string]int64   // IDs that no checksum gets past
	uncut    string             // a type of which no ranges job goes well
	troubles int                // that may still come
	moment   int
	started  int
}

// serving is a job on a stack, whether somebody follows it or not.
type serving struct {
	Job
	began  time.Time
	over   bool
	answer *Answer
	failed string
}

type copied struct {
	Span
	moment int // of reading
	rows   map[int64]int
}

func (w *world) chance(percent int) bool { return w.r.IntN(100) < percent }

func (w *world) trouble(percent int) bool {
	if w.troubles > 0 && w.chance(percent) {
		w.troubles--
		return true
	}
	return false
}

// shapes are how a type's rows may lie on both sides.
var shapes = []string{
	"empty on both sides", "the source is empty", "the destination is empty", "the source is wholly below", "the source is wholly above",
	"one ID is shared", "bins wider than the source's range", "rows beyond the source's end", "nearly the same",
	"IDs far apart", "IDs far apart, the destination is empty",
	"IDs far apart, from none to the largest", "IDs far apart, from none to the largest, the destination is empty",
}

// farShapes are the last of them: they take long.
const farShapes = 4

// table draws which rows a type has on both sides.
func (w *world) table(name, shape string) {
	top := int64(1 + w.r.IntN(400))
	low := int64(w.r.IntN(3))
	src, dst := map[int64]int{}, map[int64]int{}
	fill := func(m map[int64]int, from, to int64) {
		for id := from; id <= to; id++ {
			if w.chance(50) {
				m[id] = 1
			}
		}
	}
	switch shape {
	case "empty on both sides":
	case "the source is empty":
		fill(dst, low, top)
	case "the destination is empty":
		fill(src, low, top)
	case "the source is wholly below":
		fill(src, low, top)
		fill(dst, top+1, top+60)
	case "the source is wholly above":
		fill(dst, low, top)
		fill(src, top+1, top+60)
	case "one ID is shared":
		fill(dst, low, top)
		fill(src, top, top+60)
		src[top], dst[top] = 2, 1
	case "bins wider than the source's range":
		src[3], src[4], dst[1], dst[4], dst[5] = 1, 2, 1, 1, 1
	case "IDs far apart", "IDs far apart, the destination is empty", "IDs far apart, from none to the largest", "IDs far apart, from none to the largest, the destination is empty":
		fill(src, low, top)
		far := int64(1) << (34 + w.r.IntN(28))
		if strings.Contains(shape, "to the largest") {
			far = math.MaxInt64 - 40
			src[0] = 1
		}
		fill(src, far, far+30)
		src[far+40] = 1
		if !strings.HasSuffix(shape, "empty") {
			dst = maps.Clone(src)
			src[low], src[far/2], src[far+5] = 2, 1, 2
			delete(dst, far+40)
			dst[far/3] = 1
		}
	default:
		fill(src, low, top)
		dst = maps.Clone(src)
		for id := low; id <= top+5; id++ {
			switch w.r.IntN(25) {
			case 0:
				delete(src, id)
			case 1:
				delete(dst, id)
			case 2:
				src[id] = 2
			}
		}
		if shape == "rows beyond the source's end" {
			fill(dst, top, top+40)
		}
	}
	w.rows[Source][name], w.rows[Destination][name] = src, dst
	w.before[name] = maps.Clone(dst)
}

func (w *world) mark(side Side, name string) Mark {
	ids := slices.Sorted(maps.Keys(w.rows[side][name]))
	if len(ids) == 0 {
		return Mark{}
	}
	return Mark{Span{ids[0], ids[len(ids)-1]}, true}
}

func (w *world) within(side Side, name string, s Span) []int64 {
	var out []int64
	for _, id := range slices.Sorted(maps.Keys(w.rows[side][name])) {
		if s.Min <= id && id <= s.Max {
			out = append(out, id)
		}
	}
	return out
}

// serve begins a job, and checks that it may.
func (w *world) serve(s *Scheduler, j Job) string {
	w.started++
	id := fmt.Sprint("job-", w.started)
	x := &serving{Job: j, began: w.now}
	switch j.Kind {
	case Backup, Ranges:
		if m := s.byName[j.Type].marks[Source]; j.Side != Source || !w.o.Frozen && (!m.Any || j.Max > m.Max) {
			w.t.Fatalf("%+v, of a source that users write to with the mark %v", j, m)
		}
	case Checksum:
		if j.Side == Destination {
			w.compared[j.Type] = true
		}
	case Restore:
		w.mayRestore(s, j)
	}
	w.jobs[id] = x
	return id
}

func (w *world) mayRestore(s *Scheduler, j Job) {
	f, ok := w.files[j.Key]
	if !ok || f.Span != j.Span || j.Side != Destination || j.Twin {
		w.t.Fatalf("%+v, of the file %v", j, f.Span)
	}
	for _, x := range w.jobs {
		if x.Kind != Restore || x.over {
			continue
		}
		if x.Type == j.Type || x.Type == Change || j.Type == Change {
			w.t.Fatalf("%+v beside %+v, began %v ago", j, x.Job, w.now.Sub(x.began))
		}
	}
	if j.Type == Change {
		for _, t := range s.tables {
			if t.name != Change && t.stage != stageDone {
				w.t.Fatalf("%+v while %s is %s", j, t.name, t.stage)
			}
		}
	}
	if last, ok := w.last[j.Type]; ok && j.Min < last && !w.compared[j.Type] {
		w.t.Fatalf("%+v after one at %d", j, last)
	}
	for _, old := range w.restored[j.Type] {
		if old.Min <= j.Max && j.Min <= old.Max && old.moment > f.moment {
			w.t.Fatalf("%+v, read before what is there", j)
		}
	}
	w.last[j.Type], w.compared[j.Type] = j.Min, false
}

// perform ends a job: what it does happens here.
func (w *world) perform(x *serving) {
	x.over = true
	w.moment++
	if x.Kind != Counts && x.Min < x.Max && w.trouble(10) { // of a single ID it would be told as its own fault
		x.failed = "Deadlock found"
		return
	}
	a := &Answer{Took: time.Duration(w.r.IntN(5000)) * time.Millisecond}
	x.answer = a
	switch x.Kind {
	case Counts:
		a.Marks = map[string]Mark{}
		for _, name := range x.Types {
			a.Marks[name] = w.mark(x.Side, name)
		}
	case Ranges:
		if x.Type == w.uncut {
			x.answer, x.failed = nil, "interrupted"
			return
		}
		ids := w.within(Source, x.Type, x.Span)
		for part := range slices.Chunk(ids, int(x.Size)) {
			a.Ranges = append(a.Ranges, Span{part[0], part[len(part)-1]})
		}
		w.r.Shuffle(len(a.Ranges), reflect.Swapper(a.Ranges))
	case Backup:
		a.Key = fmt.Sprint("file-", len(w.files))
		if slices.ContainsFunc(w.broken[x.Type], func(id int64) bool { return x.Min <= id && id <= x.Max }) {
			x.answer, x.failed = nil, "a row could not be read"
			return
		}
		f := copied{x.Span, w.moment, map[int64]int{}}
		for _, id := range w.within(Source, x.Type, x.Span) {
			f.rows[id] = w.rows[Source][x.Type][id]
		}
		w.files[a.Key] = f
	case Restore:
		f := w.files[x.Key]
		for _, id := range w.within(Destination, x.Type, f.Span) {
			delete(w.rows[Destination][x.Type], id)
		}
		maps.Copy(w.rows[Destination][x.Type], f.rows)
		a.Rows = int64(len(f.rows))
		w.restored[x.Type] = append(w.restored[x.Type], f)
	case Checksum:
		if id, ok := w.unsummed[x.Type]; ok && x.Min <= id && id <= x.Max {
			x.answer, x.failed = nil, "lock wait timeout"
			return
		}
		bins := map[int64]*Bin{}
		for _, id := range w.within(x.Side, x.Type, x.Span) {
			b := bins[id/x.Size]
			if b == nil {
				b = &Bin{Number: id / x.Size, Min: id}
				bins[id/x.Size] = b
			}
			b.Count, b.Max = b.Count+1, id
			b.Checksum += fmt.Sprintf("%s%d@%d", x.Salt, id, w.rows[x.Side][x.Type][id])
		}
		for _, b := range bins {
			a.Bins = append(a.Bins, *b)
		}
	}
}

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
	out := fmt.Sprintln(s.marked, s.lastN, s.most, s.quiet, s.failures, s.row, s.vain, s.stopped, s.fulls)
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
				tell(Event{N: j.N, Lost: "504"})
			default:
				id := w.serve(s, j)
				following[j.N] = id
				tell(Event{N: j.N, ServerID: id})
			}
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
