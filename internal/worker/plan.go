package worker

import (
	"context"
	"fmt"
	"slices"
	"sync"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// plan reads the targets: all of them, or the first few of a long list. It returns
// the effects as read and the plan for people and documents.
func (o *order) plan(ctx context.Context) ([]ops.Effect, *ops.Plan, error) {
	p := &ops.Plan{Task: o.task.Name, Version: o.task.Version, Environment: o.req.Environment, Host: o.req.Host, Instance: o.instance,
		Inputs: o.values.Masked(), EffectsTotal: len(o.targets), Notes: []string{}}
	read := o.targets
	if len(read) > ops.PlanInFull {
		p.Summary, p.ListDigest = true, o.listDigest()
		read = read[:ops.SummaryReads]
	}
	effects, err := o.planAll(ctx, read)
	if err != nil {
		return nil, nil, err
	}
	p.Effects = effects
	p.Challenge = o.challenge(effects)
	p.Notes = append(p.Notes, o.values.Notes()...)
	if p.Summary {
		p.Notes = append(p.Notes, fmt.Sprintf("%s: the first %d were read; each other one is read when it is reached.", o.task.Count(len(o.targets)), len(read)))
	}
	if o.bound.Procedure.Notes != nil {
		p.Notes = append(p.Notes, o.bound.Procedure.Notes(o.values, effects)...)
	}
	p.Notes = append(p.Notes, o.pins...)
	p.Seal(o.task, o.values.Canonical())
	return effects, p, nil
}

func (o *order) listDigest() ops.Digest {
	values := make([]string, len(o.targets))
	for i, t := range o.targets {
		values[i] = t.Value
	}
	b, _ := ops.CanonicalJSON(values)
	return ops.DigestOf(b)
}

func (o *order) challenge(effects []ops.Effect) string {
	todo := slices.ContainsFunc(effects, func(e ops.Effect) bool { return !e.Nothing }) || len(o.targets) > len(effects)
	if !todo {
		return "" // nothing will happen, so there is nothing to confirm
	}
	if f := o.bound.Procedure.Challenge; f != nil {
		return f(o.values, effects, len(o.targets))
	}
	if o.task.Class == ops.Destroys {
		return o.task.Count(len(o.targets))
	}
	return ""
}

// planAll plans each target, several at once as the pace allows. Every refusal
// counts; the first few are named together.
func (o *order) planAll(ctx context.Context, targets []ops.Target) ([]ops.Effect, error) {
	effects := make([]ops.Effect, len(targets))
	errs := make([]error, len(targets))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	next := make(chan int)
	var mu sync.Mutex // one after another, or the count would run backwards
	done := 0
	var wg sync.WaitGroup
	for range min(o.bound.inFlight(), max(len(targets), 1)) {
		wg.Go(func() {
			for i := range next {
				effects[i], errs[i] = o.planOne(ctx, targets[i])
				if errs[i] != nil && ops.Refused(errs[i]) == nil {
					stop() // a read that fails stops the run: no need to read on
				}
				mu.Lock()
				if done++; o.read != nil {
					o.read(done, len(targets))
				}
				mu.Unlock()
			}
		})
	}
feed:
	for i := range targets {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	return effects, firstOf(errs, ctx)
}

func (o *order) planOne(ctx context.Context, t ops.Target) (ops.Effect, error) {
	e, err := o.bound.Procedure.Plan(ctx, o.values, t)
	if err != nil {
		if ops.Refused(err) != nil {
			return e, err
		}
		return e, fmt.Errorf("planning %s: %w", t.Label, err)
	}
	e.Target = t
	if e.Settle == "" {
		e.Settle = ops.SettlePerson
	}
	return e, nil
}

// firstOf prefers a failure that is not the echo of stopping the others, then
// joins the refusals.
func firstOf(errs []error, ctx context.Context) error {
	var refusals []*ops.Refusal
	var canceled error
	for _, err := range errs {
		switch r := ops.Refused(err); {
		case err == nil:
		case r != nil:
			refusals = append(refusals, r)
		case ops.CodeOf(err) == ops.Canceled:
			canceled = err
		default:
			return err
		}
	}
	switch {
	case canceled != nil:
		return canceled
	case len(refusals) == 1:
		return refusals[0]
	case len(refusals) > 1:
		return joinRefusals(refusals)
	}
	return ctx.Err()
}

func joinRefusals(refusals []*ops.Refusal) error {
	const most = 5
	all := *refusals[0]
	all.Reason = fmt.Sprintf("%d targets are refused. ", len(refusals))
	for i, r := range refusals {
		if i == most {
			all.Reason += fmt.Sprintf("and %d more.", len(refusals)-most)
			break
		}
		all.Reason += r.Reason + " "
	}
	return &all
}
