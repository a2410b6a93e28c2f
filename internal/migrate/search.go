package migrate

import "time"

// How far, how often and for how long the job behind a lost answer is looked for.
const (
	searchReach = 64                     // IDs, beyond the highest one known before
	searchGap   = 16                     // IDs in a row without a job: what lies beyond was not given yet
	searchEach  = 250 * time.Millisecond // the stack has others to look at
	searchTurns = 4                      // through the IDs
	searchPause = 5 * time.Second        // before the second turn, and so much longer before each further one
	searchMost  = 90 * time.Second       // where looks take long: the stack does not answer
)

// A Search goes through the IDs that a restore may have whose ID nobody learned:
// those that follow the highest one given before. Not safe for concurrent use.
type Search struct {
	after, last int64
	others      map[int64]bool
	empty       int // IDs in a row that showed no job
	turns       int // that are over
	until       time.Time
}

// NewSearch begins one for a job that is Findable.
func NewSearch(j Job, now time.Time) *Search {
	return &Search{after: j.After, last: j.After, others: map[int64]bool{}, until: now.Add(searchMost)}
}

// Next is which ID to look at, after what wait. It is not ok where there is nothing
// more to look at: then what became of the job is not known.
func (s *Search) Next(now time.Time) (id int64, wait time.Duration, ok bool) {
	wait = searchEach
	s.skip()
	if s.last > s.after+searchReach || s.empty >= searchGap {
		s.turns++
		wait = searchPause * time.Duration(s.turns)
		s.last, s.empty = s.after, 0
		s.skip()
	}
	s.empty++
	return s.last, wait, s.last <= s.after+searchReach && s.turns < searchTurns && now.Add(wait).Before(s.until)
}

func (s *Search) skip() {
	for s.last++; s.others[s.last]; s.last++ {
		s.empty = 0
	}
}

// Other notes that the last look has shown another job, which keeps its ID.
func (s *Search) Other() { s.others[s.last], s.empty = true, 0 }
