package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

func (a *app) planCommand() *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use: "plan TASK [NAME=VALUE…]", Short: "Say what a task would change, and change nothing",
		Long:              "plan reads from the service what a task would change and prints it, with the digest that\n\"run --plan\" binds a run to and the answer that --confirm needs. Where the environment names an\naccount a build of lane plan reads, since only there the service answers.",
		Example:           "  synops plan remove-user users=3350396 -e dev\n  synops plan publish-dataset entities=@entities.txt -e dev",
		Args:              needTask,
		ValidArgsFunction: a.completeTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := a.ask(cmd.Context(), cmd, &f, args)
			if err != nil {
				return err
			}
			return a.plan(cmd.Context(), asked)
		},
	}
	f.register(cmd)
	return cmd
}

func needTask(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return &ops.Error{Code: ops.Invalid, Message: "No task was named.", Hint: "synops tasks lists all."}
	}
	return nil
}

// plan prints what a request would change.
func (a *app) plan(ctx context.Context, asked *asking) error {
	if len(asked.task.Stages) > 0 {
		p, err := a.wholePlan(ctx, asked)
		if err != nil {
			return err
		}
		a.keepPlan(p, asked.task.Personal)
		return a.printPlan(p, asked)
	}
	if a.plansThere(asked.choice.Environment) {
		return a.planThere(ctx, asked)
	}
	var clients []apiClient
	defer closeAll(&clients)
	bar := newProgress(a, ops.RunRef{})
	a.read = bar.reading(asked.task.Plural)
	p, err := a.worker(asked.choice, nil, &clients).Plan(ctx, asked.request)
	bar.clear()
	if err != nil {
		return err
	}
	a.keepPlan(p, asked.task.Personal)
	return a.printPlan(p.Masked(asked.task.Personal), asked)
}

// printPlan prints a plan, masked already, and how to have it performed.
func (a *app) printPlan(p *ops.Plan, asked *asking) error {
	p.Notes = append(unsaid(asked.values.Notes(), p.Notes), p.Notes...)
	return a.print(p, func(w io.Writer) error {
		return report.Plan(w, report.PlanView{Plan: p, Reads: asked.task.Class == ops.Reads, Command: a.runCommandLine(asked)}, a.style())
	})
}

// unsaid returns the notes that are not among said: the request carries canonical
// values, so what was folded on the way to them only we know.
func unsaid(notes, said []string) []string {
	return slices.DeleteFunc(slices.Clone(notes), func(n string) bool { return slices.Contains(said, n) })
}

func closeAll(clients *[]apiClient) {
	for _, c := range *clients {
		c.Close()
	}
}

// runCommandLine is the command that asks for the same, with its inputs as parsed.
// It is shown, so a personal value is left out of it.
func (a *app) runCommandLine(asked *asking) string {
	const longest = 1000 // what nobody reads or pastes is named by where it came from
	var inputs [][2]string
	for _, in := range asked.task.Inputs {
		switch {
		case in.Personal && asked.values.Has(in.Name):
			inputs = append(inputs, [2]string{in.Name, "(as given)"})
		case asked.from[in.Name] != "" && len(asked.values.Text(in.Name)) > longest:
			inputs = append(inputs, [2]string{in.Name, asked.from[in.Name]})
		case asked.values.Has(in.Name):
			inputs = append(inputs, [2]string{in.Name, asked.values.Text(in.Name)})
		}
	}
	line := ops.Command(asked.task.Name, asked.request.Environment, inputs...)
	if asked.request.Reason != "" {
		line += " --reason " + ops.ShellQuote(asked.request.Reason)
	} else if asked.choice.Environment.RequireReason && asked.task.Class != ops.Reads {
		line += " --reason WHY"
	}
	return line + a.flagsBeside()
}

// runFlags are the flags of run, and those it shares with resume.
type runFlags struct {
	ask     askFlags
	plan    string
	confirm string
	dryRun  bool
	detach  bool
	noWait  bool
	until   time.Duration
	stage   string // the last one to carry out, of a task with stages
	force   bool   // resume and settle: a worker that is still there is stopped first
}

func (a *app) registerShared(f *runFlags, cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.plan, "plan", "", "`DIGEST` of the plan that was approved: refuse any other")
	cmd.Flags().StringVar(&f.confirm, "confirm", "", "`ANSWER` to the plan's challenge")
	cmd.Flags().BoolVar(&f.detach, "detach", false, "start it and leave")
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "end refused, instead of waiting, while another run holds the lease")
	a.registerGlass(cmd)
	cmd.Flags().Var(&untilFlag{f}, "until", "leave after this `TIME`, such as 330m, with exit code 4, while it goes on; of a task with stages also after this stage")
}

// asks is who asks for attempts, as declared.
func (a *app) asks() string {
	if a.by != "" {
		return a.by
	}
	return a.p.requester()
}

