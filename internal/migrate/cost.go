package migrate

import "time"

// A cost is what a kind of job takes per row.
type cost struct {
	seconds, rows float64 // of the last jobs, the older the less they count
	typical       float64 // seconds per row of a job that nothing slows
	n             int
}

// costs are by kind of job; one that was never timed is not there.
type costs map[Kind]*cost

// firstGuess is before anything was timed, in seconds per row.
var firstGuess = map[Kind]float64{Ranges: 2e-6, Checksum: 4e-6, Backup: 2e-4, Restore: 4e-4}

const (
	fixedCost = 0.7 // seconds that a job takes whatever it does
	// A job that waited ten minutes for a lost worker must not make all others look
	// slow: what it took counts only so far above what was expected.
	mostSurprise = 4
	// What is guessed counts as much as so many seconds of work.
	guessed = 2
)

func (c costs) perRow(k Kind) float64 {
	if x := c[k]; x != nil {
		return x.seconds / x.rows
	}
	return firstGuess[k]
}

// learn takes a job's time into account; thought is what a row was thought to take
// where nothing was timed, fading how much of what was known counts still. It returns
// how much slower than usual the job was, 0 when that cannot be said. A job of fewer
// rows than few tells nothing.
func (c costs) learn(k Kind, rows, few int64, took time.Duration, thought, fading float64) float64 {
	if rows < few || took < time.Second {
		return 0
	}
	x := c[k]
	if x == nil {
		x = &cost{seconds: guessed, rows: guessed / thought}
		c[k] = x
	}
	n, expected := float64(rows), x.seconds/x.rows*float64(rows)
	spent := min(max(took.Seconds()-fixedCost, 0.05), mostSurprise*expected+0.5)
	x.n++
	x.seconds, x.rows = fading*x.seconds+spent, fading*x.rows+n
	each := max(took.Seconds()-fixedCost, 0.05) / n
	if x.n == 1 {
		x.typical = spent / n
	}
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
