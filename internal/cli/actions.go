package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/actions"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// What core's workflows hand to their steps. All logic is here and none in YAML:
// what a form said is in one variable, and nothing of it is in a command.
const (
	varStepEnvironment = "SYNOPS_ENVIRONMENT"
	varStepTask        = "SYNOPS_TASK"
	varStepForm        = "SYNOPS_FORM"
	varStepSchedule    = "SYNOPS_SCHEDULE"     // "true": the task's own schedule asks
	varStepPlan        = "SYNOPS_PLAN"         // digest that the plan job gave
	varStepPlanRun     = "SYNOPS_PLAN_RUN"     // its run, to tell what differs
	varStepRun         = "SYNOPS_RUN"          // the run that is followed
	varStepCursor      = "SYNOPS_CURSOR"       // where the follower before left off
	varStepFollowed    = "SYNOPS_FOLLOWED"     // how the follower before ended
	varStepFollow      = "SYNOPS_FOLLOW_FOR"   // how long a job follows; tests shorten it
	varStepWebhook     = "SYNOPS_WEBHOOK"      // a secret
	varStepSecret      = "SYNOPS_SECRET"       // name of the workflow's secret that is put
	varStepBinaries    = "SYNOPS_BINARIES"     // folder with the release's programs
	varSummary         = "GITHUB_STEP_SUMMARY" // files of the runner
	varOutput          = "GITHUB_OUTPUT"
	varEvent           = "GITHUB_EVENT_PATH"
)

// actionsCommand holds the steps of core's workflows.
func (a *app) actionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "actions", Short: "The steps of core's workflows", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, s := range []struct {
		name, short string
		do          func(*job, context.Context) error
	}{
		{"mask", "Have the runner mask what is personal in the form", (*job).mask},
		{"plan", "Plan what the form asks for", (*job).plan},
		{"start", "Start what the form, or the task's schedule, asks for", (*job).start},
		{"follow", "Follow a run for as long as one job may", (*job).follow},
		{"verdict", "Say how a run ended, or that it goes on", (*job).verdict},
		{"on-cancel", "Cancel the run that this workflow run started", (*job).onCancel},
		{"cancel", "Cancel the run that the form names", (*job).cancelForm},
		{"resume", "Go on with the run that the form names", (*job).resumeForm},
		{"settle", "Settle the run that the form names", (*job).settleForm},
		{"deploy", "Bring the account up to date as the form says", (*job).deployForm},
		{"doctor", "Say what of the account is not as runs need it", (*job).doctorStep},
		{"secret-put", "Put one of the repository's secrets into the account", (*job).secretStep},
	} {
		cmd.AddCommand(&cobra.Command{Use: s.name, Short: s.short, Args: noArgs, Long: s.short + ".\n\n" + stepHelp, RunE: func(cmd *cobra.Command, _ []string) error {
			j := a.inJob()
			return j.tell(s.do(j, cmd.Context()))
		}})
	}
	return cmd
}

// stepHelp says of every step what a person who finds it must know.
const stepHelp = "It is a step of core's workflows and reads what it is about from variables (synops help variables),\nnever from its command line."

// A job is this process as a step of a workflow's job.
type job struct {
	*app
	console *actions.Console
	now     func() time.Time
}

// inJob has everything that is printed from here on go through the step's console.
func (a *app) inJob() *job {
	j := &job{app: a, console: actions.NewConsole(a.p.Out), now: a.p.Now}
	if j.now == nil {
		j.now = time.Now
	}
	a.flush()
	a.p.Width = 120 // the page's lines are as long as they are
	a.out, a.err = a.secrets.Writer(j.console), a.secrets.Writer(j.console)
	a.console = j.console
	if a.environment == "" {
		a.environment = a.p.Getenv(varStepEnvironment)
	}
	for _, name := range []string{varStepWebhook} {
		if v := a.p.Getenv(name); v != "" {
			_ = a.secrets.Add(v) // too short to be one
		}
	}
	return j
}

