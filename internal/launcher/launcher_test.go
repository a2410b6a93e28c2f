package launcher_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// A scene is a launcher over a real store and an engine whose workers are played
// by the test.
type scene struct {
	*testing.T
	store  *store.Store
	engine *engine
	l      *launcher.Launcher
}

func newScene(t *testing.T) *scene {
	t.Helper()
	st, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{store: st, live: map[string]ops.Liveness{}}
	return &scene{t, st, e, &launcher.Launcher{Documents: st, Engine: e}}
}

func (s *scene) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// engine starts workers that claim their attempt at once, unless they are shy.
type engine struct {
	store *store.Store
	shy   bool

	mu      sync.Mutex
	started int
	claimed int
	live    map[string]ops.Liveness // by process
	asked   func()                  // called when liveness is asked for, once
	stopped func()                  // called by Stop, before the worker is gone
}

func (e *engine) Name() string        { return "played" }
func (e *engine) Poll() time.Duration { return time.Millisecond }

func (e *engine) Start(ctx context.Context, s ops.Start) (ops.Execution, error) {
	e.mu.Lock()
	e.started++
	process := fmt.Sprint("process-", e.started)
	e.live[process] = ops.AliveProvisioning
	e.mu.Unlock()
	if !e.shy {
		e.claim(ctx, ops.RunRef{Lane: s.Lane, Run: s.Run}, s.N, process)
	}
	return ops.Execution{Engine: e.Name(), ID: process}, nil
}

// claim is what a worker does first; one that comes too late ends.
func (e *engine) claim(ctx context.Context, ref ops.RunRef, n int, process string) {
	err := e.store.CreateAttempt(ctx, ref, ops.Attempt{N: n, Host: "here", Process: process, At: time.Now().UTC()})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live[process] = ops.Gone
	if err == nil {
		e.live[process] = ops.AliveRunning
		e.claimed++
	}
}

func (e *engine) Liveness(_ context.Context, x ops.Execution, a *ops.Attempt) (ops.Liveness, error) {
	e.mu.Lock()
	asked := e.asked
	e.asked = nil
	e.mu.Unlock()
	if asked != nil {
		asked()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	id := x.ID
	if a != nil {
		id = a.Process
	}
	return e.live[id], nil
}

func (e *engine) Stop(_ context.Context, x ops.Execution, a *ops.Attempt) error {
	id := x.ID
	if a != nil {
		id = a.Process
	}
	if e.stopped != nil {
		e.stopped()
	}
	e.set(id, ops.Gone)
	return nil
}

func (e *engine) Log(_ context.Context, _ ops.RunRef, _ int, cursor string, _ bool) ([]byte, string, error) {
	return nil, cursor, nil
}

func (e *engine) set(process string, l ops.Liveness) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live[process] = l
}

func (e *engine) counts() (started, claimed int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.started, e.claimed
}

var (
	by      = launcher.Answers{By: "tester"}
	request = &ops.Request{Task: "decertify-user", TaskVersion: 1, Inputs: map[string]string{"users": "3350396"}, Environment: "dev", Host: "http://127.0.0.1:1",
		Lane: ops.LaneAdmin, Requester: "tester", Synops: "test"}
)

func (s *scene) launch() ops.RunRef {
	s.Helper()
	ref, _, err := s.l.Launch(s.Context(), "job", request, by)
	s.ok(err)
	return ref
}

func (s *scene) result(ref ops.RunRef, n int, o ops.Outcome) {
	s.Helper()
	s.ok(s.store.CreateResult(context.Background(), ref, &ops.Result{Run: ref.Run, Attempt: n, Outcome: o, Effects: []ops.EffectResult{}}))
}

// faults fails the nth call of documents and engine together, before it is done or
// after.
type faults struct {
	launcher.Documents
	ops.Engine
	n, at int
	after bool
}

var errFault = errors.New("the launcher died here")

// strike does one call, or dies.
func strike[T any](f *faults, do func() (T, error)) (T, error) {
	f.n++
	var none T
	if f.n == f.at && !f.after || f.n > f.at {
		return none, errFault
	}
	v, err := do()
	if f.n == f.at {
		return none, errFault
	}
	return v, err
}

type nothing struct{}

func strike0(f *faults, do func() error) error {
	_, err := strike(f, func() (nothing, error) { return nothing{}, do() })
	return err
}

func (f *faults) CreateRequest(ctx context.Context, r *ops.Request) (ops.Digest, error) {
	return strike(f, func() (ops.Digest, error) { return f.Documents.CreateRequest(ctx, r) })
}

func (f *faults) Claim(ctx context.Context, key string, c ops.Claim) (ops.Claim, bool, error) {
	var created bool
	there, err := strike(f, func() (there ops.Claim, err error) {
		there, created, err = f.Documents.Claim(ctx, key, c)
		return there, err
	})
	return there, created, err
}

func (f *faults) CreateStart(ctx context.Context, s ops.Start) error {
	return strike0(f, func() error { return f.Documents.CreateStart(ctx, s) })
}

