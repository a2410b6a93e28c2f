package migrate

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// failing lets every checksum of some types fail, and all else go well, until all is
// done. It returns how many jobs failed.
func failing(t *testing.T, s *Scheduler, fails func(j Job) bool) int {
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
				a.Marks[name] = Mark{Span{1, 4_000_000}, true}
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
