package tasks

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var runAdminJobTask = ops.Task{
	Name: "run-admin-job", Version: 1,
	Title:   "Run an administrative job",
	Summary: "Starts an asynchronous administrative job and waits for its end.",
	Details: "Every start is another job, and a job cannot be stopped from here: canceling the run only ends the waiting. " +
		"FileHandleArchivalRequest passes (archive-files is easier), migration requests belong to the task migrate, any other type asks for confirmation. " +
		"While the stack is not READ_WRITE ordinary jobs are accepted but wait.",
	Undo: "Cannot be undone: what a job did is done.",
	Inputs: []ops.Input{{
		Name: "job", Kind: ops.KindJSON, Help: "The job's request, a JSON object whose concreteType names it.",
		Example: `{"concreteType":"` + synapse.ArchivalRequestType + `","limit":1000}`,
	}},
	Class:     ops.Changes,
	Lane:      ops.LaneAdmin,
	Noun:      "job",
	Plural:    "jobs",
	Deciding:  []string{"concreteType", "jobState"},
	Exempt:    true,
	TimeLimit: 8 * time.Hour,
}

func runAdminJob(s Service, pause pause) ops.Procedure {
	a := adminJob{s, pause}
	return ops.Procedure{
		Targets: single("admin-job"),
		Check:   checkJob,
		Plan: func(_ context.Context, v ops.Values, t ops.Target) (ops.Effect, error) {
			kind := jobType(v)
			return ops.Effect{
				Target: t, Summary: "starts " + simpleName(kind) + " and waits for its end", Settle: ops.SettlePerson,
				BeforeAbsent: "the service does not list jobs",
				After:        ops.State{"concreteType": kind, "jobState": string(synapse.JobComplete)},
			}, nil
		},
		Perform: func(ctx context.Context, step *ops.Step) (ops.Done, error) {
			status, err := a.run(ctx, step, json.RawMessage(step.Values.JSON("job")))
			if err != nil {
				return ops.Done{}, err
			}
			return ops.Done{
				After:   ops.State{"concreteType": jobType(step.Values), "jobState": string(status.JobState), "jobId": status.JobID},
				Message: "job " + status.JobID + " is complete",
			}, nil
		},
		Challenge: func(v ops.Values, _ []ops.Effect, _ int) string {
			if jobType(v) == synapse.ArchivalRequestType {
				return ""
			}
			return simpleName(jobType(v))
		},
		Undo: irreversible("what a job did is done."),
	}
}

var javaName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// checkJob wants a type that a person can be asked about, and leaves migration to
// its own task, which knows the order of its steps.
func checkJob(v ops.Values) error {
	kind := jobType(v)
	if len(kind) > 200 || !javaName.MatchString(kind) {
		reason := "its concreteType is missing."
		if kind != "" {
			reason = ops.Quote(kind) + " is not a concreteType."
		}
		return &ops.InputErrors{Task: runAdminJobTask.Name, Errors: []ops.InputError{{
			Input: "job", Value: ops.Quote(v.JSON("job")), Reason: reason,
			Hint: "It is a text such as " + synapse.ArchivalRequestType + ".",
		}}}
	}
	if simpleName(kind) == simpleName(synapse.MigrationRequestType) {
		return ops.Refuse("no-migration-job", `Use the task "migrate", which runs them in their order.`,
			"%s is a step of a migration.", simpleName(kind))
	}
	return nil
}

// jobType returns the request's concreteType, "" when it is no text. The key is
// looked up exactly: decoding into a struct would also take "ConcreteType".
func jobType(v ops.Values) string {
	var request map[string]json.RawMessage
	var kind string
	if json.Unmarshal([]byte(v.JSON("job")), &request) != nil || json.Unmarshal(request["concreteType"], &kind) != nil {
		return ""
	}
	return kind
}

// simpleName is what follows the last dot of a Java name.
func simpleName(kind string) string { return kind[strings.LastIndex(kind, ".")+1:] }
