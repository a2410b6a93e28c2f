package migrate

// A Record is one line of what a migration remembers. All that a Scheduler knows
// follows from its options and its records: applied again in the same order they
// give the same state.
type Record struct {
	Op Op    `json:"op"`
	At int64 `json:"at"` // Unix milliseconds
	N  int64 `json:"n,omitempty"`

	Job    *Job               `json:"job,omitempty"`    // opStart
	ID     string             `json:"id,omitempty"`     // opAccepted: the service's
	Key    string             `json:"key,omitempty"`    // opDone of a backup
	Rows   int64              `json:"rows,omitempty"`   // opStart: expected; opDone of a restore: restored; opCompared: of the source's side
	Spans  []Span             `json:"spans,omitempty"`  // opDone of a ranges job: a cover
	Marks  map[string][2]Mark `json:"marks,omitempty"`  // opMarked
	Bad    []Bad              `json:"bad,omitempty"`    // opCompared
	Reason string             `json:"reason,omitempty"` // opFailed
	Took   int64              `json:"took,omitempty"`   // opDone, opCompared: milliseconds, as the service says
}

// Bad is a range in which the two sides differ, and how many rows the source has
// there.
type Bad struct {
	Span
	Rows int64 `json:"rows"`
	Gap  int64 `json:"gap,omitempty"` // rows that do not differ, since the one before in the same comparison
	// Lacks: the destination has fewer rows there.
	Lacks bool `json:"lacks,omitempty"`
}

// Op is what a record says.
type Op string

const (
	opStart    Op = "start"    // a job is about to be started
	opAccepted Op = "accepted" // the service gave it an ID
	opDone     Op = "done"
	opFailed   Op = "failed"  // the job failed, or the service did not take it
	opLost     Op = "lost"    // nobody can tell what became of it
	opRefused  Op = "refused" // the service took no job
	opDistrust Op = "distrust"
	opMarked   Op = "marked"
	opCompared Op = "compared"
)
