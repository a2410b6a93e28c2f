package adminapi

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// How often a call is sent at most, by what went wrong.
const (
	mostTries          = 5
	mostThrottledTries = 10 // a throttled request cost the service nothing
	mostInternalTries  = 3  // 500 may also mean an ID it does not know
)

// Waits between tries.
const (
	firstPause     = time.Second
	longestPause   = 10 * time.Second
	mostRetryAfter = 2 * time.Minute
)

// tries counts the tries of one call.
type tries struct {
	all, internal int
	may           bool // one of them may have done it
}

func (t *tries) add(f *fault) {
	t.all++
	if f.status == http.StatusInternalServerError {
		t.internal++
	}
	t.may = t.may || f.may
}

// again decides whether a call may be, and is worth being, sent once more after
// f. A write that must not be sent twice is, only when it surely was not carried
// out: refused by the throttle, turned away with 503, or never sent.
func (t *tries) again(k class, f *fault) bool {
	switch {
	case !f.passing, k == once && f.may:
		return false
	case f.status == http.StatusTooManyRequests:
		return t.all < mostThrottledTries
	case f.status == http.StatusInternalServerError:
		return t.internal < mostInternalTries && t.all < mostTries
	}
	return t.all < mostTries
}

// pause is how long to wait before the next try: anything up to twice the last
// bound, so that many clients do not come back together, and not before the
// service said.
func (t *tries) pause(f *fault) time.Duration {
	bound := longestPause
	if shift := t.all - 1; shift < 4 {
		bound = min(firstPause<<shift, longestPause)
	}
	return max(f.after, rand.N(bound))
}

// retryAfter reads the header of that name, in seconds or a date; zero when there
// is none that makes sense.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	var d time.Duration
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		d = time.Duration(min(n, int64(mostRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), mostRetryAfter)
}
