package migrate

import (
	"slices"
	"time"
)

// A cost is what a kind of job takes per row.
type cost struct {
	last    []spent
	each    float64 // seconds per row, by the last ones
	typical float64 // the same of a job that nothing slows
	n       int
}

// spent is one job's work.
type spent struct{ seconds, rows float64 }

// costs are by kind of job; one that was never timed is not there.
type costs map[Kind]*cost

// firstGuess is before anything was timed, in seconds per row.
var firstGuess = map[Kind]float64{Ranges: 2e-6, Checksum: 4e-6, Backup: 2e-4, Restore: 4e-4}

const (
	fixedCost  = 0.7 // seconds that a job takes whatever it does
	remembered = 8   // jobs
	// A first job counts as slower than guessed by so much at most, until a second one
	// tells whether it was that one only.
	mostSurprise = 5
)

func (c costs) perRow(k Kind) float64 {
	if x := c[k]; x != nil {
		return x.each
	}
	return firstGuess[k]
}

// learn takes a job's time into account; thought is what a row was thought to take
// before. It returns how much slower than usual the job was, 0 when that cannot be
// said. A job of fewer rows than few tells nothing.
func (c costs) learn(k Kind, rows, few int64, took time.Duration, thought float64) float64 {
	if rows < few || took < time.Second {
		return 0
	}
	s := spent{max(took.Seconds()-fixedCost, 0.05), float64(rows)}
	each := s.seconds / s.rows
	x := c[k]
	if x == nil {
		x = &cost{typical: min(each, mostSurprise*thought)}
		c[k] = x
	}
	x.n++
	x.last = append(x.last, s)
	if len(x.last) > remembered {
		x.last = slices.Delete(x.last, 0, 1)
	}
	x.each = usual(x.last, mostSurprise*thought)
	slower := each / x.typical
	if slower < 1 {
		x.typical += 0.1 * (each - x.typical)
	} else {
		x.typical += 0.02 * (min(each, 4*x.typical) - x.typical)
	}
	if x.n < 4 {
		return 0
	}
	return slower
}

// usual is what a row takes in these jobs without the one that raises it most: one
// that waited ten minutes for a lost worker must not make all others look slow. Of a
// single one it is no more than most.
func usual(jobs []spent, most float64) float64 {
	var all spent
	for _, j := range jobs {
		all.seconds, all.rows = all.seconds+j.seconds, all.rows+j.rows
	}
	each := all.seconds / all.rows
	if len(jobs) == 1 {
		return min(each, most)
	}
	for _, j := range jobs {
		each = min(each, (all.seconds-j.seconds)/(all.rows-j.rows))
	}
	return each
}
