package remote_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// TestMigrations: whole ones over HTTP, real rows, with faults. A first copy of all
// types takes a minute of real time and shows nothing more: it has a few.
func TestMigrations(t *testing.T) {
	all := []string(nil)
	if racing {
		all = small("final", 0).Types
	}
	for situation, types := range map[string][]string{"final": all, "initial": {"PRINCIPAL", "V2_WIKI_PAGE", "TEAM"}} {
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

// TestKilledAndResumed: the process dies at random instants, with requests under way
// and records half written, and another goes on from the journal. It does again no
// more than what was in flight at each death, and breaks no rule.
func TestKilledAndResumed(t *testing.T) {
	t.Parallel()
	situations, kills := []string{"final"}, 6
	if proving {
		situations, kills = []string{"final", "nightly", "initial"}, 20
	}
	for _, situation := range situations {
		t.Run(situation, func(t *testing.T) {
			t.Parallel()
			longest := longestLife
			if proving { // all over the run
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					if err := newMigration(t, small(situation, 11)).run(forever(), forever()); err != nil {
						t.Error(err)
					}
					longest = 2 * time.Since(began) / time.Duration(kills)
				})
			}
			for ends := 0; ends < kills && !t.Failed(); longest = longest * 4 / 5 { // until all fall within it
				synctest.Test(t, func(t *testing.T) { ends = newMigration(t, small(situation, 11)).killed(kills, longest) })
				if !proving {
					break
				}
			}
		})
	}
}

// killed kills process after process, and returns how often.
func (m *migration) killed(kills int, longest time.Duration) int {
	m.t.Helper()
	ends := m.untilDone(kills, longest, func(life time.Duration) error {
		dead, die := context.WithCancel(context.Background())
		defer time.AfterFunc(life, die).Stop()
		defer die()
		return m.run(forever(), dead)
	}, errKilled)
	if s := m.sound(); s.Repeated > m.inFlight+m.twins {
		m.t.Errorf("%d jobs did again what had been done, %d were in flight at the deaths", s.Repeated, m.inFlight)
	} else {
		m.t.Logf("%d deaths, %d in flight, %d repeated, %d lost", ends, m.inFlight, s.Repeated, m.lost)
	}
	return ends
}

// TestHandedOver: a process that is told to end leaves no job of which nobody knows,
// and nothing is done again.
func TestHandedOver(t *testing.T) {
	t.Parallel()
	errLimit := errors.New("the build's limit is near")
	synctest.Test(t, func(t *testing.T) {
		m := newMigration(t, small("final", 12))
		ends := m.untilDone(6, longestLife, func(life time.Duration) error {
			ctx, end := context.WithCancelCause(context.Background())
			defer time.AfterFunc(life, func() { end(errLimit) }).Stop()
			defer end(nil)
			return m.run(ctx, forever())
		}, errLimit)
		s := m.sound()
		if again := m.again(); len(again) > 0 || m.lost > 0 {
			t.Errorf("did again what had been done: %v; of %d jobs nobody knew what became", again, m.lost)
		}
		t.Logf("%d times handed over, %d in flight, %d repeated, %d begun again", ends, m.inFlight, s.Repeated, m.twins)
	})
}
