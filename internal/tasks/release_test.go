package tasks_test

import (
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// Each stage is a task of the catalog, given what that task takes.
func TestRelease_StagesAreTasks(t *testing.T) {
	for _, env := range []ops.EnvironmentName{"dev", "prod"} {
		r := newToolRig(t, env, "release", examplesOf(mustTask(t, "release")))
		constants, err := r.Constants(r.task)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range r.task.Stages {
			task, err := tasks.Catalog().Task(s.Task)
			if err != nil {
				t.Fatal(err)
			}
			raw := tasks.StageInputs(r.task, &s, r.v, constants)
			if _, err := task.Parse(raw); err != nil {
				t.Errorf("%s in %s: %v", s.Name, env, err)
			}
			for input, text := range raw {
				if strings.ContainsAny(text, "{}") {
					t.Errorf("%s: %s is %q", s.Name, input, text)
				}
			}
			if !task.Offered(env) {
				t.Errorf("%s is not offered in %s", s.Task, env)
			}
		}
	}
}

// The nightly migration goes where the environment's own file pins it, and is off.
func TestMigrate_NightlyIsPinned(t *testing.T) {
	for env, destination := range map[ops.EnvironmentName]string{"dev": "https://repo-staging.dev.sagebase.org", "prod": "https://repo-staging.prod.sagebase.org"} {
		here := newToolbox(t, env).env
		task := mustTask(t, "migrate")
		s, err := task.ScheduleIn(here)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "destination in "+string(env), s.Inputs["destination-host"], destination)
		equal(t, "answer in "+string(env), s.Confirm, "545 545.0")
		equal(t, "on in "+string(env), task.Scheduled(here), false)
	}
}

func TestRelease_Plan(t *testing.T) {
	r := newToolRig(t, "prod", "release", examplesOf(mustTask(t, "release")))
	effects, err := r.plan()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range effects {
		names = append(names, e.ID)
	}
	equal(t, "stages", strings.Join(names, " "), "stage/build-staging stage/migrate stage/final-migration stage/switch-load-balancers stage/remove-old-stack")
	equal(t, "switch", effects[3].After["inputs"].(map[string]string)["portal-live"], "544-0")
	contains(t, "summary", effects[4].Summary, "runs delete-stack; stops first")
	if _, err := r.perform(effects[0]); ops.Refused(err) == nil {
		t.Errorf("a worker performs a stage: %v", err)
	}
}
