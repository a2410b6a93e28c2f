package migrate

import (
	"math"
	"time"
)

// stage is how far a type is.
type stage int

const (
	stageCopy    stage = iota // IDs outside the range both sides share, where they are many
	stageCheck                // compared bin by bin
	stageWeigh                // how many rows the secondaries add
	stageRefine               // bad bins compared in finer parts
	stageRepair               // what differs is copied, and the IDs outside
	stageRecheck              // and compared again
	stageDone
)

var stageNames = [...]string{"copying", "comparing", "weighing", "comparing finely", "repairing", "comparing again", "done"}

func (s stage) String() string { return stageNames[s] }

type pieceState int8

const (
	pieceUnranged  pieceState = iota // the service is to cut it
	pieceRanging                     // it is cutting it
	pieceWaiting                     // for its backup
	pieceBacking                     // being backed up
	pieceBacked                      // has a backup
	pieceRestoring                   // being restored
	pieceDone
	pieceGivenUp
)

// weighing tells whether it is known how many rows the secondaries add.
type weighing int8

const (
	weighUnknown weighing = iota
	weighWanted
	weighRunning
	weighed
)

// A piece is a range that is backed up and restored as one.
type piece struct {
	Span
	state     pieceState
	key       string
	backedAt  int64 // Unix milliseconds
	rows      int64 // of the primary, as compared; 0: not known
	group     int64 // with the secondaries, as the service has cut it; 0: not known
	tries     int   // failures in a row
	notBefore int64
	held      bool // until then, for nobody knows whether its restore runs
	// nameless: a restore of it may have been, with an ID that nobody learned since.
	nameless bool
}

type sumState int8

const (
	sumWaiting sumState = iota
	sumRunning
	sumAnswered
)

// A sum compares a range: a checksum job on each side. Its answers are not
// journaled: the service keeps them with the jobs, and they are asked for again.
type sum struct {
	Span
	size      int64 // IDs per bin
	rows      int64 // expected
	state     [2]sumState
	job       [2]int64
	answers   [2][]Bin
	tries     int
	notBefore [2]int64
	done      bool
}

// A table is one type being migrated. Its fields follow from the records.
type table struct {
	name         string
	index        int // in the destination's order
	marks        [2]Mark
	lower, upper int64 // bounds of the comparison
	compared     bool  // there are bounds
	stage        stage
	full         bool // in the last comparison of everything

	pieces []piece
	head   int // the first that is not over
	sums   []sum
	open   int // sums not compared yet

	bad      []Bad // what differs: to be compared finely, or to be copied
	small    []Bad // differs, and is too little to be compared finely
	repaired []Bad // copied, to be compared again
	repairs  int   // repairs begun
	searched bool  // compared once more for a row that did not stay
	doubted  bool  // to be compared once more, for somebody may have written to it
	givenUp  []Span
	// What no comparison could be had of: copied whole instead, and where that is not
	// right, or comparing again failed too, never verified.
	copiedBlind, uncompared []Span
	blind                   []Span // all that ever were copied so
	halved                  []halving
	vain                    int    // parts whose comparison failed, since one went well
	cutsOurs                bool   // the service did not cut its ranges
	differs                 []Bad  // in the end
	outside                 []Span // what only one side has, to be copied with what differs

	weighing weighing
	weighs   Bad // the range that is weighed
	weighAt  int64

	rows     int64 // of the source's primary, as compared
	seen     int64 // IDs compared so far in this comparison
	summed   int64 // of them, so far in this comparison
	copied   int64 // rows restored, secondaries included
	restores int   // ranges restored
	ratio    float64
	cutIDs   int64 // of ranges that the service has cut
	cutRows  int64 // in them, secondaries included, as far as that tells
	costs    costs
	usual    costs            // of all types
	busy     [2]time.Duration // jobs' time, by side
}

// knows tells whether a kind of job was timed, of this type or another.
func (t *table) knows(k Kind) bool { return t.costs[k] != nil || t.usual[k] != nil }

// perRow is seconds: of this type, or else of all, or else as guessed.
func (t *table) perRow(k Kind) float64 {
	if t.costs[k] != nil {
		return t.costs.perRow(k)
	}
	return t.usual.perRow(k)
}

// alone is the same of a job that nothing slows: what is divided by how many run at
// once must not have their slowing each other in it.
func (t *table) alone(k Kind) float64 {
	for _, c := range []costs{t.costs, t.usual} {
		if x := c[k]; x != nil {
			return min(x.each, x.typical)
		}
	}
	return firstGuess[k]
}

func (t *table) expected(k Kind, rows int64) time.Duration {
	return seconds(fixedCost + t.perRow(k)*float64(rows))
}

// guess is how many rows a span may hold.
func (t *table) guess(s Span) int64 {
	n := float64(s.IDs())
	if t.seen > 0 {
		return whole(n * float64(t.summed) / float64(t.seen))
	}
	if t.rows > 0 && t.upper > t.lower {
		return whole(n * float64(t.rows) / float64(Span{t.lower, t.upper}.IDs()))
	}
	if t.cutIDs > 0 {
		return whole(n * min(1, float64(t.cutRows)/t.ratio/float64(t.cutIDs)))
	}
	return whole(n * 2 / 5) // what is learned of other types tells nothing: their IDs are as sparse as they happen to be
}

func (p *piece) over() bool { return p.state == pieceDone || p.state == pieceGivenUp }

// settleHead moves head past what is over.
func (t *table) settleHead() {
	for t.head < len(t.pieces) && t.pieces[t.head].over() {
		t.head++
	}
}

// copies tells whether a stage has pieces.
func (t *table) copies() bool { return t.stage == stageCopy || t.stage == stageRepair }

// rowsLeft is how many group rows are still to be restored in this stage, as far as
// can be told.
func (t *table) rowsLeft(batch int64) float64 {
	n := 0.0
	for i := t.head; i < len(t.pieces); i++ {
		p := &t.pieces[i]
		switch {
		case p.over():
		case p.state <= pieceRanging:
			n += float64(t.guess(p.Span)) * t.ratio
		case p.group > 0:
			n += float64(p.group)
		case p.rows > 0:
			n += float64(p.rows) * t.ratio
		default:
			n += min(float64(batch), float64(t.guess(p.Span))*math.Floor(t.ratio))
		}
	}
	return n
}
