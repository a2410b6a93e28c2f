package tasks

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
)

// Tools is what tasks ask that run tools from source repositories, or work on
// CloudFormation stacks. Constants works without an account; the rest asks it.
type Tools interface {
	// Constants are the task's constants in this environment.
	Constants(t *ops.Task) (ops.Values, error)
	Commit(ctx context.Context, src toolrun.Source) (string, error)
	Provide(ctx context.Context, src toolrun.Source, recipe toolrun.Recipe, say toolrun.Say) (*toolrun.Tool, error)
	Run(ctx context.Context, p toolrun.Program, say toolrun.Say) (toolrun.Exit, error)
	// Last is how the task last succeeded for a target here, nil when it did not.
	Last(ctx context.Context, task ops.TaskName, target string) (*Earlier, error)
	toolrun.Stacks
}

// An Earlier is what an earlier run made of a target.
type Earlier struct {
	Run   ops.RunID
	After ops.State
}

// A tool is a task that runs programs of a source repository. What each needs is
// data: one way leads through plan, build, run and report for all.
type tool struct {
	task *ops.Task
	// target is the ID of the run's one target.
	target func(v ops.Values) string
	// stacks are patterns of the names of the CloudFormation stacks it works on.
	stacks func(g given) []string
	// ref is what of the source is run, where the request does not say.
	ref     func(g given) string
	recipe  toolrun.Recipe
	program program
	// more may refuse, add to the plan, or take properties from the account.
	more func(ctx context.Context, x Tools, g given, e *ops.Effect, properties map[string]string) error
	// challenge is the answer to confirm with, "" for none.
	challenge func(g ops.Values, e ops.Effect) string
}

// A program is what of a tool is run, and with what.
type program struct {
	name       string // for people: its main class or script
	properties []property
	// argvs are the commands in order, for what the plan says of the properties.
	argvs func(properties map[string]string) [][]string
	env   []string
	// jar and class: what must be in the jar before anything is run; "" for no jar.
	jar, class string
}

// A property is one value that a program is given.
type property struct {
	name  string
	value func(g given) (value string, set bool)
}

// given is what was asked for, over the environment's constants.
type given struct{ values, constants ops.Values }

func (g given) text(name string) string {
	if g.values.Has(name) {
		return g.values.Text(name)
	}
	return g.constants.Text(name)
}

func (g given) has(name string) bool { return g.values.Has(name) || g.constants.Has(name) }

// fixed is a value that is the same everywhere.
func fixed(value string) func(given) (string, bool) {
	return func(given) (string, bool) { return value, true }
}

// from is what an input, or the constant of that name, says.
func from(name string) func(given) (string, bool) {
	return func(g given) (string, bool) { return g.text(name), g.has(name) }
}

func (t *tool) given(x Tools, v ops.Values) (given, error) {
	c, err := x.Constants(t.task)
	return given{v, c}, err
}

// procedure binds the tool; x is nil where only its pure functions are wanted.
func (t *tool) procedure(x Tools, pause pause) ops.Procedure {
	return ops.Procedure{
		Targets: func(v ops.Values) []ops.Target {
			id := t.target(v)
			return []ops.Target{{ID: id, Label: id, Value: id}}
		},
		Check: func(v ops.Values) error { return t.check(v) },
		Plan: func(ctx context.Context, v ops.Values, target ops.Target) (ops.Effect, error) {
			return t.plan(ctx, x, v, target)
		},
		Notes:     func(_ ops.Values, effects []ops.Effect) []string { return toolNotes(effects) },
		Challenge: t.challenges(),
		Perform: func(ctx context.Context, s *ops.Step) (ops.Done, error) {
			p := &performance{tool: t, x: x, pause: pause, step: s}
			return p.perform(ctx)
		},
		Settle: func(ctx context.Context, v ops.Values, e ops.Effect) (ops.Done, bool, error) {
			return t.settle(ctx, x, v, e)
		},
		Undo: irreversible("stacks are built forward. To go back, run it again with the earlier values: synops show of the earlier run names them."),
	}
}

