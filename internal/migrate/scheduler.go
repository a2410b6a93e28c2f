package migrate

import (
	"cmp"
	"fmt"
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

	counting [2]int64 // jobs
	counted  [2]map[string]Mark
	marked   bool

	lastN    int64
	jobs     map[int64]*flight
	given    [2]int // jobs in flight
	long     [2]int
	most     [2]int   // long jobs at once, now
	asked    [2]int   // and where nothing slows
	quiet    [2]int64 // a side that took no job is asked for none before
	slowness [2][]float64
	failures int // jobs that failed since the last that went well
	stopped  error
	fulls    bool // the last comparison of everything has begun
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
	twin     int64 // of it, or it is the twin of
	long     bool
	took     int64 // milliseconds
	answered bool  // but the other side's checksum has not: kept for a later process
}

// NewScheduler returns one at the very beginning.
func NewScheduler(o Options) *Scheduler {
	s := &Scheduler{o: o.withDefaults(), byName: map[string]*table{}, jobs: map[int64]*flight{}}
	for i, name := range s.o.Types {
		t := &table{name: name, index: i, ratio: 1, costs: map[Kind]*cost{}}
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
		return s.count(at)
	}
	for _, side := range []Side{Destination, Source} {
		if s.quiet[side] > at {
			continue
		}
		for most := s.atOnce(side); s.given[side] < most; {
			c := s.best(side, at)
			if c == nil {
				break
			}
			out = append(out, s.start(*c, at))
		}
	}
	return append(out, s.twins(at)...)
}

// atOnce is how many jobs may be in flight on side. More than the database has room
// for keep it busy while others wait for a worker, which is right while there is
// much to do; but once one type's serial restores decide, whatever runs beside them
// only slows them.
func (s *Scheduler) atOnce(side Side) int {
	if side == Source {
		return s.o.InFlight
	}
	var longest, last, work float64
	for _, t := range s.tables {
		if t.stage <= stageCheck && t.name != Change {
			return s.o.InFlight // how long any chain is will only be known
		}
		c := s.chain(t)
		work += c
		if t.name == Change {
			last = c
		} else {
			longest = max(longest, c)
		}
	}
	if longest+last < work/float64(s.o.Restores) {
		return s.o.InFlight
	}
	return min(s.o.InFlight, s.most[side]+1)
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

// Resume returns the jobs that may still run, to be followed, and gives up those of
// which nobody knows the ID.
func (s *Scheduler) Resume(now time.Time) []Job {
	var out []Job
	for _, n := range s.inFlight() {
		f := s.jobs[n]
		if f.ServerID == "" {
			s.record(Record{Op: opLost, At: milli(now), N: n, Reason: "the process that started it ended before it knew its ID"})
			continue
		}
		f.followed = milli(now) // its answer may have waited for us all along
		out = append(out, s.jobOf(f))
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
			for i := t.head; i < min(len(t.pieces), t.head+aheadMost+1); i++ {
				sooner(t.pieces[i].notBefore)
			}
		}
		for i := range t.sums {
			sooner(t.sums[i].notBefore[0])
			sooner(t.sums[i].notBefore[1])
		}
	}
	for _, f := range s.jobs {
		if f.twinDue() > 0 {
			sooner(f.twinDue())
		}
	}
	return time.UnixMilli(at)
}

// twinDue is when a job that only reads has taken so long that another is started
// beside it: its worker may be gone, and the queue notices after ten minutes only.
// A restore never has a twin.
func (f *flight) twinDue() int64 {
	if f.Kind == Restore || f.twin != 0 || f.answered || f.ServerID == "" {
		return 0
	}
	return max(f.began, f.followed) + max(twinAfter, twinFactor*f.expected).Milliseconds()
}

func (s *Scheduler) twins(at int64) []Job {
	var out []Job
	for _, n := range s.inFlight() {
		if f := s.jobs[n]; f.twinDue() > 0 && f.twinDue() <= at {
			j := f.Job
			j.Twin, j.ServerID = true, ""
			out = append(out, s.start(candidate{job: j, t: f.t, rows: f.rows}, at))
		}
	}
	return out
}

// count starts the one counts job of each stack.
func (s *Scheduler) count(at int64) []Job {
	var out []Job
	for _, side := range []Side{Source, Destination} {
		if s.counting[side] == 0 && s.counted[side] == nil {
			out = append(out, s.start(candidate{job: Job{Kind: Counts, Side: side}}, at))
		}
	}
	return out
}

