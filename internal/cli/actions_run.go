package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// form reads what the form, or the task's own schedule, asks for.
func (j *job) form() (ops.Form, *asking, error) {
	j.mayChange()
	task, err := j.task()
	if err != nil {
		return ops.Form{}, nil, err
	}
	f, err := j.filledIn(task)
	if err != nil {
		return f, nil, err
	}
	asked, err := j.asked(task, f.Inputs, &askFlags{reason: f.Reason})
	return f, asked, err
}

func (j *job) scheduled() bool { return j.p.Getenv(varStepSchedule) == "true" }

// filledIn is the form as a person filled it in. A schedule's is core's, whoever
// changes the workflow that starts it.
func (j *job) filledIn(task *ops.Task) (ops.Form, error) {
	if !j.scheduled() {
		return task.ReadForm(j.p.Getenv(varStepForm))
	}
	if task.Schedule == nil {
		return ops.Form{}, ops.Refuse("schedule", "Run it by its form.", "%s declares no schedule.", task.Name)
	}
	choice, err := j.choose()
	if err != nil {
		return ops.Form{}, err
	}
	s, err := task.ScheduleIn(choice.Environment)
	if err != nil {
		return ops.Form{}, err
	}
	return ops.Form{Inputs: s.Inputs, Mode: ops.ModePerform, Confirm: s.Confirm, Reason: s.Reason, Watch: ops.WatchAll}, nil
}

// plan is the step that plans, with a role that can start nothing else. Its outputs
// are digest, plan-run, and go, which is true where the plan is to be performed.
func (j *job) plan(ctx context.Context) error {
	f, asked, err := j.form()
	if err != nil {
		return err
	}
	if asked.task.Class == ops.Reads {
		j.say("%s only reads, so there is no plan to look at first.", asked.task.Name)
		return j.output("go", "true")
	}
	var bound ops.Digest
	if f.Plan != "" {
		if bound, err = ops.ParseDigest(f.Plan); err != nil {
			return err
		}
	}
	if err := j.mayPerform(ctx, f, asked); err != nil {
		return err
	}
	// A plan is of no effect: a job that is run again plans again.
	p, err := j.askPlan(ctx, j.jobKey("plan/"+j.p.Getenv("GITHUB_RUN_ATTEMPT")), asked, bound)
	if err != nil {
		return err
	}
	_ = j.console.Group("Planning: " + string(p.ref.Run))
	tick := j.relay(p.ref)
	plan, _, err := p.made(ctx, tick.follow())
	tick.close()
	_ = j.console.EndGroup()
	if err != nil {
		j.summarizePlan(asked, p, plan, err)
		return err
	}
	if err := j.printPlan(plan, asked); err != nil {
		return err
	}
	if err = j.confirmed(f, plan); bound != "" && bound != plan.Digest { // attached to a planning that was bound to nothing
		err = &ops.Refusal{Guard: "plan", Code: ops.Conflict, Reason: fmt.Sprintf("the plan now is %s, not %s as the form says.", plan.Digest, bound), Remedy: "Look at the plan again and approve the new one."}
	}
	j.summarizePlan(asked, p, plan, err)
	if err != nil {
		return err
	}
	goOn := fmt.Sprint(f.Mode == ops.ModePerform)
	return j.output("digest", string(plan.Digest), "plan-run", string(p.ref.Run), "go", goOn)
}

// mayPerform asks, before the plan is made, what the start would be refused for: a
// reviewer is not to be asked about what cannot be.
func (j *job) mayPerform(ctx context.Context, f ops.Form, asked *asking) error {
	if f.Mode != ops.ModePerform {
		return nil
	}
	var clients []apiClient
	return j.worker(asked.choice, nil, &clients).Check(ctx, asked.request)
}

