package sandbox

import (
	"maps"
	"sync"
	"time"
)

// A Call is one API call as the sandbox saw it.
type Call struct {
	N      int64     `json:"n"` // from 1, in the order in which they ended
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	Path   string    `json:"path"` // with its query
	// Status is what was answered, or would have been had the answer not been
	// dropped; 0 when the call was never handled.
	Status int      `json:"status"`
	User   string   `json:"user,omitempty"`   // ID; "" for anonymous
	Body   string   `json:"body,omitempty"`   // SHA-256 of the request body, "" without
	Faults []string `json:"faults,omitempty"` // kinds that struck
}

// callLog holds the last calls and counts them all.
type callLog struct {
	mu       sync.Mutex
	ring     []Call
	most     int
	total    int64
	counts   map[string]int64
	inFlight int
	peak     int
}

func newCallLog(most int) *callLog {
	return &callLog{most: most, counts: map[string]int64{}}
}

func (l *callLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring, l.total, l.counts, l.peak = nil, 0, map[string]int64{}, l.inFlight
}

func (l *callLog) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight++
	l.peak = max(l.peak, l.inFlight)
}

// end files c under name, its route's pattern.
func (l *callLog) end(c Call, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	l.total++
	c.N = l.total
	l.counts[name]++
	if len(l.ring) < l.most {
		l.ring = append(l.ring, c)
	} else {
		l.ring[(l.total-1)%int64(l.most)] = c
	}
}

// since returns the remembered calls numbered above n, oldest first.
func (l *callLog) since(n int64) []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := max(n, l.total-int64(len(l.ring)))
	out := make([]Call, 0, max(l.total-first, 0))
	for i := first; i < l.total; i++ {
		out = append(out, l.ring[i%int64(l.most)])
	}
	return out
}

// Calls returns the calls it remembers, oldest first: all, or the last
// Config.CallLog.
func (s *Synapse) Calls() []Call { return s.calls.since(0) }

// Total is how many calls there have been, forgotten ones included.
func (s *Synapse) Total() int64 {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	return s.calls.total
}

// Counts returns how many calls each route has had, forgotten ones included, by
// "METHOD pattern", such as "POST /repo/v1/admin/redact/user/{id}". Calls that
// were turned away or reached no route are under "METHOD".
func (s *Synapse) Counts() map[string]int64 {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	return maps.Clone(s.calls.counts)
}

// MostInFlight is the most calls there have been at once.
func (s *Synapse) MostInFlight() int {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	return s.calls.peak
}
