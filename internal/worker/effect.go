package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A hand is an effect being performed: its intent is durable.
type hand struct {
	a      *attempt
	effect ops.Effect

	mu          sync.Mutex
	checkpoints []json.RawMessage // saved by earlier attempts; by this one too where it may perform again
	saves       int               // by this attempt
	begun       bool              // it saved a checkpoint: something runs
	unsaved     bool              // the last one could not be written: nothing can go on from it
}

// step returns what the procedure may say while it performs the effect.
func (h *hand) step() *ops.Step {
	var last json.RawMessage
	if n := len(h.checkpoints); n > 0 {
		last = h.checkpoints[n-1]
	}
	return &ops.Step{
		Effect: h.effect, Values: h.a.order.values, Checkpoint: last, Checkpoints: h.checkpoints,
		Ending:   h.a.watch.asked,
		Canceled: func() bool { return h.a.watch.canceled() != nil },
		Save:     h.save,
		Progress: h.a.watch.progressed,
		Note:     h.a.watch.note,
		Log:      h.a.say,
		Artifact: h.a.keep,
	}
}

func (h *hand) save(ctx context.Context, v any) error {
	data, err := ops.CanonicalJSON(v)
	if err != nil {
		return fmt.Errorf("checkpoint of %s: %w", h.effect.ID, err)
	}
	err = h.a.journal.append(context.WithoutCancel(ctx), ops.Entry{Kind: ops.EntryCheckpoint, Effect: h.effect.ID, Data: data})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.saves++
	h.begun, h.unsaved = true, err != nil
	if h.effect.Settle == ops.SettleResend {
		h.checkpoints = append(h.checkpoints, data)
	}
	return err
}

// effect performs e, whose intent is durable, verifies it and returns the entry
// of its outcome. A lost answer is settled here, at once, as the effect says.
func (a *attempt) effect(ctx context.Context, e ops.Effect, checkpoints []json.RawMessage) ops.Entry {
	h := &hand{a: a, effect: e, checkpoints: checkpoints, begun: checkpoints != nil}
	done, err := a.order.bound.Procedure.Perform(ctx, h.step())
	if err == nil {
		return a.verified(ctx, e, done)
	}
	switch {
	case ops.Refused(err) == nil && h.lost(ctx, err):
		return h.settle(ctx, err)
	case e.Before == nil && a.maybeDone(e.ID): // this time for certain, but the time before?
		return a.failure(e, err, ops.EffectUnsettled)
	}
	return a.failure(e, err, ops.EffectFailed)
}

// lost tells whether err leaves open what became of the effect: the service gave
// no answer, or what was begun could not be followed to its end.
func (h *hand) lost(ctx context.Context, err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil || h.unsaved || h.a.journal.fenced.Load() {
		return true
	}
	switch ops.CodeOf(err) {
	case ops.Unsettled:
		return true
	case ops.Unavailable, ops.Canceled:
		// What only looks, however far it came, left nothing behind to find out about.
		return h.begun && !(h.a.order.task.Class == ops.Reads && h.effect.Settle == ops.SettleResend)
	}
	return false
}

// verified reads the target back where the procedure can.
func (a *attempt) verified(ctx context.Context, e ops.Effect, done ops.Done) ops.Entry {
	verify := a.order.bound.Procedure.Verify
	if verify == nil || done.Outcome != "" && done.Outcome != ops.EffectDone {
		return a.outcome(e, done)
	}
	state, err := verify(ctx, a.order.values, e)
	refusal := ops.Refused(err)
	switch {
	case refusal != nil:
		entry := a.failure(e, ops.Errorf(ops.Conflict, "it was done, but reading it back shows otherwise: %s", refusal.Reason), ops.EffectFailed)
		if state == nil {
			state = ops.State{}
		}
		entry.After = a.masked(state)
		return entry
	case err != nil:
		done.Message = strings.TrimSpace(done.Message + " Not verified: " + err.Error())
	case state != nil:
		done.After = state
	}
	return a.outcome(e, done)
}

// settleGrace is how long the calls that settle an effect may outlast the work.
const settleGrace = time.Minute

// outlast returns a context that ends settleGrace after ctx.
func outlast(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(settleGrace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}

// goesOn is the entry of an effect that ends with this attempt and not for good: its
// intent stays open, and a later attempt goes on from its last checkpoint.
func (h *hand) goesOn() ops.Entry {
	a, who := h.a, "a resume"
	if a.watch.handing() {
		who = "the next attempt"
	}
	a.line("goes on", h.effect, who+" goes on from its last checkpoint")
	return a.failed(h.effect, &ops.Error{Code: ops.Unsettled, Message: "It goes on from its last checkpoint in the next attempt."}, ops.EffectUnsettled)
}

// saved tells whether there is a checkpoint to go on from.
func (h *hand) saved() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.saves+len(h.checkpoints) > 0
}

