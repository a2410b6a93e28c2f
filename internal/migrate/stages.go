package migrate

import "slices"

// begin decides, from the marks, what each type needs.
func (s *Scheduler) begin(marks map[string][2]Mark, at int64) {
	s.marked = true
	for _, n := range s.inFlight() { // the counts
		if f := s.jobs[n]; f != nil { // else it went with its twin
			s.forgetJob(f, at)
		}
	}
	for _, t := range s.tables {
		t.marks = marks[t.name]
		src, dst := t.marks[Source], t.marks[Destination]
		if !src.Any && !dst.Any {
			t.stage = stageDone
			continue
		}
		s.bound(t, src, dst)
		if s.o.NoRestore {
			s.check(t, false)
			continue
		}
		if s.around(t) {
			continue
		}
		s.copyOutside(t)
	}
}

// bound sets the bounds of the comparison. Nothing above its own mark may be
// touched of a source that users write to.
func (s *Scheduler) bound(t *table, src, dst Mark) {
	switch {
	case src.Any && dst.Any:
		t.lower = min(src.Min, dst.Min)
	case src.Any:
		t.lower = src.Min
	default:
		t.lower = dst.Min
	}
	switch {
	case !s.o.Frozen:
		t.upper, t.compared = src.Max, src.Any
	case src.Any && dst.Any:
		t.upper, t.compared = max(src.Max, dst.Max), true
	case src.Any:
		t.upper, t.compared = src.Max, true
	default:
		t.upper, t.compared = dst.Max, true
	}
	t.compared = t.compared && t.lower <= t.upper
}

// around compares the range both sides share first, where little lies outside it:
// what is new at the top is then copied in one ascending pass with what differs, so
// that each type's restores run in one chain, and its length is known early.
// CHANGE's, too: nothing moves in it until its turn. It tells whether it did.
func (s *Scheduler) around(t *table) bool {
	src, dst := t.marks[Source], t.marks[Destination]
	if !t.compared || !src.Any || !dst.Any {
		return false
	}
	shared := Span{max(src.Min, dst.Min), min(src.Max, dst.Max, t.upper)}
	if shared.Min > shared.Max {
		return false
	}
	var outside []Span
	if t.lower < shared.Min {
		outside = append(outside, Span{t.lower, shared.Min - 1})
	}
	if t.upper > shared.Max {
		outside = append(outside, Span{shared.Max + 1, t.upper})
	}
	ids := int64(0)
	for _, x := range outside {
		ids = plus(ids, x.IDs())
	}
	if ids > max(s.o.Batch, shared.IDs()/outsideMost) {
		return false // it takes long, and users may write on meanwhile: compared afterwards
	}
	t.outside = outside
	s.compare(t, shared)
	return true
}

// copyOutside begins with the IDs outside the range both sides share.
func (s *Scheduler) copyOutside(t *table) {
	src, dst := t.marks[Source], t.marks[Destination]
	var spans []Span
	switch {
	case !src.Any:
		spans = []Span{dst.Span}
	case !dst.Any:
		spans = []Span{src.Span}
	default:
		lo, hi := max(src.Min, dst.Min), min(src.Max, dst.Max)
		if hi <= lo { // disjoint, or one ID shared
			spans = []Span{{min(src.Min, dst.Min), max(src.Max, dst.Max)}}
			break
		}
		if from := min(src.Min, dst.Min); from < lo {
			spans = append(spans, Span{from, lo})
		}
		if to := max(src.Max, dst.Max); to > hi {
			spans = append(spans, Span{hi, to})
		}
	}
	t.stage = stageCopy
	t.pieces, t.head = nil, 0
	for _, x := range spans {
		if !s.o.Frozen { // what is above the mark waits for the final run
			if !src.Any {
				continue
			}
			x.Max = min(x.Max, src.Max)
		}
		if x.Min > x.Max {
			continue
		}
		for _, part := range cut(x, max(sliceBins*s.o.Batch, (x.Max-x.Min)/mostParts+1)) {
			t.pieces = append(t.pieces, piece{Span: part, state: pieceUnranged})
		}
	}
	s.advance(t)
}