// answers turns the flags into what the start document says.
func (a *app) answers(f *runFlags) (launcher.Answers, error) {
	ans := launcher.Answers{By: oneLine(a.whyHere(a.asks())), Confirm: f.confirm}
	if err := checkUntil(f.until); err != nil {
		return ans, err
	}
	if f.plan != "" {
		d, err := ops.ParseDigest(f.plan)
		if err != nil {
			return ans, err
		}
		ans.PlanDigest, ans.Approved = d, a.keptPlan(d)
	}
	return ans, nil
}

// An untilFlag is a time to leave after, or a stage.
type untilFlag struct{ f *runFlags }

var stageName = ops.Pattern(`^[a-z]+(-[a-z]+)*$`)

func (u *untilFlag) String() string { return "" }
func (u *untilFlag) Type() string   { return "duration" }

func (u *untilFlag) Set(s string) error {
	d, err := time.ParseDuration(s)
	switch {
	case err == nil:
		u.f.until = d
	case stageName().MatchString(s):
		u.f.stage = s
	default:
		return errors.New("it is a time such as 330m, or a stage's name")
	}
	return nil
}

func checkUntil(d time.Duration) error {
	if d < 0 {
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("--until %v is in the past.", d), Hint: "Give how long to follow, such as 330m."}
	}
	return nil
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "run TASK [NAME=VALUE…]", Short: "Perform a task",
		Long: "run starts a task and follows it to its end. Ctrl-C leaves; the run goes on, and \"follow\" comes\n" +
			"back to it. A list input takes values, @FILE (a value on each line), @FILE.csv:COLUMN, or\n@failed:RUN (what failed in an earlier run).",
		Example:           "  synops run verify-oauth-client client-ids=100001 -e dev\n  synops run remove-user users=3350396 -e dev --confirm jdoe",
		Args:              needTask,
		ValidArgsFunction: a.completeTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			a.mayChange()
			answers, err := a.answers(&f)
			if err != nil {
				return err
			}
			asked, err := a.ask(cmd.Context(), cmd, &f.ask, args)
			if err != nil {
				return err
			}
			if f.dryRun {
				return a.plan(cmd.Context(), asked)
			}
			if len(asked.task.Stages) > 0 {
				_, err := a.runStaged(cmd.Context(), a.claimKey(), asked, answers, &f)
				return err
			}
			if f.stage != "" {
				return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s has no stages, and --until says %s.", asked.task.Name, ops.Quote(f.stage)), Hint: "Give how long to follow, such as 330m."}
			}
			return a.run(cmd.Context(), asked, answers, &f)
		},
	}
	f.ask.register(cmd)
	a.registerShared(&f, cmd)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only plan, like the plan command")
	return cmd
}

// run starts what was asked for and follows it.
func (a *app) run(ctx context.Context, asked *asking, answers launcher.Answers, f *runFlags) error {
	if _, err := a.engineOf(asked.choice.Environment); err != nil {
		return err
	}
	var clients []apiClient
	if err := a.worker(asked.choice, nil, &clients).Check(ctx, asked.request); err != nil {
		return err
	}
	st, err := a.open(ctx)
	if err != nil {
		return err
	}
	l, err := a.starter(ctx, st, asked.choice, asked.request, "")
	if err != nil {
		return err
	}
	l.Hold = a.hold(asked.request.Environment, asked.task.LeaseFor(asked.values), f.noWait)
	ref, attached, err := l.Launch(ctx, a.claimKey(), asked.request, answers)
	if err != nil {
		return a.notLaunched(ref, err)
	}
	a.header(asked.task, asked.request, ref, attached)
	if err := st.ExpirePrivate(ctx, time.Now()); err != nil {
		a.say("note: private documents whose term is over could not be removed: %v", err)
	}
	again, err := asked.task.Parse(asked.request.Inputs)
	if err != nil {
		return err
	}
	for _, note := range unsaid(asked.values.Notes(), again.Notes()) {
		a.say("note: %s", note)
	}
	if f.detach {
		return a.detached(ref)
	}
	return a.follow(ctx, l, ref, follow{until: f.until, anew: a.runCommandLine(asked)})
}

// notLaunched reports a launch that failed. What was written stays and may be gone
// on with; a claim that is another request's is nothing of ours.
func (a *app) notLaunched(ref ops.RunRef, err error) error {
	if ref.Run != "" && ops.Refused(err) == nil && !errors.Is(err, launcher.ErrNotStarted) {
		a.began(ref.Run)
		a.trouble.Next = "See whether it began: synops show " + string(ref.Run) + a.flagsAgain()
	}
	return err
}

// header says which run this is, before anything else happens.
func (a *app) header(task *ops.Task, req *ops.Request, ref ops.RunRef, attached bool) {
	verb := "started"
	if attached {
		verb = "already started by this job; attached, nothing was started"
	}
	width := max(len(report.Mark(req.Environment)), len("run"))
	a.say("%s%*s  %s in %s: %s", a.mark(req.Environment), width-len(report.Mark(req.Environment)), "", task.Title, req.Host, verb)
	a.say("%-*s  %s", width, "run", ref.Run)
}

