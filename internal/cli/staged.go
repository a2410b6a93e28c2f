package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// A staged run is carried out from here: each stage is a run of another task, found
// again by its claim. It may be left at any moment; whoever resumes it reads from
// the stages' documents how far it is.
type staged struct {
	a         *app
	st        *store.Store
	choice    *environments.Choice
	task      *ops.Task
	req       *ops.Request
	ref       ops.RunRef
	look      *launcher.Launcher // asks how stages are; starts none
	constants ops.Values
	values    ops.Values

	answers launcher.Answers // for the first stage that needs them
	last    string           // the stage to leave after; "" for none
	until   time.Time        // when to leave; zero: never
	noWait  bool
	force   bool // a worker that is still there is stopped first
	stages  []*launcher.StageView
	stopped *ops.CancelMarker
	asked   time.Time         // when it was started; zero where that does not matter
	waits   *report.StageWait // why the run stands still; nil while it goes on
}

// wholePlan is the plan of a task that is made of stages: it reads nothing.
func (a *app) wholePlan(ctx context.Context, asked *asking) (*ops.Plan, error) {
	p, err := tasks.BindTools(asked.task.Name, toolbox{env: asked.choice.Environment})
	if err != nil {
		return nil, err
	}
	plan := &ops.Plan{Task: asked.task.Name, Version: asked.task.Version, Environment: asked.request.Environment, Host: asked.request.Host,
		Inputs: asked.values.Masked(), Notes: []string{"Each stage is planned when it is reached; one that cannot be taken back waits for its own answer."}}
	for _, target := range p.Targets(asked.values) {
		e, err := p.Plan(ctx, asked.values, target)
		if err != nil {
			return nil, err
		}
		e.Target = target
		plan.Effects = append(plan.Effects, e)
	}
	plan.EffectsTotal = len(plan.Effects)
	plan.Seal(asked.task, asked.values.Canonical())
	return plan, nil
}

// stageTasks tells, before anything is written, whether every stage's task is there
// and takes what it would be given.
func (s *staged) check() error {
	for _, stage := range s.task.Stages {
		if _, err := s.asking(&stage); err != nil {
			return fmt.Errorf("stage %s: %w", stage.Name, err)
		}
	}
	if s.last != "" && !slices.ContainsFunc(s.task.Stages, func(st ops.Stage) bool { return st.Name == s.last }) {
		names := make([]string, len(s.task.Stages))
		for i, st := range s.task.Stages {
			names[i] = st.Name
		}
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s has no stage %s.", s.task.Name, ops.Quote(s.last)), Hint: "Its stages are " + strings.Join(names, ", ") + "."}
	}
	return nil
}

// staged takes up a request for a staged task.
func (a *app) staged(st *store.Store, choice *environments.Choice, req *ops.Request, f *runFlags, answers launcher.Answers) (*staged, error) {
	task, err := tasks.Catalog().Task(req.Task)
	if err != nil {
		return nil, err
	}
	s := &staged{a: a, st: st, choice: choice, task: task, req: req, answers: answers, last: f.stage, noWait: f.noWait, force: f.force}
	if st != nil {
		s.look = a.launcher(st, nil, nil)
	}
	if f.until > 0 {
		s.until = time.Now().Add(f.until)
	}
	if s.values, err = task.Parse(req.Inputs); err != nil {
		return nil, err
	}
	if s.constants, err = task.ConstantsFor(choice.Environment); err != nil {
		return nil, err
	}
	return s, s.check()
}