func (s *Scheduler) sum(t *table, spans []Span, size int64) {
	t.sums, t.open = nil, 0
	for _, x := range spans {
		t.sums = append(t.sums, sum{Span: x, size: size})
		t.open++
	}
}

// check begins the comparison of everything within the bounds; again: for the last
// time, with another salt.
func (s *Scheduler) check(t *table, again bool) {
	if !t.compared {
		t.stage = stageDone
		return
	}
	t.full, t.outside = again, nil
	t.copiedBlind, t.uncompared = nil, nil // all of it is tried again
	s.compare(t, Span{t.lower, t.upper})
}

func (s *Scheduler) compare(t *table, x Span) {
	t.stage = stageCheck
	t.bad, t.small, t.differs = nil, nil, nil
	t.summed, t.seen = 0, 0
	s.sum(t, cut(x, max(checkBins*s.o.Batch, fineBins*s.wide(t))), s.bin(t))
}

// compared takes one comparison's differences.
func (s *Scheduler) compared(t *table, c *sum, r Record) {
	if c.done {
		return
	}
	c.done, c.answers = true, [2][]Bin{}
	t.open--
	first := t.stage == stageCheck && t.repairs == 0 && !t.full
	if first {
		s.seen += r.Rows
	}
	t.summed += r.Rows
	t.seen = plus(t.seen, c.IDs())
	for _, b := range r.Bad { // where nothing differs but what cannot be copied, nothing is copied
		if slices.ContainsFunc(t.givenUp, func(g Span) bool { return g == b.Span || g.Min >= b.Min && g.Max <= b.Max && b.Rows == 1 && b.Lacks }) {
			continue
		}
		t.bad = append(t.bad, b)
		if first {
			s.bad += b.Rows
		}
	}
	s.advance(t)
}

// advance moves a type on once its stage is over.
func (s *Scheduler) advance(t *table) {
	switch {
	case t.copies():
		if t.head < len(t.pieces) {
			return
		}
		t.pieces, t.head = nil, 0
		if t.stage == stageRepair {
			s.recheck(t)
			return
		}
		s.check(t, false)
	case t.open > 0 || t.stage == stageDone || t.weighing == weighWanted || t.weighing == weighRunning:
	case t.stage == stageCheck:
		t.rows = max(t.rows, t.summed)
		s.weigh(t)
	case t.stage == stageWeigh:
		s.refine(t)
	case t.stage == stageRecheck:
		t.copiedBlind = nil // all was compared since, or is in uncompared
		s.repair(t)
	default:
		s.repair(t)
	}
}

// weigh asks, once and where enough differs, how many rows a type's secondaries
// add: what is little of the primary may be much of the whole.
func (s *Scheduler) weigh(t *table) {
	t.stage = stageWeigh
	if s.o.NoRestore {
		t.differs = t.bad
		s.finish(t)
		return
	}
	var rows int64
	for _, b := range t.bad {
		rows += b.Rows
		if b.Rows > t.weighs.Rows && b.Rows <= 2*s.o.Batch {
			t.weighs = b
		}
	}
	if t.weighing == weighUnknown && rows > s.o.Batch/1000 && t.weighs.Rows > 0 {
		t.weighing, t.weighs = weighWanted, s.widen(t, t.weighs)
	}
	s.advance(t)
}

// widen makes a range that is to be weighed so wide that it has rows for several
// grains: of one that one grain holds, all that is known is that it is no heavier, and
// a type of few rows in many IDs would look hundreds of times as long as it is.
func (s *Scheduler) widen(t *table, b Bad) Bad {
	want := 2 * s.grain()
	if b.Rows >= want || t.seen == 0 || t.summed == 0 {
		return b
	}
	more := int64(float64(want-b.Rows) * float64(t.seen) / float64(t.summed) / 2)
	low, high := min(more, b.Min-t.lower), min(more, t.upper-b.Max)
	low, high = min(b.Min-t.lower, low+more-high), min(t.upper-b.Max, high+more-low) // what one end lacks the other has
	b.Span = Span{b.Min - low, b.Max + high}
	b.Rows += t.guess(Span{1, low + high})
	return b
}

