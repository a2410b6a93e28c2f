package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// An intent is an effect that was about to be performed when the journal ends, and
// the checkpoints it saved, oldest first.
type intent struct {
	entry       ops.Entry
	checkpoints []json.RawMessage
}

// A journal writes the run's record, a document an append. Entries handed to
// later wait for the next append and go into the same document, before it. Safe
// for concurrent use, but for what take sets.
type journal struct {
	docs    Documents
	ref     ops.RunRef
	attempt int
	began   ops.Entry // this attempt's first

	turn  turn // one append at a time
	chain ops.Chain
	doc   int    // number of the last document
	doubt *doubt // the document after it, when it may be there

	pendingMu sync.Mutex // never held while writing: outcomes are handed over meanwhile
	pending   []ops.Entry

	fenced atomic.Bool // a newer attempt goes on: nothing more may be written or begun
	moved  atomic.Bool // this attempt wrote an outcome or a checkpoint

	// What earlier attempts left, by effect ID; set by take.
	outcomes map[string]ops.EffectOutcome
	open     map[string]intent
	planned  ops.Digest
	unread   error // why the journal could not be read; then nothing can be written
}

// A turn is had by one at a time. It is a mutex that is held while the store is
// waited for: in a bubble of testing/synctest, time passes for whoever waits for a
// channel and not for whoever waits for a sync.Mutex.
type turn chan struct{}

func (t turn) take()  { t <- struct{}{} }
func (t turn) leave() { <-t }

// A doubt is a document whose writing failed so that it may be there or not. It
// must be settled before another is written.
type doubt struct {
	data  []byte
	chain ops.Chain // with it
}

func newJournal(d Documents, ref ops.RunRef, start ops.Start) (*journal, error) {
	digest, err := start.Digest()
	if err != nil {
		return nil, err
	}
	began := ops.Entry{Kind: ops.EntryAttempt, Digest: digest}
	return &journal{turn: make(turn, 1), docs: d, ref: ref, attempt: start.N, began: began, chain: ops.NewChain(start.Request),
		outcomes: map[string]ops.EffectOutcome{}, open: map[string]intent{},
		pending: []ops.Entry{began}}, nil
}

// take reads the journal to its end and writes this attempt's first entry there:
// from then on the attempt before can append nothing, and so begin no effect.
func (j *journal) take(ctx context.Context) error {
	j.turn.take()
	defer j.turn.leave()
	const tries = 20
	for range tries {
		if j.unread = j.replay(ctx); j.unread != nil {
			return j.unread
		}
		d, err := j.document(j.began)
		if err != nil {
			return err
		}
		// Conflict: the attempt before wrote once more. Read that too, fence it then.
		if err := j.add(ctx, d); ops.CodeOf(err) != ops.Conflict {
			j.takePending()
			return err
		}
	}
	return ops.Errorf(ops.Conflict, "the attempt before this one of %s still writes.", j.ref.Run)
}

func (j *journal) replay(ctx context.Context) error {
	for doc, err := range j.docs.Journal(ctx, j.ref, j.doc) {
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		if err := j.chain.Decode(doc, j.note); err != nil {
			return err
		}
		j.doc++
	}
	return nil
}

// note takes an entry of an earlier attempt into account. One of a later attempt
// means that this worker is late: it must not take the journal back.
func (j *journal) note(e ops.Entry) error {
	if e.Attempt > j.attempt {
		j.fence()
		return ErrFenced
	}
	switch e.Kind {
	case ops.EntryPlan:
		j.planned = e.Digest
	case ops.EntryIntent:
		j.open[e.Effect] = intent{entry: e}
	case ops.EntryCheckpoint:
		if in, ok := j.open[e.Effect]; ok {
			in.checkpoints = append(in.checkpoints, e.Data)
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
	return nil
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

// plan records which plan was agreed on, with the next append.
func (j *journal) plan(d ops.Digest) {
	j.later(ops.Entry{Kind: ops.EntryPlan, Digest: d})
	j.planned = d
}

// append writes what is pending and entries, in one document, and returns once it
// is durable. ErrFenced: a newer attempt has written there, and this worker must
// begin nothing more. After any other error the entries may be there or not; the
// next append writes them if they are not.
func (j *journal) append(ctx context.Context, entries ...ops.Entry) error {
	j.turn.take()
	defer j.turn.leave()
	if j.fenced.Load() {
		return ErrFenced
	}
	if j.unread != nil {
		return j.unread
	}
	if err := j.settleDoubt(ctx); err != nil {
		return err
	}
	all := append(j.takePending(), entries...)
	if len(all) == 0 {
		return nil
	}
	d, err := j.document(all...)
	if err != nil {
		return err
	}
	if err := j.write(ctx, d); err != nil {
		return err
	}
	for _, e := range all {
		if e.Kind == ops.EntryCheckpoint || e.Kind == ops.EntryOutcome && recorded(ops.EffectOutcome(e.Outcome)) {
			j.moved.Store(true)
		}
	}
	return nil
}

// document is what comes next in the journal.
func (j *journal) document(entries ...ops.Entry) (doubt, error) {
	at := now()
	for i := range entries {
		entries[i].Attempt = j.attempt
		if entries[i].At.IsZero() {
			entries[i].At = at
		}
	}
	chain := j.chain
	data, err := chain.Encode(entries...)
	return doubt{data, chain}, err
}

// write adds a document where none may be.
func (j *journal) write(ctx context.Context, d doubt) error {
	err := j.add(ctx, d)
	if ops.CodeOf(err) == ops.Conflict {
		j.fence()
		return ErrFenced
	}
	return err
}

func (j *journal) add(ctx context.Context, d doubt) error {
	err := j.docs.AppendJournal(ctx, j.ref, j.doc+1, d.data)
	switch {
	case err == nil:
		j.chain, j.doc, j.doubt = d.chain, j.doc+1, nil
	case ops.CodeOf(err) != ops.Conflict:
		j.doubt = &d
		err = fmt.Errorf("writing the journal: %w", err)
	}
	return err
}

// settleDoubt writes the document in doubt, or finds that it is there.
func (j *journal) settleDoubt(ctx context.Context) error {
	if j.doubt == nil {
		return nil
	}
	for doc, err := range j.docs.Journal(ctx, j.ref, j.doc) {
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		if !bytes.Equal(doc, j.doubt.data) {
			j.fence()
			return ErrFenced
		}
		j.chain, j.doc, j.doubt = j.doubt.chain, j.doc+1, nil
		return nil
	}
	return j.write(ctx, *j.doubt)
}

// fence ends this worker's part in the journal.
func (j *journal) fence() { j.fenced.Store(true) }

// flush writes what is pending.
func (j *journal) flush(ctx context.Context) error { return j.append(ctx) }

// end returns how many entries there are and the last one's digest.
func (j *journal) end() (int64, ops.Digest) {
	j.turn.take()
	defer j.turn.leave()
	return j.chain.Entries, j.chain.Head
}
