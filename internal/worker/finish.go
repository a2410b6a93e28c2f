package worker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
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
	cleanErr := a.cleanUp(ctx)
	tally, err := a.tally(ctx)
	if err != nil {
		return nil, err
	}
	r := a.result(runErr, tally)
	if cleanErr != nil {
		r.Notes = append(r.Notes, "clean-up did not finish: "+cleanErr.Error())
		if r.Outcome == ops.Succeeded {
			r.Outcome, r.Code, r.Message = ops.RunFailed, ops.CodeOf(cleanErr), "Everything was done, but the clean-up did not finish."
		}
	}
	if err := a.journal.append(ctx, ops.Entry{Kind: ops.EntryEnd, Outcome: string(r.Outcome), Code: r.Code, Message: r.Message}); err != nil {
		return nil, err
	}
	if err := a.writeFiles(ctx, r, tally); err != nil {
		return nil, err
	}
	r.JournalEntries, r.JournalHead = a.journal.end()
	r.Ended = now()
	if err := a.w.c.Documents.CreateResult(ctx, a.ref, r); err != nil {
		return nil, fmt.Errorf("writing the result: %w", err)
	}
	if a.lease != nil {
		if err := a.w.c.Documents.ReleaseLease(ctx, *a.lease); err != nil {
			a.say("note: lease %s could not be released (%v); it is free once this process is gone.", a.lease.Name, err)
		}
	}
	return r, nil
}

func (a *attempt) cleanUp(ctx context.Context) error {
	if a.order == nil || a.order.bound == nil || a.order.bound.Procedure.CleanUp == nil {
		return nil
	}
	return a.order.bound.Procedure.CleanUp(ctx, a.order.values)
}

// A tally is what the journal says of every effect, over all attempts.
type tally struct {
	counts map[ops.EffectOutcome]int
	bad    []ops.EffectResult // not done; at most ops.MostEffects
	good   []ops.EffectResult // done or unchanged; at most ops.MostEffects
	done   []ops.Effect       // for undo; at most undoInline+1
	last   []uint8            // by target: outcome as a code
	first  ops.Code           // of the first failure
	retry  int                // failed effects that a new run may retry
	person string             // an effect only a person can settle
}

// tally reads the journal back: the result is derived from it and from nothing
// else, so both always agree.
func (a *attempt) tally(ctx context.Context) (*tally, error) {
	t := &tally{counts: map[ops.EffectOutcome]int{}}
	if err := a.journal.flush(ctx); err != nil {
		return nil, err
	}
	if a.order == nil {
		return t, nil
	}
	index := make(map[string]int, len(a.order.targets))
	for i, target := range a.order.targets {
		index[target.ID] = i
	}
	t.last = make([]uint8, len(a.order.targets))
	settle := map[string]ops.Settling{}
	err := a.entries(ctx, func(e ops.Entry) {
		i, known := index[e.Effect]
		if !known {
			return
		}
		switch e.Kind {
		case ops.EntryIntent:
			if len(settle) < ops.MostEffects {
				settle[e.Effect] = e.Settle
			}
		case ops.EntryOutcome:
			t.last[i] = outcomeCode(ops.EffectOutcome(e.Outcome))
		}
	})
	if err != nil {
		return nil, err
	}
	for _, code := range t.last {
		t.counts[codeOutcome(code)]++
	}
	return t, a.results(ctx, t, index, func(r ops.EffectResult) error { t.add(r, settle[r.ID], a.order.targets[index[r.ID]]); return nil })
}

// add takes one effect's final result into account.
func (t *tally) add(r ops.EffectResult, settle ops.Settling, target ops.Target) {
	switch r.Outcome {
	case ops.EffectDone, ops.EffectUnchanged:
		if len(t.good) < ops.MostEffects {
			t.good = append(t.good, r)
		}
		if r.Outcome == ops.EffectDone && len(t.done) <= undoInline {
			t.done = append(t.done, ops.Effect{Target: target, Before: r.Before, After: r.After, Summary: r.Summary})
		}
		return
	case ops.EffectFailed:
		t.retry++
		if t.first == "" {
			t.first = r.Code
		}
	case ops.EffectUnsettled:
		if settle == ops.SettlePerson || settle == "" {
			t.person = r.ID
		}
	}
	if len(t.bad) < ops.MostEffects {
		t.bad = append(t.bad, r)
	}
}

