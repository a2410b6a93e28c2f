package worker

import (
	"context"
	"fmt"
	"path"
	"slices"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// An order is a request this worker has accepted: parsed anew, checked by every
// guard that needs no token, and then bound to the service.
type order struct {
	w       *Worker
	req     *ops.Request
	task    *ops.Task
	values  ops.Values
	targets []ops.Target
	pure    ops.Procedure
	bound   *Bound // nil until open
	pins    []string
	// read is told how many targets have been read of how many; nil: nobody asks.
	read func(done, total int)
	// instance is as the service says it.
	version, instance string
}

// order asks the guards about the request, in the order of the design: the task,
// its inputs, the environment, the host, the account. Each no is a *ops.Refusal or
// an *ops.InputErrors.
func (w *Worker) order(ctx context.Context, req *ops.Request) (*order, error) {
	task, err := w.c.Catalog.Task(req.Task)
	if err != nil {
		return nil, err
	}
	if task.Version != req.TaskVersion {
		return nil, ops.Refuse("task-version", "Launch it again, or deploy the newer release first with synops deploy.",
			"the request is for version %d of %s and this worker has version %d.", req.TaskVersion, task.Name, task.Version)
	}
	if req.Synops != w.c.Synops {
		return nil, ops.Refuse("synops-version", fmt.Sprintf("Launcher and worker must be the same release: synops deploy -e %s brings the bundle up to date.", w.c.Environment.Name),
			"the request was written by synops %s and this worker is %s.", ops.Clip(req.Synops), w.c.Synops)
	}
	if w.c.Allowed != nil {
		if err := w.c.Allowed(ctx, req.Synops); err != nil {
			return nil, err
		}
	}
	values, err := task.Parse(req.Inputs)
	if err != nil {
		return nil, err
	}
	o := &order{w: w, req: req, task: task, values: values, read: w.c.Read}
	if o.pure, err = w.c.Pure(task.Name); err != nil {
		return nil, err
	}
	o.targets = o.pure.Targets(values)
	for _, guard := range []func() error{o.environment, o.host, o.lane, o.pace, o.count, o.reason} {
		if err := guard(); err != nil {
			return nil, err
		}
	}
	if err := o.account(ctx); err != nil {
		return nil, err
	}
	if o.pure.Check != nil {
		if err := o.pure.Check(values); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (o *order) environment() error {
	env := o.w.c.Environment
	if env.Name != o.req.Environment {
		return ops.Refuse("environment-context", "Start it from the environment it is meant for.",
			"the request is for %s and this worker is in %s.", ops.Quote(string(o.req.Environment)), env.Name)
	}
	if !o.task.Offered(env.Name) {
		return ops.Refuse("environment-task", fmt.Sprintf("It is offered in %v.", o.task.Environments),
			"%s is not offered in %s.", o.task.Name, env.Name)
	}
	if env.Repository == "" && ops.Loopback(o.req.Host) {
		return nil // the sandbox, which anybody may ask for
	}
	only := fmt.Sprintf("Only %s may ask for %s.", env.Repository, env.Name)
	if env.Repository == "" {
		only = fmt.Sprintf("Name the repository of %s in the environments file.", env.Name)
	}
	if r := o.w.c.Repository; r != "" && r != env.Repository {
		return ops.Refuse("environment-repository", only,
			"this is repository %s.", ops.Quote(r))
	}
	if r := o.req.Repository; r != "" && r != env.Repository {
		return ops.Refuse("environment-repository", only,
			"the request came from repository %s.", ops.Quote(r))
	}
	return nil
}

func (o *order) host() error {
	env := o.w.c.Environment
	if !env.Allows(o.req.Host) {
		return ops.Refuse("environment-host", fmt.Sprintf("The hosts of %s are %v.", env.Name, env.Hosts),
			"%s is not a host of %s.", ops.Quote(o.req.Host), env.Name)
	}
	for _, in := range o.task.Inputs {
		if h := o.values.Text(in.Name); in.Kind == ops.KindHost && h != "" && !env.Allows(h) {
			return ops.Refuse("environment-host", fmt.Sprintf("The hosts of %s are %v.", env.Name, env.Hosts),
				"%s is %s, which is not a host of %s.", in.Name, ops.Quote(h), env.Name)
		}
	}
	if o.w.c.Host != "" && o.w.c.Host != o.req.Host {
		return ops.Refuse("environment-host", "Start it from the environment it is meant for.",
			"the request is for %s and this worker serves %s.", o.req.Host, ops.Quote(o.w.c.Host))
	}
	return nil
}

func (o *order) lane() error {
	env := o.w.c.Environment
	switch own := o.req.Lane == o.task.Lane || o.task.AnyLane && o.req.Lane != ops.LanePlan && slices.Contains(ops.Lanes(), o.req.Lane); {
	case o.w.c.PlanOnly && o.req.Lane != ops.LanePlan:
		return ops.Refuse("lane", "Run it in its own lane.", "this worker only plans, and the request is for lane %s.", ops.Quote(string(o.req.Lane)))
	case !o.w.c.PlanOnly && !own:
		return ops.Refuse("lane", fmt.Sprintf("It runs in lane %s.", o.task.Lane), "%s does not run in lane %s.", o.task.Name, ops.Quote(string(o.req.Lane)))
	}
	if len(env.Lanes) > 0 && !slices.Contains(env.Lanes, o.req.Lane) {
		return ops.Refuse("lane", "Deploy the lane first.", "%s has no lane %s.", env.Name, o.req.Lane)
	}
	return nil
}

// pace keeps an unbounded pace away from every service but one on this machine.
func (o *order) pace() error {
	p := o.req.Pace
	if (p.Unlimited || p.InFlight != 0) && !ops.Loopback(o.req.Host) {
		return ops.Refuse("pace", "Leave out --rate 0 and --in-flight.", "only a service on this machine may be asked without its own limits, and %s is not.", o.req.Host)
	}
	if p.PerMinute < 0 || p.InFlight < 0 || p.InFlight > 64 {
		return ops.Refuse("pace", "Give a rate of at least 1 a minute and 1 to 64 in flight.", "a pace of %d a minute with %d in flight makes no sense.", p.PerMinute, p.InFlight)
	}
	return nil
}

func (o *order) count() error {
	most := o.task.MostTargets(o.w.c.Environment)
	if len(o.targets) > most {
		return ops.Refuse("targets", fmt.Sprintf("Split the list into runs of at most %d, or raise max_targets of %s.", most, o.w.c.Environment.Name),
			"%s are too many for one run of %s: at most %d.", o.task.Count(len(o.targets)), o.task.Name, most)
	}
	return nil
}

func (o *order) reason() error {
	if o.w.c.Environment.RequireReason && o.req.Reason == "" && o.task.Class != ops.Reads && !o.w.c.PlanOnly {
		return ops.Refuse("reason", "Say why with --reason.", "%s asks for a reason.", o.w.c.Environment.Name)
	}
	return nil
}

// account asks whose account this is. An absent pin is not asked; a pinned one
// that cannot be asked stops the run.
func (o *order) account(ctx context.Context) error {
	env := o.w.c.Environment
	if env.Account == "" {
		o.pins = append(o.pins, "account: not pinned.")
		return nil
	}
	if o.w.c.Identity == nil {
		return ops.Refuse("environment-account", "Run it where the account can be asked: in the environment's pipeline.",
			"%s pins account %s and this process cannot tell which account it is in.", env.Name, env.Account)
	}
	account, err := o.w.c.Identity(ctx)
	if err != nil {
		return fmt.Errorf("asking which account this is: %w", err)
	}
	if account != env.Account {
		return ops.Refuse("environment-account", "Start it from the environment it is meant for.", "this is account %s and %s is account %s.", ops.Quote(account), env.Name, env.Account)
	}
	return nil
}

// open reads the token, binds the procedure and asks the guards about the
// service. An answer that is not understood stops the run.
func (o *order) open(ctx context.Context) error {
	var err error
	if o.bound, err = o.w.c.Open(ctx, o.req); err != nil {
		return err
	}
	if err := o.service(ctx); err != nil {
		return err
	}
	for _, g := range o.bound.Procedure.Guards {
		if err := g.Ask(ctx); err != nil {
			if ops.Refused(err) != nil {
				return err
			}
			return fmt.Errorf("asking guard %s: %w", g.Name, err)
		}
	}
	return nil
}

func (o *order) service(ctx context.Context) (err error) {
	if o.task.NoService {
		return nil
	}
	env, svc := o.w.c.Environment, o.bound.Service
	if o.version, o.instance, err = svc.Instance(ctx); err != nil {
		return fmt.Errorf("asking which instance answers at %s: %w", o.req.Host, err)
	}
	if o.instance == "" {
		return ops.Refuse("instance", "Ask whether SYNAPSE_HOST is a Synapse host.", "%s does not say which instance it is.", o.req.Host)
	}
	if len(env.Instances) == 0 {
		o.pins = append(o.pins, fmt.Sprintf("instance: not pinned (it is %s).", ops.Clip(o.instance)))
	} else if !slices.ContainsFunc(env.Instances, func(p string) bool { ok, _ := path.Match(p, o.instance); return ok }) {
		return ops.Refuse("instance", fmt.Sprintf("Instances of %s match %v.", env.Name, env.Instances), "%s answers as instance %s.", o.req.Host, ops.Quote(o.instance))
	}
	if err := svc.Administrator(ctx); err != nil {
		if ops.CodeOf(err) == ops.Denied {
			remedy := ops.HintOf(err) // it tells a token from its account, and both from a host that is none
			if remedy == "" {
				remedy = "Renew the administrator's token in its store."
			}
			return ops.Refuse("administrator", remedy, "%s", ops.WithoutHint(err))
		}
		return fmt.Errorf("asking whether the token is an administrator's: %w", err)
	}
	if o.task.Exempt {
		return nil // each of its calls answers whatever the stack's status is
	}
	status, message, err := svc.Status(ctx)
	if err != nil {
		return fmt.Errorf("asking the stack's status: %w", err)
	}
	if status != "READ_WRITE" {
		return ops.Refuse("stack-status", "Wait until it is READ_WRITE; synops run set-stack-status works meanwhile.",
			"the stack is %s (%s), and %s needs calls that do not answer then.", ops.Clip(status), ops.Clip(message), o.task.Name)
	}
	return nil
}
