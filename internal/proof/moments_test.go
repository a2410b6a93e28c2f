package proof_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// cancelNow writes the marker as somebody at a terminal does.
func (b *bubble) cancelNow(ref ops.RunRef) (asked bool) {
	b.t.Helper()
	asked, err := b.asker().Cancel(context.Background(), ref, "proof", "enough of it")
	b.ok(err)
	return asked
}

// endCanceled wants the run to end canceled, all its workers with it, and its lease to
// be free.
func (b *bubble) endCanceled(ref ops.RunRef) {
	b.t.Helper()
	r, err := b.asker().End(b.t.Context(), ref, launcher.Answers{By: "proof"}, time.Minute, launcher.Follow{})
	b.ok(err)
	if r.Outcome != ops.RunCanceled {
		b.t.Errorf("it ended %s: %s", r.Outcome, r.Message)
	}
	time.Sleep(10 * time.Minute) // whatever was begun too much has come and gone
	for i, p := range b.workers() {
		if !p.hasEnded() {
			b.t.Errorf("worker %d has not ended", i+1)
		}
	}
	held, err := b.store.Leases(b.t.Context())
	b.ok(err)
	for _, h := range held {
		if gone, err := b.asker().Gone(b.t.Context(), h); err != nil || !gone {
			b.t.Errorf("lease %s is kept by %s: gone %t, %v", h.Name, h.Run, gone, err)
		}
	}
	if again := b.cancelNow(ref); again {
		b.t.Error("what has ended was canceled once more")
	}
	b.intact(ref)
}

// at calls do while a process has its nth call in hand.
func at(n int, m moment, do func()) func(call) error {
	return func(c call) error {
		if c.n == n && c.moment == m {
			do()
		}
		return nil
	}
}

// moments calls test for each so-many-th of the calls from..to, before the call has
// arrived and after.
func moments(t *testing.T, from, to, few int, test func(t *testing.T, n int, m moment)) {
	t.Helper()
	if raced {
		few *= 4
	}
	for i := 2 * from; i <= 2*to+1; i++ {
		n, m := i/2, moment(i%2)
		if (i-2*from)%scaled(few, 1) != 0 {
			continue
		}
		t.Run(fmt.Sprintf("call %d %s", n, m), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, n, m) })
		})
	}
}

// reached waits for a moment; it is false when a worker made fewer calls this time.
func reached(moment <-chan struct{}) bool {
	select {
	case <-moment:
		return true
	case <-time.After(20 * time.Minute):
		return false
	}
}

// TestCancelWhileItIsLaunched cancels a run while its launcher has each of its calls in
// hand, from the claim on. Nothing is begun, whether a build comes of it or not.
func TestCancelWhileItIsLaunched(t *testing.T) {
	var claims, all int
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Config{})
		p := newProcess(nil)
		ref, _, err := b.launch(p)
		b.ok(err)
		claims, all = slices.Index(p.sent(), "s3 PUT admin/claims/job.json")+1, len(p.sent())
		b.onceOnly(ref)
	})
	if claims < 1 {
		t.Fatal("nothing was claimed")
	}
	moments(t, claims, all, 3, func(t *testing.T, n int, m moment) {
		b := newBubble(t, sandbox.Config{})
		var ref ops.RunRef
		_, _, err := b.launch(newProcess(at(n, m, func() {
			claim, err := b.store.FindClaim(t.Context(), ops.LaneAdmin, "job")
			b.ok(err)
			if claim != nil {
				ref = ops.RunRef{Lane: claim.Lane, Run: claim.Run}
				b.cancelNow(ref)
			}
		})))
		switch refused := ops.Refused(err); {
		case ref.Run == "" && n == claims && m == beforeApplied:
			return // there is nothing yet that could be canceled
		case ref.Run == "":
			t.Error("nothing was claimed")
		case refused != nil && refused.Guard == "cancel":
			time.Sleep(10 * time.Minute)
			if w := b.workers(); len(w) > 0 {
				t.Errorf("refused, it began %d workers", len(w))
			}
		default:
			b.ok(err)
			b.endCanceled(ref)
		}
		if sent := b.gate.all(); len(sent) > 0 {
			t.Errorf("%d calls were sent that change something", len(sent))
		}
	})
}

