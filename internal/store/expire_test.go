package store_test

import (
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

func TestExpirePrivate(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		age  time.Duration
		kept bool
	}{
		{"today's", 0, true},
		{"of 30 days ago", store.PrivateFor, true},
		{"of 32 days ago", store.PrivateFor + 48*time.Hour, false},
		{"of last year", 400 * 24 * time.Hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := store.Open(t.Context(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			ref := ops.RunRef{Lane: ops.LaneAdmin, Run: ops.NewRunID("remove-user", now.Add(-c.age), "3f9c")}
			ok(t, s.CreateIndex(t.Context(), ops.IndexEntry{Run: ref.Run, Lane: ref.Lane, Environment: "dev"}))
			ok(t, s.CreatePrivate(t.Context(), ref, "user~1.json", []byte(`{"email":"jane@example.org"}`)))
			_, err = s.CreateCancel(t.Context(), ref, ops.CancelMarker{By: "jane", At: now})
			ok(t, err)
			for range 2 { // again changes nothing
				ok(t, s.ExpirePrivate(t.Context(), now))
			}
			_, err = s.Private(t.Context(), ref, "user~1.json")
			if kept := err == nil; kept != c.kept {
				t.Errorf("kept = %v, want %v (%v)", kept, c.kept, err)
			}
			if m, err := s.CancelMarker(t.Context(), ref); err != nil || m == nil {
				t.Errorf("another document of the run is gone: %v", err)
			}
		})
	}
}
