package migrate

import (
	"cmp"
	"slices"
	"time"
)

// A Scheduler decides what runs next. It is a pure state machine: Next says which
// jobs to start, Take is told what happened, and both return the records from which
// Replay makes the same state again. Not safe for concurrent use.
type Scheduler struct {
	o      Options
	tables []*table
	byName map[string]*table

	counting   [2]int64 // jobs
	counted    [2]map[string]Mark
	marked     bool
	countTries int              // counts jobs that failed
	countTook  [2]time.Duration // by the side that has counted

	lastN    int64
	jobs     map[int64]*flight
	usual    costs    // of all types
	seen     int64    // rows in first comparisons
	bad      int64    // of them, in bins that differ
	highest  [2]int64 // IDs that the stacks have given
	given    [2]int   // jobs in flight
	long     [2]int
	load     int    // of the destination, in thousandths of a job
	most     [2]int // long jobs at once, now
	asked    [2]int // and where nothing slows
	refusals [2]refusals
	quiet    [2]int64 // a side that took no job is asked for none before
	slowness [2][]float64
	failures int // jobs that failed since the last that went well
	row      [2]row
	vain     [2]int // starts of which nobody knows what became, since the last that was accepted
	stopped  error
	dropped  []int64 // jobs that nobody needs to follow any more
	fulls    bool    // the last comparison of everything has begun
	records  []Record

	began, news int64 // Unix milliseconds
	times       timeline
}

// A flight is a job that was started and is not over.
type flight struct {
	Job
	began    int64
	expected time.Duration
	rows     int64
	t        *table
	followed int64 // since when this process does
	after    int64 // the highest ID that its stack had given before
	sought   int64 // since when its job is looked for; 0: it is not
	twin     int64 // of it, or it is the twin of
	twinned  bool  // it had one, or is one
	long     bool
	load     int
	took     int64 // milliseconds
	answered bool  // but the other side's checksum has not: kept for a later process
}

// NewScheduler returns one at the very beginning.
func NewScheduler(o Options) *Scheduler {
	s := &Scheduler{o: o.withDefaults(), byName: map[string]*table{}, jobs: map[int64]*flight{}, usual: costs{}}
	for i, name := range s.o.Types {
		t := &table{name: name, index: i, ratio: 1, costs: costs{}, usual: s.usual}
		s.tables = append(s.tables, t)
		s.byName[name] = t
	}
	s.most = [2]int{s.o.Backups + 1, s.o.Restores}
	if s.o.Frozen {
		s.most[Source]++
	}
	s.asked = s.most
	return s
}

func milli(t time.Time) int64 { return t.UnixMilli() }

// Next returns the jobs to start now. Their records must be durable before a
// restore among them is started.
func (s *Scheduler) Next(now time.Time) []Job {
	at := milli(now)
	var out []Job
	if s.stopped != nil {
		return nil
	}
	if !s.marked {
		if s.quiet[0] > at || s.quiet[1] > at {
			return nil
		}
		return append(s.count(at), s.twins(at)...)
	}
	for _, side := range []Side{Destination, Source} {
		if s.quiet[side] > at {
			continue
		}
		for !s.probing(side) {
			c := s.best(side, at)
			if c == nil {
				break
			}
			out = append(out, s.start(*c, at))
		}
	}
	return append(out, s.twins(at)...)
}

// Records returns what has happened since it was last called.
func (s *Scheduler) Records() []Record {
	r := s.records
	s.records = nil
	return r
}

func (s *Scheduler) record(r Record) {
	s.records = append(s.records, r)
	s.apply(r)
}

// Replay applies records of an earlier process. What it had started and has no
// outcome is followed again where its ID is known: Resume says so.
func (s *Scheduler) Replay(r Record) { s.apply(r) }

// Resume returns the jobs that may still run, to be followed, or to be looked for
// where nobody knows their ID; and gives up those that cannot be.
func (s *Scheduler) Resume(now time.Time) []Job {
	var out []Job
	for _, n := range s.inFlight() {
		f := s.jobs[n]
		j := s.jobOf(f)
		if f.ServerID == "" {
			const why = "the process that started it ended before it knew its ID"
			if !j.Findable() {
				s.record(Record{Op: opLost, At: milli(now), N: n, Reason: why})
				continue
			}
			j.Sought, f.sought = why, milli(now)
		}
		f.followed = milli(now) // its answer may have waited for us all along
		out = append(out, j)
	}
	return out
}