// A candidate is a job that could start.
type candidate struct {
	job      Job
	t        *table
	rows     int64
	expected time.Duration
	weight   float64 // the larger the sooner
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
	if f.t == nil || f.rows > 0 {
		j.Expected = f.expected
	}
	if j.Kind == Counts {
		j.Types = s.o.AllTypes
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

// best is what to start next on side; nil: nothing can.
func (s *Scheduler) best(side Side, at int64) *candidate {
	var best *candidate
	others := s.othersDone()
	for _, t := range s.tables {
		c := s.candidate(t, side, at, others)
		if c == nil {
			continue
		}
		c.expected = s.expect(t, c.job, c.rows)
		if c.expected > longJob && s.long[side] >= s.most[side] {
			continue
		}
		if c.job.Kind == Backup && s.backing() >= s.o.Backups {
			continue
		}
		c.weight = s.weight(t)
		if best == nil || c.weight > best.weight {
			best = c
		}
	}
	return best
}

// expect is how long a job should take; where its rows are not known yet, as if its
// IDs were taken half.
func (s *Scheduler) expect(t *table, j Job, rows int64) time.Duration {
	if t == nil {
		return 8 * time.Second
	}
	if rows == 0 {
		rows = t.guess(j.Span)
	}
	return t.expected(j.Kind, rows)
}

func (s *Scheduler) backing() int {
	n := 0
	for _, f := range s.jobs {
		if f.Kind == Backup {
			n++
		}
	}
	return n
}

// othersDone: every type but CHANGE is finished, so that CHANGE may be restored.
func (s *Scheduler) othersDone() bool {
	return !slices.ContainsFunc(s.tables, func(t *table) bool { return t.name != Change && t.stage != stageDone })
}

// weight: the type with the longest remaining serial restore goes first, and CHANGE,
// whose turn comes last, fills in.
func (s *Scheduler) weight(t *table) float64 {
	w := s.chain(t)
	if t.stage <= stageCheck {
		// What is compared soon tells soon how long its repair takes, and a type whose
		// comparison is short costs the others little.
		const soon = 200 // seconds
		sum := float64(t.guess(Span{t.lower, t.upper})) * t.perRow(Checksum)
		w *= 1 + soon/(10+sum)
	}
	if t.name == Change {
		return w * 1e-6
	}
	return w
}

// chain is how long a type still takes by itself, in seconds: the sum of its serial
// restores, those made likely by what is known to differ among them.
func (s *Scheduler) chain(t *table) float64 {
	if t.stage == stageDone {
		return 0
	}
	const (
		badShare  = 0.01 // of all rows, before they are compared
		fineShare = 0.2  // of the rows of bad bins
	)
	restore := t.perRow(Restore) * t.ratio
	w := fixedCost * float64(stageDone-t.stage)
	switch t.stage {
	case stageCopy, stageRepair:
		w += t.rowsLeft(s.o.Batch)*t.perRow(Restore) + fixedCost*float64(len(t.pieces)-t.head)
	case stageWeigh, stageRefine:
		w += float64(t.suspected()) * restore * fineShare
	}
	if t.stage <= stageCheck {
		rows := float64(t.guess(Span{t.lower, t.upper}))
		sum := rows * t.perRow(Checksum)
		w += sum/float64(s.o.Restores) + float64(t.suspected())*restore*fineShare
		w += rows * badShare * restore
	}
	return w
}

// suspected is how many rows of the primary the ranges have that differ, or may.
func (t *table) suspected() int64 {
	var n int64
	for _, list := range [][]Bad{t.bad, t.small} {
		for _, b := range list {
			n += b.Rows
		}
	}
	for i := range t.sums {
		if !t.sums[i].done && t.stage == stageRefine {
			n += t.sums[i].rows
		}
	}
	return n
}

// candidate is what t could do next on side.
func (s *Scheduler) candidate(t *table, side Side, at int64, others bool) *candidate {
	if t.copies() {
		if side == Source {
			return s.toBackup(t, at)
		}
		return s.toRestore(t, at, others)
	}
	if c := s.toWeigh(t, side, at); c != nil {
		return c
	}
	return s.toSum(t, side, at)
}

func (s *Scheduler) toSum(t *table, side Side, at int64) *candidate {
	for i := range t.sums {
		c := &t.sums[i]
		if c.done || c.state[side] != sumWaiting || c.notBefore[side] > at {
			continue
		}
		rows := c.rows
		if rows == 0 && t.seen > 0 {
			rows = t.guess(c.Span)
		}
		return &candidate{job: Job{Kind: Checksum, Side: side, Type: t.name, Span: c.Span, Size: c.size}, t: t, rows: rows}
	}
	return nil
}

// toWeigh asks how many rows the secondaries add to a type's: a range is cut into
// small ones, and counted. Where many ranges are to be copied it decides which of
// them go together.
func (s *Scheduler) toWeigh(t *table, side Side, at int64) *candidate {
	if side != Source || t.stage != stageWeigh || t.weighing != weighWanted || t.weighAt > at {
		return nil
	}
	return &candidate{job: Job{Kind: Ranges, Side: Source, Type: t.name, Span: t.weighs.Span, Size: s.grain(), Twin: false}, t: t, rows: t.weighs.Rows}
}

// grain is the size of the ranges that weighing counts.
func (s *Scheduler) grain() int64 { return max(1, s.o.Batch/50) }

// toBackup: ranges are cut and backed up in order, a few ahead of the restorer.
// CHANGE's may be made as early as there is time for them: files are inert.
func (s *Scheduler) toBackup(t *table, at int64) *candidate {
	ahead, cutting := 0, 0 // of what comes before: a range that is to be backed up again must not wait for itself
	for i := t.head; i < len(t.pieces); i++ {
		p := &t.pieces[i]
		switch p.state {
		case pieceBacking, pieceBacked, pieceRestoring:
			ahead++
		case pieceRanging:
			cutting++
		case pieceUnranged:
			if cutting < 2 && p.notBefore <= at {
				rows := p.rows
				if rows == 0 {
					rows = t.guess(p.Span)
				}
				return &candidate{job: Job{Kind: Ranges, Side: Source, Type: t.name, Span: p.Span, Size: s.o.Batch}, t: t, rows: rows}
			}
			cutting++
		case pieceWaiting:
			if ahead >= aheadMost && t.name != Change {
				return nil
			}
			if p.notBefore <= at {
				return &candidate{job: Job{Kind: Backup, Side: Source, Type: t.name, Span: p.Span, Size: s.o.Batch}, t: t, rows: s.groupRows(t, p)}
			}
		}
		if cutting >= 2 {
			return nil
		}
	}
	return nil
}

// groupRows is how many rows a piece may have, secondaries included.
func (s *Scheduler) groupRows(t *table, p *piece) int64 {
	if p.rows > 0 {
		return int64(float64(p.rows) * t.ratio)
	}
	return min(s.o.Batch, max(1, int64(float64(t.guess(p.Span))*t.ratio)))
}

// keepFor is how long a backup is restored from: the bucket keeps it 30 days.
const keepFor = 28 * 24 * time.Hour

// toRestore: the first range that is not over, if its backup is there. One at a
// time of a type, ascending; CHANGE when every other type is finished.
func (s *Scheduler) toRestore(t *table, at int64, others bool) *candidate {
	if t.head >= len(t.pieces) || t.name == Change && !others {
		return nil
	}
	p := &t.pieces[t.head]
	if p.state != pieceBacked || p.notBefore > at {
		return nil
	}
	if at-p.backedAt > keepFor.Milliseconds() {
		p.state = pieceWaiting
		return nil
	}
	return &candidate{job: Job{Kind: Restore, Side: Destination, Type: t.name, Span: p.Span, Size: s.o.Batch, Key: p.key}, t: t, rows: s.groupRows(t, p)}
}

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
		s.refused(f, at, e.Refused)
	default:
		s.answered(f, at, *e.Answer)
	}
	if twin != 0 && s.jobs[twin] == nil {
		return []int64{twin}
	}
	return nil
}

