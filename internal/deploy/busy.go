package deploy

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	buildtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	pipetypes "github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// Guard refuses what must not be done: replacing or removing what holds things
// that cannot be made again (guard "retained"), and changing a pipeline or project
// while its lane has executions or builds in progress (guard "executions"), unless
// interrupt is set. An account that cannot be asked stops it too.
func (d *Deployer) Guard(ctx context.Context, p *Prepared, interrupt bool) error {
	p.interrupt = interrupt
	if err := p.guardRetained(); err != nil {
		return err
	}
	if p.Stack.Lane == "" || p.Kind != Update || !p.touchesExecutions() || interrupt {
		return nil
	}
	at, err := d.inProgress(ctx, p.Stack.Lane)
	if err != nil || len(at) == 0 {
		return err
	}
	return ops.Refuse("executions", "Wait until they have ended (synops runs lists them), or add --interrupt to end them.",
		"%s changes the pipeline or project of lane %s, which would end what is in progress there: %s.", p.Stack.Name, p.Stack.Lane, strings.Join(at, ", "))
}

// mostNamed bounds how many executions a refusal names.
const mostNamed = 5

// inProgress names the lane's executions and builds that have not ended. A build
// outlives an execution that was abandoned, so both are asked.
// https://docs.aws.amazon.com/codepipeline/latest/userguide/pipelines-stop.html
func (d *Deployer) inProgress(ctx context.Context, lane ops.Lane) ([]string, error) {
	executions, err := d.executions(ctx, lane)
	if err != nil {
		return nil, err
	}
	builds, err := d.builds(ctx, lane)
	if err != nil {
		return nil, err
	}
	all := append(executions, builds...)
	if more := len(all) - mostNamed; more > 0 {
		all = append(all[:mostNamed], fmt.Sprintf("and %d more", more))
	}
	return all, nil
}

func (d *Deployer) executions(ctx context.Context, lane ops.Lane) ([]string, error) {
	in := &codepipeline.ListPipelineExecutionsInput{PipelineName: aws.String(LanePipeline(lane))}
	var out []string
	for {
		page, err := d.c.Clients.Pipelines.ListPipelineExecutions(ctx, in)
		if awsauth.CodeOfAPI(err) == "PipelineNotFoundException" {
			return nil, nil
		}
		if err != nil {
			return nil, awsauth.Explain("listing the executions of "+LanePipeline(lane), err)
		}
		for _, e := range page.PipelineExecutionSummaries {
			if e.Status == pipetypes.PipelineExecutionStatusInProgress || e.Status == pipetypes.PipelineExecutionStatusStopping {
				out = append(out, "execution "+aws.ToString(e.PipelineExecutionId))
			}
		}
		if aws.ToString(page.NextToken) == "" {
			return out, nil
		}
		in.NextToken = page.NextToken
	}
}

// builds looks at the newest hundred: a build lives at most 36 hours.
func (d *Deployer) builds(ctx context.Context, lane ops.Lane) ([]string, error) {
	list, err := d.c.Clients.Builds.ListBuildsForProject(ctx, &codebuild.ListBuildsForProjectInput{ProjectName: aws.String(LanePipeline(lane)), SortOrder: buildtypes.SortOrderTypeDescending})
	if awsauth.CodeOfAPI(err) == "ResourceNotFoundException" {
		return nil, nil
	}
	if err != nil {
		return nil, awsauth.Explain("listing the builds of "+LanePipeline(lane), err)
	}
	if len(list.Ids) == 0 {
		return nil, nil
	}
	got, err := d.c.Clients.Builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: list.Ids})
	if err != nil {
		return nil, awsauth.Explain("reading the builds of "+LanePipeline(lane), err)
	}
	var out []string
	for _, b := range got.Builds {
		if b.BuildStatus == buildtypes.StatusTypeInProgress {
			out = append(out, "build "+aws.ToString(b.Id))
		}
	}
	return out, nil
}
