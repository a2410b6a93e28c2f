package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/actions"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// notify tells the team how a run is: by the webhook, where the repository has one,
// and by the account's topic. That it cannot is a warning: the run is what it is.
func (j *job) notify(ctx context.Context, v *launcher.View, what string) {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	line := j.clean(fmt.Sprintf("%s %s, asked for by %s: %s", report.Mark(v.Request.Environment), v.Run, v.Request.Requester, what))
	if page := j.pageURL(); page != "" {
		line += " " + page
	}
	if hook := j.p.Getenv(varStepWebhook); hook != "" {
		if err := (&actions.Webhook{URL: hook}).Post(ctx, line); err != nil {
			_ = j.console.Warning(j.marked("webhook"), j.clean("The team was not told by the webhook: "+err.Error()))
		}
	}
	env := j.named()
	if env == nil || env.Account == "" {
		return
	}
	if err := j.publish(ctx, env, fmt.Sprintf("%s %s", report.Mark(env.Name), v.Run), line); err != nil {
		_ = j.console.Warning(j.marked("topic"), j.clean("The team was not told by the account's topic: "+err.Error()))
	}
}

func (j *job) publish(ctx context.Context, env *ops.Environment, subject, line string) error {
	s, err := j.signIn(ctx, env)
	if err != nil {
		return err
	}
	b, err := j.buckets(ctx, env)
	if err != nil || b.Topic == "" {
		return err
	}
	return awsauth.Publish(ctx, s.config, b.Topic, subject, line)
}

// fields reads a form that is about no task. In a workflow without a form there are
// none.
func (j *job) fields(known ...string) (map[string]string, error) {
	form := j.p.Getenv(varStepForm)
	if form == "" {
		return map[string]string{}, nil
	}
	fields, err := actions.ReadFields(form, known...)
	if err != nil {
		return nil, err
	}
	return fields, checkReason(fields[ops.FieldReason])
}

// The fields of forms about a run.
const (
	fieldRun       = "run"
	fieldSettle    = "settle"
	fieldForce     = "force"
	fieldLanes     = "lanes"
	fieldLowest    = "lowest"
	fieldInterrupt = "interrupt"
)

// namedRun finds the run that the form names, in this job's environment.
func (j *job) namedRun(ctx context.Context, fields map[string]string) (*existing, *launcher.View, error) {
	if fields[fieldRun] == "" {
		return nil, nil, &ops.Error{Code: ops.Invalid, Message: "The form names no run.", Hint: "Its ID is in the run's summary, such as 20261123T141502Z-remove-user-3f9c1a."}
	}
	x, v, err := j.look(ctx, fields[fieldRun])
	if err != nil {
		return nil, nil, err
	}
	if err := j.ownEnvironment(v.Request, j.p.Getenv(varContext)); err != nil {
		return nil, nil, err
	}
	// Said here too, before AWS would: a form of one environment's repository is about
	// its own runs.
	if env, from := j.named(), j.p.Getenv(varRepository); env != nil && env.Repository != "" && from != "" && from != env.Repository {
		return nil, nil, ops.Refuse("environment-repository", fmt.Sprintf("Ask from %s.", env.Repository), "runs in %s are asked about from %s, and this is %s.", env.Name, env.Repository, ops.Quote(from))
	}
	return x, v, nil
}

// cancelGrace is how long a canceled run's worker is waited for.
const cancelGrace = 10 * time.Minute

