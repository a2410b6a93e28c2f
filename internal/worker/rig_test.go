package worker_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

const run1 = ops.RunID("20261123T141502Z-light-lamps-3f9c")

// A rig is one run of the lamp task over an in-memory store, and what its workers
// said.
type rig struct {
	*testing.T
	*world
	docs   *memory
	store  *store.Store
	task   ops.Task
	env    ops.Environment
	req    ops.Request
	ref    ops.RunRef
	svc    service
	config func(*worker.Config) // last word on a worker's configuration
	alter  func(*ops.Procedure) // last word on the procedure
	inFlt  int                  // calls at once
	opened int                  // how often the token was read
	answer map[string]bool      // of the next start
	start  func(*ops.Start)     // last word on a start
	out    lockedBuffer         // what the workers said
	docsAs func(*store.Store) worker.Documents
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A service answers the common guards.
type service struct {
	version, instance, status string
	versionErr, adminErr      error
	statusErr                 error
	asked                     *[]string
}

func (s service) Instance(context.Context) (string, string, error) {
	s.note("instance")
	return s.version, s.instance, s.versionErr
}

func (s service) Administrator(context.Context) error { s.note("administrator"); return s.adminErr }

func (s service) Status(context.Context) (string, string, error) {
	s.note("status")
	return s.status, "for maintenance", s.statusErr
}

func (s service) note(what string) {
	if s.asked != nil {
		*s.asked = append(*s.asked, what)
	}
}

// newRig returns a rig for a run over n lamps, never started.
func newRig(t *testing.T, n int) *rig {
	r := &rig{T: t, world: newWorld(), docs: newMemory(), task: lampTask(), inFlt: 3, ref: ops.RunRef{Lane: ops.LaneAdmin, Run: run1}}
	r.store = store.New(r.docs)
	r.env = ops.Environment{Name: "dev", Repository: "sage/ops-dev", Hosts: []string{"https://dev.example.org"}}
	r.svc = service{version: "544.0", instance: "dev544", status: "READ_WRITE"}
	r.req = ops.Request{Task: r.task.Name, TaskVersion: r.task.Version, Inputs: map[string]string{"lamps": strings.Join(lamps(n), ",")}, Environment: "dev",
		Host: "https://dev.example.org", Lane: ops.LaneAdmin, Requester: "grace", Synops: "v1"}
	return r
}

// configured returns a worker's configuration.
func (r *rig) configured() worker.Config {
	c := worker.Config{
		Documents: r.store, Catalog: ops.Catalog{r.task}, Environment: &r.env, Host: r.req.Host, Synops: "v1",
		Pure: func(ops.TaskName) (ops.Procedure, error) { return r.bound(), nil },
		Open: func(context.Context, *ops.Request) (*worker.Bound, error) {
			r.opened++
			return &worker.Bound{Service: r.svc, Procedure: r.bound(), InFlight: func() int { return r.inFlt }}, nil
		},
		Attempt: ops.Attempt{Host: "h", Process: "p"}, Out: &r.out,
	}
	if r.docsAs != nil {
		c.Documents = r.docsAs(r.store)
	}
	if r.config != nil {
		r.config(&c)
	}
	return c
}

func (r *rig) bound() ops.Procedure {
	p := r.procedure()
	if r.alter != nil {
		r.alter(&p)
	}
	return p
}

// begin writes the next start, with the request.
func (r *rig) begin(kind ops.StartKind) {
	r.Helper()
	starts, err := r.store.Starts(r.Context(), r.ref)
	if err != nil {
		r.Fatal(err)
	}
	d, err := r.store.CreateRequest(r.Context(), &r.req)
	if err != nil {
		r.Fatal(err)
	}
	s := ops.Start{N: len(starts) + 1, Kind: kind, Run: r.ref.Run, Lane: r.ref.Lane, Request: d, By: "grace", At: time.Now().UTC(), Settle: r.answer}
	if r.start != nil {
		r.start(&s)
	}
	if err := r.store.CreateStart(r.Context(), s); err != nil {
		r.Fatal(err)
	}
}

// work starts the next attempt and performs it.
func (r *rig) work(kind ops.StartKind) (*ops.Result, error) {
	r.Helper()
	r.begin(kind)
	return r.attempt(r.Context())
}

// attempt performs the newest start.
func (r *rig) attempt(ctx context.Context) (*ops.Result, error) {
	return worker.New(r.configured()).Work(ctx, r.ref)
}

// ends performs an attempt that must write a result of this outcome.
func (r *rig) ends(kind ops.StartKind, want ops.Outcome, code ops.Code) *ops.Result {
	r.Helper()
	res, err := r.work(kind)
	if err != nil {
		r.Fatalf("the worker ended without a result: %v\n%s", err, r.out.String())
	}
	if res.Outcome != want || res.Code != code {
		r.Fatalf("ended %s (%s), want %s (%s): %s", res.Outcome, res.Code, want, code, res.Message)
	}
	r.honest(res)
	return res
}

// refused performs an attempt that a guard must refuse before any effect.
func (r *rig) refused(guard string) *ops.Result {
	r.Helper()
	res, err := r.work(ops.StartRun)
	if err != nil || res.Outcome != ops.RunRefused {
		r.Fatalf("got %+v, %v; want a refusal by %s", res, err, guard)
	}
	if !strings.Contains(res.Message, `guard "`+guard+`"`) {
		r.Errorf("the message %q does not name guard %s", res.Message, guard)
	}
	if r.allCalls() != 0 {
		r.Errorf("%d effects began in a refused run", r.allCalls())
	}
	r.honest(res)
	return res
}

// cancel writes the cancel marker.
func (r *rig) cancel() {
	if _, err := r.store.CreateCancel(context.Background(), r.ref, ops.CancelMarker{By: "ada", Reason: "enough", At: time.Now().UTC()}); err != nil {
		r.Error(err)
	}
}

// entries reads the journal.
func (r *rig) entries() []ops.Entry {
	r.Helper()
	return r.entriesOf(context.Background())
}

func (r *rig) entriesOf(ctx context.Context) []ops.Entry {
	var all []ops.Entry
	chain := ops.NewChain(r.req.Digest())
	for doc, err := range r.store.Journal(ctx, r.ref, 0) {
		if err != nil {
			r.Errorf("reading the journal: %v", err)
			return all
		}
		if err := chain.Decode(doc, func(e ops.Entry) error { all = append(all, e); return nil }); err != nil {
			r.Errorf("the journal is broken: %v", err)
		}
	}
	return all
}

// follow keeps the intents without an outcome.
func follow(open map[string]bool, e ops.Entry) {
	switch e.Kind {
	case ops.EntryIntent:
		open[e.Effect] = true
	case ops.EntryOutcome:
		delete(open, e.Effect)
	}
}

// honest compares a result with the world, with its own numbers and with the
// documents: what it says is done is on, what it says was never touched is off.
func (r *rig) honest(res *ops.Result) { r.Helper(); r.honestTo(r, res) }

func (r *rig) honestTo(t failer, res *ops.Result) {
	t.Helper()
	total := 0
	for o, n := range res.Counts {
		total += n
		if n == 0 {
			t.Errorf("the result counts 0 %s", o)
		}
	}
	if total != res.EffectsTotal {
		t.Errorf("the counts %v do not add up to %d", res.Counts, res.EffectsTotal)
	}
	for _, e := range res.Effects {
		lamp := strings.TrimPrefix(e.ID, "lamp/")
		wants := e.Outcome == ops.EffectDone || e.Outcome == ops.EffectUnchanged
		if on := r.isOn(lamp); wants != on && e.Outcome != ops.EffectUnsettled && (!on || r.calls(lamp) > 0) {
			t.Errorf("%s is told as %s and is on: %t", e.ID, e.Outcome, on)
		}
	}
	if v, err := r.store.Verify(context.Background(), r.ref); err != nil || v.Broken != "" {
		t.Errorf("the documents do not hold together: %+v, %v", v, err)
	}
	if res.Message == "" || res.Changed == "" || (res.Outcome == ops.RunFailed || res.Outcome == ops.RunRefused && strings.Contains(res.Message, "guard")) && res.Next == "" {
		t.Errorf("the result leaves its reader alone: message %q, changed %q, next %q", res.Message, res.Changed, res.Next)
	}
	if (res.Outcome == ops.Succeeded || res.Outcome == ops.RunCanceled) && res.Next != "" {
		t.Errorf("%s is final and yet next is %q", res.Outcome, res.Next)
	}
}

// outcomes tells the results' effects by lamp.
func outcomes(res *ops.Result) map[string]ops.EffectOutcome {
	out := map[string]ops.EffectOutcome{}
	for _, e := range res.Effects {
		out[strings.TrimPrefix(e.ID, "lamp/")] = e.Outcome
	}
	return out
}

// dies arranges that the process dies at write n of what matches part: the store
// and the service answer nothing any more. late: the write itself still happens.
func (r *rig) dies(part string, n int, late bool) {
	seen := 0
	var mu sync.Mutex
	strike := func(key string, _ int) error {
		mu.Lock()
		defer mu.Unlock()
		if !strings.Contains(key, part) || strings.Contains(key, "heartbeat") {
			return nil
		}
		if seen++; seen < n {
			return nil
		}
		r.kill(true)
		r.docs.sever(true)
		return errCut
	}
	if late {
		r.docs.after = strike
	} else {
		r.docs.before = strike
	}
}

// revive ends what dies arranged.
func (r *rig) revive() {
	r.docs.before, r.docs.after = nil, nil
	r.kill(false)
	r.docs.sever(false)
}

// A failer is told what is wrong: a test, or a list of problems.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
}

// bubble runs a test in a bubble of fake time.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func contains(t testing.TB, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s is %q, which lacks %q", what, text, w)
		}
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

var errAsk = errors.New("cannot be asked")
