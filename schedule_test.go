package ops_test

import (
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

func TestScheduleIsChecked(t *testing.T) {
	for _, c := range []struct{ cron, says string }{
		{"17 9 * * 1", ""},
		{"0 0-6/2 1,15 */3 1-5", ""},
		{"", "five fields"},
		{"17 9 * *", "five fields"},
		{"17 9 * * 1 2026", "five fields"},
		{"17  9 * * 1", "five fields"},
		{"* 9 * * 1", "one minute"},
		{"*/5 9 * * 1", "one minute"},
		{"0,30 9 * * 1", "one minute"},
		{"60 9 * * 1", "60 where 0 to 59"},
		{"17 24 * * 1", "24 where 0 to 23"},
		{"17 9 0 * 1", "0 where 1 to 31"},
		{"17 9 * 13 1", "13 where 1 to 12"},
		{"17 9 * * 7", "7 where 0 to 6"},
		{"17 9 * * MON", `field "MON"`},
		{"17 */0 * * 1", "step of 0"},
		{"@daily", "five fields"},
		{"17 9 * * 1'\n", "field"},
	} {
		task := ops.Task{Name: "canary", Schedule: &ops.Schedule{Cron: c.cron, Reason: "To know."}}
		err := task.CheckSchedule()
		if (err == nil) != (c.says == "") {
			t.Errorf("%q: error %v", c.cron, err)
		} else if err != nil && (ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%q: error %v, want Invalid and %q", c.cron, err, c.says)
		}
	}
}

func TestScheduleGivesTheTasksInputs(t *testing.T) {
	task := ops.Task{Name: "canary", Inputs: []ops.Input{{Name: "minutes", Kind: ops.KindInteger, Least: 1}}}
	for _, s := range []*ops.Schedule{
		{Cron: "0 9 * * *", Reason: "To know."},
		{Cron: "0 9 * * *", Reason: "To know.", Inputs: map[string]string{"minutes": "0"}},
		{Cron: "0 9 * * *", Reason: "To know.", Inputs: map[string]string{"minutes": "1", "hours": "1"}},
		{Cron: "0 9 * * *", Reason: " ", Inputs: map[string]string{"minutes": "1"}},
	} {
		task.Schedule = s
		if err := task.CheckSchedule(); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
	task.Schedule = &ops.Schedule{Cron: "0 9 * * *", Reason: "To know.", Inputs: map[string]string{"minutes": "1"}}
	if err := task.CheckSchedule(); err != nil {
		t.Error(err)
	}
	task.Schedule = nil
	if err := task.CheckSchedule(); err != nil {
		t.Error(err)
	}
}

// A declared schedule runs nowhere by itself: an environment enables it.
func TestScheduleIsOffUntilEnabled(t *testing.T) {
	task := ops.Task{Name: "canary", Environments: []ops.EnvironmentName{"dev"}, Schedule: &ops.Schedule{}}
	on := map[ops.TaskName]bool{"canary": true}
	for _, c := range []struct {
		env  ops.Environment
		want bool
	}{
		{ops.Environment{Name: "dev"}, false},
		{ops.Environment{Name: "dev", Schedules: map[ops.TaskName]bool{"canary": false}}, false},
		{ops.Environment{Name: "dev", Schedules: map[ops.TaskName]bool{"other": true}}, false},
		{ops.Environment{Name: "dev", Schedules: on}, true},
		{ops.Environment{Name: "prod", Schedules: on}, false},
	} {
		if got := task.Scheduled(&c.env); got != c.want {
			t.Errorf("%s with %v: %t", c.env.Name, c.env.Schedules, got)
		}
	}
	task.Schedule = nil
	if task.Scheduled(&ops.Environment{Name: "dev", Schedules: on}) {
		t.Error("a task without a schedule is scheduled")
	}
}
