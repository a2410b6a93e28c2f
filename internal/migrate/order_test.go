package migrate

import (
	"fmt"
	"testing"
	"time"
)

var orderNow = time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)

// TestALostCountHasATwin: nothing can begin before both sides are counted, and the
// queue gives a lost worker's job back after ten minutes only.
func TestALostCountHasATwin(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"TEAM"}, Salt: "salt", Frozen: true})
	marks := &Answer{Took: 9 * time.Second, Marks: map[string]Mark{"TEAM": {Span: Span{1, 9}, Any: true}}}
	for _, j := range s.Next(orderNow) {
		s.Take(Event{N: j.N, At: orderNow, ServerID: fmt.Sprint(j.N)})
		if j.Side == Destination {
			s.Take(Event{N: j.N, At: orderNow.Add(9 * time.Second), Answer: marks})
		}
	}
	if jobs := s.Next(orderNow.Add(12 * time.Second)); len(jobs) != 0 {
		t.Fatalf("started %+v while the source may still count", jobs)
	}
	due := orderNow.Add(18 * time.Second)
	if wake := s.Wake(orderNow.Add(12 * time.Second)); wake.After(due) {
		t.Errorf("wakes at %v, want %v: twice what the other side took", wake, due)
	}
	jobs := s.Next(due)
	if len(jobs) != 1 || jobs[0].Kind != Counts || jobs[0].Side != Source || !jobs[0].Twin {
		t.Fatalf("started %+v, want a twin of the source's counts job", jobs)
	}
	s.Take(Event{N: jobs[0].N, At: due, ServerID: "3"})
	forget := s.Take(Event{N: jobs[0].N, At: due.Add(9 * time.Second), Answer: marks})
	if !s.marked || len(forget) != 1 || len(s.jobs) != 0 {
		t.Errorf("counted %t, to be forgotten %v, in flight %v; want it to go on without the first", s.marked, forget, s.inFlight())
	}
}

// TestWeighsEnoughRows: a range that one grain holds tells nothing, so where rows lie
// far apart it is made wider; a type without secondaries then has no other weight.
func TestWeighsEnoughRows(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"TABLE_SEQUENCE"}, Salt: "salt", Frozen: true})
	tb := s.tables[0]
	tb.lower, tb.upper, tb.seen, tb.summed = 1, 60_000_000, 60_000_000, 90_000
	tb.bad = []Bad{{Span: Span{59_999_000, 59_999_999}, Rows: 60}, {Span: Span{7_000_000, 7_000_999}, Rows: 2}}
	s.weigh(tb)
	if tb.weighs.Max != tb.upper || tb.weighs.Min > 59_000_000 || tb.weighs.Min < 58_000_000 {
		t.Errorf("weighs %v, want as many IDs as have about 2,000 rows, up to the last", tb.weighs.Span)
	}
	s.weighed(tb, 2)
	if tb.ratio != 1 {
		t.Errorf("two ranges of %d rows of %d make each row count as %.1f, want 1", s.grain(), tb.weighs.Rows, tb.ratio)
	}
	tb.weighs.Rows = 2000
	if s.weighed(tb, 150); tb.ratio < 70 || tb.ratio > 80 {
		t.Errorf("150 ranges of 1,000 for 2,000 rows make each row count as %.1f, want 75", tb.ratio)
	}
	if s.weighed(tb, 2000); tb.ratio < 5000 {
		t.Errorf("a range for each row makes each row count as %.1f, want 5,000 or more: it may be any number", tb.ratio)
	}
}

