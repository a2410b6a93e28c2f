package launcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Hold says how a launcher holds a start back while another run has the lease that
// the task needs: a worker never waits for one, it ends refused.
type Hold struct {
	Environment ops.EnvironmentName
	Lease       string                 // "": the task needs none
	NoWait      bool                   // refuse instead of waiting
	Tell        func(holder ops.Lease) // called at once and every TellEvery while it waits; may be nil
	Look        time.Duration          // between looks; 0: as often as its engine likes, a second or more
	TellEvery   time.Duration          // 0: a minute
}

// ErrNotStarted: whoever waited for a lease left before the start was written.
var ErrNotStarted = errors.New("nothing was started")

// await returns once the lease is free for run: never held, released, its own, or
// held by one that can provably not act any more. It is courtesy, for another may
// take it in between. With NoWait a lease that is held is a *ops.Refusal.
func (l *Launcher) await(ctx context.Context, run ops.RunID) (waited bool, err error) {
	h := l.Hold
	if h == nil || h.Lease == "" {
		return false, nil
	}
	look := time.NewTicker(or(h.Look, max(time.Second, 5*l.Engine.Poll())))
	defer look.Stop()
	var told time.Time
	for {
		holder, err := l.holder(ctx, run)
		if err != nil || holder == nil {
			return waited, err
		}
		if h.NoWait {
			return waited, &ops.Refusal{Guard: "lease", Code: ops.Conflict,
				Reason: fmt.Sprintf("lease %q is held by %s since %s.", h.Lease, holder.Run, holder.At.Format(time.RFC3339)),
				Remedy: fmt.Sprintf("Nothing was started. Leave out --no-wait to wait for it, or see what it does: synops follow %s.", holder.Run)}
		}
		if h.Tell != nil && (told.IsZero() || time.Since(told) >= or(h.TellEvery, time.Minute)) {
			told = time.Now()
			h.Tell(*holder)
		}
		select {
		case <-ctx.Done():
			return waited, fmt.Errorf("waiting for lease %s, %w: %w", h.Lease, ErrNotStarted, ctx.Err())
		case <-look.C:
			waited = true
		}
	}
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// holder is who keeps run from the lease, nil for nobody. Whether a holder is gone
// decides nothing here, so a doubt counts as held.
func (l *Launcher) holder(ctx context.Context, run ops.RunID) (*ops.Lease, error) {
	held, err := l.Documents.HeldBy(ctx, l.Hold.Environment, l.Hold.Lease)
	if err != nil {
		return nil, fmt.Errorf("asking who holds lease %s: %w", l.Hold.Lease, err)
	}
	if held == nil || held.Run == run {
		return nil, nil
	}
	if gone, err := l.Gone(ctx, *held); err == nil && gone {
		return nil, nil
	}
	return held, nil
}

// Gone tells whether a lease's holder can provably not act any more: its run has
// ended, or its newest attempt is gone. It reads no more of the holder's documents
// than a worker of another lane may.
func (l *Launcher) Gone(ctx context.Context, lease ops.Lease) (bool, error) {
	var was signs
	for {
		s, err := l.signs(ctx, lease.RunRef)
		if err != nil || !s.gone {
			return false, err
		}
		// A worker may have begun and ended between the documents and the engine's
		// answer: only what stays the same is known.
		if s.ended || s == was {
			return true, nil
		}
		was = s
	}
}

// signs is what a holder's documents say of whether it may still act.
type signs struct {
	starts, attempts int
	ended            bool // nothing acts after a result
	gone             bool
}

func (l *Launcher) signs(ctx context.Context, ref ops.RunRef) (signs, error) {
	starts, err := l.Documents.Starts(ctx, ref)
	if err != nil {
		return signs{}, fmt.Errorf("reading the starts of %s: %w", ref.Run, err)
	}
	if len(starts) == 0 {
		return signs{}, ops.Errorf(ops.NotFound, "run %s was never started.", ref.Run)
	}
	attempts, err := l.Documents.Attempts(ctx, ref)
	if err != nil {
		return signs{}, fmt.Errorf("reading the attempts of %s: %w", ref.Run, err)
	}
	status := &ops.RunStatus{RunRef: ref, Starts: starts, Attempts: attempts}
	for n := starts[len(starts)-1].N; n > 0 && status.Result == nil; n-- {
		if status.Result, err = l.Documents.Result(ctx, ref, n); err != nil {
			return signs{}, fmt.Errorf("reading the results of %s: %w", ref.Run, err)
		}
	}
	s := signs{starts: len(starts), attempts: len(attempts)}
	v := &View{RunStatus: status}
	if v.State() == ops.StateEnded {
		s.ended, s.gone = true, true
		return s, nil
	}
	err = l.askEngine(ctx, v)
	s.gone = v.Live == ops.Gone
	return s, err
}
