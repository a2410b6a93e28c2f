package worker_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// TestTwoWorkersForOneAttempt: exactly one performs, the others end at once.
func TestTwoWorkersForOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10)
		r.latency = 20 * time.Millisecond
		r.begin(ops.StartRun)
		var won, duplicates atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				res, err := r.attempt(t.Context())
				switch {
				case err == nil && res.Outcome == ops.Succeeded:
					won.Add(1)
				case errors.Is(err, worker.ErrDuplicate):
					duplicates.Add(1)
				default:
					t.Errorf("got %+v, %v", res, err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || duplicates.Load() != 7 {
			t.Errorf("%d performed and %d ended as duplicates, of 8", won.Load(), duplicates.Load())
		}
		equal(t, "calls", r.allCalls(), 10)
	})
}

// A stalled process does nothing at all while it is paused: documents and service
// calls of its worker wait at the gate.
type stalled struct {
	worker.Documents
	gate *gate
}

type gate struct {
	mu sync.Mutex
	up chan struct{} // nil: open
}

func (g *gate) pause() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.up = make(chan struct{})
}

func (g *gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.up)
	g.up = nil
}

func (g *gate) wait() {
	g.mu.Lock()
	up := g.up
	g.mu.Unlock()
	if up != nil {
		<-up
	}
}

func (s *stalled) AppendJournal(ctx context.Context, ref ops.RunRef, doc int, data []byte) error {
	s.gate.wait()
	return s.Documents.AppendJournal(ctx, ref, doc, data)
}

func (s *stalled) PutHeartbeat(ctx context.Context, ref ops.RunRef, hb ops.Heartbeat) error {
	s.gate.wait()
	return s.Documents.PutHeartbeat(ctx, ref, hb)
}

func (s *stalled) CancelMarker(ctx context.Context, ref ops.RunRef) (*ops.CancelMarker, error) {
	s.gate.wait()
	return s.Documents.CancelMarker(ctx, ref)
}

func (s *stalled) Attempts(ctx context.Context, ref ops.RunRef) ([]ops.Attempt, error) {
	s.gate.wait()
	return s.Documents.Attempts(ctx, ref)
}

// TestPausedWorkerWakes after a newer attempt has taken its place: it begins no
// effect, writes nothing and writes no result, wherever it was paused.
func TestPausedWorkerWakes(t *testing.T) {
	for name, at := range map[string]string{"in an effect": "l00003", "in the middle of a batch": "l00010", "in the first": "l00001"} {
		for _, claimedOnly := range []bool{true, false} {
			label := name + ", the newer one is done"
			if claimedOnly {
				label = name + ", the newer one has only begun"
			}
			bubble(t, label, func(t *testing.T) { pausedAt(t, at, claimedOnly) })
		}
	}
}

func pausedAt(t *testing.T, at string, claimedOnly bool) {
	r := newRig(t, 60)
	r.latency = 20 * time.Millisecond
	g := &gate{}
	r.docsAs = func(s *store.Store) worker.Documents { return &stalled{s, g} }
	paused := make(chan struct{})
	var once sync.Once
	var newer atomic.Bool
	r.onAnswer = func(lamp string) {
		if newer.Load() && lamp != at {
			return
		}
		if lamp == at {
			once.Do(func() { g.pause(); close(paused) })
		}
		g.wait()
	}
	r.begin(ops.StartRun)
	type end struct {
		res *ops.Result
		err error
	}
	ended := make(chan end)
	go func() {
		res, err := r.attempt(t.Context())
		ended <- end{res, err}
	}()
	<-paused
	<-time.After(40 * time.Second)

	r.docsAs = nil
	newer.Store(true)
	r.begin(ops.StartResume)
	if claimedOnly {
		if err := r.store.CreateAttempt(t.Context(), r.ref, ops.Attempt{N: 2, Host: "h", Process: "q"}); err != nil {
			t.Fatal(err)
		}
	} else if res, err := r.attempt(t.Context()); err != nil || res.Outcome != ops.Succeeded {
		t.Fatalf("the newer attempt: %+v, %v", res, err)
	}
	calls, writes := r.allCalls(), r.docs.written()
	g.wake()
	e := <-ended
	if !errors.Is(e.err, worker.ErrFenced) || e.res != nil {
		t.Errorf("the paused worker ended with %+v, %v", e.res, e.err)
	}
	equal(t, "calls after it woke", r.allCalls(), calls)
	r.docs.mu.Lock()
	late := r.docs.writes[writes:]
	r.docs.mu.Unlock()
	for _, key := range late {
		doc, err := r.docs.Get(t.Context(), key)
		switch {
		case strings.HasSuffix(key, "heartbeat.json"): // on its way when the pause began; nothing is decided by it
		case claimedOnly && strings.Contains(key, "/journal/") && err == nil && !strings.Contains(string(doc), `"kind":"intent"`):
			// What became of the effect in hand, on its way too: the newer attempt reads it.
		default:
			t.Errorf("it wrote %s after it woke", key)
		}
	}
}

// TestPausedWorkerSendsNothingAgain: the answer it waited for is lost, and
// meanwhile a newer attempt acts. Neither the worker nor its client sends again.
func TestPausedWorkerSendsNothingAgain(t *testing.T) {
	for name, retries := range map[string]bool{"the worker": false, "its client": true} {
		bubble(t, name, func(t *testing.T) { pausedInACall(t, retries) })
	}
}

