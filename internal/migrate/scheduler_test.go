package migrate

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestBacksOff: where long jobs take much longer than they did, fewer run at once;
// when they take as long as before, as many as were asked for do again.
func TestBacksOff(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"NODE"}, Salt: "salt"})
	took := func(d time.Duration, times int) {
		for range times {
			f := &flight{Job: Job{Kind: Restore, Side: Destination, Type: "NODE"}, rows: 10_000, t: s.tables[0], long: true}
			s.adapt(f, Record{Op: opDone, Rows: 10_000, Took: d.Milliseconds()})
		}
	}
	asked := s.most[Destination]
	took(5*time.Second, 30)
	if s.most[Destination] != asked {
		t.Fatalf("%d long jobs at once although nothing slowed, want %d", s.most[Destination], asked)
	}
	took(15*time.Second, 30)
	if s.most[Destination] >= asked {
		t.Errorf("%d long jobs at once while each takes three times as long", s.most[Destination])
	}
	if advice := strings.Join(s.Report(time.Now()).Advice, "\n"); !strings.Contains(advice, "Lower restore-parallelism") {
		t.Errorf("the report advises %q", advice)
	}
	took(5*time.Second, 60)
	if s.most[Destination] != asked {
		t.Errorf("%d long jobs at once after it recovered, want %d", s.most[Destination], asked)
	}
}

// TestBackingOffRaisesNothing: where one at a time was asked for, a refusal leaves it.
func TestBackingOffRaisesNothing(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"NODE"}, Salt: "salt", Restores: 1})
	s.jobs[1] = &flight{Job: Job{N: 1, Kind: Restore, Side: Destination, Type: "NODE"}, t: s.tables[0]}
	s.Take(Event{N: 1, Refused: "503"})
	if s.most[Destination] != 1 {
		t.Errorf("%d long jobs at once after a refusal, where 1 was asked for", s.most[Destination])
	}
}

// TestComesBackAfterRefusals: while a stack takes no job one at a time asks whether it
// does again, and soon after it does as many run at once as before.
func TestComesBackAfterRefusals(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"NODE"}, Salt: "salt", Frozen: true})
	s.marked = true
	node := s.tables[0]
	node.lower, node.upper, node.compared = 1, 100_000_000, true
	s.compare(node, Span{1, node.upper})
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	of := func(jobs []Job) (out []Job) {
		for _, j := range jobs {
			if j.Side == Destination {
				out = append(out, j)
			}
		}
		return out
	}
	first := of(s.Next(now))
	if len(first) < 4 {
		t.Fatalf("began with %d jobs on the destination, want several", len(first))
	}
	for _, j := range first {
		s.Take(Event{N: j.N, At: now, Refused: "503"})
	}
	for range 10 { // it is silent for half a minute
		now = now.Add(3 * time.Second)
		jobs := of(s.Next(now))
		if len(jobs) != 1 {
			t.Fatalf("%d jobs ask a stack that takes none, want one", len(jobs))
		}
		if more := of(s.Next(now)); len(more) != 0 {
			t.Fatalf("another %d are started before the one is answered", len(more))
		}
		s.Take(Event{N: jobs[0].N, At: now, Refused: "503"})
	}
	if s.most[Destination] != 2 {
		t.Errorf("%d long jobs at once while it takes none, want 2", s.most[Destination])
	}
	taken := 0
	for now = now.Add(3 * time.Second); s.most[Destination] < s.asked[Destination] && taken < 20; now = now.Add(time.Second) {
		for _, j := range of(s.Next(now)) {
			taken++
			s.Take(Event{N: j.N, At: now, ServerID: strconv.Itoa(taken)})
			s.Take(Event{N: j.N, At: now, Failed: "so that another one starts"})
		}
		s.row = [2]row{}
	}
	if s.most[Destination] != s.asked[Destination] || taken > 10 {
		t.Errorf("%d long jobs at once after it took %d, want %d after eight", s.most[Destination], taken, s.asked[Destination])
	}
}

