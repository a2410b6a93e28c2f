package remote_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// A hop is what stands before a stack.
type hop func(r *http.Request) (*http.Response, error)

func (h hop) RoundTrip(r *http.Request) (*http.Response, error) { return h(r) }

// bodyOf returns what a request sends, which stays to be sent.
func bodyOf(t *testing.T, r *http.Request) string {
	if r.GetBody == nil {
		return ""
	}
	body, err := r.GetBody()
	if err != nil {
		t.Error(err)
		return ""
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// TestALostRestore: the answer to the start of one restore does not come, or its client
// is killed before it does. Where the stack took it, its job is found by its request and
// followed, and nothing is done twice; where it did not, its type waits until a restore
// that nobody knows of must be over. Nothing ever runs beside it.
func TestALostRestore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ taken, killed bool }{
		"taken":                    {true, false},
		"not taken":                {false, false},
		"taken, client killed":     {true, true},
		"not taken, client killed": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMigration(t, small("final", 12))
				dead, die := context.WithCancel(context.Background())
				defer die()
				var lost string
				var sent []time.Time
				restores := 0
				m.between = func(wire http.RoundTripper) http.RoundTripper {
					return hop(func(r *http.Request) (*http.Response, error) {
						body := bodyOf(t, r)
						if strings.Contains(body, "RestoreTypeRequest") {
							if restores++; restores == 9 {
								lost = body
							}
						}
						if body == "" || body != lost {
							return wire.RoundTrip(r)
						}
						if sent = append(sent, time.Now()); len(sent) > 1 {
							return wire.RoundTrip(r)
						}
						if c.taken {
							if _, err := wire.RoundTrip(r); err != nil {
								t.Error(err)
							}
						}
						if c.killed {
							die()
						}
						return nil, errors.New("the connection was reset")
					})
				}
				err := m.run(forever(), dead)
				if c.killed {
					if !errors.Is(err, errKilled) {
						t.Fatalf("it ended with %v", err)
					}
					time.Sleep(20 * time.Second)
					err = m.run(forever(), forever())
				}
				if err != nil {
					t.Fatal(err)
				}
				s := m.sound()
				if lost == "" {
					t.Fatal("nothing was lost")
				}
				if c.taken {
					if n := m.timesLost(lost); len(sent) != 1 || n != 0 {
						t.Errorf("it was sent %d times, and lost %d times", len(sent), n)
					}
					if !c.killed && s.Repeated > m.twins {
						t.Errorf("%d jobs did again what had been done", s.Repeated)
					}
					return
				}
				if n := m.timesLost(lost); len(sent) != 2 || n != 1 {
					t.Fatalf("it was sent %d times, and lost %d times", len(sent), n)
				}
				if wait := sent[1].Sub(sent[0]); wait < 3*time.Minute {
					t.Errorf("it was sent again after %v, when the first might have been running", wait)
				}
			})
		})
	}
}

// timesLost counts how often nobody knew what became of the restore that body asks for.
func (m *migration) timesLost(body string) (n int) {
	restores := map[int64]bool{}
	for _, b := range m.journal {
		var r migrate.Record
		if err := json.Unmarshal(b, &r); err != nil {
			m.t.Fatal(err)
		}
		if r.Job != nil && r.Job.Kind == migrate.Restore && strings.Contains(body, `"`+r.Job.Key+`"`) {
			restores[r.N] = true
		}
		if r.Op == "lost" && restores[r.N] {
			n++
		}
	}
	return n
}

// TestFoundSoon: of a lost answer nothing is left to see in how long a migration takes.
func TestFoundSoon(t *testing.T) {
	t.Parallel()
	took := func(t *testing.T, nth int) (d time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			m := newMigration(t, sim.Config{Seed: 5, Profile: "R", Situation: "initial", Scale: 1000, Types: []string{"TEAM"}})
			restores := 0
			m.between = func(wire http.RoundTripper) http.RoundTripper {
				return hop(func(r *http.Request) (*http.Response, error) {
					a, err := wire.RoundTrip(r)
					if strings.Contains(bodyOf(t, r), "RestoreTypeRequest") {
						if restores++; restores == nth {
							return &http.Response{StatusCode: 504, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<html>Gateway Time-out</html>")), Request: r}, nil
						}
					}
					return a, err
				})
			}
			began := time.Now()
			if err := m.run(forever(), forever()); err != nil {
				t.Error(err)
			}
			d = time.Since(began)
			if m.sound(); nth > 0 && restores < nth || m.lost > 0 {
				t.Errorf("%d restores, %d jobs counted as lost", restores, m.lost)
			}
		})
		return d
	}
	calm := took(t, 0)
	if lost := took(t, 1); lost > calm+5*time.Second {
		t.Errorf("it took %v, undisturbed %v", lost, calm)
	}
}