// runStaged starts a staged task and carries it out as far as it may go. The
// timeline, which it prints, is nil where nothing was started. key claims the run.
func (a *app) runStaged(ctx context.Context, key string, asked *asking, answers launcher.Answers, f *runFlags) (*report.Stages, error) {
	if _, err := a.staged(nil, asked.choice, asked.request, f, answers); err != nil {
		return nil, err
	}
	plan, err := a.wholePlan(ctx, asked)
	if err != nil {
		return nil, err
	}
	if answers.PlanDigest != "" && answers.PlanDigest != plan.Digest {
		return nil, &ops.Refusal{Guard: "plan", Code: ops.Conflict, Reason: fmt.Sprintf("the plan now is %s, not the approved %s. %s", plan.Digest, answers.PlanDigest, strings.Join(plan.Difference(asked.task, answers.Approved), " ")),
			Remedy: "Look at the plan again and approve the new one."}
	}
	// What was agreed to is the whole; each stage is asked about for itself.
	whole := answers
	answers.PlanDigest, answers.Approved, answers.Confirm = "", nil, ""
	st, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	s, err := a.staged(st, asked.choice, asked.request, f, answers)
	if err != nil {
		return nil, err
	}
	if err := s.free(ctx, key); err != nil { // before anything is written
		return nil, err
	}
	var attached bool
	if s.ref, attached, err = s.look.Enter(ctx, key, asked.request, whole); err != nil {
		return nil, a.notLaunched(s.ref, err)
	}
	a.header(asked.task, asked.request, s.ref, attached)
	a.began(s.ref.Run)
	return s.drive(ctx)
}

// resumeStaged goes on with a staged run.
func (a *app) resumeStaged(ctx context.Context, x *existing, req *ops.Request, answers launcher.Answers, f *runFlags) (*report.Stages, error) {
	choice, err := a.chooseFor(req)
	if err != nil {
		return nil, err
	}
	s, err := a.staged(x.st, choice, req, f, answers)
	if err != nil {
		return nil, err
	}
	s.ref = x.ref
	a.began(s.ref.Run)
	return s.drive(ctx)
}

// drive carries out one stage after the other, and prints the timeline at the end,
// whatever it is.
func (s *staged) drive(ctx context.Context) (*report.Stages, error) {
	if err := s.read(ctx); err != nil {
		return nil, err
	}
	if s.stopped != nil && !s.done() {
		return nil, s.wasCanceled()
	}
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	var err error
	for i := range s.stages {
		if !s.stages[i].Done() {
			if err = s.advance(ctx, i); err != nil || s.waits != nil {
				break
			}
		}
		if s.stages[i].Stage.Name == s.last {
			s.waits = &report.StageWait{Why: "left after stage " + s.last + ", as --until says.", Next: s.command()}
			break
		}
	}
	left := errors.Is(err, launcher.ErrStillRunning) || canceled(err)
	reading, stop := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer stop()
	if again := s.read(reading); again != nil {
		return nil, errors.Join(err, again)
	}
	if left {
		err, s.waits = errLeft, &report.StageWait{Why: "left; the stage that runs goes on.", Next: s.command()}
	}
	if _, ok := errors.AsType[*ended](err); ok {
		s.waits = &report.StageWait{Why: "a stage did not succeed. Put right what its report tells.", Next: s.command()}
	} else if err != nil && !left {
		return s.timeline(), err
	}
	return s.timeline(), errors.Join(err, s.print())
}

func (s *staged) command() string { return "synops resume " + string(s.ref.Run) + s.a.flagsStart() }

