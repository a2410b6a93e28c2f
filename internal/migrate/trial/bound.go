package trial

import (
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// Bound is a time that no schedule that keeps the rules can beat, in seconds: the
// larger of the critical path and of the work over the capacity of either database.
//
// The work: every type compared once on both sides, every new row backed up and
// restored once, and of the changed ones the parts of bins that hold them. The
// critical path: a type is compared after its new rows are restored, one restore at
// a time; then what differs is restored; CHANGE is restored after all of that, and
// was compared before. Polls, calls, waiting for a worker, noise, faults, the
// comparison after the repair and the clearing of old rows are left out, so the
// bound is lower than what is possible.
func Bound(p *sim.Pair) float64 {
	const counts = 8
	var path, last float64
	var work [2]float64
	for _, w := range p.Workload() {
		work[0] += w.Sum + w.BackupNew + w.BackupBad
		work[1] += w.Sum + w.RestoreNew + w.RestoreBad
		if w.Type == "CHANGE" {
			last = w.RestoreNew + w.RestoreBad
			continue
		}
		path = max(path, w.RestoreNew+w.Sum/p.Capacity(sim.Destination)+w.RestoreBad)
	}
	return counts + max(path+last, work[0]/p.Capacity(sim.Source), work[1]/p.Capacity(sim.Destination))
}
