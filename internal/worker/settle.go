package worker

import (
	"context"
	"fmt"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var errLost = &ops.Error{Code: ops.Unsettled, Message: "It was begun, and no attempt could say how it went."}

// settleOnly finishes a run that may begin nothing more: what is open is settled.
func (a *attempt) settleOnly(ctx context.Context) error {
	a.watch.phase("settling")
	if err := a.settleOpen(ctx); err != nil {
		return err
	}
	return errCanceled
}

// settleOpen settles the intents that earlier attempts left open, one at a time.
// Those that are simply sent again stay open: the bulk does so in their turn, since
// most of a batch was never begun. The error, of code Unsettled, tells that one is
// left which nothing here can settle.
func (a *attempt) settleOpen(ctx context.Context) error {
	var unknown error
	for _, t := range a.openTargets() {
		if (a.watch.stopped() || a.watch.handing()) && a.watch.canceled() == nil {
			return errCanceled
		}
		entry, known, err := a.settleOne(ctx, t, a.journal.open[t.ID])
		if err != nil {
			return err
		}
		if !known {
			continue
		}
		if err := a.journal.append(context.WithoutCancel(ctx), entry); err != nil {
			return err
		}
		switch o := ops.EffectOutcome(entry.Outcome); {
		case o == ops.EffectUnsettled:
			unknown = ops.Errorf(ops.Unsettled, "What became of %s cannot be told: %s", t.Label, entry.Message)
			if !a.person.Load() {
				return unknown // the service does not answer: asking on would be in vain
			}
		case recorded(o):
			a.journal.outcomes[t.ID] = o
			fallthrough
		default:
			delete(a.journal.open, t.ID)
		}
	}
	return unknown
}

// openTargets lists what is open, in the order of the targets.
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

// settleOne settles one open intent; known is false when that is left to the bulk.
// An effect that did not happen is not reached, and so performed in its turn.
func (a *attempt) settleOne(ctx context.Context, t ops.Target, in intent) (entry ops.Entry, known bool, err error) {
	e := ops.Effect{Target: t, Summary: in.entry.Summary, Before: in.entry.Before, After: in.entry.After, Settle: in.entry.Settle}
	answer, answered := a.start.Settle[t.ID]
	switch {
	case answered && answer:
		return a.settled(e, ops.Done{Message: "done, as " + ops.Clip(a.start.By) + " says"}), true, nil
	case answered:
		a.say("settled   %s  not done, as %s says", t.Label, ops.Clip(a.start.By))
		return neverBegun(t.ID), true, nil
	case in.checkpoints != nil && !a.ending():
		if _, err := a.watch.alive(); err != nil {
			return entry, false, err
		}
		return a.effect(ctx, e, in.checkpoints), true, nil
	case e.Settle == ops.SettleResume && in.checkpoints == nil:
		return neverBegun(t.ID), true, nil
	case e.Settle == ops.SettleResume:
		return a.failure(e, stopped(errCanceled), ops.EffectFailed), true, nil
	case e.Settle == ops.SettleRead && a.order.bound.Procedure.Settle != nil:
		return a.settleByRead(ctx, e), true, nil
	case e.Settle == ops.SettleResend && a.order.task.Class == ops.Reads:
		return neverBegun(t.ID), true, nil // a read left no trace: it simply is made again
	case e.Settle == ops.SettleResend && !a.ending():
		return entry, false, nil
	case e.Settle == ops.SettleResend:
		return a.settleByPlan(ctx, t), true, nil
	}
	a.person.Store(true)
	cause := error(errLost)
	if n := len(in.checkpoints); n > 0 {
		cause = ops.Errorf(ops.Unsettled, "it was in hand when the run was told to end; its last checkpoint was %s", in.checkpoints[n-1])
	}
	return a.failure(e, cause, ops.EffectUnsettled), true, nil
}

func (a *attempt) settleByRead(ctx context.Context, e ops.Effect) ops.Entry {
	ctx, cancel := outlast(ctx)
	defer cancel()
	done, happened, err := a.order.bound.Procedure.Settle(ctx, a.order.values, e)
	switch {
	case err != nil:
		return a.failure(e, fmt.Errorf("reading what became of it: %w", err), ops.EffectUnsettled)
	case happened:
		return a.settled(e, done)
	}
	return neverBegun(e.ID)
}

// settleByPlan settles an effect that would be sent again in a run that may begin
// nothing more. Most intents of a batch were never begun, so a target that reads
// as before is left alone; only one that cannot be read is sent again.
func (a *attempt) settleByPlan(ctx context.Context, t ops.Target) ops.Entry {
	out, cancel := outlast(ctx)
	defer cancel()
	fresh, err := a.order.planOne(out, t)
	fresh.Target = t
	switch {
	case err != nil:
		return a.failure(fresh, err, ops.EffectUnsettled)
	case fresh.Nothing:
		return a.settled(fresh, ops.Done{After: fresh.Before})
	case fresh.Before != nil:
		return a.failure(fresh, ops.Errorf(ops.Canceled, "it reads as before, so it was not sent again"), ops.EffectNotReached)
	}
	fresh.Settle = ops.SettleResend
	h := &hand{a: a, effect: fresh}
	return h.resend(out, errLost)
}
