package migrate

import (
	"context"
	"time"
)

// A Side is one of the two stacks.
type Side int

// The sides.
const (
	Source Side = iota
	Destination
)

func (s Side) String() string { return [...]string{"source", "destination"}[s] }

// Kind is what a job does.
type Kind string

// The kinds of job.
const (
	Counts   Kind = "counts"
	Ranges   Kind = "ranges"
	Checksum Kind = "checksum"
	Backup   Kind = "backup"
	Restore  Kind = "restore"
)

// Kinds lists all, in the order people see them.
func Kinds() []Kind { return []Kind{Counts, Ranges, Checksum, Backup, Restore} }

// Change is the type whose restores go last and alone.
const Change = "CHANGE"

// A Span is a range of IDs, both ends inclusive.
type Span struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}

// A Job is one asynchronous job on one stack.
type Job struct {
	N    int64  `json:"n"` // within the run, from 1
	Kind Kind   `json:"kind"`
	Side Side   `json:"side"`
	Type string `json:"type,omitempty"`
	Span
	Size     int64    `json:"size,omitempty"` // rows per batch or range, IDs per bin
	Key      string   `json:"key,omitempty"`  // of the backup to restore
	Twin     bool     `json:"twin,omitempty"` // of one that takes too long
	Salt     string   `json:"-"`
	Types    []string `json:"-"` // of a counts job
	ServerID string   `json:"-"` // set: it was started before, and is only followed
	// After is the highest ID that its stack had given when it was to be started; 0:
	// none is known.
	After int64 `json:"-"`
	// Sought: it may have been started before, and is only looked for; why its ID is
	// not known.
	Sought string `json:"-"`
	// Expected is how long it should take, which is when to look.
	Expected time.Duration `json:"-"`
	// Urgent: everything waits for it, so it is looked at more often.
	Urgent bool `json:"-"`
}

// Findable tells whether the job can be looked for where its ID is not known. What
// only reads is sooner started anew.
func (j Job) Findable() bool { return j.Kind == Restore && j.After > 0 }

// A Mark is one type's bounds on one side.
type Mark struct {
	Span
	Any bool `json:"any"` // false: the table is empty
}

// A Bin is one line of a batch checksum.
type Bin struct {
	Number, Count int64
	Checksum      string
	Min, Max      int64
}

// An Answer is what a job that went well tells; which field depends on its kind.
type Answer struct {
	Marks  map[string]Mark
	Ranges []Span // sparse; both ends inclusive here
	Bins   []Bin  // in any order
	Key    string
	Rows   int64 // restored, secondaries included
	// Took is the service's own time, waiting for a worker included: ours would be
	// longer by how late we looked.
	Took time.Duration
}

// An Event is one piece of news about a job.
type Event struct {
	N        int64
	At       time.Time
	ServerID string // the service accepted it
	Answer   *Answer
	Failed   string // the service says that it failed, and why
	// Sought: whether it runs is unknown, and the job is being looked for. Its ID
	// follows, or Lost.
	Sought bool
	// Lost: whether it runs is unknown, and nothing can tell; why.
	Lost string
	// Refused: the service did not take it; nothing runs.
	Refused string
}

// Over tells whether nothing more will be heard of the job.
func (e Event) Over() bool {
	return e.Answer != nil || e.Failed != "" || e.Lost != "" || e.Refused != ""
}

// An Executor starts jobs and follows them. It is used by one goroutine.
type Executor interface {
	Now() time.Time
	// Start begins a job, follows one that has a ServerID, or looks for one that is
	// Sought, without waiting.
	Start(ctx context.Context, j Job)
	// Wait returns events as they come, at least one unless until has passed or ctx
	// has ended. After that it first waits for the starts that are under way, so that
	// no job's ID is lost.
	Wait(ctx context.Context, until time.Time) []Event
	// Forget: nobody needs to hear of a job any more.
	Forget(n int64)
}

// A Journal keeps records durably, in order.
type Journal interface {
	// Save returns once the records are durable. It must not keep the slice.
	Save(ctx context.Context, records []Record) error
}
