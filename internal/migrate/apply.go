package migrate

import (
	"fmt"
	"slices"
	"strconv"
)

// apply changes the state as a record says: all that must be the same after a
// replay happens here.
func (s *Scheduler) apply(r Record) {
	if s.began == 0 {
		s.began = r.At
	}
	s.news = max(s.news, r.At)
	switch r.Op {
	case opStart:
		s.started(r)
		return
	case opMarked:
		s.begin(r.Marks, r.At)
		return
	case opDistrust:
		s.distrust()
		return
	}
	f := s.jobs[r.N]
	if f == nil {
		return
	}
	switch r.Op {
	case opAccepted:
		f.ServerID = r.ID
		if id, err := strconv.ParseInt(r.ID, 10, 64); err == nil {
			s.highest[f.Side] = max(s.highest[f.Side], id)
		}
		if f.Kind == Restore {
			if p := f.t.pieceOf(f.Span); p != nil {
				p.nameless = false
			}
		}
		s.vain[f.Side] = 0
		s.accepted(f.Side)
	case opFailed, opRefused, opLost:
		s.failed(f, r)
	case opDone:
		s.failures, s.row[f.Side] = 0, row{}
		s.adapt(f, r)
		s.forgetJob(f, r.At)
		s.done(f, r)
	case opCompared:
		s.failures, s.row[f.Side] = 0, row{}
		s.adapt(f, r)
		t := f.t
		c := t.sumOf(f)
		if c == nil { // it was halved: of an earlier build's record
			s.forgetJob(f, r.At)
			return
		}
		s.row[Destination-f.Side] = row{} // both have answered
		t.vain = 0
		for _, n := range c.job { // both sides'
			if x := s.jobs[n]; x != nil {
				s.forgetJob(x, r.At)
			}
		}
		s.forgetJob(f, r.At)
		s.compared(t, c, r)
	}
}

func (s *Scheduler) started(r Record) {
	f := &flight{Job: *r.Job, began: r.At, rows: r.Rows, t: s.byName[r.Job.Type], after: s.highest[r.Job.Side]}
	s.jobs[r.N] = f
	s.lastN = max(s.lastN, r.N)
	s.given[f.Side]++
	f.expected = s.expect(f.t, f.Job, f.rows)
	if f.expected > longJob && f.t != nil {
		f.long = true
		s.long[f.Side]++
	}
	if f.Side == Destination {
		f.load = load(f.expected)
		s.load += f.load
	}
	s.times.begin(f)
	if f.Twin { // tied by the record, so that a later process starts no third
		for _, n := range s.inFlight() {
			if x := s.jobs[n]; x != f && x.twin == 0 && x.Kind == f.Kind && x.Side == f.Side && x.Type == f.Type && x.Span == f.Span && x.Size == f.Size {
				x.twin, f.twin = f.N, x.N
				x.twinned, f.twinned = true, true
				break
			}
		}
		return
	}
	if f.Kind == Counts {
		s.counting[f.Side] = r.N
		return
	}
	if f.Kind == Checksum {
		if c := f.t.sumOf(f); c != nil {
			c.state[f.Side], c.job[f.Side] = sumRunning, r.N
		}
		return
	}
	if f.Kind == Ranges && f.t.stage == stageWeigh {
		f.t.weighing = weighRunning
		return
	}
	if p := f.t.pieceOf(f.Span); p != nil {
		p.held = false
		if p.nameless { // the one before, which is the same, would be found
			f.after = 0
		}
		p.state = map[Kind]pieceState{Ranges: pieceRanging, Backup: pieceBacking, Restore: pieceRestoring}[f.Kind]
	}
}

