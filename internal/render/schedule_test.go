package render_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

func TestScheduleIsRenderedOnceEnabled(t *testing.T) {
	task := everyKind()
	task.Schedule = &ops.Schedule{Cron: "17 9 * * 1", Inputs: givenTo("secret-value"), Confirm: "3 things", Reason: "Weekly."}
	s, env := sample(task)
	const name = ".github/workflows/scheduled-every-kind.yml"
	off := dashboard(t, s, env)
	if _, there := off[name]; there || !strings.Contains(off["README.md"], "| every-kind | `17 9 * * 1` UTC | off | Weekly. |") {
		t.Error("a schedule that nobody enabled is there, or the README does not say that it is off")
	}
	for file, text := range off {
		if strings.HasSuffix(file, ".yml") && strings.Contains(text, "cron") {
			t.Errorf("%s starts by itself", file)
		}
	}
	env.Schedules = map[ops.TaskName]bool{"every-kind": true}
	on := dashboard(t, s, env)
	f := readForm(t, on[name])
	job := f.Jobs["run"]
	if d := cmp.Diff(map[string]any{"environment": "dev", "task": "every-kind", "schedule": true}, job.With); d != "" {
		t.Error(d)
	}
	if len(f.On.Schedule) != 1 || f.On.Schedule[0].Cron != "17 9 * * 1" || f.On.Dispatch.Inputs != nil || f.RunName != "DEV every-kind by its schedule" {
		t.Errorf("%+v", f)
	}
	// What it does is the catalog's to say, not a file's in the ops repository.
	if strings.Contains(on[name], "secret-value") || strings.Contains(on[name], "3 things") {
		t.Errorf("inputs or answer stand in the file:\n%s", on[name])
	}
	if !strings.Contains(on["README.md"], "| every-kind | `17 9 * * 1` UTC | **on** | Weekly. |") {
		t.Error("the README does not say that it is on")
	}
}

// What an environment pins is looked up when the schedule starts: no file of a
// dashboard holds it, its own or another's; and one that lacks it is not rendered.
func TestScheduleWithConstantsIsRendered(t *testing.T) {
	task := everyKind()
	task.Schedule = &ops.Schedule{Cron: "17 9 * * 1", Inputs: givenTo("{nightly-text}"), Reason: "Weekly.",
		Constants: []ops.Input{{Name: "nightly-text", Kind: ops.KindText, Example: "abc", Help: "What it says."}}}
	s, env := sample(task)
	env.Schedules = map[ops.TaskName]bool{"every-kind": true}
	if _, err := s.Dashboard(env); ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), `constant "nightly-text" of every-kind: it is required`) {
		t.Errorf("without it: %v", err)
	}
	env.Constants = map[string]map[string]string{"every-kind": {"nightly-text": "pinnedhere"}}
	files := dashboard(t, s, env)
	if _, there := files[".github/workflows/scheduled-every-kind.yml"]; !there {
		t.Error("the schedule is not there")
	}
	for name, text := range files {
		if strings.Contains(text, "pinnedhere") {
			t.Errorf("%s holds the constant", name)
		}
	}
}

func TestScheduleInAZoneIsRenderedInUTC(t *testing.T) {
	task := everyKind()
	task.Schedule = &ops.Schedule{Cron: "0 16-17 * * 6", Zone: "America/Los_Angeles", Inputs: givenTo("abc"), Reason: "Weekly."}
	s, env := sample(task)
	env.Schedules = map[ops.TaskName]bool{"every-kind": true}
	on := dashboard(t, s, env)
	f := readForm(t, on[".github/workflows/scheduled-every-kind.yml"])
	var crons []string
	for _, c := range f.On.Schedule {
		crons = append(crons, c.Cron)
	}
	if d := cmp.Diff([]string{"0 0-1 * * 0", "0 23 * * 6"}, crons); d != "" {
		t.Error(d)
	}
	if !strings.Contains(on["README.md"], "| every-kind | `0 16-17 * * 6` America/Los_Angeles | **on** |") {
		t.Error("the README does not say when, on which clocks")
	}
	task.Schedule.Zone = "Mars/Olympus"
	if _, err := s.Dashboard(env); ops.CodeOf(err) != ops.Invalid {
		t.Errorf("in no zone: %v", err)
	}
}

func TestScheduleThatIsNotThereIsInvalid(t *testing.T) {
	scheduled := everyKind()
	scheduled.Schedule = &ops.Schedule{Cron: "17 9 * * 1", Reason: "Weekly."}
	scheduled.Name, scheduled.Environments = "elsewhere", []ops.EnvironmentName{"other"}
	s, env := sample(everyKind(), scheduled)
	for _, name := range []ops.TaskName{"every-kind", "elsewhere", "nothing"} {
		env.Schedules = map[ops.TaskName]bool{name: true}
		if _, err := s.Dashboard(env); ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), string(name)) {
			t.Errorf("%s: %v", name, err)
		}
		env.Schedules[name] = false
		if _, err := s.Dashboard(env); err != nil {
			t.Errorf("%s, off: %v", name, err)
		}
	}
}
