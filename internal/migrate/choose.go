package migrate

import "time"

// twinDue is when a job that only reads has taken so long that another is started
// beside it: its worker may be gone, and the queue notices after ten minutes only.
// A restore never has a twin, and nothing has two.
func (s *Scheduler) twinDue(f *flight) int64 {
	if f.Kind == Restore || f.twinned || f.answered || f.ServerID == "" {
		return 0
	}
	expected := s.expect(f.t, f.Job, f.rows) // by what is known by now
	after := max(twinAfter, 3*expected)
	switch other := s.countTook[Destination-f.Side]; {
	case f.t == nil && other > 0: // both stacks count the same
		after = max(twinAfter, 2*other)
	case f.t == nil || !f.t.knows(f.Kind):
		after = max(twinBlind, 8*expected)
	}
	return max(f.began, f.followed) + after.Milliseconds()
}

func (s *Scheduler) twins(at int64) []Job {
	var out []Job
	for _, n := range s.inFlight() {
		if f := s.jobs[n]; s.twinDue(f) > 0 && s.twinDue(f) <= at {
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
	spare    bool    // a backup further ahead than needed, where there is nothing else to do
}

// A view is what choosing asks of all types at once, in seconds.
type view struct {
	others  bool    // every type but CHANGE is finished, so that CHANGE may be restored
	longest float64 // chain of a type but CHANGE
	known   float64 // the same of those compared
	unknown float64 // the same of those not compared yet, as guessed
	work    float64 // on the destination before CHANGE's restores
	ahead   [2]int  // comparisons that a side has begun and the other has not
	backing int     // backups in flight
}

func (s *Scheduler) view() view {
	v := view{others: true}
	for _, t := range s.tables {
		if t.stage == stageDone {
			continue
		}
		for i := range t.sums {
			if c := &t.sums[i]; !c.done && (c.state[Source] == sumWaiting) != (c.state[Destination] == sumWaiting) {
				begun := Source
				if c.state[Source] == sumWaiting {
					begun = Destination
				}
				v.ahead[begun]++
			}
		}
		if t.name == Change {
			v.work += s.toCompare(t)
			continue
		}
		v.others = false
		c := s.chain(t)
		v.longest = max(v.longest, c)
		v.work += c
		if t.stage <= stageCheck {
			more := s.toCompare(t)
			v.work += more - more/float64(s.o.Restores)
		}
		if t.stage == stageCheck {
			v.unknown = max(v.unknown, c)
		} else {
			v.known = max(v.known, c)
		}
	}
	for _, f := range s.jobs {
		if f.Kind == Backup {
			v.backing++
		}
	}
	return v
}

// chained: the longest chain known of decides how long it takes, not all the work.
func (v *view) chained(s *Scheduler) bool { return v.known >= 0.7*v.work/float64(s.o.Restores) }

// patient: what is not compared yet can wait. Restores then go before the large
// comparisons: the sooner the last restore has begun, the less it costs when the worker
// that has it is lost.
func (v *view) patient(s *Scheduler) bool { return v.unknown < 0.5*v.work/float64(s.o.Restores) }

// decides: nothing is over before this type is.
func (v *view) decides(s *Scheduler, t *table) bool {
	if t.name == Change {
		return v.others
	}
	return s.chain(t) >= 0.8*v.longest
}

// best is what to start next on side; nil: nothing can.
func (s *Scheduler) best(side Side, at int64) *candidate {
	if s.given[side] >= s.o.InFlight {
		return nil
	}
	var best *candidate
	v := s.view()
	for _, t := range s.tables {
		c := s.candidate(t, side, at, &v)
		if c == nil || c.job.Kind == Backup && v.backing >= s.o.Backups || c.spare && v.backing >= max(1, s.o.Backups-2) {
			continue
		}
		c.expected = s.expect(t, c.job, c.rows)
		if !s.room(c, &v) {
			continue
		}
		c.weight = s.weight(t, &v)
		if best == nil || best.spare && !c.spare || best.spare == c.spare && c.weight > best.weight {
			best = c
		}
	}
	return best
}

// room tells whether a side should have another job in flight. On the destination
// what counts is how many would work at once: more than the database has room for
// keep it busy while others wait for a worker, which is right while there is much to
// do; but once one type's serial restores decide, whatever runs beside them slows
// them. What decides always has room.
func (s *Scheduler) room(c *candidate, v *view) bool {
	side := c.job.Side
	if side == Source {
		return c.expected <= longJob || s.long[side] < s.most[side]
	}
	most := 1000 * s.most[side]
	if v.chained(s) {
		most += 450
	} else {
		most += 1250
	}
	if c.job.Kind == Restore && v.decides(s, c.t) {
		most += 1000
	}
	return s.load+load(c.expected) <= most
}

// load is how much of its time in flight a job works, in thousandths: the rest goes
// for calls, for the worker that looks once a second, and for how late we see that
// it is over.
func load(expected time.Duration) int {
	const idle = 500 * time.Millisecond
	return int(1000 * max(0, expected-idle/2) / (expected + idle/2))
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

// weight: the type with the longest remaining serial restore goes first, and CHANGE,
// whose turn comes last, fills in. What is not compared yet may hide the longest:
// until it is, only a chain longer than any guess goes before it, and of several the
// shortest comparison is first, for it tells soonest at the least cost to the others.
func (s *Scheduler) weight(t *table, v *view) float64 {
	w := s.chain(t)
	switch {
	case t.name == Change:
		return w * 1e-6
	case t.stage == stageCheck:
		return v.unknown + s.early(t)
	case t.stage == stageWeigh || t.stage == stageRefine: // short, and its restores wait for it
		return w + v.unknown + 1
	case w >= 0.8*v.known: // it takes one worker, and a lot of time
		return w + v.unknown + 1
	case t.stage == stageRepair && w < 0.3*v.known:
		// Of what does not decide the shortest goes first: a restore whose worker is
		// lost holds its type for ten minutes, which the long chains then cover.
		w = 0.3 * v.known / (1 + w)
	}
	if t.stage == stageRepair && v.patient(s) {
		return v.unknown + 1 + 0.4*w/(1+w)
	}
	return w
}

// early orders what is to be compared, between 0 and 1: a large type hides a longer
// chain than a small one, so it goes first, unless its comparison keeps all others
// waiting for long.
func (s *Scheduler) early(t *table) float64 {
	const soon = 40 // seconds
	if x := s.toCompare(t); x > soon*float64(s.o.Restores) {
		return 0.5 / x
	} else {
		return 0.5 + 0.5*x/(1+x)
	}
}

// toCompare is how much work comparing a type still is on one side, in seconds.
func (s *Scheduler) toCompare(t *table) float64 {
	switch {
	case t.stage < stageCheck:
		return float64(t.guess(Span{t.lower, t.upper})) * t.alone(Checksum)
	case t.stage > stageCheck:
		return 0
	}
	ids := int64(0)
	for i := range t.sums {
		if c := &t.sums[i]; !c.done {
			ids = plus(ids, c.IDs())
		}
	}
	return float64(t.guess(Span{1, ids})) * t.alone(Checksum)
}

// chain is how long a type still takes by itself, in seconds: the sum of its serial
// restores, those made likely by what is known to differ among them.
func (s *Scheduler) chain(t *table) float64 { return s.chainIf(t, s.badShare(t)) }

// chainIf is chain, if such a share of what is not compared yet is to be copied.
func (s *Scheduler) chainIf(t *table, share float64) float64 {
	if t.stage == stageDone {
		return 0
	}
	const fineShare = 0.2 // of the rows of bad bins that are compared finely
	restore := t.perRow(Restore) * t.ratio
	w := fixedCost * float64(stageDone-t.stage)
	suspected := restore
	if s.refines(t) {
		suspected *= fineShare
	}
	switch t.stage {
	case stageCopy, stageRepair:
		w += t.rowsLeft(s.o.Batch)*t.perRow(Restore) + fixedCost*float64(len(t.pieces)-t.head)
	case stageWeigh, stageRefine:
		w += float64(t.suspected()) * suspected
	}
	if t.stage <= stageCheck {
		compare := s.toCompare(t)
		w += compare/float64(s.o.Restores) + float64(t.suspected())*suspected
		w += compare / t.alone(Checksum) * share * suspected
	}
	for _, x := range t.outside {
		w += float64(t.guess(x)) * restore
	}
	return w
}

// badShare is which part of a type's rows that are not compared yet lie in bins that
// differ: as in what is compared of it, of all types where that is little, and as
// usual before there is any.
func (s *Scheduler) badShare(t *table) float64 {
	share := 0.01
	if s.o.Frozen { // users are away; the run before this one was not long ago
		share = 0.004
	}
	few := float64(100 * s.o.Batch)
	share = (share*few + float64(s.bad)) / (few + float64(s.seen))
	if t.stage == stageCheck {
		few /= 5
		share = (share*few + float64(t.suspected())) / (few + float64(t.summed))
	}
	return share
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
func (s *Scheduler) candidate(t *table, side Side, at int64, v *view) *candidate {
	if t.copies() {
		if side == Source {
			return s.toBackup(t, at)
		}
		return s.toRestore(t, at, v.others)
	}
	if c := s.toWeigh(t, side, at); c != nil {
		return c
	}
	return s.toSum(t, side, at, v.ahead[side] < apart)
}

// toSum compares the next part, first where the other side has begun: what one side
// has answered is held until the other one has.
func (s *Scheduler) toSum(t *table, side Side, at int64, begin bool) *candidate {
	for i := range t.sums {
		c := &t.sums[i]
		if c.done || c.state[side] != sumWaiting || c.notBefore[side] > at || !begin && c.state[Destination-side] == sumWaiting {
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
	return &candidate{job: Job{Kind: Ranges, Side: Source, Type: t.name, Span: t.weighs.Span, Size: s.grain()}, t: t, rows: t.weighs.Rows}
}

// grain is the size of the ranges that weighing counts.
func (s *Scheduler) grain() int64 { return max(1, s.o.Batch/50) }

// toBackup: ranges are cut and backed up in order, so far ahead of the restorer that
// it does not wait: a backup may take longer than several restores. Where the source has
// nothing else to do they go on, so that restores do so too while it does not answer. CHANGE's may be
// made as early as there is time for them: files are inert.
func (s *Scheduler) toBackup(t *table, at int64) *candidate {
	var ahead time.Duration // of restores, by what is backed up before: a range that is to be backed up again must not wait for itself
	n, cutting := 0, 0
	for i := t.head; i < len(t.pieces) && cutting < 2; i++ {
		p := &t.pieces[i]
		switch p.state {
		case pieceBacking, pieceBacked, pieceRestoring:
			n++
			ahead += t.expected(Restore, s.groupRows(t, p))
		case pieceRanging:
			cutting++
		case pieceUnranged:
			if cutting++; p.notBefore <= at {
				return s.toCut(t, p)
			}
		case pieceWaiting:
			rows := s.groupRows(t, p)
			enough := t.name != Change && n >= aheadLeast && (n >= aheadMost || ahead > 3*t.expected(Backup, rows))
			if enough {
				if c := s.toCutAhead(t, i, at); c != nil || n >= aheadMost || ahead > aheadSpare {
					return c
				}
			}
			if p.notBefore <= at {
				return &candidate{job: Job{Kind: Backup, Side: Source, Type: t.name, Span: p.Span, Size: s.o.Batch}, t: t, rows: rows, spare: enough}
			}
		}
	}
	return nil
}

// toCutAhead: what comes soon after piece i and is not cut yet, so that nothing waits
// for it when its turn comes.
func (s *Scheduler) toCutAhead(t *table, i int, at int64) *candidate {
	for k := i; k < min(len(t.pieces), i+aheadMost); k++ {
		switch p := &t.pieces[k]; {
		case p.state == pieceRanging:
			return nil
		case p.state == pieceUnranged && p.notBefore <= at:
			return s.toCut(t, p)
		}
	}
	return nil
}

func (s *Scheduler) toCut(t *table, p *piece) *candidate {
	rows := p.rows
	if rows == 0 {
		rows = t.guess(p.Span)
	}
	return &candidate{job: Job{Kind: Ranges, Side: Source, Type: t.name, Span: p.Span, Size: s.o.Batch}, t: t, rows: rows}
}

// groupRows is how many rows a piece may have, secondaries included.
func (s *Scheduler) groupRows(t *table, p *piece) int64 {
	if p.group > 0 {
		return p.group
	}
	if p.rows > 0 {
		return int64(float64(p.rows) * t.ratio)
	}
	return min(s.o.Batch, max(1, int64(float64(t.guess(p.Span))*t.ratio)))
}

// changes tells whether CHANGE is being restored, or may be: another type's turn can
// come meanwhile when all are compared again.
func (s *Scheduler) changes(at int64) bool {
	t := s.byName[Change]
	if t == nil || t.head >= len(t.pieces) {
		return false
	}
	p := &t.pieces[t.head]
	return p.state == pieceRestoring || p.state == pieceBacked && p.notBefore > at
}

// keepFor is how long a backup is restored from: the bucket keeps it 30 days.
const keepFor = 28 * 24 * time.Hour

// toRestore: the first range that is not over, if its backup is there. One at a
// time of a type, ascending; CHANGE when every other type is finished.
func (s *Scheduler) toRestore(t *table, at int64, others bool) *candidate {
	if t.head >= len(t.pieces) || t.name == Change && !others || t.name != Change && s.changes(at) {
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
