package store

import (
	"context"
	"iter"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// AppendJournal keeps one journal document; the first is 1. Conflict is the fence:
// another worker of this run has written that document, and the caller must start
// no further effect.
func (s *Store) AppendJournal(ctx context.Context, ref ops.RunRef, doc int, data []byte) error {
	if err := number("journal document", doc, mostDocuments); err != nil {
		return err
	}
	return s.driver.Create(ctx, journalKey(ref, doc), data)
}

// Journal returns a run's journal documents from 1 on, until one is absent, one in
// memory at a time. It ends at the first error. Verify also finds a document
// missing between others.
func (s *Store) Journal(ctx context.Context, ref ops.RunRef) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for doc := 1; ; doc++ {
			data, err := s.driver.Get(ctx, journalKey(ref, doc))
			if ops.CodeOf(err) == ops.NotFound {
				return
			}
			if !yield(data, err) || err != nil {
				return
			}
		}
	}
}