// settle learns what became of an effect whose answer is lost.
func (h *hand) settle(ctx context.Context, cause error) ops.Entry {
	a, e, told := h.a, h.effect, ctx.Err() != nil
	ended := told && a.watch.canceled() == nil || ops.CodeOf(cause) == ops.Canceled && a.watch.leaving()
	switch {
	case ended && h.saved():
		return h.goesOn()
	case e.Settle == ops.SettleResume && !h.saved():
		return a.failure(e, fmt.Errorf("it was not begun: %w", cause), ops.EffectNotReached)
	case e.Settle == ops.SettleResume && a.watch.canceled() != nil:
		return a.failure(e, stopped(cause), ops.EffectFailed)
	case e.Settle == ops.SettleResume:
		return a.failure(e, cause, ops.EffectUnsettled)
	case told && a.order.task.Class == ops.Reads:
		return a.failure(e, errCanceled, ops.EffectNotReached)
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	switch {
	case e.Settle == ops.SettleRead && a.order.bound.Procedure.Settle != nil:
		return h.read(ctx, cause, told)
	case e.Settle == ops.SettleResend && a.maybeDone(e.ID):
		return h.readBack(ctx, cause) // it was sent again just now
	case e.Settle == ops.SettleResend:
		return h.resend(ctx, cause)
	}
	a.person.Store(true)
	return a.failure(e, cause, ops.EffectUnsettled)
}

// stopped is the error of an effect that goes on in no later attempt.
func stopped(cause error) error {
	why := ""
	if ops.CodeOf(cause) != ops.Canceled {
		why = " " + cause.Error()
	}
	return &ops.Error{Code: ops.Canceled, Message: "It was stopped before its end; what it had done until then stays." + why}
}

// read asks live state. What provably did not happen was not reached when the run
// was told to end, and failed otherwise.
func (h *hand) read(ctx context.Context, cause error, told bool) ops.Entry {
	a, e := h.a, h.effect
	done, happened, err := a.order.bound.Procedure.Settle(ctx, a.order.values, e)
	switch {
	case err != nil:
		return a.failure(e, unread(err, cause), ops.EffectUnsettled)
	case happened:
		return a.settled(e, done)
	case told:
		return a.failure(e, &ops.Error{Code: ops.CodeOf(cause), Message: "it did not happen: " + ops.WithoutHint(cause), Err: cause}, ops.EffectNotReached)
	}
	return a.failure(e, didNot(cause), ops.EffectFailed)
}

// resend performs the effect once more: the end state is the same.
func (h *hand) resend(ctx context.Context, cause error) ops.Entry {
	a, e := h.a, h.effect
	if _, err := a.watch.alive(); err != nil { // it was paused: another attempt may act now
		return a.failure(e, ops.Errorf(ops.Unsettled, "it was not sent again (%w), after: %w", err, cause), ops.EffectUnsettled)
	}
	done, err := a.order.bound.Procedure.Perform(ctx, h.step())
	switch {
	case err == nil:
		entry := a.verified(ctx, e, done)
		entry.Settled = true
		return entry
	case ops.Refused(err) == nil && h.lost(ctx, err):
		return h.readBack(ctx, err)
	}
	return h.afterResend(ctx, err)
}

// readBack tells what became of an effect that was sent again and lost again. Where
// it cannot be read it stays unsettled.
func (h *hand) readBack(ctx context.Context, cause error) ops.Entry {
	a, e := h.a, h.effect
	verify := a.order.bound.Procedure.Verify
	if verify == nil || e.Before == nil || ctx.Err() != nil {
		return a.failure(e, cause, ops.EffectUnsettled)
	}
	state, err := verify(ctx, a.order.values, e)
	switch {
	case ops.Refused(err) != nil:
		return a.failure(e, didNot(cause), ops.EffectFailed)
	case err != nil:
		return a.failure(e, unread(err, cause), ops.EffectUnsettled)
	}
	return a.settled(e, ops.Done{After: state})
}

// didNot is the error of an effect that was read not to have happened. What the
// cause advises is about not knowing.
func didNot(cause error) error {
	return &ops.Error{Code: ops.Unavailable, Message: "it did not happen: " + ops.WithoutHint(cause), Err: cause}
}

// unread is the error of an effect that could not be read.
func unread(err, cause error) error {
	return ops.Errorf(ops.Unsettled, "what became of it could not be read (%w), after: %w", err, cause)
}

// afterResend tells, once sending it again failed for certain, whether it had
// happened the first time.
func (h *hand) afterResend(ctx context.Context, cause error) ops.Entry {
	a, e := h.a, h.effect
	fresh, err := a.order.planOne(ctx, e.Target)
	switch {
	case err != nil:
		return a.failure(e, unread(err, cause), ops.EffectUnsettled)
	case fresh.Nothing:
		return a.settled(e, ops.Done{After: fresh.Before})
	case fresh.Before == nil:
		return a.failure(e, cause, ops.EffectUnsettled)
	}
	return a.failure(e, cause, ops.EffectFailed)
}
