package worker

import (
	"context"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

const (
	// A bulk goes on one first, then a few, then at full pace.
	firstBatch, fewBatch, fullBatch = 1, 3, ops.MostBatch / 2
	// The next batch is made ready while this many still wait.
	lowWater = fullBatch / 2
	// A batch is not smaller than this because many are in hand: each costs a
	// journal document.
	leastBatch = fullBatch / 4
	// A bulk stops after so many failures in a row, or one in twenty from the
	// twentieth on.
	mostInARow, percentFrom, onePer = 3, 20, 20
	flushEvery                      = time.Second
)

// A bulk performs a run's effects: intents first, durably, then the calls, as many
// at once as the service's pace allows, then their outcomes. Its fields belong to
// the goroutine of run.
type bulk struct {
	a       *attempt
	planned []ops.Effect // by target; nil when each is planned as it is reached
	todo    []int        // targets without a recorded outcome, in order
	next    int          // into todo

	ready    []ops.Effect // their intents are durable
	making   bool         // a batch is being made ready
	flushing bool         // outcomes are being written
	inHand   int
	finished int // effects that ended in this attempt
	failed   int
	inARow   int
	halt     error // why no further effect begins; nil while they may
	single   bool  // effects turned out to be such that only a person can settle
}

// perform settles what earlier attempts left open and then performs what has no
// outcome. nil: every effect has one now.
func (a *attempt) perform(ctx context.Context, effects []ops.Effect) error {
	ctx, cancel := context.WithDeadlineCause(ctx, a.since.Add(a.order.task.TimeLimit), errTimeLimit)
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
	batches, outcomes, flushed := make(chan batch), make(chan ops.EffectOutcome), make(chan struct{})
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	asked, ended := b.a.watch.asked, ctx.Done()
	for {
		b.prepareNext(ctx, batches)
		b.dispatch(ctx, outcomes)
		if b.idle() {
			break
		}
		select {
		case got := <-batches:
			b.take(got)
		case o := <-outcomes:
			b.inHand--
			b.ended(o)
		case <-asked:
			asked = nil
			b.stopOn(errCanceled)
		case <-ended:
			ended = nil // what is in hand still reports
			b.stopOn(context.Cause(ctx))
		case <-tick.C:
			b.flush(ctx, flushed)
		case <-flushed:
			b.flushing = false
		}
	}
	b.leave()
	if err := b.a.journal.flush(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return b.halt
}

// idle: nothing is under way and nothing can begin.
func (b *bulk) idle() bool {
	if b.inHand > 0 || b.making || b.flushing {
		return false
	}
	return b.halt != nil || len(b.ready) == 0 && b.next == len(b.todo)
}

// flush writes outcomes that no further intents carry along. One that fails is
// tried again with the next document.
func (b *bulk) flush(ctx context.Context, done chan<- struct{}) {
	if b.flushing {
		return
	}
	b.flushing = true
	go func() {
		_ = b.a.journal.flush(context.WithoutCancel(ctx))
		done <- struct{}{}
	}()
}

// take accepts a batch. One that failed is halted on first: its effects must not
// begin, and are left.
func (b *bulk) take(got batch) {
	b.making = false
	b.stopOn(got.failed)
	b.ready = append(b.ready, got.ready...)
	b.next -= got.back
	b.single = b.single || got.back > 0
	for _, o := range got.ended {
		b.ended(o)
	}
}

// dispatch starts as many ready effects as may be in hand now.
func (b *bulk) dispatch(ctx context.Context, out chan<- ops.EffectOutcome) {
	most := b.a.order.bound.inFlight()
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
		go func() { out <- b.a.performed(ctx, e) }()
	}
}

// performed performs one effect and hands its outcome to the journal. What only a
// person can settle is written at once: a crash before that would cost somebody an
// afternoon.
func (a *attempt) performed(ctx context.Context, e ops.Effect) ops.EffectOutcome {
	entry := a.effect(ctx, e, nil)
	a.journal.later(entry)
	if e.Settle == ops.SettlePerson {
		_ = a.journal.flush(context.WithoutCancel(ctx)) // written later if it fails
	}
	return ops.EffectOutcome(entry.Outcome)
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

var errPerson = &ops.Error{Code: ops.Unsettled, Message: "No further effect is begun until that is known."}

func (b *bulk) more() bool { return b.making || len(b.ready) > 0 || b.next < len(b.todo) }

func (b *bulk) stopOn(err error) {
	if err != nil && b.halt == nil {
		b.halt = err
	}
}

// leave records that effects whose intent may be open were never begun. Those that
// an earlier attempt had begun stay open.
func (b *bulk) leave() {
	for _, e := range b.ready {
		if !b.a.maybeDone(e.ID) {
			b.a.journal.later(neverBegun(e.ID))
		}
	}
}

// maybeDone: an earlier attempt left the effect open, and nobody knows yet.
func (a *attempt) maybeDone(id string) bool {
	_, open := a.journal.open[id]
	return open
}

func (b *bulk) count() {
	total := len(b.a.order.targets)
	b.a.watch.count(total-len(b.todo)+b.finished, b.failed, total, b.a.order.task.Plural)
}
