package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

const (
	// A bulk goes on one first, then a few, then at full pace.
	firstBatch, fewBatch, fullBatch = 1, 3, ops.MostBatch / 2
	// The next batch is made ready while this many still wait, so that at most
	// ops.MostBatch intents are open at once.
	lowWater = fullBatch / 2
	// A bulk stops after so many failures in a row, or one in twenty from the
	// twentieth on.
	mostInARow, percentFrom, onePer = 3, 20, 20
	flushEvery                      = time.Second
)

// A bulk performs a run's effects: intents first, durably, then the calls, as many
// at once as the service's pace allows, then their outcomes.
type bulk struct {
	a       *attempt
	planned []ops.Effect // by target; empty when each is planned as it is reached
	todo    []int        // targets without a recorded outcome, in order
	next    int          // into todo

	ready    []ops.Effect // their intents are durable
	making   bool         // a batch is being made ready
	inHand   int
	finished int // effects that ended in this attempt
	failed   int
	inARow   int
	halt     error // why no further effect begins; nil while they may
	single   bool  // effects turned out to be such that only a person can settle
}

// batch is what making one ready brought.
type batch struct {
	ready  []ops.Effect
	ended  []ops.EffectOutcome // of those that need no performing
	back   int                 // targets at its end that must wait for their turn
	failed error               // the journal or the store failed
}

// perform settles what earlier attempts left open and then performs what has no
// outcome. nil: every effect has one now.
func (a *attempt) perform(ctx context.Context, effects []ops.Effect) error {
	ctx, cancel := context.WithDeadlineCause(ctx, a.began.Add(a.order.task.TimeLimit), errTimeLimit)
	defer cancel()
	a.watch.phase("performing")
	if err := a.settleOpen(ctx); err != nil {
		return err
	}
	b := &bulk{a: a, planned: effects}
	for i, t := range a.order.targets {
		if _, ok := a.journal.outcomes[t.ID]; !ok {
			b.todo = append(b.todo, i)
		}
	}
	b.count()
	return b.run(ctx)
}

var errTimeLimit = &ops.Error{Code: ops.Unavailable, Message: "The run reached its time limit."}

func (b *bulk) run(ctx context.Context) error {
	batches, outcomes := make(chan batch), make(chan ops.EffectOutcome)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	asked := b.a.watch.asked
	var flushing sync.WaitGroup
	defer flushing.Wait()
	for {
		b.prepareNext(ctx, batches)
		b.dispatch(ctx, outcomes)
		if b.inHand == 0 && !b.making && (b.halt != nil || len(b.ready) == 0 && b.next == len(b.todo)) {
			break
		}
		select {
		case got := <-batches:
			b.making = false
			b.ready = append(b.ready, got.ready...)
			b.next -= got.back
			b.single = b.single || got.back > 0
			b.stopOn(got.failed)
			for _, o := range got.ended {
				b.ended(o)
			}
		case o := <-outcomes:
			b.inHand--
			b.ended(o)
		case <-asked:
			asked = nil
			b.stopOn(errCanceled)
		case <-ctx.Done():
			b.stopOn(context.Cause(ctx))
			ctx = context.WithoutCancel(ctx) // what is in hand still reports
		case <-tick.C:
			flushing.Go(func() { _ = b.a.journal.flush(context.WithoutCancel(ctx)) }) // kept and tried again if it fails
		}
	}
	b.leave()
	if err := b.a.journal.flush(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return b.halt
}

// prepareNext begins to make the next batch ready, when it is time.
func (b *bulk) prepareNext(ctx context.Context, out chan<- batch) {
	if b.making || b.halt != nil || b.next == len(b.todo) || len(b.ready) > lowWater {
		return
	}
	if b.finished < firstBatch+fewBatch && len(b.ready)+b.inHand > 0 {
		return // one first, then a few: the next only when these have ended
	}
	if b.alone() && len(b.ready)+b.inHand > 0 {
		return
	}
	size := fullBatch
	switch {
	case b.finished < firstBatch || b.alone():
		size = firstBatch
	case b.finished < firstBatch+fewBatch:
		size = fewBatch
	}
	end := min(b.next+size, len(b.todo))
	mine := b.todo[b.next:end]
	b.next, b.making = end, true
	go func() { out <- b.prepare(ctx, mine) }()
}

// alone: effects that only a person can settle have one open intent at a time.
func (b *bulk) alone() bool {
	return b.single || len(b.planned) > 0 && b.planned[min(b.next, len(b.planned)-1)].Settle == ops.SettlePerson
}

// intent returns the entry that must be durable before e begins.
func (a *attempt) intent(e ops.Effect) ops.Entry {
	return ops.Entry{Kind: ops.EntryIntent, Effect: e.ID, Summary: e.Summary, Settle: e.Settle, Before: a.masked(e.Before), After: a.masked(e.After)}
}

// keepBefore keeps the personal image of what e is about to change.
func (a *attempt) keepBefore(ctx context.Context, e ops.Effect) error {
	if e.Private == nil {
		return nil
	}
	if err := a.w.c.Documents.CreatePrivate(ctx, a.ref, privateName(e.ID), e.Private); err != nil {
		return fmt.Errorf("keeping what %s was before: %w", e.Label, err)
	}
	return nil
}

// prepare plans what was not planned yet, keeps before-images, and opens the
// batch's intents with one journal document.
func (b *bulk) prepare(ctx context.Context, targets []int) batch {
	var out batch
	effects, errs := b.effects(ctx, targets)
	var entries []ops.Entry
	for i, e := range effects {
		if errs[i] == nil && !e.Nothing && e.Settle == ops.SettlePerson && i > 0 {
			out.back = len(effects) - i
			break
		}
		switch {
		case errs[i] != nil && ctx.Err() != nil:
			out.failed = context.Cause(ctx)
			return out
		case errs[i] != nil:
			o := b.a.failure(&e, errs[i], ops.EffectFailed)
			entries = append(entries, o)
			out.ended = append(out.ended, ops.EffectOutcome(o.Outcome))
		case e.Nothing:
			entries = append(entries, b.a.outcome(e, ops.Done{Outcome: ops.EffectUnchanged, After: e.Before}))
			out.ended = append(out.ended, ops.EffectUnchanged)
		default:
			if out.failed = b.a.keepBefore(ctx, e); out.failed != nil {
				return out
			}
			entries = append(entries, b.a.intent(e))
			out.ready = append(out.ready, e)
			if e.Settle == ops.SettlePerson && i+1 < len(effects) {
				out.back = len(effects) - i - 1
				return b.commit(ctx, out, entries)
			}
		}
	}
	return b.commit(ctx, out, entries)
}

// commit makes the batch's entries durable; only then may its effects begin.
func (b *bulk) commit(ctx context.Context, out batch, entries []ops.Entry) batch {
	if err := b.a.journal.append(ctx, entries...); err != nil {
		return batch{failed: err}
	}
	return out
}

// effects returns the effects of targets, planned now where they were not before.
func (b *bulk) effects(ctx context.Context, targets []int) ([]ops.Effect, []error) {
	effects, errs := make([]ops.Effect, len(targets)), make([]error, len(targets))
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(b.a.order.bound.InFlight(), 1))
	for i, t := range targets {
		if len(b.planned) > 0 {
			effects[i] = b.planned[t]
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			effects[i], errs[i] = b.a.order.planOne(ctx, b.a.order.targets[t])
			effects[i].Target = b.a.order.targets[t]
		})
	}
	wg.Wait()
	return effects, errs
}

