package migrate

import "time"

// A Hold is a type that waits because nobody knows whether a restore of it runs,
// beside which no other may.
type Hold struct {
	Type  string    `json:"type"`
	Until time.Time `json:"until"` // then that restore must be over
}

// Held lists the types that wait so. There is nothing to do about it, and it is no
// sign that something is wrong.
func (s *Scheduler) Held(now time.Time) []Hold {
	var out []Hold
	for _, t := range s.tables {
		if t.head >= len(t.pieces) {
			continue
		}
		if p := &t.pieces[t.head]; p.held && p.notBefore > milli(now) {
			out = append(out, Hold{t.name, time.UnixMilli(p.notBefore).UTC()})
		}
	}
	return out
}