// TestCancelBeforeItWorks cancels a run that waits for its build, or whose build gets a
// machine. Nothing is begun.
func TestCancelBeforeItWorks(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		live  ops.Liveness
	}{{0, ops.AliveQueued}, {8 * time.Second, ops.AliveProvisioning}, {14 * time.Second, ops.AliveProvisioning}} {
		if raced && c.after > 0 {
			continue
		}
		t.Run(c.after.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Config{})
				ref, _, err := b.launch(newProcess(nil))
				b.ok(err)
				time.Sleep(c.after)
				if v, err := b.asker().Look(t.Context(), ref); err != nil || v.Live != c.live {
					t.Errorf("it is %s, %v; want %s", v.Live, err, c.live)
				}
				b.cancelNow(ref)
				b.endCanceled(ref)
				if sent := b.gate.all(); len(sent) > 0 {
					t.Errorf("%d calls were sent that change something", len(sent))
				}
			})
		})
	}
}

// TestCancelWhileItHandsOver cancels a run while its worker, which hands over to the
// next build, has each of its calls in hand. The next may settle; it goes on with nothing.
func TestCancelWhileItHandsOver(t *testing.T) {
	var from, to int
	synctest.Test(t, func(t *testing.T) {
		b, l, ref := newHandingOver(t)
		_, err := l.Follow(t.Context(), ref, launcher.Follow{})
		b.ok(err)
		calls := b.workers()[0].sent()
		from, to = slices.Index(calls, "StartPipelineExecution")-6, len(calls)
	})
	if from < 1 {
		t.Fatal("the first attempt handed nothing over")
	}
	moments(t, from, to, 7, func(t *testing.T, n int, m moment) {
		b, _, ref := newHandingOver(t)
		asked := make(chan struct{})
		cancel := at(n, m, func() { b.cancelNow(ref); close(asked) })
		b.befall(func(p *process, c call) error {
			if p != b.workers()[0] {
				return nil
			}
			return cancel(c)
		})
		reached(asked)
		b.endCanceled(ref)
		b.aloneAtATime()
		entries, _ := b.entries(ref)
		for _, e := range entries {
			if e.Attempt > 1 && (e.Kind == ops.EntryIntent || e.Kind == ops.EntryCheckpoint) {
				t.Errorf("attempt %d went on: %s %s", e.Attempt, e.Kind, e.Effect)
			}
		}
	})
}

// TestCancelWhileItIsSettled: a canceled run whose worker died is settled by another
// build. Whoever cancels and ends it once more meanwhile, at each of that build's
// calls, changes nothing about it.
func TestCancelWhileItIsSettled(t *testing.T) {
	const dies = 60 // a call amid the effects
	settled := func(t *testing.T, met func(call) error) (*bubble, ops.RunRef) {
		b := newBubble(t, sandbox.Config{})
		b.gate.count(b.docs)
		b.befall(func(p *process, c call) error {
			switch {
			case p != b.workers()[0]:
				return met(c)
			case c.n == dies:
				p.kill()
				return errKilled
			}
			return nil
		})
		j := befallenBulk(0, 8)
		ref, _, err := b.asker().Launch(t.Context(), "job", b.request(ops.TaskName(j.task), j.inputs), j.answers())
		b.ok(err)
		_, err = b.asker().Follow(t.Context(), ref, launcher.Follow{})
		if err == nil || len(b.gate.all()) == 0 || len(b.gate.all()) == 8 {
			t.Fatalf("the worker died before its effects or behind them: %v, %d sent", err, len(b.gate.all()))
		}
		b.cancelNow(ref)
		return b, ref
	}
	var calls int
	synctest.Test(t, func(t *testing.T) {
		b, ref := settled(t, func(call) error { return nil })
		b.endCanceled(ref)
		calls = len(b.workers()[1].sent())
	})
	moments(t, 1, calls, 29, func(t *testing.T, n int, m moment) {
		var b *bubble
		var ref ops.RunRef
		second := make(chan struct{})
		b, ref = settled(t, at(n, m, func() { b.cancelNow(ref); close(second) }))
		done := make(chan struct{})
		go func() {
			defer close(done)
			if !reached(second) {
				return
			}
			if _, err := b.asker().End(context.Background(), ref, launcher.Answers{By: "another"}, time.Minute, launcher.Follow{}); err != nil {
				t.Error(err)
			}
		}()
		b.endCanceled(ref)
		<-done
		if open := b.ledger(ref).open; len(open) > 0 {
			t.Errorf("left open: %v", open)
		}
		if n := len(b.workers()); n != 2 {
			t.Errorf("%d workers; one settles", n)
		}
	})
}
