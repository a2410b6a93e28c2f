package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	cb "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	cp "github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// visibleWithin is how long after its start an execution may be unknown to the
// calls that ask for it. One still unknown then is remembered by nobody, and can
// begin no build.
const visibleWithin = 10 * time.Minute

// known is what was answered, so that it is not asked again too soon, or ever.
type known struct {
	build string // of an execution
	live  ops.Liveness
	at    time.Time
}

// Liveness tells how an attempt is, by its build: an execution may end, by a time
// limit of its own or a change of the pipeline, while its build goes on. An answer
// may be as old as Pace.Build; Gone is for ever.
func (e *Engine) Liveness(ctx context.Context, x ops.Execution, attempt *ops.Attempt) (ops.Liveness, error) {
	key := keyOf(x, attempt)
	if live, ok := e.remembered(key); ok {
		return live, nil
	}
	live, err := e.ask(ctx, x, attempt)
	if err == nil {
		e.remember(key, live)
	}
	return live, err
}

func keyOf(x ops.Execution, attempt *ops.Attempt) string {
	build, worker := "", false
	if attempt != nil {
		build, worker = attempt.Build, true
	}
	return fmt.Sprint(x.Engine, " ", x.ID, " ", build, " ", worker)
}

func (e *Engine) remembered(key string) (ops.Liveness, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k, ok := e.known[key]
	return k.live, ok && k.live != "" && (k.live == ops.Gone || e.c.Now().Sub(k.at) < e.c.Pace.Build)
}

func (e *Engine) remember(key string, live ops.Liveness) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known[key] = known{live: live, at: e.c.Now()}
}

// ask is Liveness as AWS has it now.
func (e *Engine) ask(ctx context.Context, x ops.Execution, attempt *ops.Attempt) (ops.Liveness, error) {
	s, err := e.survey(ctx, x, attempt)
	if err != nil {
		return ops.LivenessUnknown, err
	}
	return s.live(attempt != nil, e.c.Now()), nil
}

// A survey is what AWS knows of an attempt: its build, or where there is none, its
// execution.
type survey struct {
	execution execution
	elsewhere bool // nothing of ours was started for it
	status    cp.PipelineExecutionStatus
	summary   string // of the execution's status
	unknown   bool   // AWS does not know the execution
	build     *cb.Build
	lost      bool // AWS does not know the build that the worker names
}

// survey asks for the build that the worker names, or for the one that the
// execution began. Where there is none yet the execution's status is asked, and
// then for the build again: it may have come in between.
func (e *Engine) survey(ctx context.Context, x ops.Execution, attempt *ops.Attempt) (*survey, error) {
	s := &survey{}
	var ours bool
	s.execution, ours = parse(x)
	id := ""
	if attempt != nil {
		id = attempt.Build
	}
	switch {
	case id == "" && (!ours || attempt != nil && x.Engine != engineName):
		s.elsewhere = true
		return s, nil
	case id == "":
		var err error
		if id, err = e.buildOf(ctx, s.execution); err != nil {
			return nil, err
		}
	}
	if id == "" {
		if err := e.askExecution(ctx, s); err != nil {
			return nil, err
		}
		var err error
		if !over(s.status) {
			return s, nil
		}
		if id, err = e.buildOf(ctx, s.execution); id == "" || err != nil {
			return s, err
		}
	}
	var err error
	s.build, err = e.getBuild(ctx, id)
	s.lost = s.build == nil
	return s, err
}

// live is what the survey adds up to. claimed: a worker is the attempt.
func (s *survey) live(claimed bool, now time.Time) ops.Liveness {
	switch {
	case s.elsewhere, s.lost:
		return ops.LivenessUnknown
	case s.build != nil:
		return liveOf(s.build, claimed)
	case s.unknown && now.Sub(s.execution.at) > visibleWithin, over(s.status):
		return ops.Gone // and no build of it ever began
	}
	return ops.AliveQueued
}

// liveOf tells of a build's status and phase. While the worker has not claimed its
// attempt there is none, whatever the phase.
func liveOf(b *cb.Build, claimed bool) ops.Liveness {
	switch {
	case b.BuildStatus != cb.StatusTypeInProgress:
		return ops.Gone
	case slices.Contains([]string{"", "SUBMITTED", "QUEUED"}, aws.ToString(b.CurrentPhase)):
		return ops.AliveQueued
	case slices.Contains([]string{"PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD"}, aws.ToString(b.CurrentPhase)), !claimed:
		return ops.AliveProvisioning
	}
	return ops.AliveRunning
}

// over tells whether an execution will begin nothing any more. One that is Stopping
// lets its action in progress go on.
func over(s cp.PipelineExecutionStatus) bool {
	return s != "" && s != cp.PipelineExecutionStatusInProgress && s != cp.PipelineExecutionStatusStopping
}

