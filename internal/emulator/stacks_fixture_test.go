package emulator_test

import (
	"archive/zip"
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	cbtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

func stacksOf(c aws.Config) *cloudformation.Client  { return cloudformation.NewFromConfig(c) }
func pipelinesOf(c aws.Config) *codepipeline.Client { return codepipeline.NewFromConfig(c) }
func buildsOf(c aws.Config) *codebuild.Client       { return codebuild.NewFromConfig(c) }

// newQuickWorld is a world in which time passes and which takes no longer than it
// must, for a test that runs beside others: most of it is waiting. change may alter
// the settings.
func newQuickWorld(t *testing.T, change ...func(*emulator.Settings)) *world {
	t.Helper()
	t.Parallel()
	w := newWorld(t, func(c *emulator.Config) {
		c.Now, c.Dir = nil, t.TempDir()
		s := c.Settings
		s.Stacks.Step, s.LogDelay, s.EmptyLogPages = time.Millisecond, 0, false
		s.Builds.Provisioning, s.Builds.StopDelay = 0, 0
		s.Pipelines.VisibleAfter, s.Pipelines.Lag = 0, 0
		for _, f := range change {
			f(s)
		}
	})
	w.SetURL(w.url)
	return w
}

// A stackChange is a template to be deployed, and how.
type stackChange struct {
	name, template, role string
	parameters           map[string]string
	capabilities         []cftypes.Capability
}

func (s stackChange) input(set string, kind cftypes.ChangeSetType) *cloudformation.CreateChangeSetInput {
	in := &cloudformation.CreateChangeSetInput{
		StackName: &s.name, ChangeSetName: &set, ChangeSetType: kind, TemplateBody: &s.template, Capabilities: s.capabilities,
	}
	if s.role != "" {
		in.RoleARN = &s.role
	}
	for k, v := range s.parameters {
		in.Parameters = append(in.Parameters, cftypes.Parameter{ParameterKey: &k, ParameterValue: &v})
	}
	return in
}

const changes = "change" // the name of the tests' change sets

// propose makes a change set and waits for it.
func propose(c *cloudformation.Client, s stackChange, kind cftypes.ChangeSetType) (*cloudformation.DescribeChangeSetOutput, error) {
	if _, err := c.CreateChangeSet(ctx, s.input(changes, kind)); err != nil {
		return nil, err
	}
	describe := &cloudformation.DescribeChangeSetInput{StackName: &s.name, ChangeSetName: aws.String(changes)}
	waiter := cloudformation.NewChangeSetCreateCompleteWaiter(c, func(o *cloudformation.ChangeSetCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Millisecond
	})
	werr := waiter.Wait(ctx, describe, 20*time.Second)
	out, err := c.DescribeChangeSet(ctx, describe)
	if err != nil {
		return nil, err
	}
	if (werr == nil) != (out.Status == cftypes.ChangeSetStatusCreateComplete) {
		return nil, werr
	}
	return out, nil
}

// create deploys a new stack and waits for its end with the SDK's waiter.
func create(c *cloudformation.Client, s stackChange) error {
	if _, err := propose(c, s, cftypes.ChangeSetTypeCreate); err != nil {
		return err
	}
	if _, err := c.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: &s.name, ChangeSetName: aws.String(changes)}); err != nil {
		return err
	}
	waiter := cloudformation.NewStackCreateCompleteWaiter(c, func(o *cloudformation.StackCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Millisecond
	})
	return waiter.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: &s.name}, 20*time.Second)
}

// update changes a stack and waits for its end with the SDK's waiter.
func update(c *cloudformation.Client, s stackChange) error {
	if _, err := propose(c, s, cftypes.ChangeSetTypeUpdate); err != nil {
		return err
	}
	if _, err := c.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: &s.name, ChangeSetName: aws.String(changes)}); err != nil {
		return err
	}
	waiter := cloudformation.NewStackUpdateCompleteWaiter(c, func(o *cloudformation.StackUpdateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Millisecond
	})
	return waiter.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: &s.name}, 20*time.Second)
}

// remove deletes a stack and waits for its end with the SDK's waiter.
func remove(c *cloudformation.Client, name string) error {
	if _, err := c.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &name}); err != nil {
		return err
	}
	waiter := cloudformation.NewStackDeleteCompleteWaiter(c, func(o *cloudformation.StackDeleteCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Millisecond
	})
	return waiter.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: &name}, 20*time.Second)
}