func (t *tool) challenges() func(ops.Values, []ops.Effect, int) string {
	if t.challenge == nil {
		return nil
	}
	return func(v ops.Values, effects []ops.Effect, _ int) string { return t.challenge(v, effects[0]) }
}

// check refuses a source that cannot be one, before anything is asked.
func (t *tool) check(v ops.Values) error {
	src := toolrun.Source{Repository: "owner/name", Ref: "main"}
	input := ""
	if v.Has("source-owner") {
		src.Repository, input = v.Text("source-owner")+"/name", "source-owner"
	}
	if v.Has("source-ref") {
		src.Ref, input = v.Text("source-ref"), "source-ref"
	}
	if err := toolrun.CheckSource(src); err != nil {
		return &ops.InputErrors{Task: t.task.Name, Errors: []ops.InputError{{Input: input, Value: ops.Quote(v.Text(input)), Reason: err.Error()}}}
	}
	return nil
}

// source is what the tool is fetched from.
func (t *tool) source(g given) toolrun.Source {
	repository := g.text("source-repository")
	if owner := g.values.Text("source-owner"); owner != "" {
		_, name, _ := strings.Cut(repository, "/")
		repository = owner + "/" + name
	}
	ref := g.values.Text("source-ref")
	if ref == "" {
		ref = t.ref(g)
	}
	return toolrun.Source{Repository: repository, Ref: ref}
}

// properties are what the program is given, by name.
func (t *tool) properties(g given) map[string]string {
	out := map[string]string{}
	for _, p := range t.program.properties {
		if value, set := p.value(g); set {
			out[p.name] = value
		}
	}
	return out
}

// plan resolves the source, works out the properties and reads the stacks.
func (t *tool) plan(ctx context.Context, x Tools, v ops.Values, target ops.Target) (ops.Effect, error) {
	g, err := t.given(x, v)
	if err != nil {
		return ops.Effect{}, err
	}
	src := t.source(g)
	if src.Commit, err = x.Commit(ctx, src); err != nil {
		return ops.Effect{}, err
	}
	stacks, err := toolrun.Matching(ctx, x, t.stacks(g))
	if err != nil {
		return ops.Effect{}, err
	}
	properties := t.properties(g)
	e := ops.Effect{Target: target, Settle: ops.SettleRead, Before: ops.State{"stacks": states(stacks)}}
	if t.more != nil {
		if err := t.more(ctx, x, g, &e, properties); err != nil {
			return ops.Effect{}, err
		}
	}
	if e.After == nil {
		e.After = ops.State{}
	}
	e.After["source"], e.After["commit"], e.After["program"], e.After["properties"] = src.Repository+"@"+src.Ref, src.Commit, t.program.name, properties
	e.Summary = fmt.Sprintf("runs %s of %s at %s (%s)", t.program.name, src.Repository, src.Commit[:12], src.Ref)
	return e, t.compare(ctx, x, &e, properties)
}

// states are the stacks as plans keep them, by name.
func states(stacks []toolrun.Stack) map[string]string {
	out := map[string]string{}
	for i := range stacks {
		out[stacks[i].Name] = stacks[i].State()
	}
	return out
}

