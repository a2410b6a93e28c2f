package emulator_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	cbtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/google/go-cmp/cmp"

	templates "github.com/Sage-Bionetworks/synapse-ops-core/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

func bootstrapChange() stackChange {
	return stackChange{
		name: "synops-bootstrap", template: string(templates.Bootstrap()),
		capabilities: []cftypes.Capability{cftypes.CapabilityCapabilityNamedIam},
		parameters: map[string]string{
			"Environment": "dev", "GitHubOrg": "Sage-Bionetworks", "OrgId": "1234", "OpsRepository": "synapse-ops-dev",
			"OpsRepositoryId": "5678", "CoreRepository": "synapse-ops-core", "SubjectFormat": "classic",
			"AdministratorRoleArn": "arn:aws:iam::" + dev + ":user/administrator",
		},
	}
}

func laneChange(lane string) stackChange {
	return stackChange{
		name: "synops-lane-" + lane, template: string(templates.Lane), role: "arn:aws:iam::" + dev + ":role/synops-cloudformation",
		capabilities: []cftypes.Capability{cftypes.CapabilityCapabilityNamedIam},
		parameters: map[string]string{
			"Lane": lane, "Environment": "dev", "SynapseHost": "https://repo-dev.example.org", "VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2",
			"SecurityGroupIds": "sg-1", "Architecture": "arm64",
		},
	}
}

// deployed is an account with the bootstrap, and the deploy role's clients.
func deployed(t *testing.T) (*world, aws.Config) {
	t.Helper()
	w := newQuickWorld(t)
	w.must(create(stacksOf(w.admin(dev)), bootstrapChange()))
	return w, w.as(dev, "synops-deploy")
}

// TestTemplates_EveryLane: the deploy role makes every lane through the service role,
// with exactly the powers the templates give; nothing changes the second time, and
// nothing has drifted.
func TestTemplates_EveryLane(t *testing.T) {
	w, deploy := deployed(t)
	c := stacksOf(deploy)
	for _, lane := range []string{"plan", "admin", "deploy", "migrate"} {
		s := laneChange(lane)
		if err := create(c, s); err != nil {
			t.Fatalf("lane %s: %v\n%s", lane, err, denials(w))
		}
		wantNoChange(t, c, s)
		p, _ := w.Account(dev).CodeBuild.Project("synops-" + lane)
		minutes := map[string]emulator.Number{"plan": 60, "admin": 480, "deploy": 480, "migrate": 2160}[lane]
		if p.TimeoutInMinutes != minutes || p.AutoRetryLimit != 0 || p.Environment.PrivilegedMode || p.VpcConfig == nil || len(p.VpcConfig.Subnets) != 2 {
			t.Errorf("project of lane %s: %+v", lane, p)
		}
		if d := driftOf(t, c, s.name); d != "IN_SYNC" {
			t.Errorf("lane %s: %s", lane, d)
		}
	}
	wantNoChange(t, stacksOf(w.admin(dev)), bootstrapChange())
	if d := driftOf(t, stacksOf(w.admin(dev)), "synops-bootstrap"); d != "IN_SYNC" {
		t.Errorf("the bootstrap: %s", d)
	}
}

func wantNoChange(t *testing.T, c *cloudformation.Client, s stackChange) {
	t.Helper()
	out, err := propose(c, s, cftypes.ChangeSetTypeUpdate)
	if err != nil {
		t.Fatal(err)
	}
	if out.Status != cftypes.ChangeSetStatusFailed || !strings.HasPrefix(aws.ToString(out.StatusReason), "The submitted information didn't contain changes.") {
		t.Errorf("%s, the same again: %s (%s), %d changes", s.name, out.Status, aws.ToString(out.StatusReason), len(out.Changes))
	}
}

// denials are the questions that were answered no, for who reads a failure.
func denials(w *world) string {
	var b strings.Builder
	for _, a := range w.Asked() {
		if !a.Allowed {
			fmt.Fprintf(&b, "%s may not %s on %s: %s\n", a.Principal, a.Action, a.Resource, a.Reason)
		}
	}
	return b.String()
}

