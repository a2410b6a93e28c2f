package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/file"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A real is a run of a task of the catalog with the real client against the
// sandbox.
type real struct {
	req    ops.Request
	store  *store.Store
	client func(*adminapi.Config)
	out    lockedBuffer
	start  func(*ops.Start)
}

// newReal returns a run on disk.
func newReal(t testing.TB, host string, name ops.TaskName, inputs map[string]string) *real {
	t.Helper()
	d, err := file.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	task, err := tasks.Catalog().Task(name)
	if err != nil {
		t.Fatal(err)
	}
	return &real{store: store.New(d), req: ops.Request{Task: name, TaskVersion: task.Version, Inputs: inputs, Environment: ops.Sandbox, Host: host,
		Lane: task.Lane, Requester: "grace", Synops: "v1", Pace: ops.Pace{Unlimited: true}}}
}

func begin(t testing.TB, st *store.Store, req ops.Request, change ...func(*ops.Start)) {
	t.Helper()
	d, err := st.CreateRequest(context.Background(), &req)
	if err != nil {
		t.Fatal(err)
	}
	starts, err := st.Starts(context.Background(), ops.RunRef{Lane: req.Lane, Run: run1})
	if err != nil {
		t.Fatal(err)
	}
	s := ops.Start{N: len(starts) + 1, Kind: ops.StartRun, Run: run1, Lane: req.Lane, Request: d, By: "grace", At: time.Now().UTC()}
	for _, c := range change {
		c(&s)
	}
	if err := st.CreateStart(context.Background(), s); err != nil {
		t.Fatal(err)
	}
}

// run starts the run's next attempt and performs it.
func (r *real) run(t testing.TB) *ops.Result {
	t.Helper()
	var change []func(*ops.Start)
	if r.start != nil {
		change = append(change, r.start)
	}
	begin(t, r.store, r.req, change...)
	w, closeAll := r.worker()
	defer closeAll()
	res, err := w.Work(t.Context(), ops.RunRef{Lane: r.req.Lane, Run: run1})
	if err != nil {
		t.Fatalf("%v\n%s", err, r.out.String())
	}
	return res
}

func (r *real) worker() (*worker.Worker, func()) {
	var mu sync.Mutex
	var clients []*adminapi.Client
	env := &ops.Environment{Name: ops.Sandbox, Hosts: []string{r.req.Host}, MaxTargets: 100_000}
	w := worker.New(worker.Config{
		Documents: r.store, Catalog: tasks.Catalog(), Environment: env, Host: r.req.Host, Synops: "v1", Out: &r.out,
		Pure: func(name ops.TaskName) (ops.Procedure, error) { return tasks.Bind(name, nil) },
		Open: func(_ context.Context, req *ops.Request) (*worker.Bound, error) {
			config := adminapi.Config{Host: req.Host, Pace: req.Pace, Token: func(context.Context) (string, error) { return sandbox.AdminToken, nil }}
			if r.client != nil {
				r.client(&config)
			}
			c, err := adminapi.New(config)
			if err != nil {
				return nil, err
			}
			mu.Lock()
			defer mu.Unlock()
			clients = append(clients, c)
			p, err := tasks.Bind(req.Task, c)
			return &worker.Bound{Service: api{c}, Procedure: p, InFlight: c.InFlight}, err
		},
	})
	return w, func() {
		for _, c := range clients {
			c.Close()
		}
	}
}

// api is the client as the worker's guards see it.
type api struct{ c *adminapi.Client }

func (s api) Instance(ctx context.Context) (string, string, error) {
	v, err := s.c.Version(ctx)
	return v.Version, v.StackInstance, err
}

func (s api) Administrator(ctx context.Context) error { return s.c.Administrator(ctx) }

func (s api) Status(ctx context.Context) (string, string, error) {
	st, err := s.c.StackStatus(ctx)
	return st.Status, st.CurrentMessage, err
}

// sandboxUsers are IDs of users that the sandbox computes.
func sandboxUsers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(3400001 + i)
	}
	return out
}

// inBubble returns a run in a bubble of fake time: an in-memory store, and the
// sandbox called without sockets.
func inBubble(t *testing.T, s *sandbox.Synapse, name ops.TaskName, inputs map[string]string) *real {
	r := newReal(t, "http://127.0.0.1:1", name, inputs)
	r.store = store.New(newMemory())
	r.client = func(c *adminapi.Config) { c.Transport = s }
	return r
}

// TestRemovingUsers: the task that destroys, whole: challenge, before-images,
// lease, hashes instead of names, and what cannot be undone.
func TestRemovingUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Config{NoThrottle: true})
		users := sandboxUsers(4)
		r := inBubble(t, s, "remove-user", map[string]string{"users": strings.Join(users, ",")})
		r.start = func(st *ops.Start) { st.Confirm = ops.ConfirmDigest("4 users") }
		name := ""
		if u, ok := s.User(users[2]); ok {
			name = u.UserName
		}
		res := r.run(t)
		if res.Outcome != ops.Succeeded || res.Counts[ops.EffectDone] != 4 {
			t.Fatalf("ended %s: %s\n%s", res.Outcome, res.Message, r.out.String())
		}
		contains(t, "undo", res.Undo, "cannot be undone")
		image, err := r.store.Private(t.Context(), ops.RunRef{Lane: r.req.Lane, Run: run1}, "user~"+users[2]+".1.json")
		if err != nil || name == "" || !bytes.Contains(image, []byte(name)) {
			t.Errorf("the before-image of %q is %d bytes, %v", name, len(image), err)
		}
		if strings.Contains(r.out.String(), name) {
			t.Errorf("the log names %s:\n%s", name, r.out.String())
		}
	})
}

