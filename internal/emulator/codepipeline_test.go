package emulator_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	cptypes "github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/google/go-cmp/cmp"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// waits is a tool that goes on until it is stopped.
var waits = map[string]string{"tool": "#!/bin/sh\necho running\nexec sleep 600\n"}

// TestPipeline_FromStartToBuild: an execution names its build, and its parts say
// what they did.
func TestPipeline_FromStartToBuild(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "./tool", map[string]string{"tool": "#!/bin/sh\necho done\n"}, nil)
	execution := l.start("20261123T1-canary-1")
	id := l.build(execution)
	if got := l.ended(execution); got != "Succeeded" {
		t.Fatalf("execution %s", got)
	}
	out, err := l.pipelines.ListActionExecutions(ctx, &codepipeline.ListActionExecutionsInput{PipelineName: aws.String("synops-admin"), Filter: actionsOf(execution)})
	l.must(err)
	var names []string
	for _, a := range out.ActionExecutionDetails {
		names = append(names, *a.StageName+"/"+*a.ActionName+" "+string(a.Status))
	}
	if diff := cmp.Diff([]string{"Work/Work Succeeded", "Source/Bundle Succeeded"}, names); diff != "" {
		t.Error(diff)
	}
	if got := *out.ActionExecutionDetails[0].Output.ExecutionResult.ExternalExecutionId; got != id || !strings.HasPrefix(id, "synops-admin:") {
		t.Errorf("external execution %s, want the build %s", got, id)
	}
	whole, err := l.pipelines.GetPipelineExecution(ctx, &codepipeline.GetPipelineExecutionInput{PipelineName: aws.String("synops-admin"), PipelineExecutionId: &execution})
	l.must(err)
	vars := map[string]string{}
	for _, v := range whole.PipelineExecution.Variables {
		vars[*v.Name] = *v.ResolvedValue
	}
	if diff := cmp.Diff(map[string]string{"RUN": "20261123T1-canary-1", "REQUEST": "none"}, vars); diff != "" {
		t.Error(diff)
	}
	got, err := l.pipelines.GetPipeline(ctx, &codepipeline.GetPipelineInput{Name: aws.String("synops-admin")})
	l.must(err)
	if p := got.Pipeline; p.ExecutionMode != cptypes.ExecutionModeParallel || p.PipelineType != cptypes.PipelineTypeV2 || *p.Version != 1 {
		t.Errorf("pipeline %s %s, version %d", p.PipelineType, p.ExecutionMode, *p.Version)
	}
}

// TestPipeline_StartIsRefused: every rule on a start, in its own words.
func TestPipeline_StartIsRefused(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "echo up", nil, nil)
	for _, tc := range []struct {
		name  string
		spoil func(*codepipeline.StartPipelineExecutionInput)
		want  string
	}{
		{"no such pipeline", func(in *codepipeline.StartPipelineExecutionInput) { in.Name = aws.String("gone") }, "PipelineNotFoundException"},
		{"a variable is missing", func(in *codepipeline.StartPipelineExecutionInput) { in.Variables = nil }, "ValidationException"},
		{"a variable is not declared", func(in *codepipeline.StartPipelineExecutionInput) { in.Variables[0].Name = aws.String("OTHER") }, "ValidationException"},
		{"a value is empty", func(in *codepipeline.StartPipelineExecutionInput) { in.Variables[0].Value = aws.String("") }, "ValidationException"},
		{"a value has two lines", func(in *codepipeline.StartPipelineExecutionInput) { in.Variables[0].Value = aws.String("a\nb") }, "ValidationException"},
		{"a value has 1001 characters", func(in *codepipeline.StartPipelineExecutionInput) {
			in.Variables[0].Value = aws.String(strings.Repeat("x", 1001))
		}, "ValidationException"},
		{"a token with a dot", func(in *codepipeline.StartPipelineExecutionInput) { in.ClientRequestToken = aws.String("run.1") }, "ValidationException"},
		{"a revision of another type", func(in *codepipeline.StartPipelineExecutionInput) {
			in.SourceRevisions = []cptypes.SourceRevisionOverride{{ActionName: aws.String("Bundle"), RevisionType: cptypes.SourceRevisionTypeCommitId, RevisionValue: aws.String("x")}}
		}, "ValidationException"},
		{"another key, which the action does not let in", func(in *codepipeline.StartPipelineExecutionInput) {
			in.SourceRevisions = []cptypes.SourceRevisionOverride{{ActionName: aws.String("Bundle"), RevisionType: cptypes.SourceRevisionTypeS3ObjectKey, RevisionValue: aws.String("evil.zip")}}
		}, "ValidationException"},
		{"nothing is wrong", func(*codepipeline.StartPipelineExecutionInput) {}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := startInput("r")
			tc.spoil(in)
			out, err := l.pipelines.StartPipelineExecution(ctx, in)
			wantCode(t, err, tc.want)
			if err == nil {
				l.ended(*out.PipelineExecutionId)
			}
		})
	}
}

