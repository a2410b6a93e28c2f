package trial

import (
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// Bound is a time that no schedule that keeps the rules can beat, in seconds. Why:
//
// The work. Each type is compared once on both sides. A new row is backed up and
// restored once, a changed one too, and where two of them do not touch, that is
// another job with its fixed cost, or the rows between them are copied along,
// whichever is less; so finding the changed rows is free, to the single row. A
// database that is asked for more than its capacity does no more.
//
//  1. All the work of a side takes its capacity's share of it.
//  2. A type's restores go one at a time, and between two of them lie at least a
//     call, a worker's looking and half a call. What differs is known only once the
//     type is compared, and it is not compared while it is being restored.
//  3. CHANGE's restores begin when every other type is finished, and CHANGE itself is
//     compared by then or is not being restored meanwhile; so beside them nothing
//     runs on the destination that counts, and they come on top of all its other work
//     as well as of the longest other type.
//  4. The counts come before everything.
//
// Noise, failures, finer comparisons and the comparison after the repair are left
// out: the bound is lower than what is possible.
func Bound(p *sim.Pair) float64 {
	const counts = 8
	var path, last float64
	var work [2]float64
	change := "CHANGE"
	var restores float64
	for _, w := range p.Workload() {
		work[sim.Source] += w.Sum + w.Backup
		work[sim.Destination] += w.Sum + w.Restore
		if w.Type == change {
			last, restores = w.Serial, w.Restore
			continue
		}
		path = max(path, w.Serial+w.Sum/p.Capacity(sim.Destination))
	}
	return counts + max(
		path+last,
		work[sim.Source]/p.Capacity(sim.Source),
		(work[sim.Destination]-restores)/p.Capacity(sim.Destination)+last,
	)
}
