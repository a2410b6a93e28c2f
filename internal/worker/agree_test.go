package worker_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// planned returns the plan as a person would see it now.
func (r *rig) planned() *ops.Plan {
	r.Helper()
	p, err := worker.New(r.configured()).Plan(r.Context(), &r.req)
	if err != nil {
		r.Fatal(err)
	}
	return p
}

func (r *rig) confirm(answer string) {
	r.start = func(s *ops.Start) { s.Confirm = ops.ConfirmDigest(answer) }
}

func TestBoundPlan(t *testing.T) {
	bubble(t, "the same", func(t *testing.T) {
		r := newRig(t, 2)
		p := r.planned()
		r.start = func(s *ops.Start) { s.PlanDigest, s.Approved = p.Digest, p }
		res := r.ends(ops.StartRun, ops.Succeeded, "")
		equal(t, "plan", res.PlanDigest, p.Digest)
	})
	bubble(t, "another, with the difference named", func(t *testing.T) {
		r := newRig(t, 2)
		p := r.planned()
		r.on["l00002"] = true
		r.start = func(s *ops.Start) { s.PlanDigest, s.Approved = p.Digest, p }
		res, err := r.work(ops.StartRun)
		if err != nil || res.Outcome != ops.RunRefused || res.Code != ops.Conflict {
			t.Fatalf("got %+v, %v", res, err)
		}
		contains(t, "message", res.Message, `guard "plan"`, "lamp/l00002: on was false and is true.", string(p.Digest))
		equal(t, "calls", r.allCalls(), 0)
	})
	bubble(t, "another host of the same environment", func(t *testing.T) {
		r := newRig(t, 2)
		r.env.Hosts = append(r.env.Hosts, "https://staging.example.org")
		p := r.planned()
		r.req.Host = "https://staging.example.org"
		r.start = func(s *ops.Start) { s.PlanDigest, s.Approved = p.Digest, p }
		res, err := r.work(ops.StartRun)
		if err != nil || res.Outcome != ops.RunRefused {
			t.Fatalf("got %+v, %v", res, err)
		}
		contains(t, "message", res.Message, `guard "plan"`, `It was for host "https://dev.example.org" and is for "https://staging.example.org".`)
		equal(t, "calls", r.allCalls(), 0)
	})
	bubble(t, "another, and the approved one is not at hand", func(t *testing.T) {
		r := newRig(t, 1)
		r.start = func(s *ops.Start) { s.PlanDigest = ops.DigestOf(nil) }
		contains(t, "message", r.refused("plan").Message, "not at hand")
	})
}

// storedPlan is the run's plan document.
func (r *rig) storedPlan() *ops.Plan {
	r.Helper()
	p, err := r.store.Plan(context.Background(), r.ref)
	if err != nil || p == nil {
		r.Fatalf("the plan is not there: %v", err)
	}
	return p
}

func TestChallenge(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		lit          bool
		want         ops.Outcome
		says         string
	}{
		{"right", "2 lamps", false, ops.Succeeded, "Done."},
		{"missing", "", false, ops.RunRefused, "light-lamps needs --confirm with the answer that its plan asks for."},
		{"wrong", "yes", false, ops.RunRefused, "light-lamps was given another answer with --confirm than its plan asks for."},
		{"not asked when there is nothing to do", "", true, ops.Succeeded, "Nothing to do"},
	} {
		bubble(t, c.name, func(t *testing.T) {
			r := newRig(t, 2)
			r.task.Class = ops.Destroys
			if c.lit {
				r.on["l00001"], r.on["l00002"] = true, true
			}
			if c.answer != "" {
				r.confirm(c.answer)
			}
			code := ops.Code("")
			if c.want == ops.RunRefused {
				code = ops.Denied
			}
			res := r.ends(ops.StartRun, c.want, code)
			contains(t, "message", res.Message, c.says)
			if c.want == ops.RunRefused {
				equal(t, "calls", r.allCalls(), 0)
				equal(t, "answer in the plan", r.storedPlan().Challenge, "2 lamps")
				if strings.Contains(r.docs.text("plan.json"), "2 lamps") {
					t.Error("another document than the plan holds the answer")
				}
			}
		})
	}
}

// TestChallengeOfThePlan: a plan may ask although its task does not.
func TestChallengeOfThePlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.alter = func(p *ops.Procedure) {
			p.Challenge = func(ops.Values, []ops.Effect, int) string { return "the attic" }
		}
		r.refused("challenge")
		equal(t, "answer in the plan", r.storedPlan().Challenge, "the attic")
	})
}

