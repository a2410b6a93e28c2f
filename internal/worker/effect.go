package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// settleGrace bounds the calls that settle an effect after the run was told to
// end.
const settleGrace = time.Minute

// effect performs e, whose intent is durable, verifies it and returns the entry
// of its outcome. A lost answer is settled here, at once, as the effect says.
func (a *attempt) effect(ctx context.Context, e ops.Effect, checkpoint json.RawMessage) ops.Entry {
	done, err := a.order.bound.Procedure.Perform(ctx, a.step(e, checkpoint))
	if err == nil {
		return a.verified(ctx, e, done)
	}
	lost := ops.CodeOf(err) == ops.Unsettled || ctx.Err() != nil
	if ops.Refused(err) != nil || !lost {
		return a.failure(&e, err, ops.EffectFailed)
	}
	return a.settle(ctx, e, err)
}

// verified reads the target back where the procedure can.
func (a *attempt) verified(ctx context.Context, e ops.Effect, done ops.Done) ops.Entry {
	verify := a.order.bound.Procedure.Verify
	if verify == nil || done.Outcome != "" && done.Outcome != ops.EffectDone {
		return a.outcome(e, done)
	}
	state, err := verify(ctx, a.order.values, e)
	switch {
	case err == nil:
		if state != nil {
			done.After = state
		}
		return a.outcome(e, done)
	case ops.Refused(err) != nil:
		entry := a.failure(&e, ops.Errorf(ops.Conflict, "it was done, but reading it back shows otherwise: %s", ops.Refused(err).Reason), ops.EffectFailed)
		return entry
	}
	done.Message = strings.TrimSpace(done.Message + " Not verified: " + err.Error())
	return a.outcome(e, done)
}

// settle learns what became of an effect whose answer is lost, or whose attempt
// died.
func (a *attempt) settle(ctx context.Context, e ops.Effect, cause error) ops.Entry {
	told := ctx.Err() != nil
	if told {
		if a.order.task.Class == ops.Reads {
			return a.failure(&e, errCanceled, ops.EffectNotReached)
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), settleGrace)
		defer cancel()
	}
	p := a.order.bound.Procedure
	switch {
	case e.Settle == ops.SettleRead && p.Settle != nil:
		done, settled, err := p.Settle(ctx, a.order.values, e)
		switch {
		case err != nil:
			return a.failure(&e, fmt.Errorf("%w; and what became of it could not be read: %w", cause, err), ops.EffectUnsettled)
		case settled:
			entry := a.outcome(e, done)
			entry.Settled = true
			return entry
		}
		return a.failure(&e, fmt.Errorf("it did not happen: %w", cause), a.undone(told))
	case e.Settle == ops.SettleResend:
		done, err := p.Perform(ctx, a.step(e, nil))
		if err == nil {
			entry := a.verified(ctx, e, done)
			entry.Settled = true
			return entry
		}
		if ops.CodeOf(err) == ops.Unsettled || ctx.Err() != nil {
			return a.failure(&e, err, ops.EffectUnsettled)
		}
		return a.failure(&e, err, ops.EffectFailed)
	}
	a.person.Store(true)
	return a.failure(&e, cause, ops.EffectUnsettled)
}

// undone is the outcome of an effect that provably did not happen: a run told to
// end did not reach it.
func (a *attempt) undone(told bool) ops.EffectOutcome {
	if told {
		return ops.EffectNotReached
	}
	return ops.EffectFailed
}