func pausedInACall(t *testing.T, retries bool) {
	r := newRig(t, 3)
	r.retries = retries
	g := &gate{}
	r.docsAs = func(s *store.Store) worker.Documents { return &stalled{s, g} }
	r.settle = func(string) ops.Settling { return ops.SettleResend }
	r.faults["l00001"] = []fault{lostBefore}
	paused, wake := make(chan struct{}), make(chan struct{})
	var again atomic.Bool
	r.onAnswer = func(string) {
		if again.CompareAndSwap(false, true) {
			g.pause()
			close(paused)
			<-wake
		}
	}
	r.begin(ops.StartRun)
	first := make(chan error)
	go func() { _, err := r.attempt(t.Context()); first <- err }()
	<-paused
	<-time.After(40 * time.Second)
	r.docsAs = nil
	r.ends(ops.StartResume, ops.Succeeded, "")
	calls := r.allCalls()
	g.wake()
	close(wake)
	if err := <-first; !errors.Is(err, worker.ErrFenced) {
		t.Errorf("the paused worker ended with %v", err)
	}
	equal(t, "calls after it woke", r.allCalls(), calls)
}

// TestLateAttemptDoesNotTakeTheJournalBack: attempt 2 was paused before it read the
// journal, and attempt 3 has written there meanwhile.
func TestLateAttemptDoesNotTakeTheJournalBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 60)
		r.latency = 20 * time.Millisecond
		r.dies("/journal/", 3, false)
		if _, err := r.work(ops.StartRun); err == nil {
			t.Fatal("it did not die")
		}
		r.revive()
		entered, leave := make(chan struct{}), make(chan struct{})
		r.docs.before = func(key string, _ int) error {
			if strings.HasPrefix(key, "index/") {
				r.docs.before = nil
				close(entered)
				<-leave
			}
			return nil
		}
		r.begin(ops.StartResume)
		second := make(chan error)
		go func() { _, err := r.attempt(t.Context()); second <- err }()
		<-entered
		r.faults["l00030"] = []fault{fails} // so that the run may go on
		r.ends(ops.StartResume, ops.RunFailed, ops.Denied)
		docs := len(r.docs.keys("/journal/"))
		close(leave)
		if err := <-second; !errors.Is(err, worker.ErrFenced) {
			t.Errorf("the late attempt ended with %v", err)
		}
		equal(t, "journal documents", len(r.docs.keys("/journal/")), docs)
	})
}

// TestSilence: once heartbeats fail for 30 s no further effect begins, although
// everything else works.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 30)
		r.inFlt, r.latency = 1, 5*time.Second
		var last time.Time
		r.onCall = func(string) { last = time.Now() }
		began := time.Now()
		r.docs.before = func(key string, _ int) error {
			if strings.HasSuffix(key, "heartbeat.json") && time.Since(began) > 20*time.Second {
				return errCut
			}
			return nil
		}
		res := r.ends(ops.StartRun, ops.RunFailed, ops.Unavailable)
		contains(t, "message", res.Message, "no heartbeat for 30s")
		if after := last.Sub(began); after < 40*time.Second || after > 50*time.Second {
			t.Errorf("the last effect began after %v, want 30 s after the last heartbeat at 20 s", after)
		}
		r.docs.before = nil
		r.ends(ops.StartResume, ops.Succeeded, "")
	})
}

// TestHeartbeats tell attempt, phase and progress.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 30)
		r.inFlt, r.latency = 1, time.Second
		r.faults["l00002"] = []fault{fails}
		r.onCall = func(lamp string) {
			if lamp != "l00014" {
				return
			}
			hb, _, err := r.store.Heartbeat(t.Context(), r.ref)
			if err != nil || hb.Attempt != 1 || hb.Phase != "performing" || hb.Progress.Done < 9 || hb.Progress.Failed != 1 || hb.Progress.Total != 30 || hb.Progress.Unit != "lamps" {
				t.Errorf("the heartbeat is %+v, %v", hb, err)
			}
		}
		r.ends(ops.StartRun, ops.RunFailed, ops.Unavailable)
	})
}

// TestHeartbeatsOfAPlan tell how many targets were read, and count nothing of it as
// done once effects begin.
func TestHeartbeatsOfAPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 30)
		r.inFlt, r.latency = 1, time.Minute
		seen := func() *ops.Heartbeat {
			time.Sleep(10 * time.Second) // a heartbeat comes every five
			hb, _, err := r.store.Heartbeat(t.Context(), r.ref)
			if err != nil {
				t.Error(err)
			}
			return hb
		}
		read := 0
		r.reading = func(lamp string) error {
			if read++; read == 15 {
				if hb := seen(); hb.Phase != "planning" || hb.Progress != (ops.Progress{Done: 14, Total: 30, Unit: "lamps"}) {
					t.Errorf("while the 15th of 30 is read the heartbeat is %+v", hb)
				}
			}
			return nil
		}
		first := true
		r.onCall = func(string) {
			if hb := seen(); first && (hb.Phase != "performing" || hb.Progress != (ops.Progress{Total: 30, Unit: "lamps"})) {
				t.Errorf("in the first effect the heartbeat is %+v", hb)
			}
			first = false
		}
		r.ends(ops.StartRun, ops.Succeeded, "")

		told := 0
		c := r.configured()
		c.Read = func(done, total int) {
			if told++; done != told || total != 30 {
				t.Errorf("reading %d of 30 is told as %d of %d", told, done, total)
			}
		}
		if _, err := worker.New(c).Plan(t.Context(), &r.req); err != nil || told != 30 {
			t.Errorf("a plan tells %d of 30 readings, %v", told, err)
		}
	})
}
