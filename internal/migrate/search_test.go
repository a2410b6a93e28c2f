package migrate

import (
	"slices"
	"testing"
	"time"
)

// newLostRestore returns a scheduler that has just started its first restore, TEAM's,
// of which nothing is heard. Before that the stacks had given these IDs.
func newLostRestore(t *testing.T, source, destination string) (*Scheduler, time.Time) {
	t.Helper()
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	one := Span{1, 9}
	s := NewScheduler(Options{Types: []string{"TEAM", "NODE"}, Salt: "salt", Frozen: true})
	for _, r := range []Record{
		{Op: opStart, At: milli(now), N: 10, Job: &Job{N: 10, Kind: Counts}},
		{Op: opAccepted, At: milli(now), N: 10, ID: source},
		{Op: opStart, At: milli(now), N: 11, Job: &Job{N: 11, Kind: Counts, Side: Destination}},
		{Op: opAccepted, At: milli(now), N: 11, ID: destination},
		{Op: opStart, At: milli(now), N: 12, Job: &Job{N: 12, Kind: Counts, Side: Destination}},
		{Op: opAccepted, At: milli(now), N: 12, ID: "-7"}, // the highest counts, not the last
		{Op: opMarked, At: milli(now), Marks: map[string][2]Mark{"TEAM": {{Span: one, Any: true}, {}}}},
		{Op: opStart, At: milli(now), N: 1, Job: &Job{N: 1, Kind: Ranges, Type: "TEAM", Span: one}},
		{Op: opDone, At: milli(now), N: 1, Spans: []Span{one}},
		{Op: opStart, At: milli(now), N: 2, Job: &Job{N: 2, Kind: Backup, Type: "TEAM", Span: one}},
		{Op: opDone, At: milli(now), N: 2, Key: "backup.zip"},
	} {
		s.Replay(r)
	}
	jobs := s.Next(now)
	if len(jobs) != 1 || jobs[0].Kind != Restore {
		t.Fatalf("went on with %+v, want TEAM's restore", jobs)
	}
	return s, now
}

// TestARestoreIsLookedFor by whoever goes on, among the IDs after the highest one that
// its own stack had given before; meanwhile its type waits, and that is told.
func TestARestoreIsLookedFor(t *testing.T) {
	s, now := newLostRestore(t, "900", "100")
	later := Job{N: s.lastN + 1, Kind: Checksum, Side: Destination, Type: "NODE"}
	s.Replay(Record{Op: opStart, At: milli(now), N: later.N, Job: &later})
	s.Replay(Record{Op: opAccepted, At: milli(now), N: later.N, ID: "107"})
	var sought Job
	for _, j := range s.Resume(now.Add(time.Second)) {
		if j.Kind == Restore {
			sought = j
		}
	}
	if sought.Sought == "" || sought.After != 100 || sought.ServerID != "" {
		t.Fatalf("goes on with %+v, want it to be looked for after ID 100", sought)
	}
	if held := s.Held(now.Add(2 * time.Second)); len(held) != 0 {
		t.Errorf("told at once: %+v", held)
	}
	want := Hold{Type: "TEAM", Until: now.Add(time.Second + searchMost + 3*time.Minute), Sought: true}
	if held := s.Held(now.Add(8 * time.Second)); len(held) != 1 || held[0] != want {
		t.Errorf("told %+v, want %+v", held, want)
	}
	if p := s.Progress(now.Add(2 * time.Minute)); p.Overdue != "" {
		t.Errorf("told of a restore of which nobody knows whether it runs: %s", p.Overdue)
	}
	s.Take(Event{N: sought.N, At: now.Add(9 * time.Second), ServerID: "103"})
	if held := s.Held(now.Add(10 * time.Second)); len(held) != 0 {
		t.Errorf("it was found, but told: %+v", held)
	}
	if f := s.jobs[sought.N]; f == nil || f.ServerID != "103" {
		t.Errorf("in flight is %+v", f)
	}
}

// TestARestoreThatIsNotFound holds its type, as one that could not be looked for.
func TestARestoreThatIsNotFound(t *testing.T) {
	s, now := newLostRestore(t, "900", "100")
	s.Take(Event{N: s.lastN, At: now, Sought: true})
	if jobs := s.Next(now.Add(time.Minute)); len(jobs) != 0 {
		t.Errorf("started %+v while it is looked for", jobs)
	}
	s.Take(Event{N: s.lastN, At: now.Add(time.Minute), Lost: "504"})
	want := Hold{Type: "TEAM", Until: now.Add(4 * time.Minute)}
	if held := s.Held(now.Add(2 * time.Minute)); len(held) != 1 || held[0] != want {
		t.Errorf("told %+v, want %+v", held, want)
	}
	if jobs := s.Next(now.Add(2 * time.Minute)); len(jobs) != 0 {
		t.Errorf("started %+v beside one that may run", jobs)
	}
	// It may have been there all along: what the next start looks for is the same, so
	// that the first would be taken for the second.
	jobs := s.Next(now.Add(4 * time.Minute))
	if len(jobs) != 1 || jobs[0].Kind != Restore || jobs[0].Findable() {
		t.Fatalf("went on with %+v, want the restore, which cannot be told from the one before", jobs)
	}
	s.Take(Event{N: jobs[0].N, At: now.Add(4 * time.Minute), Refused: "503"})
	jobs = s.Next(now.Add(5 * time.Minute))
	if len(jobs) != 1 || jobs[0].Findable() {
		t.Fatalf("went on with %+v, which cannot be told from the first either", jobs)
	}
	s.Take(Event{N: jobs[0].N, At: now.Add(5 * time.Minute), ServerID: "130"})
	s.Take(Event{N: jobs[0].N, At: now.Add(5 * time.Minute), Failed: "Deadlock"})
	if jobs = s.Next(now.Add(7 * time.Minute)); len(jobs) != 1 || jobs[0].After != 130 || !jobs[0].Findable() {
		t.Errorf("went on with %+v, to be looked for after ID 130", jobs)
	}
}

