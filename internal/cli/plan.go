package cli

import (
	"context"
	"fmt"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// plansThere tells whether a plan is made in the environment's account: the service
// answers in its private subnet alone, and the token is read in a build alone.
func (a *app) plansThere(env *ops.Environment) bool {
	return env.Account != "" && a.engine != engineLocal && a.breakGlass == ""
}

// A planning is a run of lane plan: it performs nothing.
type planning struct {
	st       *store.Store
	l        *launcher.Launcher
	ref      ops.RunRef
	attached bool // it was asked for before, by the same key
}

// askPlan has lane plan of the environment's account plan what was asked for. bound
// is the plan it must be, "" for any.
func (a *app) askPlan(ctx context.Context, key string, asked *asking, bound ops.Digest) (*planning, error) {
	req := *asked.request
	req.Lane = ops.LanePlan
	a.planOnly = true // of the courtesy check: what is asked for is a plan
	var clients []apiClient
	err := a.worker(asked.choice, nil, &clients).Check(ctx, &req)
	a.planOnly = false
	if err != nil {
		return nil, err
	}
	if _, err := a.engineOf(asked.choice.Environment); err != nil {
		return nil, err
	}
	p := &planning{}
	if p.st, err = a.open(ctx); err != nil {
		return nil, err
	}
	if p.l, err = a.starter(ctx, p.st, asked.choice, &req, ""); err != nil {
		return nil, err
	}
	p.ref, p.attached, err = p.l.Launch(ctx, key, &req, launcher.Answers{By: oneLine(a.p.requester()), PlanDigest: bound})
	return p, err
}

// made follows a planning to its end and returns the plan, masked. That it ended
// otherwise than well is an error, a *ops.Refusal where a guard refused; the plan is
// there all the same if it was made.
func (p *planning) made(ctx context.Context, f launcher.Follow) (*ops.Plan, *ops.Result, error) {
	r, err := p.l.Follow(ctx, p.ref, f)
	if err != nil {
		return nil, nil, err
	}
	plan, err := p.st.Plan(ctx, p.ref)
	switch {
	case err != nil:
		return nil, r, err
	case r.Outcome == ops.Succeeded && plan == nil:
		return nil, r, ops.Errorf(ops.Conflict, "%s ended well and left no plan.", p.ref.Run)
	case r.Outcome == ops.RunRefused && r.Code == ops.Invalid:
		return plan, r, &ops.Error{Code: ops.Invalid, Message: r.Message, Hint: r.Next}
	case r.Outcome == ops.RunRefused:
		return plan, r, refusalOf(r)
	case r.Outcome != ops.Succeeded:
		return plan, r, &ops.Error{Code: r.Code, Message: r.Message, Hint: r.Next}
	}
	return plan, r, nil
}

// refusalOf is the refusal that a worker's result words.
func refusalOf(r *ops.Result) error {
	no := &ops.Refusal{Guard: "worker", Reason: r.Message, Remedy: r.Next, Code: r.Code}
	if rest, ok := strings.CutPrefix(r.Message, `refused by guard "`); ok {
		if guard, reason, ok := strings.Cut(rest, `": `); ok {
			no.Guard, no.Reason = guard, reason
		}
	}
	return no
}

// planThere prints what a request would change, as a build of lane plan reads it.
func (a *app) planThere(ctx context.Context, asked *asking) error {
	p, err := a.askPlan(ctx, a.claimKey(), asked, "")
	if err != nil {
		return err
	}
	a.say("%s  planning in %s, which changes nothing: %s", a.mark(asked.request.Environment), asked.request.Host, p.ref.Run)
	bar := newProgress(a, p.ref)
	plan, _, err := p.made(ctx, launcher.Follow{Log: bar, Progress: bar.heartbeat})
	bar.clear()
	if err != nil {
		return fmt.Errorf("planning: %w", err)
	}
	a.keepPlan(plan, asked.task.Personal)
	return a.printPlan(plan, asked)
}