// TestThrottledService: 429 lowers the pace and the run goes on to its end.
func TestThrottledService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Config{})
		var clients []string
		for i := range 60 {
			clients = append(clients, fmt.Sprint(200001+i))
		}
		r := inBubble(t, s, "verify-oauth-client", map[string]string{"client-ids": strings.Join(clients, ","), "verified": "true"})
		r.req.Pace = ops.Pace{}
		s.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Latency: sandbox.Duration(20 * time.Millisecond)}, {Kind: sandbox.Throttled, Skip: 30, Count: 2}}})
		res := r.run(t)
		if res.Outcome != ops.Succeeded {
			t.Fatalf("ended %s: %s", res.Outcome, res.Message)
		}
		if s.MostInFlight() > 3 {
			t.Errorf("%d requests were in flight at once", s.MostInFlight())
		}
	})
}

// TestLostConnections: the answer to a change is lost after it was applied, for
// several targets. The run settles each by itself.
func TestLostConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Config{NoThrottle: true})
		r := inBubble(t, s, "decertify-user", map[string]string{"users": strings.Join(sandboxUsers(12), ",")})
		s.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.DropAfter, Method: "PUT", Skip: 2, Count: 2}}})
		res := r.run(t)
		if res.Outcome != ops.Succeeded {
			t.Fatalf("ended %s: %s\n%s", res.Outcome, res.Message, r.out.String())
		}
	})
}

// TestAnswersLostForGood: no answer to a change ever comes. What the report says was
// not changed was not; what it cannot know it does not claim.
func TestAnswersLostForGood(t *testing.T) {
	for _, c := range []struct {
		task    ops.TaskName
		inputs  map[string]string
		confirm string
		path    string
		read    bool // the target can be read
	}{
		{"remove-user", map[string]string{"users": "3400001"}, "user3400001", "/admin/redact/", true},
		{"remove-user-2fa", map[string]string{"users": "3350396"}, "jdoe", "/2fa", true},
		{"decertify-user", map[string]string{"users": "3350396"}, "", "/certificationStatus", true},
		{"verify-oauth-client", map[string]string{"client-ids": "100001"}, "", "/verified", true},
		{"publish-dataset", map[string]string{"entities": "syn123"}, "", "/datatype", true},
		{"set-feature", map[string]string{"feature": "ALLOW_AGENT_WRITES", "enabled": "false"}, "", "/admin/feature/", true},
		{"set-stack-status", map[string]string{"status": "READ_WRITE", "message": "Back."}, "", "/admin/synapse/status", true},
		{"reenable-user", map[string]string{"users": "3400001"}, "", "/resetuserstatus/", false},
		{"unquarantine-email", map[string]string{"emails": "bounce@example.org"}, "", "/emailQuarantine/", false},
	} {
		for _, kind := range []sandbox.FaultKind{sandbox.DropAfter, sandbox.DropBefore, sandbox.ServerError} {
			bubble(t, fmt.Sprintf("%s, %s", c.task, kind), func(t *testing.T) {
				s := sandbox.New(sandbox.Config{NoThrottle: true})
				r := inBubble(t, s, c.task, c.inputs)
				r.start = func(st *ops.Start) { st.Confirm = ops.ConfirmDigest(c.confirm) }
				var lost []sandbox.Fault
				for _, method := range []string{"PUT", "POST", "DELETE"} { // reads get through
					lost = append(lost, sandbox.Fault{Kind: kind, Method: method, Path: c.path})
				}
				s.SetFaults(sandbox.Faults{Active: lost})
				res := r.run(t)
				want := ops.EffectUnsettled
				switch {
				case c.read && kind == sandbox.DropAfter:
					want = ops.EffectDone
				case c.read:
					want = ops.EffectFailed
				}
				if got := res.Effects[0]; got.Outcome != want || want == ops.EffectFailed && !strings.Contains(got.Message, "it did not happen") {
					t.Errorf("told as %s, want %s: %s", got.Outcome, want, got.Message)
				}
				contains(t, "changed", res.Changed, map[ops.EffectOutcome]string{
					ops.EffectDone: "1 ", ops.EffectFailed: "Nothing was changed.", ops.EffectUnsettled: "may have been.",
				}[want])
			})
		}
	}
}

// TestCanaryThatSawFailures: it only looks, so nothing is left to find out about.
func TestCanaryThatSawFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Config{NoThrottle: true})
		r := inBubble(t, s, "canary", map[string]string{"minutes": "3"})
		s.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.ServerError, Path: "/messages/currentnumber", Skip: 2, Count: 3}}})
		res := r.run(t)
		if got := res.Effects[0]; res.Outcome != ops.RunFailed || got.Outcome != ops.EffectFailed || !strings.Contains(got.Message, "1 of 3 minutes failed: 2.") {
			t.Errorf("ended %s, told as %s: %s", res.Outcome, got.Outcome, got.Message)
		}
		equal(t, "changed", res.Changed, "Nothing was changed.")
	})
}
