package emulator_test

import (
	"strings"
	"testing"

	cbtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// TestProject_IsRefused: what CodeBuild does not take, and what is not modeled.
func TestProject_IsRefused(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "echo up", nil, nil)
	vpc := func(subnets int) *emulator.ProjectVPC {
		return &emulator.ProjectVPC{VpcID: "vpc-1", Subnets: make([]string, subnets), SecurityGroupIds: []string{"sg-1"}}
	}
	for _, tc := range []struct {
		name, want string
		spoil      func(*emulator.Project)
	}{
		{"4 minutes", "5 to 2160", func(p *emulator.Project) { p.TimeoutInMinutes = 4 }},
		{"36 hours and a minute", "5 to 2160", func(p *emulator.Project) { p.TimeoutInMinutes = 2161 }},
		{"a longer queue", "5 to 480", func(p *emulator.Project) { p.QueuedTimeoutInMinutes = 481 }},
		{"automatic retries", "autoRetryLimit", func(p *emulator.Project) { p.AutoRetryLimit = 1 }},
		{"another source", "source", func(p *emulator.Project) { p.Source.Type = "GITHUB" }},
		{"another machine", "LINUX_LAMBDA_CONTAINER", func(p *emulator.Project) { p.Environment.Type = "LINUX_LAMBDA_CONTAINER" }},
		{"a role that is gone", "cannot be found", func(p *emulator.Project) { p.ServiceRole += "x" }},
		{"17 subnets", "16 subnets", func(p *emulator.Project) { p.VpcConfig = vpc(17) }},
		{"a variable twice", "twice", func(p *emulator.Project) {
			p.Environment.EnvironmentVariables = []emulator.BuildVariable{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}}
		}},
		{"a secret as a variable", "SECRETS_MANAGER", func(p *emulator.Project) {
			p.Environment.EnvironmentVariables = []emulator.BuildVariable{{Name: "A", Value: "pat", Type: "SECRETS_MANAGER"}}
		}},
		{"no buildspec", "no phases", func(p *emulator.Project) { p.Source.BuildSpec = "version: 0.2" }},
		{"an older buildspec", "version 0.1", func(p *emulator.Project) { p.Source.BuildSpec = "version: 0.1" }},
		{"an unknown phase", "phase deploy", func(p *emulator.Project) { p.Source.BuildSpec = "{version: 0.2, phases: {deploy: {commands: [a]}}}" }},
		{"artifacts in the buildspec", "artifacts", func(p *emulator.Project) {
			p.Source.BuildSpec = "{version: 0.2, phases: {build: {commands: [a]}}, artifacts: {files: [x]}}"
		}},
		{"a buildspec that is none", "YAML_FILE_ERROR", func(p *emulator.Project) { p.Source.BuildSpec = "{" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, _ := l.Account(dev).CodeBuild.Project("synops-admin")
			tc.spoil(&p)
			if err := l.Account(dev).CodeBuild.PutProject(p); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	p, _ := l.Account(dev).CodeBuild.Project("synops-admin")
	p.TimeoutInMinutes, p.VpcConfig = 2160, vpc(16)
	l.must(l.Account(dev).CodeBuild.PutProject(p))
}

// TestProject_Limit: beyond the project's own limit a build is refused, not queued.
func TestProject_Limit(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "./tool", waits, nil)
	p, _ := l.Account(dev).CodeBuild.Project("synops-admin")
	p.ConcurrentBuildLimit = 1
	l.must(l.Account(dev).CodeBuild.PutProject(p))
	id := l.build(l.start("r1"))
	if got := l.ended(l.start("r2")); got != "Failed" {
		t.Errorf("the second execution: %s", got)
	}
	l.stopBuild(id)
	l.built(id)
}

// TestProject_Prefix: commands run behind a prefix, such as one that enters another
// network, and still die together.
func TestProject_Prefix(t *testing.T) {
	l := newLane(t, newQuickWorld(t), "echo $VIA; sleep 600", nil, nil)
	l.Account(dev).CodeBuild.Behave("synops-admin", emulator.Builds{Prefix: []string{"/usr/bin/env", "VIA=the prefix"}})
	id := l.build(l.start("r"))
	until(t, "the first line", func() bool { b := l.look(id); return b.Logs.StreamName != nil && len(l.lines(b)) > 0 })
	l.stopBuild(id)
	b := l.built(id)
	if got := l.lines(b); b.BuildStatus != cbtypes.StatusTypeStopped || got[0] != "the prefix" {
		t.Errorf("build %s said %q", b.BuildStatus, got)
	}
}
