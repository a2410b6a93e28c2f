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

// Journal returns a run's journal documents that follow the first after, in order,
// until one is absent, a few in memory at a time. It ends at the first error. Verify
// also finds a document missing between others.
func (s *Store) Journal(ctx context.Context, ref ops.RunRef, after int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop() // what was asked for ahead and is not wanted
		var asked []<-chan document
		next := after + 1
		for {
			for n := readAhead(next - 1 - len(asked) - after); len(asked) < n; next++ {
				asked = append(asked, s.journalDocument(ctx, ref, next))
			}
			d := <-asked[0]
			asked = asked[1:]
			if ops.CodeOf(d.err) == ops.NotFound {
				return
			}
			if !yield(d.data, d.err) || d.err != nil {
				return
			}
		}
	}
}

type document struct {
	data []byte
	err  error
}

// journalDocument reads one document meanwhile.
func (s *Store) journalDocument(ctx context.Context, ref ops.RunRef, doc int) <-chan document {
	out := make(chan document, 1)
	go func() {
		data, err := s.driver.Get(ctx, journalKey(ref, doc))
		out <- document{data, err}
	}()
	return out
}

// readAhead is how many documents are asked for at once when so many were read. Most
// journals have a few; a migration's has thousands, and from S3 each takes as long as
// a call does.
func readAhead(read int) int { return min(max(read/4, 1), 32) }
