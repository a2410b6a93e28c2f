package remote_test

import (
	"testing"
	"testing/synctest"
	"time"

	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// TestMigrations: whole ones over HTTP, real rows, with faults. A first copy of all
// types takes a minute of real time and shows nothing more: it has a few.
func TestMigrations(t *testing.T) {
	for situation, types := range map[string][]string{"final": nil, "initial": {"PRINCIPAL", "V2_WIKI_PAGE", "TEAM"}} {
		t.Run(situation, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMigration(t, sim.Config{Seed: 3, Profile: "E", Situation: situation, Scale: 1000, Faults: true, Types: types})
				began := time.Now()
				if err := m.run(forever(), forever()); err != nil {
					t.Error(err)
				}
				took := time.Since(began)
				m.sound()
				t.Logf("%s; %d requests, %.1f a second; %d lost", took.Round(time.Second), m.requests, float64(m.requests)/took.Seconds(), m.lost)
			})
		})
	}
}
