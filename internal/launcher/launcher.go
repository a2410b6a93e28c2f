// Package launcher is the seat of whoever asks for a run: it claims, writes the
// request and the start, has an engine begin the attempt, follows it, cancels it
// and resumes it. It may die at any moment: everything it decided is a document,
// and whoever asks again with the same claim goes on from there.
//
// What is not here: guards that matter. What a launcher checks is courtesy; the
// worker asks for real.
package launcher

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Documents is what a launcher reads and writes; internal/store fulfills it.
type Documents interface {
	CreateRequest(ctx context.Context, req *ops.Request) (ops.Digest, error)
	Claim(ctx context.Context, key string, c ops.Claim) (ops.Claim, bool, error)
	FindClaim(ctx context.Context, lane ops.Lane, key string) (*ops.Claim, error)
	CreateStart(ctx context.Context, s ops.Start) error
	CreateExecution(ctx context.Context, ref ops.RunRef, n int, e ops.Execution) error
	Execution(ctx context.Context, ref ops.RunRef, n int) (*ops.Execution, error)
	Attempts(ctx context.Context, ref ops.RunRef) ([]ops.Attempt, error)
	Starts(ctx context.Context, ref ops.RunRef) ([]ops.Start, error)
	Result(ctx context.Context, ref ops.RunRef, n int) (*ops.Result, error)
	Heartbeat(ctx context.Context, ref ops.RunRef) (*ops.Heartbeat, time.Duration, error)
	CancelMarker(ctx context.Context, ref ops.RunRef) (*ops.CancelMarker, error)
	CreateCancel(ctx context.Context, ref ops.RunRef, m ops.CancelMarker) (bool, error)
	Status(ctx context.Context, ref ops.RunRef) (*ops.RunStatus, error)
	HeldBy(ctx context.Context, env ops.EnvironmentName, name string) (*ops.Lease, error)
}

// Launcher starts and follows runs. Safe for concurrent use.
type Launcher struct {
	Documents Documents
	Engine    ops.Engine
	// Bundle is what starts are pinned to, and with them all later attempts of their
	// runs; "" where nothing is pinned.
	Bundle    string
	Hold      *Hold // before a run's start and a resume's; nil: starts are not held back
	Scheduled bool  // runs are named as those that a schedule started
}

// Answers is what the person who starts an attempt decided.
type Answers struct {
	By         string
	PlanDigest ops.Digest // "": not bound to a plan
	Approved   *ops.Plan  // the plan that PlanDigest names, if at hand
	Confirm    string     // the answer to the challenge; "": none
	Settle     map[string]bool
}

