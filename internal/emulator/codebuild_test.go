package emulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	cbtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	cptypes "github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// init gives this process a variable that no build may see. It is not the test's
// own, for tests here run side by side.
func init() { _ = os.Setenv("SYNOPS_LEAK", "from this machine") }

func startInput(run string) *codepipeline.StartPipelineExecutionInput {
	return &codepipeline.StartPipelineExecutionInput{
		Name: aws.String("synops-admin"), Variables: []cptypes.PipelineVariable{{Name: aws.String("RUN"), Value: &run}},
	}
}

func actionsOf(execution string) *cptypes.ActionExecutionFilter {
	return &cptypes.ActionExecutionFilter{PipelineExecutionId: &execution}
}

// lines are what a build's commands printed: its log without CodeBuild's own lines.
func (l *lane) lines(b cbtypes.Build) []string {
	l.t.Helper()
	all := l.Account(dev).Logs.Lines(aws.ToString(b.Logs.GroupName), aws.ToString(b.Logs.StreamName))
	return slices.DeleteFunc(all, func(s string) bool { return strings.HasPrefix(s, "[Container]") })
}

// TestBuild_Environment: a build has what CodeBuild gives and what the project and
// the pipeline say, and nothing of this machine.
func TestBuild_Environment(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "./tool", map[string]string{"tool": "#!/bin/sh\nenv | sort\n"}, nil)
	execution := l.start("20261123T1-canary-1")
	b := l.built(l.build(execution))
	env := map[string]string{}
	for _, line := range l.lines(b) {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	for name, want := range map[string]string{
		"CONTEXT": "dev", "NUMBER": "5", "SYNOPS_RUN": "20261123T1-canary-1", "SYNOPS_EXECUTION": execution,
		"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "CODEBUILD_BUILD_ID": *b.Id, "CODEBUILD_INITIATOR": "codepipeline/synops-admin",
		"VERSION": l.Account(dev).S3.Version("bundles-1", "bundle.zip"), "AWS_ENDPOINT_URL": l.url,
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	for name := range env {
		known := strings.HasPrefix(name, "CODEBUILD_") || slices.Contains([]string{"PATH", "HOME", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"}, name)
		given := slices.Contains([]string{"CONTEXT", "NUMBER", "SYNOPS_RUN", "SYNOPS_EXECUTION", "VERSION", "finally 1", "after 1"}, name)
		if !known && !given && !strings.HasPrefix(name, "AWS_") {
			t.Errorf("the build has %s=%q", name, env[name])
		}
	}
	if b.BuildStatus != cbtypes.StatusTypeSucceeded || *b.Initiator != "codepipeline/synops-admin" || b.Environment.PrivilegedMode == nil || *b.Environment.PrivilegedMode {
		t.Errorf("build %s by %s, privileged %v", b.BuildStatus, *b.Initiator, b.Environment.PrivilegedMode)
	}
	if got := l.ended(execution); got != "Succeeded" {
		t.Errorf("execution %s", got)
	}
	if _, err := os.Stat(filepath.Dir(env["HOME"])); !os.IsNotExist(err) {
		t.Errorf("the build's folder %s is still there (%v)", filepath.Dir(env["HOME"]), err)
	}
}

// TestBuild_Phases: commands keep folder and variables from one to the next, a
// failure of BUILD is followed by finally and POST_BUILD, and its context says why.
func TestBuild_Phases(t *testing.T) {
	for _, tc := range []struct {
		name, command, status string
		want                  []string
	}{
		{"succeeds", "mkdir x && cd x && export KEPT=1 && A='it is' && echo one", "SUCCEEDED", []string{"one", "finally 1", "after 1"}},
		{"state", "mkdir x && cd x && export KEPT=\"a 'b' c\"\n              - basename $(pwd) && echo $KEPT", "SUCCEEDED", []string{"x", "a 'b' c", "finally 1", "after 1"}},
		{"fails", "echo one; exit 3", "FAILED", []string{"one", "finally 1", "after 0"}},
		{"replaced shell", "exec sh -c 'echo last; exit 3'", "FAILED", []string{"last", "finally 1", "after 0"}},
		{"no newline", "printf abc", "SUCCEEDED", []string{"abc", "finally 1", "after 1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLane(t, newQuickWorld(t), tc.command, map[string]string{"f": ""}, nil)
			b := l.built(l.build(l.start("r")))
			if string(b.BuildStatus) != tc.status {
				t.Errorf("status %s, want %s", b.BuildStatus, tc.status)
			}
			if diff := cmp.Diff(tc.want, l.lines(b)); diff != "" {
				t.Error(diff)
			}
			if tc.status == "FAILED" {
				p := phase(b, cbtypes.BuildPhaseTypeBuild)
				if len(p.Contexts) != 1 || !strings.Contains(*p.Contexts[0].Message, "exit status 3") {
					t.Errorf("contexts %+v", p.Contexts)
				}
			}
		})
	}
}

func phase(b cbtypes.Build, name cbtypes.BuildPhaseType) cbtypes.BuildPhase {
	for _, p := range b.Phases {
		if p.PhaseType == name {
			return p
		}
	}
	return cbtypes.BuildPhase{}
}

// TestBuild_StopIsSuddenDeath: StopBuild answers before the end; then every process
// of the build dies at once, with no word of farewell, and what would have followed
// does not.
func TestBuild_StopIsSuddenDeath(t *testing.T) {
	l := newLane(t, newQuickWorld(t, func(s *emulator.Settings) { s.Builds.StopDelay = 50 * time.Millisecond }), "./tool", map[string]string{
		"tool": "#!/bin/sh\ntrap 'echo caught' TERM INT HUP\nsh -c 'trap \"\" TERM; while :; do sleep 0.05; done' &\necho running $$ $!\nwhile :; do sleep 0.05; done\n",
	}, nil)
	execution := l.start("r")
	id := l.build(execution)
	until(t, "the first line", func() bool { b := l.look(id); return b.Logs.StreamName != nil && len(l.lines(b)) > 0 })
	out, err := l.builds.StopBuild(ctx, &codebuild.StopBuildInput{Id: &id})
	l.must(err)
	if out.Build.BuildComplete {
		t.Error("StopBuild waited for the end")
	}
	b := l.built(id)
	if b.BuildStatus != cbtypes.StatusTypeStopped {
		t.Errorf("status %s", b.BuildStatus)
	}
	lines := l.lines(b)
	if len(lines) != 1 {
		t.Errorf("after death the build said %q", lines[1:])
	}
	for _, pid := range strings.Fields(lines[0])[1:] {
		until(t, "the death of "+pid, func() bool { return dead(pid) })
	}
	if got := l.ended(execution); got != "Failed" {
		t.Errorf("execution %s, want Failed: stopping a build is not stopping its execution", got)
	}
}

// dead tells whether a process has gone, or waits to be buried.
func dead(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return true
	}
	rest := string(stat[strings.LastIndexByte(string(stat), ')')+1:])
	return strings.HasPrefix(strings.TrimSpace(rest), "Z")
}

// TestBuild_StopGrace: where a grace is set, the build may say something first and
// still is stopped.
func TestBuild_StopGrace(t *testing.T) {
	l := newLane(t, newQuickWorld(t, func(s *emulator.Settings) { s.Builds.StopGrace = 10 * time.Second }), "./tool", map[string]string{
		"tool": "#!/bin/sh\nexec 2>/dev/null\ntrap 'echo caught; exit 0' TERM\necho running\nwhile :; do sleep 0.01; done\n",
	}, nil)
	id := l.build(l.start("r"))
	until(t, "the first line", func() bool { b := l.look(id); return b.Logs.StreamName != nil && len(l.lines(b)) > 0 })
	_, err := l.builds.StopBuild(ctx, &codebuild.StopBuildInput{Id: &id})
	l.must(err)
	b := l.built(id)
	if b.BuildStatus != cbtypes.StatusTypeStopped {
		t.Errorf("status %s", b.BuildStatus)
	}
	if diff := cmp.Diff([]string{"running", "caught"}, l.lines(b)); diff != "" {
		t.Error(diff)
	}
}

// TestBuild_TimeOut: the build's limit, in compressed minutes, ends it in the middle.
func TestBuild_TimeOut(t *testing.T) {
	l := newLane(t, newQuickWorld(t, func(s *emulator.Settings) { s.Builds.Minute = 10 * time.Millisecond }), "./tool", map[string]string{
		"tool": "#!/bin/sh\necho running\nsleep 600\n",
	}, map[string]string{"Timeout": "5"})
	b := l.built(l.build(l.start("r")))
	if b.BuildStatus != cbtypes.StatusTypeTimedOut || *b.TimeoutInMinutes != 5 {
		t.Errorf("status %s after %d minutes", b.BuildStatus, *b.TimeoutInMinutes)
	}
	if p := phase(b, cbtypes.BuildPhaseTypePostBuild); p.PhaseType != "" {
		t.Error("POST_BUILD ran after a time-out")
	}
}

// TestBuild_NeverBegins: a build that gets no machine stays queued until its queued
// timeout; it has no log stream.
func TestBuild_NeverBegins(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "./tool", nil, nil)
	l.Account(dev).CodeBuild.Behave("synops-admin", emulator.Builds{NeverBegins: true, Minute: time.Millisecond})
	execution := l.start("r")
	id := l.build(execution)
	if b := l.look(id); *b.CurrentPhase != "QUEUED" && *b.CurrentPhase != "SUBMITTED" || b.Logs.StreamName != nil {
		t.Errorf("phase %s, log stream %v", *b.CurrentPhase, b.Logs.StreamName)
	}
	if got := l.status(execution); got != "InProgress" {
		t.Errorf("execution %s while its build waits", got)
	}
	if b := l.built(id); b.BuildStatus != cbtypes.StatusTypeTimedOut || phase(b, cbtypes.BuildPhaseTypeProvisioning).PhaseType != "" {
		t.Errorf("status %s, phases %+v", b.BuildStatus, b.Phases)
	}
}

// TestBuild_Fault: what breaks before the log says so in the phase's context alone.
func TestBuild_Fault(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "./tool", nil, nil)
	l.Account(dev).CodeBuild.Behave("synops-admin", emulator.Builds{Fault: "no machine could be prepared"})
	b := l.built(l.build(l.start("r")))
	p := phase(b, cbtypes.BuildPhaseTypeProvisioning)
	if b.BuildStatus != cbtypes.StatusTypeFault || p.PhaseStatus != cbtypes.StatusTypeFault || len(p.Contexts) != 1 || *p.Contexts[0].Message != "no machine could be prepared" {
		t.Errorf("status %s, phase %+v", b.BuildStatus, p)
	}
	if b.Logs.StreamName != nil {
		t.Errorf("a log stream %s", *b.Logs.StreamName)
	}
}

