package enginetest

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
)

// Documents is what the suite and its workers read and write; internal/store
// fulfills it.
type Documents interface {
	launcher.Documents
	Request(ctx context.Context, lane ops.Lane, d ops.Digest) (*ops.Request, error)
	CreateAttempt(ctx context.Context, ref ops.RunRef, a ops.Attempt) error
	CreateResult(ctx context.Context, ref ops.RunRef, r *ops.Result) error
}

// The scripts that a worker plays, an input of the request: a word for each
// attempt, the last for all that follow.
const (
	scriptEnd    = "end"    // says its lines and ends succeeded
	scriptFail   = "fail"   // says its lines and ends failed
	scriptDie    = "die"    // says its lines and ends without a result
	scriptWait   = "wait"   // says its lines and waits for the cancel marker
	scriptDeaf   = "deaf"   // says its lines and waits for ever
	scriptAbsent = "absent" // ends before it claims its attempt
	scriptLate   = "late"   // never claims its attempt, and stays
)

const scriptInput = "script"

// lines a worker says in each attempt.
const lines = 40

// line is what attempt n says in place i.
func line(n, i int) string { return fmt.Sprintf("attempt %d says line %d", n, i) }

// Work is the worker that every engine under test starts in place of synops: it
// claims the newest start of a run and plays its script. me is what the engine
// wants of an attempt's document; out is what the engine's Log tells. It returns
// when the script or ctx ends.
func Work(ctx context.Context, d Documents, ref ops.RunRef, me ops.Attempt, out io.Writer) error {
	starts, err := d.Starts(ctx, ref)
	if err != nil || len(starts) == 0 {
		return fmt.Errorf("reading the starts: %w", err)
	}
	start := starts[len(starts)-1]
	req, err := d.Request(ctx, ref.Lane, start.Request)
	if err != nil {
		return err
	}
	script := wordOf(req.Inputs[scriptInput], start.N)
	switch script {
	case scriptAbsent:
		return nil
	case scriptLate:
		return idle(ctx)
	}
	me.N, me.At = start.N, time.Now().UTC()
	if err := d.CreateAttempt(ctx, ref, me); ops.CodeOf(err) == ops.Conflict {
		return nil // another worker is this attempt
	} else if err != nil {
		return err
	}
	for i := range lines {
		fmt.Fprintln(out, line(start.N, i))
	}
	return end(ctx, d, ref, start, script)
}

// idle does nothing until ctx ends. In a process whose context never does, Go calls
// it a deadlock and ends it, were there no timer.
func idle(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Hour):
		}
	}
}

// end plays what comes after the lines.
func end(ctx context.Context, d Documents, ref ops.RunRef, start ops.Start, script string) error {
	outcome := ops.Succeeded
	switch {
	case start.Kind == ops.StartSettle:
		outcome = ops.RunCanceled
	case script == scriptFail:
		outcome = ops.RunFailed
	case script == scriptDie:
		return nil
	case script == scriptWait:
		if err := canceled(ctx, d, ref); err != nil {
			return err
		}
		outcome = ops.RunCanceled
	case script == scriptDeaf:
		return idle(ctx)
	}
	return d.CreateResult(ctx, ref, &ops.Result{Run: ref.Run, Attempt: start.N, Outcome: outcome, Effects: []ops.EffectResult{}})
}

func canceled(ctx context.Context, d Documents, ref ops.RunRef) error {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		if m, err := d.CancelMarker(ctx, ref); m != nil || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

func wordOf(script string, n int) string {
	words := strings.Fields(script)
	if len(words) == 0 {
		return scriptEnd
	}
	return words[min(n, len(words))-1]
}