// TestPipeline_TokenIsIdempotent: one token starts one execution.
func TestPipeline_TokenIsIdempotent(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "echo up", nil, nil)
	in := startInput("r")
	in.ClientRequestToken = aws.String("r-0001")
	first, err := l.pipelines.StartPipelineExecution(ctx, in)
	l.must(err)
	second, err := l.pipelines.StartPipelineExecution(ctx, in)
	l.must(err)
	if *first.PipelineExecutionId != *second.PipelineExecutionId {
		t.Error("the same token started two executions")
	}
	in.ClientRequestToken = aws.String("r-0002")
	third, err := l.pipelines.StartPipelineExecution(ctx, in)
	l.must(err)
	if *third.PipelineExecutionId == *first.PipelineExecutionId {
		t.Error("another token started no execution")
	}
	l.ended(*first.PipelineExecutionId)
	l.ended(*third.PipelineExecutionId)
}

// TestPipeline_PinnedVersion: a start takes the version it names, or the newest when
// the source stage runs; a version that is gone fails the source action.
func TestPipeline_PinnedVersion(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "./tool", map[string]string{"tool": "#!/bin/sh\necho old\n"}, nil)
	old := l.Account(dev).S3.Version("bundles-1", "bundle.zip")
	_, err := l.Account(dev).S3.Put("bundles-1", "bundle.zip", bundle(t, map[string]string{"tool": "#!/bin/sh\necho new\n"}))
	l.must(err)
	for version, want := range map[string]string{old: "old", "": "new"} {
		in := startInput("r")
		if version != "" {
			in.SourceRevisions = []cptypes.SourceRevisionOverride{{ActionName: aws.String("Bundle"), RevisionType: cptypes.SourceRevisionTypeS3ObjectVersionId, RevisionValue: &version}}
		}
		out, err := l.pipelines.StartPipelineExecution(ctx, in)
		l.must(err)
		b := l.built(l.build(*out.PipelineExecutionId))
		if got := l.lines(b); len(got) == 0 || got[0] != want {
			t.Errorf("version %q ran %q, want %q", version, got, want)
		}
	}
	in := startInput("r")
	in.SourceRevisions = []cptypes.SourceRevisionOverride{{ActionName: aws.String("Bundle"), RevisionType: cptypes.SourceRevisionTypeS3ObjectVersionId, RevisionValue: aws.String("gone")}}
	out, err := l.pipelines.StartPipelineExecution(ctx, in)
	l.must(err)
	if got := l.ended(*out.PipelineExecutionId); got != "Failed" {
		t.Errorf("a version that is gone: %s", got)
	}
}