// TestNothingToCopy: types that are empty on both sides cost no job, and a type that
// only the destination has rows of is cleared.
func TestNothingToCopy(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"EMPTY", "GONE"}, Salt: "salt", Frozen: true})
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	jobs := s.Next(now)
	if len(jobs) != 2 || jobs[0].Kind != Counts || jobs[1].Kind != Counts {
		t.Fatalf("began with %v, want one counts job for each side", jobs)
	}
	for _, j := range jobs {
		a := &Answer{Marks: map[string]Mark{}}
		if j.Side == Destination {
			a.Marks["GONE"] = Mark{Span: Span{Min: 3, Max: 9}, Any: true}
		}
		s.Take(Event{N: j.N, At: now, ServerID: "1"})
		s.Take(Event{N: j.N, At: now, Answer: a})
	}
	jobs = s.Next(now)
	if len(jobs) != 1 || jobs[0].Type != "GONE" || jobs[0].Kind != Ranges || jobs[0].Span != (Span{3, 9}) {
		t.Errorf("went on with %+v, want GONE's range 3 to 9", jobs)
	}
}

// TestAnUnknownRestoreHoldsItsType: a restore of which nobody knows whether it runs
// must not get a second one of its type beside it.
func TestAnUnknownRestoreHoldsItsType(t *testing.T) {
	o := Options{Types: []string{"TEAM"}, Salt: "salt", Frozen: true}
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	one := Span{1, 9}
	records := []Record{
		{Op: opMarked, At: milli(now), Marks: map[string][2]Mark{"TEAM": {{Span: one, Any: true}, {}}}},
		{Op: opStart, At: milli(now), N: 1, Job: &Job{N: 1, Kind: Ranges, Type: "TEAM", Span: one}},
		{Op: opDone, At: milli(now), N: 1, Spans: []Span{one}},
		{Op: opStart, At: milli(now), N: 2, Job: &Job{N: 2, Kind: Backup, Type: "TEAM", Span: one}},
		{Op: opDone, At: milli(now), N: 2, Key: "backup.zip"},
		{Op: opStart, At: milli(now), N: 3, Job: &Job{N: 3, Kind: Restore, Side: Destination, Type: "TEAM", Span: one, Key: "backup.zip"}},
	}
	s := NewScheduler(o)
	for _, r := range records {
		s.Replay(r)
	}
	if jobs := s.Resume(now.Add(time.Second)); len(jobs) != 0 {
		t.Fatalf("follows %v, of which nobody knows the ID", jobs)
	}
	if jobs := s.Next(now.Add(2 * time.Second)); len(jobs) != 0 {
		t.Errorf("started %+v although the restore before may be running", jobs)
	}
	jobs := s.Next(now.Add(time.Hour))
	if len(jobs) != 1 || jobs[0].Kind != Restore || jobs[0].Key != "backup.zip" {
		t.Errorf("an hour later: %+v, want the restore again, from the same backup", jobs)
	}
}

// TestNothingHasTwoTwins: when one of two that do the same fails, the other is
// waited for, and no third is started; when it fails as well, the range counts as
// having failed.
func TestNothingHasTwoTwins(t *testing.T) {
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	s := NewScheduler(Options{Types: []string{"TEAM"}, Salt: "salt", Frozen: true})
	one := Span{1, 9}
	for _, r := range []Record{
		{Op: opMarked, At: milli(now), Marks: map[string][2]Mark{"TEAM": {{Span: one, Any: true}, {}}}},
		{Op: opStart, At: milli(now), N: 1, Job: &Job{N: 1, Kind: Ranges, Type: "TEAM", Span: one}},
		{Op: opDone, At: milli(now), N: 1, Spans: []Span{one}},
	} {
		s.Replay(r)
	}
	next := func(after time.Duration, want int) []Job {
		t.Helper()
		jobs := s.Next(now.Add(after))
		if len(jobs) != want {
			t.Fatalf("after %v: started %+v, want %d jobs", after, jobs, want)
		}
		for _, j := range jobs {
			s.Take(Event{N: j.N, At: now.Add(after), ServerID: "1"})
		}
		return jobs
	}
	first := next(0, 1)[0]
	twin := next(10*time.Minute, 1)[0]
	if !twin.Twin || twin.Kind != Backup || twin.Span != first.Span {
		t.Fatalf("ten minutes later: %+v, want a twin of %+v", twin, first)
	}
	s.Take(Event{N: twin.N, At: now.Add(11 * time.Minute), Failed: "deadlock"})
	next(time.Hour, 0)
	s.Take(Event{N: first.N, At: now.Add(2 * time.Hour), Failed: "deadlock"})
	if again := next(3*time.Hour, 1)[0]; again.Twin || again.Span != first.Span {
		t.Errorf("when both had failed: %+v, want the range once more", again)
	}
}

