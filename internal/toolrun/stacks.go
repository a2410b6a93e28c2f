package toolrun

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A Stack is one CloudFormation stack as the account tells it.
type Stack struct {
	Name, ID, Status, Reason string
	Changed                  time.Time // when it was created or last updated
	Protected                bool      // against being deleted
	Parent                   string    // the stack that it is nested in; "" for none
	Parameters, Outputs      map[string]string
}

// State is status and time of the last change, in the form that plans keep.
func (s *Stack) State() string {
	return s.Status + " since " + s.Changed.UTC().Format("2006-01-02T15:04:05.000Z")
}

// Busy tells whether CloudFormation is changing the stack.
func (s *Stack) Busy() bool { return strings.HasSuffix(s.Status, "_IN_PROGRESS") }

// A StackEvent is what became of one resource.
type StackEvent struct {
	At                            time.Time
	Resource, Type, State, Reason string
}

// Failed tells whether the event is one, and not the echo of another's.
func (e *StackEvent) Failed() bool {
	return strings.HasSuffix(e.State, "_FAILED") && !strings.Contains(strings.ToLower(e.Reason), "cancel")
}

func (e *StackEvent) String() string {
	return fmt.Sprintf("%s (%s) %s: %s", ops.Clip(e.Resource), ops.Clip(e.Type), ops.Clip(e.State), ops.Quote(e.Reason))
}

// Stacks is what is asked of CloudFormation. Safe for concurrent use.
type Stacks interface {
	// All lists every stack that is not deleted: name, ID, status, the time of its last
	// change and its parent.
	All(ctx context.Context) ([]Stack, error)
	// Stack returns one by name or ID, nil when there is none. One that was deleted is
	// found by its ID.
	Stack(ctx context.Context, nameOrID string) (*Stack, error)
	// Events lists a stack's events from since on, oldest first.
	Events(ctx context.Context, id string, since time.Time) ([]StackEvent, error)
	// Delete begins to delete a stack. Asked again with the same token it does so once.
	Delete(ctx context.Context, id, token string) error
}

// Matching lists the stacks whose names match one of the patterns (path.Match),
// sorted by name.
func Matching(ctx context.Context, s Stacks, patterns []string) ([]Stack, error) {
	all, err := s.All(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the account's stacks: %w", err)
	}
	all = slices.DeleteFunc(all, func(st Stack) bool { return !Matches(st.Name, patterns) })
	slices.SortFunc(all, func(a, b Stack) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Matches tells whether a stack's name matches one of the patterns.
func Matches(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, name); return ok })
}

// A Touch is a stack that changed while a tool ran, and the first event of that
// change that failed.
type Touch struct {
	Stack Stack
	Gone  bool
	First *StackEvent
}

func (t *Touch) String() string {
	if t.Gone {
		return t.Stack.Name + " is gone"
	}
	s := t.Stack.Name + " is " + t.Stack.Status
	if t.First != nil {
		s += "; first to fail: " + t.First.String()
	}
	return s
}

// Touched compares the stacks that match with what they were before, name to
// State, and lists those that changed.
func Touched(ctx context.Context, s Stacks, patterns []string, before map[string]string) ([]Touch, error) {
	now, err := Matching(ctx, s, patterns)
	if err != nil {
		return nil, err
	}
	var out []Touch
	there := map[string]bool{}
	for _, st := range now {
		there[st.Name] = true
		if before[st.Name] == st.State() {
			continue
		}
		t := Touch{Stack: st}
		if t.First, err = FirstFailure(ctx, s, st); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	for name := range before {
		if !there[name] {
			out = append(out, Touch{Stack: Stack{Name: name}, Gone: true})
		}
	}
	slices.SortFunc(out, func(a, b Touch) int { return strings.Compare(a.Stack.Name, b.Stack.Name) })
	return out, nil
}

// FirstFailure is the first event of the stack's last change that failed, nil for
// none: what failed later mostly failed because of it.
func FirstFailure(ctx context.Context, s Stacks, st Stack) (*StackEvent, error) {
	events, err := s.Events(ctx, st.ID, st.Changed)
	if err != nil {
		return nil, fmt.Errorf("reading the events of stack %s: %w", st.Name, err)
	}
	for i := range events {
		if events[i].Failed() {
			return &events[i], nil
		}
	}
	return nil, nil
}
