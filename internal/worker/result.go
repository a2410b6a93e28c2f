package worker

import (
	"errors"
	"fmt"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// result derives the run's outcome from what ended it and from the tally.
func (a *attempt) result(runErr error, t *tally) *ops.Result {
	r := &ops.Result{Run: a.ref.Run, Attempt: a.n, Task: a.req.Task, Environment: a.req.Environment, Requester: a.req.Requester,
		Counts: t.counts, Effects: []ops.EffectResult{}, Started: a.began}
	if a.order != nil {
		r.EffectsTotal = len(a.order.targets)
		r.Notes = append(r.Notes, a.order.values.Notes()...)
	}
	if a.plan != nil {
		r.PlanDigest = a.plan.Digest
	}
	r.Effects = append(append(r.Effects, t.bad...), t.good...)
	r.Effects = r.Effects[:min(len(r.Effects), ops.MostEffects)]
	r.Outcome, r.Code, r.Message = a.verdict(runErr, t)
	a.explain(r, t)
	return r
}

// verdict is the run's outcome, its code, and a sentence.
func (a *attempt) verdict(runErr error, t *tally) (ops.Outcome, ops.Code, string) {
	touched := t.counts[ops.EffectDone]+t.counts[ops.EffectFailed]+t.counts[ops.EffectUnsettled] > 0
	refusal := ops.Refused(runErr)
	_, invalid := errors.AsType[*ops.InputErrors](runErr)
	switch {
	case t.counts[ops.EffectUnsettled] > 0:
		return ops.RunFailed, ops.Unsettled, a.count(t.counts[ops.EffectUnsettled]) + " may or may not be done. " + sentence(runErr)
	case a.watch.canceled() && runErr != nil && (a.order == nil || t.counts[ops.EffectNotReached] > 0 || refusal != nil):
		return ops.RunCanceled, ops.Canceled, a.canceledMessage()
	case a.watch.canceled() && ops.CodeOf(runErr) == ops.Canceled:
		return a.verdict(nil, t) // the cancel came when all was done
	case ops.CodeOf(runErr) == ops.Canceled && a.start.Kind == ops.StartSettle:
		return ops.RunFailed, ops.Canceled, "What was open is settled; nothing further was begun."
	case (refusal != nil || invalid) && !touched && a.n == 1:
		return ops.RunRefused, ops.CodeOf(runErr), runErr.Error()
	case runErr != nil:
		return ops.RunFailed, ops.CodeOf(runErr), sentence(runErr)
	case t.counts[ops.EffectFailed] > 0:
		return ops.RunFailed, t.first, a.count(t.counts[ops.EffectFailed]) + " failed."
	case t.counts[ops.EffectRefused] > 0 && t.counts[ops.EffectDone] == 0:
		return ops.RunRefused, ops.Conflict, a.count(t.counts[ops.EffectRefused]) + " not as planned any more; left alone."
	case t.counts[ops.EffectRefused] > 0:
		return ops.RunFailed, ops.Conflict, a.count(t.counts[ops.EffectRefused]) + " not as planned any more; left alone."
	case t.counts[ops.EffectDone] == 0:
		return ops.Succeeded, "", "Nothing to do: all already as wanted."
	}
	return ops.Succeeded, "", ""
}

func (a *attempt) canceledMessage() string {
	m := a.watch.marker
	s := "Canceled by " + ops.Clip(m.By) + "."
	if m.Reason != "" {
		s += " Reason: " + ops.Quote(m.Reason) + "."
	}
	return s
}

func sentence(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (a *attempt) count(n int) string {
	if a.order == nil {
		return fmt.Sprint(n)
	}
	return a.order.task.Count(n)
}

// explain fills in the three lines a tired reader needs: what was changed, what was
// not, what to do next.
func (a *attempt) explain(r *ops.Result, t *tally) {
	done := t.counts[ops.EffectDone]
	verb := "changed"
	if a.order != nil && a.order.task.Class == ops.Reads {
		verb = "read; nothing was changed"
	}
	switch {
	case t.counts[ops.EffectUnsettled] > 0:
		r.Changed = fmt.Sprintf("%s %s; %d may have been.", a.count(done), verb, t.counts[ops.EffectUnsettled])
	case done == 0:
		r.Changed = "Nothing was changed."
	default:
		r.Changed = fmt.Sprintf("%s %s.", a.count(done), verb)
	}
	var left []string
	for _, o := range []ops.EffectOutcome{ops.EffectFailed, ops.EffectRefused, ops.EffectNotReached, ops.EffectUnchanged} {
		if n := t.counts[o]; n > 0 {
			left = append(left, fmt.Sprintf("%d %s", n, outcomeWords[o]))
		}
	}
	if len(left) > 0 {
		r.Unchanged = strings.Join(left, ", ") + "."
	}
	if r.Message == "" {
		r.Message = r.Changed
	}
	r.Next = a.next(r, t)
}

var outcomeWords = map[ops.EffectOutcome]string{
	ops.EffectFailed: "failed", ops.EffectRefused: "left alone because not as planned", ops.EffectNotReached: "not reached", ops.EffectUnchanged: "already as wanted",
}

// next is the one command to go on with.
func (a *attempt) next(r *ops.Result, t *tally) string {
	switch {
	case r.Outcome == ops.RunRefused || r.Outcome == ops.RunCanceled || r.Outcome == ops.Succeeded:
		return ""
	case t.person != "" && a.watch.canceled():
		return fmt.Sprintf("Find out whether it happened, then: synops settle %s --settle %s=done (or =not-done)", r.Run, t.person)
	case a.watch.canceled():
		return fmt.Sprintf("Finish the clean-up: synops settle %s", r.Run)
	case t.person != "":
		return fmt.Sprintf("Find out whether it happened, then: synops resume %s --settle %s=done (or =not-done)", r.Run, t.person)
	case t.counts[ops.EffectNotReached]+t.counts[ops.EffectUnsettled] > 0 || t.counts[ops.EffectFailed] == 0:
		s := "Go on: synops resume " + string(r.Run)
		if t.retry > 0 {
			s += "; then retry what failed: " + a.retryCommand()
		}
		return s
	}
	return "Retry what failed: " + a.retryCommand()
}

// retryCommand runs the same task again for the failed targets alone.
func (a *attempt) retryCommand() string {
	var inputs [][2]string
	for _, in := range a.order.task.Inputs {
		switch {
		case in.Name == a.order.task.TargetsInput:
			inputs = append(inputs, [2]string{in.Name, "@failed:" + string(a.ref.Run)})
		case a.order.values.Has(in.Name) && !in.Personal:
			inputs = append(inputs, [2]string{in.Name, a.order.values.Text(in.Name)})
		}
	}
	return ops.Command(a.req.Task, a.req.Environment, inputs...)
}
