package migrate

import (
	"context"
	"slices"
	"sync"
	"time"
)

// How long records may wait for company. A copy of days makes a hundred thousand of
// them; each document costs a call now, and another when a later process reads them.
const (
	waitAccepted = 50 * time.Millisecond // a job whose ID is lost is done twice
	waitOther    = 10 * time.Second      // a job whose end is lost is asked for again
)

// A Batch is a Journal that gathers records. What begins a restore is durable when
// Save returns, and with it everything before: a backup's key, marks, what was
// compared. The rest follows within seconds. What is lost with a process is always
// the end of the record, and what that told is done or asked for again. Flush it in
// the end. Safe for concurrent use.
type Batch struct {
	save func(ctx context.Context, records []Record) error

	writing turn // one document at a time, in order
	mu      sync.Mutex
	waiting []Record
	due     *time.Timer
	dueAt   time.Time
	failed  error
}

// turn is a mutex in which time passes in a bubble of testing/synctest.
type turn chan struct{}

// NewBatch returns one that writes with save, which returns once the records are
// durable and must not keep the slice.
func NewBatch(save func(ctx context.Context, records []Record) error) *Batch {
	return &Batch{save: save, writing: make(turn, 1)}
}

// Save is Journal's. The error may be that of an earlier call's records: nothing more
// must be begun after it.
func (b *Batch) Save(ctx context.Context, records []Record) error {
	b.mu.Lock()
	b.waiting = append(b.waiting, records...)
	failed := b.failed
	if failed == nil && !urgent(records) {
		b.arm(ctx, records)
	}
	b.mu.Unlock()
	if failed != nil || !urgent(records) {
		return failed
	}
	return b.Flush(ctx)
}

// urgent tells whether something is about to begin that must not be done twice.
func urgent(records []Record) bool {
	return slices.ContainsFunc(records, func(r Record) bool { return r.Op == opStart && r.Job != nil && r.Job.Kind == Restore })
}

// arm has what waits written in time. The lock is held.
func (b *Batch) arm(ctx context.Context, records []Record) {
	wait := waitOther
	if slices.ContainsFunc(records, func(r Record) bool { return r.Op == opAccepted }) {
		wait = waitAccepted
	}
	at := time.Now().Add(wait)
	if b.due != nil && !at.Before(b.dueAt) {
		return
	}
	if b.due != nil {
		b.due.Stop()
	}
	b.dueAt = at
	b.due = time.AfterFunc(wait, func() { _ = b.Flush(context.WithoutCancel(ctx)) }) // Save tells of its failure
}

// Flush writes what waits.
func (b *Batch) Flush(ctx context.Context) error {
	b.writing <- struct{}{}
	defer func() { <-b.writing }()
	b.mu.Lock()
	records, failed := b.waiting, b.failed
	b.waiting = nil
	if b.due != nil {
		b.due.Stop()
		b.due = nil
	}
	b.mu.Unlock()
	if failed != nil || len(records) == 0 {
		return failed
	}
	err := b.save(ctx, records)
	if err != nil {
		b.mu.Lock()
		b.failed = err
		b.mu.Unlock()
	}
	return err
}
