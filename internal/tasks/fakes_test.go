package tasks_test

import (
	"context"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// bind binds a task with its real waits.
func bind(t *testing.T, name ops.TaskName, s tasks.Service) ops.Procedure {
	t.Helper()
	p, err := tasks.Bind(name, s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// missingDelete is a service that does not know the deletion of realms.
type missingDelete struct{ tasks.Service }

func (missingDelete) DeleteRealm(context.Context, string) error {
	return ops.Errorf(ops.NotFound, "no such route")
}