// confirmed refuses a form whose answer is not the plan's, before a reviewer is
// asked. The worker asks for real.
func (j *job) confirmed(f ops.Form, plan *ops.Plan) error {
	if f.Mode != ops.ModePerform || plan.Challenge == "" || f.Confirm == plan.Challenge {
		return nil
	}
	reason := "the form gives no answer in confirm, and its plan asks for one."
	if f.Confirm != "" {
		reason = "the answer in confirm is not the one that its plan asks for."
	}
	return &ops.Refusal{Guard: worker.GuardChallenge, Reason: string(plan.Task) + ": " + reason,
		Remedy: "Look at the plan in this job's summary. If it is what you mean, fill in the form again with exactly the answer it asks for."}
}

// brief is what a summary says of a request, whatever became of it.
func (j *job) brief(title string, asked *asking) report.Brief {
	req := asked.request
	b := report.Brief{Environment: req.Environment, Title: fmt.Sprintf("%s in %s: %s", req.Task, req.Environment, title), Facts: []report.Fact{
		{Label: "Asked for by", Text: req.Requester + ", as GitHub declares"}, {Label: "Reason", Text: req.Reason},
		{Label: "Host", Text: req.Host, Code: true},
	}}
	inputs := asked.values.Masked()
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		b.Facts = append(b.Facts, report.Fact{Label: name, Text: inputs[name], Code: true})
	}
	return b
}

func (j *job) summarizePlan(asked *asking, p *planning, plan *ops.Plan, err error) {
	title := "the plan"
	if err != nil {
		title = "refused"
		if ops.Refused(err) == nil {
			title = "not planned"
		}
	}
	b := j.brief(title, asked)
	if plan != nil {
		b.Facts = b.Facts[:3] // the plan shows its inputs
	}
	b.Facts = append(b.Facts, report.Fact{Label: "Planned by run", Text: string(p.ref.Run), Code: true})
	if err != nil {
		b.Text = j.clean(err.Error()) + " Nothing was changed."
	} else {
		b.Text = "Nothing was changed: this only planned. To perform exactly this, fill in the form with mode perform and this plan's digest."
	}
	j.summarize(func(page *bytes.Buffer) error {
		if plan == nil {
			return report.Job(page, b)
		}
		return report.JobPlan(page, report.PlanView{Plan: plan, Reads: asked.task.Class == ops.Reads, Command: j.runCommandLine(asked)}, b)
	})
}

// start is the step that starts a run, with the role that a reviewer stands before.
// It does not wait for its end. Outputs: run, and watch as the form says; of a
// schedule that started nothing, run is empty and skipped says why.
func (j *job) start(ctx context.Context) error {
	f, asked, err := j.form()
	if err != nil {
		return err
	}
	if due, err := j.due(ctx, asked.task); err != nil || !due {
		return err
	}
	if f.Mode != ops.ModePerform {
		return ops.Refuse("mode", "Choose perform in the form.", "the form asks for a plan only.")
	}
	if _, err := j.engineOf(asked.choice.Environment); err != nil {
		return err
	}
	if err := j.mayPerform(ctx, f, asked); err != nil {
		return err
	}
	st, err := j.open(ctx)
	if err != nil {
		return err
	}
	answers := j.answersOf(f.Confirm, "")
	if err := j.bind(ctx, st, asked, &answers); err != nil {
		return err
	}
	if len(asked.task.Stages) > 0 {
		return j.startStages(ctx, asked, answers)
	}
	l, err := j.starter(ctx, st, asked.choice, asked.request, "")
	if err != nil {
		return err
	}
	l.Hold, l.Scheduled = j.hold(asked.request.Environment, asked.task.LeaseFor(asked.values), j.scheduled()), j.scheduled()
	waiting, stop := context.WithTimeout(ctx, j.followFor())
	defer stop()
	ref, attached, err := l.Launch(waiting, j.jobKey(startJob), asked.request, answers)
	if r := ops.Refused(err); r != nil && r.Guard == worker.GuardLease && j.scheduled() {
		return j.skip(skippedLease, j.console.Warning, "refused", r.Reason+" Nothing was started; the schedule asks again at its next time.", j.brief("refused", asked))
	}
	if err != nil {
		return j.notLaunched(ref, err)
	}
	j.header(asked.task, asked.request, ref, attached)
	j.summarizeStart(ctx, l, asked, ref, &answers, attached)
	return j.output("run", string(ref.Run), "watch", f.Watch)
}

