package worker_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var settlings = []ops.Settling{ops.SettleRead, ops.SettleResend, ops.SettlePerson}

// A ledger compares what was recorded and begun before an attempt with after it:
// no recorded outcome is repeated, and an open intent costs at most one more call,
// none where a person must settle it, unless that person said that it did not
// happen.
type ledger struct {
	recorded map[string]bool // by effect ID
	open     map[string]ops.Settling
	calls    map[string]int // by lamp
}

func (r *rig) ledger() ledger {
	l := ledger{recorded: map[string]bool{}, open: map[string]ops.Settling{}}
	for _, e := range r.entries() {
		switch o := ops.EffectOutcome(e.Outcome); {
		case e.Kind == ops.EntryIntent:
			l.open[e.Effect] = e.Settle
		case e.Kind == ops.EntryOutcome && o == ops.EffectNotReached:
			delete(l.open, e.Effect)
		case e.Kind == ops.EntryOutcome && o != ops.EffectUnsettled:
			delete(l.open, e.Effect)
			l.recorded[e.Effect] = true
		}
	}
	r.mu.Lock()
	l.calls = maps.Clone(r.sent)
	r.mu.Unlock()
	return l
}

// keptBy checks one attempt against what was there before it.
func (l ledger) keptBy(t failer, now ledger, answers map[string]bool) {
	t.Helper()
	for id := range l.recorded {
		lamp := strings.TrimPrefix(id, "lamp/")
		if now.calls[lamp] != l.calls[lamp] {
			t.Errorf("%s has a recorded outcome and was performed again", id)
		}
	}
	for id, settle := range l.open {
		lamp := strings.TrimPrefix(id, "lamp/")
		done, answered := answers[id]
		most := 1
		if settle == ops.SettlePerson && (done || !answered) {
			most = 0
		}
		if more := now.calls[lamp] - l.calls[lamp]; more > most {
			t.Errorf("%s, settled by %s, was open and got %d more calls", id, settle, more)
		}
	}
}

// TestCrashAtEveryWrite: the process dies at each document in turn, before or just
// after it is there. A second attempt finishes the run.
func TestCrashAtEveryWrite(t *testing.T) {
	for _, settle := range settlings {
		for _, late := range []bool{false, true} {
			bubble(t, fmt.Sprintf("settled by %s, written %t", settle, late), func(t *testing.T) {
				died := true
				for n := 1; died; n += portion {
					died = crashAt(t, settle, n, late)
					if n > 100 {
						t.Fatal("the run never ends")
					}
				}
			})
		}
	}
}

func crashAt(t *testing.T, settle ops.Settling, n int, late bool) (died bool) {
	r := newRig(t, 12)
	r.latency = 20 * time.Millisecond
	r.task.Lease = "lamps"
	r.settle = func(string) ops.Settling { return settle }
	r.config = goneWorkers
	r.dies("runs/"+string(run1)+"/", n+1, late) // the first is the start itself
	_, err := r.work(ops.StartRun)
	if err == nil {
		return false
	}
	r.revive()
	before := r.ledger()
	r.answer = r.truth(before)
	res, err := r.work(ops.StartResume)
	if err != nil {
		if v, _ := r.store.Results(t.Context(), r.ref); len(v) == 1 && v[0].Outcome == ops.Succeeded {
			return true // it died after its result was written
		}
		t.Fatalf("dead at write %d: %v", n, err)
	}
	r.honest(res)
	before.keptBy(t, r.ledger(), r.answer)
	equal(t, fmt.Sprintf("outcome after dying at write %d", n), res.Outcome, ops.Succeeded)
	for _, lamp := range lamps(12) {
		if !r.isOn(lamp) {
			t.Errorf("dead at write %d: %s is off", n, lamp)
		}
	}
	return true
}

// truth is what a person finds who looks at the lamps that are left open.
func (r *rig) truth(l ledger) map[string]bool {
	out := map[string]bool{}
	for id, settle := range l.open {
		if settle == ops.SettlePerson {
			out[id] = r.isOn(strings.TrimPrefix(id, "lamp/"))
		}
	}
	return out
}