func (l *Launcher) start(a Answers, kind ops.StartKind, n int, ref ops.RunRef, request ops.Digest) ops.Start {
	s := ops.Start{N: n, Kind: kind, Run: ref.Run, Lane: ref.Lane, Request: request, By: a.By, At: now(),
		PlanDigest: a.PlanDigest, Approved: a.Approved, Bundle: l.Bundle, Settle: a.Settle}
	if a.Confirm != "" {
		s.Confirm = ops.ConfirmDigest(a.Confirm)
	}
	return s
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// Launch starts the run that req asks for, once per claim key: asked again with
// the same key it attaches to the run it started (attached is true), and starts
// what a launcher that died in between left unstarted. The same key with another
// request is refused.
func (l *Launcher) Launch(ctx context.Context, key string, req *ops.Request, answers Answers) (ref ops.RunRef, attached bool, err error) {
	ref, digest, created, err := l.claim(ctx, key, req)
	if err != nil {
		return ref, false, err
	}
	if err := l.holdFirst(ctx, ref, created); err != nil {
		return ref, !created, err
	}
	start := l.start(answers, ops.StartRun, 1, ref, digest)
	err = l.Documents.CreateStart(ctx, start)
	switch {
	case err == nil:
		err = l.beginNow(ctx, start) // nobody can have before
	case ops.CodeOf(err) == ops.Conflict:
		_, err = l.begin(ctx, ref)
	default:
		err = fmt.Errorf("writing the start: %w", err)
	}
	return ref, !created, err
}

// claim writes the request and ties the key to one run of it for ever.
func (l *Launcher) claim(ctx context.Context, key string, req *ops.Request) (ref ops.RunRef, digest ops.Digest, created bool, err error) {
	if digest, err = l.Documents.CreateRequest(ctx, req); err != nil {
		return ref, digest, false, fmt.Errorf("writing the request: %w", err)
	}
	name := ops.NewRunID
	if l.Scheduled {
		name = ops.NewScheduledRunID
	}
	mine := ops.Claim{Run: name(req.Task, time.Now(), Tail()), Lane: req.Lane, Request: digest}
	claim, created, err := l.Documents.Claim(ctx, key, mine)
	if err != nil {
		return ref, digest, false, fmt.Errorf("claiming the run: %w", err)
	}
	ref = ops.RunRef{Lane: claim.Lane, Run: claim.Run}
	if claim.Request != digest {
		err = &ops.Refusal{Guard: "claim", Code: ops.Conflict,
			Reason: fmt.Sprintf("this job already asked for something else: %s.", claim.Run), Remedy: "Start a new workflow run for another request."}
	}
	return ref, digest, created, err
}

// holdFirst holds back a run's first start. One that was written before has done
// its waiting, or did not have to. What was canceled since it was claimed is not
// started.
func (l *Launcher) holdFirst(ctx context.Context, ref ops.RunRef, created bool) error {
	if !created {
		starts, err := l.Documents.Starts(ctx, ref)
		if err != nil {
			return fmt.Errorf("reading the starts: %w", err)
		}
		if len(starts) > 0 {
			return nil
		}
	}
	waited, err := l.await(ctx, ref.Run)
	if err != nil || created && !waited {
		return err
	}
	m, err := l.Documents.CancelMarker(ctx, ref)
	if err != nil {
		return fmt.Errorf("asking whether the run is canceled: %w", err)
	}
	if m != nil {
		return &ops.Refusal{Guard: "cancel", Code: ops.Canceled,
			Reason: fmt.Sprintf("%s was canceled by %s before it was started.", ref.Run, ops.Clip(m.By)), Remedy: "Start a new run."}
	}
	return nil
}

// Tail returns the chance in a run's name.
func Tail() string {
	b := make([]byte, 3)
	_, _ = rand.Read(b) // never fails; see crypto/rand
	return hex.EncodeToString(b)
}

// begin has the engine begin the newest start, unless a worker is that attempt
// already or is on its way. Beginning twice is harmless: one worker only can be
// the attempt. began is false when there was nothing to begin, or an attempt
// before it turns out to be at work.
func (l *Launcher) begin(ctx context.Context, ref ops.RunRef) (began bool, err error) {
	v, err := l.Look(ctx, ref)
	if err != nil {
		return false, err
	}
	start := *v.newest()
	if v.State() != ops.StateQueued || v.Live != ops.Gone {
		return false, nil
	}
	if v.Cancel != nil && start.Kind != ops.StartSettle {
		return false, nil // no start passes a cancel marker; settle writes its end
	}
	if alive, err := l.earlier(ctx, v); alive || err != nil {
		return false, err
	}
	if err := l.beginNow(ctx, start); err != nil {
		return false, err
	}
	return true, nil
}

// beginNow has the engine begin an attempt and records what it began.
func (l *Launcher) beginNow(ctx context.Context, start ops.Start) error {
	exec, err := l.Engine.Start(ctx, start)
	if err != nil {
		return fmt.Errorf("starting attempt %d of %s: %w", start.N, start.Run, err)
	}
	ref := ops.RunRef{Lane: start.Lane, Run: start.Run}
	if err := l.Documents.CreateExecution(ctx, ref, start.N, exec); err != nil && ops.CodeOf(err) != ops.Conflict {
		return fmt.Errorf("recording the execution: %w", err)
	}
	return nil
}

// earlier tells whether the attempt before the newest start may still act. It was
// looked for before the start was written; but a worker that nobody knew of, since
// its launcher died before it could write the execution, may have claimed its
// attempt in between. Only a planned hand-over begins beside the one before; and
// one that wrote its result acts no more, although its process may still be there.
func (l *Launcher) earlier(ctx context.Context, v *View) (bool, error) {
	a := v.Attempt()
	if a == nil || v.newest().Kind == ops.StartHandOver || v.Result != nil && v.Result.Attempt >= a.N {
		return false, nil
	}
	exec, err := l.Documents.Execution(ctx, v.RunRef, a.N)
	if err != nil {
		return false, fmt.Errorf("reading what was started: %w", err)
	}
	if exec == nil {
		exec = &ops.Execution{}
	}
	live, err := l.Engine.Liveness(ctx, *exec, a)
	if err != nil {
		return false, fmt.Errorf("asking engine %s how attempt %d of %s is: %w", l.Engine.Name(), a.N, v.Run, err)
	}
	return live == ops.AliveRunning, nil
}

// A View is a run's documents and what the engine knows of its newest attempt.
type View struct {
	*ops.RunStatus
	// Live is the newest start's execution. Gone also where nothing was ever begun.
	Live  ops.Liveness
	exec  ops.Execution
	asked bool // the engine was asked
}

func (v *View) newest() *ops.Start { return &v.Starts[len(v.Starts)-1] }

// current is the attempt document of the newest start, or nil. Starts are read
// before attempts, so it may belong to a start written in between.
func (v *View) current() *ops.Attempt {
	if a := v.Attempt(); a != nil && a.N >= v.newest().N {
		return a
	}
	return nil
}

// Lost tells whether nobody works on a run that has not ended: its worker is gone,
// or silent for longer than ops.LostAfter.
func (v *View) Lost() bool {
	if v.State() == ops.StateEnded {
		return false
	}
	if v.Live == ops.Gone {
		return true
	}
	return v.silent()
}

// silent tells whether the worker gave a sign of life and none since ops.LostAfter.
// A worker that wakes from such a silence asks first whether it still is the one.
func (v *View) silent() bool {
	a := v.current()
	return a != nil && v.Heartbeat != nil && v.Heartbeat.Attempt == a.N && v.HeartbeatAge > ops.LostAfter
}

// Look reads a run's documents and asks the engine for its newest attempt. Of a
// worker that is gone, the documents are those it left.
func (l *Launcher) Look(ctx context.Context, ref ops.RunRef) (*View, error) {
	v, err := l.look(ctx, ref)
	// A worker may have written its result, or begun and ended, after the documents
	// were read and before the engine was asked: they are read again until nothing
	// has come of a worker that is gone.
	for err == nil && v.asked && v.Live == ops.Gone && v.State() != ops.StateEnded {
		was := v
		if v, err = l.look(ctx, ref); err != nil {
			return nil, err
		}
		if len(v.Starts) == len(was.Starts) && len(v.Attempts) == len(was.Attempts) {
			break
		}
	}
	return v, err
}

func (l *Launcher) look(ctx context.Context, ref ops.RunRef) (*View, error) {
	s, err := l.Documents.Status(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("reading run %s: %w", ref.Run, err)
	}
	if len(s.Starts) == 0 {
		return nil, &ops.Error{Code: ops.NotFound, Message: fmt.Sprintf("run %s was never started.", ref.Run), Hint: `"synops runs" lists those that were.`}
	}
	v := &View{RunStatus: s, Live: ops.Gone}
	if v.State() == ops.StateEnded {
		return v, nil
	}
	if err := l.askEngine(ctx, v); err != nil {
		return nil, err
	}
	return v, nil
}

// askEngine asks how the newest attempt is. One that nobody began is gone.
func (l *Launcher) askEngine(ctx context.Context, v *View) error {
	v.Live = ops.Gone
	exec, err := l.Documents.Execution(ctx, v.RunRef, v.newest().N)
	if err != nil {
		return fmt.Errorf("reading what was started: %w", err)
	}
	if exec == nil && v.current() == nil {
		return nil
	}
	if exec != nil {
		v.exec = *exec
	}
	v.asked = true
	if v.Live, err = l.Engine.Liveness(ctx, v.exec, v.current()); err != nil {
		return fmt.Errorf("asking engine %s how %s is: %w", l.Engine.Name(), v.Run, err)
	}
	return nil
}
