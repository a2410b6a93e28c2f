package deploy

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfnapi "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// Clients is what of AWS is asked, a small interface for each service: every call
// here is a permission that a role needs.
type Clients struct {
	Stacks    Stacks
	Objects   Objects
	Secrets   Secrets
	Pipelines Pipelines
	Builds    Builds
	Logs      Logs
	Roles     Roles
	Network   Network
	// Clock tells AWS's time.
	Clock func(ctx context.Context) (time.Time, error)
}

// Connect returns the SDK's clients for cfg.
func Connect(cfg aws.Config) Clients {
	return Clients{
		Stacks: cfnapi.NewFromConfig(cfg),
		Objects: s3.NewFromConfig(cfg, func(o *s3.Options) {
			// A bucket's name as a host name does not lead to this machine.
			o.UsePathStyle = ops.Loopback(aws.ToString(cfg.BaseEndpoint))
			o.DisableLogOutputChecksumValidationSkipped = true // it would stand on standard error
		}),
		Secrets:   secretsmanager.NewFromConfig(cfg),
		Pipelines: codepipeline.NewFromConfig(cfg),
		Builds:    codebuild.NewFromConfig(cfg),
		Logs:      cloudwatchlogs.NewFromConfig(cfg),
		Roles:     iam.NewFromConfig(cfg),
		Network:   newNetwork(cfg),
		Clock:     clock(cfg),
	}
}

// Stacks is what is asked of CloudFormation.
type Stacks interface {
	DescribeStacks(context.Context, *cfnapi.DescribeStacksInput, ...func(*cfnapi.Options)) (*cfnapi.DescribeStacksOutput, error)
	DescribeStackEvents(context.Context, *cfnapi.DescribeStackEventsInput, ...func(*cfnapi.Options)) (*cfnapi.DescribeStackEventsOutput, error)
	CreateChangeSet(context.Context, *cfnapi.CreateChangeSetInput, ...func(*cfnapi.Options)) (*cfnapi.CreateChangeSetOutput, error)
	DescribeChangeSet(context.Context, *cfnapi.DescribeChangeSetInput, ...func(*cfnapi.Options)) (*cfnapi.DescribeChangeSetOutput, error)
	ExecuteChangeSet(context.Context, *cfnapi.ExecuteChangeSetInput, ...func(*cfnapi.Options)) (*cfnapi.ExecuteChangeSetOutput, error)
	DeleteChangeSet(context.Context, *cfnapi.DeleteChangeSetInput, ...func(*cfnapi.Options)) (*cfnapi.DeleteChangeSetOutput, error)
	DeleteStack(context.Context, *cfnapi.DeleteStackInput, ...func(*cfnapi.Options)) (*cfnapi.DeleteStackOutput, error)
	GetTemplate(context.Context, *cfnapi.GetTemplateInput, ...func(*cfnapi.Options)) (*cfnapi.GetTemplateOutput, error)
	DetectStackDrift(context.Context, *cfnapi.DetectStackDriftInput, ...func(*cfnapi.Options)) (*cfnapi.DetectStackDriftOutput, error)
	DescribeStackDriftDetectionStatus(context.Context, *cfnapi.DescribeStackDriftDetectionStatusInput, ...func(*cfnapi.Options)) (*cfnapi.DescribeStackDriftDetectionStatusOutput, error)
	DescribeStackResourceDrifts(context.Context, *cfnapi.DescribeStackResourceDriftsInput, ...func(*cfnapi.Options)) (*cfnapi.DescribeStackResourceDriftsOutput, error)
}

// Objects is what is asked of S3.
type Objects interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	GetBucketVersioning(context.Context, *s3.GetBucketVersioningInput, ...func(*s3.Options)) (*s3.GetBucketVersioningOutput, error)
}

// Secrets is what is asked of Secrets Manager.
type Secrets interface {
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
}

// Pipelines is what is asked of CodePipeline.
type Pipelines interface {
	GetPipeline(context.Context, *codepipeline.GetPipelineInput, ...func(*codepipeline.Options)) (*codepipeline.GetPipelineOutput, error)
	ListPipelineExecutions(context.Context, *codepipeline.ListPipelineExecutionsInput, ...func(*codepipeline.Options)) (*codepipeline.ListPipelineExecutionsOutput, error)
}

// Builds is what is asked of CodeBuild.
type Builds interface {
	BatchGetProjects(context.Context, *codebuild.BatchGetProjectsInput, ...func(*codebuild.Options)) (*codebuild.BatchGetProjectsOutput, error)
	ListBuildsForProject(context.Context, *codebuild.ListBuildsForProjectInput, ...func(*codebuild.Options)) (*codebuild.ListBuildsForProjectOutput, error)
	BatchGetBuilds(context.Context, *codebuild.BatchGetBuildsInput, ...func(*codebuild.Options)) (*codebuild.BatchGetBuildsOutput, error)
}

// Logs is what is asked of CloudWatch Logs.
type Logs interface {
	DescribeLogGroups(context.Context, *cloudwatchlogs.DescribeLogGroupsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DescribeLogGroupsOutput, error)
}

// Roles is what is asked of IAM.
type Roles interface {
	GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error)
	ListOpenIDConnectProviders(context.Context, *iam.ListOpenIDConnectProvidersInput, ...func(*iam.Options)) (*iam.ListOpenIDConnectProvidersOutput, error)
}

// clock reads the time from the answer to a request that needs no signature: a
// clock that is wrong would make every signed one fail.
func clock(cfg aws.Config) func(context.Context) (time.Time, error) {
	endpoint := aws.ToString(cfg.BaseEndpoint)
	if endpoint == "" {
		endpoint = "https://sts." + cfg.Region + ".amazonaws.com"
	}
	return func(ctx context.Context) (time.Time, error) {
		const doing = "asking AWS for the time"
		hreq, err := http.NewRequestWithContext(ctx, http.MethodHead, endpoint+"/", nil)
		if err != nil {
			return time.Time{}, awsauth.Explain(doing, err)
		}
		client := http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := client.Do(hreq)
		if err != nil {
			return time.Time{}, awsauth.Explain(doing, err)
		}
		defer resp.Body.Close()
		at, err := http.ParseTime(resp.Header.Get("Date"))
		return at, awsauth.Explain(doing, err)
	}
}