func (f *faults) CreateExecution(ctx context.Context, ref ops.RunRef, n int, e ops.Execution) error {
	return strike0(f, func() error { return f.Documents.CreateExecution(ctx, ref, n, e) })
}

func (f *faults) Execution(ctx context.Context, ref ops.RunRef, n int) (*ops.Execution, error) {
	return strike(f, func() (*ops.Execution, error) { return f.Documents.Execution(ctx, ref, n) })
}

func (f *faults) Status(ctx context.Context, ref ops.RunRef) (*ops.RunStatus, error) {
	return strike(f, func() (*ops.RunStatus, error) { return f.Documents.Status(ctx, ref) })
}

func (f *faults) Start(ctx context.Context, s ops.Start) (ops.Execution, error) {
	return strike(f, func() (ops.Execution, error) { return f.Engine.Start(ctx, s) })
}

func (f *faults) Liveness(ctx context.Context, x ops.Execution, a *ops.Attempt) (ops.Liveness, error) {
	return strike(f, func() (ops.Liveness, error) { return f.Engine.Liveness(ctx, x, a) })
}

// TestLaunchDiesAnywhere cuts a launcher off before and after each of its calls.
// Asking again goes on with the same run, which one worker performs.
func TestLaunchDiesAnywhere(t *testing.T) {
	for _, shy := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			at, died := 1, true
			for ; died; at++ {
				died = diesAt(t, at, after, shy)
			}
			if at < 6 {
				t.Errorf("a launch is only %d calls: nothing was cut", at-1)
			}
		}
	}
}

func diesAt(t *testing.T, at int, after, shy bool) (died bool) {
	t.Helper()
	s := newScene(t)
	s.engine.shy = shy
	f := &faults{Documents: s.store, Engine: s.engine, at: at, after: after}
	_, _, err := (&launcher.Launcher{Documents: f, Engine: f}).Launch(t.Context(), "job", request, by)
	ref := s.launch()
	if again := s.launch(); again != ref {
		t.Errorf("cut at %d: asked again gives %s, then %s", at, ref.Run, again.Run)
	}
	started, claimed := s.engine.counts()
	if shy { // the workers that were started come now, all of them
		for i := 1; i <= started; i++ {
			s.engine.claim(t.Context(), ref, 1, fmt.Sprint("process-", i))
		}
		_, claimed = s.engine.counts()
	}
	if claimed != 1 || started > 2 {
		t.Errorf("cut at %d (after it %v, shy %v): %d workers were started, %d perform", at, after, shy, started, claimed)
	}
	starts, err2 := s.store.Starts(t.Context(), ref)
	s.ok(err2)
	if len(starts) != 1 {
		t.Errorf("cut at %d: %d starts", at, len(starts))
	}
	return errors.Is(err, errFault)
}

// TestLookSeesLastWords: a worker that ends between the reading of its documents
// and the asking of the engine has ended its run; it is not lost.
func TestLookSeesLastWords(t *testing.T) {
	for name, act := range map[string]func(*scene, ops.RunRef) (bool, error){
		"resume": func(s *scene, ref ops.RunRef) (bool, error) { return s.l.Resume(s.Context(), ref, by, false) },
		"settle": func(s *scene, ref ops.RunRef) (bool, error) { return s.l.Settle(s.Context(), ref, by, false) },
		"forced": func(s *scene, ref ops.RunRef) (bool, error) { return s.l.Resume(s.Context(), ref, by, true) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			ref := s.launch()
			s.engine.asked = func() {
				s.result(ref, 1, ops.Succeeded)
				s.engine.set("process-1", ops.Gone)
			}
			started, err := act(s, ref)
			if started || err != nil {
				t.Errorf("%s started an attempt of a run that had succeeded: %v", name, err)
			}
			if starts, _ := s.store.Starts(t.Context(), ref); len(starts) != 1 {
				t.Errorf("there are %d starts", len(starts))
			}
		})
	}
}

// TestForceComesTooLate: a worker that ended its run just before it was killed has
// ended it.
func TestForceComesTooLate(t *testing.T) {
	s := newScene(t)
	ref := s.launch()
	s.engine.stopped = func() { s.result(ref, 1, ops.Succeeded) }
	if started, err := s.l.Resume(t.Context(), ref, by, true); started || err != nil {
		t.Errorf("an attempt of a run that had succeeded: %v, %v", started, err)
	}
	if starts, _ := s.store.Starts(t.Context(), ref); len(starts) != 1 {
		t.Errorf("there are %d starts", len(starts))
	}
}

// TestLeaseHolderGone: a lease may be taken over when its holder's run ended or its
// worker is gone, and only then.
func TestLeaseHolderGone(t *testing.T) {
	s := newScene(t)
	ref := s.launch()
	for _, c := range []struct {
		live ops.Liveness
		want bool
	}{{ops.AliveRunning, false}, {ops.AliveProvisioning, false}, {ops.LivenessUnknown, false}, {ops.Gone, true}} {
		s.engine.set("process-1", c.live)
		if gone, err := s.l.Gone(t.Context(), ops.Lease{RunRef: ref, Attempt: 1}); gone != c.want || err != nil {
			t.Errorf("a holder that is %s: gone %v, %v", c.live, gone, err)
		}
	}
	s.engine.set("process-1", ops.AliveRunning)
	s.result(ref, 1, ops.Succeeded)
	if gone, err := s.l.Gone(t.Context(), ops.Lease{RunRef: ref, Attempt: 1}); !gone || err != nil {
		t.Errorf("a holder that ended: gone %v, %v", gone, err)
	}
}

