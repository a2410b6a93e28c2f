package worker

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A fate is what the journal says last of one effect.
type fate struct {
	seq     int64 // of the entry that says so; 0: none
	outcome uint8 // see outcomeCode; an intent without outcome is unsettled
	person  bool  // only a person can settle it
	saved   bool  // it saved a checkpoint, so a resume goes on with it
	resumes bool  // that is how it is settled
}

// A tally is what the journal says of every effect, over all attempts. The result
// is derived from it and from nothing else, so both always agree.
type tally struct {
	targets   []ops.Target
	index     map[string]int // into targets and fates, by effect ID
	fates     []fate
	counts    map[ops.EffectOutcome]int
	bad       []ops.EffectResult // not done; at most ops.MostEffects
	good      []ops.EffectResult // done or unchanged; at most ops.MostEffects
	done      []ops.Effect       // for undo; at most undoInline+1
	first     ops.Code           // of the first failure
	otherwise int                // failed effects that were done but read back otherwise
	begun     int                // unsettled effects that a resume goes on with
	why       ops.Code           // of the last of them
	stopped   int                // failed ones that were told to end
	partly    int                // failed ones that had saved a checkpoint to go on from
	person    string             // an effect only a person can settle
}

// tally reads the journal back, twice: what is kept of each effect meanwhile is
// small, whatever the journal holds.
func (a *attempt) tally(ctx context.Context) (*tally, error) {
	if err := a.journal.flush(ctx); err != nil {
		return nil, err
	}
	t := &tally{counts: map[ops.EffectOutcome]int{}, index: map[string]int{}}
	if a.order != nil {
		t.targets = a.order.targets
	}
	t.fates = make([]fate, len(t.targets))
	for i, target := range t.targets {
		t.index[target.ID] = i
	}
	if err := a.entries(ctx, func(e ops.Entry) error { t.note(e, a.order == nil); return nil }); err != nil {
		return nil, err
	}
	for _, f := range t.fates {
		t.counts[codeOutcome(f.outcome)]++
	}
	if err := a.results(ctx, t, func(r ops.EffectResult) error { t.add(r); return nil }); err != nil {
		return nil, err
	}
	t.sort()
	return t, nil
}

// sort puts what was kept in the order of the targets, the worst first: the
// journal's order is that in which calls happened to end.
func (t *tally) sort() {
	worst := ops.EffectOutcomes()
	slices.SortFunc(t.bad, func(a, b ops.EffectResult) int {
		return cmp.Or(slices.Index(worst, a.Outcome)-slices.Index(worst, b.Outcome), t.index[a.ID]-t.index[b.ID])
	})
	slices.SortFunc(t.good, func(a, b ops.EffectResult) int { return t.index[a.ID] - t.index[b.ID] })
	slices.SortFunc(t.done, func(a, b ops.Effect) int { return t.index[a.ID] - t.index[b.ID] })
}

// note takes one entry into account. unknown: the request was not accepted, so the
// targets are those that the journal tells of.
func (t *tally) note(e ops.Entry, unknown bool) {
	i, known := t.index[e.Effect]
	if !known {
		if !unknown || e.Effect == "" {
			return
		}
		i, t.index[e.Effect] = len(t.targets), len(t.targets)
		t.targets, t.fates = append(t.targets, ops.Target{ID: e.Effect, Label: e.Effect}), append(t.fates, fate{})
	}
	f := &t.fates[i]
	switch e.Kind {
	case ops.EntryIntent:
		f.seq, f.outcome = e.Seq, outcomeCode(ops.EffectUnsettled)
		f.person, f.resumes, f.saved = e.Settle == ops.SettlePerson, e.Settle == ops.SettleResume, false
	case ops.EntryCheckpoint:
		f.saved = true
	case ops.EntryOutcome:
		f.seq, f.outcome = e.Seq, outcomeCode(ops.EffectOutcome(e.Outcome))
	}
}

// add takes one effect's final result into account.
func (t *tally) add(r ops.EffectResult) {
	i := t.index[r.ID]
	switch r.Outcome {
	case ops.EffectDone, ops.EffectUnchanged:
		if len(t.good) < ops.MostEffects {
			t.good = append(t.good, r)
		}
		if r.Outcome == ops.EffectDone && len(t.done) <= undoInline {
			t.done = append(t.done, ops.Effect{Target: t.targets[i], Before: r.Before, After: r.After, Summary: r.Summary})
		}
		return
	case ops.EffectFailed:
		if t.first == "" {
			t.first = r.Code
		}
		if r.After != nil {
			t.otherwise++
		}
		if r.Code == ops.Canceled {
			t.stopped++
		}
		if f := t.fates[i]; f.resumes && f.saved {
			t.partly++
		}
	case ops.EffectUnsettled:
		if t.fates[i].person && !t.fates[i].saved {
			t.person = r.ID
		}
		if t.fates[i].resumes {
			t.begun++
			t.why = r.Code
		}
	}
	if len(t.bad) < ops.MostEffects {
		t.bad = append(t.bad, r)
	}
}

// entries calls fn for each entry of the journal, one document in memory at a time.
func (a *attempt) entries(ctx context.Context, fn func(ops.Entry) error) error {
	chain := ops.NewChain(a.start.Request)
	for doc, err := range a.w.c.Documents.Journal(ctx, a.ref, 0) {
		if err != nil {
			return fmt.Errorf("reading the journal back: %w", err)
		}
		if err := chain.Decode(doc, fn); err != nil {
			return err
		}
	}
	return nil
}

// results calls fn for each effect once, with its last outcome: first those the
// journal tells of, in its order, then those never reached.
func (a *attempt) results(ctx context.Context, t *tally, fn func(ops.EffectResult) error) error {
	err := a.entries(ctx, func(e ops.Entry) error {
		i, known := t.index[e.Effect]
		if !known || t.fates[i].seq != e.Seq || t.fates[i].outcome == 0 {
			return nil
		}
		r := ops.EffectResult{ID: e.Effect, Target: t.targets[i].Label, Summary: e.Summary, Outcome: ops.EffectOutcome(e.Outcome),
			Before: e.Before, After: e.After, Code: e.Code, Message: e.Message}
		if e.Kind == ops.EntryIntent {
			r.Outcome, r.After, r.Code, r.Message = ops.EffectUnsettled, nil, ops.Unsettled, "It may have been begun; what became of it is not known yet."
		}
		return fn(r)
	})
	if err != nil {
		return err
	}
	for i, target := range t.targets {
		if t.fates[i].outcome != 0 {
			continue
		}
		if err := fn(a.notReached(i, target)); err != nil {
			return err
		}
	}
	return nil
}

func (a *attempt) notReached(i int, target ops.Target) ops.EffectResult {
	r := ops.EffectResult{ID: target.ID, Target: target.Label, Outcome: ops.EffectNotReached}
	if a.plan != nil && !a.plan.Summary && i < len(a.plan.Effects) && a.plan.Effects[i].ID == target.ID {
		r.Summary, r.Before = a.plan.Effects[i].Summary, a.plan.Effects[i].Before
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