// TestConfirmationHoldsOverAttempts: the plan was agreed on before the first
// attempt died, so a later one asks no more, and its plan is the same document.
func TestConfirmationHoldsOverAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.task.Class = ops.Destroys
		r.confirm("3 lamps")
		r.dies("/journal/", 3, false)
		if _, err := r.work(ops.StartRun); err == nil {
			t.Fatal("the first attempt did not die")
		}
		r.revive()
		r.start = nil // and yet
		r.ends(ops.StartResume, ops.Succeeded, "")
	})
}

// TestDeadBetweenPlanAndJournal: plan.json is there and the journal does not name
// it. The next attempt goes on only if its plan is the same.
func TestDeadBetweenPlanAndJournal(t *testing.T) {
	setup := func(t *testing.T) *rig {
		r := newRig(t, 2)
		r.dies("plan.json", 1, true)
		if _, err := r.work(ops.StartRun); err == nil {
			t.Fatal("the first attempt did not die")
		}
		r.revive()
		equal(t, "plans", len(r.docs.keys("plan.json")), 1)
		return r
	}
	bubble(t, "the same", func(t *testing.T) { setup(t).ends(ops.StartResume, ops.Succeeded, "") })
	bubble(t, "another", func(t *testing.T) {
		r := setup(t)
		r.on["l00001"] = true
		res := r.ends(ops.StartResume, ops.RunRefused, ops.Conflict)
		contains(t, "message", res.Message, "on was false and is true")
		equal(t, "calls", r.allCalls(), 0)
	})
}

// TestPlanOfAnotherJournal: somebody changed plan.json.
func TestPlanOfAnotherJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		r.dies("/journal/", 2, false)
		if _, err := r.work(ops.StartRun); err == nil {
			t.Fatal("the first attempt did not die")
		}
		r.revive()
		r.forge("plan.json", `"plan_digest":"sha256:`, `"plan_digest":"sha256:0`)
		res, err := r.work(ops.StartResume)
		if err != nil || res.Outcome != ops.RunFailed || res.Code != ops.Unsettled {
			t.Fatalf("got %+v, %v", res, err)
		}
		contains(t, "message", res.Message, "not the one its journal names")
	})
}

// forge changes a document behind everybody's back.
func (r *rig) forge(part, was, is string) {
	r.Helper()
	for _, key := range r.docs.keys(part) {
		r.docs.mu.Lock()
		r.docs.docs[key] = []byte(strings.Replace(string(r.docs.docs[key]), was, is, 1))
		r.docs.mu.Unlock()
	}
}

// TestResumeRefusesWhatIsOtherwiseThanPlanned: what was agreed to is not what the
// effect would now do.
func TestResumeRefusesWhatIsOtherwiseThanPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		wattage := 40
		r.task.Deciding = append(r.task.Deciding, "watts")
		r.alter = func(p *ops.Procedure) {
			plan := p.Plan
			p.Plan = func(ctx context.Context, v ops.Values, target ops.Target) (ops.Effect, error) {
				e, err := plan(ctx, v, target)
				if target.Value == "l00003" {
					e.Before["watts"] = wattage
				}
				return e, err
			}
		}
		r.dies("/journal/", 2, false)
		if _, err := r.work(ops.StartRun); err == nil {
			t.Fatal("the first attempt did not die")
		}
		r.revive()
		wattage = 100
		res := r.ends(ops.StartResume, ops.RunFailed, ops.Conflict)
		equal(t, "the changed one", outcomes(res)["l00003"], ops.EffectRefused)
		equal(t, "its calls", r.calls("l00003"), 0)
		equal(t, "done", res.Counts[ops.EffectDone], 2)
	})
}

// TestNotesInTheLog: what is the same in every run is left out.
func TestNotesInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.alter = func(p *ops.Procedure) {
			p.Notes = func(ops.Values, []ops.Effect) []string { return []string{"The attic is dark."} }
		}
		r.ends(ops.StartRun, ops.Succeeded, "")
		contains(t, "log", r.out.String(), "note: The attic is dark.")
		if strings.Contains(r.out.String(), "not pinned") {
			t.Errorf("the log repeats the pins:\n%s", r.out.String())
		}
	})
}
