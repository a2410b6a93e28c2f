package emulator

import (
	"sync"
	"time"
)

// throttles are the token buckets of all accounts.
type throttles struct {
	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// take takes a token of the bucket, which fills at rate; false when it is empty.
func (t *throttles) take(name string, rate Rate, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buckets == nil {
		t.buckets = map[string]*bucket{}
	}
	b := t.buckets[name]
	if b == nil {
		b = &bucket{tokens: float64(rate.Burst), at: now}
		t.buckets[name] = b
	}
	b.tokens = min(float64(rate.Burst), b.tokens+now.Sub(b.at).Seconds()*rate.PerSecond)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// throttled tells whether the account has used up its rate for the operation.
func (c *Cloud) throttled(a *Account, service, operation string) bool {
	for _, name := range []string{service, service + ":" + operation} {
		rate, limited := c.settings.Rates[name]
		if limited && !c.throttles.take(a.ID+" "+name, rate, c.now()) {
			return true
		}
	}
	return false
}
