// Package pipeline is the engine of an account: each attempt is an execution of its
// lane's pipeline, whose one build is the worker. It starts executions, tells how
// they are by their builds, stops them, and reads what builds print.
//
// What is not here: what a worker does, which documents a run has, and changing an
// account. Starting a run changes no infrastructure.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// engineName is what executions of this engine are recorded under.
const engineName = "pipeline"

// The lane's template names these.
const (
	variableRun     = "RUN"
	variableRequest = "REQUEST"
	sourceAction    = "Bundle"
)

// Config is what the engine is given.
type Config struct {
	Clients Clients
	// Find returns what was started for attempt n of a run and what its worker wrote
	// of itself, each zero or nil while there is none. It is asked for the log only.
	Find func(ctx context.Context, ref ops.RunRef, n int) (ops.Execution, *ops.Attempt, error)
	// Pace is how often AWS is asked; the zero Pace is DefaultPace.
	Pace Pace
	// Now is the time; nil: the machine's.
	Now func() time.Time
}

// A Pace is how often AWS is asked on behalf of followers.
type Pace struct {
	Result   time.Duration // between a follower's looks
	LogLeast time.Duration // between two questions for new lines, while there are some
	LogMost  time.Duration // and once it has been quiet for long
	Build    time.Duration // how old an answer about a build that goes on may be
	// LogLag is how long after the end of a build that did not end orderly its last
	// lines may still appear. No page gives a figure; seconds in practice.
	LogLag time.Duration
}

// DefaultPace asks promptly and stays far below every published rate.
func DefaultPace() Pace {
	return Pace{Result: 2 * time.Second, LogLeast: time.Second, LogMost: 15 * time.Second, Build: 15 * time.Second, LogLag: 5 * time.Second}
}

// Engine starts and follows executions. Safe for concurrent use.
type Engine struct {
	c Config

	mu    sync.Mutex
	known map[string]known   // of executions and builds
	asked map[askKey]logPace // of logs
	place map[attemptKey]stream
}

// New returns the engine. Nothing is asked yet.
func New(c Config) *Engine {
	if c.Pace == (Pace{}) {
		c.Pace = DefaultPace()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Engine{c: c, known: map[string]known{}, asked: map[askKey]logPace{}, place: map[attemptKey]stream{}}
}

var _ ops.Engine = (*Engine)(nil)

// Name returns "pipeline".
func (e *Engine) Name() string { return engineName }

// Poll is how long a follower waits between looks at the store.
func (e *Engine) Poll() time.Duration { return e.c.Pace.Result }

// mostVariable is CodePipeline's limit for a variable's value.
const mostVariable = 1000

// CodePipeline puts variables into a build's JSON as they are: a quote in one would
// add variables to the build.
var safe = ops.Pattern(`^[A-Za-z0-9._/-]+$`)

// Start asks for one execution of the lane's pipeline, on the bundle that the start
// pins: the newest one where it pins none. The run's ID and the request's digest are
// all that goes with it. However often one attempt is asked
// for, also after an answer that was lost, the token makes it one execution for as
// long as CodePipeline remembers it, and the attempt's document for ever.
func (e *Engine) Start(ctx context.Context, s ops.Start) (ops.Execution, error) {
	name, digest := pipelineOf(s.Lane), s.Request.Hex()
	token := fmt.Sprintf("%s-%d", s.Run, s.N)
	switch {
	case len(s.Run) > mostVariable || !safe().MatchString(string(s.Run)) || len(digest) != 64 || !safe().MatchString(digest):
		return ops.Execution{}, ops.Errorf(ops.Invalid, "run %s with request %s cannot be handed to a pipeline.", ops.Quote(string(s.Run)), ops.Quote(string(s.Request)))
	case len(token) > mostToken || !tokenPattern().MatchString(token):
		return ops.Execution{}, ops.Errorf(ops.Invalid, "%s cannot be a pipeline's request token.", ops.Quote(token))
	}
	in := &codepipeline.StartPipelineExecutionInput{
		Name: &name, ClientRequestToken: &token,
		Variables: []types.PipelineVariable{
			{Name: aws.String(variableRun), Value: aws.String(string(s.Run))},
			{Name: aws.String(variableRequest), Value: &digest},
		},
	}
	if s.Bundle != "" {
		in.SourceRevisions = []types.SourceRevisionOverride{
			{ActionName: aws.String(sourceAction), RevisionType: types.SourceRevisionTypeS3ObjectVersionId, RevisionValue: &s.Bundle},
		}
	}
	at := e.c.Now().UTC().Truncate(time.Second)
	out, err := e.c.Clients.Pipelines.StartPipelineExecution(ctx, in)
	if err != nil {
		return ops.Execution{}, notStarted(name, err)
	}
	return ops.Execution{Engine: engineName, ID: name + "/" + aws.ToString(out.PipelineExecutionId), At: at}, nil
}

// mostToken is CodePipeline's limit for a request token.
const mostToken = 128

var tokenPattern = ops.Pattern(`^[A-Za-z0-9-]+$`)

func pipelineOf(lane ops.Lane) string { return "synops-" + string(lane) }

func logGroupOf(lane ops.Lane) string { return "/synops/" + string(lane) }

// notStarted says what to do where AWS's answer alone does not.
func notStarted(name string, err error) error {
	told := awsauth.Explain("starting pipeline "+name, err)
	own, ok := errors.AsType[*ops.Error](told)
	if !ok {
		return told
	}
	switch awsauth.CodeOfAPI(err) {
	case "PipelineNotFoundException":
		own.Hint = "The lane is not deployed in this account: synops deploy " + strings.TrimPrefix(name, "synops-") + "."
	case "ConflictException":
		own.Code, own.Hint = ops.Unavailable, "The pipeline is being changed: ask again in a minute; it is the same run."
	case "ConcurrentPipelineExecutionsLimitExceededException":
		own.Code, own.Hint = ops.Unavailable, "Too many runs of this lane are on their way: ask again when one has ended; it is the same run."
	}
	return own
}

// An execution is an ops.Execution of this engine, taken apart.
type execution struct {
	pipeline, id string
	at           time.Time
}

// parse is false for what another engine started, or nobody.
func parse(x ops.Execution) (execution, bool) {
	name, id, ok := strings.Cut(x.ID, "/")
	if !ok || name == "" || id == "" || x.Engine != engineName {
		return execution{}, false
	}
	return execution{name, id, x.At}, true
}
