package migrate

import (
	"fmt"
	"slices"
	"time"
)

// Take takes an event into account. It returns the jobs that need not be followed
// any more.
func (s *Scheduler) Take(e Event) (forget []int64) {
	f := s.jobs[e.N]
	if f == nil {
		return nil
	}
	at := milli(e.At)
	s.news = max(s.news, at)
	if e.ServerID != "" && f.ServerID == "" {
		s.record(Record{Op: opAccepted, At: at, N: e.N, ID: e.ServerID})
	}
	if e.Sought {
		f.sought = at
	}
	if !e.Over() {
		return nil
	}
	twin := f.twin
	switch {
	case e.Failed != "":
		s.record(Record{Op: opFailed, At: at, N: e.N, Reason: e.Failed})
	case e.Lost != "":
		s.record(Record{Op: opLost, At: at, N: e.N, Reason: e.Lost})
	case e.Refused != "":
		s.record(Record{Op: opRefused, At: at, N: f.N, Reason: e.Refused})
	default:
		s.answered(f, at, *e.Answer)
	}
	forget, s.dropped = s.dropped, nil
	if twin != 0 && s.jobs[twin] == nil {
		forget = append(forget, twin)
	}
	return forget
}

// answered makes the record of a job that went well.
func (s *Scheduler) answered(f *flight, at int64, a Answer) {
	r := Record{Op: opDone, At: at, N: f.N, Took: a.Took.Milliseconds()}
	switch f.Kind {
	case Counts:
		s.counting[f.Side], s.counted[f.Side] = 0, a.Marks
		s.countTook[f.Side] = max(a.Took, time.Millisecond)
		s.forgetJob(f, at)
		if s.counted[0] == nil || s.counted[1] == nil {
			return
		}
		r = Record{Op: opMarked, At: at, Marks: map[string][2]Mark{}}
		for _, t := range s.tables {
			r.Marks[t.name] = [2]Mark{s.counted[0][t.name], s.counted[1][t.name]}
		}
	case Ranges:
		r.Spans = cover(f.Span, slices.Clone(a.Ranges))
	case Backup:
		r.Key = a.Key
	case Restore:
		r.Rows = a.Rows
	case Checksum:
		s.summed(f, at, a)
		return
	}
	s.record(r)
}

// summed compares once both sides have answered.
func (s *Scheduler) summed(f *flight, at int64, a Answer) {
	c := f.t.sumOf(f)
	if c == nil || c.state[f.Side] == sumAnswered {
		s.forgetJob(f, at)
		return
	}
	c.answers[f.Side], c.state[f.Side] = a.Bins, sumAnswered
	other := Destination - f.Side
	if c.state[other] != sumAnswered {
		if twin := s.jobs[f.twin]; twin != nil {
			s.times.end(twin, at)
			s.release(twin)
			delete(s.jobs, twin.N)
		}
		s.times.end(f, at)
		s.release(f)
		c.job[f.Side], f.twin, f.answered = f.N, 0, true // a later process follows it again
		return
	}
	s.record(Record{Op: opCompared, At: at, N: f.N, Took: a.Took.Milliseconds(), Rows: rowsOf(c.answers[Source]), Bad: s.differences(c)})
}

// differences are the ranges to look at more closely, or to copy.
func (s *Scheduler) differences(c *sum) []Bad {
	bins := pair(c.answers[Source], c.answers[Destination])
	return differing(bins, c.size, c.Span)
}

// tooMany ends a run in which nothing goes well any more. Of one type or two, each
// range is isolated and given up, and there is a limit to that.
func (s *Scheduler) tooMany(f *flight, reason string) {
	if s.failures++; s.failures >= 30 && len(s.row[f.Side].types) >= outageTypes {
		s.Stop(fmt.Errorf("30 jobs in a row failed, the last with: %s", reason))
	}
}
