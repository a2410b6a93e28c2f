package tasks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

type inputs = map[string]string

// A rig is one task with parsed values, bound to a sandbox over HTTP, and what
// its steps said.
type rig struct {
	*testing.T
	*recorder
	sandbox *sandbox.Synapse
	service tasks.Service
	task    *ops.Task
	p       ops.Procedure
	v       ops.Values
}

// newRig serves a sandbox and binds the task to it. Pauses take no time.
func newRig(t *testing.T, name ops.TaskName, raw inputs) *rig {
	t.Helper()
	return rigWith(t, sandbox.New(sandbox.Config{NoThrottle: true}), name, raw)
}

func rigWith(t *testing.T, s *sandbox.Synapse, name ops.TaskName, raw inputs) *rig {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client, err := adminapi.New(adminapi.Config{
		Host: server.URL, Pace: ops.Pace{Unlimited: true},
		Token: func(context.Context) (string, error) { return sandbox.AdminToken, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	p, err := tasks.BindPaced(name, client, func(ctx context.Context, _ time.Duration) error { return ctx.Err() })
	if err != nil {
		t.Fatal(err)
	}
	task, v := parsed(t, name, raw)
	return &rig{T: t, recorder: &recorder{artifacts: map[string]string{}}, sandbox: s, service: client, task: task, p: p, v: v}
}

// parsed returns the task and its values, which must parse.
func parsed(t *testing.T, name ops.TaskName, raw inputs) (*ops.Task, ops.Values) {
	t.Helper()
	task, err := tasks.Catalog().Task(name)
	if err != nil {
		t.Fatal(err)
	}
	v, err := task.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return task, v
}

// A recorder is where steps of a test speak to.
type recorder struct {
	logs      []string
	progress  []string
	saved     []string
	saveErr   error
	artifacts map[string]string
}

func (r *recorder) step(e ops.Effect, v ops.Values, checkpoint string) *ops.Step {
	s := &ops.Step{
		Effect: e, Values: v,
		Save: func(_ context.Context, c any) error {
			b, err := json.Marshal(c)
			if err == nil {
				r.saved, err = append(r.saved, string(b)), r.saveErr
			}
			return err
		},
		Progress: func(done, total int64, unit string) {
			r.progress = append(r.progress, fmt.Sprintf("%d/%d %s", done, total, unit))
		},
		Note: func(string) {},
		Log:  func(format string, args ...any) { r.logs = append(r.logs, fmt.Sprintf(format, args...)) },
		Artifact: func(_ context.Context, name string, data []byte) (string, error) {
			r.artifacts[name] = string(data)
			return "file:///run/artifacts/" + name, nil
		},
	}
	if checkpoint != "" {
		s.Checkpoint = json.RawMessage(checkpoint)
	}
	return s
}

// plan checks the values and plans every target.
func (r *rig) plan() ([]ops.Effect, error) {
	if r.p.Check != nil {
		if err := r.p.Check(r.v); err != nil {
			return nil, err
		}
	}
	var effects []ops.Effect
	for _, t := range r.p.Targets(r.v) {
		e, err := r.p.Plan(r.Context(), r.v, t)
		if err != nil {
			return nil, err
		}
		effects = append(effects, e)
	}
	return effects, nil
}

func (r *rig) mustPlan() []ops.Effect {
	r.Helper()
	effects, err := r.plan()
	if err != nil {
		r.Fatalf("plan: %v", err)
	}
	return effects
}

// one is the plan's only effect.
func (r *rig) one() ops.Effect {
	r.Helper()
	effects := r.mustPlan()
	if len(effects) != 1 {
		r.Fatalf("%d effects were planned, want one", len(effects))
	}
	return effects[0]
}

// refusedPlan is the refusal that planning ends in.
func (r *rig) refusedPlan() *ops.Refusal {
	r.Helper()
	before := r.writes()
	_, err := r.plan()
	if r.writes() != before {
		r.Error("a refused plan wrote")
	}
	return wantRefusal(r.T, err)
}

func wantRefusal(t *testing.T, err error) *ops.Refusal {
	t.Helper()
	refusal := ops.Refused(err)
	if refusal == nil {
		t.Fatalf("got %v, want a refusal", err)
	}
	if refusal.Guard == "" || refusal.Reason == "" || refusal.Remedy == "" {
		t.Errorf("refusal %+v lacks a guard, a reason or a remedy", refusal)
	}
	return refusal
}

func (r *rig) perform(e ops.Effect) (ops.Done, error) {
	return r.p.Perform(r.Context(), r.step(e, r.v, ""))
}

// done performs and verifies an effect, both of which must succeed, and returns it
// as an undo gets it.
func (r *rig) done(e ops.Effect) ops.Effect {
	r.Helper()
	d, err := r.perform(e)
	if err != nil {
		r.Fatalf("performing %s: %v", e.ID, err)
	}
	if d.After != nil {
		e.After = d.After
	}
	if r.p.Verify != nil {
		now, err := r.p.Verify(r.Context(), r.v, e)
		if err != nil {
			r.Fatalf("verifying %s: %v", e.ID, err)
		}
		e.After = now
	}
	return e
}

func (r *rig) undo(done ...ops.Effect) string { return r.p.Undo(r.v, "dev", done) }

// paths are the calls so far, "GET /repo/v1/version", without queries.
func (r *rig) paths() []string {
	var out []string
	for _, c := range r.sandbox.Calls() {
		u, err := url.Parse(c.Path)
		if err != nil {
			r.Fatal(err)
		}
		out = append(out, c.Method+" "+u.Path)
	}
	return out
}

func (r *rig) writes() int {
	n := 0
	for _, c := range r.sandbox.Calls() {
		if c.Method != "GET" {
			n++
		}
	}
	return n
}

func contains(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s is %q, which lacks %q", what, text, w)
		}
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}
