package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// agree makes the plan, or finds the one this run already agreed on, and asks
// digest and challenge. It returns the effects as read just now; nil when they
// are read as they are reached.
func (a *attempt) agree(ctx context.Context) ([]ops.Effect, error) {
	if len(a.order.task.Personal) > 0 {
		var err error
		if a.key, err = a.w.c.Documents.PrivateKey(ctx, a.ref); err != nil {
			return nil, fmt.Errorf("reading the run's key: %w", err)
		}
	}
	if a.journal.planned != "" {
		return nil, a.agreed(ctx)
	}
	if a.ending() {
		return nil, errCanceled
	}
	a.watch.phase("planning")
	a.order.read = func(done, total int) { a.watch.count(done, 0, total, a.order.task.Plural) }
	effects, plan, err := a.order.plan(ctx)
	a.watch.count(0, 0, 0, "") // what is read is not what is done
	if err != nil {
		return nil, err
	}
	a.plan = plan.Masked(a.order.task.Personal)
	// The plan is kept also when it is refused: it alone holds the challenge's
	// answer, which may be a person's name and is in no other document.
	if err := a.keepPlan(ctx); err != nil {
		return nil, err
	}
	if err := a.approve(plan); err != nil {
		return nil, err
	}
	a.journal.plan(plan.Digest)
	for _, note := range plan.Notes {
		if !slices.Contains(a.order.pins, note) { // those are the same in every run
			a.say("note: %s", note)
		}
	}
	if plan.Summary {
		effects = nil
	}
	return effects, nil
}

// planOnly makes the plan and keeps it. It is of no effect, so no lease, no freeze
// and no answer is asked for, and it is listed nowhere; one that was canceled is not
// made.
func (a *attempt) planOnly(ctx context.Context) error {
	var err error
	if a.order, err = a.w.order(ctx, a.req); err != nil {
		return err
	}
	if err := a.watch.look(ctx); err != nil {
		return fmt.Errorf("asking whether the run is canceled: %w", err)
	}
	if a.ending() {
		return errCanceled
	}
	if err := a.order.open(ctx); err != nil {
		return err
	}
	a.watch.phase("planning")
	_, plan, err := a.order.plan(ctx)
	if err != nil {
		return err
	}
	a.plan = plan.Masked(a.order.task.Personal)
	if err := a.keepPlan(ctx); err != nil {
		return err
	}
	a.journal.plan(plan.Digest)
	return a.boundTo(plan)
}

// boundTo refuses another plan than the one that the start is bound to.
func (a *attempt) boundTo(plan *ops.Plan) error {
	if want := a.start.PlanDigest; want != "" && want != plan.Digest {
		return &ops.Refusal{Guard: "plan", Code: ops.Conflict,
			Reason: fmt.Sprintf("the plan now is %s, not the approved %s. %s", plan.Digest, want, strings.Join(plan.Difference(a.order.task, a.start.Approved), " ")),
			Remedy: "Look at the plan again and approve the new one."}
	}
	return nil
}

// agreed reads the plan that an earlier attempt's journal names.
func (a *attempt) agreed(ctx context.Context) error {
	plan, err := a.w.c.Documents.Plan(ctx, a.ref)
	if err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	if plan == nil || plan.Digest != a.journal.planned {
		return ops.Errorf(ops.Conflict, "the plan of %s is not the one its journal names.", a.ref.Run)
	}
	a.plan = plan
	return nil
}

// keepPlan writes the plan. One that is there already is of an attempt that died
// between plan and journal: this one must be the same.
func (a *attempt) keepPlan(ctx context.Context) error {
	err := a.w.c.Documents.CreatePlan(ctx, a.ref, a.plan)
	if err == nil {
		return nil
	}
	if ops.CodeOf(err) != ops.Conflict {
		return fmt.Errorf("writing the plan: %w", err)
	}
	old, readErr := a.w.c.Documents.Plan(ctx, a.ref)
	if readErr != nil || old == nil {
		return fmt.Errorf("reading the earlier plan: %w", errors.Join(err, readErr))
	}
	if old.Digest != a.plan.Digest {
		return &ops.Refusal{Guard: "plan", Code: ops.Conflict, Reason: strings.Join(a.plan.Difference(a.order.task, old), " "), Remedy: "Start a new run."}
	}
	return nil
}

// approve compares the plan with what the person saw and answered.
func (a *attempt) approve(plan *ops.Plan) error {
	if err := a.boundTo(plan); err != nil {
		return err
	}
	if plan.Challenge == "" || a.start.Confirm == ops.ConfirmDigest(plan.Challenge) {
		return nil
	}
	reason := "needs --confirm with the answer that its plan asks for."
	if a.start.Confirm != "" {
		reason = "was given another answer with --confirm than its plan asks for."
	}
	return &ops.Refusal{Guard: GuardChallenge, Reason: string(a.order.task.Name) + " " + reason, Remedy: "Check that the plan is what you mean, then give exactly the answer it asks for."}
}

// GuardChallenge names the guard that asks for the answer to a plan's challenge.
const GuardChallenge = "challenge"

// asAgreed refuses an effect that a later attempt planned otherwise than the plan
// says: what was agreed to is not what it would do. Personal fields are masked in
// the plan and not compared; a summary plan binds no effect.
func (a *attempt) asAgreed(i int, e ops.Effect) error {
	if a.plan == nil || a.plan.Summary || i >= len(a.plan.Effects) || a.plan.Effects[i].ID != e.ID {
		return nil
	}
	fields := slices.DeleteFunc(slices.Clone(a.order.task.Deciding), func(f string) bool { return slices.Contains(a.order.task.Personal, f) })
	was := a.plan.Effects[i]
	differs := slices.Concat(e.Before.Differs(was.Before, fields), e.After.Differs(was.After, fields))
	if len(differs) == 0 {
		return nil
	}
	slices.Sort(differs)
	return &ops.Refusal{Guard: "plan", Code: ops.Conflict,
		Reason: fmt.Sprintf("%s is not as planned any more: %s.", e.Label, strings.Join(slices.Compact(differs), ", ")),
		Remedy: "Plan it again in a new run."}
}
