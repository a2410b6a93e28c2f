package migrate

import "time"

// A Hold is a type that waits because nobody knows whether a restore of it runs,
// beside which no other may.
type Hold struct {
	Type   string    `json:"type"`
	Until  time.Time `json:"until"`            // then that restore must be over
	Sought bool      `json:"sought,omitempty"` // its job is looked for, which may end the wait
}

// soughtSoon is how long a job is looked for before anybody hears of it: most are
// found sooner.
const soughtSoon = 5 * time.Second

// Held lists the types that wait so. There is nothing to do about it, and it is no
// sign that something is wrong.
func (s *Scheduler) Held(now time.Time) []Hold {
	var out []Hold
	for _, t := range s.tables {
		if t.head >= len(t.pieces) {
			continue
		}
		if p := &t.pieces[t.head]; p.held && p.notBefore > milli(now) {
			out = append(out, Hold{Type: t.name, Until: time.UnixMilli(p.notBefore).UTC()})
		}
	}
	for _, n := range s.inFlight() {
		if f := s.jobs[n]; f.missing() && milli(now) >= f.sought+soughtSoon.Milliseconds() {
			out = append(out, Hold{Type: f.Type, Until: time.UnixMilli(f.overBy(f.sought + searchMost.Milliseconds())).UTC(), Sought: true})
		}
	}
	return out
}

// missing: whether the job runs is not known, and it is being looked for.
func (f *flight) missing() bool { return f.sought > 0 && f.ServerID == "" }

// overBy is when a restore must be over of which nobody knows whether it runs since
// lost. How long it was under way before tells nothing: its start may have waited for
// its turn, or hung, and it may have been taken only then.
func (f *flight) overBy(lost int64) int64 {
	return lost + max(lostRestore, 4*f.expected).Milliseconds()
}
