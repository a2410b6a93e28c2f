package migration

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
)

// A lattice says which IDs a type's rows have, without holding them: the span is
// cut into segments, each with its own density, and within one the rows are spread
// evenly.
type lattice struct {
	first []int64 // first ID of each segment, and after the last
	rows  []int64 // rows before each segment, and all
}

func newLattice(r *rand.Rand, rows, span int64) *lattice {
	n := int(min(64, max(1, rows/1000)))
	weights, sum := make([]float64, n), 0.0
	uneven := 0.7 * min(0.8, float64(span)/float64(rows)-1) // no segment may hold more rows than it has IDs
	for i := range weights {
		weights[i] = 1 + uneven*(2*r.Float64()-1)
		sum += weights[i]
	}
	l := &lattice{first: make([]int64, n+1), rows: make([]int64, n+1)}
	spent := 0.0
	for i := range n {
		l.first[i] = 1 + span*int64(i)/int64(n)
		l.rows[i] = int64(float64(rows) * spent / sum)
		spent += weights[i]
	}
	l.first[n], l.rows[n] = 1+span, rows
	return l
}

func (l *lattice) total() int64 { return l.rows[len(l.rows)-1] }

// rank is how many rows have an ID below id.
func (l *lattice) rank(id int64) int64 {
	i := sort.Search(len(l.first), func(i int) bool { return l.first[i] > id }) - 1
	switch {
	case i < 0:
		return 0
	case i >= len(l.first)-1:
		return l.total()
	}
	width, n := l.first[i+1]-l.first[i], l.rows[i+1]-l.rows[i]
	return l.rows[i] + ((id-l.first[i])*n+width-1)/width
}

// id is the ID of the row of that rank.
func (l *lattice) id(rank int64) int64 {
	i := sort.Search(len(l.rows), func(i int) bool { return l.rows[i] > rank }) - 1
	i = max(0, min(i, len(l.first)-2))
	width, n := l.first[i+1]-l.first[i], l.rows[i+1]-l.rows[i]
	return l.first[i] + (rank-l.rows[i])*width/max(n, 1)
}

// A change is what happens to one row of the source.
type change struct {
	id      int64
	deleted bool
	moment  int64 // never while it has not happened
}

const never = math.MaxInt64

// An intervals table is a type at full scale: a lattice, sparse changes, and which
// IDs were copied when.
type intervals struct {
	base    *lattice
	salt    uint64 // of the type
	ratio   float64
	changes []change // by ID; shared by both sides
	source  *intervals

	limit  int64   // source: rows of the lattice that exist
	pieces []piece // destination: by ID, disjoint
	fresh  bool    // changes happen once their row was first read
}

// A piece of the destination is the source as it was at a moment.
type piece struct {
	Span
	moment int64
}

func (t *intervals) isSource() bool { return t.source == nil }

// held are the pieces that s meets; a source is one piece, of now.
func (t *intervals) held(s Span) []piece {
	if t.isSource() {
		if t.limit == 0 {
			return nil
		}
		s = Span{max(s.Min, 1), min(s.Max, t.base.id(t.limit-1))}
		if s.Min > s.Max {
			return nil
		}
		return []piece{{s, never - 1}}
	}
	i := sort.Search(len(t.pieces), func(i int) bool { return t.pieces[i].Max >= s.Min })
	var out []piece
	for ; i < len(t.pieces) && t.pieces[i].Min <= s.Max; i++ {
		p := t.pieces[i]
		p.Min, p.Max = max(p.Min, s.Min), min(p.Max, s.Max)
		out = append(out, p)
	}
	return out
}

// within are the changes to IDs in s.
func (t *intervals) within(s Span) []change {
	lo := sort.Search(len(t.changes), func(i int) bool { return t.changes[i].id >= s.Min })
	hi := sort.Search(len(t.changes), func(i int) bool { return t.changes[i].id > s.Max })
	if lo >= hi {
		return nil
	}
	return t.changes[lo:hi]
}

func (t *intervals) rowsOf(p piece) int64 {
	limit := t.limit
	if !t.isSource() {
		limit = t.source.limit
	}
	n := min(t.base.rank(p.Max+1), limit) - min(t.base.rank(p.Min), limit)
	for _, c := range t.within(p.Span) {
		if c.deleted && c.moment <= p.moment {
			n--
		}
	}
	return n
}

func (t *intervals) count(s Span) (primary, group int64) {
	for _, p := range t.held(s) {
		primary += t.rowsOf(p)
	}
	return primary, int64(float64(primary) * t.ratio)
}

func (t *intervals) mark() (Span, bool) {
	p := t.held(Span{0, never - 1})
	if len(p) == 0 {
		return Span{}, false
	}
	s := Span{p[0].Min, p[len(p)-1].Max}
	limit := t.limit
	if !t.isSource() {
		limit = t.source.limit
	}
	lo, hi := t.base.rank(s.Min), min(t.base.rank(s.Max+1), limit)-1
	if hi < lo {
		return Span{}, false
	}
	return Span{t.base.id(lo), t.base.id(hi)}, true
}

