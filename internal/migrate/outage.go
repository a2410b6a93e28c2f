package migrate

import (
	"fmt"
	"slices"
	"time"
)

// Where one job after another fails, of several types, no range is to blame but the
// stack: a database that fails over takes a minute or two. For so long failures count
// against nothing, and the stack is asked for little.
const (
	outageTypes = 3
	// Or of one type, while only that one is at work: then for less long, for it may be
	// the type's own fault.
	outageJobs  = 6
	outageShort = 4 * time.Minute
	outageMost  = 30 * time.Minute
	outagePause = 15 * time.Second
)

// A row is of failures on one side since a job last went well.
type row struct {
	types []string
	jobs  int
	since int64
}

// blame takes a failure into account and tells whether it is the stack's.
func (s *Scheduler) blame(f *flight, at int64) bool {
	x := &s.row[f.Side]
	if x.since == 0 {
		x.since = at
	}
	x.jobs++
	if !slices.Contains(x.types, f.Type) {
		x.types = append(x.types, f.Type)
	}
	if !x.outage(at) {
		return false
	}
	s.quiet[f.Side] = at + outagePause.Milliseconds()
	return true
}

func (x *row) outage(at int64) bool {
	took := time.Duration(at-x.since) * time.Millisecond
	return len(x.types) >= outageTypes && took < outageMost || x.jobs >= outageJobs && took < outageShort
}

// outages tells on which side everything fails; "" where nothing does.
func (s *Scheduler) outages(at int64) string {
	for side := range s.row {
		if x := &s.row[side]; x.outage(at) {
			return fmt.Sprintf("all jobs on the %s have failed for %s", Side(side), short(time.Duration(at-x.since)*time.Millisecond))
		}
	}
	return ""
}
