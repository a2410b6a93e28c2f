package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/local"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/pipeline"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// engineFor is the engine of a store: this machine for one on disk, and both for
// one in an account, where the glass may have been broken for some of its runs.
func (a *app) engineFor(st *store.Store, c local.Config) ops.Engine {
	if a.bucket == nil {
		return local.New(c)
	}
	c.LogFile = a.glassLog
	both := &engines{local: local.New(c), log: a.glassLog}
	both.pipeline = pipeline.New(pipeline.Config{Clients: pipeline.Connect(*a.bucket), Find: st.Started})
	both.Engine = both.pipeline
	if a.breakGlass != "" {
		both.Engine = both.local
	}
	return both
}

// glassLog is where attempt n of a run that happens on this machine logs while its
// documents are in an account.
func (a *app) glassLog(ref ops.RunRef, n int) string {
	return filepath.Join(a.p.stateDir(), "logs", string(ref.Lane), string(ref.Run), fmt.Sprintf("%04d.log", n))
}

// engines begins attempts on one engine and asks each attempt's own how it is.
type engines struct {
	ops.Engine // begins attempts
	local      *local.Engine
	pipeline   *pipeline.Engine
	log        func(ops.RunRef, int) string
}

// own is the engine that an attempt is on: a worker in no build is a process.
func (e *engines) own(x ops.Execution, attempt *ops.Attempt) ops.Engine {
	if x.Engine == engineLocal || x.Engine == "" && attempt != nil && attempt.Build == "" {
		return e.local
	}
	return e.pipeline
}

// Liveness asks the attempt's own engine.
func (e *engines) Liveness(ctx context.Context, x ops.Execution, attempt *ops.Attempt) (ops.Liveness, error) {
	return e.own(x, attempt).Liveness(ctx, x, attempt)
}

// Stop has the attempt's own engine stop it.
func (e *engines) Stop(ctx context.Context, x ops.Execution, attempt *ops.Attempt) error {
	return e.own(x, attempt).Stop(ctx, x, attempt)
}

// Log reads the file of an attempt on this machine, or the log of its build.
func (e *engines) Log(ctx context.Context, ref ops.RunRef, n int, cursor string, ended bool) ([]byte, string, error) {
	if _, err := os.Stat(e.log(ref, n)); err == nil {
		return e.local.Log(ctx, ref, n, cursor, ended)
	}
	return e.pipeline.Log(ctx, ref, n, cursor, ended)
}

// Ended asks the pipeline: a process's log has no last line that says so.
func (e *engines) Ended(cursor string) bool { return e.pipeline.Ended(cursor) }

// Poll is the slower one's: each look at the store is a call.
func (e *engines) Poll() time.Duration { return e.pipeline.Poll() }

// Reason asks the pipeline: a process that is gone leaves none.
func (e *engines) Reason(ctx context.Context, x ops.Execution, attempt *ops.Attempt) (string, error) {
	if e.own(x, attempt) != ops.Engine(e.pipeline) {
		return "", nil
	}
	return e.pipeline.Reason(ctx, x, attempt)
}

// hold has starts held back while another run has the lease that they need.
func (a *app) hold(env ops.EnvironmentName, lease string, noWait bool) *launcher.Hold {
	return &launcher.Hold{Environment: env, Lease: lease, NoWait: noWait, Tell: func(h ops.Lease) {
		a.say("%s  lease %s is held by %s since %s; waiting for it. Nothing is started yet: Ctrl-C leaves.", a.mark(env), lease, h.Run, h.At.UTC().Format("2006-01-02 15:04:05Z"))
	}}
}