// buildOf returns the build that an execution began, "" while there is none.
func (e *Engine) buildOf(ctx context.Context, x execution) (string, error) {
	e.mu.Lock()
	id := e.known[x.id].build
	e.mu.Unlock()
	if id != "" {
		return id, nil
	}
	actions, err := e.actions(ctx, x)
	if err != nil {
		return "", err
	}
	for _, a := range actions {
		if id := buildID(a); id != "" {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.known[x.id] = known{build: id}
			return id, nil
		}
	}
	return "", nil
}

// actions lists an execution's actions, newest first. One that is not visible yet
// has none.
func (e *Engine) actions(ctx context.Context, x execution) ([]cp.ActionExecutionDetail, error) {
	pages := codepipeline.NewListActionExecutionsPaginator(e.c.Clients.Pipelines, &codepipeline.ListActionExecutionsInput{
		PipelineName: &x.pipeline, Filter: &cp.ActionExecutionFilter{PipelineExecutionId: &x.id},
	})
	var all []cp.ActionExecutionDetail
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if awsauth.CodeOfAPI(err) == "PipelineExecutionNotFoundException" {
			return nil, nil
		}
		if err != nil {
			return nil, awsauth.Explain("asking pipeline "+x.pipeline+" for the build of "+x.id, err)
		}
		all = append(all, page.ActionExecutionDetails...)
	}
	return all, nil
}

// buildID is the build that did an action, "" for none.
func buildID(a cp.ActionExecutionDetail) string {
	build := a.Input != nil && a.Input.ActionTypeId != nil && a.Input.ActionTypeId.Category == cp.ActionCategoryBuild
	if !build || a.Output == nil || a.Output.ExecutionResult == nil {
		return ""
	}
	return aws.ToString(a.Output.ExecutionResult.ExternalExecutionId)
}

func (e *Engine) askExecution(ctx context.Context, s *survey) error {
	x := s.execution
	out, err := e.c.Clients.Pipelines.GetPipelineExecution(ctx, &codepipeline.GetPipelineExecutionInput{PipelineName: &x.pipeline, PipelineExecutionId: &x.id})
	switch code := awsauth.CodeOfAPI(err); {
	case code == "PipelineExecutionNotFoundException", code == "PipelineNotFoundException":
		s.unknown = true
		return nil
	case err != nil:
		return awsauth.Explain("asking pipeline "+x.pipeline+" how "+x.id+" is", err)
	case out.PipelineExecution != nil:
		s.status, s.summary = out.PipelineExecution.Status, aws.ToString(out.PipelineExecution.StatusSummary)
	}
	return nil
}

// getBuild returns a build, nil when AWS does not know it.
func (e *Engine) getBuild(ctx context.Context, id string) (*cb.Build, error) {
	out, err := e.c.Clients.Builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{id}})
	if err != nil {
		return nil, awsauth.Explain("asking how build "+id+" is", err)
	}
	for i := range out.Builds {
		if aws.ToString(out.Builds[i].Id) == id {
			return &out.Builds[i], nil
		}
	}
	return nil, nil
}

// Reason tells why an attempt is gone or cannot begin, as far as AWS says: the
// phase that failed, such as a network that is not to be had, or why the execution
// ended. "" when there is nothing to tell.
func (e *Engine) Reason(ctx context.Context, x ops.Execution, attempt *ops.Attempt) (string, error) {
	s, err := e.survey(ctx, x, attempt)
	if err != nil {
		return "", err
	}
	if s.build != nil {
		return buildReason(s.build), nil
	}
	if !over(s.status) {
		return "", nil
	}
	reason := fmt.Sprintf("Its execution ended %s before a build began.", s.status)
	actions, err := e.actions(ctx, s.execution)
	if err != nil {
		return "", err
	}
	for _, a := range actions {
		if a.Output != nil && a.Output.ExecutionResult != nil && a.Output.ExecutionResult.ErrorDetails != nil {
			d := a.Output.ExecutionResult.ErrorDetails
			return fmt.Sprintf("%s Action %s: %s: %s", reason, aws.ToString(a.ActionName), aws.ToString(d.Code), aws.ToString(d.Message)), nil
		}
	}
	return strings.TrimSpace(reason + " " + s.summary), nil
}

// buildReason is the failed phases' own words. The log may have none: a build that
// fails before its commands has no lines.
func buildReason(b *cb.Build) string {
	if b.BuildStatus == cb.StatusTypeInProgress || b.BuildStatus == cb.StatusTypeSucceeded {
		return ""
	}
	reason := fmt.Sprintf("Its build ended %s.", b.BuildStatus)
	for _, p := range b.Phases {
		if p.PhaseStatus == "" || p.PhaseStatus == cb.StatusTypeSucceeded || p.PhaseStatus == cb.StatusTypeInProgress {
			continue
		}
		reason += fmt.Sprintf(" Phase %s: %s.", p.PhaseType, p.PhaseStatus)
		for _, c := range p.Contexts {
			if text := strings.TrimSpace(aws.ToString(c.StatusCode) + ": " + aws.ToString(c.Message)); text != ":" {
				reason += " " + text
			}
		}
	}
	return reason
}
