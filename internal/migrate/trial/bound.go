package trial

import (
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// Bound is a time that no schedule that keeps the rules can beat, in seconds: the
// largest of the critical path, of all work over the capacity of either database,
// and of the work that must be over before CHANGE's restores, and these.
//
// The work: every type compared once on both sides, every new row backed up and
// restored once, and of the changed ones the parts of bins that hold them. The
// critical path: a type is compared after its new rows are restored, one restore at
// a time; then what differs is restored; CHANGE is restored after all of that, and
// was compared before. Between two restores of a type lies at least a call, a
// worker's looking and half a call. Noise, faults, finer comparisons, the comparison
// after the repair and the clearing of rows that are replaced by new ones are left
// out, so the bound is lower than what is possible.
func Bound(p *sim.Pair) float64 {
	const counts = 8
	var path, last float64
	var work, before [2]float64
	for _, w := range p.Workload() {
		all := [2]float64{w.Sum + w.BackupNew + w.BackupBad, w.Sum + w.RestoreNew + w.RestoreBad}
		work[0], work[1] = work[0]+all[0], work[1]+all[1]
		if w.Type == "CHANGE" {
			last = w.Serial
			continue
		}
		before[0], before[1] = before[0]+all[0], before[1]+all[1]
		path = max(path, w.Serial+w.Sum/p.Capacity(sim.Destination))
	}
	bound := path + last
	for side := range work {
		c := p.Capacity(sim.Side(side))
		bound = max(bound, work[side]/c, before[side]/c+last)
	}
	return counts + bound
}