// weighed takes what weighing told: all ranges but the last are full.
func (s *Scheduler) weighed(t *table, ranges int) {
	t.weighing = weighed
	rows := float64(max(t.weighs.Rows, 1))
	t.ratio = max(1, (float64(ranges)-0.5)*float64(s.grain())/rows)
	if ranges > 1 && float64(ranges) > 0.7*rows { // nearly every row fills a range of its own, or more
		t.ratio = max(t.ratio, float64(s.o.Batch)/10)
	}
}

// bin is how many IDs a bin of the first comparison has: so few that where a type's
// rows are not heavy what differs need not be looked at more closely, and so many
// that no answer is too long to keep.
func (s *Scheduler) bin(t *table) int64 {
	return max(s.o.Batch/binShare, min(s.o.Batch, 5), s.wide(t))
}

// wide is how many IDs a bin must have at least, so that a type whose IDs lie far
// apart is not compared in more parts than it has rows.
func (s *Scheduler) wide(t *table) int64 { return (t.upper - t.lower) / (mostParts * fineBins) }

// refine compares bad bins in finer parts, those that are worth it.
func (s *Scheduler) refine(t *table) {
	t.stage = stageRefine
	fine := s.fine(t)
	big, small := split(t.bad, func(b Bad) bool { return 2*fine <= s.bin(t) && s.heavy(t, float64(b.Rows)) })
	t.bad, t.small = nil, small
	s.sumFine(t, join(big, joining{gap: 3 * s.o.Batch / 2, rows: 6 * s.o.Batch, ids: fineBins * fine}))
	s.advance(t)
}

// heavy tells whether a bin of so many rows is worth a finer comparison.
func (s *Scheduler) heavy(t *table, rows float64) bool {
	return rows*t.ratio > float64(s.o.Batch/refineMost)
}

// refines tells whether a usual bin of the type would be compared finely.
func (s *Scheduler) refines(t *table) bool {
	if t.seen == 0 {
		return false
	}
	return 2*s.fine(t) <= s.bin(t) && s.heavy(t, float64(s.bin(t))*float64(t.summed)/float64(t.seen))
}

// fine is how many IDs a finer part has: about so many rows that copying them costs
// less than the fixed costs of another restore.
func (s *Scheduler) fine(t *table) int64 {
	most := s.bin(t)
	if t.seen == 0 || t.summed == 0 {
		return most
	}
	perID := float64(t.summed) / float64(t.seen) * t.ratio
	return min(most, max(1, whole(float64(s.o.Batch)/finer/perID)))
}

// sumFine compares ranges in finer parts, aligned so that both sides cut alike.
func (s *Scheduler) sumFine(t *table, ranges []Bad) {
	fine := s.fine(t)
	t.sums, t.open = []sum{}, 0
	to := int64(-1)
	for _, b := range ranges {
		if to == t.upper {
			break
		}
		x := Span{max(b.Min/fine*fine, t.lower, to+1), min(plus(b.Max/fine*fine, fine-1), t.upper)}
		if x.Min > x.Max {
			continue
		}
		to = x.Max
		parts := cut(x, fineBins*fine)
		for _, part := range parts {
			t.sums = append(t.sums, sum{Span: part, size: fine, rows: max(1, b.Rows/int64(len(parts)))})
			t.open++
		}
	}
}