// TestAnswersHold: what was answered before holds for the next attempt, each answer
// by itself.
func TestAnswersHold(t *testing.T) {
	digest := ops.DigestOf([]byte("plan"))
	approved := &ops.Plan{Digest: digest}
	s := newScene(t)
	ref, _, err := s.l.Launch(t.Context(), "job", request, launcher.Answers{By: "a", PlanDigest: digest, Approved: approved, Confirm: "2 users"})
	s.ok(err)
	s.result(ref, 1, ops.RunFailed)
	_, err = s.l.Resume(t.Context(), ref, launcher.Answers{By: "b", Confirm: "3 users", Settle: map[string]bool{"user/1": true}}, false)
	s.ok(err)
	s.result(ref, 2, ops.RunFailed)
	_, err = s.l.Resume(t.Context(), ref, launcher.Answers{By: "c"}, false)
	s.ok(err)
	starts, err := s.store.Starts(t.Context(), ref)
	s.ok(err)
	if len(starts) != 3 {
		t.Fatalf("%d starts", len(starts))
	}
	second, third := starts[1], starts[2]
	if second.PlanDigest != digest || second.Approved == nil || second.Confirm != ops.ConfirmDigest("3 users") || second.By != "b" {
		t.Errorf("the second start is %+v", second)
	}
	if third.Confirm != ops.ConfirmDigest("3 users") || third.PlanDigest != digest {
		t.Errorf("the third start is %+v", third)
	}
	// What became of an effect was told of one moment: it may have been begun since.
	if !reflect.DeepEqual(second.Settle, map[string]bool{"user/1": true}) || len(third.Settle) > 0 {
		t.Errorf("settled: %v, then %v", second.Settle, third.Settle)
	}
}

// TestOutOfReach: beside a worker of which nothing can be known nothing is started;
// forced only once it has been silent for so long that, should it wake, it asks.
func TestOutOfReach(t *testing.T) {
	s := newScene(t)
	ref := s.launch()
	s.engine.set("process-1", ops.LivenessUnknown)
	for _, force := range []bool{false, true} {
		if started, err := s.l.Resume(t.Context(), ref, by, force); started || ops.Refused(err) == nil {
			t.Errorf("resume, forced %v: %v, %v", force, started, err)
		}
	}
	s.l.Documents = silentFor{s.store, ops.LostAfter + time.Second}
	if started, err := s.l.Resume(t.Context(), ref, by, false); started || ops.Refused(err) == nil {
		t.Errorf("resume beside a silent worker: %v, %v", started, err)
	}
	started, err := s.l.Resume(t.Context(), ref, by, true)
	if !started || err != nil {
		t.Errorf("forced beside a silent worker: %v, %v", started, err)
	}
}

// silentFor has attempt 1 silent for a time.
type silentFor struct {
	*store.Store
	age time.Duration
}

func (d silentFor) Status(ctx context.Context, ref ops.RunRef) (*ops.RunStatus, error) {
	s, err := d.Store.Status(ctx, ref)
	if err == nil {
		s.Heartbeat, s.HeartbeatAge = &ops.Heartbeat{Attempt: 1}, d.age
	}
	return s, err
}

// TestUnknownWorkerClaimsLate: a worker whose launcher died before it could record
// it claims its attempt just after the next start was written. That one is not
// begun beside it.
func TestUnknownWorkerClaimsLate(t *testing.T) {
	s := newScene(t)
	s.engine.shy = true
	ref, _, err := (&launcher.Launcher{Documents: noExecution{s.store}, Engine: s.engine}).Launch(t.Context(), "job", request, by)
	s.ok(err)
	s.l.Documents = claimsAfterStart{s.store, s.engine}
	started, err := s.l.Settle(t.Context(), ref, by, false)
	if started || err != nil {
		t.Errorf("settle beside a worker that has just claimed its attempt: %v, %v", started, err)
	}
	if n, _ := s.engine.counts(); n != 1 {
		t.Errorf("%d workers were started", n)
	}
}

// noExecution is a launcher's documents when it dies before it records what it
// started.
type noExecution struct{ *store.Store }

func (noExecution) CreateExecution(context.Context, ops.RunRef, int, ops.Execution) error { return nil }

// claimsAfterStart has the unknown worker claim attempt 1 once a start is written.
type claimsAfterStart struct {
	*store.Store
	engine *engine
}

func (d claimsAfterStart) CreateStart(ctx context.Context, st ops.Start) error {
	err := d.Store.CreateStart(ctx, st)
	d.engine.claim(ctx, ops.RunRef{Lane: st.Lane, Run: st.Run}, 1, "process-1")
	return err
}