// TestPipeline_NotVisibleAtFirst: what was started is unknown to every reader for a
// moment.
func TestPipeline_NotVisibleAtFirst(t *testing.T) {
	l := newLane(t, newQuickWorld(t, func(s *emulator.Settings) { s.Pipelines.VisibleAfter = 250 * time.Millisecond }), "echo up", nil, nil)
	execution := l.start("r")
	get := func() error {
		_, err := l.pipelines.GetPipelineExecution(ctx, &codepipeline.GetPipelineExecutionInput{PipelineName: aws.String("synops-admin"), PipelineExecutionId: &execution})
		return err
	}
	wantCode(t, get(), "PipelineExecutionNotFoundException")
	list, err := l.pipelines.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: aws.String("synops-admin")})
	l.must(err)
	if len(list.PipelineExecutionSummaries) != 0 {
		t.Error("it is listed already")
	}
	until(t, "the execution to be seen", func() bool { return get() == nil })
	l.ended(execution)
}

// TestPipeline_Stop: a stop waits for the action and never reaches the build;
// abandoning ends the execution at once, and the build goes on unseen.
func TestPipeline_Stop(t *testing.T) {
	for _, abandon := range []bool{false, true} {
		t.Run(fmt.Sprintf("abandon=%v", abandon), func(t *testing.T) {
			l := newLane(t, newQuickWorld(t), "./tool", waits, nil)
			execution := l.start("r")
			id := l.build(execution)
			stop := func() error {
				_, err := l.pipelines.StopPipelineExecution(ctx, &codepipeline.StopPipelineExecutionInput{
					PipelineName: aws.String("synops-admin"), PipelineExecutionId: &execution, Abandon: abandon, Reason: aws.String("test"),
				})
				return err
			}
			l.must(stop())
			want, again := "Stopping", "DuplicatedStopRequestException"
			if abandon {
				want, again = "Stopped", "PipelineExecutionNotStoppableException"
			}
			if got := l.status(execution); got != want {
				t.Errorf("after the stop: %s, want %s", got, want)
			}
			wantCode(t, stop(), again)
			until(t, "the build's work", func() bool { b := l.look(id); return b.Logs.StreamName != nil && len(l.lines(b)) > 0 })
			if b := l.look(id); b.BuildComplete {
				t.Errorf("the stop reached the build: %s", b.BuildStatus)
			}
			l.stopBuild(id)
			l.built(id)
			if got := l.ended(execution); got != "Stopped" {
				t.Errorf("in the end: %s", got)
			}
		})
	}
}

// TestPipeline_Queued: in mode QUEUED the second execution waits at the door and
// reads InProgress; only the pipeline's state tells.
func TestPipeline_Queued(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "./tool", waits, map[string]string{"Mode": "QUEUED"})
	first := l.start("r1")
	id := l.build(first)
	second := l.start("r2")
	inbound := func() []string {
		out, err := l.pipelines.GetPipelineState(ctx, &codepipeline.GetPipelineStateInput{Name: aws.String("synops-admin")})
		l.must(err)
		var ids []string
		for _, s := range out.StageStates {
			for _, e := range s.InboundExecutions {
				ids = append(ids, *s.StageName+" "+*e.PipelineExecutionId)
			}
		}
		return ids
	}
	until(t, "the second to wait", func() bool { return slices.Contains(inbound(), "Work "+second) })
	if got := l.status(second); got != "InProgress" {
		t.Errorf("a waiting execution is %s", got)
	}
	l.stopBuild(id)
	if got := l.ended(first); got != "Failed" {
		t.Errorf("the first: %s", got)
	}
	next := l.build(second)
	if got := inbound(); len(got) != 0 {
		t.Errorf("still waiting: %v", got)
	}
	l.stopBuild(next)
	l.ended(second)
}

// TestPipeline_Parallel: executions do not wait for each other, and beyond the limit
// a start is refused.
func TestPipeline_Parallel(t *testing.T) {
	l := newLane(t, newQuickWorld(t, func(s *emulator.Settings) { s.Pipelines.MostActive = 2 }), "./tool", waits, nil)
	first, second := l.start("r1"), l.start("r2")
	a, b := l.build(first), l.build(second)
	if a == b {
		t.Error("two executions share a build")
	}
	_, err := l.pipelines.StartPipelineExecution(ctx, startInput("r3"))
	wantCode(t, err, "ConcurrentPipelineExecutionsLimitExceededException")
	for _, id := range []string{a, b} {
		l.stopBuild(id)
		l.built(id)
	}
	l.ended(first)
	l.ended(second)
}

