package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// What a build has in its environment: the first from CodeBuild, the others
// from the lane's template and the start.
// https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
const (
	varBuild       = "CODEBUILD_BUILD_ID"
	varBuildStream = "CODEBUILD_LOG_PATH"
	varBuildFolder = "CODEBUILD_SRC_DIR"    // where the bundle is unpacked
	varBuildStart  = "CODEBUILD_START_TIME" // in milliseconds
	varLane        = "SYNOPS_LANE"
	varRequest     = "SYNOPS_REQUEST"
	varMinutes     = "SYNOPS_BUILD_MINUTES"  // the build's time limit
	varBundle      = "SYNOPS_BUNDLE_VERSION" // the version of the bundle's object
	varBundles     = "SYNOPS_BUNDLE_BUCKET"  // whose current.json says which release may still run
)

// bundledEnvironments is the environments file's name in a bundle.
const bundledEnvironments = "environments.yaml"

// A build is the CodeBuild build that this process works in.
type build struct {
	id, stream, bundle string
	lane               ops.Lane
	request            string        // hex digest, as whoever started the pipeline gave it
	limit              time.Duration // what is left of its time
}

// inBuild returns the build that this process works in, nil for none.
func (a *app) inBuild() *build {
	id := a.p.Getenv(varBuild)
	if id == "" {
		return nil
	}
	return &build{limit: a.buildLimit(time.Now()), id: id, stream: a.p.Getenv(varBuildStream), bundle: a.p.Getenv(varBundle), lane: ops.Lane(a.p.Getenv(varLane)), request: a.p.Getenv(varRequest)}
}

// buildLimit is how long after now the build is ended: its time counts from its own
// beginning, which getting a machine and the bundle is part of. 0: not known, and
// then the run is not handed over.
func (a *app) buildLimit(now time.Time) time.Duration {
	minutes, _ := strconv.ParseFloat(a.p.Getenv(varMinutes), 64) // a rehearsal's are short
	limit := time.Duration(minutes * float64(time.Minute))
	began, err := strconv.ParseInt(a.p.Getenv(varBuildStart), 10, 64)
	if err != nil {
		return limit
	}
	if gone := now.Sub(time.UnixMilli(began)); gone > 0 && gone < limit {
		limit -= gone
	}
	return limit
}

// dress makes a worker's configuration that of one in a build.
func (b *build) dress(c *worker.Config, st *store.Store, next func(context.Context, ops.Start) error, out io.Writer) {
	c.Limit, c.Next = b.limit, next
	c.Attempt.Build, c.Attempt.Stream, c.Attempt.Bundle = b.id, b.stream, b.bundle
	c.Documents = &beating{Store: st, out: out}
}

// beatEvery is how often a living worker says so in its log, for the alarm.
const beatEvery = time.Minute

// beating is a store that also tells of heartbeats in the log, now and then.
type beating struct {
	*store.Store
	out io.Writer

	mu   sync.Mutex
	last time.Time
}

// PutHeartbeat writes the heartbeat, and a line once a minute after it: a worker
// that is cut off from the store falls silent in both.
func (b *beating) PutHeartbeat(ctx context.Context, ref ops.RunRef, hb ops.Heartbeat) error {
	if err := b.Store.PutHeartbeat(ctx, ref, hb); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.last) >= beatEvery {
		b.last = time.Now()
		fmt.Fprintln(b.out, ops.LineBeat)
	}
	return nil
}

// toPerform is the run that work was asked for. In a build the lane is the
// template's word, and the request must be the one that the pipeline was started
// with.
func (a *app) toPerform(ctx context.Context, st *store.Store, run ops.RunID) (ops.RunRef, error) {
	b := a.inBuild()
	if b == nil || b.lane == "" {
		return st.Find(ctx, run)
	}
	ref := ops.RunRef{Lane: b.lane, Run: run}
	starts, err := st.Starts(ctx, ref)
	if err != nil {
		return ref, err
	}
	for _, s := range starts {
		if s.Request.Hex() != b.request {
			return ref, ops.Refuse("request", "Start it with synops run.", "the pipeline was started for request %s and the documents of %s name %s.", ops.Quote(b.request), run, s.Request.Short())
		}
	}
	return ref, nil
}
