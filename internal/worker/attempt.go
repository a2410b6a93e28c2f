package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// An attempt is this process's part of a run.
type attempt struct {
	w       *Worker
	ref     ops.RunRef
	start   ops.Start
	n       int
	began   time.Time // of the run's first attempt
	req     *ops.Request
	order   *order
	journal *journal
	watch   *watch
	person  atomic.Bool // only a person can settle what is unsettled
	lease   *ops.Lease
	plan    *ops.Plan
	key     []byte // of keyed hashes; nil while not needed

	filesMu sync.Mutex
	files   []ops.Artifact
}

// Work performs the newest start of a run and returns its result, which is
// durable then. ErrDuplicate, ErrStopped and ErrFenced mean that this worker ends
// without one. When ctx ends the worker finishes the calls in hand, journals
// their outcomes and returns ErrStopped.
func (w *Worker) Work(ctx context.Context, ref ops.RunRef) (*ops.Result, error) {
	a, err := w.claim(ctx, ref)
	if err != nil {
		return nil, err
	}
	a.watch = newWatch(ctx, a)
	defer a.watch.end()
	runErr := a.run(a.watch.ctx)
	switch {
	case errors.Is(runErr, ErrFenced):
		a.say("A newer attempt goes on with this run; this one ends.")
		return nil, ErrFenced
	case a.watch.stopped() && !a.watch.canceled():
		return nil, a.stop()
	}
	return a.finish(runErr)
}

// claim becomes the newest attempt, or learns that another worker is.
func (w *Worker) claim(ctx context.Context, ref ops.RunRef) (*attempt, error) {
	d := w.c.Documents
	starts, err := d.Starts(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("reading the starts of %s: %w", ref.Run, err)
	}
	if len(starts) == 0 {
		return nil, ops.Errorf(ops.NotFound, "run %s was never started.", ref.Run)
	}
	start := starts[len(starts)-1]
	me := w.c.Attempt
	me.N, me.At, me.Synops = start.N, now(), w.c.Synops
	if err := d.CreateAttempt(ctx, ref, me); ops.CodeOf(err) == ops.Conflict {
		return nil, ErrDuplicate
	} else if err != nil {
		return nil, fmt.Errorf("claiming attempt %d: %w", start.N, err)
	}
	a := &attempt{w: w, ref: ref, start: start, n: start.N, began: me.At}
	if a.req, err = d.Request(ctx, ref.Lane, start.Request); err != nil {
		return nil, fmt.Errorf("reading the request of %s: %w", ref.Run, err)
	}
	a.journal = newJournal(d, ref, start.Request, a.n)
	return a, nil
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// say prints one line for whoever follows.
func (a *attempt) say(format string, args ...any) {
	fmt.Fprintf(a.w.c.Out, "%s  %s\n", time.Now().UTC().Format("15:04:05Z"), fmt.Sprintf(format, args...))
}

// run takes the run to its end; nil when every effect has an outcome. The error
// says what ended it before that.
func (a *attempt) run(ctx context.Context) error {
	d := a.w.c.Documents
	if err := d.CreateIndex(ctx, ops.IndexEntry{Run: a.ref.Run, Lane: a.ref.Lane, Environment: a.req.Environment, Requester: a.req.Requester, Reason: a.req.Reason}); err != nil {
		return fmt.Errorf("listing the run: %w", err)
	}
	if a.n > 1 {
		if err := a.continued(ctx); err != nil {
			return err
		}
	}
	var err error
	if a.order, err = a.w.order(ctx, a.req); err != nil {
		return err
	}
	if err := a.marked(ctx); err != nil {
		return err
	}
	if err := a.acquire(ctx); err != nil {
		return err
	}
	a.watch.phase("asking the service")
	if err := a.order.open(ctx); err != nil {
		return err
	}
	a.say("%s is Synapse %s, instance %s.", a.req.Host, ops.Clip(a.order.version), ops.Clip(a.order.instance))
	effects, err := a.agree(ctx)
	if err != nil {
		return err
	}
	if a.start.Kind == ops.StartSettle || a.watch.canceled() {
		return a.settleOnly(ctx)
	}
	return a.perform(ctx, effects)
}

// continued takes the run over from the attempt before: it reads what that one
// journaled and, by writing the next entry, fences it.
func (a *attempt) continued(ctx context.Context) error {
	results, err := a.w.c.Documents.Results(ctx, a.ref)
	if err != nil {
		return fmt.Errorf("reading earlier results: %w", err)
	}
	for _, r := range results {
		if r.Outcome.Final() {
			return ops.Errorf(ops.Conflict, "run %s ended %s; nothing more can be done with it.", a.ref.Run, r.Outcome)
		}
		if r.Started.Before(a.began) {
			a.began = r.Started
		}
	}
	if attempts, err := a.w.c.Documents.Attempts(ctx, a.ref); err == nil && len(attempts) > 0 && attempts[0].At.Before(a.began) {
		a.began = attempts[0].At
	}
	return a.journal.take(ctx)
}

// marked asks for the markers that stop a run before it begins. A canceled run
// goes on only to settle what an earlier attempt left open.
func (a *attempt) marked(ctx context.Context) error {
	if err := a.watch.look(ctx); err != nil {
		return fmt.Errorf("asking whether the run is canceled: %w", err)
	}
	if a.watch.canceled() || a.start.Kind == ops.StartSettle {
		if len(a.journal.open) == 0 && a.order.pure.CleanUp == nil {
			return errCanceled
		}
		return nil
	}
	f, err := a.w.c.Documents.Frozen(ctx, a.req.Environment)
	if err != nil {
		return fmt.Errorf("asking whether %s is frozen: %w", a.req.Environment, err)
	}
	if f != nil {
		return ops.Refuse("freeze", fmt.Sprintf("When it is over: synops unfreeze -e %s.", f.Environment),
			"%s is frozen by %s since %s: %s.", f.Environment, ops.Clip(f.By), f.At.Format(time.RFC3339), ops.Quote(f.Reason))
	}
	return nil
}

var errCanceled = &ops.Error{Code: ops.Canceled, Message: "The run was canceled."}

// acquire takes the task's lease for this run, from a holder only when that one
// can provably not act any more. It never waits.
func (a *attempt) acquire(ctx context.Context) error {
	name := a.order.task.Lease
	if name == "" {
		return nil
	}
	want := ops.Lease{Environment: a.req.Environment, Name: name, RunRef: a.ref, Attempt: a.n, At: now()}
	got, holder, err := a.w.c.Documents.AcquireLease(ctx, want, nil)
	if err == nil && holder != nil && a.w.c.Gone != nil {
		gone, goneErr := a.w.c.Gone(ctx, *holder)
		if goneErr == nil && gone {
			a.say("Lease %s: its holder %s is gone; taking it over.", name, holder.Run)
			got, holder, err = a.w.c.Documents.AcquireLease(ctx, want, holder)
		}
	}
	if err != nil {
		return fmt.Errorf("taking lease %s: %w", name, err)
	}
	if holder != nil {
		return &ops.Refusal{Guard: "lease", Code: ops.Conflict,
			Reason: fmt.Sprintf("lease %q is held by %s since %s.", name, holder.Run, holder.At.Format(time.RFC3339)),
			Remedy: fmt.Sprintf("Wait for it: synops follow %s.", holder.Run)}
	}
	a.lease = &got
	return nil
}

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
		plan, err := a.w.c.Documents.Plan(ctx, a.ref)
		if err != nil {
			return nil, fmt.Errorf("reading the plan: %w", err)
		}
		if plan == nil || plan.Digest != a.journal.planned {
			return nil, ops.Errorf(ops.Conflict, "the plan of %s is not the one its journal names.", a.ref.Run)
		}
		a.plan = plan
		return nil, nil
	}
	if a.start.Kind == ops.StartSettle {
		return nil, errCanceled
	}
	a.watch.phase("planning")
	effects, plan, err := a.order.plan(ctx)
	if err != nil {
		return nil, err
	}
	a.plan = plan
	if err := a.approve(plan); err != nil {
		return nil, err
	}
	if err := a.w.c.Documents.CreatePlan(ctx, a.ref, plan.Masked(a.order.task.Personal)); err != nil && ops.CodeOf(err) != ops.Conflict {
		return nil, fmt.Errorf("writing the plan: %w", err)
	} else if err != nil {
		// An attempt died between plan and journal: its plan must be this one.
		old, readErr := a.w.c.Documents.Plan(ctx, a.ref)
		if readErr != nil || old == nil {
			return nil, fmt.Errorf("reading the earlier plan: %w", errors.Join(err, readErr))
		}
		if old.Digest != plan.Digest {
			return nil, &ops.Refusal{Guard: "plan", Code: ops.Conflict, Reason: strings.Join(plan.Difference(a.order.task, old), " "), Remedy: "Start a new run."}
		}
	}
	a.journal.plan(plan.Digest)
	for _, note := range plan.Notes {
		a.say("note: %s", note)
	}
	if plan.Summary {
		effects = nil
	}
	return effects, nil
}