// Distrust compares every type again: somebody may have written to the destination
// since.
func (s *Scheduler) Distrust(now time.Time) {
	s.record(Record{Op: opDistrust, At: milli(now)})
}

func (s *Scheduler) inFlight() []int64 {
	out := make([]int64, 0, len(s.jobs))
	for n := range s.jobs {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// Done tells whether nothing is left to do, and Err why the rest was not.
func (s *Scheduler) Done() bool {
	if s.stopped != nil {
		return s.given == [2]int{}
	}
	return s.marked && !slices.ContainsFunc(s.tables, func(t *table) bool { return t.stage != stageDone })
}

// Stop begins nothing more.
func (s *Scheduler) Stop(why error) {
	if s.stopped == nil {
		s.stopped = why
	}
}

// Wake is when Next may have more to say although nothing happens.
func (s *Scheduler) Wake(now time.Time) time.Time {
	at := milli(now) + 60_000
	sooner := func(x int64) {
		if x > milli(now) {
			at = min(at, x)
		}
	}
	sooner(s.quiet[0])
	sooner(s.quiet[1])
	for _, t := range s.tables {
		if t.copies() {
			for i := t.head; i < min(len(t.pieces), t.head+2*aheadMost); i++ {
				sooner(t.pieces[i].notBefore)
			}
		}
		for i := range t.sums {
			sooner(t.sums[i].notBefore[0])
			sooner(t.sums[i].notBefore[1])
		}
	}
	for _, f := range s.jobs {
		if due := s.twinDue(f); due > 0 {
			sooner(due)
		}
		if f.missing() { // which is told then
			sooner(f.sought + soughtSoon.Milliseconds())
		}
	}
	return time.UnixMilli(at)
}

func (s *Scheduler) start(c candidate, at int64) Job {
	j := c.job
	j.N = s.lastN + 1
	s.record(Record{Op: opStart, At: at, N: j.N, Job: &j, Rows: c.rows})
	return s.jobOf(s.jobs[j.N])
}

// jobOf fills in what is not journaled.
func (s *Scheduler) jobOf(f *flight) Job {
	j := f.Job
	j.After = f.after
	if f.t == nil || f.rows > 0 {
		j.Expected = f.expected
	}
	if j.Kind == Counts {
		j.Types = s.o.AllTypes
	}
	if t := f.t; t != nil && t.stage != stageCheck && (j.Kind == Restore || !t.copies()) {
		v := s.view()
		j.Urgent = v.decides(s, t)
	}
	if j.Kind == Checksum {
		j.Salt = s.salt(f.t)
	}
	return j
}

// salt: the same for the whole run on both sides, but for the last comparison of
// everything, which is to find what the first may have missed.
func (s *Scheduler) salt(t *table) string {
	if t.full {
		return s.o.Salt + "-full"
	}
	return s.o.Salt
}

func (t *table) sumOf(f *flight) *sum {
	for i := range t.sums {
		if c := &t.sums[i]; c.Span == f.Span && c.size == f.Size {
			return c
		}
	}
	return nil
}

func (t *table) pieceOf(s Span) *piece {
	i, ok := slices.BinarySearchFunc(t.pieces, s, func(p piece, s Span) int { return cmp.Compare(p.Min, s.Min) })
	if !ok || t.pieces[i].Span != s {
		return nil
	}
	return &t.pieces[i]
}

// release takes a job out of the count of those in flight.
func (s *Scheduler) release(f *flight) {
	s.given[f.Side]--
	if f.long {
		s.long[f.Side]--
	}
	s.load -= f.load
	if f.t != nil {
		f.t.busy[f.Side] += time.Duration(s.times.took(f)) * time.Millisecond
	}
}

// forgetJob ends a job and its twin.
func (s *Scheduler) forgetJob(f *flight, at int64) {
	for _, x := range []*flight{f, s.jobs[f.twin]} {
		if x == nil || s.jobs[x.N] != x {
			continue
		}
		if !x.answered {
			s.times.end(x, at)
			s.release(x)
		}
		delete(s.jobs, x.N)
	}
}
