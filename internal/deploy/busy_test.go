package deploy_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	buildtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	pipetypes "github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
)

// lanes answers what is under way in a lane, an execution to a page.
type lanes struct {
	deploy.Pipelines
	deploy.Builds
	executions []pipetypes.PipelineExecutionStatus
	builds     []buildtypes.StatusType
	err        error
	asked      int
}

func (l *lanes) ListPipelineExecutions(_ context.Context, in *codepipeline.ListPipelineExecutionsInput, _ ...func(*codepipeline.Options)) (*codepipeline.ListPipelineExecutionsOutput, error) {
	l.asked++
	if l.err != nil {
		return nil, l.err
	}
	i := len(aws.ToString(in.NextToken))
	out := &codepipeline.ListPipelineExecutionsOutput{}
	if i < len(l.executions) {
		out.PipelineExecutionSummaries = []pipetypes.PipelineExecutionSummary{{PipelineExecutionId: aws.String("x" + strings.Repeat("i", i)), Status: l.executions[i]}}
		out.NextToken = aws.String(strings.Repeat("n", i+1))
	}
	return out, nil
}

func (l *lanes) ListBuildsForProject(context.Context, *codebuild.ListBuildsForProjectInput, ...func(*codebuild.Options)) (*codebuild.ListBuildsForProjectOutput, error) {
	ids := slices.Repeat([]string{"synops-admin:1"}, len(l.builds))
	return &codebuild.ListBuildsForProjectOutput{Ids: ids}, l.err
}

func (l *lanes) BatchGetBuilds(context.Context, *codebuild.BatchGetBuildsInput, ...func(*codebuild.Options)) (*codebuild.BatchGetBuildsOutput, error) {
	out := &codebuild.BatchGetBuildsOutput{}
	for _, s := range l.builds {
		out.Builds = append(out.Builds, buildtypes.Build{Id: aws.String("synops-admin:1"), BuildStatus: s})
	}
	return out, nil
}

// prepared is what a change set of these changes comes to.
func prepared(t *testing.T, b *bench, s *stacks, changes ...types.ResourceChange) *deploy.Prepared {
	t.Helper()
	s.stack, s.changes = laneStack(types.StackStatusUpdateComplete), changes
	p, err := b.Prepare(t.Context(), lane())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGuard_Retained(t *testing.T) {
	s, l := &stacks{}, &lanes{}
	b := newBench(t, deploy.Clients{Stacks: s, Pipelines: l, Builds: l})
	for _, kind := range []string{"AWS::S3::Bucket", "AWS::KMS::Key", "AWS::SecretsManager::Secret", "AWS::Logs::LogGroup"} {
		for name, tt := range map[string]struct {
			change  types.ResourceChange
			refused bool
		}{
			"add":         {add("It", kind), false},
			"change":      {modify("It", kind, types.ReplacementFalse, "", "Tags"), false},
			"replace":     {modify("It", kind, types.ReplacementTrue, types.PolicyActionReplaceAndRetain, "Name"), true},
			"may replace": {modify("It", kind, types.ReplacementConditional, "", "Name"), true},
			"remove":      {remove("It", kind, types.PolicyActionRetain), true},
		} {
			err := b.Guard(t.Context(), prepared(t, b, s, add("Other", "AWS::SNS::Topic"), tt.change), true)
			if r := ops.Refused(err); (r != nil && r.Guard == "retained") != tt.refused || err != nil != tt.refused {
				t.Errorf("%s %s: %v", name, kind, err)
			}
		}
	}
}

func TestGuard_Executions(t *testing.T) {
	pipeline := modify("Pipeline", "AWS::CodePipeline::Pipeline", types.ReplacementFalse, "", "Stages")
	role := modify("Role", "AWS::IAM::Role", types.ReplacementFalse, "", "Policies")
	over, running := pipetypes.PipelineExecutionStatusSucceeded, pipetypes.PipelineExecutionStatusInProgress
	tests := []struct {
		name       string
		change     types.ResourceChange
		executions []pipetypes.PipelineExecutionStatus
		builds     []buildtypes.StatusType
		interrupt  bool
		refused    string // what the refusal names; "": let through
	}{
		{name: "nothing", change: pipeline, executions: []pipetypes.PipelineExecutionStatus{over}, builds: []buildtypes.StatusType{buildtypes.StatusTypeStopped}},
		{name: "on a later page", change: pipeline, executions: []pipetypes.PipelineExecutionStatus{over, over, running}, refused: "execution xii"},
		{name: "stopping", change: pipeline, executions: []pipetypes.PipelineExecutionStatus{pipetypes.PipelineExecutionStatusStopping}, refused: "execution x"},
		{name: "a build whose execution was abandoned", change: pipeline, executions: []pipetypes.PipelineExecutionStatus{pipetypes.PipelineExecutionStatusStopped}, builds: []buildtypes.StatusType{buildtypes.StatusTypeInProgress}, refused: "build synops-admin:1"},
		{name: "many", change: pipeline, executions: slices.Repeat([]pipetypes.PipelineExecutionStatus{running}, 9), refused: "and 4 more"},
		{name: "interrupt", change: pipeline, executions: []pipetypes.PipelineExecutionStatus{running}, interrupt: true},
		{name: "another change", change: role, executions: []pipetypes.PipelineExecutionStatus{running}},
		{name: "the project goes", change: remove("Project", "AWS::CodeBuild::Project", ""), executions: []pipetypes.PipelineExecutionStatus{running}, refused: "execution x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, l := &stacks{}, &lanes{executions: tt.executions, builds: tt.builds}
			b := newBench(t, deploy.Clients{Stacks: s, Pipelines: l, Builds: l})
			err := b.Guard(t.Context(), prepared(t, b, s, tt.change), tt.interrupt)
			if tt.refused == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if r := ops.Refused(err); r == nil || r.Guard != "executions" || !strings.Contains(r.Reason, tt.refused) || !strings.Contains(r.Remedy, "--interrupt") {
				t.Errorf("error is %v, want a refusal that names %s", err, tt.refused)
			}
		})
	}
}

