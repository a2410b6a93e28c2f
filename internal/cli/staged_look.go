package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// isStaged tells whether a run is carried out by others.
func isStaged(req *ops.Request) bool {
	task, err := tasks.Catalog().Task(req.Task)
	return err == nil && len(task.Stages) > 0
}

// whole reads how far a staged run is. Nothing can be begun with what it returns.
func (a *app) whole(ctx context.Context, st *store.Store, ref ops.RunRef) (*staged, error) {
	l := a.launcher(st, nil, nil)
	starts, err := st.Starts(ctx, ref)
	if err != nil {
		return nil, err
	}
	if len(starts) == 0 {
		return nil, ops.Errorf(ops.NotFound, "run %s was never started.", ref.Run)
	}
	req, err := st.Request(ctx, ref.Lane, starts[0].Request)
	if err != nil {
		return nil, err
	}
	task, err := tasks.Catalog().Task(req.Task)
	if err != nil {
		return nil, err
	}
	s := &staged{a: a, st: st, look: l, task: task, req: req, ref: ref, asked: starts[0].At}
	return s, s.read(ctx)
}

// read looks at every stage. Whether the whole was canceled is read first: what is
// found under way after that is all there will be.
func (s *staged) read(ctx context.Context) error {
	var err error
	if s.stopped, err = s.st.CancelMarker(ctx, s.ref); err != nil {
		return err
	}
	s.stages = make([]*launcher.StageView, len(s.task.Stages))
	for i, stage := range s.task.Stages {
		task, err := tasks.Catalog().Task(stage.Task)
		if err != nil {
			return err
		}
		if s.stages[i], err = s.look.Stage(ctx, s.ref.Run, stage, task.Lane); err != nil {
			return err
		}
	}
	return nil
}

// done tells whether every stage has succeeded.
func (s *staged) done() bool {
	for _, v := range s.stages {
		if !v.Done() {
			return false
		}
	}
	return true
}

// underWay is the stage whose run has not ended, nil when there is none.
func (s *staged) underWay() *launcher.StageView {
	for _, v := range s.stages {
		if v.View != nil && v.State() != ops.StateEnded {
			return v
		}
	}
	return nil
}

// over tells whether the run can begin nothing further: every stage has succeeded,
// or it was canceled and none is under way.
func (s *staged) over() bool { return s.done() || s.stopped != nil && s.underWay() == nil }

// state is how the whole is, in the words of a listing.
func (s *staged) state() (state ops.RunState, outcome ops.Outcome, lost bool) {
	v := s.underWay()
	switch {
	case v != nil:
		return v.State(), "", v.Lost()
	case s.done():
		return ops.StateEnded, ops.Succeeded, false
	case s.stopped != nil:
		return ops.StateEnded, ops.RunCanceled, false
	}
	return ops.StateWaiting, "", false
}

func (s *staged) wasCanceled() error {
	return &ops.Error{Code: ops.Canceled, Message: fmt.Sprintf("%s was canceled by %s.", s.ref.Run, ops.Clip(s.stopped.By)), Hint: "Start it anew."}
}

// chain is the hold of the staged task's lease.
func chain(task *ops.Task, env ops.EnvironmentName) launcher.Chain {
	return launcher.Chain{Lane: task.Lane, Environment: env, Lease: task.Lease}
}

// free refuses to start a run while another's is not over. The job's own run, which
// key names, is no other.
func (s *staged) free(ctx context.Context, key string) error {
	holder, err := s.look.Holder(ctx, chain(s.task, s.req.Environment))
	if err != nil || holder == nil {
		return err
	}
	if mine, err := s.st.FindClaim(ctx, s.task.Lane, key); err != nil || mine != nil && mine.Run == holder.Run {
		return err
	}
	if over, err := s.overOther(ctx, ops.RunRef{Lane: holder.Lane, Run: holder.Run}); err != nil || over {
		return err
	}
	return s.heldBy(holder)
}