// driftOf looks for drift and returns what was found, with the properties in it.
func driftOf(t *testing.T, c *cloudformation.Client, name string) string {
	t.Helper()
	started, err := c.DetectStackDrift(ctx, &cloudformation.DetectStackDriftInput{StackName: &name})
	if err != nil {
		t.Fatal(err)
	}
	var out *cloudformation.DescribeStackDriftDetectionStatusOutput
	until(t, "the look for drift", func() bool {
		out, err = c.DescribeStackDriftDetectionStatus(ctx, &cloudformation.DescribeStackDriftDetectionStatusInput{StackDriftDetectionId: started.StackDriftDetectionId})
		return err != nil || out.DetectionStatus != cftypes.StackDriftDetectionStatusDetectionInProgress
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.DetectionStatus != cftypes.StackDriftDetectionStatusDetectionComplete {
		return aws.ToString(out.DetectionStatusReason)
	}
	found, err := c.DescribeStackResourceDrifts(ctx, &cloudformation.DescribeStackResourceDriftsInput{
		StackName: &name, StackResourceDriftStatusFilters: []cftypes.StackResourceDriftStatus{cftypes.StackResourceDriftStatusModified, cftypes.StackResourceDriftStatusDeleted},
	})
	if err != nil {
		t.Fatal(err)
	}
	said := []string{string(out.StackDriftStatus)}
	for _, r := range found.StackResourceDrifts {
		said = append(said, *r.LogicalResourceId+" "+string(r.StackResourceDriftStatus))
		for _, p := range r.PropertyDifferences {
			said = append(said, fmt.Sprintf("%s %s %s instead of %s", p.DifferenceType, *p.PropertyPath, *p.ActualValue, *p.ExpectedValue))
		}
	}
	return strings.Join(said, "; ")
}

// TestTemplates_RunABuild: the deployed lane runs the bundle's program with the
// arguments and environment of its template, as its role.
func TestTemplates_RunABuild(t *testing.T) {
	w, deploy := deployed(t)
	if err := create(stacksOf(deploy), laneChange("admin")); err != nil {
		t.Fatalf("%v\n%s", err, denials(w))
	}
	bundles := w.Account(dev).Stacks.Resource("synops-bootstrap", "BundleBucket")
	_, err := w.Account(dev).S3.Put(bundles, "bundle.zip", bundle(t, map[string]string{
		"synops": "#!/bin/sh\necho \"$@\"\necho $CONTEXT $SYNOPS_LANE $SYNOPS_ACCOUNT $SYNOPS_TOKEN_SOURCE $SYNOPS_REQUEST\n",
	}))
	w.must(err)
	l := &lane{world: w, admin: w.admin(dev)}
	l.pipelines, l.builds = pipelinesOf(l.admin), buildsOf(l.admin)
	in := startInput("20261123T1-canary-1")
	in.Variables = append(in.Variables, in.Variables[0])
	in.Variables[1].Name, in.Variables[1].Value = aws.String("REQUEST"), aws.String(strings.Repeat("ab", 32))
	perform := pipelinesOf(w.as(dev, "synops-perform"))
	out, err := perform.StartPipelineExecution(ctx, in)
	w.must(err)
	b := l.built(l.build(*out.PipelineExecutionId))
	if b.BuildStatus != cbtypes.StatusTypeSucceeded {
		t.Fatalf("build %s: %+v\n%s", b.BuildStatus, b.Phases, denials(w))
	}
	store := w.Account(dev).Stacks.Resource("synops-bootstrap", "StoreBucket")
	want := []string{
		"work --store s3://" + store + " -- 20261123T1-canary-1",
		"dev admin " + dev + " awssecretsmanager:/synapse/admin-pat " + strings.Repeat("ab", 32),
	}
	if got := l.lines(b); !slices.Equal(got, want) {
		t.Errorf("the build said %q, want %q", got, want)
	}
}

// TestTemplates_DeployAlone: nobody but the deploy role, and it only through the
// service role and not on the bootstrap, changes stacks.
func TestTemplates_DeployAlone(t *testing.T) {
	w, deploy := deployed(t)
	without := laneChange("plan")
	without.role = ""
	for name, do := range map[string]func() error{
		"observe": func() error {
			_, err := propose(stacksOf(w.as(dev, "synops-observe")), laneChange("plan"), cftypes.ChangeSetTypeCreate)
			return err
		},
		"perform": func() error {
			_, err := propose(stacksOf(w.as(dev, "synops-perform")), laneChange("plan"), cftypes.ChangeSetTypeCreate)
			return err
		},
		"with its own power": func() error { _, err := propose(stacksOf(deploy), without, cftypes.ChangeSetTypeCreate); return err },
		"the bootstrap": func() error {
			_, err := propose(stacksOf(deploy), bootstrapChange(), cftypes.ChangeSetTypeUpdate)
			return err
		},
		"another stack": func() error {
			s := laneChange("plan")
			s.name = "other"
			_, err := propose(stacksOf(deploy), s, cftypes.ChangeSetTypeCreate)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, do(), "AccessDenied") })
	}
}

// TestTemplates_BoundedRolesOnly: the service role makes no role without the
// boundary; the stack rolls back and says which.
func TestTemplates_BoundedRolesOnly(t *testing.T) {
	w, deploy := deployed(t)
	s := laneChange("plan")
	s.template = strings.ReplaceAll(s.template, "      PermissionsBoundary: !ImportValue synops-Boundary\n", "")
	if err := create(stacksOf(deploy), s); err == nil {
		t.Fatal("a role without a boundary was made")
	}
	if status, reason := w.Account(dev).Stacks.Stack(s.name); status != "ROLLBACK_COMPLETE" && status != "ROLLBACK_IN_PROGRESS" || !strings.Contains(reason, "") {
		t.Errorf("stack %s: %s", status, reason)
	}
	until(t, "the rollback", func() bool {
		status, _ := w.Account(dev).Stacks.Stack(s.name)
		return status == "ROLLBACK_COMPLETE"
	})
	if _, there := w.Account(dev).IAM.Role("synops-lane-plan"); there {
		t.Error("the role is there")
	}
}

// TestTemplates_UseEveryType: what no template of ours uses is not modeled, and what
// one uses is.
func TestTemplates_UseEveryType(t *testing.T) {
	used := map[string]bool{}
	for _, body := range [][]byte{templates.Bootstrap(), templates.Lane} {
		read, err := cfn.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range read.Types {
			used[kind] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(used)), emulator.Types()); diff != "" {
		t.Error(diff)
	}
}