// TestAStartThatHung may have been taken until its answer was lost, and a restore that was
// followed may have run until then: what holds its type is counted from there.
func TestAStartThatHung(t *testing.T) {
	for name, c := range map[string]struct {
		id   string
		lost time.Duration
	}{
		"a minute":                      {"", time.Minute},
		"longer than a start may":       {"", 20 * time.Minute},
		"and was found gone much later": {"110", 20 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s, now := newLostRestore(t, "900", "none")
			if c.id != "" {
				s.Take(Event{N: s.lastN, At: now, ServerID: c.id})
			}
			s.Take(Event{N: s.lastN, At: now.Add(c.lost), Lost: "the connection was reset"})
			over := now.Add(c.lost + 3*time.Minute)
			if jobs := s.Next(over.Add(-time.Second)); len(jobs) != 0 {
				t.Errorf("started %+v beside one that may run", jobs)
			}
			if jobs := s.Next(over.Add(time.Second)); len(jobs) != 1 || jobs[0].Kind != Restore {
				t.Errorf("went on with %+v, want the restore", jobs)
			}
		})
	}
}

// TestWhatIsNotLookedFor: a job that only reads, one on a stack of which no ID is known
// or whose IDs are no numbers.
func TestWhatIsNotLookedFor(t *testing.T) {
	for name, c := range map[string]struct {
		destination string
		after       time.Duration
	}{
		"IDs that are no numbers": {"3f9c-11", time.Second},
		"IDs of another base":     {"0x64", time.Second},
		"a number below":          {"-4", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s, now := newLostRestore(t, "900", c.destination)
			if jobs := s.Resume(now.Add(c.after)); len(jobs) != 0 {
				t.Errorf("goes on with %+v", jobs)
			}
			if r := s.Records(); len(r) < 2 || r[len(r)-1].Op != opLost {
				t.Errorf("wrote down %+v", r)
			}
		})
	}
	if j := (Job{Kind: Backup, After: 100}); j.Findable() {
		t.Error("a backup is looked for")
	}
}

// TestLookingHoldsUpNothing: of a stack that had refused jobs, one that is looked for
// does not tell whether it takes them again, so that another asks.
func TestLookingHoldsUpNothing(t *testing.T) {
	s, now := newLostRestore(t, "900", "100")
	s.refused(Destination)
	if !s.probing(Destination) {
		t.Error("the restore's start is not what asks")
	}
	s.Take(Event{N: s.lastN, At: now, Sought: true})
	if s.probing(Destination) {
		t.Error("nothing else asks while it is looked for")
	}
}

// TestIDsAreLookedAtInOrder, each other job's once, and the others again a few times.
func TestIDsAreLookedAtInOrder(t *testing.T) {
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	s := NewSearch(Job{After: 100}, now)
	looks := map[int64]int{}
	var first []int64
	began := now
	for {
		id, wait, ok := s.Next(now)
		if !ok {
			break
		}
		now = now.Add(wait)
		if looks[id]++; looks[id] == 1 {
			first = append(first, id)
		}
		if id == 103 || id == 105 {
			s.Other()
		}
	}
	if looks[103] != 1 || looks[105] != 1 || looks[102] != searchTurns || looks[105+searchGap] != searchTurns {
		t.Errorf("looked %v", looks)
	}
	if n := int64(len(first)); n != 5+searchGap || !slices.IsSorted(first) || first[0] != 101 || first[n-1] != 105+searchGap {
		t.Errorf("looked at %v", first)
	}
	if took := now.Sub(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	// Nor is it looked beyond the last ID within reach, but at that as often.
	s, looks = NewSearch(Job{After: 100}, now), map[int64]int{}
	for id, wait, ok := s.Next(now); ok; id, wait, ok = s.Next(now) {
		now = now.Add(wait)
		if looks[id]++; id < 160 {
			s.Other()
		}
	}
	if looks[100+searchReach] != searchTurns || looks[101+searchReach] != 0 || looks[101] != 1 {
		t.Errorf("looked %v", looks)
	}
	// A stack that does not answer is not asked for ever.
	began, s = now, NewSearch(Job{After: 100}, now)
	for _, wait, ok := s.Next(now); ok; _, wait, ok = s.Next(now) {
		now = now.Add(wait + 10*time.Second)
	}
	if took := now.Sub(began); took < searchMost-10*time.Second || took > searchMost+10*time.Second {
		t.Errorf("it was asked for %v, want %v", took, searchMost)
	}
}
