package worker

import (
	"context"
	"fmt"
	"sync"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A batch is what making one ready brought.
type batch struct {
	ready  []ops.Effect        // their intents are durable, unless it failed
	ended  []ops.EffectOutcome // of those that need no performing
	back   int                 // targets at its end that must wait for their turn
	failed error               // no further effect may begin
}

// prepareNext begins to make the next batch ready, when it is time.
func (b *bulk) prepareNext(ctx context.Context, out chan<- batch) {
	waiting := len(b.ready) + b.inHand
	size := min(b.size(), ops.MostBatch-waiting, len(b.todo)-b.next)
	switch {
	case b.making || b.halt != nil || b.next == len(b.todo) || len(b.ready) > lowWater:
		return
	case waiting > 0 && (b.size() < fullBatch || size < min(leastBatch, len(b.todo)-b.next)):
		return // one first, then a few: the next only when these have ended
	}
	mine := b.todo[b.next : b.next+size]
	b.next, b.making = b.next+size, true
	go func() { out <- b.prepare(ctx, mine) }()
}

// size is how many effects the next batch may have.
func (b *bulk) size() int {
	switch {
	case b.finished < firstBatch || b.alone():
		return firstBatch
	case b.finished < firstBatch+fewBatch:
		return fewBatch
	}
	return fullBatch
}

// alone: effects that only a person can settle have one open intent at a time.
func (b *bulk) alone() bool {
	if b.single || b.planned == nil || b.next == len(b.todo) {
		return b.single
	}
	return b.planned[b.todo[b.next]].Settle == ops.SettlePerson
}

// prepare plans what was not planned yet, keeps before-images, and opens the
// batch's intents with one journal document.
func (b *bulk) prepare(ctx context.Context, targets []int) batch {
	if err := b.a.watch.look(ctx); err != nil {
		return batch{failed: fmt.Errorf("asking whether the run is canceled: %w", err)}
	}
	if err := b.a.watch.mayAct(ctx); err != nil {
		return batch{failed: err}
	}
	effects, errs := b.effects(ctx, targets)
	if ctx.Err() != nil {
		return batch{failed: context.Cause(ctx)}
	}
	var out batch
	var entries []ops.Entry
	for i, e := range effects {
		begins := errs[i] == nil && !e.Nothing
		if begins && e.Settle == ops.SettlePerson && i > 0 {
			out.back = len(effects) - i
			break
		}
		if !begins {
			entry := b.a.unbegun(e, errs[i])
			entries, out.ended = append(entries, entry), append(out.ended, ops.EffectOutcome(entry.Outcome))
			continue
		}
		if err := b.a.keepBefore(ctx, e); err != nil {
			return batch{failed: err}
		}
		entries, out.ready = append(entries, b.a.intent(e)), append(out.ready, e)
		if e.Settle == ops.SettlePerson {
			out.back = len(effects) - i - 1
			break
		}
	}
	out.failed = b.a.journal.append(ctx, entries...) // only when it is durable may an effect begin
	return out
}

// unbegun is the outcome of an effect that need not or cannot be begun. One that an
// earlier attempt left open is settled by that, or stays unsettled.
func (a *attempt) unbegun(e ops.Effect, err error) ops.Entry {
	switch maybe := a.maybeDone(e.ID); {
	case err == nil && maybe:
		return a.settled(e, ops.Done{After: e.Before})
	case err == nil:
		return a.outcome(e, ops.Done{Outcome: ops.EffectUnchanged, After: e.Before})
	case maybe:
		return a.failure(e, err, ops.EffectUnsettled)
	}
	return a.failure(e, err, ops.EffectFailed)
}

// keepBefore keeps the personal image of what e is about to change, beside those of
// earlier attempts: theirs are of what an open call may have changed since, and this
// one is of what is there now.
func (a *attempt) keepBefore(ctx context.Context, e ops.Effect) error {
	if e.Private == nil {
		return nil
	}
	if err := a.w.c.Documents.CreatePrivate(ctx, a.ref, privateName(e.ID, a.n), e.Private); err != nil {
		return fmt.Errorf("keeping what %s was before: %w", e.Label, err)
	}
	return nil
}

// effects returns the effects of targets, planned now where they were not before.
func (b *bulk) effects(ctx context.Context, targets []int) ([]ops.Effect, []error) {
	effects, errs := make([]ops.Effect, len(targets)), make([]error, len(targets))
	var wg sync.WaitGroup
	slots := make(chan struct{}, b.a.order.bound.inFlight())
	for i, t := range targets {
		if b.planned != nil {
			effects[i] = b.planned[t]
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			effects[i], errs[i] = b.a.replan(ctx, t)
		})
	}
	wg.Wait()
	return effects, errs
}

// replan plans one target as it is reached. What was agreed on must still hold,
// unless an earlier attempt may have changed the target itself.
func (a *attempt) replan(ctx context.Context, target int) (ops.Effect, error) {
	t := a.order.targets[target]
	e, err := a.order.planOne(ctx, t)
	e.Target = t
	if err == nil && !e.Nothing && !a.maybeDone(t.ID) {
		err = a.asAgreed(target, e)
	}
	return e, err
}
