package worker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// TestBulkStops where going on would only do more of the same harm.
func TestBulkStops(t *testing.T) {
	at := func(places ...int) map[int]bool {
		m := map[int]bool{}
		for _, p := range places {
			m[p] = true
		}
		return m
	}
	for _, c := range []struct {
		name    string
		lamps   int
		failing map[int]bool
		message string
		failed  int
	}{
		{"three in a row", 40, at(5, 6, 7), "Stopped after 3 failures in a row.", 3},
		{"the first three", 40, at(1, 2, 3), "Stopped after 3 failures in a row.", 3},
		{"two, one done, two", 19, at(5, 6, 8, 9), "4 lamps failed.", 4},
		{"one in twenty at the twentieth", 40, at(4), "Stopped: 1 of 20 failed.", 1},
		{"one in twenty later", 60, at(30), "1 lamp failed.", 1},
		{"one in twenty later on", 60, at(30, 31), "Stopped: 2 of 31 failed.", 2},
		{"none left to stop for", 20, at(20), "1 lamp failed.", 1},
		{"the last three", 10, at(8, 9, 10), "3 lamps failed.", 3},
	} {
		bubble(t, c.name, func(t *testing.T) {
			r := newRig(t, c.lamps)
			r.inFlt = 1
			for i, lamp := range lamps(c.lamps) {
				if c.failing[i+1] {
					r.faults[lamp] = []fault{fails}
				}
			}
			res, err := r.work(ops.StartRun)
			if err != nil || res.Outcome != ops.RunFailed {
				t.Fatalf("got %+v, %v", res, err)
			}
			r.honest(res)
			equal(t, "message", res.Message, c.message)
			equal(t, "failed", res.Counts[ops.EffectFailed], c.failed)
			if res.Effects[0].Outcome != ops.EffectFailed {
				t.Errorf("the first effect told is %s, want the failures first", res.Effects[0].Outcome)
			}
		})
	}
}

// TestRefusalsDoNotStopABulk: a target left alone is no failure.
func TestRefusalsDoNotStopABulk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 30)
		for _, lamp := range lamps(25)[5:] {
			r.faults[lamp] = []fault{refuses}
		}
		res := r.ends(ops.StartRun, ops.RunFailed, ops.Conflict)
		equal(t, "message", res.Message, "20 lamps not as planned any more; left alone.")
		equal(t, "done", res.Counts[ops.EffectDone], 10)
	})
}

// long returns a rig of a run above what is planned in full.
func long(t *testing.T, n int) *rig {
	r := newRig(t, n)
	r.task.MaxTargets = 200_000
	return r
}

// TestSummaryPlan reads the first few, binds the list, and plans each when it is
// reached; a refusal is then the effect's own.
func TestSummaryPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := long(t, 1500)
		p := r.planned()
		if !p.Summary || len(p.Effects) != 20 || p.EffectsTotal != 1500 || p.ListDigest == "" || r.reads != 20 {
			t.Fatalf("the plan is %d effects of %d, summary %t, list %q, after %d reads", len(p.Effects), p.EffectsTotal, p.Summary, p.ListDigest, r.reads)
		}
		contains(t, "notes", strings.Join(p.Notes, "\n"), "1500 lamps: the first 20 were read")
		r.on["l01000"] = true
		r.reading = func(lamp string) error {
			if lamp == "l00700" {
				return &ops.Refusal{Guard: "lamp", Code: ops.NotFound, Reason: "there is none.", Remedy: "Look."}
			}
			return nil
		}
		r.start = func(s *ops.Start) { s.PlanDigest = p.Digest }
		res := r.ends(ops.StartRun, ops.RunFailed, ops.Conflict)
		equal(t, "plan", res.PlanDigest, p.Digest)
		equal(t, "refused", res.Effects[0].ID, "lamp/l00700")
		equal(t, "done", res.Counts[ops.EffectDone], 1498)
		equal(t, "unchanged", res.Counts[ops.EffectUnchanged], 1)
		equal(t, "calls of the one that was on", r.calls("l01000"), 0)
		r.effectsFile(res, 1500)
	})
}