// settleOpen settles the intents that earlier attempts left open, one at a time.
func (a *attempt) settleOpen(ctx context.Context) error {
	for _, t := range a.openTargets() {
		in := a.journal.open[t.ID]
		entry, again := a.settleOne(ctx, t, in)
		if again {
			a.journal.later(ops.Entry{Kind: ops.EntryOutcome, Effect: t.ID, Outcome: string(ops.EffectNotReached)})
			continue
		}
		a.journal.later(entry)
		o := ops.EffectOutcome(entry.Outcome)
		if recorded(o) {
			a.journal.outcomes[t.ID] = o
		}
		if err := a.journal.flush(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		if o == ops.EffectUnsettled {
			return ops.Errorf(ops.Unsettled, "What became of %s cannot be told: %s", t.Label, entry.Message)
		}
	}
	return a.journal.flush(context.WithoutCancel(ctx))
}

func (a *attempt) openTargets() []ops.Target {
	if len(a.journal.open) == 0 {
		return nil
	}
	var out []ops.Target
	for _, t := range a.order.targets {
		if _, ok := a.journal.open[t.ID]; ok {
			out = append(out, t)
		}
	}
	return out
}

// settleOne settles one open intent. again: it did not happen, so it is performed
// in its turn.
func (a *attempt) settleOne(ctx context.Context, t ops.Target, in intent) (entry ops.Entry, again bool) {
	e := ops.Effect{Target: t, Summary: in.entry.Summary, Before: in.entry.Before, After: in.entry.After, Settle: in.entry.Settle}
	if answer, ok := a.start.Settle[t.ID]; ok {
		if !answer {
			a.say("settled   %s  not done, as %s says", t.Label, ops.Clip(a.start.By))
			return ops.Entry{}, true
		}
		entry = a.outcome(e, ops.Done{Message: "done, as " + ops.Clip(a.start.By) + " says"})
		entry.Settled = true
		return entry, false
	}
	ending := a.watch.canceled() || a.start.Kind == ops.StartSettle
	if in.checkpoint != nil && !ending {
		return a.effect(ctx, e, in.checkpoint), false
	}
	p := a.order.bound.Procedure
	switch {
	case e.Settle == ops.SettleRead && p.Settle != nil:
		done, settled, err := p.Settle(ctx, a.order.values, e)
		if err != nil {
			return a.failure(&e, fmt.Errorf("reading what became of it: %w", err), ops.EffectUnsettled), false
		}
		if !settled {
			return ops.Entry{}, true
		}
		entry = a.outcome(e, done)
		entry.Settled = true
		return entry, false
	case e.Settle == ops.SettleResend && a.order.task.Class == ops.Reads:
		return ops.Entry{}, true // a read left no trace: it simply is made again
	case e.Settle == ops.SettleResend:
		// Live state may have moved since; plan anew so that the call is the right one.
		fresh, err := a.order.planOne(ctx, t)
		if err != nil {
			return a.failure(&e, err, ops.EffectUnsettled), false
		}
		if fresh.Nothing {
			entry = a.outcome(e, ops.Done{After: fresh.Before})
			entry.Settled = true
			return entry, false
		}
		return a.settle(ctx, fresh, errLost), false
	}
	a.person.Store(true)
	cause := error(errLost)
	if in.checkpoint != nil {
		cause = fmt.Errorf("it was in hand when the run was told to end; its last checkpoint was %s", in.checkpoint)
	}
	return a.failure(&e, cause, ops.EffectUnsettled), false
}

var errLost = &ops.Error{Code: ops.Unsettled, Message: "The attempt that began it ended before it could say how it went."}

// settleOnly finishes a canceled run: what is open is settled, nothing begins.
func (a *attempt) settleOnly(ctx context.Context) error {
	a.watch.phase("settling")
	ctx = context.WithoutCancel(ctx)
	if err := a.settleOpen(ctx); err != nil && ops.CodeOf(err) != ops.Unsettled {
		return err
	}
	return errCanceled
}

// outcome returns the entry of an effect that went well and says so.
func (a *attempt) outcome(e ops.Effect, done ops.Done) ops.Entry {
	o := done.Outcome
	if o == "" {
		o = ops.EffectDone
	}
	after := done.After
	if after == nil {
		after = e.After
	}
	a.tell(o, e, done.Message)
	return ops.Entry{Kind: ops.EntryOutcome, Effect: e.ID, Outcome: string(o), Summary: e.Summary,
		Before: a.masked(e.Before), After: a.masked(after), Message: done.Message}
}

// failure returns the entry of an effect that did not go well. A refusal means it
// was left alone.
func (a *attempt) failure(e *ops.Effect, err error, o ops.EffectOutcome) ops.Entry {
	if r := ops.Refused(err); r != nil && o == ops.EffectFailed {
		o = ops.EffectRefused
	}
	a.tell(o, *e, err.Error())
	return ops.Entry{Kind: ops.EntryOutcome, Effect: e.ID, Outcome: string(o), Summary: e.Summary,
		Before: a.masked(e.Before), Code: ops.CodeOf(err), Message: err.Error()}
}

// quietAbove is how many targets a run may have for each effect that went well to
// get a line of its own.
const quietAbove = 1000

func (a *attempt) tell(o ops.EffectOutcome, e ops.Effect, message string) {
	ok := o == ops.EffectDone || o == ops.EffectUnchanged
	if ok && len(a.order.targets) > quietAbove {
		return
	}
	parts := slices.DeleteFunc([]string{e.Summary, message}, func(s string) bool { return s == "" })
	a.say("%-9s %s  %s", o, e.Label, strings.Join(parts, ": "))
}

func (a *attempt) masked(s ops.State) ops.State { return s.Masked(a.order.task.Personal, a.key) }

// privateName is an effect's ID as a file name.
func privateName(id string) string { return strings.ReplaceAll(id, "/", "~") + ".json" }
