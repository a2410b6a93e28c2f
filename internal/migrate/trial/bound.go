package trial

import (
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// Bounds are times that no schedule that keeps the rules can beat, in seconds, with
// the work as it stood before the run.
//
// The work. What both sides of a type had is compared once. A new row is backed up and
// restored once, a changed one too, and where two of them do not touch, that is
// another job with its fixed cost, or the rows between them are copied along,
// whichever is less; what was copied is compared once more; so finding the changed rows is free, to the single row. A
// database that is asked for more than its capacity does no more.
//
//  1. All the work of a side takes its capacity's share of it.
//  2. A type's restores go one at a time, and between two of them lie at least a
//     call, a worker's looking and half a call. What differs is known only once the
//     type is compared; what was copied must be compared again; and neither is done
//     beside a restore of the type. So the three add up.
//  3. CHANGE's restores begin when every other type is finished, and CHANGE itself is
//     compared by then or is not being restored meanwhile; so beside them nothing
//     runs on the destination that counts, and they come on top of all its other work
//     as well as of the longest other type.
//  4. Before everything the destination is set READ_ONLY and read back, and the rows
//     are counted; after everything its status is set and read back.
//
// Noise, failures and finer comparisons are left out: the bounds are lower than what is
// possible.
type Bounds struct {
	Any float64 // of all schedules, whatever fails
	// Redone is of those in which the lost worker holds a restore of this type, as the
	// job that it was in the order in which the destination began them; 0 where it held
	// none. The type's chain stands still until the queue gives the job back, for nothing
	// may take its place; and before it the others were done, none in less than the
	// smallest job's work.
	Redone float64
	// Silent is of those that the destination leaves without an answer when it did. What
	// is in flight goes on, but nothing can follow it: of a chain that is at most one
	// comparison of the whole type, or one batch restored. What there is to do on all
	// workers is not counted, for any number of jobs may lie in the queue.
	Silent float64
}

// AsDealt is the bound of those that meet what the run met.
func (b Bounds) AsDealt() float64 { return max(b.Any, b.Redone, b.Silent) }

func bounds(p *sim.Pair, workload []sim.Work) Bounds {
	const counts = 8 + 0.07 + 1.0/9 + 0.035
	const status = 7 * callTime
	capacity := p.Capacity(sim.Destination)
	silences := p.Silences(sim.Destination)
	var change sim.Work
	var work [2]float64
	for _, w := range workload {
		work[sim.Source] += w.Sum + w.Backup + w.Recheck
		work[sim.Destination] += w.Sum + w.Restore + w.Recheck
		if w.Type == migrate.Change {
			change = w
		}
	}
	chain := func(w sim.Work) float64 { return w.Serial + (w.Sum+w.Recheck)/capacity }
	var path float64
	var b Bounds
	for _, w := range workload {
		if w.Type == migrate.Change {
			continue
		}
		path = max(path, chain(w))
		step := max(w.Batch, change.Batch, w.Sum/capacity, w.Recheck/capacity)
		b.Silent = max(b.Silent, wait(status+counts+chain(w)+change.Serial, step, silences))
	}
	before := max(path, (work[sim.Destination]-change.Restore)/capacity)
	b.Any = status + counts + max(before+change.Serial, work[sim.Source]/p.Capacity(sim.Source))
	b.Silent = max(b.Silent, b.Any)
	lost, n := p.Lost()
	if n == 0 || lost.Kind != sim.Restore {
		return b
	}
	if lost.Type == migrate.Change {
		b.Redone = b.Any + sim.Redelivery
		return b
	}
	for _, w := range workload {
		if w.Type == lost.Type {
			earlier := float64(max(0, n-2)) * sim.Least / capacity // the counts job was one of them
			b.Redone = status + counts + sim.Redelivery + change.Serial + max(chain(w), earlier)
		}
	}
	b.Redone = max(b.Redone, b.Any)
	return b
}

// wait adds to a chain's time what passes while the stack is silent and nothing of it
// goes on: all but one step. A silence that begins when the chain may be over counts
// for nothing.
func wait(chain, step float64, silences []sim.Silence) float64 {
	for _, x := range silences {
		if x.From < chain {
			chain += max(0, x.Until-x.From-step)
		}
	}
	return chain
}
