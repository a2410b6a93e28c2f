package launcher

import (
	"context"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Why tells what the engine knows of why a run's newest attempt is gone, "" when it
// knows nothing. It is for people: nothing is decided by it.
func (l *Launcher) Why(ctx context.Context, ref ops.RunRef) string {
	e, ok := l.Engine.(interface {
		Reason(ctx context.Context, exec ops.Execution, attempt *ops.Attempt) (string, error)
	})
	if !ok {
		return ""
	}
	v, err := l.Look(ctx, ref)
	if err != nil || !v.asked {
		return ""
	}
	reason, err := e.Reason(ctx, v.exec, v.current())
	if err != nil {
		return ""
	}
	return reason
}
