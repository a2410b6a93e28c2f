package migrate

import (
	"slices"
	"time"
)

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
