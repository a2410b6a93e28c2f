package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// Stop ends an attempt: its own build, which stopping the pipeline would not, and
// then what is left of the execution, never by abandoning it: the stage would open
// while the build still acts. Where no build has begun, the execution is stopped
// and watched until it has ended, for a build may still come of it.
func (e *Engine) Stop(ctx context.Context, x ops.Execution, attempt *ops.Attempt) error {
	look := time.NewTicker(e.c.Pace.LogLeast)
	defer look.Stop()
	asked := "" // what was asked to end
	for {
		s, err := e.survey(ctx, x, attempt)
		if err != nil {
			return err
		}
		live := s.live(attempt != nil, e.c.Now())
		if live == ops.LivenessUnknown {
			return &ops.Error{Code: ops.Unavailable, Message: fmt.Sprintf("AWS does not tell how %s is, so it cannot be stopped from here.", nameOf(x, attempt)),
				Hint: "Look for its build in the account, and stop it there."}
		}
		if live == ops.Gone {
			e.remember(keyOf(x, attempt), live)
			return e.endExecution(ctx, s.execution)
		}
		if err := e.askToEnd(ctx, s, &asked); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to end: %w", nameOf(x, attempt), ctx.Err())
		case <-look.C:
		}
	}
}

func nameOf(x ops.Execution, attempt *ops.Attempt) string {
	if attempt != nil && attempt.Build != "" {
		return "build " + attempt.Build
	}
	return "execution " + ops.Quote(x.ID)
}

// askToEnd asks what there is to end, once.
func (e *Engine) askToEnd(ctx context.Context, s *survey, asked *string) error {
	if s.build == nil {
		if *asked == s.execution.id || s.unknown {
			return nil // a stop of what is not visible yet is asked for when it is
		}
		*asked = s.execution.id
		return e.stopExecution(ctx, s.execution)
	}
	id := aws.ToString(s.build.Id)
	if *asked == id {
		return nil
	}
	*asked = id
	if _, err := e.c.Clients.Builds.StopBuild(ctx, &codebuild.StopBuildInput{Id: &id}); err != nil {
		return awsauth.Explain("stopping build "+id, err)
	}
	return nil
}

// endExecution stops what is left of an execution whose build is over. It mostly
// ends by itself a little later.
func (e *Engine) endExecution(ctx context.Context, x execution) error {
	if x.id == "" {
		return nil // nobody knows which it was
	}
	s := &survey{execution: x}
	if err := e.askExecution(ctx, s); err != nil || s.unknown || over(s.status) {
		return err
	}
	return e.stopExecution(ctx, x)
}

// stopExecution asks an execution to end after its action in progress. One that
// has ended, or was asked already, is fine.
func (e *Engine) stopExecution(ctx context.Context, x execution) error {
	_, err := e.c.Clients.Pipelines.StopPipelineExecution(ctx, &codepipeline.StopPipelineExecutionInput{
		PipelineName: &x.pipeline, PipelineExecutionId: &x.id, Abandon: false, Reason: aws.String("synops: the run was stopped"),
	})
	switch awsauth.CodeOfAPI(err) {
	case "PipelineExecutionNotStoppableException", "DuplicatedStopRequestException":
		return nil
	}
	return awsauth.Explain("stopping pipeline "+x.pipeline+"'s execution "+x.id, err)
}
