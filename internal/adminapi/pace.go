package adminapi

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// The service allows 3 requests at once and 600 in 60 seconds. A burst of 30 and
// 9 a second hold any minute at 570: 5 % below, for clocks and answers that
// differ.
const (
	mostInFlight  = 3
	mostPerMinute = 570
	mostBurst     = 30
	perSecond     = 9
)

// halvingEvery is the least time between two halvings: the answers 429 of one
// burst are one piece of news. slowest is where halving the rate ends.
const (
	halvingEvery = 5 * time.Second
	slowest      = rate.Limit(0.1)
)

// pace admits requests: at most so many at once, first come first served, and at
// most so many in any minute. Safe for concurrent use.
type pace struct {
	rate *rate.Limiter
	// back: after so long without being throttled it goes twice as fast again, up to
	// what it began with; nil: never.
	back *pacing

	mu      sync.Mutex
	allowed int
	used    int
	queue   []chan struct{} // closed when its turn has come
	halved  time.Time
}

// pacing is what a pace goes back to.
type pacing struct {
	after    time.Duration
	inFlight int
	rate     rate.Limit
	burst    int
}

// recovering is one that goes back to what it begins with.
func recovering(b pacing) *pace {
	return &pace{rate: rate.NewLimiter(b.rate, b.burst), allowed: b.inFlight, back: &b}
}

func newPace(p ops.Pace, loopback bool) (*pace, error) {
	wrong := func(format string, args ...any) error {
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf(format, args...), Hint: "Leave it out for the service's own limits."}
	}
	switch {
	case p.PerMinute < 0:
		return nil, wrong("a pace of %d requests a minute makes no sense.", p.PerMinute)
	case p.InFlight < 0:
		return nil, wrong("a pace of %d requests in flight makes no sense.", p.InFlight)
	case p.Unlimited && !loopback:
		return nil, wrong("an unlimited rate is for a service on loopback only.")
	case p.InFlight > mostInFlight && !loopback:
		return nil, wrong("%d requests in flight are for a service on loopback only: elsewhere the service allows %d.", p.InFlight, mostInFlight)
	}
	limit, burst := rateOf(p)
	allowed := p.InFlight
	if allowed == 0 {
		allowed = mostInFlight
	}
	return &pace{rate: rate.NewLimiter(limit, burst), allowed: allowed}, nil
}

// rateOf returns a rate and burst with which no 60 seconds hold more requests
// than asked for.
func rateOf(p ops.Pace) (rate.Limit, int) {
	n := p.PerMinute
	switch {
	case p.Unlimited:
		return rate.Inf, mostBurst
	case n == 0 || n >= mostPerMinute:
		return perSecond, mostBurst
	}
	burst := n * mostBurst / mostPerMinute
	if burst <= 1 { // evenly spaced, the first needs no room of its own
		return rate.Limit(float64(n) / 60.001), 1 // and rounding must not let one more in
	}
	return rate.Limit(float64(n-burst) / 60), burst
}

// enter waits until a request may be sent to path. The place is taken before the
// rate is asked, so that requests do not gather behind it and leave in a bunch.
// When there is no error, leave must follow.
func (p *pace) enter(ctx context.Context, path string) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	if !counted(path) {
		return nil
	}
	if err := p.rate.Wait(ctx); err != nil {
		p.leave()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return context.DeadlineExceeded // it would come too late
	}
	return nil
}

// counted tells whether the service counts requests to path.
func counted(path string) bool { return !strings.HasPrefix(path, "/auth/") }

func (p *pace) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	p.recover()
	if p.used < p.allowed && len(p.queue) == 0 {
		p.used++
		p.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	p.queue = append(p.queue, turn)
	p.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		p.giveUp(turn)
		return ctx.Err()
	}
}

// giveUp takes turn out of the queue, or gives its place back when it had come
// meanwhile.
func (p *pace) giveUp(turn chan struct{}) {
	p.mu.Lock()
	for i, w := range p.queue {
		if w == turn {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			p.mu.Unlock()
			return
		}
	}
	p.mu.Unlock()
	p.leave()
}

func (p *pace) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	for p.used < p.allowed && len(p.queue) > 0 {
		close(p.queue[0])
		p.queue = p.queue[1:]
		p.used++
	}
}

func (p *pace) inFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.allowed
}

// recover doubles rate and places when nothing was throttled for long. The lock is
// held.
func (p *pace) recover() {
	b := p.back
	if b == nil || p.halved.IsZero() || time.Since(p.halved) < b.after {
		return
	}
	p.halved = time.Now()
	p.allowed = min(b.inFlight, 2*p.allowed)
	p.rate.SetLimit(min(b.rate, 2*p.rate.Limit()))
	p.rate.SetBurst(min(b.burst, 2*p.rate.Burst()))
	if p.allowed == b.inFlight && p.rate.Limit() == b.rate && p.rate.Burst() == b.burst {
		p.halved = time.Time{}
	}
}

// throttled halves rate and places, where it does not go back for the client's life:
// somebody else may be using the same account. It tells whether it did.
func (p *pace) throttled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.halved.IsZero() && now.Sub(p.halved) < halvingEvery {
		return false
	}
	p.halved = now
	p.allowed = max(1, p.allowed/2)
	if now := p.rate.Limit(); now != rate.Inf && now/2 >= slowest {
		p.rate.SetLimit(now / 2)
	}
	p.rate.SetBurst(max(1, p.rate.Burst()/2))
	return true
}