// effectsFile checks the file of all effects: each target once.
func (r *rig) effectsFile(res *ops.Result, want int) {
	r.Helper()
	equal(r, "effects told", len(res.Effects), ops.MostEffects)
	equal(r, "effects in all", res.EffectsTotal, want)
	f, err := r.store.OpenArtifact(r.Context(), r.ref, fmt.Sprintf("effects-%d.jsonl", res.Attempt))
	if err != nil {
		r.Fatal(err)
	}
	defer f.Close()
	seen := map[string]ops.EffectOutcome{}
	for in := bufio.NewScanner(f); in.Scan(); {
		var e ops.EffectResult
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			r.Fatal(err)
		}
		if _, twice := seen[e.ID]; twice {
			r.Errorf("%s is told twice", e.ID)
		}
		seen[e.ID] = e.Outcome
	}
	equal(r, "effects in the file", len(seen), want)
	if len(res.Artifacts) == 0 || res.EffectsFile != res.Artifacts[0].Path {
		r.Errorf("the effects file %q is none of %+v", res.EffectsFile, res.Artifacts)
	}
}

// TestAnotherListIsAnotherPlan also where only a few targets are read.
func TestAnotherListIsAnotherPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := long(t, 1500)
		p := r.planned()
		r.req.Inputs["lamps"] = strings.Replace(r.req.Inputs["lamps"], "l01400", "x01400", 1)
		r.start = func(s *ops.Start) { s.PlanDigest, s.Approved = p.Digest, p }
		contains(t, "message", func() string {
			res, err := r.work(ops.StartRun)
			if err != nil {
				t.Fatal(err)
			}
			return res.Message
		}(), `guard "plan"`)
		equal(t, "calls", r.allCalls(), 0)
	})
}

func TestUndo(t *testing.T) {
	bubble(t, "of a few names them", func(t *testing.T) {
		r := newRig(t, 50)
		r.on["l00007"] = true
		res := r.ends(ops.StartRun, ops.Succeeded, "")
		equal(t, "undo", res.Undo, "synops run douse-lamps lamps="+strings.Replace(strings.Join(lamps(50), ","), "l00007,", "", 1)+" -e dev")
		equal(t, "artifacts", len(res.Artifacts), 0)
	})
	bubble(t, "of many names a file", func(t *testing.T) {
		r := newRig(t, 60)
		r.on["l00007"] = true
		res := r.ends(ops.StartRun, ops.Succeeded, "")
		equal(t, "undo", res.Undo, "synops run douse-lamps lamps=@file:///memory/admin/runs/"+string(run1)+"/artifacts/undo-1.txt -e dev")
		f, err := r.store.OpenArtifact(t.Context(), r.ref, "undo-1.txt")
		if err != nil {
			t.Fatal(err)
		}
		list, _ := io.ReadAll(f)
		equal(t, "list", string(list), strings.Replace(strings.Join(lamps(60), "\n"), "l00007\n", "", 1)+"\n")
	})
	bubble(t, "that cannot be keeps no list", func(t *testing.T) {
		r := newRig(t, 60)
		r.alter = func(p *ops.Procedure) {
			p.Undo = func(ops.Values, ops.EnvironmentName, []ops.Effect) string { return "cannot be undone: light is gone." }
		}
		res := r.ends(ops.StartRun, ops.Succeeded, "")
		equal(t, "undo", res.Undo, "cannot be undone: light is gone.")
		equal(t, "artifacts", len(res.Artifacts), 0)
	})
	bubble(t, "of nothing is nothing", func(t *testing.T) {
		r := newRig(t, 1)
		r.on["l00001"] = true
		equal(t, "undo", r.ends(ops.StartRun, ops.Succeeded, "").Undo, "")
	})
}

