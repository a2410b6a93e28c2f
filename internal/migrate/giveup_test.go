package migrate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// bothFull: both sides have the same IDs.
func bothFull(Side) Mark { return Mark{Span{1, 4_000_000}, true} }

// failing lets some jobs fail, and all others go well, until all is done. It returns
// how many failed.
func failing(t *testing.T, s *Scheduler, fails func(j Job) bool) int {
	t.Helper()
	return failingWith(t, s, bothFull, fails)
}

func failingWith(t *testing.T, s *Scheduler, mark func(Side) Mark, fails func(j Job) bool) int {
	t.Helper()
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	failures := 0
	for turn := 0; !s.Done(); turn++ {
		if turn > 20_000 {
			t.Fatalf("no end: %s", s.Progress(now))
		}
		now = now.Add(time.Second)
		for _, j := range s.Next(now) {
			s.Take(Event{N: j.N, At: now, ServerID: fmt.Sprint(j.N)})
			if fails(j) {
				failures++
				s.Take(Event{N: j.N, At: now, Failed: "lock wait timeout"})
				continue
			}
			a := &Answer{Key: "k", Marks: map[string]Mark{}}
			for _, name := range j.Types {
				a.Marks[name] = mark(j.Side)
			}
			s.Take(Event{N: j.N, At: now, Answer: a})
		}
	}
	return failures
}

// TestATypeThatIsNeverCompared costs each of its parts a try or two, is not copied
// whole, and is told as one range that nobody knows to be right.
func TestATypeThatIsNeverCompared(t *testing.T) {
	for _, o := range []Options{{Frozen: true}, {NoRestore: true}} {
		o.Types, o.Salt, o.Batch = []string{"ACL", "TEAM"}, "salt", 100
		o.AllTypes = o.Types
		s := NewScheduler(o)
		n := failing(t, s, func(j Job) bool { return j.Kind == Checksum && j.Type == "ACL" })
		r := s.Report(time.Now())
		if s.stopped != nil || r.Unsure != 1 || len(r.Types[0].Unsure) != 1 || r.Types[0].Unsure[0] != (Span{1, 4_000_000}) || len(r.Types[1].Unsure) > 0 {
			t.Errorf("%v; not compared: %+v", s.stopped, r.Types)
		}
		if r.Jobs[string(Backup)] > 0 {
			t.Errorf("%d backups of what nobody compared", r.Jobs[string(Backup)])
		}
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), "ACL from 1 to 4000000 (lock wait timeout)") {
			t.Errorf("it ended with %v", err)
		}
		if n > 1000 {
			t.Errorf("%d jobs failed", n)
		}
	}
}

// TestTooMuchNotCompared ends the run, and says what the limit is.
func TestTooMuchNotCompared(t *testing.T) {
	o := Options{Types: []string{"ACL"}, AllTypes: []string{"ACL"}, Salt: "salt", Batch: 100, Frozen: true}
	s := NewScheduler(o)
	failing(t, s, func(j Job) bool {
		if j.Kind != Checksum {
			return false
		}
		for id := int64(50); id < 4_000_000; id += 300_000 {
			if j.Min <= id && id <= j.Max {
				return true
			}
		}
		return false
	})
	if s.stopped == nil || !strings.HasPrefix(s.stopped.Error(), "10 ranges could not be copied or compared, which is the limit; the last with: lock wait timeout") {
		t.Errorf("it ended with %v", s.stopped)
	}
}

// TestNoCounts: without them nothing can begin, so they are tried for some minutes
// and end the run then.
func TestNoCounts(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"ACL"}, AllTypes: []string{"ACL"}, Salt: "salt"})
	n := failing(t, s, func(j Job) bool { return j.Kind == Counts && j.Side == Source })
	if s.stopped == nil || n != countTries || !strings.Contains(s.stopped.Error(), "counting on the source failed 12 times") {
		t.Errorf("%d tries, ended with %v", n, s.stopped)
	}
}