// tell annotates the job with what went wrong, and returns err as it is.
func (j *job) tell(err error) error {
	j.flush()
	_ = j.console.EndGroup()
	if err == nil || errors.Is(err, errDrift) { // a step has told what differs in its own words
		return err
	}
	title, text := "failed", err.Error()
	switch e, ok := errors.AsType[*ended](err); {
	case ok && e.result.Outcome == ops.Succeeded:
		return err
	case ok:
		title, text = string(e.result.Outcome), e.result.Message+next(e.result.Next)
	case ops.CodeOf(err) == ops.Invalid:
		title = "invalid"
	case ops.Refused(err) != nil:
		r := ops.Refused(err)
		title, text = "refused", r.Reason+next(r.Remedy)+fmt.Sprintf(" (guard %s)", r.Guard)
	}
	_ = j.console.Error(j.marked(title), j.clean(text))
	return err
}

func next(hint string) string {
	if hint == "" {
		return ""
	}
	return " " + hint
}

// marked is a title that names environment and task.
func (j *job) marked(title string) string {
	words := []string{report.Mark(ops.EnvironmentName(j.environment)), j.p.Getenv(varStepTask), title}
	return strings.Join(strings.Fields(report.Clean(strings.Join(words, " "))), " ")
}

// clean makes text safe for an annotation: line by line, with secrets masked.
func (j *job) clean(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = report.Clean(l)
	}
	return j.secrets.String(strings.Join(lines, "\n"))
}

// output sets outputs of the step, name and value in turn.
func (j *job) output(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := actions.SetOutput(j.p.Getenv(varOutput), pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// summarize appends to the step's summary what write writes. That it cannot be
// written is told and no more: the run is what matters.
func (j *job) summarize(write func(*bytes.Buffer) error) {
	var page bytes.Buffer
	err := write(&page)
	if err == nil {
		err = actions.Summarize(j.p.Getenv(varSummary), []byte(j.secrets.String(page.String())))
	}
	if err != nil {
		j.say("note: the summary could not be written: %v", err)
	}
}

// mask has the runner mask the form's personal inputs. It runs before a step that
// has the form in its environment, which the runner prints.
func (j *job) mask(context.Context) error {
	task, err := j.task()
	if err != nil {
		return err
	}
	n := 0
	for _, value := range actions.Personal(task, actions.Dispatched(j.p.Getenv(varEvent))) {
		if j.console.Mask(value) {
			n++
		}
	}
	if n > 0 {
		j.say("%d personal values of the form are masked in this job's log.", n)
	}
	return nil
}

func (j *job) task() (*ops.Task, error) {
	name := j.p.Getenv(varStepTask)
	if name == "" {
		return nil, &ops.Error{Code: ops.Invalid, Message: "The workflow names no task.", Hint: "Render the dashboard anew: synops render."}
	}
	return tasks.Catalog().Task(ops.TaskName(name))
}

// who is who asks, as declared: the actor and the workflow run.
func (j *job) who() string {
	run := j.p.Getenv("GITHUB_RUN_ID")
	if run == "" {
		return oneLine(j.p.requester())
	}
	return oneLine(fmt.Sprintf("%s (workflow run %s of %s)", j.p.requester(), run, j.p.Getenv(varRepository)))
}

// pageURL is this workflow run's page, "" where it has none.
func (j *job) pageURL() string {
	server, repository, run := j.p.Getenv("GITHUB_SERVER_URL"), j.p.Getenv(varRepository), j.p.Getenv("GITHUB_RUN_ID")
	if server == "" || repository == "" || run == "" {
		return ""
	}
	return server + "/" + repository + "/actions/runs/" + run
}

// answersOf is what the start document says of a form's answers.
func (j *job) answersOf(confirm string, plan ops.Digest) launcher.Answers {
	return launcher.Answers{By: j.who(), Confirm: confirm, PlanDigest: plan}
}
