package cli

import (
	"errors"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
)

// Exit codes. They are interface: "synops help exit-codes" lists them.
const (
	exitSucceeded = 0
	exitFailed    = 1
	exitInvalid   = 2
	exitRefused   = 3
	exitRunning   = 4
	exitCanceled  = 130
)

// exitCode maps an error to the exit code; invalid beats refused.
func exitCode(err error) int {
	if e, ok := errors.AsType[*ended](err); ok {
		return outcomeExit(e.result)
	}
	switch {
	case err == nil:
		return exitSucceeded
	case errors.Is(err, launcher.ErrStillRunning), errors.Is(err, errLeft):
		return exitRunning
	case ops.CodeOf(err) == ops.Invalid:
		return exitInvalid
	case ops.Refused(err) != nil:
		return exitRefused
	case ops.CodeOf(err) == ops.Canceled:
		return exitCanceled
	}
	return exitFailed
}

// outcomeExit maps how a run ended to the exit code.
func outcomeExit(r *ops.Result) int {
	switch {
	case r.Outcome == ops.Succeeded:
		return exitSucceeded
	case r.Outcome == ops.RunCanceled:
		return exitCanceled
	case r.Outcome == ops.RunRefused && r.Code == ops.Invalid:
		return exitInvalid
	case r.Outcome == ops.RunRefused:
		return exitRefused
	}
	return exitFailed
}

// errorOutcome is the outcome that an error document names.
func errorOutcome(err error) ops.Outcome {
	switch exitCode(err) {
	case exitInvalid, exitRefused:
		return ops.RunRefused
	case exitCanceled:
		return ops.RunCanceled
	}
	return ops.RunFailed
}

// ended carries a run's result to where the exit code is chosen. It was reported
// already.
type ended struct{ result *ops.Result }

func (e *ended) Error() string { return string(e.result.Outcome) }

// errLeft: the follower was interrupted; the run goes on.
var errLeft = errors.New("left; the run goes on")