// Why a schedule started nothing.
const (
	skippedTime  = "not-its-time"
	skippedLease = "lease"
)

// due tells whether the task may start now; where it may not, it has been told why.
// What a person asks for always is, and so is a job that is run again after it
// started its run: it only follows that.
func (j *job) due(ctx context.Context, task *ops.Task) (bool, error) {
	if !j.scheduled() {
		return true, nil
	}
	now := j.now()
	if due, err := task.Schedule.Due(now); due || err != nil {
		return due, err
	}
	if n := j.p.Getenv("GITHUB_RUN_ATTEMPT"); n != "" && n != "1" {
		if ref, st, err := j.startedHere(ctx); err != nil {
			return false, err
		} else if ref.Run != "" {
			if starts, err := st.Starts(ctx, ref); err != nil || len(starts) > 0 {
				return err == nil, err
			}
		}
	}
	zone, err := time.LoadLocation(task.Schedule.Zone)
	if err != nil {
		return false, err
	}
	text := fmt.Sprintf("It is %s in %s, and the schedule is %s: not its time. GitHub starts schedules in UTC, for each of the zone's offsets, and late. Nothing was started.",
		now.In(zone).Format("Monday 15:04"), task.Schedule.Zone, task.Schedule.When())
	return false, j.skip(skippedTime, j.console.Notice, "not its time", text, report.Brief{Environment: ops.EnvironmentName(j.environment),
		Title: fmt.Sprintf("%s in %s: not its time", task.Name, j.environment), Facts: []report.Fact{{Label: "Schedule", Text: task.Schedule.Cron + " " + task.Schedule.Zone}}})
}

// skip ends a schedule's step that started nothing, which is no failure.
func (j *job) skip(why string, annotate func(title, text string) error, title, text string, b report.Brief) error {
	text = j.clean(text)
	j.say("%s  %s", j.mark(ops.EnvironmentName(j.environment)), text)
	_ = annotate(j.marked(title), text)
	b.Text = text
	j.summarize(func(page *bytes.Buffer) error { return report.Job(page, b) })
	return j.output("run", "", "watch", ops.WatchStart, "skipped", why)
}

// startStages carries a staged task out as far as it may go within the job. The
// next job has nothing to follow: what is left is gone on with by the form Resume.
func (j *job) startStages(ctx context.Context, asked *asking, answers launcher.Answers) error {
	ref, st, err := j.startedHere(ctx)
	if err != nil {
		return err
	}
	if ref.Run != "" {
		if starts, err := st.Starts(ctx, ref); err != nil || len(starts) > 0 {
			return errors.Join(err, j.againStages(ctx, &existing{st: st, ref: ref}))
		}
	}
	doc, err := j.runStaged(ctx, j.jobKey(startJob), asked, answers, &runFlags{until: j.followFor()})
	return j.toldStages(ctx, doc, err, j.brief("", asked).Facts)
}

// againStages tells how far a staged run is to a job that is run again: it starts
// nothing, as with any other run.
func (j *job) againStages(ctx context.Context, x *existing) error {
	j.say("Nothing was started: a job that is run again only tells how far %s is. To go on with it, fill in the form Resume; do not re-run this one.", x.ref.Run)
	return errors.Join(j.summarizeStages(ctx, x), j.output("run", "", "watch", ops.WatchStart))
}

