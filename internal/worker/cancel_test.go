package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// TestCancelAtEveryDocument: the marker appears just after each document of the
// run in turn. No batch is begun after it, and what the result says is so.
func TestCancelAtEveryDocument(t *testing.T) {
	for _, settle := range settlings {
		bubble(t, "settled by "+string(settle), func(t *testing.T) {
			for n, more := 1, true; more; n += portion {
				more = cancelAt(t, settle, n)
			}
		})
	}
}

func cancelAt(t *testing.T, settle ops.Settling, n int) (more bool) {
	r := newRig(t, 40)
	r.latency = 20 * time.Millisecond
	r.settle = func(string) ops.Settling { return settle }
	seen, asked := 0, false
	var intents atomic.Int64
	r.docs.after = func(key string, _ int) error {
		if asked && strings.Contains(key, "/journal/") {
			doc, _ := r.docs.Get(context.Background(), key)
			intents.Add(int64(strings.Count(string(doc), `"kind":"intent"`)))
		}
		if strings.Contains(key, string(run1)) && !strings.Contains(key, "heartbeat") && !strings.Contains(key, "starts/") && !asked {
			if seen++; seen == n {
				asked = true
				r.cancel()
			}
		}
		return nil
	}
	res, err := r.work(ops.StartRun)
	if err != nil {
		t.Fatalf("canceled at document %d: %v", n, err)
	}
	if !asked {
		return false
	}
	r.honest(res)
	if intents.Load() > 0 {
		t.Errorf("canceled at document %d: %d intents were opened after the marker", n, intents.Load())
	}
	want := ops.RunCanceled
	if res.Counts[ops.EffectDone] == 40 {
		want = ops.Succeeded
	}
	equal(t, fmt.Sprintf("outcome when canceled at document %d", n), res.Outcome, want)
	return true
}

// TestCancelWhileAnEffectHangs: it gets the grace, then it is settled as declared.
func TestCancelWhileAnEffectHangs(t *testing.T) {
	for _, c := range []struct {
		name    string
		settle  ops.Settling
		class   ops.Class
		hang    fault
		outcome ops.Outcome
		code    ops.Code
		effect  ops.EffectOutcome
		calls   int
	}{
		{"read, it happened", ops.SettleRead, ops.Changes, hangsAfter, ops.RunCanceled, ops.Canceled, ops.EffectDone, 1},
		{"read, it did not", ops.SettleRead, ops.Changes, hangs, ops.RunCanceled, ops.Canceled, ops.EffectNotReached, 1},
		{"resend", ops.SettleResend, ops.Changes, hangs, ops.RunCanceled, ops.Canceled, ops.EffectDone, 2},
		{"person", ops.SettlePerson, ops.Changes, hangsAfter, ops.RunFailed, ops.Unsettled, ops.EffectUnsettled, 1},
		{"only reading", ops.SettleResend, ops.Reads, hangs, ops.RunCanceled, ops.Canceled, ops.EffectNotReached, 1},
	} {
		bubble(t, c.name, func(t *testing.T) {
			r := newRig(t, 3)
			r.task.Class = c.class
			r.settle = func(string) ops.Settling { return c.settle }
			r.faults["l00002"] = []fault{c.hang}
			r.onCall = func(lamp string) {
				if lamp == "l00002" && r.calls(lamp) == 1 {
					r.cancel()
				}
			}
			r.inFlt = 1
			began := time.Now()
			res := r.ends(ops.StartRun, c.outcome, c.code)
			if took := time.Since(began); took < 10*time.Second || took > 20*time.Second {
				t.Errorf("it took %v, want the grace of 10 s after a poll of 5 s", took)
			}
			equal(t, "the one that hung", outcomes(res)["l00002"], c.effect)
			equal(t, "its calls", r.calls("l00002"), c.calls)
			equal(t, "the next one", outcomes(res)["l00003"], ops.EffectNotReached)
			if c.outcome == ops.RunFailed {
				contains(t, "next", res.Next, "synops settle "+string(run1)+" --settle lamp/l00002=done")
			}
		})
	}
}

// TestCancelWithinTheGrace: an effect that ends in time is simply done.
func TestCancelWithinTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.latency = 8 * time.Second
		r.onCall = func(string) { r.cancel() }
		res := r.ends(ops.StartRun, ops.RunCanceled, ops.Canceled)
		equal(t, "the one in hand", outcomes(res)["l00001"], ops.EffectDone)
		equal(t, "calls", r.allCalls(), 1)
		contains(t, "changed", res.Changed, "1 lamp changed.")
		contains(t, "undo", res.Undo, "synops run douse-lamps lamps=l00001 -e dev")
	})
}

