package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
)

var deleteStackTask = ops.Task{
	Name: "delete-stack", Version: 1,
	Title:   "Delete CloudFormation stacks",
	Summary: "Deletes stacks of instances that are no longer used.",
	Details: "Stacks are deleted in the order given: name those of an instance that use others' resources first. A stack that is protected against being deleted, nested in another, or not an instance's is refused. " +
		"The run waits for each stack's end; where a deletion fails it says which resource kept it.",
	Undo: "Cannot be undone: what was in the stack is gone. Build it again from its release.",
	Inputs: []ops.Input{{
		Name: "stacks", Kind: ops.KindText, List: true, Pattern: "[A-Za-z][A-Za-z0-9-]{0,127}", Rule: "A stack's name is letters, digits and hyphens.", Example: "repo-543-0",
		Help: "The stacks' names, in the order to delete them.",
	}},
	Constants: []ops.Input{{
		Name: "deletable-stacks", Kind: ops.KindText, Pattern: `[A-Za-z0-9*?-]+(,[A-Za-z0-9*?-]+)*`, Rule: "It is patterns of names with * and ?, separated by commas.", Example: "repo-543-*,portal-543-*",
		Help: "Patterns of the names of the stacks that may be deleted.",
	}},
	Environments: []ops.EnvironmentName{"dev", "prod"},
	Class:        ops.Destroys, Lane: ops.LaneDeploy, NoService: true, Exempt: true,
	TargetsInput: "stacks", Noun: "stack", Plural: "stacks", MaxTargets: 10,
	Deciding: []string{"id", "present"}, Lease: "delete-stack", TimeLimit: toolLimit,
}

func deleteStack(x Tools, pause pause) ops.Procedure {
	d := &stackDeletion{x, pause}
	return ops.Procedure{
		Targets:   listed("stacks", "cloudformation-stack"),
		Plan:      d.plan,
		Challenge: named(&deleteStackTask, "name"),
		Perform:   d.perform,
		Settle:    d.settle,
		Undo:      irreversible("what was in the stacks is gone. Build an instance again from its release with build-stack."),
	}
}

type stackDeletion struct {
	x     Tools
	pause pause
}

func (d *stackDeletion) plan(ctx context.Context, _ ops.Values, t ops.Target) (ops.Effect, error) {
	c, err := d.x.Constants(&deleteStackTask)
	if err != nil {
		return ops.Effect{}, err
	}
	s, err := d.x.Stack(ctx, t.Value)
	if err != nil {
		return ops.Effect{}, err
	}
	e := ops.Effect{Target: t, Settle: ops.SettleRead, After: ops.State{"present": false}}
	if s == nil {
		e.Before, e.Nothing, e.Summary = ops.State{"name": t.Value, "present": false}, true, "is not there"
		return e, nil
	}
	if err := mayDelete(s, strings.Split(c.Text("deletable-stacks"), ",")); err != nil {
		return ops.Effect{}, err
	}
	e.Before = ops.State{"name": s.Name, "id": s.ID, "present": true, "state": s.State()}
	e.Summary = fmt.Sprintf("deletes it; it is %s", s.State())
	return e, nil
}

// mayDelete refuses what is protected, nested, being changed, or not an instance's.
func mayDelete(s *toolrun.Stack, patterns []string) error {
	switch {
	case strings.HasPrefix(s.Name, "synops-") || !toolrun.Matches(s.Name, patterns):
		return ops.Refuse("foreign-stack", "Delete it from where it is kept. What may be deleted here is a constant of the environment.", "stack %s is none of %v.", s.Name, patterns)
	case s.Protected:
		return ops.Refuse("protected-stack", "If it must go, take its termination protection off first, by hand.", "stack %s is protected against being deleted.", s.Name)
	case s.Parent != "":
		return ops.Refuse("nested-stack", "Delete the stack that it belongs to.", "stack %s is nested in %s.", s.Name, ops.Quote(s.Parent))
	case s.Busy():
		return ops.Refuse("busy-stack", "Wait until CloudFormation is done with it.", "stack %s is %s.", s.Name, s.Status)
	}
	return nil
}

// deletionCheckpoint is what a later attempt needs to go on waiting.
type deletionCheckpoint struct {
	Asked time.Time `json:"asked"`
}

func (d *stackDeletion) perform(ctx context.Context, step *ops.Step) (ops.Done, error) {
	id, _ := step.Effect.Before["id"].(string)
	if id == "" {
		return ops.Done{}, ops.Errorf(ops.Internal, "the plan of %s does not say which stack is meant.", step.Effect.Label)
	}
	if step.Checkpoint == nil || !json.Valid(step.Checkpoint) {
		// The same token for the same stack: asked twice, it is deleted once.
		if err := d.x.Delete(ctx, id, "synops-"+ops.DigestOf([]byte(id)).Hex()[:32]); err != nil {
			return ops.Done{}, err
		}
		if err := step.Save(ctx, deletionCheckpoint{time.Now().UTC()}); err != nil {
			return ops.Done{}, fmt.Errorf("recording that %s is being deleted: %w", step.Effect.Label, err)
		}
	}
	for told := ""; ; {
		s, err := d.x.Stack(ctx, id)
		switch {
		case err != nil && ops.CodeOf(err) != ops.Unavailable:
			return ops.Done{}, err
		case err != nil:
			step.Log("%v; looking again", err)
		case gone(s):
			return ops.Done{After: ops.State{"present": false}, Message: "deleted"}, nil
		case !s.Busy():
			return ops.Done{}, d.explain(ctx, s)
		case s.Status != told:
			told = s.Status
			step.Log("stack %s is %s", s.Name, s.Status)
		}
		if err := d.pause(ctx, stackLook); err != nil {
			return ops.Done{}, fmt.Errorf("waiting for %s: %w", step.Effect.Label, err)
		}
	}
}

func gone(s *toolrun.Stack) bool { return s == nil || s.Status == "DELETE_COMPLETE" }

// explain says which resource kept a stack from being deleted.
func (d *stackDeletion) explain(ctx context.Context, s *toolrun.Stack) error {
	first, err := toolrun.FirstFailure(ctx, d.x, *s)
	if err != nil {
		return err
	}
	why := ops.Quote(s.Reason)
	if first != nil {
		why = "first to fail: " + first.String()
	}
	return &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("stack %s was not deleted: it is %s; %s.", s.Name, s.Status, why),
		Hint: "Put right what kept it, such as a bucket that is not empty or an export in use, then run it again."}
}

// settle asks the account: a stack that is gone was deleted.
func (d *stackDeletion) settle(ctx context.Context, _ ops.Values, e ops.Effect) (ops.Done, bool, error) {
	id, _ := e.Before["id"].(string)
	s, err := d.x.Stack(ctx, id)
	switch {
	case err != nil:
		return ops.Done{}, false, err
	case gone(s):
		return ops.Done{After: ops.State{"present": false}, Message: "deleted"}, true, nil
	case s.Status == "DELETE_IN_PROGRESS":
		return ops.Done{}, false, ops.Errorf(ops.Unavailable, "CloudFormation is still deleting stack %s", s.Name)
	}
	return ops.Done{}, false, nil
}