// TestPipeline_UnescapedVariables: a quote in a variable reaches the JSON as it is,
// and can add variables to the build.
func TestPipeline_UnescapedVariables(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "echo $SYNOPS_RUN $INJECTED", nil, nil)
	b := l.built(l.build(l.start(`r"},{"name":"INJECTED","value":"from the variable`)))
	if got := l.lines(b); len(got) == 0 || got[0] != "r from the variable" {
		t.Errorf("the build saw %q", got)
	}
	execution := l.start(`r"`)
	if got := l.ended(execution); got != "Failed" {
		t.Errorf("broken JSON: %s", got)
	}
	out, err := l.pipelines.ListActionExecutions(ctx, &codepipeline.ListActionExecutionsInput{PipelineName: aws.String("synops-admin"), Filter: actionsOf(execution)})
	l.must(err)
	if e := out.ActionExecutionDetails[0].Output.ExecutionResult; e == nil || *e.ErrorDetails.Code != "ConfigurationError" {
		t.Errorf("its action says %+v", e)
	}
}

// TestPipeline_ConfigurationLimit: 1000 characters hold before and after variables
// are resolved.
func TestPipeline_ConfigurationLimit(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "echo up", nil, nil)
	if got := l.ended(l.start(strings.Repeat("x", 900))); got != "Failed" {
		t.Errorf("1000 characters after: %s", got)
	}
	p, _ := l.Account(dev).Pipelines.Pipeline("synops-admin")
	p.Stages[1].Actions[0].Configuration = map[string]emulator.Text{"ProjectName": emulator.Text(strings.Repeat("x", 1001))}
	wantCode(t, l.Account(dev).Pipelines.UpdatePipeline(p), "no API error: ValidationException: Action Work: the value of ProjectName has 1001 characters, not 1 to 1000")
}

// TestPipeline_UpdateCancels: a changed definition ends what is in progress; the
// build goes on.
func TestPipeline_UpdateCancels(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "./tool", waits, nil)
	execution := l.start("r")
	id := l.build(execution)
	p, _ := l.Account(dev).Pipelines.Pipeline("synops-admin")
	l.must(l.Account(dev).Pipelines.UpdatePipeline(p))
	if got := l.status(execution); got != "Cancelled" {
		t.Errorf("execution %s", got)
	}
	if b := l.look(id); b.BuildComplete {
		t.Errorf("build %s", b.BuildStatus)
	}
	l.stopBuild(id)
	l.built(id)
}