// cancelForm is the step that cancels a run. It may write the marker and start
// nothing, so what a dead worker left open is settled by another workflow.
func (j *job) cancelForm(ctx context.Context) error {
	fields, err := j.fields(fieldRun, ops.FieldReason)
	if err != nil {
		return err
	}
	x, v, err := j.namedRun(ctx, fields)
	if err != nil {
		return err
	}
	if isStaged(v.Request) {
		stage, err := j.stopStages(ctx, x, v.Request, j.who(), oneLine(fields[ops.FieldReason]))
		if err != nil {
			return err
		}
		if stage == nil {
			return j.summarizeStages(ctx, x)
		}
		x = &existing{st: x.st, ref: stage.RunRef, l: x.l}
	}
	asked, err := x.l.Cancel(ctx, x.ref, j.who(), oneLine(fields[ops.FieldReason]))
	if err != nil {
		return err
	}
	j.began(x.ref.Run)
	mark := j.mark(ops.EnvironmentName(j.environment))
	if !asked {
		j.say("%s  %s ended already; nothing to cancel.", mark, x.ref.Run)
	} else {
		j.say("%s  The cancel is durable: no new effect begins. Waiting for the worker to end what it has in hand.", mark)
	}
	tick := j.relay(x.ref)
	how := tick.follow()
	how.Until = j.now().Add(min(cancelGrace, j.followFor()))
	_, err = x.l.Follow(ctx, x.ref, how)
	tick.close()
	var lookErr error
	if v, lookErr = x.l.Look(ctx, x.ref); lookErr != nil {
		return lookErr
	}
	switch {
	case err == nil:
		j.summarizeEnd(ctx, x.ref, v, string(v.Result.Outcome), "")
	case errors.Is(err, launcher.ErrLost), errors.Is(err, launcher.ErrStillRunning):
		text := "The cancel is durable, and no worker has ended the run. Finish it with the workflow Run: settle; with force where a worker is still there."
		_ = j.console.Warning(j.marked("canceled, not settled"), text)
		j.summarizeEnd(ctx, x.ref, v, "canceled, not settled", text)
	default:
		return err
	}
	return nil
}

// resumeForm is the step that goes on with a run; outputs as start's.
func (j *job) resumeForm(ctx context.Context) error {
	fields, err := j.fields(fieldRun, fieldSettle, ops.FieldPlan, ops.FieldConfirm, fieldForce, ops.FieldReason, ops.FieldWatch)
	if err != nil {
		return err
	}
	return j.againForm(ctx, fields, ops.StartResume)
}

// settleForm is the step that finishes a run's clean-up; outputs as start's.
func (j *job) settleForm(ctx context.Context) error {
	fields, err := j.fields(fieldRun, fieldSettle, fieldForce, ops.FieldReason, ops.FieldWatch)
	if err != nil {
		return err
	}
	return j.againForm(ctx, fields, ops.StartSettle)
}

func (j *job) againForm(ctx context.Context, fields map[string]string, kind ops.StartKind) error {
	x, v, err := j.namedRun(ctx, fields)
	if err != nil {
		return err
	}
	watch := fields[ops.FieldWatch]
	if watch == "" {
		watch = ops.WatchAll
	}
	if j.startedBefore(v) {
		j.say("Nothing was started: this workflow run went on with %s before. %s To do so once more, fill in the form anew; do not re-run this one.", x.ref.Run, j.became(ctx, x.l, x.ref))
		return j.output("run", string(x.ref.Run), "watch", watch)
	}
	j.by = j.who()
	waiting, stop := context.WithTimeout(ctx, j.followFor())
	defer stop()
	f := &runFlags{plan: fields[ops.FieldPlan], confirm: fields[ops.FieldConfirm], detach: true, until: j.followFor(), force: fields[fieldForce] == "true"}
	settle := strings.Fields(fields[fieldSettle])
	if isStaged(v.Request) && kind == ops.StartResume { // carried out here, as far as it may go
		if n := j.p.Getenv("GITHUB_RUN_ATTEMPT"); n != "" && n != "1" {
			return j.againStages(ctx, x)
		}
		return j.resumeStages(waiting, x, v, f, settle, fields[ops.FieldReason])
	}
	if err := j.again(waiting, string(x.ref.Run), f, settle, kind); err != nil {
		return err
	}
	now, err := x.l.Look(ctx, x.ref)
	if err != nil {
		return err
	}
	title := "%s in %s goes on"
	if len(now.Starts) == len(v.Starts) {
		title = "%s in %s: nothing was started"
	}
	b := report.Brief{Environment: v.Request.Environment, Title: fmt.Sprintf(title, v.Request.Task, v.Request.Environment),
		Text: j.became(ctx, x.l, x.ref), Commands: j.commands(x.ref, now.State() == ops.StateEnded), Links: j.documents(ctx, x.ref),
		Facts: []report.Fact{{Label: "Run", Text: string(x.ref.Run), Code: true}, {Label: "By", Text: j.by}, {Label: "Reason", Text: oneLine(fields[ops.FieldReason])}}}
	j.summarize(func(page *bytes.Buffer) error { return report.Job(page, b) })
	return j.output("run", string(x.ref.Run), "watch", watch)
}