// approve compares the plan with what the person saw and answered.
func (a *attempt) approve(plan *ops.Plan) error {
	if want := a.start.PlanDigest; want != "" && want != plan.Digest {
		return &ops.Refusal{Guard: "plan", Code: ops.Conflict,
			Reason: fmt.Sprintf("the plan now is %s, not the approved %s. %s", plan.Digest, want, strings.Join(plan.Difference(a.order.task, a.start.Approved), " ")),
			Remedy: "Look at the plan again and approve the new one."}
	}
	if plan.Challenge == "" || a.start.Confirm == ops.ConfirmDigest(plan.Challenge) {
		return nil
	}
	verb := "needs"
	if a.start.Confirm != "" {
		verb = "was given another answer than it needs:"
	}
	return &ops.Refusal{Guard: "challenge", Reason: fmt.Sprintf("%s %s --confirm %s", a.order.task.Name, verb, ops.ShellQuote(plan.Challenge)) + ".",
		Remedy: "Check that the plan is what you mean, then give exactly this answer."}
}

// stop ends this worker without a result.
func (a *attempt) stop() error {
	a.say("Told to stop. What was done is journaled; go on with: synops resume %s", a.ref.Run)
	return ErrStopped
}

// step returns what a procedure may say while it performs e.
func (a *attempt) step(e ops.Effect, checkpoint json.RawMessage) *ops.Step {
	return &ops.Step{
		Effect: e, Values: a.order.values, Checkpoint: checkpoint,
		Save: func(ctx context.Context, v any) error {
			data, err := ops.CanonicalJSON(v)
			if err != nil {
				return fmt.Errorf("checkpoint of %s: %w", e.ID, err)
			}
			return a.journal.append(context.WithoutCancel(ctx), ops.Entry{Kind: ops.EntryCheckpoint, Effect: e.ID, Data: data})
		},
		Progress: func(done, total int64, unit string) { a.watch.progressed(done, total, unit) },
		Log:      a.say,
		Artifact: func(ctx context.Context, name string, data []byte) (string, error) {
			return a.keep(ctx, name, data)
		},
	}
}