// TestPipeline_MissingPermission: what the pipeline's role lacks fails the action
// that needs it.
func TestPipeline_MissingPermission(t *testing.T) {
	for action, failing := range map[string]string{
		"s3:GetBucketVersioning": "Bundle", "s3:GetBucketLocation": "Bundle", "s3:GetObject": "Bundle", "s3:PutObject": "Bundle",
		"codebuild:StartBuild": "Work", "codebuild:BatchGetBuilds": "Work",
	} {
		t.Run(action, func(t *testing.T) {
			l := newLane(t, newQuickWorld(t), "echo up", nil, nil)
			l.must(l.Account(dev).IAM.UpdateRole("synops-pipeline-admin", func(r *emulator.Role) {
				r.Inline["deny"] = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"` + action + `","Resource":"*"}]}`
			}))
			execution := l.start("r")
			if got := l.ended(execution); got != "Failed" {
				t.Errorf("execution %s", got)
			}
			out, err := l.pipelines.ListActionExecutions(ctx, &codepipeline.ListActionExecutionsInput{PipelineName: aws.String("synops-admin"), Filter: actionsOf(execution)})
			l.must(err)
			if a := out.ActionExecutionDetails[0]; *a.ActionName != failing || a.Status != cptypes.ActionExecutionStatusFailed || *a.Output.ExecutionResult.ErrorDetails.Code != "PermissionError" {
				t.Errorf("action %s %s", *a.ActionName, a.Status)
			}
		})
	}
}

// TestPipeline_Events: EventBridge hears of begin and end, in order.
func TestPipeline_Events(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "echo up", nil, nil)
	l.ended(l.start("r"))
	var got []any
	until(t, "the events", func() bool {
		got = nil
		for _, e := range l.Account(dev).Events.Emitted() {
			if e.Source == "aws.codepipeline" {
				got = append(got, e.Detail["state"])
			}
		}
		return len(got) == 2
	})
	if diff := cmp.Diff([]any{"STARTED", "SUCCEEDED"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestPipeline_IsRefused: what CodePipeline does not take, a stack does not get.
func TestPipeline_IsRefused(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "echo up", nil, nil)
	for _, tc := range []struct {
		name, want string
		spoil      func(*emulator.Pipeline)
	}{
		{"one stage", "two stages", func(p *emulator.Pipeline) { p.Stages = p.Stages[:1] }},
		{"no source", "source actions", func(p *emulator.Pipeline) { p.Stages[0], p.Stages[1] = p.Stages[1], p.Stages[0] }},
		{"V1 with variables", "V1", func(p *emulator.Pipeline) { p.PipelineType = "V1" }},
		{"an undeclared variable", "not declared", func(p *emulator.Pipeline) { p.Variables = p.Variables[1:] }},
		{"a variable with a dot", "does not match", func(p *emulator.Pipeline) { p.Variables[1].Name = "A.B" }},
		{"a timeout", "manual approval", func(p *emulator.Pipeline) { p.Stages[1].Actions[0].TimeoutInMinutes = 480 }},
		{"polling", "polling", func(p *emulator.Pipeline) {
			p.Stages[0].Actions[0].Configuration = map[string]emulator.Text{"S3Bucket": "bundles-1", "S3ObjectKey": "bundle.zip"}
		}},
		{"a role that is gone", "AssumeRole", func(p *emulator.Pipeline) { p.RoleArn += "x" }},
		{"an artifact nobody makes", "no action before it", func(p *emulator.Pipeline) { p.Stages[0].Actions[0].OutputArtifacts[0].Name = "Other" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := l.definition()
			tc.spoil(&p)
			if err := l.Account(dev).Pipelines.UpdatePipeline(p); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	l.must(l.Account(dev).Pipelines.UpdatePipeline(l.definition()))
}

// definition is the pipeline's, to be changed at will.
func (l *lane) definition() emulator.Pipeline {
	p, _ := l.Account(dev).Pipelines.Pipeline("synops-admin")
	p.Stages, p.Variables = slices.Clone(p.Stages), slices.Clone(p.Variables)
	for i := range p.Stages {
		p.Stages[i].Actions = slices.Clone(p.Stages[i].Actions)
		for j := range p.Stages[i].Actions {
			a := &p.Stages[i].Actions[j]
			a.OutputArtifacts, a.InputArtifacts = slices.Clone(a.OutputArtifacts), slices.Clone(a.InputArtifacts)
		}
	}
	return p
}

// TestPipeline_Throttled: beyond the rate a call is refused, in a way that the SDK
// tries again.
func TestPipeline_Throttled(t *testing.T) {
	l := newLane(t, newQuickWorld(t, func(s *emulator.Settings) {
		s.Rates = map[string]emulator.Rate{"codepipeline:GetPipelineState": {PerSecond: 1.0 / 3600, Burst: 1}}
	}), "echo up", nil, nil)
	state := func() error {
		_, err := l.pipelines.GetPipelineState(ctx, &codepipeline.GetPipelineStateInput{Name: aws.String("synops-admin")})
		return err
	}
	l.must(state())
	wantCode(t, state(), "ThrottlingException")
	l.ended(l.start("r")) // others are not held up
}
