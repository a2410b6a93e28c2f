package migrate

import "time"

// PollAfter is how long to wait before looking at a job again that began elapsed
// ago and should take expected: seldom before it can be over, then as often as a
// twenty-fifth of its time, so that a short job is not kept waiting and a long one
// costs few calls. Each call costs the service two password hashes.
func PollAfter(elapsed, expected time.Duration) time.Duration {
	const soonest, slowest = 250 * time.Millisecond, 10 * time.Second
	const blind = 30 * time.Second // an expectation that is far off must not cost more
	if early := expected * 85 / 100; elapsed < early {
		// Expectations err: a look at a quarter and at half of the time costs little.
		return max(min(early-elapsed, max(elapsed, expected/4), blind), soonest)
	}
	return min(max(elapsed/25, soonest), slowest)
}