// TestOpenIntentsStayOpen: a resume that stops early must not tell an effect as not
// reached that an earlier attempt may have made.
func TestOpenIntentsStayOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 60)
		r.latency = 20 * time.Millisecond
		r.alter = unreadable
		r.settle = func(string) ops.Settling { return ops.SettleResend }
		r.dies("/journal/", 4, false)
		if _, err := r.work(ops.StartRun); err == nil {
			t.Fatal("it did not die")
		}
		r.revive()
		before := r.ledger()
		for id := range before.open {
			r.faults[strings.TrimPrefix(id, "lamp/")] = []fault{fails}
		}
		r.inFlt = 1
		res := r.ends(ops.StartResume, ops.RunFailed, ops.Unsettled)
		for id := range before.open {
			equal(t, id, outcomes(res)[strings.TrimPrefix(id, "lamp/")], ops.EffectUnsettled)
		}
		r.inFlt, r.faults = 3, map[string][]fault{}
		r.ends(ops.StartResume, ops.Succeeded, "")
	})
}

// TestAnyHistory: random faults, crashes, cancels of the process and resumes, over
// effects of all kinds. Whatever happens: one document chain, no recorded outcome
// repeated, no result that lies, and in the end every lamp is as the result says.
func TestAnyHistory(t *testing.T) {
	inPortion(t)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(rt, "lamps")
		kinds := rapid.SliceOfN(rapid.SampledFrom(settlings), n, n).Draw(rt, "kinds")
		faults := map[string][]fault{}
		for i, lamp := range lamps(n) {
			if rapid.IntRange(0, 3).Draw(rt, "faulty") == 0 {
				faults[lamp] = rapid.SliceOfN(rapid.SampledFrom([]fault{lostAfter, lostBefore, fails, refuses, none, brokenLamp}), 1, 3).Draw(rt, fmt.Sprint("faults of ", i))
			}
		}
		attempts := rapid.SliceOfN(rapid.IntRange(1, 40), 0, 5).Draw(rt, "crashes")
		late := rapid.Bool().Draw(rt, "written")
		var problems []string
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, n)
			r.latency = 20 * time.Millisecond
			r.config = goneWorkers
			r.task.Lease = "lamps"
			for _, lamp := range lamps(n) {
				r.faults[lamp] = faults[lamp]
			}
			r.settle = func(lamp string) ops.Settling {
				var i int
				fmt.Sscanf(lamp, "l%d", &i)
				return kinds[i-1]
			}
			problems = r.history(attempts, late)
		})
		for _, p := range problems {
			rt.Error(p)
		}
	})
}

// inPortion has rapid make only a portion of its checks.
func inPortion(t *testing.T) {
	checks := flag.Lookup("rapid.checks").Value
	all, err := strconv.Atoi(checks.String())
	if err != nil {
		t.Fatal(err)
	}
	_ = checks.Set(strconv.Itoa((all + portion - 1) / portion))
	t.Cleanup(func() { _ = checks.Set(strconv.Itoa(all)) })
}

// problems collects what a history got wrong.
type problems []string

func (p *problems) Helper() {}
func (p *problems) Errorf(format string, args ...any) {
	*p = append(*p, fmt.Sprintf(format, args...))
}

// history performs attempts until the run succeeds or only failed effects are
// left; attempt i dies at write crashes[i].
func (r *rig) history(crashes []int, late bool) problems {
	var found problems
	kind := ops.StartRun
	for i := 0; i < len(crashes)+200; i++ {
		if i < len(crashes) {
			r.dies("runs/", crashes[i]+1, late)
		}
		before := r.ledger()
		r.answer = r.truth(before)
		res, err := r.work(kind)
		kind = ops.StartResume
		r.revive()
		before.keptBy(&found, r.ledger(), r.answer)
		if err == nil {
			r.honestTo(&found, res)
			if res.Outcome.Final() || res.Counts[ops.EffectNotReached]+res.Counts[ops.EffectUnsettled] == 0 {
				return found
			}
		} else if ops.CodeOf(err) == ops.Conflict && !errors.Is(err, context.Canceled) {
			return found // the result was written, and then it died
		}
	}
	found.Errorf("the run does not end")
	return found
}
