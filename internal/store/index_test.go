package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

func entry(t time.Time, tail string) ops.IndexEntry {
	return ops.IndexEntry{Run: ops.NewRunID("set-feature", t, tail), Lane: ops.LaneAdmin, Environment: "dev", Requester: "jane"}
}

func TestIndexIsNewestFirst(t *testing.T) {
	s, dir, _ := open(t)
	for range s.Index(t.Context()) {
		t.Fatal("an empty index holds something")
	}
	var want []ops.IndexEntry
	for i, when := range []time.Time{at, at.Add(-time.Second), at.Add(-25 * time.Hour), at.AddDate(0, -1, 0), at.AddDate(-1, 0, 0)} {
		want = append(want, entry(when, fmt.Sprintf("%04d", 9-i)))
	}
	for _, i := range []int{3, 0, 4, 2, 1} {
		ok(t, s.CreateIndex(t.Context(), want[i]))
		ok(t, s.CreateIndex(t.Context(), want[i])) // again is fine
	}
	var got []ops.IndexEntry
	for e, err := range s.Index(t.Context()) {
		ok(t, err)
		got = append(got, e)
	}
	same(t, "Index", got, want)

	// One entry that cannot be read is told, and hides no other.
	path := filepath.Join(dir, "index", "20261123", string(want[1].Run))
	ok(t, os.WriteFile(path, []byte(`{"run":"20261123T141501Z-set-feature-ffff"}`), 0o600))
	read, failed := 0, 0
	for _, err := range s.Index(t.Context()) {
		if err != nil {
			wantCode(t, "an entry that is another's", err, ops.Conflict)
			failed++
		} else {
			read++
		}
	}
	if read != 4 || failed != 1 {
		t.Errorf("%d read and %d failed; want 4 and 1", read, failed)
	}
	wantCode(t, "an entry of no run", s.CreateIndex(t.Context(), ops.IndexEntry{Run: "x"}), ops.Invalid)
}

func TestIndexReadsNoMoreThanIsAsked(t *testing.T) {
	s, _, c := open(t)
	for day := range 5 {
		for i := range 4 {
			ok(t, s.CreateIndex(t.Context(), entry(at.AddDate(0, 0, -day), fmt.Sprintf("%04d", i))))
		}
	}
	for _, ask := range []struct{ entries, lists int }{{1, 2}, {4, 2}, {5, 3}, {8, 3}, {9, 4}} {
		c.gets, c.lists = 0, 0
		n := 0
		for _, err := range s.Index(t.Context()) {
			ok(t, err)
			if n++; n == ask.entries {
				break
			}
		}
		if c.gets != ask.entries || c.lists != ask.lists {
			t.Errorf("%d entries took %d reads and %d lists; want %d and %d", ask.entries, c.gets, c.lists, ask.entries, ask.lists)
		}
	}
}

// later is a store that lists from a name on, as S3 does.
type later struct{ *recorder }

func (l later) ListFrom(ctx context.Context, folder, from string) ([]string, error) {
	names, err := l.List(ctx, folder)
	return slices.DeleteFunc(names, func(name string) bool { return name < from }), err
}

// TestQueued: a run that no worker has begun is found by its start, since the index
// has none of it.
func TestQueued(t *testing.T) {
	s, ctx := store.New(later{&recorder{memory: memory{}}}), t.Context()
	asked := func(lane ops.Lane, when time.Time, tail string, begun bool) ops.RunRef {
		ref := ops.RunRef{Lane: lane, Run: ops.NewRunID("set-feature", when, tail)}
		ok(t, s.CreateStart(ctx, ops.Start{N: 1, Run: ref.Run, Lane: lane, Request: request().Digest()}))
		if begun {
			ok(t, s.CreateIndex(ctx, ops.IndexEntry{Run: ref.Run, Lane: lane}))
		}
		return ref
	}
	asked(ops.LaneAdmin, at.Add(-time.Second), "0001", false) // before
	first := asked(ops.LaneAdmin, at, "0002", false)
	asked(ops.LaneAdmin, at.Add(time.Hour), "0003", true)
	asked(ops.LanePlan, at.Add(time.Hour), "0004", false) // plans are never listed
	last := asked(ops.LaneMigrate, at.Add(25*time.Hour), "0005", false)
	between := asked(ops.LaneAdmin, at.Add(25*time.Hour), "0004", false)
	got, err := s.Queued(ctx, at)
	ok(t, err)
	same(t, "Queued", got, []ops.RunRef{first, between, last})

	onDisk, _, c := open(t)
	ok(t, onDisk.CreateStart(ctx, ops.Start{N: 1, Run: first.Run, Lane: ops.LaneAdmin, Request: request().Digest()}))
	c.lists = 0
	if got, err := onDisk.Queued(ctx, at); len(got) > 0 || err != nil || c.lists > 0 {
		t.Errorf("on disk %v are queued (%v), found in %d lists", got, err, c.lists)
	}
}

// fillIndex enters n runs over so many days, without the store: durability is not
// what is measured.
func fillIndex(b *testing.B, dir string, n, days int) {
	b.Helper()
	made := map[string]bool{}
	for i := range n {
		e := entry(at.AddDate(0, 0, -(i%days)).Add(-time.Duration(i/days)*time.Second/2), fmt.Sprintf("%06x", i))
		data, err := ops.CanonicalJSON(e)
		ok(b, err)
		folder := filepath.Join(dir, "index", e.Run.Time().Format("20060102"))
		if !made[folder] {
			made[folder] = true
			ok(b, os.MkdirAll(folder, 0o700))
		}
		ok(b, os.WriteFile(filepath.Join(folder, string(e.Run)), data, 0o600))
	}
}

// BenchmarkNewest50 tells what listing the newest 50 of 100,000 runs takes, spread
// over a year and, at worst, on one day.
func BenchmarkNewest50(b *testing.B) {
	for _, days := range []int{365, 1} {
		b.Run(fmt.Sprintf("of=100000/days=%d", days), func(b *testing.B) {
			dir := b.TempDir()
			fillIndex(b, dir, 100_000, days)
			s, err := store.Open(b.Context(), dir)
			ok(b, err)
			for b.Loop() {
				var got []ops.RunID
				for e, err := range s.Index(b.Context()) {
					ok(b, err)
					if got = append(got, e.Run); len(got) == 50 {
						break
					}
				}
				if !slices.IsSortedFunc(got, func(x, y ops.RunID) int { return y.Time().Compare(x.Time()) }) {
					b.Fatal("not newest first")
				}
			}
		})
	}
}
