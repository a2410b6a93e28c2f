package s3_test

import (
	"bytes"
	"net/http"
	"sync"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// BenchmarkReadJournal reads the journal of a first copy at full scale, as an attempt
// does that goes on with it: from disk, and from S3 where every call takes 50 ms.
func BenchmarkReadJournal(b *testing.B) {
	const documents, size = 19_313, 600 // as TestMigrationAtFullScale has them; the size is a final pass's mean
	b.Run("on=disk", func(b *testing.B) {
		s, err := store.Open(b.Context(), "file://"+b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		readJournal(b, s, documents, size, func() {})
	})
	b.Run("on=s3/call=50ms", func(b *testing.B) {
		d, e := newStore(b)
		readJournal(b, store.New(d), documents, size, func() {
			slow := func(http.ResponseWriter, *http.Request, func()) bool { time.Sleep(50 * time.Millisecond); return false }
			e.spoil.Store(&slow)
		})
	})
}

// readJournal writes the journal once, and reads it once filled is called.
func readJournal(b *testing.B, s *store.Store, documents, size int, filled func()) {
	ref := ops.RunRef{Lane: ops.LaneMigrate, Run: "20261123T141502Z-migrate-3f9c2a"}
	data := bytes.Repeat([]byte("x"), size)
	var all sync.WaitGroup
	const writers = 32
	for w := range writers {
		all.Go(func() {
			for doc := w + 1; doc <= documents; doc += writers {
				if err := s.AppendJournal(b.Context(), ref, doc, data); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	filled()
	for b.Loop() {
		n := 0
		for _, err := range s.Journal(b.Context(), ref, 0) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != documents {
			b.Fatalf("%d documents read, want %d", n, documents)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/journal")
	b.ReportMetric(0, "ns/op")
}
