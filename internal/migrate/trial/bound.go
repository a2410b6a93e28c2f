package trial

import (
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// Bound is a time that no schedule that keeps the rules can beat, in seconds, with
// the work as it stood before the run. Why:
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
// Noise, failures and finer comparisons are left out: the bound is lower than what is
// possible. Redone, where the lost worker held a restore, is a bound too, of all
// schedules in which it does: that type's chain stands still until the queue gives
// the job back, for nothing may take its place.
func Bound(p *sim.Pair, workload []sim.Work) (bound, redone float64) {
	const counts = 8 + 0.07 + 1.0/9 + 0.035
	const status = 7 * callTime
	capacity := p.Capacity(sim.Destination)
	lost, stands := p.Lost()
	stands = stands && lost.Kind == sim.Restore
	var path, longer, last, restores float64
	var work [2]float64
	for _, w := range workload {
		work[sim.Source] += w.Sum + w.Backup + w.Recheck
		work[sim.Destination] += w.Sum + w.Restore + w.Recheck
		if w.Type == migrate.Change {
			last, restores = w.Serial, w.Restore
			continue
		}
		chain := w.Serial + (w.Sum+w.Recheck)/capacity
		path = max(path, chain)
		if stands && lost.Type == w.Type {
			longer = chain + sim.Redelivery
		}
	}
	before := max(path, (work[sim.Destination]-restores)/capacity)
	all := max(before+last, work[sim.Source]/p.Capacity(sim.Source))
	bound = status + counts + all
	switch {
	case stands && lost.Type == migrate.Change:
		redone = bound + sim.Redelivery
	case stands:
		redone = max(bound, status+counts+longer+last)
	}
	return bound, redone
}
