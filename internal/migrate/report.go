package migrate

import (
	"fmt"
	"strings"
	"time"
)

// A Report is what a migration came to, or has come to so far.
type Report struct {
	Types    []TypeReport   `json:"types"`
	Jobs     map[string]int `json:"jobs"`
	Took     time.Duration  `json:"took_ns"`
	Failures []Failure      `json:"failures,omitempty"`
	GivenUp  int            `json:"ranges_given_up"`
	Unsure   int            `json:"ranges_not_compared"`
	Differs  int            `json:"types_that_differ"`
	Frozen   bool           `json:"source_read_only"`
	Advice   []string       `json:"advice,omitempty"`
}

// A TypeReport is one type's line.
type TypeReport struct {
	Type    string        `json:"type"`
	Stage   string        `json:"stage"`
	Rows    int64         `json:"rows"`   // of the primary at the source, as compared
	Copied  int64         `json:"copied"` // rows restored, secondaries included
	Ranges  int           `json:"ranges"` // restored
	Repairs int           `json:"repairs"`
	Source  time.Duration `json:"source_ns"` // its jobs' time
	Restore time.Duration `json:"destination_ns"`
	GivenUp []Span        `json:"given_up,omitempty"`
	Unsure  []Span        `json:"not_compared,omitempty"` // whatever they hold is not verified
	Differs []Bad         `json:"differs,omitempty"`
}

// Report tells how far the migration is.
func (s *Scheduler) Report(now time.Time) Report {
	r := Report{Jobs: map[string]int{}, Frozen: s.o.Frozen, Failures: s.settled(s.times.failures)}
	if s.began > 0 {
		r.Took = now.Sub(time.UnixMilli(s.began))
	}
	for _, k := range Kinds() {
		if n := s.times.count[k]; n > 0 {
			r.Jobs[string(k)] = n
		}
	}
	for _, t := range s.tables {
		r.Types = append(r.Types, TypeReport{
			Type: t.name, Stage: t.stage.String(), Rows: t.rows, Copied: t.copied, Ranges: t.restores, Repairs: t.repairs,
			Source: t.busy[Source], Restore: t.busy[Destination], GivenUp: t.givenUp, Unsure: t.uncompared, Differs: t.differs,
		})
		r.GivenUp += len(t.givenUp)
		r.Unsure += len(t.uncompared)
		if len(t.differs) > 0 {
			r.Differs++
		}
	}
	r.Advice = s.advice()
	return r
}

// Copied is how many rows were restored, those of secondary tables included.
func (r Report) Copied() int64 {
	n := int64(0)
	for _, t := range r.Types {
		n += t.Copied
	}
	return n
}

// Differing names the types that differ in the end.
func (r Report) Differing() []string {
	names := []string{}
	for _, t := range r.Types {
		if len(t.Differs) > 0 {
			names = append(names, t.Type)
		}
	}
	return names
}

// Names lists a few of names, and says how many there are besides.
func Names(names []string) string {
	const shown = 8
	if more := len(names) - shown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), more)
	}
	return strings.Join(names, ", ")
}

// Summary is the whole in a sentence without its end.
func (r Report) Summary() string {
	jobs, ranges := 0, 0
	for _, n := range r.Jobs {
		jobs += n
	}
	for _, t := range r.Types {
		ranges += t.Ranges
	}
	s := fmt.Sprintf("%d types, %d rows restored in %d ranges, %d jobs, %s", len(r.Types), r.Copied(), ranges, jobs, short(r.Took))
	if r.GivenUp > 0 {
		s += fmt.Sprintf(", %d ranges given up", r.GivenUp)
	}
	if r.Unsure > 0 {
		s += fmt.Sprintf(", %d ranges could not be compared", r.Unsure)
	}
	blind := 0
	for _, f := range r.Failures {
		if f.Became == becameEqual {
			blind++
		}
	}
	if blind > 0 {
		s += fmt.Sprintf(", %d ranges were copied whole because they could not be compared, and were compared equal then", blind)
	}
	if r.Differs > 0 {
		s += fmt.Sprintf(", %d types differ in the end", r.Differs)
	}
	return s
}

// Err is why a finished migration is not a success; nil when it is. Differences of
// a source that users write to are normal.
func (r Report) Err() error {
	switch {
	case r.Unsure > 0:
		also := ""
		if r.GivenUp > 0 {
			also = fmt.Sprintf(" and %d ranges could not be copied", r.GivenUp)
		}
		return fmt.Errorf("%s%s; the report lists what failed", r.notCompared(), also)
	case r.GivenUp > 0:
		return fmt.Errorf("%d ranges could not be copied; the report lists them", r.GivenUp)
	case r.Differs > 0 && r.Frozen:
		return fmt.Errorf("%d types still differ although the source is READ_ONLY: %s", r.Differs, Names(r.Differing()))
	}
	return nil
}

// notCompared names what could not be compared, and what the service says of it.
func (r Report) notCompared() string {
	var names []string
	for _, t := range r.Types {
		for _, x := range t.Unsure {
			if len(names) < 3 {
				names = append(names, fmt.Sprintf("%s from %d to %d", t.Type, x.Min, x.Max))
			}
		}
	}
	if more := r.Unsure - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	why := ""
	for _, f := range r.Failures {
		if f.Became == becameUnsure {
			why = f.Reason
		}
	}
	return fmt.Sprintf("%d ranges could not be compared, so they are not verified: %s (%s)", r.Unsure, strings.Join(names, ", "), why)
}

// InFlight is how many jobs are started and not over.
func (s *Scheduler) InFlight() int { return s.given[0] + s.given[1] }

// advice says what to tune, from what was seen.
func (s *Scheduler) advice() []string {
	var out []string
	for side, name := range []string{"backup-parallelism", "restore-parallelism"} {
		if s.most[side] < s.asked[side] {
			out = append(out, fmt.Sprintf("The %s slowed when %d long jobs ran at once; it ended with %d. Lower %s next time.", Side(side), s.asked[side], s.most[side], name))
		}
	}
	twins := 0
	for _, x := range s.times.stretches {
		if x.Twin {
			twins++
		}
	}
	if twins > 0 {
		out = append(out, fmt.Sprintf("%d jobs took so long that they were started again: look for lost workers in the stacks' logs.", twins))
	}
	var longest *table
	for _, t := range s.tables {
		if longest == nil || t.busy[Destination] > longest.busy[Destination] {
			longest = t
		}
	}
	if longest != nil && longest.busy[Destination] > 0 && s.news > s.began {
		share := float64(longest.busy[Destination].Milliseconds()) / float64(s.news-s.began)
		if share > 0.6 {
			out = append(out, fmt.Sprintf("%s's jobs on the destination took %.0f %% of the time: its restores go one at a time, so more parallelism will not help.", longest.name, 100*min(share, 1)))
		}
	}
	return out
}
