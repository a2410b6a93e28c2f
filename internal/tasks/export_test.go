package tasks

import (
	"context"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// BindPaced is Bind with another pause in the tasks that wait.
func BindPaced(name ops.TaskName, s Service, p func(ctx context.Context, d time.Duration) error) (ops.Procedure, error) {
	bind := map[ops.TaskName]func(Service, pause) ops.Procedure{
		setFeatureTask.Name: setFeature, runAdminJobTask.Name: runAdminJob,
		archiveFilesTask.Name: archiveFiles, canaryTask.Name: canary,
	}[name]
	if bind == nil {
		return Bind(name, s)
	}
	return bind(s, p), nil
}

// BindToolsPaced is BindTools with another pause.
func BindToolsPaced(name ops.TaskName, x Tools, p func(ctx context.Context, d time.Duration) error) (ops.Procedure, error) {
	for _, e := range accountEntries() {
		if e.task.Name == name {
			return e.bind(x, p), nil
		}
	}
	return BindTools(name, x)
}

// ToolTasks lists the tasks that run tools.
func ToolTasks() (names []ops.TaskName) {
	for _, t := range tools() {
		names = append(names, t.task.Name)
	}
	return names
}

// ToolClasses are the entries that the jar of each tool must have.
func ToolClasses() (jar string, classes []string) {
	for _, t := range tools() {
		if t.program.class != "" {
			classes = append(classes, t.program.class)
		}
	}
	return stackBuilderJar, classes
}
