package worker_test

import (
	"context"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// newPlanRig is a rig whose worker was told to plan only.
func newPlanRig(t *testing.T, n int) *rig {
	r := newRig(t, n)
	r.ref.Lane, r.req.Lane = ops.LanePlan, ops.LanePlan
	r.config = func(c *worker.Config) { c.PlanOnly = true }
	return r
}

// TestPlanOnly: the plan is kept, nothing is performed, held, cleaned up or listed,
// whatever the task's class and although the environment is frozen.
func TestPlanOnly(t *testing.T) {
	r := newPlanRig(t, 3)
	r.task.Class, r.task.Lease, r.env.RequireReason = ops.Destroys, "lamps", true
	r.alter = func(p *ops.Procedure) {
		p.CleanUp = func(_ context.Context, _ ops.Values) error { t.Error("cleaned up"); return nil }
	}
	if _, err := r.store.Freeze(t.Context(), ops.Freeze{Environment: "dev", By: "ada", Reason: "release"}); err != nil {
		t.Fatal(err)
	}
	res := r.ends(ops.StartRun, ops.Succeeded, "")
	plan, err := r.store.Plan(t.Context(), r.ref)
	if err != nil || plan == nil || plan.Digest != res.PlanDigest || plan.Challenge != "3 lamps" || len(plan.Effects) != 3 {
		t.Errorf("the plan is %+v, %v; the result names %s", plan, err, res.PlanDigest)
	}
	if r.allCalls() != 0 || len(res.Effects) != 0 || !strings.Contains(res.Changed, "Nothing was changed") {
		t.Errorf("%d effects began; the result is %+v", r.allCalls(), res)
	}
	for e := range r.store.Index(t.Context()) {
		t.Errorf("%s is listed", e.Run)
	}
	if held, err := r.store.HeldBy(t.Context(), "dev", "lamps"); held != nil || err != nil {
		t.Errorf("the lease is held by %v, %v", held, err)
	}
}

// TestPlanOnly_Bound: asked for one plan, another is refused.
func TestPlanOnly_Bound(t *testing.T) {
	r := newPlanRig(t, 3)
	r.start = func(s *ops.Start) { s.PlanDigest = ops.DigestOf([]byte("another")) }
	r.refused("plan")
}

// TestPlanOnly_Lane: such a worker takes no request of another lane, and another
// worker none of lane plan, even where the requester may choose a lane.
func TestPlanOnly_Lane(t *testing.T) {
	r := newPlanRig(t, 1)
	r.req.Lane, r.task.AnyLane = ops.LaneAdmin, true
	r.ref.Lane = ops.LaneAdmin
	r.refused("lane")
	r = newRig(t, 1)
	r.task.AnyLane = true
	r.ref.Lane, r.req.Lane = ops.LanePlan, ops.LanePlan
	r.refused("lane")
}
