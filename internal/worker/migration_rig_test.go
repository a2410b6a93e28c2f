package worker_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate/remote"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// A migrating is one run of the task migrate on two simulated stacks, in a bubble of
// fake time: whole, from guards to result, with the real client and executor.
type migrating struct {
	*testing.T
	stacks   *sim.Stacks
	docs     *memory
	store    *store.Store
	req      ops.Request
	users    [2]string // host and instance that users are on
	secret   [2]string
	dead     atomic.Bool
	away     [2]atomic.Bool // stacks that do not answer
	walled   [2]atomic.Bool // stacks before which something refuses everything, with a page
	turned   [2]atomic.Bool // stacks that do not accept their credential any more
	loses    func()         // called in place of the answer to the next start of a restore
	untaken  bool           // which does not arrive either
	limit    time.Duration  // of a build; 0: none
	out      lockedBuffer
	loseSets atomic.Int64 // calls that set a status and do not get through
}

var pairHosts = [2]string{"https://repo-prod.prod.example.org", "https://repo-staging.prod.example.org"}

func newMigrating(t *testing.T, c sim.Config, inputs ...string) *migrating {
	t.Helper()
	if c.Scale == 0 {
		c.Profile, c.Scale = "R", 1000
	}
	switch {
	case c.Types != nil && len(c.Types) == 0:
		c.Types = nil
	case c.Types != nil:
	case c.Situation == "final":
		c.Types = []string{"TEAM", "ACL", "PRINCIPAL", "CHANGE"}
	default: // a whole copy of CHANGE takes the test a minute
		c.Types = []string{"TEAM", "ACL", "PRINCIPAL"}
	}
	p, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	m := &migrating{T: t, stacks: sim.NewStacks(p, time.Now, 1), docs: newMemory(), users: [2]string{pairHosts[0], "543"}, secret: [2]string{sim.SourceSecret, sim.DestinationSecret}}
	m.store = store.New(m.docs)
	m.again(inputs...)
	return m
}

// again asks for another run, of the next document store.
func (m *migrating) again(inputs ...string) {
	m.docs = newMemory()
	m.store = store.New(m.docs)
	task, err := tasks.Catalog().Task("migrate")
	if err != nil {
		m.Fatal(err)
	}
	m.req = ops.Request{Task: "migrate", TaskVersion: task.Version, Environment: "prod", Host: pairHosts[0], Lane: task.Lane, Requester: "grace", Synops: "v1",
		Inputs: map[string]string{"source-host": pairHosts[0], "destination-host": pairHosts[1], "batch-size": "50"}}
	for _, in := range inputs {
		name, value, _ := strings.Cut(in, "=")
		m.req.Inputs[name] = value
	}
}

// A cord is a stack's wire that ends with the process.
type cord struct {
	m    *migrating
	side int
	wire http.RoundTripper
}

func (c cord) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.m.dead.Load() || c.m.away[c.side].Load() {
		return nil, errDead
	}
	if c.m.walled[c.side].Load() {
		return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"text/html"}}, Body: io.NopCloser(strings.NewReader("<html>Request blocked"))}, nil
	}
	if c.m.turned[c.side].Load() && r.Header.Get("Authorization") != "" {
		r.Header.Set("Authorization", "Basic bm86bm8=")
	}
	if r.Method == http.MethodPut && c.m.loseSets.Add(-1) >= 0 {
		return nil, errDead
	}
	if lose := c.m.loses; lose != nil && r.Method == http.MethodPost {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(body)
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(text), "RestoreTypeRequest") {
			c.m.loses = nil
			var err error
			if !c.m.untaken {
				_, err = c.wire.RoundTrip(r)
			}
			lose()
			return nil, errors.Join(errDead, err)
		}
	}
	return c.wire.RoundTrip(r)
}

func (m *migrating) Environment() *ops.Environment {
	return &ops.Environment{Name: "prod", Hosts: pairHosts[:], Instances: []string{"54*"}}
}

// opened is what one process asks of the stacks.
type opened struct {
	*migrating
	clients [2]*adminapi.Migration
}

func (o *opened) Host(side migrate.Side) string { return o.req.Inputs[side.String()+"-host"] }

func (o *opened) Stack(side migrate.Side) tasks.MigrationStack { return o.clients[side] }

func (o *opened) Users(context.Context) (string, synapse.Version, error) {
	return o.users[0], synapse.Version{StackInstance: o.users[1]}, nil
}

func (o *opened) Follow(giveUp context.CancelCauseFunc) tasks.MigrationJobs {
	return remote.New(o.clients[0], o.clients[1], giveUp)
}

