package adminapi_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// Both simulated stacks, and a client of each. Within a synctest bubble, so that
// jobs take no time.
type stacks struct {
	t      *testing.T
	served *sim.Stacks
	client [2]*adminapi.Migration
}

func newStacks(t *testing.T, types ...string) *stacks {
	p, err := sim.New(sim.Config{Seed: 1, Profile: "E", Situation: "initial", Scale: 1000, Types: types})
	if err != nil {
		t.Fatal(err)
	}
	s := &stacks{t: t, served: sim.NewStacks(p, time.Now, 1)}
	for side, secret := range []string{sim.SourceSecret, sim.DestinationSecret} {
		s.client[side] = s.as(side, secret)
	}
	return s
}

// as returns a client of one stack, with a secret that may be wrong.
func (s *stacks) as(side int, secret string) *adminapi.Migration {
	wire := s.served.Wire(sim.Side(side), 70*time.Millisecond)
	m, _ := migrator(s.t, adminapi.Config{Host: "https://stack.example.org", Transport: wire}, adminapi.Credential{Key: sim.Key, Secret: secret})
	return m
}

// end follows a job to its end.
func (s *stacks) end(side int, started synapse.AsyncJobStatus, err error) synapse.MigrationAnswer {
	s.t.Helper()
	for range 1000 {
		if err != nil {
			break
		}
		var now synapse.AsyncJobStatus
		var a synapse.MigrationAnswer
		if now, a, err = s.client[side].Job(s.t.Context(), started.JobID); err == nil && now.JobState == synapse.JobComplete {
			return a
		}
		if now.JobState == synapse.JobFailed {
			s.t.Fatalf("job %s failed: %s", started.JobID, now.ErrorMessage)
		}
		time.Sleep(time.Second)
	}
	s.t.Fatalf("job %q did not end: %v", started.JobID, err)
	return synapse.MigrationAnswer{}
}

// TestMigrationByHand copies two types with nothing but the client, and the
// simulated stacks find nothing wrong.
func TestMigrationByHand(t *testing.T) { synctest.Test(t, migrationByHand) }

func migrationByHand(t *testing.T) {
	s := newStacks(t, "TEAM", "ACL")
	ctx := t.Context()
	source, destination := s.client[0], s.client[1]
	if now, err := destination.SetStackStatus(ctx, synapse.StackStatus{Status: "READ_ONLY"}); err != nil || now.Status != "READ_ONLY" {
		t.Fatalf("the destination is %v: %v", now, err)
	}
	types, err := source.PrimaryTypes(ctx)
	if want := []string{"TEAM", "ACL"}; err != nil || !slices.Equal(types, want) {
		t.Fatalf("primary types %v: %v", types, err)
	}
	started, err := source.StartCounts(ctx, types)
	counts := s.end(0, started, err).Counts
	const batch = 400
	for _, m := range counts {
		if m.Min == nil || m.Max == nil {
			t.Fatalf("%s has no rows", m.Type)
		}
		all := synapse.MigrationRange{Min: *m.Min, Max: *m.Max}
		started, err := source.StartRanges(ctx, m.Type, all, batch)
		ranges := s.end(0, started, err).Ranges
		if len(ranges) == 0 || ranges[len(ranges)-1].End != all.Max+1 {
			t.Errorf("%s: the last range of %v does not end beyond %d", m.Type, ranges, all.Max)
		}
		for _, r := range ranges {
			part := synapse.MigrationRange{Min: r.Min, Max: r.End - 1}
			started, err := source.StartBackup(ctx, m.Type, part, batch)
			key := s.end(0, started, err).BackupKey
			started, err = destination.StartRestore(ctx, m.Type, key, part, batch)
			if n := s.end(1, started, err).Restored; n < 1 {
				t.Errorf("%s %v: %d rows restored", m.Type, part, n)
			}
		}
		var sums [2][]synapse.MigrationChecksum
		for side, c := range s.client {
			started, err := c.StartChecksum(ctx, m.Type, all, batch, "salt")
			sums[side] = s.end(side, started, err).Checksums
			slices.SortFunc(sums[side], func(a, b synapse.MigrationChecksum) int { return int(a.Bin - b.Bin) })
		}
		if d := cmp.Diff(sums[0], sums[1]); d != "" || len(sums[0]) == 0 {
			t.Errorf("%s: the sums differ: %s", m.Type, d)
		}
	}
	if _, err := destination.SetStackStatus(ctx, synapse.StackStatus{Status: "READ_WRITE"}); err != nil {
		t.Error(err)
	}
	s.served.Look(func(p *sim.Pair) {
		if sum := p.Summary(); sum.Wrong > 0 || len(sum.Violations) > 0 {
			t.Errorf("%d rows are wrong; broken rules: %q", sum.Wrong, sum.Violations)
		}
	})
}

