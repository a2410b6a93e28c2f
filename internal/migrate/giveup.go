package migrate

import (
	"cmp"
	"slices"
)

// sumFailed isolates what cannot be compared: a part that fails twice is halved, down
// to one bin. That one is copied whole instead, which is right whatever it holds, and
// compared again with what is copied; only if that fails too is it not verified.
func (s *Scheduler) sumFailed(t *table, c *sum, r Record) {
	lo, hi := c.Min/c.size, c.Max/c.size
	need, isolating := splitAfter, t.vain < vainMost
	if lo == hi && isolating {
		need = lastTries
	}
	if c.tries < need {
		return
	}
	t.vain++
	i := slices.IndexFunc(t.sums, func(x sum) bool { return x.Span == c.Span && x.size == c.size })
	old := *c
	for _, n := range old.job { // what the other side says of the whole is of no use
		if f := s.jobs[n]; f != nil {
			if twin := s.jobs[f.twin]; twin != nil {
				s.dropped = append(s.dropped, twin.N)
			}
			s.dropped = append(s.dropped, f.N)
			s.forgetJob(f, r.At)
		}
	}
	if lo < hi && isolating {
		t.halved = append(t.halved, halving{old.Span, true})
		mid := (lo+(hi-lo)/2+1)*old.size - 1
		half := func(x Span) sum {
			return sum{Span: x, size: old.size, rows: (old.rows + 1) / 2, tries: triesOfHalf(x.Min/old.size == x.Max/old.size), notBefore: old.notBefore}
		}
		t.sums = slices.Replace(t.sums, i, i+1, half(Span{old.Min, mid}), half(Span{mid + 1, old.Max}))
		t.open++
		return
	}
	t.sums[i].done, t.sums[i].answers = true, [2][]Bin{}
	t.open--
	differs := t.stage == stageRefine
	blind := !s.o.NoRestore && (differs || t.stage == stageCheck && isolating)
	s.times.gaveUp(Failure{Kind: Checksum, Type: t.name, Span: old.Span, Reason: r.Reason, blind: blind})
	if blind {
		t.copiedBlind, t.blind = addSpan(t.copiedBlind, old.Span), addSpan(t.blind, old.Span)
		t.bad = append(t.bad, Bad{Span: old.Span, Rows: max(1, old.rows, t.guess(old.Span)), Gap: unknownGap})
	} else {
		t.uncompared = addSpan(t.uncompared, old.Span)
	}
	s.tooBad(r.Reason)
	s.advance(t)
}

// triesOfHalf: a half is tried once before it is halved, for the way to one bad row
// is long enough; what cannot be halved is not, so it has all its tries.
func triesOfHalf(last bool) int {
	if last {
		return 0
	}
	return splitAfter - 1
}

// unsure is what could not be compared when that was tried last, neighbors joined.
func (t *table) unsure() []Span {
	out := slices.Clone(t.uncompared)
	for _, x := range t.copiedBlind {
		out = addSpan(out, x)
	}
	return out
}

// addSpan adds one to a list in order, and joins neighbors.
func addSpan(list []Span, x Span) []Span {
	all := append(slices.Clone(list), x)
	slices.SortFunc(all, func(a, b Span) int { return cmp.Compare(a.Min, b.Min) })
	out := all[:1]
	for _, s := range all[1:] {
		if last := &out[len(out)-1]; s.Min-1 <= last.Max {
			last.Max = max(last.Max, s.Max)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// cutOurselves replaces a range that the service does not cut by parts of so many IDs
// that none has more rows of the primary than two batches. Nothing is left out.
func (s *Scheduler) cutOurselves(t *table, p *piece) {
	t.cutsOurs = true
	i := slices.IndexFunc(t.pieces, func(x piece) bool { return x.Span == p.Span })
	const parts = 2 * sliceBins // where IDs lie far apart
	width := max(1, int64(float64(2*s.o.Batch)/t.ratio), (p.Max-p.Min)/parts+1)
	var out []piece
	for _, x := range cut(p.Span, width) {
		out = append(out, piece{Span: x, state: pieceWaiting})
	}
	t.pieces = slices.Replace(t.pieces, i, i+1, out...)
}