// attempt performs the newest start in a process of its own.
func (m *migrating) attempt(ctx context.Context) (*ops.Result, error) {
	o := &opened{migrating: m}
	for side := range o.clients {
		c, err := adminapi.NewMigration(adminapi.Config{Host: pairHosts[side], Transport: cord{m, side, m.stacks.Wire(sim.Side(side), 70*time.Millisecond)}},
			func(context.Context) (adminapi.Credential, error) {
				return adminapi.Credential{Key: sim.Key, Secret: m.secret[side]}, nil
			})
		if err != nil {
			m.Fatal(err)
		}
		defer c.Close()
		o.clients[side] = c
	}
	c := worker.Config{
		Documents: m.store, Catalog: tasks.Catalog(), Environment: m.Environment(), Host: m.req.Host, Synops: "v1", Out: &m.out, Attempt: ops.Attempt{Host: "h", Process: "p"},
		Pure: func(name ops.TaskName) (ops.Procedure, error) { return tasks.Bind(name, nil) },
		Open: func(_ context.Context, req *ops.Request) (*worker.Bound, error) {
			p, err := tasks.BindMigration(req.Task, o)
			return &worker.Bound{Procedure: p, InFlight: func() int { return 1 }}, err
		},
	}
	if m.limit > 0 {
		c.Limit, c.HandOver, c.Next = m.limit, m.limit/4, m.store.CreateStart
	}
	return worker.New(c).Work(ctx, ops.RunRef{Lane: m.req.Lane, Run: run1})
}

func (m *migrating) begin(kind ops.StartKind) {
	m.Helper()
	begin(m, m.store, m.req, func(s *ops.Start) { s.Kind, s.Confirm = kind, ops.ConfirmDigest("544 544.0") })
}

// ends performs an attempt that must leave a result of this outcome.
func (m *migrating) ends(kind ops.StartKind, want ops.Outcome, code ops.Code, words ...string) *ops.Result {
	m.Helper()
	m.begin(kind)
	r, err := m.attempt(m.Context())
	return m.ended(r, err, want, code, words...)
}

func (m *migrating) ended(r *ops.Result, err error, want ops.Outcome, code ops.Code, words ...string) *ops.Result {
	m.Helper()
	if err != nil || r.Outcome != want || r.Code != code {
		m.Fatalf("ended with %+v (%v), want %s (%s)\n%s", r, err, want, code, m.said())
	}
	text := r.Message + " " + r.Next
	for _, e := range r.Effects {
		text += " " + e.Message
	}
	contains(m, "what the result says", text, words...)
	if v, err := m.store.Verify(context.Background(), ops.RunRef{Lane: m.req.Lane, Run: run1}); err != nil || v.Broken != "" {
		m.Errorf("the documents do not hold together: %+v, %v", v, err)
	}
	for key, doc := range m.docs.docs {
		for _, secret := range []string{sim.SourceSecret, sim.DestinationSecret} {
			if strings.Contains(string(doc), secret) {
				m.Errorf("%s holds a secret", key)
			}
		}
	}
	return r
}

// said is the end of what the workers said.
func (m *migrating) said() string {
	text := m.out.String()
	return text[max(0, len(text)-4000):]
}

// status is the destination's; no rule may have been broken on the way there.
func (m *migrating) status(want string) {
	m.Helper()
	m.stacks.Look(func(p *sim.Pair) {
		equal(m, "the destination", p.StackStatus(sim.Destination), want)
		if v := p.Violations(); len(v) > 0 {
			m.Errorf("broken rules: %v", v)
		}
	})
}

// same wants both stacks to hold the same.
func (m *migrating) same() sim.Summary {
	m.Helper()
	var s sim.Summary
	m.stacks.Look(func(p *sim.Pair) { s = p.Summary() })
	if s.Wrong > 0 || len(s.Violations) > 0 {
		m.Errorf("%d rows are wrong %v; broken rules: %v\n%s", s.Wrong, s.WrongAre, s.Violations, m.said())
	}
	return s
}

// ran are the jobs of a kind that the stacks were asked for.
func (m *migrating) ran(k sim.Kind) (jobs []sim.Ran) {
	m.stacks.Look(func(p *sim.Pair) {
		for _, j := range p.Ran() {
			if j.Kind == k {
				jobs = append(jobs, j)
			}
		}
	})
	return jobs
}

func (m *migrating) set(side sim.Side, status string) {
	m.stacks.Look(func(p *sim.Pair) { p.SetStackStatus(side, status) })
}

func (m *migrating) cancelRun() {
	if _, err := m.store.CreateCancel(context.Background(), ops.RunRef{Lane: m.req.Lane, Run: run1}, ops.CancelMarker{By: "ada", At: time.Now().UTC()}); err != nil {
		m.Error(err)
	}
}

// documents counts those of the journal.
func (m *migrating) documents() (n int) {
	for _, key := range m.docs.writes {
		if strings.Contains(key, "/journal/") {
			n++
		}
	}
	return n
}
