package worker

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// finishGrace bounds the writing of a run's end.
const finishGrace = 5 * time.Minute

// finish writes how the run ended: clean-up, journal, artifacts, result, then the
// lease goes free. It works whatever ended the run.
func (a *attempt) finish(runErr error) (*ops.Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.watch.ctx), finishGrace)
	defer cancel()
	a.watch.phase("ending")
	if a.w.c.Cost != nil {
		a.say("%s", a.w.c.Cost())
	}
	if a.journal.unread != nil {
		return a.finishUnread(ctx, runErr)
	}
	cleanErr := a.cleanUp(ctx)
	t, err := a.tally(ctx)
	if err != nil {
		return nil, err
	}
	r := a.result(runErr, cleanErr, t)
	if left := a.left(ctx, r); left != "" {
		r.Message = left + " " + r.Message
	}
	if err := a.journal.append(ctx, ops.Entry{Kind: ops.EntryEnd, Outcome: string(r.Outcome), Code: r.Code, Message: r.Message}); err != nil {
		return nil, err
	}
	if err := a.writeFiles(ctx, r, t); err != nil {
		return nil, err
	}
	r.JournalEntries, r.JournalHead = a.journal.end()
	return r, a.write(ctx, r)
}

// finishUnread ends an attempt that could not read the journal: it changed nothing,
// knows nothing, and must not write there.
func (a *attempt) finishUnread(ctx context.Context, runErr error) (*ops.Result, error) {
	r := a.blank()
	r.Outcome, r.Code, r.Message = ops.RunFailed, ops.CodeOf(runErr), runErr.Error()
	r.Changed = "What earlier attempts changed cannot be told here: the journal cannot be read. This one changed nothing."
	r.Next = fmt.Sprintf("Find the broken place: synops verify %s", a.ref.Run)
	return r, a.write(ctx, r)
}

// write makes the result durable and lets the lease go.
func (a *attempt) write(ctx context.Context, r *ops.Result) error {
	r.Ended = now()
	if err := a.w.c.Documents.CreateResult(ctx, a.ref, r); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	if a.lease != nil {
		if err := a.w.c.Documents.ReleaseLease(ctx, *a.lease); err != nil {
			a.say("note: lease %s could not be released (%v); it is free once this process is gone.", a.lease.Name, err)
		}
	}
	return nil
}

func (a *attempt) cleanUp(ctx context.Context) error {
	if a.w.c.PlanOnly || a.order == nil || a.order.bound == nil || a.order.bound.Procedure.CleanUp == nil {
		return nil
	}
	return a.order.bound.Procedure.CleanUp(ctx, a.order.values)
}

// left is what somebody must know first of a run that began its effects, "" for
// nothing.
func (a *attempt) left(ctx context.Context, r *ops.Result) string {
	if a.w.c.PlanOnly || a.journal.planned == "" || a.order == nil || a.order.bound == nil || a.order.bound.Procedure.Left == nil {
		return ""
	}
	resumes := r.Outcome == ops.RunFailed && a.watch.canceled() == nil && r.Counts[ops.EffectUnsettled]+r.Counts[ops.EffectNotReached] > 0
	return a.order.bound.Procedure.Left(ctx, a.order.values, resumes)
}

// undoInline is how many targets an undo command lists itself; more go to a file.
const undoInline = 50

// writeFiles writes the run's own artifacts and names them in r.
func (a *attempt) writeFiles(ctx context.Context, r *ops.Result, t *tally) error {
	if r.EffectsTotal > ops.MostEffects {
		if err := a.effectsFile(ctx, r, t); err != nil {
			return fmt.Errorf("writing the effects file: %w", err)
		}
	}
	if err := a.undo(ctx, r, t); err != nil {
		return fmt.Errorf("writing the list to undo: %w", err)
	}
	a.filesMu.Lock()
	defer a.filesMu.Unlock()
	r.Artifacts = a.files
	return nil
}

func (a *attempt) effectsFile(ctx context.Context, r *ops.Result, t *tally) (err error) {
	r.EffectsFile, err = a.artifact(ctx, fmt.Sprintf("effects-%d.jsonl", a.n), func(w io.Writer) error {
		return a.results(ctx, t, func(e ops.EffectResult) error {
			line, err := ops.CanonicalJSON(e)
			if err == nil {
				_, err = w.Write(append(line, '\n'))
			}
			return err
		})
	})
	return err
}

// undo says how to take back what was done. A long list of targets goes to a file
// that the command names.
func (a *attempt) undo(ctx context.Context, r *ops.Result, t *tally) (err error) {
	if a.order == nil || a.order.pure.Undo == nil || t.counts[ops.EffectDone] == 0 {
		return nil
	}
	command := func(done ...ops.Effect) string { return a.order.pure.Undo(a.order.values, a.req.Environment, done) }
	if t.counts[ops.EffectDone] <= undoInline {
		r.Undo = command(t.done...)
		return nil
	}
	listed := func(file string) string {
		return command(ops.Effect{Target: ops.Target{ID: "all/" + file, Label: file, Value: "@" + file}, Before: t.done[0].Before, After: t.done[0].After})
	}
	if r.Undo = listed("list"); !strings.Contains(r.Undo, "@list") {
		return nil // it names no targets, so no list of them is kept
	}
	file, err := a.artifact(ctx, fmt.Sprintf("undo-%d.txt", a.n), t.writeDone)
	if err == nil {
		r.Undo = listed(file)
	}
	return err
}

// writeDone lists the targets done, a line each, as a list input takes them.
func (t *tally) writeDone(w io.Writer) error {
	done := outcomeCode(ops.EffectDone)
	for i, target := range t.targets {
		if t.fates[i].outcome != done {
			continue
		}
		if _, err := io.WriteString(w, target.Value+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// keep stores an artifact that a procedure made, also while the run is ending.
func (a *attempt) keep(ctx context.Context, name string, data []byte) (string, error) {
	return a.artifact(context.WithoutCancel(ctx), name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

func (a *attempt) artifact(ctx context.Context, name string, write func(io.Writer) error) (string, error) {
	file, err := a.w.c.Documents.CreateArtifact(ctx, a.ref, name, write)
	if err != nil {
		return "", err
	}
	a.filesMu.Lock()
	defer a.filesMu.Unlock()
	if !slices.Contains(a.files, file) { // the same may be kept again
		a.files = append(a.files, file)
	}
	return file.Path, nil
}
