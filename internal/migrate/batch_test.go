package migrate

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestBatch: a restore is begun only when all before it is durable, nothing waits
// long, the order is kept, and documents are few.
func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // the batch writes by itself meanwhile
		var docs [][]int64
		b := NewBatch(func(_ context.Context, records []Record) error {
			time.Sleep(40 * time.Millisecond) // as long as a store takes
			var ns []int64
			for _, r := range records {
				ns = append(ns, r.N)
			}
			mu.Lock()
			defer mu.Unlock()
			docs = append(docs, ns)
			return nil
		})
		save := func(records ...Record) {
			t.Helper()
			if err := b.Save(t.Context(), records); err != nil {
				t.Fatal(err)
			}
		}
		written := func() ([]int64, int) {
			mu.Lock()
			defer mu.Unlock()
			return slices.Concat(docs...), len(docs)
		}

		save(Record{Op: opStart, N: 1, Job: &Job{Kind: Backup}}, Record{Op: opDone, N: 2})
		if got, n := written(); n != 0 {
			t.Fatalf("records that can wait were written at once: %v", got)
		}
		save(Record{Op: opStart, N: 3, Job: &Job{Kind: Restore}})
		if got, n := written(); !slices.Equal(got, []int64{1, 2, 3}) || n != 1 {
			t.Fatalf("written before the restore begins: %v", got)
		}
		save(Record{Op: opDone, N: 4})
		save(Record{Op: opAccepted, N: 5})
		time.Sleep(waitAccepted + 100*time.Millisecond)
		if got, n := written(); !slices.Equal(got, []int64{1, 2, 3, 4, 5}) || n != 2 {
			t.Fatalf("a little after a job was accepted: %v", got)
		}
		for n := range int64(100) {
			save(Record{Op: opDone, N: 6 + n})
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(waitOther)
		got, before := written()
		if len(got) != 105 || !slices.IsSorted(got) || before > 4 {
			t.Fatalf("%d records in %d documents: %v", len(got), before, got)
		}
		save(Record{Op: opDone, N: 200})
		for range 2 { // the second time nothing waits
			if err := b.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, n := written(); n != before+1 || got[len(got)-1] != 200 {
				t.Fatalf("flushed: %v in %d documents", got, n)
			}
		}
	})
}

// TestBatchThatCannotBeWritten: nothing goes on after it, and nothing is written
// behind a hole.
func TestBatchThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrong, calls := errors.New("the store is gone"), atomic.Int64{}
		b := NewBatch(func(context.Context, []Record) error { calls.Add(1); return wrong })
		if err := b.Save(t.Context(), []Record{{Op: opDone, N: 1}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * waitOther)
		for _, r := range []Record{{Op: opDone, N: 2}, {Op: opStart, N: 3, Job: &Job{Kind: Restore}}} {
			if err := b.Save(t.Context(), []Record{r}); !errors.Is(err, wrong) {
				t.Errorf("saving went on with %v", err)
			}
		}
		if err := b.Flush(t.Context()); !errors.Is(err, wrong) || calls.Load() != 1 {
			t.Errorf("flushed with %v after %d calls", err, calls.Load())
		}
	})
}
