package worker

import (
	"maps"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// scheduled refuses a run that a schedule started unless it is what the catalog
// declares, to the letter: nobody looked at its plan. The name alone tells, and the
// role that starts scheduled runs can write no other names.
func (a *attempt) scheduled() error {
	if !a.ref.Run.Scheduled() {
		return nil
	}
	refuse := func(format string, args ...any) error {
		return ops.Refuse("schedule", "Run it by its form, with whatever inputs are meant.", format, args...)
	}
	task := a.order.task
	if !task.Scheduled(a.w.c.Environment) {
		return refuse("%s has no schedule that is enabled in %s.", task.Name, a.req.Environment)
	}
	schedule, err := task.ScheduleIn(a.w.c.Environment)
	if err != nil {
		return err
	}
	declared, err := task.Parse(schedule.Inputs)
	if err != nil {
		return err
	}
	switch {
	case a.req.Lane != task.Lane || a.req.Pace != (ops.Pace{}) || a.req.NoHandOver:
		return refuse("a schedule chooses no lane and no pace.")
	case !maps.Equal(declared.Canonical(), a.req.Inputs):
		return refuse("its inputs are not those that the schedule of %s declares.", task.Name)
	case len(a.start.Settle) > 0:
		return refuse("a schedule settles nothing.")
	case a.start.Confirm != "" && (schedule.Confirm == "" || a.start.Confirm != ops.ConfirmDigest(schedule.Confirm)):
		return refuse("its answer is not the one that the schedule of %s declares.", task.Name)
	}
	return nil
}
