package migrate

import "slices"

// begin decides, from the marks, what each type needs.
func (s *Scheduler) begin(marks map[string][2]Mark, at int64) {
	s.marked = true
	for _, n := range s.inFlight() { // the counts
		s.forgetJob(s.jobs[n], at)
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
		if common := min(dst.Max, t.upper); t.name == Change && t.compared && src.Any && dst.Any && common >= t.lower {
			// Nothing moves there until every other type is finished, so it is
			// compared now. Bins that are the same stay so; the others are compared
			// again in their turn.
			t.stage = stagePrecheck
			s.sum(t, cut(Span{t.lower, common}, checkBins*s.o.Batch), s.o.Batch)
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
		for _, part := range cut(x, sliceBins*s.o.Batch) {
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

// check begins the comparison of everything within the bounds, but for what an
// early one has found the same already.
func (s *Scheduler) check(t *table, again bool) {
	if !t.compared {
		t.stage = stageDone
		return
	}
	t.stage, t.full = stageCheck, again
	t.bad, t.small, t.differs = nil, nil, nil
	t.summed, t.seen = 0, 0
	s.sum(t, cut(Span{t.lower, t.upper}, checkBins*s.o.Batch), s.o.Batch)
}

// compared takes one comparison's differences.
func (s *Scheduler) compared(t *table, c *sum, r Record) {
	if c.done {
		return
	}
	c.done, c.answers = true, [2][]Bin{}
	t.open--
	t.summed += r.Rows
	t.seen += c.Max - c.Min + 1
	for _, b := range r.Bad {
		if slices.ContainsFunc(t.givenUp, func(g Span) bool { return g.Min >= b.Min && g.Max <= b.Max && b.Rows <= 1 }) {
			continue
		}
		t.bad = append(t.bad, b)
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
		s.afterCopy(t)
	case t.open > 0 || t.stage == stageDone || t.weighing == weighWanted || t.weighing == weighRunning:
	case t.stage == stagePrecheck:
		t.rows = t.summed
		s.copyOutside(t)
	case t.stage == stageCheck:
		t.rows = max(t.rows, t.summed)
		s.weigh(t)
	case t.stage == stageWeigh:
		s.refine(t)
	default:
		s.repair(t)
	}
}

// afterCopy compares: all of it, or what an early comparison left to be compared.
func (s *Scheduler) afterCopy(t *table) {
	if t.sums == nil {
		s.check(t, false)
		return
	}
	// The early comparison's suspects, and what was copied since.
	from := min(t.marks[Destination].Max, t.upper) / s.o.Batch * s.o.Batch
	spans := t.bad
	if from <= t.upper {
		spans = append(spans, Bad{Span: Span{max(from, t.lower), t.upper}, Rows: max(1, t.copied), Gap: unknownGap})
	}
	if below := t.marks[Source].Min; below < t.marks[Destination].Min {
		spans = append(spans, Bad{Span: Span{t.lower, min(t.upper, t.marks[Destination].Min)}, Rows: 1, Gap: unknownGap})
	}
	t.bad, t.again = spans, true
	s.weigh(t)
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
		t.weighing = weighWanted
	}
	s.advance(t)
}

// refine compares bad bins in finer parts, those that are worth it. What an early
// comparison found is compared again whatever it is worth.
func (s *Scheduler) refine(t *table) {
	t.stage = stageRefine
	var big []Bad
	big, t.small = split(t.bad, func(b Bad) bool {
		return t.again || float64(b.Rows)*t.ratio > float64(s.o.Batch/refineMost)
	})
	t.bad, t.again = nil, false
	s.sumFine(t, join(big, joining{gap: 3 * s.o.Batch / 2, rows: 6 * s.o.Batch, ids: 400 * s.o.Batch}))
	s.advance(t)
}

// sumFine compares ranges in finer parts, aligned so that both sides cut alike.
func (s *Scheduler) sumFine(t *table, ranges []Bad) {
	fine := max(1, s.o.Batch/finer)
	t.sums, t.open = []sum{}, 0
	to := int64(-1)
	for _, b := range ranges {
		x := Span{max(b.Min/fine*fine, t.lower, to+1), min(b.Max/fine*fine+fine-1, t.upper)}
		if x.Min > x.Max {
			continue
		}
		to = x.Max
		t.sums = append(t.sums, sum{Span: x, size: fine, rows: b.Rows})
		t.open++
	}
}

// repair copies what differs.
func (s *Scheduler) repair(t *table) {
	batch := float64(s.o.Batch) / t.ratio
	t.bad, t.small = append(t.bad, t.small...), nil
	t.bad = join(t.bad, joining{gap: int64(batch / gapShare), rows: int64(batch), ids: 1 << 62})
	most := s.o.Passes
	if !s.o.Frozen {
		most = min(most, 2) // users write on: the last differences are theirs
	}
	if len(t.bad) == 0 || t.repairs >= most {
		t.differs = t.bad
		s.finish(t)
		return
	}
	t.repairs++
	t.stage, t.pieces, t.head = stageRepair, nil, 0
	for _, b := range t.bad {
		p := piece{Span: b.Span, state: pieceWaiting, rows: b.Rows}
		if float64(b.Rows)*max(t.ratio, 1) > float64(2*s.o.Batch) {
			p.state = pieceUnranged
		}
		t.pieces = append(t.pieces, p)
		t.repaired = append(t.repaired, Bad{Span: p.Span, Rows: b.Rows})
	}
	t.bad = nil
	s.advance(t)
}

// recheck compares what was repaired, once all of the type's restores are over: a
// later one may have hurt an earlier one's rows (a value that is unique and moved).
func (s *Scheduler) recheck(t *table) {
	t.stage = stageRecheck
	for i := range t.repaired[min(1, len(t.repaired)):] { // what lies between is not known to have many rows
		b := &t.repaired[i+1]
		b.Gap = t.guess(Span{t.repaired[i].Max + 1, b.Min - 1})
	}
	fine := s.o.Batch / finer
	s.sumFine(t, join(t.repaired, joining{gap: s.o.Batch, rows: 4 * s.o.Batch, ids: 2000 * max(fine, 1)}))
	t.repaired = nil
	s.advance(t)
}

// finish ends a type, and begins the comparison of everything when all have ended
// and that was asked for.
func (s *Scheduler) finish(t *table) {
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
