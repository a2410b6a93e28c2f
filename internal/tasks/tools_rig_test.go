package tasks_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
)

const standInCommit = "0123456789abcdef0123456789abcdef01234567"

// A toolbox is an account with stacks, and tools that only say what they were given.
type toolbox struct {
	t       testing.TB
	env     *ops.Environment
	stacks  []toolrun.Stack
	events  map[string][]toolrun.StackEvent
	last    *tasks.Earlier
	missing bool // what is built has no class
	asked   []toolrun.Source
	built   []toolrun.Recipe
	ran     []toolrun.Program
	deleted []string

	// What a run does to the account, and how it ends.
	does func(ctx context.Context, b *toolbox) (toolrun.Exit, error)
}

func newToolbox(t testing.TB, env ops.EnvironmentName) *toolbox {
	t.Helper()
	f, err := environments.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	e, err := f.Environment(env)
	if err != nil {
		t.Fatal(err)
	}
	return &toolbox{t: t, env: e}
}

func (b *toolbox) Constants(t *ops.Task) (ops.Values, error) { return t.ConstantsFor(b.env) }

func (b *toolbox) Commit(_ context.Context, src toolrun.Source) (string, error) {
	b.asked = append(b.asked, src)
	return standInCommit, toolrun.CheckSource(src)
}

func (b *toolbox) Provide(_ context.Context, src toolrun.Source, recipe toolrun.Recipe, _ toolrun.Say) (*toolrun.Tool, error) {
	if src.Commit != standInCommit {
		b.t.Errorf("asked for %+v", src)
	}
	b.built = append(b.built, recipe)
	tool := toolrun.At(filepath.Join(b.t.TempDir(), "tool"))
	if !b.missing {
		writeJar(b.t, tool.Dir)
	}
	return tool, nil
}

func (b *toolbox) Run(ctx context.Context, p toolrun.Program, say toolrun.Say) (toolrun.Exit, error) {
	b.ran = append(b.ran, p)
	say("| a line")
	if b.does == nil {
		return toolrun.Exit{Took: time.Second}, nil
	}
	return b.does(ctx, b)
}

func (b *toolbox) Last(context.Context, ops.TaskName, string) (*tasks.Earlier, error) {
	return b.last, nil
}

func (b *toolbox) All(context.Context) ([]toolrun.Stack, error) { return slices.Clone(b.stacks), nil }

func (b *toolbox) Stack(_ context.Context, nameOrID string) (*toolrun.Stack, error) {
	for _, s := range b.stacks {
		if s.Name == nameOrID || s.ID == nameOrID {
			return &s, nil
		}
	}
	return nil, nil
}

func (b *toolbox) Events(_ context.Context, id string, _ time.Time) ([]toolrun.StackEvent, error) {
	return b.events[id], nil
}

func (b *toolbox) Delete(_ context.Context, id, token string) error {
	b.deleted = append(b.deleted, id+" "+token)
	b.set(id, "DELETE_IN_PROGRESS")
	return nil
}

// set changes a stack, or makes it; "" has it gone.
func (b *toolbox) set(name, status string) {
	i := slices.IndexFunc(b.stacks, func(s toolrun.Stack) bool { return s.Name == name || s.ID == name })
	switch {
	case i >= 0 && status == "":
		b.stacks = slices.Delete(b.stacks, i, i+1)
	case i >= 0:
		b.stacks[i].Status, b.stacks[i].Changed = status, b.stacks[i].Changed.Add(time.Minute)
	case status != "":
		b.stacks = append(b.stacks, toolrun.Stack{Name: name, ID: "arn:" + name, Status: status, Changed: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), Parameters: map[string]string{}, Outputs: map[string]string{}})
	}
}

// A toolRig is one tool task bound to a toolbox.
type toolRig struct {
	*testing.T
	*recorder
	*toolbox
	task *ops.Task
	p    ops.Procedure
	v    ops.Values
	wait func() // called instead of each pause; may be nil
}

func newToolRig(t *testing.T, env ops.EnvironmentName, name ops.TaskName, raw inputs) *toolRig {
	t.Helper()
	r := &toolRig{T: t, recorder: &recorder{artifacts: map[string]string{}}, toolbox: newToolbox(t, env)}
	r.task, r.v = parsed(t, name, raw)
	var err error
	r.p, err = tasks.BindToolsPaced(name, r.toolbox, func(ctx context.Context, _ time.Duration) error {
		if r.wait != nil {
			r.wait()
		}
		return ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// examplesOf are the examples of the inputs that must be given.
func examplesOf(task *ops.Task) inputs {
	raw := inputs{}
	for _, in := range task.Inputs {
		if !in.Optional && in.Default == "" {
			raw[in.Name] = in.Example
		}
	}
	return raw
}

func (r *toolRig) plan() ([]ops.Effect, error) {
	if r.p.Check != nil {
		if err := r.p.Check(r.v); err != nil {
			return nil, err
		}
	}
	var out []ops.Effect
	for _, target := range r.p.Targets(r.v) {
		e, err := r.p.Plan(r.Context(), r.v, target)
		if err != nil {
			return nil, err
		}
		e.Target = target
		out = append(out, e)
	}
	return out, nil
}

func (r *toolRig) one() ops.Effect {
	r.Helper()
	effects, err := r.plan()
	if err != nil || len(effects) != 1 {
		r.Fatalf("planned %v, %v", effects, err)
	}
	return effects[0]
}

func (r *toolRig) perform(e ops.Effect) (ops.Done, error) {
	return r.p.Perform(r.Context(), r.step(e, r.v, ""))
}

// shown is how a tool's arguments are kept in golden files: a word a line, quoted.
func shown(programs []toolrun.Program) string {
	var b strings.Builder
	for i, p := range programs {
		if i > 0 {
			b.WriteString("\n")
		}
		for _, env := range p.Env {
			fmt.Fprintf(&b, "env %q\n", env)
		}
		for _, a := range p.Argv {
			fmt.Fprintf(&b, "%q\n", a)
		}
	}
	return b.String()
}
