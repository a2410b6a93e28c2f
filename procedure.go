package ops

import (
	"context"
	"encoding/json"
)

// A Guard is a read-only question asked before the first change. Ask returns a
// *Refusal (as error) when the run must not begin, and another error when it
// could not tell. Both stop the run; only one is our fault.
type Guard struct {
	Name string
	Ask  func(ctx context.Context) error
}

// A Procedure is the code behind a task, bound to one service. Targets and Plan
// and Perform are required; the rest may be nil. Its functions may be called from
// several goroutines at once, for different targets.
type Procedure struct {
	// Targets lists what a run is about, in order, from the values alone; it calls
	// nothing, so it also works when the procedure is bound to no service. IDs are
	// unique.
	Targets func(v Values) []Target

	// Check refuses, from the values alone, what must never be done whatever the
	// service says, such as removing a well-known principal.
	Check func(v Values) error

	// Guards are asked about the service once per attempt, before the plan.
	Guards []Guard

	// Plan reads one target and returns its effect; it writes nothing. A Refusal
	// stops the run before any effect; any other error does so too.
	Plan func(ctx context.Context, v Values, t Target) (Effect, error)

	// Notes adds sentences to a plan about all of it.
	Notes func(v Values, effects []Effect) []string

	// Challenge returns the answer a person must give to confirm, taken from the
	// plan; "" for none. total counts all targets. When nil, a task that destroys
	// is confirmed with its count of targets.
	Challenge func(v Values, effects []Effect, total int) string

	// Perform makes one effect so. It is called after the effect's intent is
	// durable, and again, with all checkpoints, when an attempt that saved one died or
	// handed over. A *Refusal means the target was found in a state that the plan did not
	// foresee, and nothing was changed. An error of code Unsettled means that the
	// change may or may not have happened.
	Perform func(ctx context.Context, s *Step) (Done, error)

	// Settle tells whether an effect of SettleRead whose intent is open happened.
	// settled is false when it did not. The plan in e may be the earlier attempt's.
	Settle func(ctx context.Context, v Values, e Effect) (d Done, settled bool, err error)

	// Verify reads the target after Perform and returns its state; a *Refusal when
	// it is not as the effect said.
	Verify func(ctx context.Context, v Values, e Effect) (State, error)

	// CleanUp puts back what the run must not leave behind, at any end of it. It is
	// called once per attempt that ends the run and must be safe to repeat.
	CleanUp func(ctx context.Context, v Values) error

	// Left tells, at any end of a run that began or may have begun its effects, what
	// somebody must know first about what it leaves behind, such as a service that is
	// closed; "" for nothing. It only reads, and says so itself when it cannot tell.
	// resumes: the run ended so that a resume goes on with it.
	Left func(ctx context.Context, v Values, resumes bool) string

	// Undo returns the exact command that reverses the effects done, or a sentence
	// such as "cannot be undone: …".
	Undo func(v Values, env EnvironmentName, done []Effect) string
}

// A Step is one effect being performed, and what its procedure may say meanwhile.
type Step struct {
	Effect Effect
	Values Values
	// Checkpoint is the last one saved for this effect, by this attempt or an
	// earlier one; nil when there is none.
	Checkpoint json.RawMessage
	// Checkpoints are all that were saved before this call, oldest first.
	Checkpoints []json.RawMessage
	// Ending is closed when this attempt is to end: nothing new should be begun, and
	// what is in hand has a short grace until ctx ends too.
	Ending <-chan struct{}
	// Canceled tells, once Ending is closed, whether the run ends with this attempt: no
	// later one goes on with what it leaves.
	Canceled func() bool
	// Save records a checkpoint durably. Numbers, IDs and hashes only.
	Save func(ctx context.Context, checkpoint any) error
	// Progress tells how far the effect is; total 0 when unknown.
	Progress func(done, total int64, unit string)
	// Note is one line on how far the effect is, in place of the one before.
	Note func(line string)
	// Log says one line to whoever follows. Never personal data.
	Log func(format string, args ...any)
	// Artifact keeps a file of the run under name and returns where it is.
	Artifact func(ctx context.Context, name string, data []byte) (string, error)
}

// Done is what became of an effect.
type Done struct {
	Outcome EffectOutcome // EffectDone when empty
	After   State         // as the service answered; nil: as planned
	Message string        // for people; may be empty
}

// EffectOutcome is how one effect ended.
type EffectOutcome string

// The outcomes of an effect.
const (
	EffectDone       EffectOutcome = "done"
	EffectUnchanged  EffectOutcome = "unchanged" // it already was as wanted
	EffectFailed     EffectOutcome = "failed"
	EffectRefused    EffectOutcome = "refused"     // not as planned; nothing was changed
	EffectNotReached EffectOutcome = "not_reached" // the run ended first
	EffectUnsettled  EffectOutcome = "unsettled"   // may or may not have happened
)

// EffectOutcomes lists all, worst first.
func EffectOutcomes() []EffectOutcome {
	return []EffectOutcome{EffectUnsettled, EffectFailed, EffectRefused, EffectNotReached, EffectDone, EffectUnchanged}
}
