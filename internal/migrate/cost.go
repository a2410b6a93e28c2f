package migrate

import (
	"slices"
	"time"
)

// A cost is what a kind of job takes per row, in seconds.
type cost struct {
	recent  []float64 // of the last few jobs
	typical float64   // of a job that nothing slows
	n       int
}

// costs are by kind of job; one that was never timed is not there.
type costs map[Kind]*cost

// firstGuess is before anything was timed.
var firstGuess = map[Kind]float64{Ranges: 2e-6, Checksum: 4e-6, Backup: 2e-4, Restore: 4e-4}

const (
	remembered = 7 // jobs
	// A first job may have waited ten minutes for a lost worker: it counts as slower
	// than thought by so much at most, until a second one tells.
	mostSurprise = 5
)

// perRow is the lower median, so that one job that took very long, whatever the
// reason, does not make all others look slow.
func (c *cost) perRow() float64 {
	sorted := slices.Sorted(slices.Values(c.recent))
	return sorted[(len(sorted)-1)/2]
}

func (c costs) perRow(k Kind) float64 {
	if x := c[k]; x != nil {
		return x.perRow()
	}
	return firstGuess[k]
}

// learn takes a job's time into account; thought is what was thought of it before.
// It returns how much slower than usual it was, 0 when that cannot be said. A job of
// fewer rows than few tells nothing.
func (c costs) learn(k Kind, rows, few int64, took time.Duration, thought float64) float64 {
	if rows < few || took < time.Second {
		return 0
	}
	x := max(took.Seconds()-fixedCost, 0.05) / float64(rows)
	known := c[k]
	if known == nil {
		x = min(x, mostSurprise*thought)
		known = &cost{typical: x}
		c[k] = known
	}
	known.n++
	known.recent = append(known.recent, x)
	if len(known.recent) > remembered {
		known.recent = slices.Delete(known.recent, 0, 1)
	}
	slower := x / known.typical
	if slower < 1 {
		known.typical += 0.1 * (x - known.typical)
	} else {
		known.typical += 0.02 * (min(x, 4*known.typical) - known.typical)
	}
	if known.n < 4 {
		return 0
	}
	return slower
}
