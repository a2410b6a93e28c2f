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
	MostBad   int      // ranges that could not be copied or compared before the run stops; 10
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
	aheadLeast  = 3               // backups made or being made before their restore, per type
	aheadMost   = 60              // the same where restores are short and backups long
	aheadSpare  = 2 * time.Minute // of a type's restores whose backups are made where there is nothing else to do: a source may not answer for so long
	checkBins   = 160             // bins per checksum job
	sliceBins   = 200             // bins per ranges job
	outsideMost = 4               // IDs outside the shared range are copied after comparing where they are at most its quarter
	finer       = 200             // a bad bin is summed again in parts of a batch's rows by so many
	binShare    = 50              // a bin of the first comparison has so small a share of a batch of IDs
	fineBins    = 8000            // parts per checksum job
	mostParts   = 100             // jobs to compare, or to cut, one type
	refineMost  = 30              // a bin of fewer than a batch's thirtieth is copied whole
	anotherJob  = 0.8             // seconds that another restore of a type costs, whatever it copies
	splitAfter  = 2               // failures of one range before it is halved
	lastTries   = 5               // failures of a single ID, which cannot be halved, before it is given up
	cutTries    = 3               // failures of a ranges job before its range is cut by IDs
	countTries  = 12              // failures of the counts job before the run stops
	vainMost    = 8               // comparisons of a type that failed, none going well between, before no more of it are halved
	longJob     = 4 * time.Second
	apart       = 12 // comparisons that one side begins before the other
	twinAfter   = 15 * time.Second
	twinBlind   = 40 * time.Second
	lostRestore = 3 * time.Minute // a restore of which nobody knows may run so long, at least, since it was lost
	stallAfter  = 15 * time.Minute
)