// TestGuard_CannotTell: an account that does not answer stops the change.
func TestGuard_CannotTell(t *testing.T) {
	s, l := &stacks{}, &lanes{err: answer("AccessDeniedException", "no")}
	b := newBench(t, deploy.Clients{Stacks: s, Pipelines: l, Builds: l})
	err := b.Guard(t.Context(), prepared(t, b, s, modify("Pipeline", "AWS::CodePipeline::Pipeline", types.ReplacementFalse, "", "Stages")), false)
	wantError(t, err, ops.Denied, "listing the executions")
	l.err = answer("PipelineNotFoundException", "none") // it is only to be made: nothing is under way
	b = newBench(t, deploy.Clients{Stacks: s, Pipelines: l, Builds: &lanes{}})
	if err := b.Guard(t.Context(), prepared(t, b, s, modify("Pipeline", "AWS::CodePipeline::Pipeline", types.ReplacementFalse, "", "Stages")), false); err != nil {
		t.Errorf("a pipeline that is not there: %v", err)
	}
}

// TestExecute_Busy: a run that began while somebody was asked stops the change too.
func TestExecute_Busy(t *testing.T) {
	s, l := &stacks{}, &lanes{}
	b := newBench(t, deploy.Clients{Stacks: s, Pipelines: l, Builds: l})
	p := prepared(t, b, s, modify("Pipeline", "AWS::CodePipeline::Pipeline", types.ReplacementFalse, "", "Stages"))
	if err := b.Guard(t.Context(), p, false); err != nil {
		t.Fatal(err)
	}
	l.executions = []pipetypes.PipelineExecutionStatus{pipetypes.PipelineExecutionStatusInProgress}
	_, err := b.Execute(t.Context(), p)
	if r := ops.Refused(err); r == nil || r.Guard != "executions" || slices.Contains(s.calls, "ExecuteChangeSet") {
		t.Errorf("error is %v after %v, want a refusal and nothing executed", err, s.calls)
	}
}
