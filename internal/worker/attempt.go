package worker

import (
	"context"
	"errors"
	"fmt"
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
	since   time.Time // from when the time limit counts
	req     *ops.Request
	order   *order // nil until its task and targets are known
	journal *journal
	watch   *watch
	person  atomic.Bool // only a person can settle what is unsettled
	lease   *ops.Lease
	plan    *ops.Plan // masked
	key     []byte    // of keyed hashes; nil while not needed
	remedy  string    // of the refusal that ended the run

	filesMu sync.Mutex
	files   []ops.Artifact
}

// Work performs the newest start of a run and returns its result, which is
// durable then. ErrDuplicate, ErrStopped and ErrFenced mean that this worker ends
// without one, and so does any other error: then the store failed, or the run had
// ended for good (Conflict). When ctx ends the worker finishes the calls in hand,
// journals their outcomes and returns ErrStopped.
func (w *Worker) Work(ctx context.Context, ref ops.RunRef) (*ops.Result, error) {
	a, err := w.claim(ctx, ref)
	if err != nil {
		return nil, err
	}
	a.watch = newWatch(ctx, a)
	defer a.watch.end()
	r, err := a.end(a.run(a.watch.ctx))
	if errors.Is(err, ErrFenced) {
		a.say("A newer attempt goes on with this run; this one ends.")
		return nil, ErrFenced
	}
	return r, err
}

// end decides whether this attempt ends the run, and ends it then.
func (a *attempt) end(runErr error) (*ops.Result, error) {
	switch {
	case errors.Is(runErr, ErrFenced):
		return nil, ErrFenced
	case runErr != nil && a.watch.stopped() && a.watch.canceled() == nil:
		a.say("Told to stop. What was done is journaled; go on with: synops resume %s", a.ref.Run)
		return nil, ErrStopped
	case runErr != nil && a.watch.handing() && ops.Refused(runErr) == nil:
		return a.handOver(runErr)
	}
	return a.finish(runErr)
}

// claim becomes the newest attempt, or learns that another worker is. A run that
// ended for good is left as it is.
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
	if start.N > 1 {
		if err := w.open(ctx, ref); err != nil {
			return nil, err
		}
	}
	me := w.c.Attempt
	me.N, me.At, me.Synops = start.N, now(), w.c.Synops
	if err := d.CreateAttempt(ctx, ref, me); ops.CodeOf(err) == ops.Conflict {
		return nil, ErrDuplicate
	} else if err != nil {
		return nil, fmt.Errorf("claiming attempt %d: %w", start.N, err)
	}
	// A start that came meanwhile means that this attempt was given up for gone
	// before it claimed: the newer one may have read the run without it.
	if starts, err = d.Starts(ctx, ref); err != nil {
		return nil, fmt.Errorf("reading the starts of %s again: %w", ref.Run, err)
	} else if starts[len(starts)-1].N != start.N {
		return nil, ErrFenced
	}
	a := &attempt{w: w, ref: ref, start: start, n: start.N, began: me.At, since: me.At}
	if a.req, err = d.Request(ctx, ref.Lane, start.Request); err != nil {
		return nil, fmt.Errorf("reading the request of %s: %w", ref.Run, err)
	}
	if a.journal, err = newJournal(d, ref, start); err != nil {
		return nil, fmt.Errorf("the start of attempt %d: %w", start.N, err)
	}
	return a, a.times(ctx, starts)
}

// open is nil while the run may go on: no result of it is final.
func (w *Worker) open(ctx context.Context, ref ops.RunRef) error {
	results, err := w.c.Documents.Results(ctx, ref)
	if err != nil {
		return fmt.Errorf("reading earlier results: %w", err)
	}
	for _, r := range results {
		if r.Outcome.Final() {
			return ops.Errorf(ops.Conflict, "run %s ended %s; nothing more can be done with it.", ref.Run, r.Outcome)
		}
	}
	return nil
}

// times learns when the run began, and from when its time limit counts: from the
// attempt that a person asked for last, over the hand-overs since. A run that
// failed yesterday can so be resumed today.
func (a *attempt) times(ctx context.Context, starts []ops.Start) error {
	if a.n == 1 {
		return nil
	}
	attempts, err := a.w.c.Documents.Attempts(ctx, a.ref)
	if err != nil {
		return fmt.Errorf("reading earlier attempts: %w", err)
	}
	handedOver := map[int]bool{}
	for _, s := range starts {
		handedOver[s.N] = s.Kind == ops.StartHandOver
	}
	for i, at := range attempts {
		if i == 0 {
			a.began = at.At
		}
		if at.N <= a.n && !handedOver[at.N] {
			a.since = at.At
		}
	}
	return nil
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// say prints one line for whoever follows.
func (a *attempt) say(format string, args ...any) {
	a.w.outMu.Lock()
	defer a.w.outMu.Unlock()
	fmt.Fprintf(a.w.c.Out, "%s  %s\n", time.Now().UTC().Format("15:04:05Z"), fmt.Sprintf(format, args...))
}

// run takes the run to its end; nil when every effect has an outcome. The error
// says what ended it before that.
func (a *attempt) run(ctx context.Context) error {
	if err := a.bundle(); err != nil {
		return err
	}
	if a.w.c.PlanOnly {
		return a.planOnly(ctx)
	}
	d := a.w.c.Documents
	if err := d.CreateIndex(ctx, ops.IndexEntry{Run: a.ref.Run, Lane: a.ref.Lane, Environment: a.req.Environment, Requester: a.req.Requester, Reason: a.req.Reason}); err != nil {
		return fmt.Errorf("listing the run: %w", err)
	}
	if a.n > 1 {
		if err := a.journal.take(ctx); err != nil {
			return err
		}
	}
	var err error
	if a.order, err = a.w.order(ctx, a.req); err != nil {
		return err
	}
	if err := a.scheduled(); err != nil {
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
	if !a.order.task.NoService {
		a.say("%s is Synapse %s, instance %s.", a.req.Host, ops.Clip(a.order.version), ops.Clip(a.order.instance))
	}
	effects, err := a.agree(ctx)
	if err != nil {
		return err
	}
	if a.ending() {
		return a.settleOnly(ctx)
	}
	return a.perform(ctx, effects)
}

// bundle refuses a build that runs another bundle than its start is pinned to, or
// that cannot tell which.
func (a *attempt) bundle() error {
	is := a.w.c.Attempt
	if is.Build == "" || a.start.Bundle == "" || is.Bundle == a.start.Bundle {
		return nil
	}
	return ops.Refuse("bundle", "Look at the lane's pipeline, whose source hands the bundle on: synops doctor.",
		"the run is pinned to version %s of the bundle and this build runs version %s.", ops.Quote(a.start.Bundle), ops.Quote(is.Bundle))
}

// ending: nothing new may begin, only what is open be settled.
func (a *attempt) ending() bool {
	return a.start.Kind == ops.StartSettle || a.watch.canceled() != nil
}

// marked asks for the markers that stop a run before it begins. A canceled run
// goes on only to settle what an earlier attempt left open, and to clean up after
// it.
func (a *attempt) marked(ctx context.Context) error {
	if err := a.watch.look(ctx); err != nil {
		return fmt.Errorf("asking whether the run is canceled: %w", err)
	}
	if a.ending() {
		if len(a.journal.open) == 0 && (a.order.pure.CleanUp == nil || a.journal.planned == "") {
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
