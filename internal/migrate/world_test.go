package migrate

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
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
	id := fmt.Sprint(1_000_000 + w.started)
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
