package launcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Resume goes on with a run: it attaches to one that is running or was never
// begun, leaves one that ended for good alone (both: resumed is false), and starts
// a new attempt of one that failed or whose worker is provably gone. force kills a
// worker that still is there first.
func (l *Launcher) Resume(ctx context.Context, ref ops.RunRef, answers Answers, force bool) (resumed bool, err error) {
	v, err := l.Look(ctx, ref)
	if err != nil {
		return false, err
	}
	if v.State() == ops.StateEnded && v.Result.Outcome.Final() {
		return false, nil
	}
	if v.Cancel != nil {
		return false, &ops.Refusal{Guard: "cancel", Code: ops.Canceled,
			Reason: fmt.Sprintf("%s was canceled by %s.", ref.Run, ops.Clip(v.Cancel.By)),
			Remedy: fmt.Sprintf("Finish its clean-up with synops settle %s, or start a new run.", ref.Run)}
	}
	return l.again(ctx, v, ops.StartResume, answers, force)
}

// Settle finishes a run that was canceled or whose worker is gone: what its
// attempts left open is settled and its clean-up runs; nothing new begins.
func (l *Launcher) Settle(ctx context.Context, ref ops.RunRef, answers Answers, force bool) (started bool, err error) {
	v, err := l.Look(ctx, ref)
	if err != nil {
		return false, err
	}
	if v.State() == ops.StateEnded && v.Result.Outcome.Final() {
		return false, nil
	}
	return l.again(ctx, v, ops.StartSettle, answers, force)
}

// again starts the next attempt once the one before can provably not act any more.
func (l *Launcher) again(ctx context.Context, v *View, kind ops.StartKind, answers Answers, force bool) (bool, error) {
	if v.State() != ops.StateEnded && v.Live != ops.Gone {
		switch {
		case force:
			if err := l.Engine.Stop(ctx, v.exec, v.current()); err != nil {
				return false, fmt.Errorf("stopping attempt %d: %w", v.newest().N, err)
			}
		case v.Live == ops.LivenessUnknown:
			return false, &ops.Refusal{Guard: "alive", Code: ops.Conflict,
				Reason: fmt.Sprintf("attempt %d of %s runs on host %s, and from here it cannot be told whether it still does.", v.newest().N, v.Run, ops.Clip(v.host())),
				Remedy: "Resume it from there."}
		default:
			return false, nil // it runs: attach
		}
	}
	if kind == ops.StartResume && v.State() == ops.StateQueued && v.Cancel == nil {
		return true, l.begin(ctx, v.RunRef) // never begun: the same attempt begins now
	}
	start := answers.start(kind, v.newest().N+1, v.RunRef, v.newest().Request)
	if start.Confirm == "" && start.PlanDigest == "" {
		// What was answered before still holds: it is bound to the same request.
		start.Confirm, start.PlanDigest, start.Approved = v.newest().Confirm, v.newest().PlanDigest, v.newest().Approved
	}
	if err := l.Documents.CreateStart(ctx, start); err != nil && ops.CodeOf(err) != ops.Conflict {
		return false, fmt.Errorf("writing the start: %w", err)
	}
	return true, l.begin(ctx, v.RunRef)
}

func (v *View) host() string {
	if a := v.current(); a != nil {
		return a.Host
	}
	return "unknown"
}

// Cancel asks a run to end and returns once that is durable: no start, resume or
// new effect passes the marker. asked is false when the run had ended already.
func (l *Launcher) Cancel(ctx context.Context, ref ops.RunRef, by, reason string) (asked bool, err error) {
	v, err := l.Look(ctx, ref)
	if err != nil {
		return false, err
	}
	if v.State() == ops.StateEnded && v.Result.Outcome.Final() {
		return false, nil
	}
	if _, err := l.Documents.CreateCancel(ctx, ref, ops.CancelMarker{By: by, Reason: reason, At: now()}); err != nil {
		return false, fmt.Errorf("writing the cancel marker: %w", err)
	}
	return true, nil
}

// End sees a canceled run to its end: it waits grace for the worker to end it,
// then kills the worker, and where no worker is left starts one that settles. It
// returns the result.
func (l *Launcher) End(ctx context.Context, ref ops.RunRef, answers Answers, grace time.Duration, f Follow) (*ops.Result, error) {
	waiting, stop := context.WithTimeout(ctx, grace)
	r, err := l.Follow(waiting, ref, f)
	stop()
	if err == nil && r.Outcome.Final() || ctx.Err() != nil {
		return r, err
	}
	if err != nil && !errors.Is(err, ErrLost) && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	if _, err := l.Settle(ctx, ref, answers, true); err != nil {
		return nil, err
	}
	return l.Follow(ctx, ref, f)
}