// TestEachStackHasItsOwnSecret: the other one's opens nothing.
func TestEachStackHasItsOwnSecret(t *testing.T) { synctest.Test(t, eachItsOwnSecret) }

func eachItsOwnSecret(t *testing.T) {
	s := newStacks(t, "TEAM")
	m := s.as(1, sim.SourceSecret)
	_, err := m.SetStackStatus(context.Background(), synapse.StackStatus{Status: "READ_ONLY"})
	wantError(t, err, ops.Denied, "401")
	s.served.Look(func(p *sim.Pair) {
		if now := p.StackStatus(sim.Destination); now != "READ_WRITE" {
			t.Errorf("the destination is %s", now)
		}
	})
	v, err := m.Version(t.Context())
	if err != nil || v.StackInstance != "544" {
		t.Errorf("version %v: %v", v, err)
	}
}

// TestJobsThatMakeNoSense are refused by the served stacks with what is wrong.
func TestJobsThatMakeNoSense(t *testing.T) { synctest.Test(t, jobsThatMakeNoSense) }

func jobsThatMakeNoSense(t *testing.T) {
	s := newStacks(t, "TEAM")
	m, r := s.client[0], synapse.MigrationRange{Min: 1, Max: 9}
	for want, start := range map[string]func() (synapse.AsyncJobStatus, error){
		"NO_SUCH": func() (synapse.AsyncJobStatus, error) { return m.StartBackup(t.Context(), "NO_SUCH", r, 50) },
		"range": func() (synapse.AsyncJobStatus, error) {
			return m.StartBackup(t.Context(), "TEAM", synapse.MigrationRange{Min: 9, Max: 1}, 50)
		},
		"size":   func() (synapse.AsyncJobStatus, error) { return m.StartRanges(t.Context(), "TEAM", r, 0) },
		"salt":   func() (synapse.AsyncJobStatus, error) { return m.StartChecksum(t.Context(), "TEAM", r, 50, "") },
		"backup": func() (synapse.AsyncJobStatus, error) { return m.StartRestore(t.Context(), "TEAM", "no.zip", r, 50) },
		"types":  func() (synapse.AsyncJobStatus, error) { return m.StartCounts(t.Context(), nil) },
	} {
		_, err := start()
		wantError(t, err, ops.Invalid, "400", want)
	}
	_, _, err := m.Job(t.Context(), "77")
	wantError(t, err, ops.NotFound, "77")
}

// TestThrottledForAMinute: what a copy asks is soon asked at its pace again, for the
// last copy takes six minutes.
func TestThrottledForAMinute(t *testing.T) { synctest.Test(t, throttledForAMinute) }

func throttledForAMinute(t *testing.T) {
	s := newStacks(t, "TEAM")
	until := time.Now().Add(time.Minute)
	wire := answering(func(r *http.Request) (*http.Response, error) {
		if time.Now().Before(until) {
			return &http.Response{StatusCode: 429, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}
		return s.served.Wire(sim.Source, 70*time.Millisecond).RoundTrip(r)
	})
	m, _ := migrator(t, adminapi.Config{Host: "https://stack.example.org", Transport: wire}, adminapi.Credential{Key: sim.Key, Secret: sim.SourceSecret})
	for time.Now().Before(until) {
		_, _ = m.StackStatus(t.Context())
	}
	ask := func(n int) time.Duration {
		began := time.Now()
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				if _, err := m.StackStatus(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		return time.Since(began)
	}
	for range 20 {
		time.Sleep(5 * time.Second)
		ask(1)
	}
	if took := ask(150); took > 12*time.Second {
		t.Errorf("100 seconds after a minute of 429, 150 calls took %s", took)
	}
}

type answering func(r *http.Request) (*http.Response, error)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