// TestASingleIDIsTriedMore: two deadlocks are bad luck, and an ID cannot be halved.
func TestASingleIDIsTriedMore(t *testing.T) {
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	s := NewScheduler(Options{Types: []string{"TEAM"}, Salt: "salt", Frozen: true})
	one := Span{7, 7}
	for _, r := range []Record{
		{Op: opMarked, At: milli(now), Marks: map[string][2]Mark{"TEAM": {{Span: one, Any: true}, {}}}},
		{Op: opStart, At: milli(now), N: 1, Job: &Job{N: 1, Kind: Ranges, Type: "TEAM", Span: one}},
		{Op: opDone, At: milli(now), N: 1, Spans: []Span{one}},
	} {
		s.Replay(r)
	}
	failures := 0
	for len(s.tables[0].givenUp) == 0 && failures < 20 {
		now = now.Add(time.Minute)
		for _, j := range s.Next(now) {
			s.Take(Event{N: j.N, At: now, ServerID: "1"})
			s.Take(Event{N: j.N, At: now, Failed: "deadlock"})
			failures++
		}
	}
	if failures != lastTries {
		t.Errorf("given up after %d failures, want %d", failures, lastTries)
	}
}

// TestNothingBesideChange: when everything is compared again while CHANGE is being
// restored, what differs waits until that is over.
func TestNothingBesideChange(t *testing.T) {
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	one := Span{1, 9}
	s := NewScheduler(Options{Types: []string{"TEAM", Change}, Salt: "salt", Frozen: true})
	for _, r := range []Record{
		{Op: opMarked, Marks: map[string][2]Mark{"TEAM": {{Span: one, Any: true}, {Span: one, Any: true}}, Change: {{Span: one, Any: true}, {}}}},
		{Op: opStart, N: 1, Job: &Job{N: 1, Kind: Checksum, Type: "TEAM", Span: one, Size: s.bin(s.tables[0])}},
		{Op: opStart, N: 2, Job: &Job{N: 2, Kind: Checksum, Side: Destination, Type: "TEAM", Span: one, Size: s.bin(s.tables[0])}},
		{Op: opCompared, N: 2, Rows: 9},
		{Op: opStart, N: 3, Job: &Job{N: 3, Kind: Ranges, Type: Change, Span: one}},
		{Op: opDone, N: 3, Spans: []Span{one}},
		{Op: opStart, N: 4, Job: &Job{N: 4, Kind: Backup, Type: Change, Span: one}},
		{Op: opDone, N: 4, Key: "backup.zip"},
		{Op: opStart, N: 5, Job: &Job{N: 5, Kind: Restore, Side: Destination, Type: Change, Span: one, Key: "backup.zip"}},
		{Op: opAccepted, N: 5, ID: "1"},
	} {
		r.At = milli(now)
		s.Replay(r)
	}
	s.Distrust(now)
	wait := func(kind Kind) bool { // until there is a job of that kind; all others go well
		for range 20 {
			now = now.Add(time.Second)
			for _, j := range s.Next(now) {
				if j.Kind == kind {
					return true
				}
				a := &Answer{Key: "other.zip"}
				if j.Side == Source {
					a.Bins = []Bin{{Number: 0, Count: 9, Min: 1, Max: 9}}
				}
				s.Take(Event{N: j.N, At: now, ServerID: "2", Answer: a})
			}
		}
		return false
	}
	if wait(Restore) {
		t.Fatal("TEAM is restored beside CHANGE")
	}
	s.Take(Event{N: 5, At: now, Answer: &Answer{Rows: 9}})
	if !wait(Restore) {
		t.Errorf("TEAM is never restored: %s", s.Progress(now))
	}
}