// dispatch starts as many ready effects as may be in hand now.
func (b *bulk) dispatch(ctx context.Context, out chan<- ops.EffectOutcome) {
	most := max(b.a.order.bound.InFlight(), 1)
	if b.finished < firstBatch {
		most = 1
	}
	for b.halt == nil && len(b.ready) > 0 && b.inHand < most {
		if err := b.a.watch.mayAct(ctx); err != nil {
			b.stopOn(err)
			return
		}
		e := b.ready[0]
		b.ready = b.ready[1:]
		b.inHand++
		go func() {
			entry := b.a.effect(ctx, e, nil)
			b.a.journal.later(entry)
			out <- ops.EffectOutcome(entry.Outcome)
		}()
	}
}

// ended counts an effect's outcome and stops the bulk where going on would only do
// more of the same harm.
func (b *bulk) ended(o ops.EffectOutcome) {
	b.finished++
	switch o {
	case ops.EffectFailed, ops.EffectUnsettled:
		b.failed++
		b.inARow++
	default:
		b.inARow = 0
	}
	b.count()
	switch {
	case o == ops.EffectUnsettled && b.a.person.Load():
		b.stopOn(errPerson)
	case b.inARow >= mostInARow && b.more():
		b.stopOn(ops.Errorf(ops.Unavailable, "Stopped after %d failures in a row.", b.inARow))
	case b.finished >= percentFrom && b.failed*onePer >= b.finished && b.more():
		b.stopOn(ops.Errorf(ops.Unavailable, "Stopped: %d of %d failed.", b.failed, b.finished))
	}
}

var errPerson = &ops.Error{Code: ops.Unsettled, Message: "Nothing can tell whether the last effect happened."}

func (b *bulk) more() bool { return b.making || len(b.ready) > 0 || b.next < len(b.todo) }

func (b *bulk) stopOn(err error) {
	if err != nil && b.halt == nil {
		b.halt = err
	}
}

// leave records that effects whose intent was open were never begun.
func (b *bulk) leave() {
	for _, e := range b.ready {
		b.a.journal.later(ops.Entry{Kind: ops.EntryOutcome, Effect: e.ID, Outcome: string(ops.EffectNotReached)})
	}
}

func (b *bulk) count() {
	total := len(b.a.order.targets)
	b.a.watch.count(total-len(b.todo)+b.finished, b.failed, total, b.a.order.task.Plural)
}
