package deploy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfnapi "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
)

// drifting is a deployed stack that can be compared.
type drifting struct {
	stacks
	template string
	drifts   []types.StackResourceDrift // one to a page
	looks    int
	fails    error
}

func (d *drifting) GetTemplate(context.Context, *cfnapi.GetTemplateInput, ...func(*cfnapi.Options)) (*cfnapi.GetTemplateOutput, error) {
	return &cfnapi.GetTemplateOutput{TemplateBody: aws.String(d.template)}, nil
}

func (d *drifting) DetectStackDrift(context.Context, *cfnapi.DetectStackDriftInput, ...func(*cfnapi.Options)) (*cfnapi.DetectStackDriftOutput, error) {
	return &cfnapi.DetectStackDriftOutput{StackDriftDetectionId: aws.String("1")}, d.fails
}

func (d *drifting) DescribeStackDriftDetectionStatus(context.Context, *cfnapi.DescribeStackDriftDetectionStatusInput, ...func(*cfnapi.Options)) (*cfnapi.DescribeStackDriftDetectionStatusOutput, error) {
	if d.looks--; d.looks >= 0 {
		return &cfnapi.DescribeStackDriftDetectionStatusOutput{DetectionStatus: types.StackDriftDetectionStatusDetectionInProgress}, nil
	}
	out := &cfnapi.DescribeStackDriftDetectionStatusOutput{DetectionStatus: types.StackDriftDetectionStatusDetectionComplete, StackDriftStatus: types.StackDriftStatusInSync}
	if d.drifts != nil {
		out.StackDriftStatus = types.StackDriftStatusDrifted
	}
	return out, nil
}

func (d *drifting) DescribeStackResourceDrifts(_ context.Context, in *cfnapi.DescribeStackResourceDriftsInput, _ ...func(*cfnapi.Options)) (*cfnapi.DescribeStackResourceDriftsOutput, error) {
	i := len(aws.ToString(in.NextToken))
	out := &cfnapi.DescribeStackResourceDriftsOutput{StackResourceDrifts: d.drifts[i : i+1]}
	if i+1 < len(d.drifts) {
		out.NextToken = aws.String(strings.Repeat("n", i+1))
	}
	return out, nil
}

func TestCheckStack(t *testing.T) {
	modified := types.StackResourceDrift{LogicalResourceId: aws.String("LaneRole"), ResourceType: aws.String("AWS::IAM::Role"), StackResourceDriftStatus: types.StackResourceDriftStatusModified,
		PropertyDifferences: []types.PropertyDifference{{PropertyPath: aws.String("/Policies/0")}, {PropertyPath: aws.String("/MaxSessionDuration")}}}
	deleted := types.StackResourceDrift{LogicalResourceId: aws.String("Rule"), ResourceType: aws.String("AWS::Events::Rule"), StackResourceDriftStatus: types.StackResourceDriftStatusDeleted}
	tests := []struct {
		name  string
		setup func(*drifting)
		want  []string
	}{
		{"in sync", func(*drifting) {}, nil},
		{"not deployed", func(d *drifting) { d.stack = nil }, []string{"synops-lane-admin is not deployed."}},
		{"for review only", func(d *drifting) { d.stack.StackStatus = types.StackStatusReviewInProgress }, []string{"synops-lane-admin is not deployed."}},
		{"failed", func(d *drifting) { d.stack.StackStatus = types.StackStatusRollbackComplete }, []string{"synops-lane-admin is ROLLBACK_COMPLETE."}},
		{"another template", func(d *drifting) { d.template = "Resources: {X: {}}" }, []string{"synops-lane-admin was deployed from another template than this release's."}},
		{"another value", func(d *drifting) { d.stack.Parameters[0].ParameterValue = aws.String("vpc-9") }, []string{`synops-lane-admin, parameter VpcId: "vpc-9" becomes "vpc-1" (from VPC_ID).`}},
		{"changed by hand", func(d *drifting) { d.drifts = []types.StackResourceDrift{modified, deleted} }, []string{
			"synops-lane-admin: LaneRole (AWS::IAM::Role) was changed by hand: /Policies/0, /MaxSessionDuration.", "synops-lane-admin: Rule (AWS::Events::Rule) was deleted by hand."}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			s := &drifting{template: "Resources: {}\n", looks: 2}
			s.stack = laneStack(types.StackStatusUpdateComplete)
			tt.setup(s)
			var r deploy.Drift
			if err := newBench(t, deploy.Clients{Stacks: s}).CheckStack(t.Context(), lane(), &r); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(r.Differences) != fmt.Sprint(tt.want) || r.Unknown != nil {
				t.Errorf("%s: %q and unknown %q, want %q", tt.name, r.Differences, r.Unknown, tt.want)
			}
		})
	}
}

// TestCheckStack_CannotTell: what may not be asked is not passed over.
func TestCheckStack_CannotTell(t *testing.T) {
	s := &drifting{template: "Resources: {}", fails: answer("AccessDenied", "no")}
	s.stack = laneStack(types.StackStatusUpdateComplete)
	var r deploy.Drift
	if err := newBench(t, deploy.Clients{Stacks: s}).CheckStack(t.Context(), lane(), &r); err != nil || len(r.Unknown) != 1 || !strings.Contains(r.Unknown[0], "synops-lane-admin, its resources: asking what was changed by hand: AWS answers AccessDenied") {
		t.Errorf("unknown is %q, %v", r.Unknown, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	s.fails = context.Canceled
	wantError(t, newBench(t, deploy.Clients{Stacks: s}).CheckStack(ctx, lane(), &deploy.Drift{}), ops.Canceled)
}

func TestCheckBundle(t *testing.T) {
	s := &bucket{}
	b := newBench(t, deploy.Clients{Objects: s})
	check := func(synops string) string {
		var r deploy.Drift
		if err := b.CheckBundle(t.Context(), "bundles", synops, &r); err != nil {
			t.Fatal(err)
		}
		return strings.Join(append(r.Differences, r.Unknown...), "|")
	}
	if got := check("v1.0.0"); got != "No bundle was published." {
		t.Errorf("without a bundle: %s", got)
	}
	bundle, err := b.Pack(binary("v1.0.0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.PlanBundle(t.Context(), "bundles", bundle, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), "bundles", bundle, p); err != nil {
		t.Fatal(err)
	}
	if got := check("v1.0.0"); got != "" {
		t.Errorf("as published: %s", got)
	}
	if got := check("v1.2.0"); got != "The bundle is v1.0.0 and this is v1.2.0." {
		t.Errorf("another release: %s", got)
	}
	good := s.held["bundle.zip"]
	s.held["bundle.zip"] = []byte("other")
	if got := check("v1.0.0"); !strings.Contains(got, "another digest") {
		t.Errorf("other content: %s", got)
	}
	s.held["bundle.zip"], s.puts = good, append(s.puts, "bundle.zip")
	if got := check("v1.0.0"); !strings.Contains(got, "not written by a deployment") {
		t.Errorf("a newer version: %s", got)
	}
}
