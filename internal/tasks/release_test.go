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
				// Without it a release says so and begins nothing; see TestRelease_NeedsItsStages.
				if s.Task != "migrate" || ops.CodeOf(err) != ops.Invalid {
					t.Error(err)
				}
				continue
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