func (t *intervals) pack(s Span, most int64) []Span {
	per := max(1, int64(float64(most)/t.ratio))
	lo, hi := t.base.rank(s.Min), min(t.base.rank(s.Max+1), t.limit)
	var out []Span
	for ; lo < hi; lo += per {
		end := s.Max
		if lo+per < hi {
			end = t.base.id(lo+per) - 1
		}
		out = append(out, Span{t.base.id(lo), end})
	}
	return out
}

// sums are order-independent 64-bit sums in place of CRCs, the same on both sides:
// a row's share is a difference of two mixed ranks, so that a run of rows costs as
// much as one.
func (t *intervals) sums(s Span, bin int64, salt string) []Bin {
	mixed := t.salt ^ seedOf(0, salt)
	share := func(rank int64) uint64 { return mix(mixed ^ uint64(rank)) }
	type sum struct {
		Bin
		value uint64
	}
	var bins []sum // ascending, as what is held is
	limit := t.limit
	if !t.isSource() {
		limit = t.source.limit
	}
	for _, p := range t.held(s) {
		for lo := p.Min; lo <= p.Max; {
			b := lo / bin
			hi := min(p.Max, (b+1)*bin-1)
			r1, r2 := min(t.base.rank(lo), limit), min(t.base.rank(hi+1), limit)
			lo = hi + 1
			if r1 >= r2 {
				if lo <= p.Max && r1 < limit { // on to the next row: bins may be empty by the million
					lo = max(lo, t.base.id(r1)/bin*bin)
				} else if r1 >= limit {
					break
				}
				continue
			}
			if n := len(bins); n == 0 || bins[n-1].Number < b {
				bins = append(bins, sum{Bin: Bin{Number: b, Min: t.base.id(r1)}})
			}
			e := &bins[len(bins)-1]
			e.Count += r2 - r1
			e.Max = t.base.id(r2 - 1)
			e.value += share(r2) - share(r1)
		}
		for _, c := range t.within(p.Span) {
			if c.moment > p.moment {
				continue
			}
			b, r := c.id/bin, t.base.rank(c.id)
			i, found := slices.BinarySearchFunc(bins, b, func(e sum, b int64) int { return cmp.Compare(e.Number, b) })
			if !found {
				continue
			}
			if c.deleted {
				bins[i].Count--
				bins[i].value -= share(r+1) - share(r)
			} else {
				bins[i].value += mix(mixed ^ mix(uint64(c.id)))
			}
		}
	}
	out := make([]Bin, 0, len(bins))
	for _, e := range bins {
		if e.Count > 0 {
			e.Checksum = strconv.FormatUint(e.value, 36)
			out = append(out, e.Bin)
		}
	}
	return out
}

// read is of the source. Rows of an initial run change once they were read: the 30
// hours of writes that meet every schedule alike.
func (t *intervals) read(s Span, moment int64) file {
	_, g := t.count(s)
	if t.fresh {
		for i := range t.within(s) {
			lo := sort.Search(len(t.changes), func(i int) bool { return t.changes[i].id >= s.Min })
			if c := &t.changes[lo+i]; c.moment == never {
				c.moment = moment + 1
			}
		}
	}
	return file{span: s, moment: moment, group: g}
}

func (t *intervals) write(f file) (inserted, deleted int64) {
	_, deleted = t.count(f.span)
	i := sort.Search(len(t.pieces), func(i int) bool { return t.pieces[i].Max >= f.span.Min })
	j := i
	var left, right []piece
	for ; j < len(t.pieces) && t.pieces[j].Min <= f.span.Max; j++ {
		p := t.pieces[j]
		if p.Min < f.span.Min {
			left = []piece{{Span{p.Min, f.span.Min - 1}, p.moment}}
		}
		if p.Max > f.span.Max {
			right = []piece{{Span{f.span.Max + 1, p.Max}, p.moment}}
		}
	}
	out := slices.Concat(left, []piece{{f.span, f.moment}}, right)
	t.pieces = slices.Replace(t.pieces, i, j, out...)
	return f.group, deleted
}

// wrong counts rows of the destination that are not as the source's.
func (t *intervals) wrong() int64 {
	src, n := t.source, int64(0)
	var have int64
	for _, p := range t.held(Span{0, never - 1}) {
		r1, r2 := min(t.base.rank(p.Min), src.limit), min(t.base.rank(p.Max+1), src.limit)
		have += r2 - r1
		for _, c := range t.within(p.Span) {
			if c.moment != never && c.moment > p.moment {
				n++
			}
		}
	}
	return n + src.limit - have
}