// failed puts what a job was for back where it was, to be tried again a little
// later: a range that fails twice is halved, so that one bad row stops nothing but
// itself.
func (s *Scheduler) failed(f *flight, r Record) {
	twin := s.jobs[f.twin]
	if !f.answered {
		s.times.end(f, r.At)
		s.release(f)
	}
	delete(s.jobs, f.N)
	counts := false // against what the job was for
	switch r.Op {
	case opRefused: // it is asked for less, and not at once
		s.refused(f.Side)
		s.quiet[f.Side] = r.At + 3_000
	case opLost: // each may be another job in its queue
		if r.At >= s.quiet[f.Side] {
			s.vain[f.Side]++
			s.quiet[f.Side] = r.At + int64(min(s.vain[f.Side], 12))*5_000
		}
	case opFailed:
		s.times.failed(f, r.Reason)
		if counts = !s.blame(f, r.At); counts {
			s.tooMany(f, r.Reason)
		}
	}
	if twin != nil { // the other one may still go well
		twin.twin = 0
		if f.Kind == Checksum {
			if c := f.t.sumOf(f); c != nil {
				c.job[f.Side] = twin.N
			}
		}
		return
	}
	again := r.At + 2_000
	switch f.Kind {
	case Counts:
		s.counting[f.Side] = 0
		if r.Op == opFailed { // nothing can go on without it
			s.quiet[f.Side] = r.At + outagePause.Milliseconds()
			if s.countTries++; s.countTries >= countTries {
				s.Stop(fmt.Errorf("counting on the %s failed %d times, the last with: %s", f.Side, s.countTries, r.Reason))
			}
		}
		return
	case Checksum:
		c := f.t.sumOf(f)
		if c == nil {
			return
		}
		c.state[f.Side], c.job[f.Side] = sumWaiting, 0
		if counts {
			c.tries++
			again += int64(c.tries) * 2_000
		}
		c.notBefore[f.Side] = again
		if counts {
			s.sumFailed(f.t, c, r)
		}
		return
	}
	if f.t.weighing == weighRunning && f.Kind == Ranges {
		f.t.weighing, f.t.weighAt = weighWanted, again
		if counts { // it only saves time
			f.t.weighing = weighed
			s.advance(f.t)
		}
		return
	}
	p := f.t.pieceOf(f.Span)
	if p == nil {
		return
	}
	p.state = map[Kind]pieceState{Ranges: pieceUnranged, Backup: pieceWaiting, Restore: pieceBacked}[f.Kind]
	switch {
	case r.Op == opLost && f.Kind == Restore:
		// It may be running, and a second one of its type must not run beside it.
		again, p.held, p.nameless = f.overBy(r.At), true, true
	case counts:
		p.tries++
		again += int64(p.tries) * 3_000
	}
	p.notBefore = again
	if !counts || p.tries < splitAfter || p.Min == p.Max && p.tries < lastTries {
		return
	}
	if f.Kind == Ranges {
		if p.tries >= cutTries || f.t.cutsOurs {
			s.cutOurselves(f.t, p)
		}
		return
	}
	s.halve(f.t, p, r)
}

// halve replaces a piece by its halves, or gives it up when it is one ID.
func (s *Scheduler) halve(t *table, p *piece, r Record) {
	if p.Min == p.Max {
		p.state = pieceGivenUp
		t.givenUp = append(t.givenUp, p.Span)
		s.times.gaveUp(Failure{Kind: Backup, Type: t.name, Span: p.Span, Reason: r.Reason})
		s.tooBad(r.Reason)
		t.settleHead()
		s.advance(t)
		return
	}
	t.halved = append(t.halved, halving{p.Span, false})
	i := slices.IndexFunc(t.pieces, func(x piece) bool { return x.Span == p.Span })
	mid := p.Min + (p.Max-p.Min)/2
	half := func(s Span) piece {
		return piece{Span: s, state: pieceWaiting, rows: (p.rows + 1) / 2, group: p.group / 2, tries: triesOfHalf(s.Min == s.Max), notBefore: p.notBefore}
	}
	t.pieces = slices.Replace(t.pieces, i, i+1, half(Span{p.Min, mid}), half(Span{mid + 1, p.Max}))
}

// tooBad ends a run in which too much could not be copied or compared.
func (s *Scheduler) tooBad(reason string) {
	n := 0
	for _, t := range s.tables {
		n += len(t.givenUp) + len(t.unsure())
	}
	if n >= s.o.MostBad {
		s.Stop(fmt.Errorf("%d ranges could not be copied or compared, which is the limit; the last with: %s", n, reason))
	}
}

func (s *Scheduler) done(f *flight, r Record) {
	t := f.t
	if f.Kind == Ranges && t.weighing == weighRunning {
		s.weighed(t, len(r.Spans))
		s.advance(t)
		return
	}
	p := t.pieceOf(f.Span)
	if p == nil {
		return
	}
	switch f.Kind {
	case Ranges:
		if p.state != pieceRanging {
			return
		}
		i := slices.IndexFunc(t.pieces, func(x piece) bool { return x.Span == p.Span })
		var cut []piece
		// All but the last range is full.
		if n := int64(len(r.Spans)); n > 1 {
			t.cutIDs = plus(t.cutIDs, Span{p.Min, r.Spans[n-2].Max}.IDs())
			t.cutRows += (n - 1) * s.o.Batch
		} else {
			t.cutIDs = plus(t.cutIDs, p.IDs())
			t.cutRows += s.o.Batch / 2
		}
		for i, x := range r.Spans {
			part := piece{Span: x, state: pieceWaiting, rows: p.rows / int64(len(r.Spans))}
			if i < len(r.Spans)-1 { // the last one may have any number
				part.group = s.o.Batch
			}
			cut = append(cut, part)
		}
		t.pieces = slices.Replace(t.pieces, i, i+1, cut...)
	case Backup:
		if p.state == pieceBacking {
			p.state, p.key, p.backedAt, p.tries = pieceBacked, r.Key, r.At, 0
		}
	case Restore:
		p.state = pieceDone
		t.copied += r.Rows
		t.restores++
		if p.rows >= 200 && r.Rows > 0 {
			t.ratio += 0.3 * (max(1, float64(r.Rows)/float64(p.rows)) - t.ratio)
		}
		p.key = ""
		t.settleHead()
		s.advance(t)
	}
}
