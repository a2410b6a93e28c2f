package worker_test

import (
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// TestScheduled: a run that a schedule started is what the catalog declares, or it is
// refused before the token is read.
func TestScheduled(t *testing.T) {
	scheduled := func(t *testing.T) *rig {
		r := newRig(t, 2)
		r.task.Class = ops.Destroys
		r.task.Schedule = &ops.Schedule{Cron: "7 3 * * 1", Inputs: map[string]string{"lamps": r.req.Inputs["lamps"]}, Confirm: "2 lamps", Reason: "weekly"}
		r.env.Schedules = map[ops.TaskName]bool{r.task.Name: true}
		r.ref.Run = ops.NewScheduledRunID(r.task.Name, run1.Time(), "3f9c01")
		r.start = func(s *ops.Start) { s.Confirm = ops.ConfirmDigest("2 lamps") }
		return r
	}
	scheduled(t).ends(ops.StartRun, ops.Succeeded, "")
	for name, spoil := range map[string]func(*rig){
		"no schedule is declared":      func(r *rig) { r.task.Schedule = nil },
		"it is not enabled here":       func(r *rig) { r.env.Schedules = nil },
		"other inputs":                 func(r *rig) { r.req.Inputs["lamps"] = "lamp-1" },
		"another answer":               func(r *rig) { r.start = func(s *ops.Start) { s.Confirm = ops.ConfirmDigest("3 lamps") } },
		"an answer where none is":      func(r *rig) { r.task.Schedule.Confirm = "" },
		"a pace":                       func(r *rig) { r.req.Pace.PerMinute = 7 },
		"without hand-over":            func(r *rig) { r.req.NoHandOver = true },
		"settling what it cannot know": func(r *rig) { r.start = func(s *ops.Start) { s.Settle = map[string]bool{"lamp/1": true} } },
	} {
		t.Run(name, func(t *testing.T) {
			r := scheduled(t)
			spoil(r)
			r.refused("schedule")
			if r.opened != 0 {
				t.Error("the token was read")
			}
		})
	}
	// Inputs and answer that an environment's constants complete are as binding.
	pinned := func(t *testing.T) *rig {
		r := scheduled(t)
		r.task.Schedule.Inputs, r.task.Schedule.Confirm = map[string]string{"lamps": "{nightly-lamps}"}, "{nightly-count}"
		r.task.Schedule.Constants = []ops.Input{{Name: "nightly-lamps", Kind: ops.KindText}, {Name: "nightly-count", Kind: ops.KindText}}
		r.env.Constants = map[string]map[string]string{string(r.task.Name): {"nightly-lamps": r.req.Inputs["lamps"], "nightly-count": "2 lamps"}}
		return r
	}
	pinned(t).ends(ops.StartRun, ops.Succeeded, "")
	r := pinned(t)
	r.env.Constants[string(r.task.Name)]["nightly-lamps"] = "lamp-1"
	r.refused("schedule")
	// By its form it is anybody's choice again.
	r = scheduled(t)
	r.ref.Run, r.task.Schedule = run1, nil
	r.ends(ops.StartRun, ops.Succeeded, "")
}
