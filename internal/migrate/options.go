package migrate

import "time"

// Options of a migration. The zero value of a field means the default named.
type Options struct {
	Types     []string // in the order of the destination; primary
	AllTypes  []string // of both sides, secondaries too: what is counted
	Batch     int64    // rows per backup and IDs per bin; 50 000
	Backups   int      // backups on the source at once; 5
	Restores  int      // long jobs on the destination at once; 4
	InFlight  int      // jobs at once per stack; 8
	Salt      string   // of the checksums; required
	Frozen    bool     // the source is READ_ONLY: what differs in the end is an error
	Full      bool     // verify everything again at the end
	NoRestore bool     // compare only
	Passes    int      // repairs of one type; 4
	MostBad   int      // ranges given up before the run stops; 10
}

func (o Options) withDefaults() Options {
	set := func(p *int, d int) {
		if *p == 0 {
			*p = d
		}
	}
	if o.Batch == 0 {
		o.Batch = 50_000
	}
	set(&o.Backups, 5)
	set(&o.Restores, 4)
	set(&o.InFlight, 8)
	set(&o.Passes, 4)
	set(&o.MostBad, 10)
	return o
}

// What decides about speed and patience.
const (
	aheadMost   = 5   // backups made or being made before their restore, per type
	checkBins   = 160 // bins per checksum job
	sliceBins   = 200 // bins per ranges job
	finer       = 20  // a bad bin is summed again in so many parts
	refineMost  = 12  // a bin of fewer than a batch's twelfth is copied whole
	gapShare    = 25  // good rows copied along rather than starting another job: a batch's share
	splitAfter  = 2   // failures of one range before it is halved
	readTries   = 6   // failures of a ranges or checksum job before the run stops
	longJob     = 4 * time.Second
	twinAfter   = 40 * time.Second
	twinFactor  = 8
	lostRestore = 3 * time.Minute // a restore of which nobody knows may run so long, at least
	stallAfter  = 15 * time.Minute
)
