package migrate

import (
	"cmp"
	"slices"
)

// A pairing is one bin on both sides.
type pairing struct {
	number int64
	rows   int64 // of the source
	same   bool
	lacks  bool // the destination has fewer rows
}

// pair joins the bins of both sides by number, in order. A bin that one side does
// not have differs.
func pair(source, destination []Bin) []pairing {
	byNumber := func(a, b Bin) int { return cmp.Compare(a.Number, b.Number) }
	s, d := slices.SortedFunc(slices.Values(source), byNumber), slices.SortedFunc(slices.Values(destination), byNumber)
	out := make([]pairing, 0, max(len(s), len(d)))
	for i, j := 0, 0; i < len(s) || j < len(d); {
		switch {
		case j == len(d) || i < len(s) && s[i].Number < d[j].Number:
			out = append(out, pairing{s[i].Number, s[i].Count, false, true})
			i++
		case i == len(s) || d[j].Number < s[i].Number:
			out = append(out, pairing{d[j].Number, 0, false, false})
			j++
		default:
			out = append(out, pairing{s[i].Number, s[i].Count, s[i] == d[j], d[j].Count < s[i].Count})
			i, j = i+1, j+1
		}
	}
	return out
}

// differing makes ranges of the bad bins, cut to within.
func differing(bins []pairing, size int64, within Span) []Bad {
	var out []Bad
	var between int64
	for _, b := range bins {
		if b.same {
			between += b.rows
			continue
		}
		x := Bad{Span: Span{max(b.number*size, within.Min), min(plus(b.number*size, size-1), within.Max)}, Rows: b.rows, Gap: between, Lacks: b.lacks}
		if len(out) == 0 {
			x.Gap = unknownGap
		}
		between = 0
		out = append(out, x)
	}
	return out
}

// A joining says which ranges become one: how many good rows may lie between them,
// and how many rows and IDs the whole may have.
type joining struct{ gap, rows, ids int64 }

// split parts ranges in two, keeping the gaps right.
func split(bad []Bad, first func(Bad) bool) (yes, no []Bad) {
	var skipped [2]int64
	for _, b := range bad {
		mine, other, into := &skipped[0], &skipped[1], &yes
		if !first(b) {
			mine, other, into = other, mine, &no
		}
		if b.Gap == unknownGap {
			*mine, *other = 0, unknownGap
		} else {
			if *other != unknownGap {
				*other += b.Gap
			}
			if *mine == unknownGap {
				b.Gap = unknownGap
			} else {
				b.Gap += *mine
			}
			*mine = 0
		}
		*into = append(*into, b)
		if *other != unknownGap {
			*other += b.Rows
		}
	}
	return yes, no
}

// unknownGap: nobody knows how many rows lie between a range and the one before.
const unknownGap = -1

// join makes fewer ranges, in order, each ID once. Gaps are of rows in the same
// comparison; between two comparisons nothing is known, so nothing is joined.
func join(bad []Bad, j joining) []Bad {
	slices.SortFunc(bad, func(a, b Bad) int { return cmp.Compare(a.Min, b.Min) })
	var out []Bad
	for _, b := range bad {
		n := len(out)
		if n == 0 {
			out = append(out, b)
			continue
		}
		last := &out[n-1]
		gap := b.Gap
		if b.Min-1 <= last.Max {
			gap = 0
		}
		switch total := plus(plus(last.Rows, max(gap, 0)), b.Rows); {
		case b.Max <= last.Max:
			last.Rows, last.Lacks = max(last.Rows, b.Rows), last.Lacks || b.Lacks
		case gap != unknownGap && gap <= j.gap && total <= j.rows && b.Max-last.Min < j.ids:
			last.Max, last.Rows, last.Lacks = b.Max, total, last.Lacks || b.Lacks
		default:
			b.Min = max(b.Min, last.Max+1)
			out = append(out, b)
		}
	}
	return out
}

// without leaves IDs out that cannot be copied: their neighbors can.
func without(bad []Bad, ids []Span) []Bad {
	if len(ids) == 0 {
		return bad
	}
	ids = slices.SortedFunc(slices.Values(ids), func(a, b Span) int { return cmp.Compare(a.Min, b.Min) })
	var out []Bad
	for _, b := range bad {
		left := true
		for _, x := range ids {
			if x.Max < b.Min || x.Min > b.Max {
				continue
			}
			if before := b; x.Min > b.Min {
				before.Max = x.Min - 1
				out = append(out, before)
			}
			if left = x.Max < b.Max; !left {
				break
			}
			b.Min = x.Max + 1
		}
		if left {
			out = append(out, b)
		}
	}
	return out
}

// rowsOf sums the source's rows.
func rowsOf(bins []Bin) int64 {
	var n int64
	for _, b := range bins {
		n += b.Count
	}
	return n
}

// cover makes of the service's sparse ranges contiguous ones that cover s, gaps
// included: IDs that the source does not have must go at the destination.
func cover(s Span, sparse []Span) []Span {
	slices.SortFunc(sparse, func(a, b Span) int { return cmp.Compare(a.Min, b.Min) })
	var out []Span
	from := s.Min
	for _, r := range sparse {
		if r.Max < from || r.Min > s.Max || r.Max < r.Min {
			continue
		}
		out = append(out, Span{from, min(r.Max, s.Max)})
		if r.Max >= s.Max {
			return out
		}
		from = r.Max + 1
	}
	if len(out) == 0 {
		return []Span{s}
	}
	out[len(out)-1].Max = s.Max
	return out
}

// cut makes parts of a span that end at multiples of width.
func cut(s Span, width int64) []Span {
	var out []Span
	for from := s.Min; ; {
		to := from/width*width + width - 1
		if to < from || to >= s.Max { // or there is no such number
			return append(out, Span{from, s.Max})
		}
		out = append(out, Span{from, to})
		from = to + 1
	}
}