// advance brings one stage to its end, or to where it must wait. A run of it that is
// under way is followed; one that can go on is resumed; otherwise another is
// started.
func (s *staged) advance(ctx context.Context, i int) error {
	v := s.stages[i]
	var err error
	if s.stopped, err = s.st.CancelMarker(ctx, s.ref); err != nil {
		return err
	} else if s.stopped != nil {
		return s.wasCanceled()
	}
	asked, err := s.asking(&v.Stage)
	if err != nil {
		return err
	}
	s.a.say("%s  stage %s: %s", s.a.mark(s.req.Environment), v.Stage.Name, asked.task.Title)
	ref, from, err := s.begun(ctx, v, asked)
	if err != nil || from == 0 {
		return err
	}
	l, err := s.starter(ctx, asked)
	if err != nil {
		return err
	}
	r, err := l.Follow(ctx, ref, launcher.Follow{Log: s.a.err, Until: s.until, From: from})
	switch {
	case errors.Is(err, launcher.ErrLost):
		return &ops.Error{Code: ops.Unavailable, Err: err, Message: fmt.Sprintf("The worker of stage %s (%s) is gone and left no result.", v.Stage.Name, ref.Run), Hint: "Go on with: " + s.command()}
	case err != nil:
		return err
	case r.Outcome != ops.Succeeded:
		s.a.say("%s  stage %s %s: %s", s.a.mark(s.req.Environment), v.Stage.Name, r.Outcome, report.Clean(r.Message))
		return &ended{r}
	}
	return nil
}

// begun returns the stage's run that goes on, which it starts or resumes if need be,
// and the attempt to follow it from; 0 where the stage must wait for an answer.
func (s *staged) begun(ctx context.Context, v *launcher.StageView, asked *asking) (ref ops.RunRef, from int, err error) {
	switch {
	case v.View != nil && v.State() != ops.StateEnded && !v.Lost():
		s.a.say("run  %s (attached)", v.Run)
		return v.RunRef, 1, nil
	case v.View != nil && resumable(v.RunStatus):
		l, err := s.starter(ctx, asked)
		if err != nil {
			return ref, 0, err
		}
		if _, err = l.Resume(ctx, v.RunRef, s.once(), s.force); err != nil {
			return ref, 0, err
		}
		starts, err := s.st.Starts(ctx, v.RunRef)
		s.a.say("run  %s (resumed with attempt %d)", v.Run, len(starts))
		return v.RunRef, len(starts), err
	case v.Stage.Irreversible != "" && (s.answers.Confirm == "" || s.answers.PlanDigest == ""):
		// An answer without its plan could be meant for another stage: two may ask for
		// the same.
		return ref, 0, s.stop(ctx, v, asked)
	}
	l, err := s.starter(ctx, asked)
	if err != nil {
		return ref, 0, err
	}
	l.Hold = s.a.hold(s.req.Environment, asked.task.LeaseFor(asked.values), s.noWait)
	ref, _, err = l.Launch(ctx, v.Next(s.ref.Run), asked.request, s.once())
	if err != nil {
		return ref, 0, err
	}
	s.a.say("run  %s", ref.Run)
	return ref, 1, nil
}

// once gives the answers to the first stage that is started: they are to its plan.
func (s *staged) once() launcher.Answers {
	given := s.answers
	s.answers = launcher.Answers{By: given.By}
	return given
}

// resumable tells whether another attempt of a stage's run has something to do: an
// effect that failed for certain is not done again by it.
func resumable(r *ops.RunStatus) bool {
	if r.Cancel != nil || r.State() == ops.StateEnded && r.Result.Outcome.Final() {
		return false
	}
	return r.State() != ops.StateEnded || r.Result.Counts[ops.EffectUnsettled]+r.Result.Counts[ops.EffectNotReached] > 0 || r.Result.Counts[ops.EffectFailed] == 0
}

// stop plans the stage and says what its answer would be.
func (s *staged) stop(ctx context.Context, v *launcher.StageView, asked *asking) error {
	plan, err := s.plan(ctx, v, asked)
	if err != nil {
		return fmt.Errorf("planning stage %s: %w", v.Stage.Name, err)
	}
	s.a.keepPlan(plan, asked.task.Personal)
	answer := plan.Challenge
	if answer == "" { // its task asks for none: the stage's own name is the answer
		answer = v.Stage.Name
	}
	s.waits = &report.StageWait{Stage: v.Stage.Name, Why: v.Stage.Irreversible + ".", Plan: plan, Answer: answer,
		Next: s.command() + " --plan " + string(plan.Digest) + " --confirm " + ops.ShellQuote(answer)}
	return nil
}

