package deploy

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	pipetypes "github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

func (x *doctor) lanes(ctx context.Context) {
	for _, l := range x.lanesHere() {
		if !x.deployed(ctx, l) {
			continue
		}
		x.pipeline(ctx, l)
		x.project(ctx, l)
		x.logs(ctx, l)
	}
}

// deployed tells whether a lane's stack is there, and says so where it is not well.
func (x *doctor) deployed(ctx context.Context, l ops.Lane) bool {
	about := "lane " + string(l)
	s, err := x.find(ctx, LaneStack(l))
	switch {
	case err != nil:
		x.untold(about, err, "")
	case footingOf(s) == create:
		x.fail(about, x.deployRemedy(l), "is not deployed")
		return false
	case footingOf(s) != update:
		x.fail(about, x.deployRemedy(l), "its stack is %s", s.StackStatus)
	}
	return true
}

func (x *doctor) pipeline(ctx context.Context, l ops.Lane) {
	about := "pipeline " + LanePipeline(l)
	out, err := x.c.Clients.Pipelines.GetPipeline(ctx, &codepipeline.GetPipelineInput{Name: aws.String(LanePipeline(l))})
	if err != nil {
		x.untold(about, awsauth.Explain("looking at it", err), x.deployRemedy(l))
		return
	}
	p := out.Pipeline
	switch {
	case p.PipelineType != pipetypes.PipelineTypeV2 || p.ExecutionMode != pipetypes.ExecutionModeParallel:
		x.fail(about, x.deployRemedy(l), "is %s %s, want V2 PARALLEL: runs would wait for or end each other", p.PipelineType, p.ExecutionMode)
	case polls(p):
		x.fail(about, x.deployRemedy(l), "polls its source: a new bundle would start it without a run")
	default:
		x.pass(about, "V2, PARALLEL, starts only when asked")
	}
}

// polls: an S3 source does unless it is told not to.
func polls(p *pipetypes.PipelineDeclaration) bool {
	for _, stage := range p.Stages {
		for _, a := range stage.Actions {
			if a.ActionTypeId != nil && a.ActionTypeId.Category == pipetypes.ActionCategorySource && a.Configuration["PollForSourceChanges"] != "false" {
				return true
			}
		}
	}
	return false
}

// laneMinutes is the time limit of each lane's builds.
var laneMinutes = map[ops.Lane]int32{ops.LanePlan: 60, ops.LaneAdmin: 480, ops.LaneDeploy: 480, ops.LaneMigrate: 2160}

func (x *doctor) project(ctx context.Context, l ops.Lane) {
	about := "project " + LanePipeline(l)
	out, err := x.c.Clients.Builds.BatchGetProjects(ctx, &codebuild.BatchGetProjectsInput{Names: []string{LanePipeline(l)}})
	switch {
	case err != nil:
		x.untold(about, awsauth.Explain("looking at it", err), x.deployRemedy(l))
		return
	case len(out.Projects) == 0:
		x.fail(about, x.deployRemedy(l), "is not there")
		return
	}
	p := out.Projects[0]
	switch minutes := aws.ToInt32(p.TimeoutInMinutes); {
	case p.Environment != nil && aws.ToBool(p.Environment.PrivilegedMode):
		x.fail(about, x.deployRemedy(l), "runs privileged builds")
	case aws.ToInt32(p.AutoRetryLimit) != 0:
		x.fail(about, x.deployRemedy(l), "retries builds by itself")
	case minutes != laneMinutes[l]:
		x.fail(about, x.deployRemedy(l), "gives builds %d minutes, want %d", minutes, laneMinutes[l])
	default:
		x.pass(about, "%d minutes, unprivileged, no retries", minutes)
	}
}

// leastRetention is the least that lane.yaml takes, in days.
const leastRetention = 90

func (x *doctor) logs(ctx context.Context, l ops.Lane) {
	about := "log " + LaneLogs(l)
	out, err := x.c.Clients.Logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String(LaneLogs(l))})
	if err != nil {
		x.untold(about, awsauth.Explain("looking at it", err), x.deployRemedy(l))
		return
	}
	for _, g := range out.LogGroups {
		if aws.ToString(g.LogGroupName) != LaneLogs(l) {
			continue
		}
		switch days := aws.ToInt32(g.RetentionInDays); {
		case g.RetentionInDays == nil:
			x.fail(about, x.deployRemedy(l), "is kept for ever")
		case days < leastRetention:
			x.fail(about, x.deployRemedy(l), "its retention in days is %d, want %d at least", days, leastRetention)
		default:
			x.pass(about, "kept %d days", days)
		}
		return
	}
	x.fail(about, x.deployRemedy(l), "is not there")
}
