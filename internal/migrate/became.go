package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// What became of what a job failed at, as a report tells it.
const (
	becameAgain     = "tried again"
	becameUncopied  = "not copied"
	becameUnsure    = "not compared"
	becameEqual     = "copied whole, then compared equal"
	becameDiffering = "copied whole, and differs"
	becameLater     = "compared later"
	becameCut       = "cut by IDs here"
)

// settled fills in what became of failures, by what is known now: a list of what
// failed must not read as one of what is wrong.
func (s *Scheduler) settled(failures []Failure) []Failure {
	out := slices.Clone(failures)
	for i := range out {
		f := &out[i]
		if t := s.byName[f.Type]; t == nil { // counts
			f.Became = becameAgain
		} else {
			f.Became = t.became(f)
		}
	}
	return out
}

// Weight orders failures: 0 is of what is not right, or not known to be.
func (f Failure) Weight() int {
	switch {
	case f.Became == becameUncopied || f.Became == becameUnsure || f.Became == becameDiffering:
		return 0
	case f.GivenUp:
		return 1
	}
	return 2
}

func (t *table) became(f *Failure) string {
	compares := f.Kind == Checksum
	switch {
	case f.GivenUp && !compares:
		return becameUncopied
	case f.GivenUp && meets(t.uncompared, f.Span):
		return becameUnsure
	case f.GivenUp && meets(t.copiedBlind, f.Span):
		if t.stage == stageRecheck {
			return "copied whole, being compared again"
		}
		return "being copied whole"
	case f.GivenUp && f.blind && slices.ContainsFunc(t.differs, func(b Bad) bool { return meets([]Span{b.Span}, f.Span) }):
		return becameDiffering
	case f.GivenUp && f.blind:
		return becameEqual
	case f.GivenUp:
		return becameLater
	case f.Kind == Ranges && t.cutsOurs:
		return becameCut
	case !slices.Contains(t.halved, halving{f.Span, compares}):
		return becameAgain
	case !compares && meets(t.givenUp, f.Span):
		return "copied by halves, but not all of it"
	case !compares:
		return "copied by halves"
	case meets(t.uncompared, f.Span):
		return "compared by halves, but not all of it"
	case meets(t.blind, f.Span):
		return "compared by halves, and copied whole where that failed too"
	}
	return "compared by halves"
}

// A halving is a part that failed and was tried in halves.
type halving struct {
	Span
	compared bool // not copied
}

func meets(list []Span, x Span) bool {
	return slices.ContainsFunc(list, func(s Span) bool { return s.Min <= x.Max && x.Min <= s.Max })
}

// copiesBlind names the parts that are copied because they could not be compared, and
// are not compared since; "" where there are none.
func (s *Scheduler) copiesBlind() string {
	var names []string
	n := 0
	for _, t := range s.tables {
		for _, x := range t.copiedBlind {
			if n++; n <= 3 {
				names = append(names, fmt.Sprintf("%s from %d to %d", t.name, x.Min, x.Max))
			}
		}
	}
	switch {
	case n == 0:
		return ""
	case n > 3:
		names = append(names, fmt.Sprintf("%d more", n-3))
	}
	what := "it"
	if n > 1 {
		what = "they"
	}
	return fmt.Sprintf("copied whole because %s could not be compared: %s", what, strings.Join(names, ", "))
}