// noPlan is no plan's digest: a run bound to it makes its plan and ends refused.
var noPlan = ops.DigestOf([]byte("no plan"))

// plan has the stage planned. In an account that is a run in the stage's own lane,
// bound to a plan that it cannot have: whoever may start the stage may ask for that,
// and nothing is begun whatever the plan says.
func (s *staged) plan(ctx context.Context, v *launcher.StageView, asked *asking) (*ops.Plan, error) {
	if !s.a.plansThere(s.choice.Environment) {
		var clients []apiClient
		defer closeAll(&clients)
		plan, err := s.a.worker(s.choice, nil, &clients).Plan(ctx, asked.request)
		if err != nil {
			return nil, err
		}
		return plan.Masked(asked.task.Personal), nil
	}
	l, err := s.starter(ctx, asked)
	if err != nil {
		return nil, err
	}
	// A run that plans takes the task's lease too, and the one that a launcher before this
	// asked for may still be at it.
	l.Hold = s.a.hold(s.req.Environment, asked.task.LeaseFor(asked.values), s.noWait)
	plan, err := s.planOnce(ctx, l, v, asked)
	for range planTries - 1 {
		// It may also take the lease between our look and our worker's, or look gone to
		// us and not to the worker.
		no := ops.Refused(err)
		if s.noWait || no == nil || no.Guard != worker.GuardLease {
			break
		}
		s.a.say("%s  %s Planning stage %s again.", s.a.mark(s.req.Environment), no.Reason, v.Stage.Name)
		plan, err = s.planOnce(ctx, l, v, asked)
	}
	return plan, err
}

// planTries is how many runs may be refused the lease before planning is given up.
const planTries = 3

func (s *staged) planOnce(ctx context.Context, l *launcher.Launcher, v *launcher.StageView, asked *asking) (*ops.Plan, error) {
	key := ops.DigestOf(fmt.Appendf(nil, "plan %q %q %d %s", s.ref.Run, v.Stage.Name, v.N+1, launcher.Tail())).Hex()[:32]
	ref, _, err := l.Launch(ctx, key, asked.request, launcher.Answers{By: s.answers.By, PlanDigest: noPlan})
	if err != nil {
		return nil, err
	}
	r, err := l.Follow(ctx, ref, launcher.Follow{Until: s.until})
	if err != nil {
		return nil, err
	}
	plan, err := s.st.Plan(ctx, ref)
	switch {
	case err != nil:
		return nil, err
	case plan == nil && r.Outcome == ops.RunRefused:
		return nil, refusalOf(r)
	case plan == nil || r.Outcome != ops.RunRefused:
		return nil, &ops.Error{Code: r.Code, Message: fmt.Sprintf("%s, which was to plan it, %s: %s", ref.Run, r.Outcome, r.Message), Hint: r.Next}
	}
	return plan, nil
}

func (s *staged) starter(ctx context.Context, asked *asking) (*launcher.Launcher, error) {
	return s.a.starter(ctx, s.st, s.choice, asked.request, "")
}

// asking is the request of a stage. All of it comes from the whole's, so that
// whoever asks again asks for the same.
func (s *staged) asking(stage *ops.Stage) (*asking, error) {
	task, err := tasks.Catalog().Task(stage.Task)
	if err != nil {
		return nil, err
	}
	values, err := task.Parse(tasks.StageInputs(s.task, stage, s.values, s.constants))
	if err != nil {
		return nil, err
	}
	req := *s.req
	req.Task, req.TaskVersion, req.Inputs, req.Lane, req.Synops = task.Name, task.Version, values.Canonical(), task.Lane, version()
	req.Reason = oneLine(strings.TrimSpace(fmt.Sprintf("stage %s of %s. %s", stage.Name, s.ref.Run, s.req.Reason)))
	return &asking{task: task, choice: s.choice, values: values, request: &req}, nil
}
