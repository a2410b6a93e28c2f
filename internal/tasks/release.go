package tasks

import (
	"context"
	"fmt"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// releaseTask is the weekly deployment. Each stage is a run of the task it names,
// with that task's guards, lease, plan and report.
var releaseTask = ops.Task{
	Name: "release", Version: 1,
	Title:   "Release a new stack",
	Summary: "The weekly deployment: builds the next instance, migrates into it, switches to it and removes the old one.",
	Details: "Each stage is a run of its own task. Before a stage that cannot be taken back the release stops, shows that stage's plan, and goes on once it is resumed with the plan's answer. " +
		"It may be left or killed at any moment: resuming it attaches to the stage that runs, goes on with one that failed, and never repeats one that is done. " +
		"The staging host must lead to the new instance before the migration, and the source must be READ_ONLY (set-stack-status) before the final one, which is refused until it is.",
	Undo: "Until the switch nothing that users see has changed; after it, run bind-load-balancers with the old instance, which is there until the last stage.",
	Inputs: []ops.Input{
		withRule(text("instance", "The instance to release.", "544"), instancePattern, instanceRule),
		withRule(text("repo-and-workers-version", "Release of repository and workers.", "544.0"), versionPattern, versionRule),
		{Name: "repo-beanstalk-version", Kind: ops.KindInteger, Most: 999, Default: "0", Example: "0", Help: "Number of the repository's environment within the instance."},
		withRule(text("portal-version", "Release of the portal.", "544.0-4-gd18c3167f2"), versionPattern, versionRule),
		{Name: "portal-beanstalk-version", Kind: ops.KindInteger, Most: 999, Default: "0", Example: "0", Help: "Number of the portal's environment within the instance."},
		colorInput,
		withRule(ops.Input{Name: "staging-after", Kind: ops.KindText, Default: "none", Example: "none", Help: "What the staging names lead to after the switch."},
			`[A-Za-z0-9]{1,7}-[0-9]{1,3}|none`, "It is an instance and a number, such as 543-0, or none."),
		withRule(text("old-stacks", "The old instance's stacks, in the order to delete them, separated by commas.", "repo-543-0,workers-543-0,portal-543-0,shared-resources-543"),
			`[A-Za-z][A-Za-z0-9-]{0,127}(,[A-Za-z][A-Za-z0-9-]{0,127})*`, "It is stack names, separated by commas."),
	},
	Constants: []ops.Input{
		withRule(text("migration-source", "The host that is migrated from.", "https://repo-prod.prod.sagebase.org"), `https?://[^/]+`, "It is a host's base URL."),
		withRule(text("migration-destination", "The host that is migrated to.", "https://repo-staging.prod.sagebase.org"), `https?://[^/]+`, "It is a host's base URL."),
	},
	Stages: []ops.Stage{
		{Name: "build-staging", Task: "build-stack", Inputs: map[string]string{
			"instance": "{instance}", "repo-and-workers-version": "{repo-and-workers-version}", "repo-beanstalk-version": "{repo-beanstalk-version}",
			"portal-version": "{portal-version}", "portal-beanstalk-version": "{portal-beanstalk-version}", "vpc-subnet-color": "{vpc-subnet-color}",
		}},
		{Name: "migrate", Task: "migrate", Irreversible: "the destination's rows are replaced", Inputs: map[string]string{
			"source-host": "{migration-source}", "destination-host": "{migration-destination}", "remain-read-only": "true",
		}},
		{Name: "final-migration", Task: "migrate", Irreversible: "the destination's rows are replaced, and users are shut out meanwhile", Inputs: map[string]string{
			"source-host": "{migration-source}", "destination-host": "{migration-destination}", "mode": "final", "remain-read-only": "false",
		}},
		{Name: "switch-load-balancers", Task: "bind-load-balancers", Irreversible: "users are on the new instance at once, and what they write there is not in the old one", Inputs: map[string]string{
			"repo-live": "{instance}-{repo-beanstalk-version}", "portal-live": "{instance}-{portal-beanstalk-version}",
			"repo-staging": "{staging-after}", "portal-staging": "{staging-after}",
		}},
		{Name: "remove-old-stack", Task: "delete-stack", Irreversible: "the old instance's stacks and their data are deleted", Inputs: map[string]string{"stacks": "{old-stacks}"}},
	},
	Class: ops.Destroys, Lane: ops.LaneDeploy, Lease: "release", NoService: true, Exempt: true,
	Environments: []ops.EnvironmentName{"dev", "prod"},
	Noun:         "stage", Plural: "stages", Deciding: []string{"task", "inputs"}, TimeLimit: toolLimit,
}

// release plans the whole; its stages' own tasks do the work.
func release(x Tools, _ pause) ops.Procedure {
	return ops.Procedure{
		Targets: func(ops.Values) []ops.Target {
			out := make([]ops.Target, len(releaseTask.Stages))
			for i, s := range releaseTask.Stages {
				id := "stage/" + s.Name
				out[i] = ops.Target{ID: id, Label: id, Value: s.Name}
			}
			return out
		},
		Plan: func(_ context.Context, v ops.Values, t ops.Target) (ops.Effect, error) {
			c, err := x.Constants(&releaseTask)
			if err != nil {
				return ops.Effect{}, err
			}
			return planStage(given{v, c}, t)
		},
		Challenge: func(ops.Values, []ops.Effect, int) string { return "" }, // each stage asks for its own
		Perform: func(context.Context, *ops.Step) (ops.Done, error) {
			return ops.Done{}, ops.Refuse("stages", "Start it with synops run.", "a release is carried out by its stages' own runs, not by a worker.")
		},
		Undo: irreversible("see the report of each stage."),
	}
}

func planStage(g given, t ops.Target) (ops.Effect, error) {
	for _, s := range releaseTask.Stages {
		if s.Name != t.Value {
			continue
		}
		raw := StageInputs(&releaseTask, &s, g.values, g.constants)
		e := ops.Effect{Target: t, Settle: ops.SettlePerson, BeforeAbsent: "each stage is planned when it is reached", After: ops.State{"task": string(s.Task), "inputs": raw}, Summary: "runs " + string(s.Task)}
		if s.Irreversible != "" {
			e.Summary += fmt.Sprintf("; stops first: %s", s.Irreversible)
		}
		return e, nil
	}
	return ops.Effect{}, ops.Errorf(ops.Internal, "there is no stage %s.", t.Value)
}

// StageInputs are a stage's inputs as text, from the values and constants of the
// whole.
func StageInputs(whole *ops.Task, s *ops.Stage, values, constants ops.Values) map[string]string {
	g := given{values, constants}
	var names []string
	for _, in := range whole.Inputs {
		names = append(names, in.Name)
	}
	for _, in := range whole.Constants {
		names = append(names, in.Name)
	}
	return s.Raw(names, g.text)
}
