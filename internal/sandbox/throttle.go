package sandbox

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	mostAtOnce  = 3
	mostAMinute = 600
)

// throttle holds the counters of the service's two rules, by caller and address.
// The minute slides: stricter than counting in blocks, so a client that passes
// here passes there.
type throttle struct {
	mu      sync.Mutex
	callers map[string]*paced
}

type paced struct {
	now    int
	recent [mostAMinute]int64 // when the last calls came, as a ring
	calls  int64
}

func (t *throttle) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.callers {
		p.calls = 0 // the calls in flight still end
	}
}

// throttled tells whether the rules apply: user 1 and anonymous are exempt, and
// so is everything under /auth/v1.
func throttled(c *caller, path string) bool {
	return !c.anonymous && c.id != adminUser &&
		(strings.HasPrefix(path, "/repo/v1/") || strings.HasPrefix(path, "/file/v1/"))
}

// enter counts a call in, or returns the 429 that turns it away. leave must be
// called once it has ended.
func (t *throttle) enter(c *caller, r *http.Request) (leave func(), turnedAway *answer) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	key := strconv.FormatInt(c.id, 10) + "@" + host
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.callers == nil {
		t.callers = map[string]*paced{}
	}
	p := t.callers[key]
	if p == nil {
		p = &paced{}
		t.callers[key] = p
	}
	if p.now >= mostAtOnce {
		a := raw(http.StatusTooManyRequests, "Too many concurrent requests. Allowed 3 concurrent connections at any time.")
		return nil, &a
	}
	now := time.Now().UnixNano()
	slot := &p.recent[p.calls%mostAMinute]
	if p.calls >= mostAMinute && now-*slot < int64(time.Minute) {
		a := tooFrequent()
		return nil, &a
	}
	*slot = now
	p.calls++
	p.now++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		p.now--
	}, nil
}

func tooFrequent() answer {
	return raw(http.StatusTooManyRequests, "Requests are too frequent. Allowed 600 requests every 60 seconds.")
}