// repair copies what differs, and the first time what lies outside the range that
// both sides shared.
func (s *Scheduler) repair(t *table) {
	batch := float64(s.o.Batch) / t.ratio
	t.bad, t.small = append(t.bad, t.small...), nil
	t.bad = join(append(t.bad, s.outside(t)...), joining{gap: s.worth(t), rows: int64(batch), ids: 1 << 62})
	most := s.o.Passes
	if !s.o.Frozen {
		most = min(most, 2) // users write on: the last differences are theirs
	}
	if t.repairs >= most && !t.searched && slices.ContainsFunc(t.bad, func(b Bad) bool { return b.Lacks }) {
		// A row does not stay: a value that is unique is still held by a row that lost it
		// at the source, after the IDs around it were compared.
		t.searched, t.repairs = true, most-2
		s.check(t, t.full)
		return
	}
	copied := without(t.bad, t.givenUp)
	if len(copied) == 0 || t.repairs >= most {
		t.differs = t.bad
		s.finish(t)
		return
	}
	t.repairs++
	t.stage, t.pieces, t.head = stageRepair, nil, 0
	for _, b := range copied {
		p := piece{Span: b.Span, state: pieceWaiting, rows: b.Rows}
		most := 2 * batch
		if len(t.outside) > 0 && (b.Min < t.outside[0].Max || b.Max > t.outside[len(t.outside)-1].Min) {
			most = batch / 2 // guessed, not counted
		}
		if float64(b.Rows) > most {
			p.state = pieceUnranged
		}
		t.pieces = append(t.pieces, p)
		t.repaired = append(t.repaired, Bad{Span: p.Span, Rows: b.Rows})
	}
	t.bad, t.outside = nil, nil
	s.advance(t)
}

// outside are the ranges that only one side has, with guessed rows.
func (s *Scheduler) outside(t *table) []Bad {
	var out []Bad
	for _, x := range t.outside {
		b := Bad{Span: x, Rows: max(1, t.guess(x)), Gap: unknownGap}
		if last := lastOf(t.bad); last < x.Min && last > 0 {
			b.Gap = t.guess(Span{last + 1, x.Min - 1})
		}
		out = append(out, b)
	}
	return out
}

func lastOf(bad []Bad) int64 {
	last := int64(-1)
	for _, b := range bad {
		last = max(last, b.Max)
	}
	return last
}

// worth is how many rows of the primary that do not differ are copied along rather
// than starting another job.
func (s *Scheduler) worth(t *table) int64 {
	rows := anotherJob / t.perRow(Restore)
	return int64(min(max(rows, float64(s.o.Batch)/100), float64(s.o.Batch)/10) / t.ratio)
}

// recheck compares what was repaired, once all of the type's restores are over: a
// later one may have hurt an earlier one's rows (a value that is unique and moved).
func (s *Scheduler) recheck(t *table) {
	t.stage = stageRecheck
	for i := range t.repaired[min(1, len(t.repaired)):] { // what lies between is not known to have many rows
		b := &t.repaired[i+1]
		b.Gap = t.guess(Span{t.repaired[i].Max + 1, b.Min - 1})
	}
	s.sumFine(t, join(t.repaired, joining{gap: 3 * s.o.Batch / 2, rows: 20 * s.o.Batch, ids: fineBins * s.fine(t)}))
	t.repaired = nil
	s.advance(t)
}

// distrust compares all types again: at once what is done, and what is not once it
// would be. A type that is being copied is compared as a whole afterwards anyway.
func (s *Scheduler) distrust() {
	for _, t := range s.tables {
		switch {
		case !t.compared || t.stage == stageCopy:
		case t.stage == stageDone:
			t.repairs = 0
			s.check(t, t.full)
		default:
			t.doubted = true
		}
	}
}

// finish ends a type, and begins the comparison of everything when all have ended
// and that was asked for.
func (s *Scheduler) finish(t *table) {
	if t.doubted {
		t.doubted, t.repairs = false, 0
		s.check(t, t.full)
		return
	}
	t.stage, t.sums, t.pieces = stageDone, nil, nil
	if !s.o.Full || s.fulls || slices.ContainsFunc(s.tables, func(t *table) bool { return t.stage != stageDone }) {
		return
	}
	s.fulls = true
	for _, t := range s.tables {
		if t.compared {
			t.repairs = 0
			s.check(t, true)
		}
	}
}
