package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A fault is what goes wrong with one call that switches a lamp on.
type fault string

const (
	none       fault = ""
	lostAfter  fault = "switched, and the answer is lost"
	lostBefore fault = "not switched, and the answer is lost"
	fails      fault = "an error, not switched"
	refuses    fault = "found otherwise than planned"
	hangsAfter fault = "switched, then no answer until the caller gives up"
	hangs      fault = "no answer until the caller gives up"
	brokenLamp fault = "answers well, and the lamp stays off"
)

// A world is the service that the tests' task changes: lamps that are switched on.
type world struct {
	mu      sync.Mutex
	on      map[string]bool
	sent    map[string]int // calls that switch, by lamp
	reads   int
	inHand  int
	most    int // in hand at once
	dead    bool
	latency time.Duration
	uneven  bool // every call takes another multiple of latency

	faults   map[string][]fault                  // by lamp, one for each call
	reading  func(lamp string) error             // of plan, settle and verify; nil: they work
	onCall   func(lamp string)                   // when a call begins
	onAnswer func(lamp string)                   // when a call has had its effect
	retries  bool                                // the client sends a lost call again where it has leave to
	settle   func(lamp string) ops.Settling      // nil: read
	private  bool                                // effects have a personal before-image
	aside    string                              // what else is personal of a lamp, in its image alone
	perform  func(s *ops.Step) (ops.Done, error) // in place of switching; may be nil
}

func newWorld() *world {
	return &world{on: map[string]bool{}, sent: map[string]int{}, faults: map[string][]fault{}}
}

var errDead = errors.New("the process is gone")

// read tells whether a lamp is on.
func (w *world) read(ctx context.Context, lamp string) (bool, error) {
	w.mu.Lock()
	reading, dead, on := w.reading, w.dead, w.on[lamp]
	w.reads++
	w.mu.Unlock()
	switch {
	case dead:
		return false, errDead
	case ctx.Err() != nil:
		return false, ctx.Err()
	case reading != nil:
		if err := reading(lamp); err != nil {
			return false, err
		}
	}
	return on, nil
}

func (w *world) enter(lamp string) (f fault, dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return none, true
	}
	if left := w.faults[lamp]; len(left) > 0 {
		f, w.faults[lamp] = left[0], left[1:]
	}
	w.sent[lamp]++
	w.inHand++
	w.most = max(w.most, w.inHand)
	return f, false
}

func (w *world) leave(lamp string, switched bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inHand--
	if switched {
		w.on[lamp] = true
	}
}

// call switches a lamp on.
func (w *world) call(ctx context.Context, lamp string) error {
	f, dead := w.enter(lamp)
	if dead {
		return errDead
	}
	if w.onCall != nil {
		w.onCall(lamp)
	}
	if w.latency > 0 {
		<-time.After(w.takes(lamp))
	}
	w.leave(lamp, f == none || f == lostAfter || f == hangsAfter)
	if w.onAnswer != nil {
		w.onAnswer(lamp)
	}
	if w.retries && (f == lostAfter || f == lostBefore) && ops.Leave(ctx) == nil {
		return w.call(ctx, lamp)
	}
	switch f {
	case lostAfter, lostBefore:
		return &ops.Error{Code: ops.Unsettled, Message: fmt.Sprintf("no answer about %s.", lamp), Hint: "It may have been switched."}
	case fails:
		return ops.Errorf(ops.Denied, "%s is locked.", lamp)
	case refuses:
		return &ops.Refusal{Guard: "lamp", Code: ops.Conflict, Reason: lamp + " is another one.", Remedy: "Look."}
	case hangs, hangsAfter:
		<-ctx.Done()
		return fmt.Errorf("waiting for %s: %w", lamp, ctx.Err())
	}
	return nil
}

// takes is how long a call about lamp takes.
func (w *world) takes(lamp string) time.Duration {
	if !w.uneven {
		return w.latency
	}
	var i int
	_, _ = fmt.Sscanf(lamp, "l%d", &i)
	return time.Duration(1+i*7%13) * w.latency
}

func (w *world) isOn(lamp string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.on[lamp]
}

func (w *world) calls(lamp string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent[lamp]
}

func (w *world) allCalls() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, c := range w.sent {
		n += c
	}
	return n
}

func (w *world) kill(dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = dead
}

// task is what the tests run; mutate changes a copy.
func lampTask() ops.Task {
	return ops.Task{
		Name: "light-lamps", Version: 3, Title: "Light lamps", Class: ops.Changes, Lane: ops.LaneAdmin,
		Inputs:       []ops.Input{{Name: "lamps", Kind: ops.KindText, List: true, Most: 4 << 20}, {Name: "room", Kind: ops.KindText, Optional: true}},
		TargetsInput: "lamps", Noun: "lamp", Plural: "lamps", Deciding: []string{"on", "owner"}, TimeLimit: time.Hour, MaxTargets: 1000,
	}
}

func lampTargets(v ops.Values) []ops.Target {
	var out []ops.Target
	for _, lamp := range v.List("lamps") {
		out = append(out, ops.Target{ID: "lamp/" + lamp, Label: "lamp/" + lamp, Value: lamp})
	}
	return out
}

// owner is personal.
func owner(lamp string) string { return "Ada-" + lamp + "@example.org" }

func (w *world) procedure() ops.Procedure {
	state := func(lamp string, on bool) ops.State { return ops.State{"on": on, "owner": owner(lamp)} }
	return ops.Procedure{
		Targets: lampTargets,
		Plan: func(ctx context.Context, _ ops.Values, t ops.Target) (ops.Effect, error) {
			on, err := w.read(ctx, t.Value)
			e := ops.Effect{Summary: fmt.Sprintf("on: %t → true", on), Before: state(t.Value, on), After: state(t.Value, true), Settle: ops.SettleRead, Nothing: on}
			if w.settle != nil {
				e.Settle = w.settle(t.Value)
			}
			if w.private {
				e.Private = []byte(`{"owner":"` + owner(t.Value) + `","aside":"` + w.aside + `"}`)
			}
			return e, err
		},
		Perform: func(ctx context.Context, s *ops.Step) (ops.Done, error) {
			if w.perform != nil {
				return w.perform(s)
			}
			return ops.Done{}, w.call(ctx, s.Effect.Value)
		},
		Settle: func(ctx context.Context, _ ops.Values, e ops.Effect) (ops.Done, bool, error) {
			on, err := w.read(ctx, e.Value)
			return ops.Done{After: state(e.Value, on)}, on, err
		},
		Verify: func(ctx context.Context, _ ops.Values, e ops.Effect) (ops.State, error) {
			on, err := w.read(ctx, e.Value)
			if err == nil && !on {
				return state(e.Value, on), &ops.Refusal{Guard: "verification", Reason: "on is false, not true."}
			}
			return state(e.Value, on), err
		},
		Undo: func(v ops.Values, env ops.EnvironmentName, done []ops.Effect) string {
			var list []string
			for _, e := range done {
				list = append(list, e.Value)
			}
			return ops.Command("douse-lamps", env, [2]string{"lamps", strings.Join(list, ",")})
		},
	}
}

// lamps names n lamps in the order of a run.
func lamps(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("l%05d", i+1)
	}
	return out
}