// TestCanceledRunOfADeadWorker: the settling attempt begins nothing that the dead
// one may never have begun.
func TestCanceledRunOfADeadWorker(t *testing.T) {
	for _, settle := range settlings {
		for _, readable := range []bool{true, false} {
			bubble(t, fmt.Sprintf("settled by %s, readable %t", settle, readable), func(t *testing.T) {
				r := newRig(t, 60)
				r.latency = 20 * time.Millisecond
				r.settle = func(string) ops.Settling { return settle }
				if !readable {
					r.alter = unreadable
				}
				r.dies("/journal/", 4, false)
				if _, err := r.work(ops.StartRun); err == nil {
					t.Fatal("it did not die")
				}
				r.revive()
				before := r.ledger()
				r.cancel()
				r.answer = r.truth(before)
				res := r.ends(ops.StartSettle, ops.RunCanceled, ops.Canceled)
				before.keptBy(t, r.ledger(), r.answer)
				if readable && r.allCalls() != sum(before.calls) {
					t.Errorf("%d calls were made after the cancel", r.allCalls()-sum(before.calls))
				}
				equal(t, "unsettled", res.Counts[ops.EffectUnsettled], 0)
			})
		}
	}
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// unreadable makes a service that has no read: plans tell no state before.
func unreadable(p *ops.Procedure) {
	plan := p.Plan
	p.Plan = func(ctx context.Context, v ops.Values, t ops.Target) (ops.Effect, error) {
		e, err := plan(ctx, v, t)
		e.Before, e.BeforeAbsent, e.Nothing = nil, "the service cannot be asked", false
		return e, err
	}
	p.Verify = nil
}

// TestSettleStartBeginsNothing, and the run can be resumed afterwards.
func TestSettleStartBeginsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 60)
		r.dies("/journal/", 4, false)
		if _, err := r.work(ops.StartRun); err == nil {
			t.Fatal("it did not die")
		}
		r.revive()
		calls := r.allCalls()
		res := r.ends(ops.StartSettle, ops.RunFailed, ops.Canceled)
		equal(t, "calls", r.allCalls(), calls)
		contains(t, "message", res.Message, "What was open is settled")
		contains(t, "next", res.Next, "synops resume "+string(run1))
		r.ends(ops.StartResume, ops.Succeeded, "")
	})
}

// TestPersonSettles: nothing can tell, so the run stops, says what may have
// happened, and goes on with the answer.
func TestPersonSettles(t *testing.T) {
	for _, happened := range []bool{true, false} {
		bubble(t, fmt.Sprintf("it happened: %t", happened), func(t *testing.T) {
			r := newRig(t, 4)
			r.settle = func(string) ops.Settling { return ops.SettlePerson }
			r.faults["l00002"] = []fault{lostBefore}
			if happened {
				r.faults["l00002"] = []fault{lostAfter}
			}
			res := r.ends(ops.StartRun, ops.RunFailed, ops.Unsettled)
			equal(t, "message", res.Message, "1 lamp may or may not be done. No further effect is begun until that is known.")
			equal(t, "changed", res.Changed, "1 lamp changed. 1 lamp may have been.")
			equal(t, "next", res.Next, "Find out whether it happened, then: synops resume "+string(run1)+" --settle lamp/l00002=done (or =not-done)")
			// Without an answer nothing moves.
			r.ends(ops.StartResume, ops.RunFailed, ops.Unsettled)
			equal(t, "calls without an answer", r.allCalls(), 2)
			r.answer = map[string]bool{"lamp/l00002": happened}
			res = r.ends(ops.StartResume, ops.Succeeded, "")
			want := 1
			if !happened {
				want = 2
			}
			equal(t, "calls", r.calls("l00002"), want)
			equal(t, "done", res.Counts[ops.EffectDone], 4)
		})
	}
}

