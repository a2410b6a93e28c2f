package worker

import (
	"fmt"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// blank is a result that says who asked for what.
func (a *attempt) blank() *ops.Result {
	return &ops.Result{Run: a.ref.Run, Attempt: a.n, Task: a.req.Task, Environment: a.req.Environment, Requester: a.req.Requester,
		Counts: map[ops.EffectOutcome]int{}, Effects: []ops.EffectResult{}, Started: a.began}
}

// result derives the run's outcome from what ended it and from the tally.
func (a *attempt) result(runErr, cleanErr error, t *tally) *ops.Result {
	r := a.blank()
	r.Counts, r.EffectsTotal = t.counts, len(t.targets)
	if a.order != nil {
		r.Notes = append(r.Notes, a.order.values.Notes()...)
	}
	if cleanErr != nil {
		r.Notes = append(r.Notes, "clean-up did not finish: "+cleanErr.Error())
	}
	if a.plan != nil {
		r.PlanDigest = a.plan.Digest
	}
	if a.w.c.PlanOnly && runErr == nil {
		r.Counts, r.Effects, r.EffectsTotal = map[ops.EffectOutcome]int{}, []ops.EffectResult{}, 0 // the plan tells them
		r.Outcome, r.Message, r.Changed = ops.Succeeded, "Planned.", "Nothing was changed: this only planned."
		return r
	}
	r.Effects = append(append(r.Effects, t.bad...), t.good...)
	r.Effects = r.Effects[:min(len(r.Effects), ops.MostEffects)]
	r.Outcome, r.Code, r.Message = a.verdict(runErr, cleanErr, t)
	if no := ops.Refused(runErr); no != nil && r.Outcome == ops.RunRefused {
		r.Guard = no.Guard
	}
	r.Changed, r.Unchanged = a.changed(t), unchanged(t)
	r.Next = a.next(r, t)
	return r
}

// verdict is the run's outcome, its code, and a sentence.
func (a *attempt) verdict(runErr, cleanErr error, t *tally) (ops.Outcome, ops.Code, string) {
	marker, all := a.watch.canceled(), a.order != nil && t.counts[ops.EffectNotReached] == 0
	switch {
	case t.begun > 0 && t.begun == t.counts[ops.EffectUnsettled]:
		return ops.RunFailed, t.why, a.count(t.begun) + " begun and not finished." + because(runErr)
	case t.counts[ops.EffectUnsettled] > 0:
		return ops.RunFailed, ops.Unsettled, a.count(t.counts[ops.EffectUnsettled]) + " may or may not be done." + because(runErr)
	case cleanErr != nil:
		return ops.RunFailed, ops.CodeOf(cleanErr), "The clean-up did not finish." + because(runErr)
	case marker != nil && t.stopped > 0 && t.stopped == t.counts[ops.EffectFailed]:
		return ops.RunCanceled, ops.Canceled, canceledMessage(marker)
	case runErr == nil, all && ops.CodeOf(runErr) == ops.Canceled && a.ending():
		return a.bulkVerdict(t) // also when the cancel came after all was done
	case marker != nil:
		return ops.RunCanceled, ops.Canceled, canceledMessage(marker)
	case ops.CodeOf(runErr) == ops.Canceled && a.start.Kind == ops.StartSettle:
		return ops.RunFailed, ops.Canceled, "What was open is settled; nothing further was begun."
	case (ops.Refused(runErr) != nil || ops.CodeOf(runErr) == ops.Invalid) && t.counts[ops.EffectDone]+t.counts[ops.EffectFailed] == 0:
		return ops.RunRefused, ops.CodeOf(runErr), a.no(runErr)
	}
	return ops.RunFailed, ops.CodeOf(runErr), runErr.Error()
}

// no is what a refusal says; its remedy is what to do next.
func (a *attempt) no(err error) string {
	r := ops.Refused(err)
	if r == nil {
		return err.Error()
	}
	a.remedy = r.Remedy
	said := *r
	said.Remedy = ""
	return said.Error()
}

// bulkVerdict is the verdict where every effect has an outcome.
func (a *attempt) bulkVerdict(t *tally) (ops.Outcome, ops.Code, string) {
	refused := t.counts[ops.EffectRefused]
	switch {
	case t.counts[ops.EffectNotReached] > 0: // never by design; a result must not hide it
		return ops.RunFailed, ops.Internal, a.count(t.counts[ops.EffectNotReached]) + " not reached."
	case t.counts[ops.EffectFailed] > 0:
		return ops.RunFailed, t.first, a.count(t.counts[ops.EffectFailed]) + " failed."
	case refused > 0 && t.counts[ops.EffectDone] == 0:
		return ops.RunRefused, ops.Conflict, a.count(refused) + " not as planned any more; left alone."
	case refused > 0:
		return ops.RunFailed, ops.Conflict, a.count(refused) + " not as planned any more; left alone."
	case t.counts[ops.EffectDone] == 0:
		return ops.Succeeded, "", "Nothing to do: all already as wanted."
	}
	return ops.Succeeded, "", "Done."
}

func because(err error) string {
	if err == nil || err == error(errCanceled) { //nolint:errorlint // a wrapped one says more than that
		return ""
	}
	return " " + err.Error()
}

func canceledMessage(m *ops.CancelMarker) string {
	s := "Canceled by " + ops.Clip(m.By) + "."
	if m.Reason != "" {
		s += " Reason: " + ops.Quote(m.Reason) + "."
	}
	return s
}

func (a *attempt) count(n int) string {
	task, err := a.w.c.Catalog.Task(a.req.Task)
	if err != nil {
		return fmt.Sprintf("%d targets", n)
	}
	return task.Count(n)
}

// changed is one line for a tired reader: what was changed.
func (a *attempt) changed(t *tally) string {
	done := t.counts[ops.EffectDone]
	s := "Nothing was changed."
	switch {
	case done > 0 && a.order != nil && a.order.task.Class == ops.Reads:
		s = a.count(done) + " read; nothing was changed."
	case done > 0:
		s = a.count(done) + " changed."
	case t.begun+t.partly > 0:
		s = "A part was changed."
	case t.counts[ops.EffectUnsettled]+t.otherwise > 0:
		s = "Nothing was changed for certain."
	}
	if n := t.otherwise; n > 0 {
		s += fmt.Sprintf(" %s done, but otherwise when read back.", a.count(n))
	}
	if n := t.counts[ops.EffectUnsettled] - t.begun; n > 0 {
		s += fmt.Sprintf(" %s may have been.", a.count(n))
	}
	return s
}

// unchanged is the line for what was not changed; "" when there is nothing.
func unchanged(t *tally) string {
	var left []string
	for _, o := range []struct {
		outcome ops.EffectOutcome
		words   string
	}{
		{ops.EffectFailed, "failed"}, {ops.EffectRefused, "left alone because not as planned"},
		{ops.EffectNotReached, "not reached"}, {ops.EffectUnchanged, "already as wanted"},
	} {
		if n := t.counts[o.outcome]; n > 0 {
			left = append(left, fmt.Sprintf("%d %s", n, o.words))
		}
	}
	if len(left) == 0 {
		return ""
	}
	return strings.Join(left, ", ") + "."
}

// next is the one command to go on with; "" when there is nothing to do.
func (a *attempt) next(r *ops.Result, t *tally) string {
	verb := "resume"
	if a.watch.canceled() != nil {
		verb = "settle" // a canceled run is never resumed
	}
	unsettled, failed := t.counts[ops.EffectUnsettled] > 0, t.counts[ops.EffectFailed] > 0
	switch {
	case r.Outcome == ops.RunRefused:
		return a.remedy
	case r.Outcome != ops.RunFailed:
		return ""
	case t.person != "":
		return fmt.Sprintf("Find out whether it happened, then: synops %s %s --settle %s=done (or =not-done)", verb, r.Run, ops.ShellQuote(t.person))
	case verb == "settle" && (unsettled || !failed):
		return fmt.Sprintf("Finish it: synops settle %s", r.Run)
	case unsettled || t.counts[ops.EffectNotReached] > 0 || a.order == nil || !failed && t.counts[ops.EffectRefused] == 0:
		s := fmt.Sprintf("Go on: synops resume %s", r.Run)
		if failed && a.order != nil {
			s += "; then retry what failed: " + a.retryCommand()
		}
		return s
	case failed:
		return "Retry what failed: " + a.retryCommand()
	}
	return "Plan again what was left alone: synops show " + string(r.Run) + " lists it."
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