// TestBuild_MissingPermission: each thing that the role lacks ends the build where it
// is needed; only S3 does not say which it was.
func TestBuild_MissingPermission(t *testing.T) {
	for _, tc := range []struct{ action, phase, says string }{
		{"logs:CreateLogStream", "PROVISIONING", "logs:CreateLogStream"}, {"logs:PutLogEvents", "PROVISIONING", "logs:PutLogEvents"},
		{"s3:GetBucketLocation", "DOWNLOAD_SOURCE", "Access Denied"}, {"s3:GetObject", "DOWNLOAD_SOURCE", "Access Denied"}, {"s3:GetObjectVersion", "DOWNLOAD_SOURCE", "Access Denied"},
	} {
		t.Run(tc.action, func(t *testing.T) {
			l := newLane(t, newQuickWorld(t), "echo unreachable", nil, nil)
			l.must(l.Account(dev).IAM.UpdateRole("synops-lane-admin", func(r *emulator.Role) {
				r.Inline["deny"] = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"` + tc.action + `","Resource":"*"}]}`
			}))
			b := l.built(l.build(l.start("r")))
			p := phase(b, cbtypes.BuildPhaseType(tc.phase))
			if b.BuildStatus != cbtypes.StatusTypeFailed || len(p.Contexts) != 1 || !strings.Contains(*p.Contexts[0].Message, tc.says) {
				t.Errorf("status %s, phase %+v", b.BuildStatus, p)
			}
		})
	}
}

// TestBuild_Network: a build in a VPC needs the network-interface rights, in that
// VPC.
func TestBuild_Network(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "echo up", nil, nil)
	p, _ := l.Account(dev).CodeBuild.Project("synops-admin")
	p.VpcConfig = &emulator.ProjectVPC{VpcID: "vpc-1", Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}}
	l.must(l.Account(dev).CodeBuild.PutProject(p))
	b := l.built(l.build(l.start("r")))
	if got := phase(b, cbtypes.BuildPhaseTypeProvisioning); b.BuildStatus != cbtypes.StatusTypeFailed || *got.Contexts[0].StatusCode != "VPC_CLIENT_ERROR" {
		t.Errorf("without rights: %s, %+v", b.BuildStatus, got.Contexts)
	}
	network := func(vpc string) string {
		return `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"},
			{"Effect":"Allow","Action":["ec2:CreateNetworkInterface","ec2:DeleteNetworkInterface"],"Resource":"arn:aws:ec2:us-east-1:111111111111:network-interface/*"},
			{"Effect":"Allow","Action":"ec2:CreateNetworkInterface","Resource":["arn:aws:ec2:us-east-1:111111111111:subnet/*","arn:aws:ec2:us-east-1:111111111111:security-group/*"],
			 "Condition":{"ArnEquals":{"ec2:Vpc":"arn:aws:ec2:us-east-1:111111111111:vpc/` + vpc + `"}}},
			{"Effect":"Allow","Action":"ec2:CreateNetworkInterfacePermission","Resource":"*","Condition":{"StringEquals":{"ec2:AuthorizedService":"codebuild.amazonaws.com"}}}]}`
	}
	for vpc, want := range map[string]cbtypes.StatusType{"vpc-1": cbtypes.StatusTypeSucceeded, "vpc-2": cbtypes.StatusTypeFailed} {
		l.must(l.Account(dev).IAM.UpdateRole("synops-lane-admin", func(r *emulator.Role) { r.Inline["network"] = network(vpc) }))
		if b := l.built(l.build(l.start("r"))); b.BuildStatus != want {
			t.Errorf("rights in %s: %s, %+v", vpc, b.BuildStatus, phase(b, cbtypes.BuildPhaseTypeProvisioning).Contexts)
		}
	}
}

// TestBuild_Credentials: the endpoint serves the project's role, to the build alone,
// for a short while, and nothing once the build is over.
func TestBuild_Credentials(t *testing.T) {
	l := newLane(t, newQuickWorld(t, func(s *emulator.Settings) { s.Builds.CredentialLife = time.Minute }), "./tool", map[string]string{
		"tool": "#!/bin/sh\necho $AWS_CONTAINER_CREDENTIALS_FULL_URI $AWS_CONTAINER_AUTHORIZATION_TOKEN\nwhile :; do sleep 0.05; done\n",
	}, nil)
	id := l.build(l.start("r"))
	until(t, "the first line", func() bool { b := l.look(id); return b.Logs.StreamName != nil && len(l.lines(b)) > 0 })
	said := strings.Fields(l.lines(l.look(id))[0])
	ask := func(token string) (int, map[string]string) {
		req, err := http.NewRequest(http.MethodGet, said[0], nil)
		l.must(err)
		req.Header.Set("Authorization", token)
		resp, err := l.client.Do(req)
		l.must(err)
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		l.must(err)
		var m map[string]string
		_ = json.Unmarshal(b, &m) // a refusal is no JSON
		return resp.StatusCode, m
	}
	if code, _ := ask("another"); code != http.StatusForbidden {
		t.Errorf("another's token: %d", code)
	}
	code, k := ask(said[1])
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	if at, err := time.Parse(time.RFC3339, k["Expiration"]); err != nil || time.Until(at) > time.Minute {
		t.Errorf("expires %q (%v)", k["Expiration"], err)
	}
	c := s3Of(l.config(k["AccessKeyId"], k["SecretAccessKey"], k["Token"]))
	for key, want := range map[string]string{"seen": "", "other": "AccessDenied"} {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("artifacts-1"), Key: &key, Body: strings.NewReader("x")})
		wantCode(t, err, want)
	}
	_, err := l.builds.StopBuild(ctx, &codebuild.StopBuildInput{Id: &id})
	l.must(err)
	l.built(id)
	if code, _ := ask(said[1]); code != http.StatusNotFound {
		t.Errorf("after the end: %d", code)
	}
}

// TestBuild_StartedByPipelineAlone: an administrator cannot start a project whose
// source a pipeline provides.
func TestBuild_StartedByPipelineAlone(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "echo up", nil, nil)
	_, err := l.builds.StartBuild(ctx, &codebuild.StartBuildInput{ProjectName: aws.String("synops-admin")})
	wantCode(t, err, "InvalidInputException")
	_, err = l.builds.StartBuild(ctx, &codebuild.StartBuildInput{ProjectName: aws.String("nothing")})
	wantCode(t, err, "ResourceNotFoundException")
}

// TestBuild_Lists: newest first, by page, and what is not there is named.
func TestBuild_Lists(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "echo up", nil, nil)
	first, second := l.build(l.start("r1")), l.build(l.start("r2"))
	l.built(first)
	l.built(second)
	out, err := l.builds.ListBuildsForProject(ctx, &codebuild.ListBuildsForProjectInput{ProjectName: aws.String("synops-admin")})
	l.must(err)
	if len(out.Ids) != 2 || !slices.Contains(out.Ids, first) || !slices.Contains(out.Ids, second) || out.NextToken != nil {
		t.Errorf("listed %v, want %s and %s", out.Ids, first, second)
	}
	if a, b := l.look(out.Ids[0]), l.look(out.Ids[1]); *a.BuildNumber != 2 || *b.BuildNumber != 1 {
		t.Errorf("numbers %d, %d, want newest first", *a.BuildNumber, *b.BuildNumber)
	}
	found, err := l.builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{first, "synops-admin:gone"}})
	l.must(err)
	if len(found.Builds) != 1 || !slices.Equal(found.BuildsNotFound, []string{"synops-admin:gone"}) {
		t.Errorf("found %d, not found %v", len(found.Builds), found.BuildsNotFound)
	}
	projects, err := l.builds.BatchGetProjects(ctx, &codebuild.BatchGetProjectsInput{Names: []string{"synops-admin", "gone"}})
	l.must(err)
	if len(projects.Projects) != 1 || *projects.Projects[0].TimeoutInMinutes != 60 || *projects.Projects[0].Environment.PrivilegedMode {
		t.Errorf("projects %+v", projects.Projects)
	}
}

// TestBuild_Events: EventBridge hears of every build's begin and end.
func TestBuild_Events(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "exit 1", nil, nil)
	id := l.build(l.start("r"))
	l.built(id)
	var got []any
	until(t, "the events", func() bool {
		got = nil
		for _, e := range l.Account(dev).Events.Emitted() {
			if e.Source == "aws.codebuild" {
				got = append(got, e.Detail["build-status"])
			}
		}
		return len(got) == 2
	})
	if diff := cmp.Diff([]any{"IN_PROGRESS", "FAILED"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestBuild_EndsWithTheCloud: nothing that a build started is left when the cloud is
// closed in the middle.
func TestBuild_EndsWithTheCloud(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "./tool", map[string]string{"tool": "#!/bin/sh\nsleep 600 &\necho $$ $!\nwait\n"}, nil)
	id := l.build(l.start("r"))
	until(t, "the first line", func() bool { b := l.look(id); return b.Logs.StreamName != nil && len(l.lines(b)) > 0 })
	pids := strings.Fields(l.lines(l.look(id))[0])
	l.Close()
	for _, pid := range pids {
		if !dead(pid) {
			t.Errorf("process %s goes on", pid)
		}
	}
}

// TestBuild_SourceStaysInItsFolder: a bundle cannot write beside its folder.
func TestBuild_SourceStaysInItsFolder(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "echo up", map[string]string{"../home/evil": "x"}, nil)
	b := l.built(l.build(l.start("r")))
	if p := phase(b, cbtypes.BuildPhaseTypeDownloadSource); b.BuildStatus != cbtypes.StatusTypeFailed || len(p.Contexts) != 1 || !strings.Contains(*p.Contexts[0].Message, "evil") {
		t.Errorf("build %s, %+v", b.BuildStatus, p)
	}
}