// TestStopCheckpoints: SIGTERM ends the worker without a result; what was in hand
// is journaled, the lease stays, a resume goes on.
func TestStopCheckpoints(t *testing.T) {
	for _, hang := range []bool{false, true} {
		bubble(t, fmt.Sprintf("an effect hangs: %t", hang), func(t *testing.T) {
			r := newRig(t, 10)
			r.task.Lease = "lamps"
			ctx, stop := context.WithCancel(t.Context())
			if hang {
				r.faults["l00003"] = []fault{hangsAfter}
			}
			r.onCall = func(lamp string) {
				if lamp == "l00003" {
					stop()
					synctest.Wait()
				}
			}
			r.begin(ops.StartRun)
			res, err := r.attempt(ctx)
			if !errors.Is(err, worker.ErrStopped) || res != nil {
				t.Fatalf("got %+v, %v", res, err)
			}
			equal(t, "results", len(r.docs.keys("/results/")), 0)
			if h := r.holder(); h == nil {
				t.Error("the lease was let go")
			}
			if l := r.ledger(); len(l.open) > 0 || !l.recorded["lamp/l00003"] {
				t.Errorf("the journal is left with %v open", l.open)
			}
			contains(t, "log", r.out.String(), "synops resume "+string(run1))
			calls := r.allCalls()
			r.onCall = nil
			r.ends(ops.StartResume, ops.Succeeded, "")
			equal(t, "calls in all", r.allCalls(), 10)
			if calls >= 10 {
				t.Error("it did not stop")
			}
		})
	}
}

// TestStopAtTheVeryEnd: a run that is done needs nobody to resume it.
func TestStopAtTheVeryEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		ctx, stop := context.WithCancel(t.Context())
		r.onAnswer = func(lamp string) {
			if lamp == "l00002" {
				stop()
			}
		}
		r.begin(ops.StartRun)
		res, err := r.attempt(ctx)
		if err == nil {
			equal(t, "outcome", res.Outcome, ops.Succeeded)
		} else if !errors.Is(err, worker.ErrStopped) {
			t.Errorf("got %v", err)
		}
	})
}

// TestResumeOfAFailedRun goes on with what was not reached and leaves what failed.
func TestResumeOfAFailedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 12)
		for _, lamp := range []string{"l00002", "l00003", "l00004"} {
			r.faults[lamp] = []fault{fails}
		}
		res := r.ends(ops.StartRun, ops.RunFailed, ops.Unavailable)
		equal(t, "message", res.Message, "Stopped after 3 failures in a row.")
		equal(t, "next", res.Next, "Go on: synops resume "+string(run1)+"; then retry what failed: synops run light-lamps lamps=@failed:"+string(run1)+" -e dev")
		res = r.ends(ops.StartResume, ops.RunFailed, ops.Denied)
		equal(t, "done", res.Counts[ops.EffectDone], 9)
		equal(t, "failed", res.Counts[ops.EffectFailed], 3)
		equal(t, "calls of a failed one", r.calls("l00002"), 1)
		equal(t, "next", res.Next, "Retry what failed: synops run light-lamps lamps=@failed:"+string(run1)+" -e dev")
	})
}

// TestFinalRunsStayFinal: a start that comes too late changes nothing.
func TestFinalRunsStayFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		r.ends(ops.StartRun, ops.Succeeded, "")
		r.begin(ops.StartResume)
		writes := r.docs.written()
		if res, err := r.attempt(t.Context()); ops.CodeOf(err) != ops.Conflict {
			t.Fatalf("got %+v, %v", res, err)
		}
		equal(t, "documents written", r.docs.written(), writes)
	})
}

// TestTimeLimit: the run ends at it, and a resume has its own.
func TestTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 9)
		r.inFlt, r.latency, r.task.TimeLimit = 1, 55*time.Second, 5*time.Minute
		res := r.ends(ops.StartRun, ops.RunFailed, ops.Unavailable)
		equal(t, "message", res.Message, "The run reached its time limit.")
		if n := res.Counts[ops.EffectDone]; n < 4 || n > 6 {
			t.Errorf("%d lamps of 55 s each were lit within 5 minutes", n)
		}
		<-time.After(24 * time.Hour)
		r.ends(ops.StartResume, ops.Succeeded, "")
	})
}

// TestCleanUp runs at every end; one that fails leaves a run that can be settled.
func TestCleanUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		times, broken := 0, true
		r.alter = func(p *ops.Procedure) {
			p.CleanUp = func(context.Context, ops.Values) error {
				if times++; broken {
					return errAsk
				}
				return nil
			}
		}
		r.onCall = func(string) { r.cancel() }
		res := r.ends(ops.StartRun, ops.RunFailed, ops.Internal)
		contains(t, "message", res.Message, "The clean-up did not finish.")
		contains(t, "next", res.Next, "synops settle "+string(run1))
		broken = false
		r.ends(ops.StartSettle, ops.RunCanceled, ops.Canceled)
		equal(t, "clean-ups", times, 2)
	})
}
