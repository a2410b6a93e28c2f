package adminapi_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A meter is a service that keeps when requests arrived and how many were there at
// once. Run within a synctest bubble.
type meter struct {
	mu        sync.Mutex
	arrived   []time.Time
	now, most int
	answer    func(r *http.Request) *http.Response
	latency   func() time.Duration
}

func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	m.arrived = append(m.arrived, time.Now())
	m.now++
	m.most = max(m.most, m.now)
	m.mu.Unlock()
	if d := m.latency(); d > 0 {
		<-time.After(d)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now--
	return m.answer(r), nil
}

func fine(*http.Request) *http.Response { return respond(200, `{"enabled":true,"client_id":"1"}`) }

func upTo(d time.Duration) func() time.Duration {
	return func() time.Duration { return rand.N(d) }
}

// load asks from n goroutines until d is over. One that gets an error waits for the
// end: a call that would come too late ends at once, and the bubble's time would
// stand still while it is repeated.
func load(ctx context.Context, n int, d time.Duration, ask func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for ctx.Err() == nil {
				if ask(ctx) != nil {
					<-ctx.Done()
				}
			}
		})
	}
	all.Wait()
}

// inAnyMinute is the most requests that any 60 s hold.
func inAnyMinute(at []time.Time) int {
	most, first := 0, 0
	for i := range at {
		for at[i].Sub(at[first]) >= time.Minute {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// TestNoMinuteHoldsMoreThanAllowed, from a cold start, after a rest, and with the
// rate lowered; and what is allowed is used.
func TestNoMinuteHoldsMoreThanAllowed(t *testing.T) {
	for perMinute, limit := range map[int]int{0: 570, 1: 1, 2: 2, 10: 10, 37: 37, 38: 38, 100: 100, 569: 569, 5000: 570} {
		synctest.Test(t, func(t *testing.T) {
			m := &meter{answer: fine, latency: upTo(300 * time.Millisecond)}
			c := bubble(t, m.RoundTrip, ops.Pace{PerMinute: perMinute})
			ask := func(ctx context.Context) error { return readOne(ctx, c) }
			load(t.Context(), 10, 3*time.Minute, ask)
			<-time.After(2 * time.Minute) // the burst is whole again
			load(t.Context(), 10, 3*time.Minute, ask)
			if n := inAnyMinute(m.arrived); n > limit {
				t.Errorf("rate %d: a minute holds %d requests, want at most %d", perMinute, n, limit)
			}
			if n := len(m.arrived); n < 6*limit*9/10 {
				t.Errorf("rate %d: %d requests in six minutes: slower than need be", perMinute, n)
			}
			if m.most > 3 {
				t.Errorf("%d requests at once", m.most)
			}
		})
	}
}

func TestNeverMoreInFlightThanAllowed(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 7} {
		synctest.Test(t, func(t *testing.T) {
			m := &meter{answer: fine, latency: upTo(100 * time.Millisecond)}
			c := bubble(t, m.RoundTrip, ops.Pace{InFlight: n, Unlimited: true})
			load(t.Context(), 20, time.Minute, func(ctx context.Context) error { return readOne(ctx, c) })
			want := n
			if n == 0 {
				want = 3
			}
			if m.most != want || c.InFlight() != want {
				t.Errorf("%d at once with %d allowed, want %d", m.most, c.InFlight(), want)
			}
			if least := 1000 * want; len(m.arrived) < least { // 50 ms each
				t.Errorf("%d requests, want at least %d", len(m.arrived), least)
			}
		})
	}
}

// TestAuthPathsAreNotCounted, but their places are.
func TestAuthPathsAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{answer: fine, latency: func() time.Duration { return 10 * time.Millisecond }}
		c := bubble(t, m.RoundTrip, ops.Pace{PerMinute: 1})
		load(t.Context(), 10, time.Minute, func(ctx context.Context) error { _, err := c.OAuthClient(ctx, "1"); return err })
		if n := len(m.arrived); n < 17000 || m.most != 3 {
			t.Errorf("%d requests, %d at once", n, m.most)
		}
	})
}