// TestRestoresBeforeLargeComparisons: while a large comparison can wait, restores go
// before it, for one of them may meet a lost worker and then take ten minutes longer;
// where what it hides may decide how long all takes, it goes first.
func TestRestoresBeforeLargeComparisons(t *testing.T) {
	for _, c := range []struct {
		change int64 // its rows: work that waits for nothing
		want   Kind
	}{{100_000_000, Restore}, {0, Checksum}} {
		s := NewScheduler(Options{Types: []string{"FILE_HANDLE", "NODE", Change, "TEAM"}, Salt: "salt", Frozen: true})
		s.marked, s.seen = true, 1_000_000_000 // and little differed
		for i, rows := range map[int]int64{0: 90_000_000, 2: c.change} {
			x := s.tables[i]
			x.lower, x.upper, x.stage = 1, max(1, 5*rows/2), stageDone
			if rows > 0 {
				x.compared = true
				s.compare(x, Span{x.lower, x.upper})
			}
		}
		one := piece{Span: Span{1, 5}, state: pieceBacked, key: "backup.zip", rows: 500, backedAt: milli(orderNow)}
		s.tables[3].stage, s.tables[3].pieces = stageRepair, []piece{one}
		one.state, one.rows = pieceRestoring, 20_000 // the longest chain known, which needs nothing now
		s.tables[1].stage, s.tables[1].pieces = stageRepair, []piece{one}
		if best := s.best(Destination, milli(orderNow)); best == nil || best.job.Kind != c.want {
			t.Errorf("with %d rows of CHANGE to compare, first comes %+v, want a %s", c.change, best, c.want)
		}
	}
}

// TestLooksWhenALostJobComesBack: the queue gives it to another worker after ten
// minutes, and from then on it takes as long as any.
func TestLooksWhenALostJobComesBack(t *testing.T) {
	j := Job{Kind: Restore, Expected: 2 * time.Second, Urgent: true}
	at := time.Duration(0)
	for at < redelivery {
		at += j.PollAfter(at)
	}
	if at != redelivery {
		t.Fatalf("looks %v after it began, want at %v", at, redelivery)
	}
	for range 4 {
		at += j.PollAfter(at)
	}
	if at > redelivery+2*time.Second {
		t.Errorf("has looked four times by %v, want within the two seconds that it should take", at)
	}
	long := Job{Kind: Restore, Expected: 20 * time.Minute}
	if wait := long.PollAfter(redelivery); wait < 10*time.Second {
		t.Errorf("a job of twenty minutes is looked at after another %v", wait)
	}
}

// TestSpareBackups: where the source has nothing else to do, backups go further ahead
// than their restorer needs, up to two minutes of restores, so that these go on while
// the source does not answer; what another type needs now goes before.
func TestSpareBackups(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"NODE", "TEAM"}, Salt: "salt", Frozen: true})
	s.marked = true
	node, team := s.tables[0], s.tables[1]
	node.stage, team.stage = stageRepair, stageRepair
	for i := range int64(30) {
		p := piece{Span: Span{100 * i, 100*i + 50}, rows: 25_000} // about ten seconds each
		if p.state = pieceWaiting; i < 4 {
			p.state, p.key = pieceBacked, "backup.zip"
		}
		node.pieces = append(node.pieces, p)
	}
	team.pieces = []piece{{Span: Span{1, 9}, state: pieceWaiting, rows: 9}}
	first := s.best(Source, milli(orderNow))
	if first == nil || first.t != team {
		t.Fatalf("backs up %+v first, want TEAM, which waits for it", first)
	}
	s.start(*first, milli(orderNow))
	made := 0
	for c := s.best(Source, milli(orderNow)); c != nil && made < 30; c = s.best(Source, milli(orderNow)) {
		if !c.spare || c.t != node || s.view().backing >= s.o.Backups-2 {
			t.Fatalf("then %+v with %d at once, want spare ones of NODE, two fewer than may run", c, s.view().backing)
		}
		j := s.start(*c, milli(orderNow))
		s.Take(Event{N: j.N, At: orderNow, Answer: &Answer{Key: "backup.zip", Took: 5 * time.Second}})
		made++
	}
	if ahead := float64(4+made) * node.expected(Restore, 25_000).Seconds(); ahead < 110 || ahead > 140 {
		t.Errorf("backups for %.0f s of restores are made ahead, want about 120", ahead)
	}
}