// TestLostAnswers are settled at once, as the effect declares.
func TestLostAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		settle ops.Settling
		faults []fault
		spoil  func(r *rig)
		want   ops.EffectOutcome
		code   ops.Code
		calls  int
		says   string
	}{
		{"read, it happened", ops.SettleRead, []fault{lostAfter}, nil, ops.EffectDone, "", 1, ""},
		{"read, it did not", ops.SettleRead, []fault{lostBefore}, nil, ops.EffectFailed, ops.Unavailable, 1, "it did not happen"},
		{"read, which fails", ops.SettleRead, []fault{lostAfter}, blindAfter, ops.EffectUnsettled, ops.Unsettled, 1, "could not be read"},
		{"resend", ops.SettleResend, []fault{lostBefore}, nil, ops.EffectDone, "", 2, ""},
		{"resend, lost again, it happened", ops.SettleResend, []fault{lostBefore, lostAfter}, nil, ops.EffectDone, "", 2, ""},
		{"resend, lost again, it did not", ops.SettleResend, []fault{lostBefore, lostBefore}, nil, ops.EffectFailed, ops.Unavailable, 2, "it did not happen"},
		{"resend, lost again, which cannot be read now", ops.SettleResend, []fault{lostBefore, lostAfter}, blindAfter, ops.EffectUnsettled, ops.Unsettled, 2, "could not be read"},
		{"resend, lost again, which has no read", ops.SettleResend, []fault{lostBefore, lostAfter}, func(r *rig) { r.alter = unreadable }, ops.EffectUnsettled, ops.Unsettled, 2, "no answer"},
		{"resend, which fails after the first was done", ops.SettleResend, []fault{lostAfter, fails}, nil, ops.EffectDone, "", 2, ""},
		{"resend, which fails", ops.SettleResend, []fault{lostBefore, fails}, nil, ops.EffectFailed, ops.Denied, 2, "is locked"},
		{"resend, which fails and nothing can be read", ops.SettleResend, []fault{lostAfter, fails}, func(r *rig) { r.alter = unreadable }, ops.EffectUnsettled, ops.Denied, 2, "is locked"},
		{"person", ops.SettlePerson, []fault{lostAfter}, nil, ops.EffectUnsettled, ops.Unsettled, 1, "no answer"},
		{"a refusal is an answer", ops.SettlePerson, []fault{refuses}, nil, ops.EffectRefused, ops.Conflict, 1, "is another one"},
	} {
		bubble(t, c.name, func(t *testing.T) {
			r := newRig(t, 2)
			r.settle = func(string) ops.Settling { return c.settle }
			r.faults["l00001"] = c.faults
			if c.spoil != nil {
				c.spoil(r)
			}
			res, err := r.work(ops.StartRun)
			if err != nil {
				t.Fatal(err)
			}
			r.honest(res)
			var got ops.EffectResult
			for _, e := range res.Effects {
				if e.ID == "lamp/l00001" {
					got = e
				}
			}
			equal(t, "outcome", got.Outcome, c.want)
			equal(t, "code", got.Code, c.code)
			equal(t, "calls", r.calls("l00001"), c.calls)
			contains(t, "message", got.Message, c.says)
			if known := c.want == ops.EffectFailed; known && strings.Contains(got.Message, "may have been") {
				t.Errorf("it is known, and told as if it were not: %s", got.Message)
			}
			if c.settle == ops.SettlePerson && c.want == ops.EffectUnsettled {
				equal(t, "calls of the next", r.calls("l00002"), 0)
			}
		})
	}
}

// blindAfter makes reads fail once a lamp was switched.
func blindAfter(r *rig) {
	r.reading = func(string) error {
		if r.allCalls() > 0 {
			return errAsk
		}
		return nil
	}
}