// entries calls fn for each entry of the journal.
func (a *attempt) entries(ctx context.Context, fn func(ops.Entry)) error {
	chain := ops.NewChain(a.start.Request)
	for doc, err := range a.w.c.Documents.Journal(ctx, a.ref) {
		if err != nil {
			return fmt.Errorf("reading the journal back: %w", err)
		}
		if err := chain.Decode(doc, func(e ops.Entry) error { fn(e); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// results calls fn for each effect once, with its last outcome: first those the
// journal tells of, in its order, then those never reached.
func (a *attempt) results(ctx context.Context, t *tally, index map[string]int, fn func(ops.EffectResult) error) error {
	seen := make([]bool, len(t.last))
	var failed error
	err := a.entries(ctx, func(e ops.Entry) {
		i, known := index[e.Effect]
		if failed != nil || !known || e.Kind != ops.EntryOutcome || seen[i] || outcomeCode(ops.EffectOutcome(e.Outcome)) != t.last[i] {
			return
		}
		if t.last[i] == outcomeCode(ops.EffectNotReached) {
			return // told of below, with its summary from the plan
		}
		seen[i] = true
		failed = fn(ops.EffectResult{ID: e.Effect, Target: a.order.targets[i].Label, Summary: e.Summary, Outcome: ops.EffectOutcome(e.Outcome),
			Before: e.Before, After: e.After, Code: e.Code, Message: e.Message})
	})
	if err != nil {
		return err
	}
	for i, target := range a.order.targets {
		if seen[i] || failed != nil {
			continue
		}
		failed = fn(a.notReached(i, target))
	}
	return failed
}

func (a *attempt) notReached(i int, target ops.Target) ops.EffectResult {
	r := ops.EffectResult{ID: target.ID, Target: target.Label, Outcome: ops.EffectNotReached}
	if a.plan != nil && !a.plan.Summary && i < len(a.plan.Effects) && a.plan.Effects[i].ID == target.ID {
		r.Summary, r.Before = a.plan.Effects[i].Summary, a.masked(a.plan.Effects[i].Before)
	}
	return r
}

func outcomeCode(o ops.EffectOutcome) uint8 {
	if i := slices.Index(ops.EffectOutcomes(), o); i >= 0 && o != ops.EffectNotReached {
		return uint8(i + 1)
	}
	return 0 // no outcome and not reached are the same
}

func codeOutcome(code uint8) ops.EffectOutcome {
	if code == 0 {
		return ops.EffectNotReached
	}
	return ops.EffectOutcomes()[code-1]
}

// undoInline is how many targets an undo command lists itself; more go to a file.
const undoInline = 50

// writeFiles writes the run's own artifacts and names them in r.
func (a *attempt) writeFiles(ctx context.Context, r *ops.Result, t *tally) error {
	if a.order == nil {
		return nil
	}
	index := make(map[string]int, len(a.order.targets))
	for i, target := range a.order.targets {
		index[target.ID] = i
	}
	if r.EffectsTotal > ops.MostEffects {
		file, err := a.artifact(ctx, fmt.Sprintf("effects-%d.jsonl", a.n), func(w io.Writer) error {
			return a.results(ctx, t, index, func(e ops.EffectResult) error {
				line, err := ops.CanonicalJSON(e)
				if err == nil {
					_, err = w.Write(append(line, '\n'))
				}
				return err
			})
		})
		if err != nil {
			return fmt.Errorf("writing the effects file: %w", err)
		}
		r.EffectsFile = file
	}
	if err := a.undo(ctx, r, t); err != nil {
		return err
	}
	a.filesMu.Lock()
	defer a.filesMu.Unlock()
	r.Artifacts = a.files
	return nil
}

// undo says how to take back what was done. A long list of targets goes to a file
// that the command names.
func (a *attempt) undo(ctx context.Context, r *ops.Result, t *tally) error {
	undo := a.order.pure.Undo
	if undo == nil || t.counts[ops.EffectDone] == 0 {
		return nil
	}
	if t.counts[ops.EffectDone] <= undoInline {
		r.Undo = undo(a.order.values, a.req.Environment, t.done)
		return nil
	}
	done := outcomeCode(ops.EffectDone)
	file, err := a.artifact(ctx, fmt.Sprintf("undo-%d.txt", a.n), func(w io.Writer) error {
		for i, target := range a.order.targets {
			if t.last[i] != done {
				continue
			}
			if _, err := io.WriteString(w, target.Value+"\n"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("writing the list to undo: %w", err)
	}
	r.Undo = undo(a.order.values, a.req.Environment, []ops.Effect{{Target: ops.Target{ID: "all/@" + file, Label: file, Value: "@" + file}, Before: t.done[0].Before, After: t.done[0].After}})
	return nil
}

// keep stores an artifact that a procedure made.
func (a *attempt) keep(ctx context.Context, name string, data []byte) (string, error) {
	return a.artifact(context.WithoutCancel(ctx), name, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(data))
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
	a.files = append(a.files, file)
	return file.Path, nil
}