// until asks again and again, for what happens in the background, for at most 20 s.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// bundle is a zip with these files, each of which may be run.
func bundle(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, body := range files {
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o755)
		f, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// engine is a pipeline with its project and roles, as a template of one's own. The
// commands of its phase BUILD come from COMMANDS.
const engine = `
Parameters:
  Mode: {Type: String, Default: PARALLEL}
  Timeout: {Type: Number, Default: 60}
Resources:
  Logs:
    Type: AWS::Logs::LogGroup
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties: {LogGroupName: /synops/admin, RetentionInDays: 30}
  LaneRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: synops-lane-admin
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
        - Effect: Allow
          Principal: {Service: codebuild.amazonaws.com}
          Action: sts:AssumeRole
          Condition: {StringEquals: {"aws:SourceAccount": !Ref "AWS::AccountId"}}
      Policies:
      - PolicyName: build
        PolicyDocument:
          Version: "2012-10-17"
          Statement:
          - {Effect: Allow, Action: ["logs:CreateLogStream", "logs:PutLogEvents"], Resource: !Sub "${Logs.Arn}"}
          - {Effect: Allow, Action: ["s3:GetObject", "s3:GetObjectVersion"], Resource: "arn:aws:s3:::artifacts-1/synops-admin/*"}
          - {Effect: Allow, Action: "s3:PutObject", Resource: "arn:aws:s3:::artifacts-1/seen"}
          - {Effect: Allow, Action: "s3:GetBucketLocation", Resource: "arn:aws:s3:::artifacts-1"}
  PipelineRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: synops-pipeline-admin
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
        - {Effect: Allow, Principal: {Service: codepipeline.amazonaws.com}, Action: sts:AssumeRole}
      Policies:
      - PolicyName: stages
        PolicyDocument:
          Version: "2012-10-17"
          Statement:
          - {Effect: Allow, Action: ["s3:GetBucketVersioning", "s3:GetBucketLocation"], Resource: ["arn:aws:s3:::bundles-1", "arn:aws:s3:::artifacts-1"]}
          - {Effect: Allow, Action: ["s3:GetObject", "s3:GetObjectVersion"], Resource: "arn:aws:s3:::bundles-1/*"}
          - {Effect: Allow, Action: "s3:PutObject", Resource: "arn:aws:s3:::artifacts-1/*"}
          - {Effect: Allow, Action: ["codebuild:StartBuild", "codebuild:BatchGetBuilds"], Resource: !GetAtt Project.Arn}
  Project:
    Type: AWS::CodeBuild::Project
    Properties:
      Name: synops-admin
      ServiceRole: !Sub "arn:aws:iam::${AWS::AccountId}:role/synops-lane-admin"
      TimeoutInMinutes: !Ref Timeout
      AutoRetryLimit: 0
      Artifacts: {Type: CODEPIPELINE}
      Source:
        Type: CODEPIPELINE
        BuildSpec: |
          version: 0.2
          phases:
            build:
              commands:
              - COMMAND
              finally:
              - echo finally $CODEBUILD_BUILD_SUCCEEDING
            post_build:
              commands:
              - echo after $CODEBUILD_BUILD_SUCCEEDING
      Environment:
        Type: ARM_CONTAINER
        Image: aws/codebuild/amazonlinux-aarch64-standard:3.0
        ComputeType: BUILD_GENERAL1_SMALL
        PrivilegedMode: false
        EnvironmentVariables: [{Name: CONTEXT, Value: dev}, {Name: NUMBER, Value: 5}]
      LogsConfig: {CloudWatchLogs: {Status: ENABLED, GroupName: !Ref Logs}}
    DependsOn: LaneRole
  Pipeline:
    Type: AWS::CodePipeline::Pipeline
    Properties:
      Name: synops-admin
      PipelineType: V2
      ExecutionMode: !Ref Mode
      RoleArn: !GetAtt PipelineRole.Arn
      ArtifactStore: {Type: S3, Location: artifacts-1}
      Variables: [{Name: RUN}, {Name: REQUEST, DefaultValue: none}]
      Stages:
      - Name: Source
        Actions:
        - Name: Bundle
          ActionTypeId: {Category: Source, Owner: AWS, Provider: S3, Version: "1"}
          Configuration: {S3Bucket: bundles-1, S3ObjectKey: bundle.zip, PollForSourceChanges: false}
          OutputArtifacts: [{Name: Bundle}]
          Namespace: Source
      - Name: Work
        Actions:
        - Name: Work
          ActionTypeId: {Category: Build, Owner: AWS, Provider: CodeBuild, Version: 1}
          Configuration:
            ProjectName: !Ref Project
            EnvironmentVariables: '[{"name":"SYNOPS_RUN","value":"#{variables.RUN}"},{"name":"SYNOPS_EXECUTION","value":"#{codepipeline.PipelineExecutionId}"},{"name":"VERSION","value":"#{Source.VersionId}"}]'
          InputArtifacts: [{Name: Bundle}]
Outputs:
  Project: {Value: !GetAtt Project.Arn, Export: {Name: the-project}}
`

// A lane is a deployed engine, and an administrator's clients for it.
type lane struct {
	*world
	admin     aws.Config
	pipelines *codepipeline.Client
	builds    *codebuild.Client
}

// newLane deploys the engine whose builds run the command, over a bundle of files.
func newLane(t *testing.T, w *world, command string, files map[string]string, parameters map[string]string) *lane {
	t.Helper()
	l := &lane{world: w, admin: w.admin(dev)}
	l.pipelines, l.builds = pipelinesOf(l.admin), buildsOf(l.admin)
	for _, name := range []string{"bundles-1", "artifacts-1"} {
		w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: name, Versioned: true}))
	}
	_, err := w.Account(dev).S3.Put("bundles-1", "bundle.zip", bundle(t, files))
	w.must(err)
	w.must(create(stacksOf(l.admin), stackChange{
		name: "synops-lane-admin", template: withCommand(command), parameters: parameters,
		capabilities: []cftypes.Capability{cftypes.CapabilityCapabilityNamedIam},
	}))
	return l
}