// TestABinThatIsComparedAfterAll: each part on the way to it is tried once, the bin
// itself five times, and what goes well the fifth time is neither copied nor told.
func TestABinThatIsComparedAfterAll(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"ACL", "TEAM"}, AllTypes: []string{"ACL", "TEAM"}, Salt: "salt", Batch: 100, Frozen: true})
	tries := map[Span]int{}
	failing(t, s, func(j Job) bool {
		if j.Kind != Checksum || j.Side != Source || j.Type != "ACL" || j.Min > 50 || j.Max < 50 {
			return false
		}
		tries[j.Span]++
		return j.Max-j.Min >= j.Size || tries[j.Span] < lastTries
	})
	r := s.Report(time.Now())
	if s.stopped != nil || r.Unsure > 0 || r.Jobs[string(Backup)] > 0 || slices.ContainsFunc(r.Failures, func(f Failure) bool { return f.GivenUp }) {
		t.Errorf("%v; %+v", s.stopped, r)
	}
	if len(tries) < 8 {
		t.Errorf("it was not halved down to one bin: %v", tries)
	}
	for x, n := range tries {
		want := splitAfter - 1
		switch {
		case x.Max-x.Min < 5:
			want = lastTries
		case x.Max > 30_000:
			want = splitAfter
		}
		if n != want {
			t.Errorf("%d to %d was tried %d times, want %d: %v", x.Min, x.Max, n, want, tries)
		}
	}
}

// TestABinThatIsOnlyCompared is not verified, and passes for no difference.
func TestABinThatIsOnlyCompared(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"ACL", "TEAM"}, AllTypes: []string{"ACL", "TEAM"}, Salt: "salt", Batch: 100, NoRestore: true})
	failing(t, s, func(j Job) bool { return j.Kind == Checksum && j.Type == "ACL" && j.Min <= 50 && 50 <= j.Max })
	if r := s.Report(time.Now()); s.stopped != nil || r.Unsure != 1 || r.Differs != 0 || r.Types[0].Unsure[0] != (Span{50, 54}) {
		t.Errorf("%v; %+v", s.stopped, r.Types)
	}
}

// TestAHalvedComparisonIsNotFollowed: what the other side says of the whole is of no
// use, nor what that job's twin says.
func TestAHalvedComparisonIsNotFollowed(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"ACL"}, AllTypes: []string{"ACL"}, Salt: "salt", Batch: 100, Frozen: true})
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	var followed []int64 // comparisons of the whole at the destination
	for len(s.tables[0].sums) < 2 {
		now = now.Add(time.Second)
		for _, j := range s.Next(now) {
			e := Event{N: j.N, At: now, ServerID: fmt.Sprint(j.N)}
			if j.Kind == Counts {
				e.Answer = &Answer{Marks: map[string]Mark{"ACL": {Span{1, 1000}, true}}}
			}
			s.Take(e)
			if j.Kind == Checksum && j.Side == Destination {
				followed = append(followed, j.N)
			}
		}
		for _, n := range s.inFlight() {
			if f := s.jobs[n]; f != nil && f.Kind == Checksum && f.Side == Source && len(followed) == 2 {
				for _, n := range s.Take(Event{N: n, At: now, Failed: "lock wait timeout"}) {
					followed = slices.DeleteFunc(followed, func(x int64) bool { return x == n })
				}
			}
		}
		if now.Minute() > 30 {
			t.Fatalf("no end: %s", s.Progress(now))
		}
	}
	if len(followed) > 0 {
		t.Errorf("jobs %v are followed for nothing", followed)
	}
}

// TestRangesThatAreNotCut by the service: three tries of the first, two of the others,
// and the parts have two batches of rows at most, secondaries included.
func TestRangesThatAreNotCut(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"ACL"}, AllTypes: []string{"ACL"}, Salt: "salt", Batch: 100, Frozen: true})
	backups, most := 0, int64(0)
	n := failingWith(t, s, func(side Side) Mark {
		if side == Destination {
			return Mark{}
		}
		return Mark{Span{1, 1_000_000}, true}
	}, func(j Job) bool {
		if j.Kind == Backup {
			backups++
			most = max(most, j.Max-j.Min+1)
		}
		return j.Kind == Ranges
	})
	r := s.Report(time.Now())
	if err := r.Err(); s.stopped != nil || err != nil || most > 200 || backups < 5000 {
		t.Errorf("%v, %v; %d backups, of %d IDs at most", s.stopped, err, backups, most)
	}
	t.Logf("%d jobs failed", n)
	if n > 130 {
		t.Errorf("%d jobs failed", n)
	}
}

func TestAddSpan(t *testing.T) {
	var list []Span
	for _, x := range []Span{{10, 20}, {30, 40}, {5, 8}, {33, 35}, {21, 22}, {9, 9}} {
		list = addSpan(list, x)
	}
	if want := []Span{{5, 22}, {30, 40}}; !slices.Equal(list, want) {
		t.Errorf("%v, want %v", list, want)
	}
}
