package tasks

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
)

// A performance is a tool at work on one effect.
type performance struct {
	*tool
	x     Tools
	pause pause
	step  *ops.Step
	g     given
	own   []string // patterns of the stacks it works on
}

// toolCheckpoint tells a later attempt that the tool had begun.
type toolCheckpoint struct {
	Began time.Time `json:"began"`
}

// perform waits until CloudFormation is done with what an earlier attempt began,
// gets the tool, runs it, and tells which stacks changed. Everything it is given is
// the plan's, which a person saw.
func (p *performance) perform(ctx context.Context) (ops.Done, error) {
	var err error
	if p.g, err = p.given(p.x, p.step.Values); err != nil {
		return ops.Done{}, err
	}
	p.own = p.stacks(p.g)
	src, properties, err := p.planned()
	if err != nil {
		return ops.Done{}, err
	}
	if p.step.Checkpoint != nil {
		p.step.Log("an earlier attempt had begun; running the tool again comes to the same end")
	}
	if err := p.quiet(ctx); err != nil {
		return ops.Done{}, err
	}
	built, err := p.x.Provide(ctx, src, p.recipe, p.step.Log)
	if err != nil {
		return ops.Done{}, err
	}
	defer built.Close()
	if err := p.complete(built); err != nil {
		return ops.Done{}, err
	}
	all, err := p.others(ctx)
	if err != nil {
		return ops.Done{}, err
	}
	if err := p.step.Save(ctx, toolCheckpoint{Began: time.Now().UTC()}); err != nil {
		return ops.Done{}, fmt.Errorf("recording that the tool begins: %w", err)
	}
	exit, runErr := p.run(ctx, built, properties)
	return p.report(ctx, exit, runErr, all)
}

// planned reads source and properties from the effect.
func (p *performance) planned() (toolrun.Source, map[string]string, error) {
	source, _ := p.step.Effect.After["source"].(string)
	commit, _ := p.step.Effect.After["commit"].(string)
	repository, ref, ok := strings.Cut(source, "@")
	if !ok || commit == "" {
		return toolrun.Source{}, nil, ops.Errorf(ops.Internal, "the plan of %s names no source and commit.", p.step.Effect.Label)
	}
	return toolrun.Source{Repository: repository, Ref: ref, Commit: commit}, stringsOf(p.step.Effect.After["properties"]), nil
}

// How often stacks that are being changed are looked at.
const stackLook = 15 * time.Second

// quiet returns once CloudFormation changes none of the tool's stacks: it would
// refuse the tool meanwhile.
func (p *performance) quiet(ctx context.Context) error {
	told := ""
	for {
		stacks, err := toolrun.Matching(ctx, p.x, p.own)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(stacks, func(s toolrun.Stack) bool { return s.Busy() && s.Status != "REVIEW_IN_PROGRESS" })
		if i < 0 {
			return nil
		}
		if now := stacks[i].Name + " " + stacks[i].Status; now != told {
			told = now
			p.step.Log("waiting: stack %s is %s", stacks[i].Name, stacks[i].Status)
		}
		if err := p.pause(ctx, stackLook); err != nil {
			return fmt.Errorf("waiting for stack %s: %w", stacks[i].Name, err)
		}
	}
}

// complete refuses a tool that does not have what would be run.
func (p *performance) complete(built *toolrun.Tool) error {
	if p.program.jar == "" {
		return nil
	}
	missing, err := built.Missing(p.program.jar, p.program.class)
	if err == nil && missing != "" {
		err = ops.Refuse("tool", "The source has moved it, or never had it: compare the source at that commit with this task.", "what was built has no %s in %s.", missing, p.program.jar)
	}
	return err
}

// others is how every stack of the account is before the tool begins, but ours.
func (p *performance) others(ctx context.Context) (map[string]string, error) {
	all, err := toolrun.Matching(ctx, p.x, []string{"*"})
	if err != nil {
		return nil, err
	}
	return states(all), nil
}

// run runs the tool's programs in order, as far as they end well.
func (p *performance) run(ctx context.Context, built *toolrun.Tool, properties map[string]string) (exit toolrun.Exit, err error) {
	home := filepath.Join(filepath.Dir(built.Dir), "home")
	var took time.Duration
	for _, argv := range p.program.argvs(properties) {
		p.step.Log("running %s", toolrun.ShowArgv(argv))
		exit, err = p.x.Run(ctx, toolrun.Program{Dir: built.Dir, Home: home, Argv: argv, Env: p.program.env, Credentials: true}, p.step.Log)
		took += exit.Took
		p.step.Log("%s %s after %v", argv[0], exit, exit.Took.Round(time.Second))
		if exit.Stray > 0 {
			p.step.Log("note: it left %d processes behind, which were killed", exit.Stray)
		}
		if exit.Left > 0 {
			p.step.Log("note: %d lines of what it printed are not in this log", exit.Left)
		}
		if err != nil || !exit.OK() {
			break
		}
	}
	exit.Took = took
	return exit, err
}

// report tells what the tool's end means. It still reads the stacks when the tool
// was told to end: a half-built stack must not be left unexplained.
func (p *performance) report(ctx context.Context, exit toolrun.Exit, runErr error, before map[string]string) (ops.Done, error) {
	reading, cancel := ctx, context.CancelFunc(func() {})
	if runErr != nil {
		reading, cancel = context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	}
	defer cancel()
	if runErr == nil {
		if err := p.quiet(reading); err != nil { // not every tool waits for what it begins
			return ops.Done{}, err
		}
	}
	touched, err := toolrun.Touched(reading, p.x, []string{"*"}, before)
	touched = slices.DeleteFunc(touched, func(t toolrun.Touch) bool { return strings.HasPrefix(t.Stack.Name, "synops-") })
	told := tell(touched)
	if err != nil {
		told = fmt.Sprintf("Which stacks changed could not be read: %v.", err)
	}
	p.step.Log("%s", told)
	switch {
	case runErr != nil:
		return ops.Done{}, fmt.Errorf("the tool was told to end and %s. %s: %w", exit, strings.TrimSuffix(told, "."), runErr)
	case !exit.OK():
		return ops.Done{}, p.failure(exit, told)
	case err != nil:
		return ops.Done{}, err
	}
	for _, t := range touched {
		if toolrun.Matches(t.Stack.Name, p.own) && broken(t.Stack.Status) {
			return ops.Done{}, &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("the tool says that all went well, but it did not. %s", told), Hint: "CloudFormation put the stack back. Mend what failed first and run it again."}
		}
	}
	after := maps.Clone(p.step.Effect.After)
	after["stacks"] = touchedStates(touched)
	return ops.Done{After: after, Message: fmt.Sprintf("ended well after %v. %s", exit.Took.Round(time.Second), told)}, nil
}

func (p *performance) failure(exit toolrun.Exit, told string) error {
	message := fmt.Sprintf("the tool %s after %v. %s", exit, exit.Took.Round(time.Second), told)
	if exit.Starved != nil {
		message += fmt.Sprintf(" It asked for credentials in vain: %v", exit.Starved)
	}
	return &ops.Error{Code: ops.Internal, Message: message, Hint: "The log has what it printed. Running it again goes on from what is there."}
}

// broken tells whether a stack's last change was put back or got stuck.
func broken(status string) bool {
	return strings.HasSuffix(status, "_FAILED") || strings.Contains(status, "ROLLBACK")
}
