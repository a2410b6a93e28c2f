package migrate

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestBatch: a restore is begun only when all before it is durable, nothing waits
// long, the order is kept, and documents are few.
func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var docs [][]int64
		b := NewBatch(func(_ context.Context, records []Record) error {
			time.Sleep(40 * time.Millisecond) // as long as a store takes
			var ns []int64
			for _, r := range records {
				ns = append(ns, r.N)
			}
			docs = append(docs, ns)
			return nil
		})
		save := func(records ...Record) {
			t.Helper()
			if err := b.Save(t.Context(), records); err != nil {
				t.Fatal(err)
			}
		}
		written := func() (all []int64) { return slices.Concat(docs...) }

		save(Record{Op: opStart, N: 1, Job: &Job{Kind: Backup}}, Record{Op: opDone, N: 2})
		if len(docs) != 0 {
			t.Fatalf("records that can wait were written at once: %v", docs)
		}
		save(Record{Op: opStart, N: 3, Job: &Job{Kind: Restore}})
		if got := written(); !slices.Equal(got, []int64{1, 2, 3}) || len(docs) != 1 {
			t.Fatalf("written before the restore begins: %v", docs)
		}
		save(Record{Op: opDone, N: 4})
		save(Record{Op: opAccepted, N: 5})
		time.Sleep(waitAccepted + 100*time.Millisecond)
		if got := written(); !slices.Equal(got, []int64{1, 2, 3, 4, 5}) || len(docs) != 2 {
			t.Fatalf("a little after a job was accepted: %v", docs)
		}
		for n := range int64(100) {
			save(Record{Op: opDone, N: 6 + n})
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(waitOther)
		if got := written(); len(got) != 105 || !slices.IsSorted(got) || len(docs) > 4 {
			t.Fatalf("%d records in %d documents: %v", len(got), len(docs), docs)
		}
		save(Record{Op: opDone, N: 200})
		if err := b.Flush(t.Context()); err != nil || !slices.Contains(written(), 200) {
			t.Fatalf("flushed: %v, %v", written(), err)
		}
		if err := b.Flush(t.Context()); err != nil || len(docs[len(docs)-1]) != 1 {
			t.Fatalf("nothing waits and %v was written (%v)", docs[len(docs)-1], err)
		}
	})
}

// TestBatchThatCannotBeWritten: nothing goes on after it, and nothing is written
// behind a hole.
func TestBatchThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrong, calls := errors.New("the store is gone"), 0
		b := NewBatch(func(context.Context, []Record) error { calls++; return wrong })
		if err := b.Save(t.Context(), []Record{{Op: opDone, N: 1}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * waitOther)
		for _, r := range []Record{{Op: opDone, N: 2}, {Op: opStart, N: 3, Job: &Job{Kind: Restore}}} {
			if err := b.Save(t.Context(), []Record{r}); !errors.Is(err, wrong) {
				t.Errorf("saving went on with %v", err)
			}
		}
		if err := b.Flush(t.Context()); !errors.Is(err, wrong) || calls != 1 {
			t.Errorf("flushed with %v after %d calls", err, calls)
		}
	})
}
