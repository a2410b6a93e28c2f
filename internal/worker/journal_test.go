package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// watchIntents fails the test when a call begins whose intent is not durable, or
// when more intents are open than may be.
func (r *rig) watchIntents() {
	var mu sync.Mutex
	seen, open, chain := 0, map[string]bool{}, ops.NewChain(r.req.Digest())
	r.onCall = func(lamp string) {
		mu.Lock()
		defer mu.Unlock()
		for ; ; seen++ {
			key := fmt.Sprintf("admin/runs/%s/journal/%08d.jsonl", run1, seen+1)
			doc, err := r.docs.Get(context.Background(), key)
			if err != nil {
				break
			}
			if err := chain.Decode(doc, func(e ops.Entry) error { follow(open, e); return nil }); err != nil {
				r.Error(err)
			}
			if len(open) > ops.MostBatch {
				r.Errorf("%d intents are open at once", len(open))
			}
		}
		if !open["lamp/"+lamp] {
			r.Errorf("%s was begun without a durable intent", lamp)
		}
	}
}

func TestIntentsComeFirst(t *testing.T) {
	for _, inFlight := range []int{1, 3, 64} {
		for _, settle := range []ops.Settling{ops.SettleRead, ops.SettleResend, ops.SettlePerson} {
			bubble(t, fmt.Sprintf("%d in flight, settled by %s", inFlight, settle), func(t *testing.T) {
				r := newRig(t, 150)
				r.inFlt, r.latency = inFlight, 20*time.Millisecond
				r.settle = func(string) ops.Settling { return settle }
				r.watchIntents()
				res := r.ends(ops.StartRun, ops.Succeeded, "")
				equal(t, "done", res.Counts[ops.EffectDone], 150)
				switch {
				case settle == ops.SettlePerson:
					equal(t, "most in hand", r.most, 1)
				case inFlight == 3:
					equal(t, "most in hand", r.most, 3)
				case r.most > inFlight:
					t.Errorf("%d in hand at once, %d may be", r.most, inFlight)
				}
			})
		}
	}
}

// batches lists how many intents each journal document opens.
func (r *rig) batches() []int {
	var out []int
	for doc, err := range r.store.Journal(context.Background(), r.ref, 0) {
		if err != nil {
			r.Fatal(err)
		}
		if n := strings.Count(string(doc), `"kind":"intent"`); n > 0 {
			out = append(out, n)
		}
	}
	return out
}

// TestFewIntentsAreOpen also where many calls are in hand and none ends together
// with another.
func TestFewIntentsAreOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 500)
		r.inFlt, r.latency, r.uneven = 45, 10*time.Millisecond, true
		r.watchIntents()
		r.ends(ops.StartRun, ops.Succeeded, "")
		if r.most < 40 {
			t.Errorf("at most %d calls were in hand, of 45", r.most)
		}
	})
}

// TestOutcomeForAPersonIsWrittenAtOnce: a crash before the next intent costs nobody
// a question.
func TestOutcomeForAPersonIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6)
		r.settle = func(string) ops.Settling { return ops.SettlePerson }
		r.dies("/journal/", 5, false) // intent, outcome, intent, outcome, and this
		if _, err := r.work(ops.StartRun); err == nil {
			t.Fatal("it did not die")
		}
		r.revive()
		equal(t, "open intents", len(r.ledger().open), 0)
		r.ends(ops.StartResume, ops.Succeeded, "")
	})
}

func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100)
		r.latency = 20 * time.Millisecond
		r.ends(ops.StartRun, ops.Succeeded, "")
		if got := fmt.Sprint(r.batches()); got != "[1 3 32 32 32]" {
			t.Errorf("batches of %s intents, want one, a few, then 32", got)
		}
		if docs := len(r.docs.keys("/journal/")); docs > 12 {
			t.Errorf("100 effects took %d journal documents: outcomes are not grouped", docs)
		}
	})
}

// TestOneAtATimeForAPerson: one open intent, and its outcome is durable before the
// next begins, also among effects of other kinds.
func TestOneAtATimeForAPerson(t *testing.T) {
	for _, planned := range []bool{true, false} {
		bubble(t, fmt.Sprintf("planned at once: %t", planned), func(t *testing.T) {
			r := newRig(t, 60)
			if !planned {
				r.req.Inputs["lamps"] = strings.Join(lamps(1100), ",")
				r.task.MaxTargets = 2000
			}
			person := func(lamp string) bool { return lamp > "l00030" && lamp <= "l00045" }
			r.settle = func(lamp string) ops.Settling {
				if person(lamp) {
					return ops.SettlePerson
				}
				return ops.SettleRead
			}
			r.ends(ops.StartRun, ops.Succeeded, "")
			open := map[string]bool{}
			for _, e := range r.entries() {
				if person(strings.TrimPrefix(e.Effect, "lamp/")) {
					follow(open, e)
				}
				if len(open) > 1 {
					t.Fatalf("several intents that only a person can settle are open at entry %d", e.Seq)
				}
			}
		})
	}
}