// mark names the environment on standard error; prod stands out on every line that
// names it.
func (a *app) mark(env ops.EnvironmentName) string {
	return report.Marked(env, report.Style{Color: a.p.ErrColor})
}

// detached says which run goes on without us.
func (a *app) detached(ref ops.RunRef) error {
	return a.leave(ref, "started", "It goes on. Come back with: synops follow ")
}

// leave tells how a run is that is not waited for, and the command that tells more.
func (a *app) leave(ref ops.RunRef, state, command string) error {
	doc := struct {
		Run   ops.RunID `json:"run"`
		State string    `json:"state"`
	}{ref.Run, state}
	return a.print(doc, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s%s%s\n", command, ref.Run, a.flagsAgain())
		return err
	})
}

// follow says how a command follows a run.
type follow struct {
	until time.Duration
	from  int    // attempt to begin with
	anew  string // the command that asks for the same again; "" where it is not at hand
}

// follow prints a run's log until it ends, then its report.
func (a *app) follow(ctx context.Context, l *launcher.Launcher, ref ops.RunRef, f follow) error {
	a.began(ref.Run)
	bar := newProgress(a, ref)
	how := launcher.Follow{Log: bar, Progress: bar.heartbeat, From: f.from,
		Attempt: func(n int, lost bool) {
			if lost {
				a.say("-- attempt %d ended without a word; attempt %d goes on --", n-1, n)
			} else {
				a.say("-- attempt %d goes on --", n)
			}
		}}
	if a.bucket != nil { // on this machine neither lasts
		how.Engine = a.tellState
	}
	if f.until > 0 {
		how.Until = time.Now().Add(f.until)
	}
	r, err := l.Follow(ctx, ref, how)
	bar.clear()
	if err == nil && r.Outcome == ops.RunRefused {
		a.askAnew(ctx, ref, r, f.anew)
	}
	if errors.Is(err, launcher.ErrLost) {
		if why := l.Why(ctx, ref); why != "" {
			a.sayClean("%s", why)
		}
	}
	return a.ended(ref, r, err)
}

// tellState says what a run waits for.
func (a *app) tellState(state ops.Liveness) {
	if text := waitsFor(state); text != "" {
		a.say("-- %s --", text)
	}
}

// askAnew completes what to do after a refusal: the command that asks again; anew
// is "" where it is not at hand.
func (a *app) askAnew(ctx context.Context, ref ops.RunRef, r *ops.Result, anew string) {
	confirm := a.confirmation(ctx, ref, r)
	switch {
	case confirm != "" && anew == "":
		r.Next = "If the plan is what you mean, ask anew with " + confirm
	case confirm != "":
		r.Next = "If the plan is what you mean: " + anew + " " + confirm
	case anew != "" && r.Next == "":
		r.Next = "Once that is put right: " + anew
	case anew != "":
		r.Next += " What was asked: " + anew // often it has to be changed first
	}
	if confirm != "" {
		r.Message = strings.TrimSuffix(r.Message, ".") + ": " + confirm
	}
}

// confirmation is the flag that a run lacked which its challenge refused. The plan
// alone tells the answer: it may be a person's name.
func (a *app) confirmation(ctx context.Context, ref ops.RunRef, r *ops.Result) string {
	if !strings.Contains(r.Message, strconv.Quote(worker.GuardChallenge)) {
		return ""
	}
	st, err := a.open(ctx)
	if err != nil {
		return ""
	}
	plan, err := st.Plan(ctx, ref)
	if err != nil || plan == nil || plan.Challenge == "" {
		return ""
	}
	return "--confirm " + ops.ShellQuote(plan.Challenge)
}

// ended reports how following a run ended.
func (a *app) ended(ref ops.RunRef, r *ops.Result, err error) error {
	switch {
	case err == nil:
		if a.p.Terminal {
			a.say("") // the report stands apart from the log
		}
		if err := a.print(r, func(w io.Writer) error { return report.Result(w, r, a.style()) }); err != nil {
			return err
		}
		return &ended{r}
	case errors.Is(err, launcher.ErrLost):
		return &ops.Error{Code: ops.Unavailable, Err: err, Message: fmt.Sprintf("The worker of %s is gone and left no result.", ref.Run),
			Hint: fmt.Sprintf("What it did is journaled; go on with: synops resume %s%s", ref.Run, a.flagsStart())}
	case errors.Is(err, launcher.ErrStillRunning), canceled(err):
		left := errLeft
		if printErr := a.left(ref); printErr != nil {
			return printErr
		}
		return left
	}
	return err
}

// left says that the run goes on and how to come back.
func (a *app) left(ref ops.RunRef) error {
	doc := struct {
		Run   ops.RunID `json:"run"`
		State string    `json:"state"`
	}{ref.Run, "running"}
	return a.print(doc, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "The run goes on without you.\n  come back  synops follow %s%s\n  stop it    synops cancel %s%s\n", ref.Run, a.flagsAgain(), ref.Run, a.flagsAgain())
		return err
	})
}
