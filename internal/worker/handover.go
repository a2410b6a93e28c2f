package worker

import (
	"context"
	"fmt"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// handOver ends this attempt and begins the next one, because this process's time
// is up and the run's is not. The lease stays the run's. It ends the run instead
// when that was canceled meanwhile, when this attempt brought it no further, or
// when it has had as many attempts as its time limit can need.
func (a *attempt) handOver(runErr error) (*ops.Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.watch.ctx), finishGrace)
	defer cancel()
	if err := a.journal.flush(ctx); err != nil {
		return nil, err
	}
	if err := a.mayHandOver(ctx); err != nil {
		return a.finish(err)
	}
	if a.watch.canceled() != nil {
		return a.finish(runErr)
	}
	if err := a.journal.append(ctx, ops.Entry{Kind: ops.EntryHandOver}); err != nil {
		return nil, err
	}
	next := a.start
	next.N, next.Kind, next.At = a.n+1, ops.StartHandOver, now()
	if next.Bundle == "" {
		next.Bundle = a.w.c.Attempt.Bundle // the newest one may not know this request
	}
	a.say("Handed over as planned, for this attempt's time is up: attempt %d goes on.", next.N)
	if err := a.w.c.Next(ctx, next); err != nil && ops.CodeOf(err) != ops.Conflict {
		return a.finish(fmt.Errorf("beginning attempt %d: %w", next.N, err))
	}
	return nil, ErrHandedOver
}

// mayHandOver is nil when another attempt is of use. The cancel marker is read
// anew: no start passes it.
func (a *attempt) mayHandOver(ctx context.Context) error {
	if err := a.watch.look(ctx); err != nil {
		return fmt.Errorf("asking whether the run is canceled: %w", err)
	}
	if !a.journal.moved.Load() {
		return ops.Errorf(ops.Unavailable, "this attempt brought the run no further in %v, so another would not either.", a.w.c.Limit)
	}
	starts, err := a.w.c.Documents.Starts(ctx, a.ref)
	if err != nil {
		return fmt.Errorf("reading the starts: %w", err)
	}
	inARow := 0
	for _, s := range starts {
		inARow++
		if s.Kind != ops.StartHandOver {
			inARow = 1
		}
	}
	if most := a.mostAttempts(); inARow >= most {
		return ops.Errorf(ops.Unavailable, "the run has had %d attempts in a row, as many as its time limit of %v needs.", inARow, a.order.task.TimeLimit)
	}
	return nil
}

// mostAttempts is how many attempts in a row the task's time limit can need, and
// one more for what each loses at its ends.
func (a *attempt) mostAttempts() int {
	useful := max(a.w.c.Limit-a.w.c.HandOver, time.Second)
	return int((a.order.task.TimeLimit+useful-1)/useful) + 1
}
