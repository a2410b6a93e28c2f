package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// askFlags are the flags of the commands that ask for a task: plan and run.
type askFlags struct {
	reason   string
	rate     int
	inFlight int
	lane     string
	noHand   bool
	rateSet  bool
}

func (f *askFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.reason, "reason", "", "`WHY`, for the record; never personal data")
	cmd.Flags().IntVar(&f.rate, "rate", 0, "at most `N` requests a minute; 0: unlimited, only against this machine")
	cmd.Flags().IntVar(&f.inFlight, "in-flight", 0, "`N` requests at once; only against this machine")
	cmd.Flags().StringVar(&f.lane, "lane", "", "`LANE` to prove (canary only)")
	cmd.Flags().BoolVar(&f.noHand, "no-hand-over", false, "end with this attempt's build (canary only)")
	_ = cmd.RegisterFlagCompletionFunc("lane", cobra.FixedCompletions([]string{"admin", "deploy", "migrate"}, cobra.ShellCompDirectiveNoFileComp))
}

// An asking is a request and all that was worked out on the way to it.
type asking struct {
	task    *ops.Task
	choice  *environments.Choice
	values  ops.Values
	request *ops.Request
	from    map[string]string // "@FILE" and the like, by the list input that it was given for
}

// ask turns a command line into a request. What is wrong with the inputs comes
// before what is refused, and all of it before anything is asked or written.
func (a *app) ask(ctx context.Context, cmd *cobra.Command, f *askFlags, args []string) (*asking, error) {
	a.mayChange()
	f.rateSet = cmd.Flags().Changed("rate")
	task, err := tasks.Catalog().Task(ops.TaskName(args[0]))
	if err != nil {
		return nil, err
	}
	raw, err := a.rawInputs(ctx, task, args[1:])
	if err != nil {
		return nil, err
	}
	asked, err := a.asked(task, raw, f)
	if err != nil {
		return nil, err
	}
	asked.from = map[string]string{}
	for _, arg := range args[1:] {
		if name, value, _ := strings.Cut(arg, "="); task.Input(name) != nil && task.Input(name).List && strings.HasPrefix(value, "@") {
			asked.from[name] = value
		}
	}
	return asked, nil
}

// asked is ask for a task and its inputs as they were given.
func (a *app) asked(task *ops.Task, raw map[string]string, f *askFlags) (*asking, error) {
	values, err := task.Parse(raw)
	if err != nil {
		return nil, err
	}
	if err := f.check(task); err != nil {
		return nil, err
	}
	if err := invalidFor(task.Name, values); err != nil {
		return nil, err
	}
	choice, err := a.choose()
	if err != nil {
		return nil, err
	}
	a.trouble.Environment = choice.Environment.Name
	if len(task.Constants) > 0 {
		if err := tasks.Catalog().CheckConstants(choice.Environment); err != nil {
			return nil, err
		}
	}
	if a.engine == enginePipeline {
		if err := environments.RequirePipeline(choice.Environment); err != nil {
			return nil, err
		}
	}
	req := &ops.Request{Task: task.Name, TaskVersion: task.Version, Inputs: values.Canonical(), Environment: choice.Environment.Name, Host: choice.Host,
		Lane: task.Lane, Repository: a.p.Getenv(varRepository), Requester: oneLine(a.p.requester()), Reason: oneLine(a.whyHere(f.reason)), Synops: version(),
		Pace: ops.Pace{PerMinute: f.rate, Unlimited: f.rateSet && f.rate == 0, InFlight: f.inFlight}, NoHandOver: f.noHand}
	if f.lane != "" {
		req.Lane = ops.Lane(f.lane)
	}
	return &asking{task: task, choice: choice, values: values, request: req}, nil
}

// invalidFor asks the task itself about its values, for what is wrong with them:
// its refusals come later, with all others.
func invalidFor(task ops.TaskName, values ops.Values) error {
	pure, err := tasks.Bind(task, nil)
	if err != nil || pure.Check == nil {
		return err
	}
	if wrong, ok := errors.AsType[*ops.InputErrors](pure.Check(values)); ok {
		return wrong
	}
	return nil
}

// check refuses flags that make no sense for the task.
func (f *askFlags) check(task *ops.Task) error {
	switch {
	case f.rate < 0 || f.inFlight < 0:
		return &ops.Error{Code: ops.Invalid, Message: "--rate and --in-flight count requests.", Hint: "Give a positive number."}
	case (f.lane != "" || f.noHand) && !task.AnyLane:
		return &ops.Error{Code: ops.Invalid, Message: "--lane and --no-hand-over are for the canary.", Hint: "Leave them out."}
	}
	return checkReason(f.reason)
}

// checkReason keeps secrets out of documents.
func checkReason(reason string) error {
	if ops.LooksSecret(reason) {
		return &ops.Error{Code: ops.Invalid, Message: "--reason looks like it holds an access token or a key.", Hint: "Secrets are never inputs. If this was a real one, revoke it."}
	}
	return nil
}

// keepPlan remembers a plan, so that a run bound to its digest can say what
// differs. Courtesy only: a failure is nobody's business.
func (a *app) keepPlan(p *ops.Plan, personal []string) {
	dir := filepath.Join(a.p.cacheDir(), "plans")
	data, err := ops.CanonicalJSON(p.Masked(personal))
	if err != nil || os.MkdirAll(dir, 0o700) != nil {
		return
	}
	_ = os.WriteFile(filepath.Join(dir, p.Digest.Hex()+".json"), data, 0o600)
	forgetOld(dir, 30*24*time.Hour)
}

// forgetOld removes plans nobody will approve any more.
func forgetOld(dir string, age time.Duration) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > age {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// keptPlan returns the plan of that digest if it was made on this machine.
func (a *app) keptPlan(d ops.Digest) *ops.Plan {
	data, err := os.ReadFile(filepath.Join(a.p.cacheDir(), "plans", d.Hex()+".json"))
	if err != nil {
		return nil
	}
	var p ops.Plan
	if json.Unmarshal(data, &p) != nil || p.Digest != d {
		return nil
	}
	return &p
}

func absolute(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// canceled tells whether err is the end of our own context.
func canceled(err error) bool { return errors.Is(err, context.Canceled) }
