package remote_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate/remote"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// A seeking is one restore, over HTTP, the answer to whose start is lost.
type seeking struct {
	*testing.T
	source, destination *adminapi.Migration
	began               time.Time
	job                 migrate.Job
	untaken             bool                                                   // its start does not arrive
	late                time.Duration                                          // or so much later
	shows               func(n int64, r *http.Request) (*http.Response, error) // a look at the nth ID after the highest known one; nil, nil: what the stack says
	losing              bool

	mu    sync.Mutex
	looks []int64
	away  time.Duration // for how long the destination seems not to have answered, in the end
	wires sync.WaitGroup
}

// newSeeking has a backup to restore, and knows one ID of the destination.
func newSeeking(t *testing.T) *seeking {
	p, err := sim.New(sim.Config{Seed: 1, Profile: "E", Situation: "initial", Scale: 1000, Types: []string{"TEAM", "ACL"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &seeking{T: t}
	served := sim.NewStacks(p, time.Now, 1)
	clients := map[string]**adminapi.Migration{sim.SourceSecret: &s.source, sim.DestinationSecret: &s.destination}
	for side, secret := range []string{sim.SourceSecret, sim.DestinationSecret} {
		wire := served.Wire(sim.Side(side), 70*time.Millisecond)
		c, err := adminapi.NewMigration(adminapi.Config{
			Host: "https://stack.example.org", Transport: hop(func(r *http.Request) (*http.Response, error) { return s.carry(wire, r) }),
		}, func(context.Context) (adminapi.Credential, error) {
			return adminapi.Credential{Key: sim.Key, Secret: secret}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		*clients[secret] = c
	}
	if _, err := s.destination.SetStackStatus(t.Context(), synapse.StackStatus{Status: synapse.ReadOnly}); err != nil {
		t.Fatal(err)
	}
	r := migrate.Span{Min: 1, Max: 2000}
	_, a := s.end(s.source, s.number(s.source.StartBackup(t.Context(), "TEAM", synapse.MigrationRange(r), 50)))
	s.job = migrate.Job{N: 1, Kind: migrate.Restore, Side: migrate.Destination, Type: "TEAM", Span: r, Size: 50, Key: a.BackupKey}
	s.knows(s.number(s.destination.StartCounts(t.Context(), []string{"TEAM"})))
	return s
}

func (s *seeking) number(st synapse.AsyncJobStatus, err error) int64 {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	n, err := strconv.ParseInt(st.JobID, 10, 64)
	if err != nil {
		s.Fatal(err)
	}
	return n
}

// knows makes n the highest ID that was given before the restore's start.
func (s *seeking) knows(n int64) { s.job.After = n }

// end waits for a job's end.
func (s *seeking) end(c *adminapi.Migration, n int64) (synapse.AsyncJobStatus, synapse.MigrationAnswer) {
	s.Helper()
	for range 1000 {
		st, a, err := c.Job(s.Context(), strconv.FormatInt(n, 10))
		if err != nil {
			s.Fatal(err)
		}
		if st.JobState != synapse.JobProcessing {
			return st, a
		}
		time.Sleep(time.Second)
	}
	s.Fatalf("job %d does not end", n)
	return synapse.AsyncJobStatus{}, synapse.MigrationAnswer{}
}

// restored is another restore of the same backup, to its end.
func (s *seeking) restored(kind string, r migrate.Span, batch int64) int64 {
	s.Helper()
	n := s.number(s.destination.StartRestore(s.Context(), kind, s.job.Key, synapse.MigrationRange(r), batch))
	s.end(s.destination, n)
	return n
}

// others are so many jobs on the destination, or on the source, whose IDs nobody finds
// at the destination.
func (s *seeking) others(c *adminapi.Migration, n int) {
	s.Helper()
	for range n {
		s.number(c.StartChecksum(s.Context(), "ACL", synapse.MigrationRange{Min: 1, Max: 9}, 50, "salt"))
	}
}

func (s *seeking) carry(wire http.RoundTripper, r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	losing := s.losing
	s.mu.Unlock()
	if !losing {
		return wire.RoundTrip(r)
	}
	if r.Method == http.MethodPost {
		send := func() { _, _ = wire.RoundTrip(r.WithContext(context.WithoutCancel(r.Context()))) }
		switch {
		case s.untaken:
		case s.late > 0:
			s.wires.Go(func() { time.Sleep(s.late); send() })
		default:
			send()
		}
		return nil, errors.New("the connection was reset")
	}
	if _, id, ok := strings.Cut(r.URL.Path, "/asynchronous/job/"); ok {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			s.Errorf("looked at job %q", id)
		}
		s.mu.Lock()
		s.looks = append(s.looks, n-s.job.After)
		s.mu.Unlock()
		if s.shows != nil {
			if a, err := s.shows(n-s.job.After, r); a != nil || err != nil {
				return a, err
			}
		}
	}
	return wire.RoundTrip(r)
}

// ends starts the restore and returns its events, until it is over or ctx ends, and why
// the executor gave up.
func (s *seeking) ends(ctx context.Context) (events []migrate.Event, gaveUp error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	x := remote.New(s.source, s.destination, giveUp)
	defer x.Close()
	defer giveUp(nil)
	s.mu.Lock()
	s.losing, s.began = true, time.Now()
	s.mu.Unlock()
	x.Start(ctx, s.job)
	for ctx.Err() == nil {
		for _, e := range x.Wait(ctx, time.Now().Add(time.Hour)) {
			events = append(events, e)
			if e.Over() {
				s.wires.Wait()
				s.away = x.Away(migrate.Destination)
				return events, context.Cause(ctx)
			}
		}
	}
	return events, context.Cause(ctx)
}

// answers are those of whoever stands between.
func answers(status int, body string) func(int64, *http.Request) (*http.Response, error) {
	return func(_ int64, r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

// before is what looks at IDs before the nth show.
func before(n int64, shows func(int64, *http.Request) (*http.Response, error)) func(int64, *http.Request) (*http.Response, error) {
	return func(i int64, r *http.Request) (*http.Response, error) {
		if i < n {
			return shows(i, r)
		}
		return nil, nil
	}
}

// TestTheJobBehindALostAnswer is found only where it is, and whatever else is met on
// the way neither hides it nor ends the run.
func TestTheJobBehindALostAnswer(t *testing.T) {
	const (
		nowhere = int64(0)
		page    = "<html><body>Request blocked</body></html>"
		said    = `{"concreteType":"org.sagebionetworks.repo.model.ErrorResponse","reason":"no"}`
	)
	hangs := func(_ int64, r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	for name, c := range map[string]struct {
		set    func(s *seeking)
		at     int64 // the place of the job that is found, after the highest ID known
		within time.Duration
	}{
		"at the next ID": {func(*seeking) {}, 1, time.Second},
		"not taken":      {func(s *seeking) { s.untaken = true }, nowhere, 70 * time.Second},
		"arrives later":  {func(s *seeking) { s.late = 20 * time.Second }, 1, 30 * time.Second},

		"behind a checksum":                      {func(s *seeking) { s.others(s.destination, 1) }, 2, 2 * time.Second},
		"behind a restore of another batch size": {func(s *seeking) { s.restored("TEAM", s.job.Span, 60) }, 2, 2 * time.Second},
		"behind a restore of a longer range":     {func(s *seeking) { s.restored("TEAM", migrate.Span{Min: 1, Max: 2001}, 50) }, 2, 2 * time.Second},
		"behind one that begins elsewhere":       {func(s *seeking) { s.restored("TEAM", migrate.Span{Min: 0, Max: 2000}, 50) }, 2, 2 * time.Second},
		"behind one of another type":             {func(s *seeking) { s.restored("ACL", s.job.Span, 50) }, 2, 2 * time.Second},
		"other jobs only":                        {func(s *seeking) { s.others(s.destination, 5); s.untaken = true }, nowhere, 70 * time.Second},
		"an equal one that was known before":     {func(s *seeking) { s.knows(s.restored("TEAM", s.job.Span, 50)); s.untaken = true }, nowhere, 70 * time.Second},
		"behind fifteen IDs without a job":       {func(s *seeking) { s.others(s.source, 15) }, 16, 8 * time.Second},
		"behind sixteen":                         {func(s *seeking) { s.others(s.source, 16) }, nowhere, 70 * time.Second},
		"the last within reach":                  {func(s *seeking) { s.others(s.destination, 63) }, 64, 30 * time.Second},
		"the first beyond":                       {func(s *seeking) { s.others(s.destination, 64) }, nowhere, 100 * time.Second},
		"behind others' jobs, 403":               {func(s *seeking) { s.others(s.source, 2); s.shows = before(3, answers(403, said)) }, 3, 5 * time.Second},
		"behind what needs other credentials":    {func(s *seeking) { s.others(s.source, 2); s.shows = before(3, answers(401, said)) }, 3, 5 * time.Second},
		"behind what the service cannot tell":    {func(s *seeking) { s.others(s.source, 2); s.shows = before(3, answers(500, said)) }, 3, 20 * time.Second},
		"behind a page":                          {func(s *seeking) { s.others(s.source, 2); s.shows = before(3, answers(200, page)) }, 3, 5 * time.Second},
		"behind a page that refuses":             {func(s *seeking) { s.others(s.source, 2); s.shows = before(3, answers(403, page)) }, 3, 25 * time.Second},
		"behind nothing":                         {func(s *seeking) { s.others(s.source, 2); s.shows = before(3, answers(200, "")) }, 3, 5 * time.Second},
		"behind a job without request": {func(s *seeking) {
			s.others(s.source, 2)
			s.shows = before(3, answers(200, `{"jobState":"PROCESSING"}`))
		}, 3, 5 * time.Second},
		"behind IDs that hang":                    {func(s *seeking) { s.others(s.source, 2); s.shows = before(3, hangs) }, 3, 25 * time.Second},
		"all need other credentials":              {func(s *seeking) { s.shows = answers(401, said) }, nowhere, 70 * time.Second},
		"all are others'":                         {func(s *seeking) { s.shows = answers(403, said) }, nowhere, 70 * time.Second},
		"all are pages":                           {func(s *seeking) { s.shows = answers(200, page) }, nowhere, 70 * time.Second},
		"none is answered":                        {func(s *seeking) { s.shows = answers(503, said) }, nowhere, 110 * time.Second},
		"nothing is known before":                 {func(s *seeking) { s.knows(0) }, nowhere, time.Second},
		"the stack does not answer for a minute":  {func(s *seeking) { s.shows = untilAfter(s, time.Minute, answers(503, said)) }, 1, 90 * time.Second},
		"the job is seen after half a minute":     {func(s *seeking) { s.shows = untilAfter(s, 30*time.Second, answers(404, said)) }, 1, 50 * time.Second},
		"of a client that was killed":             {func(s *seeking) { s.killed() }, 1, time.Second},
		"of a client that was killed, not taken":  {func(s *seeking) { s.untaken = true; s.killed() }, nowhere, 70 * time.Second},
		"a backup, which is sooner started again": {func(s *seeking) { s.job.Kind, s.job.Side = migrate.Backup, migrate.Source }, nowhere, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSeeking(t)
				c.set(s)
				events, gaveUp := s.ends(t.Context())
				if gaveUp != nil {
					t.Fatalf("it gave up: %v", gaveUp)
				}
				end := events[len(events)-1]
				var found int64
				var took time.Duration
				for _, e := range events {
					if e.ServerID != "" {
						found, took = s.number(synapse.AsyncJobStatus{JobID: e.ServerID}, nil)-s.job.After, e.At.Sub(s.began)
					}
				}
				switch {
				case found != c.at:
					t.Fatalf("found %d, want %d: %+v", found, c.at, events)
				case c.at != nowhere && (end.Answer == nil || end.Answer.Rows == 0):
					t.Errorf("it was found and ended with %+v", end)
				case c.at == nowhere && (end.Lost == "" || end.Answer != nil):
					t.Errorf("it ended with %+v, want it to be lost", end)
				case c.at == nowhere:
					took = end.At.Sub(s.began)
				}
				if took > c.within {
					t.Errorf("it took %v, want %v", took, c.within)
				}
				if asked := s.job.Findable() && s.job.Sought == ""; asked != events[0].Sought {
					t.Errorf("looked for %t, but told as %+v first", asked, events[0])
				}
				if answered := len(s.looks) > 0 && name != "none is answered"; answered && s.away > 0 {
					t.Errorf("it answered, but seems not to have for %v", s.away)
				}
				for _, n := range s.looks {
					if s.job.Findable() && (n < 1 || n > 64) {
						t.Errorf("looked at an ID %d after the highest known", n)
					}
				}
				if most := 4 * 64; len(s.looks) > most {
					t.Errorf("%d looks", len(s.looks))
				}
			})
		})
	}
}

// untilAfter is what looks show for so long.
func untilAfter(s *seeking, d time.Duration, shows func(int64, *http.Request) (*http.Response, error)) func(int64, *http.Request) (*http.Response, error) {
	return func(n int64, r *http.Request) (*http.Response, error) {
		if time.Since(s.began) < d {
			return shows(n, r)
		}
		return nil, nil
	}
}

// killed leaves the restore to be looked for by a process that did not start it.
func (s *seeking) killed() {
	s.job.Sought = "its process died"
	if !s.untaken {
		s.number(s.destination.StartRestore(s.Context(), s.job.Type, s.job.Key, synapse.MigrationRange(s.job.Span), s.job.Size))
	}
}

// TestFoundWhenItHadFailed: how it ended is told as of any job.
func TestFoundWhenItHadFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeeking(t)
		s.number(s.destination.StartRestore(t.Context(), "TEAM", s.job.Key, synapse.MigrationRange(s.job.Span), 60)) // beside which it must fail
		time.Sleep(2 * time.Second)
		events, gaveUp := s.ends(t.Context())
		if end := events[len(events)-1]; gaveUp != nil || !strings.Contains(end.Failed, "Deadlock") {
			t.Errorf("it ended with %+v, %v", events, gaveUp)
		}
	})
}

// TestToldToEndWhileLooking: it ends at once, and says nothing: whoever goes on looks
// for it again.
func TestToldToEndWhileLooking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeeking(t)
		s.untaken = true
		ctx, end := context.WithTimeout(t.Context(), 10*time.Second)
		defer end()
		events, _ := s.ends(ctx)
		if took := time.Since(s.began); took > 10*time.Second {
			t.Errorf("it ended after %v", took)
		}
		if len(events) != 1 || !events[0].Sought || events[0].Over() {
			t.Errorf("it told %+v", events)
		}
	})
}