// TestJournalFails: appending fails at each document in turn, once or for good,
// before or after it was written. No effect begins without a durable intent, no
// result lies, and a later attempt finishes.
func TestJournalFails(t *testing.T) {
	for _, late := range []bool{false, true} {
		for _, once := range []bool{true, false} {
			for n := 1; n <= 9; n++ {
				bubble(t, fmt.Sprintf("document %d, written %t, once %t", n, late, once), func(t *testing.T) {
					r := newRig(t, 80)
					r.latency = 20 * time.Millisecond
					r.watchIntents()
					r.failJournal(n, late, once)
					res, err := r.work(ops.StartRun)
					if err == nil {
						r.honest(res)
					} else if errors.Is(err, worker.ErrFenced) {
						t.Error("a store that failed is taken for a newer attempt")
					}
					r.docs.before, r.docs.after = nil, nil
					if err == nil && res.Outcome == ops.Succeeded {
						return
					}
					r.ends(ops.StartResume, ops.Succeeded, "")
					for _, lamp := range lamps(80) {
						equal(t, "calls of "+lamp, r.calls(lamp), 1)
					}
				})
			}
		}
	}
}

// failJournal makes the append of the n-th journal document fail.
func (r *rig) failJournal(n int, late, once bool) {
	var mu sync.Mutex
	seen := 0
	strike := func(key string, _ int) error {
		mu.Lock()
		defer mu.Unlock()
		if !strings.Contains(key, "/journal/") {
			return nil
		}
		if seen++; seen == n || seen > n && !once {
			return errCut
		}
		return nil
	}
	if late {
		r.docs.after = strike
	} else {
		r.docs.before = strike
	}
}

// TestTamperedJournalStopsAResume: it is found, said, and nothing is begun or
// written there.
func TestTamperedJournalStopsAResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 5)
		r.dies("/journal/", 3, false)
		if _, err := r.work(ops.StartRun); err == nil {
			t.Fatal("the first attempt did not die")
		}
		r.revive()
		r.forge("/journal/00000001", "l00001", "l00002")
		calls := r.allCalls()
		res, err := r.work(ops.StartResume)
		if err != nil || res.Outcome != ops.RunFailed || res.Code != ops.Conflict {
			t.Fatalf("got %+v, %v", res, err)
		}
		contains(t, "message", res.Message, "the journal's entry")
		contains(t, "changed", res.Changed, "cannot be told")
		contains(t, "next", res.Next, "synops verify "+string(run1))
		equal(t, "calls", r.allCalls(), calls)
		equal(t, "journal documents", len(r.docs.keys("/journal/")), 2)
	})
}

// TestPersonalDataStaysPrivate: documents and log hold hashes; the before-image is
// durable before its intent.
func TestPersonalDataStaysPrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.task.Personal, r.private = []string{"owner"}, true
		r.faults["l00002"] = []fault{brokenLamp}
		r.docs.before = func(key string, _ int) error {
			if strings.Contains(key, "/journal/") && !strings.Contains(key, "00000001") || r.allCalls() > 0 {
				return nil
			}
			if strings.Contains(key, "/journal/") && len(r.docs.keys("/private/lamp~l00001.1.json")) != 1 {
				t.Error("the intent of l00001 is written before its before-image")
			}
			return nil
		}
		r.ends(ops.StartRun, ops.RunFailed, ops.Conflict)
		if text := r.docs.text("/private/") + r.out.String(); strings.Contains(text, "Ada-") {
			t.Errorf("personal data outside of private/:\n%s", text)
		}
		contains(t, "journal", r.docs.text("/private/"), `"owner":"hmac:`, `"owner":"[personal]"`)
		image, err := r.store.Private(t.Context(), r.ref, "lamp~l00003.1.json")
		if err != nil || !strings.Contains(string(image), owner("l00003")) {
			t.Errorf("the before-image is %s, %v", image, err)
		}
	})
}

// TestBeforeImageOfEachAttempt: what was read before a crash may be old when the
// effect begins; the image is of what that attempt changed. The first stays too: a
// later read may show what an open call had changed.
func TestBeforeImageOfEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.task.Personal, r.private, r.aside = []string{"owner"}, true, "old"
		r.dies("/private/lamp~", 1, true) // kept, and its intent is not
		if _, err := r.work(ops.StartRun); err == nil {
			t.Fatal("the first attempt did not die")
		}
		r.revive()
		r.aside = "new"
		r.ends(ops.StartResume, ops.Succeeded, "")
		for attempt, want := range map[string]string{"1": "old", "2": "new"} {
			image, err := r.store.Private(t.Context(), r.ref, "lamp~l00001."+attempt+".json")
			if err != nil || !strings.Contains(string(image), `"aside":"`+want+`"`) {
				t.Errorf("attempt %s keeps %s, %v; want %s", attempt, image, err, want)
			}
		}
	})
}

// TestBeforeImageThatCannotBeKept: then the effect must not begin.
func TestBeforeImageThatCannotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.task.Personal, r.private = []string{"owner"}, true
		r.docs.before = func(key string, _ int) error {
			if strings.Contains(key, "/private/lamp~l00002") {
				return errCut
			}
			return nil
		}
		res := r.ends(ops.StartRun, ops.RunFailed, ops.Internal)
		contains(t, "message", res.Message, "keeping what lamp/l00002 was before")
		equal(t, "calls of l00002", r.calls("l00002"), 0)
		equal(t, "l00001", outcomes(res)["l00001"], ops.EffectDone)
	})
}