// compare adds what differs from the last run that succeeded.
func (t *tool) compare(ctx context.Context, x Tools, e *ops.Effect, properties map[string]string) error {
	last, err := x.Last(ctx, t.task.Name, e.ID)
	if err != nil {
		return fmt.Errorf("looking for the last run of %s: %w", t.task.Name, err)
	}
	if last == nil {
		return nil
	}
	e.Before["last_run"] = string(last.Run)
	was, now := stringsOf(last.After["properties"]), maps.Clone(properties)
	was["(commit)"], now["(commit)"] = fmt.Sprint(last.After["commit"]), fmt.Sprint(e.After["commit"])
	names := slices.Sorted(maps.Keys(was))
	for name := range now {
		if _, ok := was[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	differs := []string{}
	for _, name := range names {
		a, had := was[name]
		b, has := now[name]
		switch {
		case !had:
			differs = append(differs, fmt.Sprintf("%s: not set → %s", name, ops.Quote(b)))
		case !has:
			differs = append(differs, fmt.Sprintf("%s: %s → not set", name, ops.Quote(a)))
		case a != b:
			differs = append(differs, fmt.Sprintf("%s: %s → %s", name, ops.Quote(a), ops.Quote(b)))
		}
	}
	e.Before["differs"] = differs
	return nil
}

// stringsOf reads a map back that a document has kept.
func stringsOf(v any) map[string]string {
	out := map[string]string{}
	switch m := v.(type) {
	case map[string]string:
		maps.Copy(out, m)
	case map[string]any:
		for name, value := range m {
			out[name] = fmt.Sprint(value)
		}
	}
	return out
}

// toolNotes says what of a plan's state a reader must see: properties, what differs
// from last time, and how the stacks are.
func toolNotes(effects []ops.Effect) []string {
	var out []string
	for _, e := range effects {
		properties := stringsOf(e.After["properties"])
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			out = append(out, fmt.Sprintf("property %s=%s.", name, ops.Quote(properties[name])))
		}
		out = append(out, lastNotes(e)...)
		stacks := stringsOf(e.Before["stacks"])
		for _, name := range slices.Sorted(maps.Keys(stacks)) {
			out = append(out, fmt.Sprintf("stack %s: %s.", ops.Clip(name), stacks[name]))
		}
		if len(stacks) == 0 {
			out = append(out, "stacks: none of those concerned is there.")
		}
	}
	return out
}

func lastNotes(e ops.Effect) []string {
	last, _ := e.Before["last_run"].(string)
	differs, _ := e.Before["differs"].([]string)
	switch {
	case last == "":
		return []string{"last run: none that succeeded was found."}
	case len(differs) == 0:
		return []string{"last run: " + last + " was given the same."}
	}
	out := []string{"last run: " + last + "; since then:"}
	for _, d := range differs {
		out = append(out, "differs "+d+".")
	}
	out[0] = strings.TrimSuffix(out[0], ":") + "."
	return out
}

// settle tells, by the stacks alone, what became of a run of the tool that nobody
// saw end. Where none changed, nothing happened. Where one did, the tool was at
// work: that is a failure to explain, and running it again comes to the same end.
func (t *tool) settle(ctx context.Context, x Tools, v ops.Values, e ops.Effect) (ops.Done, bool, error) {
	g, err := t.given(x, v)
	if err != nil {
		return ops.Done{}, false, err
	}
	touched, err := toolrun.Touched(ctx, x, t.stacks(g), stringsOf(e.Before["stacks"]))
	if err != nil || len(touched) == 0 {
		return ops.Done{}, false, err
	}
	return ops.Done{Outcome: ops.EffectFailed, After: ops.State{"stacks": touchedStates(touched)},
		Message: "the tool was stopped before its end. " + tell(touched) + " CloudFormation finishes what it has begun; running the task again goes on from there."}, true, nil
}

func touchedStates(touched []toolrun.Touch) map[string]string {
	out := map[string]string{}
	for _, t := range touched {
		out[t.Stack.Name] = "gone"
		if !t.Gone {
			out[t.Stack.Name] = t.Stack.State()
		}
	}
	return out
}

// tell is a sentence for each stack that was touched.
func tell(touched []toolrun.Touch) string {
	if len(touched) == 0 {
		return "No stack changed."
	}
	parts := make([]string, len(touched))
	for i := range touched {
		parts[i] = "Stack " + strings.TrimSuffix(touched[i].String(), ".") + "."
	}
	return strings.Join(parts, " ")
}

// toolLimit is how long a tool may take: less than a build of its lane has.
const toolLimit = 7 * time.Hour
