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
// It is false when there is nothing to start, or somebody else starts it.
func (l *Launcher) again(ctx context.Context, v *View, kind ops.StartKind, answers Answers, force bool) (bool, error) {
	if v.State() != ops.StateEnded && v.Live != ops.Gone {
		if kind == ops.StartResume && v.fresh() {
			return false, nil // somebody else has just started it: attach, forced or not
		}
		stopped, err := l.stop(ctx, v, force)
		if !stopped || err != nil {
			return false, err
		}
		was := v.newest().N
		if v, err = l.afterStop(ctx, v); err != nil || v.State() == ops.StateEnded && v.Result.Outcome.Final() || v.newest().N > was {
			return false, err // it ended the run, or somebody else went on with it
		}
	}
	if kind == ops.StartResume && v.State() == ops.StateQueued && v.Cancel == nil && v.exec.ID == "" {
		return l.begin(ctx, v.RunRef) // its launcher died first: the same attempt begins now
	}
	if kind == ops.StartResume {
		if _, err := l.await(ctx, v.Run); err != nil {
			return false, err
		}
	}
	err := l.Documents.CreateStart(ctx, l.next(v, kind, answers))
	if err != nil && ops.CodeOf(err) != ops.Conflict {
		return false, fmt.Errorf("writing the start: %w", err)
	}
	lost := err != nil // somebody else started it first, with their answers
	began, err := l.begin(ctx, v.RunRef)
	return began && !lost, err
}

// next is the start after the newest. What was answered before still holds: it is
// bound to the same request, and to the bundle that can read it.
func (l *Launcher) next(v *View, kind ops.StartKind, answers Answers) ops.Start {
	was := v.newest()
	start := l.start(answers, kind, was.N+1, v.RunRef, was.Request)
	if was.Bundle != "" {
		start.Bundle = was.Bundle
	}
	if start.Confirm == "" {
		start.Confirm = was.Confirm
	}
	if start.PlanDigest == "" {
		start.PlanDigest, start.Approved = was.PlanDigest, was.Approved
	}
	return start
}

// fresh tells whether the newest attempt was started just now and is on its way.
func (v *View) fresh() bool {
	return v.State() == ops.StateQueued && time.Since(v.newest().At) < ops.LostAfter
}

// stop kills the worker when that is asked for. stopped is false when it runs and
// is to be left alone.
func (l *Launcher) stop(ctx context.Context, v *View, force bool) (stopped bool, err error) {
	unknown := v.Live == ops.LivenessUnknown
	switch {
	case force && unknown && v.silent():
		return true, nil // out of reach; should it ever wake, it asks first whether it still is the one
	case unknown:
		return false, &ops.Refusal{Guard: "alive", Code: ops.Conflict,
			Reason: fmt.Sprintf("attempt %d of %s runs on host %s, and from here it cannot be told whether it still does.", v.newest().N, v.Run, ops.Quote(v.host())),
			Remedy: fmt.Sprintf("Resume it from there. If that host is no more: --force, once it has been silent for %v.", ops.LostAfter)}
	case !force:
		return false, nil // it runs: attach
	}
	if err := l.Engine.Stop(ctx, v.exec, v.current()); err != nil {
		return false, fmt.Errorf("stopping attempt %d: %w", v.newest().N, err)
	}
	return true, nil
}

// afterStop reads what the stopped worker left: it may have ended the run first.
func (l *Launcher) afterStop(ctx context.Context, v *View) (*View, error) {
	if v.Live == ops.LivenessUnknown {
		return v, nil
	}
	return l.Look(ctx, v.RunRef)
}

func (v *View) host() string {
	if a := v.current(); a != nil {
		return a.Host
	}
	return "unknown"
}

// HandOver begins the attempt that start asks for, by the wish of the attempt
// before it, whose time is up. Conflict: somebody else went on with the run.
func (l *Launcher) HandOver(ctx context.Context, start ops.Start) error {
	if err := l.Documents.CreateStart(ctx, start); err != nil {
		return err
	}
	_, err := l.begin(ctx, ops.RunRef{Lane: start.Lane, Run: start.Run})
	return err
}

// Cancel asks a run to end and returns once that is durable: no start, resume or
// new effect passes the marker. asked is false when the run had ended already. One
// that was claimed and not started yet, as while its launcher waits for a lease,
// never begins.
func (l *Launcher) Cancel(ctx context.Context, ref ops.RunRef, by, reason string) (asked bool, err error) {
	starts, err := l.Documents.Starts(ctx, ref)
	if err != nil {
		return false, fmt.Errorf("reading the starts of %s: %w", ref.Run, err)
	}
	if len(starts) > 0 {
		v, err := l.Look(ctx, ref)
		if err != nil {
			return false, err
		}
		if v.State() == ops.StateEnded && v.Result.Outcome.Final() {
			return false, nil
		}
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
	fw := l.follower(ref, f) // one for both, so that no line is printed twice
	waiting, stop := context.WithTimeout(ctx, grace)
	r, err := fw.follow(waiting)
	stop()
	if err == nil && r.Outcome.Final() || ctx.Err() != nil {
		return r, err
	}
	if err != nil && !errors.Is(err, ErrLost) && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	started, err := l.Settle(ctx, ref, answers, true)
	if err == nil && started {
		err = fw.goOn(ctx) // what it was following is gone for certain
	}
	if err != nil {
		return nil, err
	}
	return fw.follow(ctx)
}
