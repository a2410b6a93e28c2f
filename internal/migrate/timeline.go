package migrate

import (
	"cmp"
	"slices"
)

// A Stretch is one job as it ran, for the picture and the list of the slowest.
type Stretch struct {
	Kind       Kind
	Side       Side
	Type       string
	Span       Span
	Rows       int64 // expected
	Began, End int64 // Unix milliseconds
	Twin       bool
	n          int64
}

// Failure is a job that failed, or a range given up.
type Failure struct {
	Kind    Kind   `json:"kind,omitempty"`
	Type    string `json:"type"`
	Span    Span   `json:"range"`
	Reason  string `json:"reason"`
	GivenUp bool   `json:"given_up,omitempty"`
	Became  string `json:"became,omitempty"` // of the range since, a few words
	blind   bool   // it was copied whole for that
}

type timeline struct {
	stretches []Stretch
	open      map[int64]int
	failures  []Failure
	count     map[Kind]int
}

func (l *timeline) begin(f *flight) {
	if l.open == nil {
		l.open, l.count = map[int64]int{}, map[Kind]int{}
	}
	l.count[f.Kind]++
	l.open[f.N] = len(l.stretches)
	l.stretches = append(l.stretches, Stretch{Kind: f.Kind, Side: f.Side, Type: f.Type, Span: f.Span, Rows: f.rows, Began: f.began, End: f.began, Twin: f.Twin, n: f.N})
}

func (l *timeline) end(f *flight, at int64) {
	if i, ok := l.open[f.N]; ok {
		l.stretches[i].End = at
		delete(l.open, f.N)
		f.took = at - f.began
	}
}

func (l *timeline) took(f *flight) int64 { return f.took }

// mostFailures are kept; all are counted.
const mostFailures = 200

func (l *timeline) failed(f *flight, reason string) {
	if len(l.failures) < mostFailures {
		l.failures = append(l.failures, Failure{Kind: f.Kind, Type: f.Type, Span: f.Span, Reason: reason})
	}
}

func (l *timeline) gaveUp(f Failure) {
	f.GivenUp = true
	l.failures = append(l.failures, f)
}

// Stretches returns all jobs so far, as they ran.
func (s *Scheduler) Stretches() []Stretch { return slices.Clone(s.times.stretches) }

// Slowest returns the jobs that took longest, of those that copy or compare.
func (s *Scheduler) Slowest(n int) []Stretch {
	all := s.Stretches()
	slices.SortStableFunc(all, func(a, b Stretch) int { return cmp.Compare(b.End-b.Began, a.End-a.Began) })
	return all[:min(n, len(all))]
}