// toldStages ends a step that carried out stages: its summary is the timeline, with
// what the form Resume takes where the whole waits. That it waits, or was left
// because the job's time is up, is no failure.
func (j *job) toldStages(ctx context.Context, doc *report.Stages, err error, facts []report.Fact) error {
	if errors.Is(err, errLeft) {
		j.say("The job's time is up; the stage that runs goes on. Come back with the form Resume.")
		err = nil
	}
	if doc != nil {
		ref := ops.RunRef{Run: doc.Run, Lane: ops.LaneDeploy}
		b := report.Brief{Environment: doc.Environment, Facts: facts, Commands: j.commands(ref, doc.Over())[:1]}
		if doc.Waits != nil {
			_ = j.console.Notice(j.marked("waits"), j.clean(doc.Sentence()))
		}
		if err != nil {
			b.Text = j.clean(err.Error())
		}
		j.summarize(func(page *bytes.Buffer) error { return report.JobTimeline(page, *doc, b) })
	}
	return errors.Join(err, j.output("run", "", "watch", ops.WatchStart))
}

// startJob names the asking that starts a run, in the keys of claims.
const startJob = "start"

// bind binds the start to the plan that was made before: nothing that destroys or
// changes is started by a person without one.
func (j *job) bind(ctx context.Context, st *store.Store, asked *asking, answers *launcher.Answers) error {
	digest, run := j.p.Getenv(varStepPlan), j.p.Getenv(varStepPlanRun)
	switch {
	case asked.task.Class == ops.Reads, j.scheduled():
		return nil
	case digest == "":
		return ops.Refuse("plan", "Start the workflow anew from its form.", "no plan was made for %s before this job.", asked.task.Name)
	}
	var err error
	if answers.PlanDigest, err = ops.ParseDigest(digest); err != nil {
		return err
	}
	id, err := ops.ParseRunID(run)
	if err != nil {
		return err
	}
	// Only to name what differs, should it: that it cannot be read stops nothing.
	if plan, err := st.Plan(ctx, ops.RunRef{Lane: ops.LanePlan, Run: id}); err == nil && plan != nil && plan.Digest == answers.PlanDigest {
		answers.Approved = plan
	}
	return nil
}

func (j *job) summarizeStart(ctx context.Context, l *launcher.Launcher, asked *asking, ref ops.RunRef, answers *launcher.Answers, attached bool) {
	title, text := "started", ""
	if attached {
		title = "already started by this workflow run"
		text = "Nothing was started: this workflow run has its run already, and a job that is run again only follows it. " + j.became(ctx, l, ref) +
			" To try again, fill in the form anew (Run workflow); do not re-run this one."
		j.say("%s", text)
	}
	b := j.brief(title, asked)
	b.Text = text
	b.Facts = append(b.Facts, report.Fact{Label: "Run", Text: string(ref.Run), Code: true}, report.Fact{Label: "Bound to plan", Text: string(answers.PlanDigest), Code: true})
	b.Commands, b.Links = j.commands(ref, false), j.documents(ctx, ref)
	j.summarize(func(page *bytes.Buffer) error { return report.Job(page, b) })
}

// became tells in a sentence how a run is.
func (j *job) became(ctx context.Context, l *launcher.Launcher, ref ops.RunRef) string {
	v, err := l.Look(ctx, ref)
	switch {
	case err != nil:
		return fmt.Sprintf("How run %s is cannot be told here: %v.", ref.Run, err)
	case isStaged(v.Request):
		return fmt.Sprintf("Run %s is carried out by its stages' runs: synops show tells how far it is.", ref.Run)
	case v.State() == ops.StateEnded:
		return fmt.Sprintf("Run %s ended %s: %s", ref.Run, v.Result.Outcome, v.Result.Message)
	case v.Lost():
		return fmt.Sprintf("Run %s is lost: its worker is gone and left no result.", ref.Run)
	}
	return fmt.Sprintf("Run %s goes on.", ref.Run)
}

// commands are what a person could do about a run.
func (j *job) commands(ref ops.RunRef, ended bool) []report.Fact {
	flags := " -e " + ops.ShellQuote(j.environment)
	all := []report.Fact{{Label: "Look", Text: "synops show " + string(ref.Run) + flags}}
	if !ended {
		all = append(all, report.Fact{Label: "Follow", Text: "synops follow " + string(ref.Run) + flags},
			report.Fact{Label: "Cancel", Text: "synops cancel " + string(ref.Run) + flags + " (or the workflow Run: cancel)"})
	}
	return all
}
