package migrate

import (
	"slices"
	"time"
)

// adapt lowers how many long jobs run at once where the service slows, and raises
// it again, up to what was asked for, where it does not.
func (s *Scheduler) adapt(f *flight, r Record) {
	if f.t == nil || f.rows == 0 && f.Kind != Checksum {
		return
	}
	rows := f.rows
	if f.Kind == Restore && r.Rows > 0 || f.Kind == Checksum {
		rows = r.Rows
	}
	few, took, thought := max(1, s.o.Batch/100), time.Duration(r.Took)*time.Millisecond, f.t.perRow(f.Kind)
	if f.Kind == Checksum { // of fewer rows all the time goes for other things
		few *= 200
	}
	slower := f.t.costs.learn(f.Kind, rows, few, took, thought)
	s.usual.learn(f.Kind, rows, few, took, firstGuess[f.Kind])
	if slower == 0 || !f.long {
		return
	}
	w := append(s.slowness[f.Side], slower)
	const window = 9
	if len(w) < window {
		s.slowness[f.Side] = w
		return
	}
	slices.Sort(w)
	switch median := w[window/2]; {
	case median > 1.7:
		s.lower(f.Side)
	case median < 1.35:
		s.most[f.Side] = min(s.asked[f.Side], s.most[f.Side]+1)
	}
	s.slowness[f.Side] = nil
}

// lower has one long job fewer run at once.
func (s *Scheduler) lower(side Side) {
	s.most[side] = max(min(2, s.asked[side]), s.most[side]-1)
}

// refusals are a stack's that took no job.
type refusals struct {
	lowered int  // by how much fewer long jobs run at once for them
	calm    int  // jobs that it took since
	shut    bool // it has taken none since the last
}

// calmJobs are taken before one more long job runs at once again.
const calmJobs = 4

// refused has the stack asked for less, and by one job at a time until it takes one.
func (s *Scheduler) refused(side Side) {
	x, before := &s.refusals[side], s.most[side]
	s.lower(side)
	x.lowered += before - s.most[side]
	x.calm, x.shut = 0, true
}

// accepted gives back what refusals took: a stack that was silent for a minute is not
// slow afterwards, and whether it is, its jobs tell.
func (s *Scheduler) accepted(side Side) {
	x := &s.refusals[side]
	x.shut = false
	if x.lowered == 0 {
		return
	}
	if x.calm++; x.calm >= calmJobs {
		x.calm = 0
		x.lowered--
		s.most[side] = min(s.asked[side], s.most[side]+1)
	}
}

// probing: the stack took no job, and one is on its way to find out whether it does now.
func (s *Scheduler) probing(side Side) bool {
	if !s.refusals[side].shut {
		return false
	}
	for _, f := range s.jobs {
		if f.Side == side && f.ServerID == "" && !f.missing() {
			return true
		}
	}
	return false
}
