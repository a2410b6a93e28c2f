package ops

import (
	"context"
	"time"
)

// A Lease is one run's exclusive hold of a name within an environment. It names
// run and attempt and lasts as long as the run, over its attempts.
type Lease struct {
	Environment EnvironmentName `json:"environment"`
	Name        string          `json:"name"` // such as "users" or "stack/544"
	Fence       int             `json:"fence"`
	RunRef
	Attempt int       `json:"attempt"`
	At      time.Time `json:"at"`
	// Released is set when the lease is free again.
	Released time.Time `json:"released,omitzero"`
}

// Liveness is what an engine knows of one attempt's execution.
type Liveness string

// The liveness of an execution.
const (
	AliveQueued       Liveness = "queued"       // waits for a place
	AliveProvisioning Liveness = "provisioning" // has a place, no worker yet
	AliveRunning      Liveness = "running"
	Gone              Liveness = "gone"    // provably over: it will never act again
	LivenessUnknown   Liveness = "unknown" // cannot be told from here
)

// An Engine is where runs happen. It knows executions, not documents: what a run
// did is read from the store. Once ctx has ended, no method changes anything
// further. Safe for concurrent use.
type Engine interface {
	// Name is "local" or "pipeline".
	Name() string
	// Start begins the attempt that start asks for, whose document is already
	// durable, and returns once it is accepted. Starting the same attempt again
	// never makes two workers perform: a worker must create its attempt document
	// first, and only one can.
	Start(ctx context.Context, start Start) (Execution, error)
	// Liveness tells how the attempt's execution is. exec is as Start returned it;
	// attempt is what the worker wrote, nil when none did. An error means it could
	// not be asked.
	Liveness(ctx context.Context, exec Execution, attempt *Attempt) (Liveness, error)
	// Stop ends the execution without grace and returns once it is Gone.
	Stop(ctx context.Context, exec Execution, attempt *Attempt) error
	// Log returns what attempt n of the run has printed from cursor on ("" is the
	// start), and the cursor to go on from. No text means nothing new. A log that
	// does not exist yet is empty. While the attempt goes on, it returns at once, and
	// an engine may look less often than it is asked. Once it has ended, the engine
	// waits for what is on its way: no text then means that there is no more.
	Log(ctx context.Context, run RunRef, n int, cursor string, ended bool) (text []byte, next string, err error)
	// Poll is how long a follower waits between looks at the store and the log.
	Poll() time.Duration
}
