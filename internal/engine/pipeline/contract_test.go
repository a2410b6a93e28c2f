package pipeline_test

import (
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/enginetest"
)

// TestContract tries the engine against an account deployed from our templates,
// with the permissions they give.
func TestContract(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) *enginetest.Subject {
		w := newWorld(t)
		return &enginetest.Subject{
			Engine: w.engine(), Documents: w.store, Tells: []ops.Liveness{ops.AliveProvisioning, ops.AliveQueued},
			Kill: func(t *testing.T, a *ops.Attempt) { w.kill(a) },
		}
	})
}