func TestVerification(t *testing.T) {
	bubble(t, "otherwise than it should be", func(t *testing.T) {
		r := newRig(t, 1)
		r.faults["l00001"] = []fault{brokenLamp}
		res := r.ends(ops.StartRun, ops.RunFailed, ops.Conflict)
		contains(t, "message of the effect", res.Effects[0].Message, "reading it back shows otherwise", "on is false, not true.")
		equal(t, "changed", res.Changed, "Nothing was changed for certain. 1 lamp done, but otherwise when read back.")
	})
	bubble(t, "cannot be read", func(t *testing.T) {
		r := newRig(t, 1)
		blindAfter(r)
		res := r.ends(ops.StartRun, ops.Succeeded, "")
		contains(t, "message of the effect", res.Effects[0].Message, "Not verified: cannot be asked")
	})
}

// A job is an effect that is begun once and then watched: it saves a checkpoint.
func jobRig(t *testing.T, watch func(ctx context.Context, s *ops.Step) error) (r *rig, begun *int) {
	r = newRig(t, 1)
	begun = new(int)
	r.settle = func(string) ops.Settling { return ops.SettlePerson }
	r.alter = func(p *ops.Procedure) {
		p.Verify = nil
		p.Perform = func(ctx context.Context, s *ops.Step) (ops.Done, error) {
			if s.Checkpoint == nil {
				*begun++
				if err := s.Save(ctx, map[string]int{"job": 7}); err != nil {
					return ops.Done{}, err
				}
			}
			err := watch(ctx, s)
			if err == nil {
				r.leave("l00001", true)
			}
			return ops.Done{}, err
		}
	}
	return r, begun
}

// TestCheckpoint: a later attempt goes on from it, and begins nothing twice.
func TestCheckpoint(t *testing.T) {
	for name, first := range map[string]func(ctx context.Context, r *rig) error{
		"it could not be followed": func(context.Context, *rig) error { return ops.Errorf(ops.Unavailable, "it does not answer.") },
		"the worker was stopped":   func(ctx context.Context, _ *rig) error { <-ctx.Done(); return ctx.Err() },
		"the worker died": func(ctx context.Context, r *rig) error {
			r.docs.sever(true)
			return errDead
		},
	} {
		bubble(t, name, func(t *testing.T) {
			var r *rig
			var begun *int
			tries := 0
			r, begun = jobRig(t, func(ctx context.Context, s *ops.Step) error {
				if tries++; tries == 1 {
					return first(ctx, r)
				}
				equal(t, "checkpoint", string(s.Checkpoint), `{"job":7}`)
				return nil
			})
			r.begin(ops.StartRun)
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			if res, err := r.attempt(ctx); err == nil {
				if res.Code != ops.Unsettled || !strings.Contains(res.Next, "synops resume") || strings.Contains(res.Next, "--settle") {
					t.Errorf("ended %s (%s), next %q", res.Outcome, res.Code, res.Next)
				}
			}
			r.docs.sever(false)
			r.ends(ops.StartResume, ops.Succeeded, "")
			equal(t, "times it was begun", *begun, 1)
		})
	}
}

// TestCheckpointThatCannotBeSaved: what runs must not be told as failed.
func TestCheckpointThatCannotBeSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := jobRig(t, func(context.Context, *ops.Step) error { return nil })
		r.failJournal(2, false, true)
		r.ends(ops.StartRun, ops.RunFailed, ops.Unsettled)
	})
}

// TestArtifacts of a procedure are told in the result.
func TestArtifacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.perform = func(s *ops.Step) (ops.Done, error) {
			r.leave("l00001", true)
			path, err := s.Artifact(t.Context(), "light.txt", []byte("bright"))
			s.Log("kept %s", path)
			s.Progress(1, 2, "watts")
			return ops.Done{Message: "bright"}, err
		}
		res := r.ends(ops.StartRun, ops.Succeeded, "")
		if len(res.Artifacts) != 1 || res.Artifacts[0].Name != "light.txt" || res.Artifacts[0].Size != 6 {
			t.Errorf("the artifacts are %+v", res.Artifacts)
		}
		contains(t, "log", r.out.String(), "kept file:///memory/admin/runs/", "done      lamp/l00001  on: false → true: bright")
	})
}
