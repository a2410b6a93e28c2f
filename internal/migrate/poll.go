package migrate

import "time"

// soonest is the least wait between two looks: less would be a loop that asks
// without end, most of all where waits come ever closer to a moment.
const soonest = 120 * time.Millisecond

// PollAfter is how long to wait before looking at a job again that began elapsed
// ago: seldom before it can be over, then as often as a share of its time, so that
// a short job is not kept waiting and a long one costs few calls. Each call costs
// the service two password hashes; what everything waits for is worth more of them.
func (j Job) PollAfter(elapsed time.Duration) time.Duration {
	if j.Expected < redelivery/2 { // otherwise it may just take so long
		switch {
		case elapsed >= redelivery:
			elapsed -= redelivery // its worker was lost, and another one begins it now
		default:
			return max(min(j.pollAfter(elapsed), redelivery-elapsed), soonest)
		}
	}
	return j.pollAfter(elapsed)
}

func (j Job) pollAfter(elapsed time.Duration) time.Duration {
	if j.Urgent {
		return pollAfter(elapsed, j.Expected, 65, 20, soonest)
	}
	return pollAfter(elapsed, j.Expected, 90, 10, 400*time.Millisecond)
}

func pollAfter(elapsed, expected time.Duration, percent, share int64, least time.Duration) time.Duration {
	const slowest = 10 * time.Second
	const blind = 30 * time.Second // an expectation that is far off must not cost more
	if early := expected * time.Duration(percent) / 100; elapsed < early {
		// Expectations err: a look at a quarter and at half of the time costs little.
		return max(min(early-elapsed, max(elapsed, expected/4), blind), least)
	}
	return min(max(elapsed/time.Duration(share), least), slowest)
}
