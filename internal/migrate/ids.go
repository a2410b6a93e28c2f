package migrate

import (
	"math"
	"time"
)

// IDs are from 0 to the largest number there is, and so are counts of them: sums stop
// there, for one that wraps around would leave rows out.

// IDs is how many there are in the span; the largest number where there is one more.
func (s Span) IDs() int64 {
	if s.Max-s.Min == math.MaxInt64 {
		return math.MaxInt64
	}
	return s.Max - s.Min + 1
}

// plus adds what is not negative.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// whole is x without its fraction.
func whole(x float64) int64 {
	if x >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(x)
}

// mostExpected is so much that nobody waits for it, and so little that many times it
// is a time as well.
const mostExpected = 1000 * time.Hour

func seconds(s float64) time.Duration {
	return time.Duration(min(s*float64(time.Second), float64(mostExpected)))
}