// resumeStages goes on with a staged run as far as it may go within the job.
func (j *job) resumeStages(ctx context.Context, x *existing, v *launcher.View, f *runFlags, settle []string, reason string) error {
	j.mayChange()
	answers, err := j.answers(f)
	if err != nil {
		return err
	}
	if answers.Settle, err = settlements(settle); err != nil {
		return err
	}
	doc, err := j.resumeStaged(ctx, x, v.Request, answers, f)
	return j.toldStages(ctx, doc, err, []report.Fact{{Label: "Gone on with by", Text: j.by}, {Label: "Reason", Text: oneLine(reason)}})
}

// summarizeStages tells in the step's summary how far a staged run is.
func (j *job) summarizeStages(ctx context.Context, x *existing) error {
	s, err := j.whole(ctx, x.st, x.ref)
	if err != nil {
		return err
	}
	s.waits = s.standsStill()
	doc := s.timeline()
	j.summarize(func(page *bytes.Buffer) error {
		return report.JobTimeline(page, *doc, report.Brief{Environment: doc.Environment, Commands: j.commands(x.ref, true)})
	})
	return nil
}

// startedBefore tells whether this workflow run started an attempt of the run: one
// that is run again starts nothing.
func (j *job) startedBefore(v *launcher.View) bool {
	who := j.who()
	return j.p.Getenv("GITHUB_RUN_ID") != "" && slices.ContainsFunc(v.Starts, func(s ops.Start) bool { return s.By == who })
}

// onCancel is the step of a workflow run that was canceled: on a fresh runner, it
// finds what this workflow run started and cancels that. A follower that was ended
// did nothing of the kind: why it was, it cannot tell.
func (j *job) onCancel(ctx context.Context) error {
	ref, st, err := j.startedHere(ctx)
	if err != nil {
		return err
	}
	mark := j.mark(ops.EnvironmentName(j.environment))
	if ref.Run == "" {
		j.say("%s  This workflow run started nothing, so there is nothing to cancel.", mark)
		return nil
	}
	l := j.launcher(st, nil, nil)
	const why = "its workflow run was canceled in GitHub"
	if v, err := l.Look(ctx, ref); err == nil && isStaged(v.Request) {
		x := &existing{st: st, ref: ref, l: l}
		stage, err := j.stopStages(ctx, x, v.Request, j.who(), why)
		if err != nil {
			return err
		}
		if stage == nil {
			return j.summarizeStages(ctx, x)
		}
		ref = stage.RunRef
	}
	asked, err := l.Cancel(ctx, ref, j.who(), why)
	switch {
	case err != nil:
		return err
	case !asked:
		j.say("%s  %s ended already; nothing to cancel.", mark, ref.Run)
		return nil
	}
	j.began(ref.Run)
	text := fmt.Sprintf("The cancel of %s is durable: no new effect begins, what is in hand is settled. It ends by itself; if its worker is gone, finish it with the workflow Run: settle.", ref.Run)
	j.say("%s  %s", mark, text)
	b := report.Brief{Environment: ops.EnvironmentName(j.environment), Title: string(ref.Run) + ": canceled with its workflow run", Text: text,
		Facts: []report.Fact{{Label: "By", Text: j.who()}}, Commands: j.commands(ref, false), Links: j.documents(ctx, ref)}
	j.summarize(func(page *bytes.Buffer) error { return report.Job(page, b) })
	return nil
}

// startedHere finds the run that this workflow run started or went on with; the zero
// RunRef when there is none.
func (j *job) startedHere(ctx context.Context) (ops.RunRef, *store.Store, error) {
	if j.p.Getenv(varStepTask) == "" {
		fields, err := j.fields(fieldRun, fieldSettle, ops.FieldPlan, ops.FieldConfirm, fieldForce, ops.FieldReason, ops.FieldWatch)
		if err != nil {
			return ops.RunRef{}, nil, err
		}
		x, v, err := j.namedRun(ctx, fields)
		if err != nil || !j.startedBefore(v) {
			return ops.RunRef{}, nil, err
		}
		return x.ref, x.st, nil
	}
	task, err := j.task()
	if err != nil {
		return ops.RunRef{}, nil, err
	}
	st, err := j.open(ctx)
	if err != nil {
		return ops.RunRef{}, nil, err
	}
	claim, err := st.FindClaim(ctx, task.Lane, j.jobKey(startJob))
	if err != nil || claim == nil {
		return ops.RunRef{}, nil, err
	}
	return ops.RunRef{Lane: claim.Lane, Run: claim.Run}, st, nil
}