func withCommand(command string) string {
	return string(bytes.ReplaceAll([]byte(engine), []byte("COMMAND"), []byte(command)))
}

// start starts an execution with this run.
func (l *lane) start(run string) string {
	l.t.Helper()
	out, err := l.pipelines.StartPipelineExecution(ctx, startInput(run))
	l.must(err)
	return *out.PipelineExecutionId
}

// status is an execution's status.
func (l *lane) status(execution string) string {
	l.t.Helper()
	out, err := l.pipelines.GetPipelineExecution(ctx, &codepipeline.GetPipelineExecutionInput{PipelineName: aws.String("synops-admin"), PipelineExecutionId: &execution})
	l.must(err)
	return string(out.PipelineExecution.Status)
}

// ended waits for an execution's end and returns its status.
func (l *lane) ended(execution string) string {
	l.t.Helper()
	status := ""
	until(l.t, "the execution's end", func() bool {
		status = l.status(execution)
		return status != "InProgress" && status != "Stopping"
	})
	return status
}

// build waits for the build of an execution and returns its ID.
func (l *lane) build(execution string) string {
	l.t.Helper()
	id := ""
	until(l.t, "the build's ID", func() bool {
		out, err := l.pipelines.ListActionExecutions(ctx, &codepipeline.ListActionExecutionsInput{
			PipelineName: aws.String("synops-admin"), Filter: actionsOf(execution),
		})
		l.must(err)
		for _, a := range out.ActionExecutionDetails {
			if a.Output.ExecutionResult != nil && a.Output.ExecutionResult.ExternalExecutionId != nil {
				id = *a.Output.ExecutionResult.ExternalExecutionId
			}
		}
		return id != ""
	})
	return id
}

// look returns a build as it is now.
func (l *lane) look(id string) cbtypes.Build {
	l.t.Helper()
	out, err := l.builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{id}})
	l.must(err)
	if len(out.Builds) != 1 {
		l.t.Fatalf("no build %s", id)
	}
	return out.Builds[0]
}

// built waits for a build's end and returns it.
func (l *lane) built(id string) cbtypes.Build {
	l.t.Helper()
	var b cbtypes.Build
	until(l.t, "the build's end", func() bool { b = l.look(id); return b.BuildComplete })
	return b
}

// stopBuild asks for a build's end.
func (l *lane) stopBuild(id string) {
	l.t.Helper()
	_, err := l.builds.StopBuild(ctx, &codebuild.StopBuildInput{Id: &id})
	l.must(err)
}