// refused: the service takes no job now. It is asked for less.
func (s *Scheduler) refused(f *flight, at int64, why string) {
	s.most[f.Side] = max(2, s.most[f.Side]-1)
	s.record(Record{Op: opRefused, At: at, N: f.N, Reason: why})
}

// answered makes the record of a job that went well.
func (s *Scheduler) answered(f *flight, at int64, a Answer) {
	r := Record{Op: opDone, At: at, N: f.N, Took: a.Took.Milliseconds()}
	switch f.Kind {
	case Counts:
		s.counting[f.Side], s.counted[f.Side] = 0, a.Marks
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

// adapt lowers how many long jobs run at once where the service slows, and raises
// it again, up to what was asked for, where it does not.
func (s *Scheduler) adapt(f *flight, r Record) {
	if f.t == nil || f.rows == 0 {
		return
	}
	rows := f.rows
	if f.Kind == Restore && r.Rows > 0 || f.Kind == Checksum {
		rows = r.Rows
	}
	slower := f.t.learn(f.Kind, rows, time.Duration(r.Took)*time.Millisecond)
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
		s.most[f.Side] = max(2, s.most[f.Side]-1)
	case median < 1.35:
		s.most[f.Side] = min(s.asked[f.Side], s.most[f.Side]+1)
	}
	s.slowness[f.Side] = nil
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

func (s *Scheduler) tooMany(reason string) {
	if s.failures++; s.failures >= 30 {
		s.Stop(fmt.Errorf("30 jobs in a row failed, the last with: %s", reason))
	}
}
