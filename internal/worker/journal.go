package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// An intent is an effect that was about to be performed when the journal ends, and
// the last checkpoint it saved.
type intent struct {
	entry      ops.Entry
	checkpoint json.RawMessage
}

// A journal writes the run's record, a document an append. Entries handed to
// later wait for the next append and go into the same document, before it. Safe
// for concurrent use.
type journal struct {
	docs    Documents
	ref     ops.RunRef
	attempt int

	mu    sync.Mutex // one append at a time
	chain ops.Chain
	doc   int // number of the last document

	pendingMu sync.Mutex // never held while writing: outcomes are handed over meanwhile
	pending   []ops.Entry

	// What earlier attempts left, by effect ID; set by take.
	outcomes map[string]ops.EffectOutcome
	open     map[string]intent
	planned  ops.Digest
	fenced   bool
}

func newJournal(d Documents, ref ops.RunRef, request ops.Digest, attempt int) *journal {
	return &journal{docs: d, ref: ref, attempt: attempt, chain: ops.NewChain(request),
		outcomes: map[string]ops.EffectOutcome{}, open: map[string]intent{},
		pending: []ops.Entry{{Kind: ops.EntryAttempt}}}
}

// take reads the journal to its end and writes this attempt's first entry there:
// from then on the attempt before can append nothing, and so begin no effect.
func (j *journal) take(ctx context.Context) error {
	const tries = 20
	for range tries {
		if err := j.replay(ctx); err != nil {
			return err
		}
		err := j.flush(ctx)
		if !errors.Is(err, ErrFenced) {
			return err
		}
		// The attempt before wrote once more: read that too and fence it then.
		j.fenced = false
	}
	return ops.Errorf(ops.Conflict, "the attempt before this one of %s still writes.", j.ref.Run)
}

func (j *journal) replay(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	skip := j.doc
	n := 0
	for doc, err := range j.docs.Journal(ctx, j.ref) {
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		if n++; n <= skip {
			continue
		}
		if err := j.chain.Decode(doc, func(e ops.Entry) error { j.note(e); return nil }); err != nil {
			return err
		}
		j.doc = n
	}
	return nil
}

// note takes an entry of an earlier attempt into account.
func (j *journal) note(e ops.Entry) {
	switch e.Kind {
	case ops.EntryPlan:
		j.planned = e.Digest
	case ops.EntryIntent:
		j.open[e.Effect] = intent{entry: e}
	case ops.EntryCheckpoint:
		if in, ok := j.open[e.Effect]; ok {
			in.checkpoint = e.Data
			j.open[e.Effect] = in
		}
	case ops.EntryOutcome:
		if o := ops.EffectOutcome(e.Outcome); recorded(o) {
			j.outcomes[e.Effect] = o
			delete(j.open, e.Effect)
		} else if o == ops.EffectNotReached {
			delete(j.open, e.Effect)
		}
	}
}

// recorded tells whether an outcome is skipped by a later attempt. What was not
// reached is reached then; what is unsettled is settled then.
func recorded(o ops.EffectOutcome) bool {
	return o != ops.EffectNotReached && o != ops.EffectUnsettled
}

// later hands over entries that the next append writes.
func (j *journal) later(entries ...ops.Entry) {
	at := now()
	for i := range entries {
		entries[i].At = at
	}
	j.pendingMu.Lock()
	defer j.pendingMu.Unlock()
	j.pending = append(j.pending, entries...)
}

// takePending empties the waiting list.
func (j *journal) takePending() []ops.Entry {
	j.pendingMu.Lock()
	defer j.pendingMu.Unlock()
	p := j.pending
	j.pending = nil
	return p
}

// putBack returns entries that could not be written to the head of the list.
func (j *journal) putBack(entries []ops.Entry) {
	j.pendingMu.Lock()
	defer j.pendingMu.Unlock()
	j.pending = append(entries, j.pending...)
}

// plan records which plan was agreed on, with the next append.
func (j *journal) plan(d ops.Digest) {
	j.later(ops.Entry{Kind: ops.EntryPlan, Digest: d})
	j.planned = d
}

// append writes what is pending and entries, in one document, and returns once it
// is durable. ErrFenced: a newer attempt has written there, and this worker must
// begin nothing more.
func (j *journal) append(ctx context.Context, entries ...ops.Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fenced {
		return ErrFenced
	}
	waiting := j.takePending()
	all := append(waiting, entries...)
	if len(all) == 0 {
		return nil
	}
	if err := j.write(ctx, all); err != nil {
		j.putBack(all[:len(waiting)])
		return err
	}
	return nil
}

func (j *journal) write(ctx context.Context, all []ops.Entry) error {
	at := now()
	for i := range all {
		all[i].Attempt = j.attempt
		if all[i].At.IsZero() {
			all[i].At = at
		}
	}
	chain := j.chain
	data, err := chain.Encode(all...)
	if err != nil {
		return err
	}
	if err := j.docs.AppendJournal(ctx, j.ref, j.doc+1, data); ops.CodeOf(err) == ops.Conflict {
		j.fenced = true
		return ErrFenced
	} else if err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	j.chain, j.doc = chain, j.doc+1
	return nil
}

// flush writes what is pending.
func (j *journal) flush(ctx context.Context) error { return j.append(ctx) }

// end returns how many entries there are and the last one's digest.
func (j *journal) end() (int64, ops.Digest) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.chain.Entries, j.chain.Head
}