// take has the run hold the lease of the whole, before any stage is begun. One that
// another holds ends this run, which has begun nothing: it is canceled.
func (s *staged) take(ctx context.Context) error {
	if s.done() {
		return nil
	}
	holder, err := s.look.Take(ctx, chain(s.task, s.req.Environment), ops.Claim{Run: s.ref.Run, Lane: s.ref.Lane, Request: s.req.Digest()}, s.overOther)
	if err != nil || holder == nil {
		return err
	}
	refused := s.heldBy(holder)
	if _, err := s.look.Cancel(ctx, s.ref, s.answers.By, refused.Error()); err != nil {
		return fmt.Errorf("%w; that this run is over could not be written: %w", refused, err)
	}
	return refused
}

func (s *staged) heldBy(holder *ops.Claim) error {
	return &ops.Refusal{Guard: "lease", Code: ops.Conflict,
		Reason: fmt.Sprintf("lease %q is held by %s since %s.", s.task.Lease, holder.Run, holder.Run.Time().Format(time.RFC3339)),
		Remedy: fmt.Sprintf("Go on with that one: synops resume %s%s. Or end it: synops cancel %s%s.", holder.Run, s.a.flagsStart(), holder.Run, s.a.flagsAgain())}
}

// overOther tells whether another staged run is over. One whose documents are gone
// is: they are kept for far longer than any takes.
func (s *staged) overOther(ctx context.Context, ref ops.RunRef) (bool, error) {
	other, err := s.a.whole(ctx, s.st, ref)
	if ops.CodeOf(err) == ops.NotFound {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return other.over(), nil
}

// wholes are the chains of all staged tasks, of the environments that -e allows.
func (a *app) wholes() ([]launcher.Chain, error) {
	file, err := a.environments()
	if err != nil {
		return nil, err
	}
	var all []launcher.Chain
	catalog := tasks.Catalog()
	for i := range catalog {
		for _, env := range file.Environments {
			if t := &catalog[i]; len(t.Stages) > 0 && t.Offered(env.Name) && (a.environment == "" || a.environment == string(env.Name)) {
				all = append(all, chain(t, env.Name))
			}
		}
	}
	return all, nil
}

// wholeRows lists staged runs. No worker enters them in the index: their chains do.
func (a *app) wholeRows(ctx context.Context, st *store.Store, f runsFilter, since time.Time) ([]report.Row, error) {
	chains, err := a.wholes()
	if err != nil {
		return nil, err
	}
	var rows []report.Row
	for _, c := range chains {
		n := 0
		for claim, err := range a.launcher(st, nil, nil).Links(ctx, c) {
			if err != nil {
				return nil, err
			}
			if claim.Run.Time().Before(since) || n == f.limit {
				break
			}
			if f.task != "" && claim.Run.Task() != ops.TaskName(f.task) {
				continue
			}
			row := report.Row{Run: claim.Run, Task: claim.Run.Task(), Environment: c.Environment, Lane: claim.Lane, Asked: claim.Run.Time()}
			if s, err := a.whole(ctx, st, ops.RunRef{Lane: claim.Lane, Run: claim.Run}); err != nil {
				row.Problem = err.Error()
			} else {
				row.Requester, row.Reason, row.Asked = s.req.Requester, s.req.Reason, s.asked
				row.State, row.Outcome, row.Lost = s.state()
			}
			if (f.requester == "" || row.Requester == f.requester) && (f.outcome == "" || listedAs(row, f.outcome)) {
				rows = append(rows, row)
				n++
			}
		}
	}
	return rows, nil
}

// wholeLeases are the leases that staged runs hold.
func (a *app) wholeLeases(ctx context.Context, st *store.Store) ([]ops.Lease, error) {
	chains, err := a.wholes()
	if err != nil {
		return nil, err
	}
	var all []ops.Lease
	for _, c := range chains {
		claim, err := a.launcher(st, nil, nil).Holder(ctx, c)
		if err != nil {
			return nil, err
		}
		if claim == nil {
			continue
		}
		ref := ops.RunRef{Lane: claim.Lane, Run: claim.Run}
		if s, err := a.whole(ctx, st, ref); ops.CodeOf(err) == ops.NotFound || err == nil && s.over() {
			continue
		} else if err != nil {
			return nil, err
		}
		all = append(all, ops.Lease{Environment: c.Environment, Name: c.Lease, RunRef: ref, At: claim.Run.Time()})
	}
	return all, nil
}

// showStaged prints how far a staged run is.
func (a *app) showStaged(ctx context.Context, x *existing, req *ops.Request) error {
	a.trouble.Environment = req.Environment
	s, err := a.whole(ctx, x.st, x.ref)
	if err != nil {
		return err
	}
	s.waits = s.standsStill()
	return s.print()
}

// standsStill says why nothing goes on by itself, nil where something does or all
// is over.
func (s *staged) standsStill() *report.StageWait {
	v := s.underWay()
	switch {
	case v != nil && v.Lost():
		return &report.StageWait{Why: "the worker of stage " + v.Stage.Name + " is gone and left no result.", Next: s.command()}
	case v != nil || s.over():
		return nil
	}
	return &report.StageWait{Why: "no stage is under way.", Next: s.command()}
}

// cancelStaged has no further stage of a run begin, and cancels the one under way.
func (a *app) cancelStaged(ctx context.Context, x *existing, req *ops.Request, reason string, grace time.Duration, detach bool) error {
	v, err := a.stopStages(ctx, x, req, oneLine(a.p.requester()), reason)
	if err != nil {
		return err
	}
	if v != nil {
		return a.cancel(ctx, string(v.Run), reason, grace, detach)
	}
	return a.showStaged(ctx, x, req)
}

// stopStages has no further stage of a run begin, and returns the one that is under
// way, nil when there is none.
func (a *app) stopStages(ctx context.Context, x *existing, req *ops.Request, by, reason string) (*launcher.StageView, error) {
	s, err := a.whole(ctx, x.st, x.ref)
	if err != nil {
		return nil, err
	}
	if s.done() {
		a.say("%s  %s ended already; nothing to cancel.", a.mark(req.Environment), x.ref.Run)
		return nil, nil
	}
	if _, err := x.l.Cancel(ctx, x.ref, by, reason); err != nil {
		return nil, err
	}
	a.say("%s  The cancel of %s is durable: no further stage begins.", a.mark(req.Environment), x.ref.Run)
	if err := s.read(ctx); err != nil { // one may have begun before the marker was there
		return nil, err
	}
	v := s.underWay()
	if v != nil {
		a.say("Stage %s is under way as %s.", v.Stage.Name, v.Run)
	}
	return v, nil
}

// settleStaged tells whose clean-up there is to finish: a staged run itself leaves
// none.
func (a *app) settleStaged(ctx context.Context, x *existing) error {
	s, err := a.whole(ctx, x.st, x.ref)
	if err != nil {
		return err
	}
	hint := "No stage of it is under way, so nothing is left open. To end it: synops cancel " + string(x.ref.Run) + a.flagsAgain()
	if v := s.underWay(); v != nil {
		hint = fmt.Sprintf("Settle its stage %s: synops settle %s%s", v.Stage.Name, v.Run, a.flagsStart())
	}
	return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s is carried out by its stages' runs, and has no effects of its own to settle.", x.ref.Run), Hint: hint}
}

// timeline is what the stages' documents say, and why the run stands still.
func (s *staged) timeline() *report.Stages {
	doc := &report.Stages{Run: s.ref.Run, Task: s.task.Name, Environment: s.req.Environment, Requester: s.req.Requester, Waits: s.waits}
	state, outcome, _ := s.state()
	if doc.State = string(state); outcome != "" {
		doc.State = string(outcome)
	}
	for _, v := range s.stages {
		row := report.StageRow{Stage: v.Stage.Name, Task: v.Stage.Task, State: "not begun", Stops: v.Stage.Irreversible}
		if v.View != nil {
			row.Run, row.State = v.Run, string(v.State())
			if v.Lost() {
				row.State += " (lost?)"
			}
			row.Started = v.Starts[0].At
			if v.State() == ops.StateEnded {
				row.State, row.Ended, row.Message = string(v.Result.Outcome), v.Result.Ended, v.Result.Message
			}
		}
		doc.Stages = append(doc.Stages, row)
	}
	return doc
}

// print prints the timeline.
func (s *staged) print() error {
	a, doc := s.a, s.timeline()
	return a.print(doc, func(w io.Writer) error { return report.Timeline(w, *doc, a.style()) })
}
