package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	cb "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	cp "github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/smithy-go"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/pipeline"
)

const (
	execID  = "synops-admin/e-1"
	buildID = "synops-admin:b-1"
)

var (
	ref  = ops.RunRef{Lane: ops.LaneAdmin, Run: "20261123T141502Z-remove-user-3f9c"}
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

// A script is an AWS that answers as a test says. Each moment is what is so from
// one StopBuild, StopPipelineExecution or look at the execution's status on.
type script struct {
	mu     sync.Mutex
	status cp.PipelineExecutionStatus // "": not visible
	build  *cb.Build                  // nil: none began
	linked bool                       // the execution tells of its build
	// afterStatus happens once, after the execution's status was asked.
	afterStatus func(s *script)
	onStop      func(s *script) // of the execution
	onStopBuild func(s *script)
	started     []*codepipeline.StartPipelineExecutionInput
	calls       []string
}

func notFound(code string) error {
	return &smithy.GenericAPIError{Code: code, Message: "no such thing"}
}

func (s *script) call(name string) func() {
	s.mu.Lock()
	s.calls = append(s.calls, name)
	return s.mu.Unlock
}

func (s *script) count(name string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c == name {
			n++
		}
	}
	return n
}

func (s *script) StartPipelineExecution(_ context.Context, in *codepipeline.StartPipelineExecutionInput, _ ...func(*codepipeline.Options)) (*codepipeline.StartPipelineExecutionOutput, error) {
	defer s.call("start")()
	s.started = append(s.started, in)
	return &codepipeline.StartPipelineExecutionOutput{PipelineExecutionId: aws.String("e-1")}, nil
}

func (s *script) GetPipelineExecution(context.Context, *codepipeline.GetPipelineExecutionInput, ...func(*codepipeline.Options)) (*codepipeline.GetPipelineExecutionOutput, error) {
	defer s.call("status")()
	if s.status == "" {
		return nil, notFound("PipelineExecutionNotFoundException")
	}
	out := &codepipeline.GetPipelineExecutionOutput{PipelineExecution: &cp.PipelineExecution{Status: s.status, StatusSummary: aws.String("that is why")}}
	if f := s.afterStatus; f != nil {
		s.afterStatus = nil
		f(s)
	}
	return out, nil
}

func (s *script) ListActionExecutions(context.Context, *codepipeline.ListActionExecutionsInput, ...func(*codepipeline.Options)) (*codepipeline.ListActionExecutionsOutput, error) {
	defer s.call("actions")()
	if s.status == "" {
		return nil, notFound("PipelineExecutionNotFoundException")
	}
	source := cp.ActionExecutionDetail{ActionName: aws.String("Bundle"), Input: &cp.ActionExecutionInput{ActionTypeId: &cp.ActionTypeId{Category: cp.ActionCategorySource}},
		Output: &cp.ActionExecutionOutput{ExecutionResult: &cp.ActionExecutionResult{ExternalExecutionId: aws.String("an object's version")}}}
	work := cp.ActionExecutionDetail{ActionName: aws.String("Work"), Input: &cp.ActionExecutionInput{ActionTypeId: &cp.ActionTypeId{Category: cp.ActionCategoryBuild}}}
	if s.linked && s.build != nil {
		work.Output = &cp.ActionExecutionOutput{ExecutionResult: &cp.ActionExecutionResult{ExternalExecutionId: s.build.Id}}
	}
	return &codepipeline.ListActionExecutionsOutput{ActionExecutionDetails: []cp.ActionExecutionDetail{work, source}}, nil
}

func (s *script) StopPipelineExecution(_ context.Context, in *codepipeline.StopPipelineExecutionInput, _ ...func(*codepipeline.Options)) (*codepipeline.StopPipelineExecutionOutput, error) {
	defer s.call(fmt.Sprint("stop, abandon ", in.Abandon))()
	if s.onStop != nil {
		s.onStop(s)
	}
	return &codepipeline.StopPipelineExecutionOutput{}, nil
}

func (s *script) BatchGetBuilds(_ context.Context, in *codebuild.BatchGetBuildsInput, _ ...func(*codebuild.Options)) (*codebuild.BatchGetBuildsOutput, error) {
	defer s.call("build")()
	if s.build == nil || !slices.Contains(in.Ids, *s.build.Id) {
		return &codebuild.BatchGetBuildsOutput{BuildsNotFound: in.Ids}, nil
	}
	b := *s.build
	return &codebuild.BatchGetBuildsOutput{Builds: []cb.Build{b}}, nil
}

func (s *script) StopBuild(_ context.Context, in *codebuild.StopBuildInput, _ ...func(*codebuild.Options)) (*codebuild.StopBuildOutput, error) {
	defer s.call("stop build " + *in.Id)()
	if s.onStopBuild != nil {
		s.onStopBuild(s)
	}
	return &codebuild.StopBuildOutput{}, nil
}

func aBuild(status cb.StatusType, phase string) *cb.Build {
	return &cb.Build{Id: aws.String(buildID), BuildStatus: status, CurrentPhase: &phase, Logs: &cb.LogsLocation{StreamName: aws.String("b-1")}}
}

// A tape is a log stream, page by page.
type tape struct {
	mu     sync.Mutex
	events []logs.OutputLogEvent
	page   int         // lines on one, at most
	forget func() bool // tells that a token is not taken any more
	asked  []*cloudwatchlogs.GetLogEventsInput
}

func (t *tape) say(millis int64, lines ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range lines {
		t.events = append(t.events, logs.OutputLogEvent{Timestamp: aws.Int64(millis), Message: aws.String(l)})
	}
}

func (t *tape) GetLogEvents(_ context.Context, in *cloudwatchlogs.GetLogEventsInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.GetLogEventsOutput, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = append(t.asked, in)
	from := 0
	if in.NextToken != nil {
		if t.forget != nil && t.forget() {
			return nil, &smithy.GenericAPIError{Code: "InvalidParameterException", Message: "The specified nextToken is invalid."}
		}
		from, _ = strconv.Atoi((*in.NextToken)[2:])
	} else if in.StartTime != nil {
		for from < len(t.events) && *t.events[from].Timestamp < *in.StartTime {
			from++
		}
	}
	to := min(len(t.events), from+t.page)
	return &cloudwatchlogs.GetLogEventsOutput{Events: slices.Clone(t.events[from:to]), NextForwardToken: aws.String(fmt.Sprintf("f/%d", to))}, nil
}

func (t *tape) calls() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.asked)
}

// A clock is a time that passes when it is told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// scripted is an engine over s and t; its attempt 1 prints to the stream b-1.
func scripted(s *script, t *tape, c *clock, change ...func(*pipeline.Config)) *pipeline.Engine {
	conf := pipeline.Config{
		Clients: pipeline.Clients{Pipelines: s, Builds: s, Logs: t}, Now: c.now,
		Find: func(context.Context, ops.RunRef, int) (ops.Execution, *ops.Attempt, error) {
			return begun, &ops.Attempt{N: 1, Build: buildID, Stream: "b-1"}, nil
		},
	}
	for _, f := range change {
		f(&conf)
	}
	return pipeline.New(conf)
}

// begun is what Start returned, a minute before noon.
var begun = ops.Execution{Engine: "pipeline", ID: execID, At: noon.Add(-time.Minute)}