// TestUnlimitedLiftsTheRate and nothing else.
func TestUnlimitedLiftsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{answer: fine, latency: func() time.Duration { return time.Millisecond }}
		c := bubble(t, m.RoundTrip, ops.Pace{Unlimited: true, PerMinute: 5})
		load(t.Context(), 10, 5*time.Second, func(ctx context.Context) error { return readOne(ctx, c) })
		if n := len(m.arrived); n < 14000 || m.most != 3 {
			t.Errorf("%d requests, %d at once", n, m.most)
		}
	})
}

// TestA429HalvesThePaceForGood: places and rate, once per burst of them.
func TestA429HalvesThePaceForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var throttle time.Time // 429 until then
		m := &meter{latency: func() time.Duration { return 20 * time.Millisecond }}
		m.answer = func(r *http.Request) *http.Response {
			if time.Now().Before(throttle) {
				return respond(429, `{"reason": "Requests are too frequent."}`)
			}
			return fine(r)
		}
		c := bubble(t, m.RoundTrip, ops.Pace{InFlight: 16})
		ask := func(ctx context.Context) error { return readOne(ctx, c) }
		limits := []int{16}
		for range 6 {
			throttle = time.Now().Add(time.Second)
			load(t.Context(), 16, 4*time.Second, ask)
			limits = append(limits, c.InFlight())
			<-time.After(10 * time.Second)
		}
		if want := []int{16, 8, 4, 2, 1, 1, 1}; !slices.Equal(limits, want) {
			t.Errorf("in flight after each burst: %v, want %v", limits, want)
		}
		if c.Stats().Throttled < 6 {
			t.Errorf("stats are %+v", c.Stats())
		}
		m.arrived, m.most = nil, 0
		load(t.Context(), 16, 10*time.Minute, ask)
		if n := len(m.arrived); m.most != 1 || n > 600*9/64+1 || n < 600*9/64-2 {
			t.Errorf("after six halvings %d requests in ten minutes, %d at once", n, m.most)
		}
	})
}

// TestWaitingForAPlaceEndsWithTheContext, and the place goes to the next.
func TestWaitingForAPlaceEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{answer: fine, latency: func() time.Duration { return time.Second }}
		c := bubble(t, m.RoundTrip, ops.Pace{InFlight: 1, Unlimited: true})
		var all sync.WaitGroup
		all.Go(func() { _ = readOne(t.Context(), c) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		all.Go(func() { wantError(t, createOnce(ctx, c), ops.Unavailable, "before it was sent") })
		synctest.Wait()
		all.Go(func() {
			if err := readOne(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		all.Wait()
		if took := time.Since(began); took != 2*time.Second || len(m.arrived) != 2 {
			t.Errorf("%d requests in %s, want 2 in 2s", len(m.arrived), took)
		}
	})
}

// TestWaitingForTheRateGivesThePlaceBack when it is given up on.
func TestWaitingForTheRateGivesThePlaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{answer: fine, latency: func() time.Duration { return 0 }}
		c := bubble(t, m.RoundTrip, ops.Pace{InFlight: 1, PerMinute: 1})
		if err := readOne(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			wantError(t, readOne(ctx, c), ops.Unavailable)
			cancel()
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			wantError(t, readOne(ctx, c), ops.Canceled)
		}
		began := time.Now()
		if err := readOne(t.Context(), c); err != nil || time.Since(began) > time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// A closing body calls then when it is closed.
type closing struct {
	io.Reader
	then func()
}

func (c closing) Close() error { c.then(); return nil }

// TestAPlaceGivenUpAsItComesIsNotLost: the one who waits is canceled just before
// its turn comes, and finds both; the next still gets in.
func TestAPlaceGivenUpAsItComesIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		then, end := func() {}, make(chan struct{})
		c := bubble(t, func(r *http.Request) (*http.Response, error) {
			<-end
			resp := fine(r)
			resp.Body = closing{resp.Body, then}
			return resp, nil
		}, ops.Pace{InFlight: 1, Unlimited: true})
		for range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			then = cancel // right before the first gives its place back
			var all sync.WaitGroup
			all.Go(func() { _ = readOne(t.Context(), c) })
			synctest.Wait()
			all.Go(func() { _ = readOne(ctx, c) })
			synctest.Wait()
			end <- struct{}{}
			synctest.Wait()
			select {
			case end <- struct{}{}: // the second got in
			default:
			}
			all.Wait()
		}
	})
}
