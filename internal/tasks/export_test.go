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
