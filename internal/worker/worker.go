// Package worker carries out one request in this process: guards about the
// request, lease, token, guards about the service, plan, challenge, effects,
// result, in that order and on every path. It is the same code under every
// engine and trusts nothing a launcher checked.
//
// What is not here: which tasks exist (it is handed a catalog and procedures),
// HTTP, and any knowledge of the host it runs on.
package worker

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Documents is what a worker reads and writes of a run; internal/store fulfills it.
type Documents interface {
	URL() string
	Request(ctx context.Context, lane ops.Lane, d ops.Digest) (*ops.Request, error)
	Starts(ctx context.Context, ref ops.RunRef) ([]ops.Start, error)
	CreateAttempt(ctx context.Context, ref ops.RunRef, a ops.Attempt) error
	Attempts(ctx context.Context, ref ops.RunRef) ([]ops.Attempt, error)
	AppendJournal(ctx context.Context, ref ops.RunRef, doc int, data []byte) error
	Journal(ctx context.Context, ref ops.RunRef, after int) iter.Seq2[[]byte, error]
	PutHeartbeat(ctx context.Context, ref ops.RunRef, hb ops.Heartbeat) error
	CreatePlan(ctx context.Context, ref ops.RunRef, p *ops.Plan) error
	Plan(ctx context.Context, ref ops.RunRef) (*ops.Plan, error)
	CreateResult(ctx context.Context, ref ops.RunRef, r *ops.Result) error
	Results(ctx context.Context, ref ops.RunRef) ([]ops.Result, error)
	CreateArtifact(ctx context.Context, ref ops.RunRef, name string, write func(io.Writer) error) (ops.Artifact, error)
	CancelMarker(ctx context.Context, ref ops.RunRef) (*ops.CancelMarker, error)
	CreatePrivate(ctx context.Context, ref ops.RunRef, name string, data []byte) error
	PrivateKey(ctx context.Context, ref ops.RunRef) ([]byte, error)
	AcquireLease(ctx context.Context, l ops.Lease, takeover *ops.Lease) (ops.Lease, *ops.Lease, error)
	ReleaseLease(ctx context.Context, l ops.Lease) error
	Frozen(ctx context.Context, env ops.EnvironmentName) (*ops.Freeze, error)
	CreateIndex(ctx context.Context, e ops.IndexEntry) error
}

// A Service is what the guards common to all tasks ask of the Synapse host.
type Service interface {
	// Instance asks GET /repo/v1/version: the release and the instance's name.
	Instance(ctx context.Context) (version, instance string, err error)
	// Administrator fails with ops.Denied when the token is not an administrator's.
	Administrator(ctx context.Context) error
	// Status asks GET /repo/v1/status: READ_WRITE, READ_ONLY or DOWN.
	Status(ctx context.Context) (status, message string, err error)
}

// Bound is a task's procedure tied to one service, its token already read.
type Bound struct {
	Service   Service // nil for a task that asks nothing of it
	Procedure ops.Procedure
	InFlight  func() int // how many requests the service's pace allows at once, now
}

func (b *Bound) inFlight() int { return max(b.InFlight(), 1) }

// Config is what a worker is given. Documents may be nil for a worker that only
// plans.
type Config struct {
	Documents   Documents
	Catalog     ops.Catalog
	Environment *ops.Environment // this process's own, from its CONTEXT
	Host        string           // this process's own SYNAPSE_HOST
	Repository  string           // GITHUB_REPOSITORY, "" outside Actions
	Synops      string           // this binary's version

	// Pure returns a task's procedure bound to no service.
	Pure func(ops.TaskName) (ops.Procedure, error)
	// Open reads the token and binds the task to the request's host. It is called
	// once, after every guard about the request has passed.
	Open func(ctx context.Context, req *ops.Request) (*Bound, error)
	// Identity tells which AWS account this process acts in; nil where none can be
	// asked, and then an environment that pins an account is refused.
	Identity func(ctx context.Context) (account string, err error)
	// Allowed is a *ops.Refusal when the release of a request may not run any more; nil
	// where nobody says which may.
	Allowed func(ctx context.Context, synops string) error
	// Gone tells whether a lease's holder can provably not act any more.
	Gone func(ctx context.Context, l ops.Lease) (bool, error)

	// PlanOnly keeps this worker to requests of lane plan, which it plans and does
	// not perform. Whoever starts the worker says so, never the request.
	PlanOnly bool

	// Read is told, while Plan reads the targets, how many it has read of how many;
	// may be nil. A run tells it in its heartbeats.
	Read func(done, total int)

	Attempt ops.Attempt // who this worker is; N and At are filled in
	Out     io.Writer   // lines for whoever follows; must mask secrets
	// Cost tells, at the end, what the run's calls cost, for the log; may be nil.
	Cost func() string

	Beat       time.Duration // between heartbeats; 0: 5 s
	CancelPoll time.Duration // between looks at the cancel marker; 0: 5 s
	Grace      time.Duration // an effect in hand gets when the run is canceled; 0: 10 s

	// Limit is how long after its beginning this process is ended from outside (a
	// build's time limit); 0: never. HandOver is how long before that the run is
	// handed to its next attempt; 0: a quarter of Limit, at most 10 minutes.
	Limit, HandOver time.Duration
	// Next writes the start of the next attempt and has an engine begin it; nil
	// where a run is never handed over. The attempt's number may be taken: then
	// somebody else goes on.
	Next func(ctx context.Context, start ops.Start) error
}

// silence is how long a worker may be without a heartbeat that was written before
// it must prove again that it still is the one.
const silence = 30 * time.Second

// ErrDuplicate: another worker is this attempt already. Nothing was done.
var ErrDuplicate = errors.New("another worker is this attempt already")

// ErrStopped: the process was told to end. What was done is journaled; the run
// has no result and can be resumed.
var ErrStopped = errors.New("the worker was told to stop; the run can be resumed")

// ErrFenced: a newer attempt goes on with the run. This worker did nothing more
// once it knew.
var ErrFenced = errors.New("a newer attempt goes on with this run")

// ErrHandedOver: the run goes on in its next attempt, as planned; this worker ends
// without a result.
var ErrHandedOver = errors.New("the run goes on in its next attempt")

// A Worker carries out one request. Use each once.
type Worker struct {
	c     Config
	outMu sync.Mutex // several effects may say something at once
}

// New returns a worker.
func New(c Config) *Worker {
	if c.Beat == 0 {
		c.Beat = 5 * time.Second
	}
	if c.CancelPoll == 0 {
		c.CancelPoll = 5 * time.Second
	}
	if c.Grace == 0 {
		c.Grace = 10 * time.Second
	}
	if c.HandOver == 0 {
		c.HandOver = min(c.Limit/4, 10*time.Minute)
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	return &Worker{c: c}
}

// Plan works out what req would change and changes nothing, in the service or in
// the documents. A guard's no is a *ops.Refusal.
func (w *Worker) Plan(ctx context.Context, req *ops.Request) (*ops.Plan, error) {
	o, err := w.order(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := o.open(ctx); err != nil {
		return nil, err
	}
	_, plan, err := o.plan(ctx)
	return plan, err
}

// Check asks the guards about req that need no token and no service: what a
// launcher asks as a courtesy, so that a refusal comes before a run is made. A no
// is a *ops.Refusal or an *ops.InputErrors.
func (w *Worker) Check(ctx context.Context, req *ops.Request) error {
	_, err := w.order(ctx, req)
	return err
}
