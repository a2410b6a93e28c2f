package deploy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
)

func TestNew(t *testing.T) {
	env := &ops.Environment{Name: "prod", Account: "222222222222", Region: "us-east-1"}
	_, err := deploy.New(deploy.Config{Environment: env, Identity: awsauth.Identity{Account: "111111111111"}})
	if r := ops.Refused(err); r == nil || r.Guard != "environment-account" {
		t.Errorf("credentials of another account: %v, want a refusal", err)
	}
	_, err = deploy.New(deploy.Config{Environment: &ops.Environment{Name: "dev"}, Identity: awsauth.Identity{}})
	wantError(t, err, ops.Invalid, "names no account")
}

// TestPrepare_NoChange: both texts by which CloudFormation says so.
func TestPrepare_NoChange(t *testing.T) {
	for _, reason := range []string{
		"The submitted information didn't contain changes. Submit different information to create a change set.",
		"No updates are to be performed.",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &stacks{stack: laneStack(types.StackStatusUpdateComplete), reason: reason, polls: 3}
			p, err := newBench(t, deploy.Clients{Stacks: s}).Prepare(t.Context(), lane())
			if err != nil || p.Kind != deploy.Unchanged {
				t.Fatalf("%+v, %v; want unchanged", p, err)
			}
			if got := strings.Join(s.calls, " "); got != "CreateChangeSet DeleteChangeSet" {
				t.Errorf("called %s, want that the empty change set is deleted and nothing else", got)
			}
			if got := strings.Join(p.Lines(), "\n"); got != "synops-lane-admin: no change" {
				t.Errorf("told %q", got)
			}
		})
	}
}

func modify(id, kind string, replacement types.Replacement, policy types.PolicyAction, properties ...string) types.ResourceChange {
	r := types.ResourceChange{Action: types.ChangeActionModify, LogicalResourceId: aws.String(id), ResourceType: aws.String(kind), PhysicalResourceId: aws.String("synops-" + strings.ToLower(id)), Replacement: replacement, PolicyAction: policy}
	for _, p := range properties {
		r.Details = append(r.Details, types.ResourceChangeDetail{Target: &types.ResourceTargetDefinition{Name: aws.String(p), Attribute: types.ResourceAttributeProperties}})
	}
	return r
}

func add(id, kind string) types.ResourceChange {
	return types.ResourceChange{Action: types.ChangeActionAdd, LogicalResourceId: aws.String(id), ResourceType: aws.String(kind)}
}

func remove(id, kind string, policy types.PolicyAction) types.ResourceChange {
	return types.ResourceChange{Action: types.ChangeActionRemove, LogicalResourceId: aws.String(id), ResourceType: aws.String(kind), PhysicalResourceId: aws.String("old"), PolicyAction: policy}
}

// TestPrepare_Lines: every kind of change, over several pages.
func TestPrepare_Lines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stacks{stack: laneStack(types.StackStatusUpdateComplete), changes: []types.ResourceChange{
			add("Alarm", "AWS::CloudWatch::Alarm"),
			modify("Pipeline", "AWS::CodePipeline::Pipeline", types.ReplacementFalse, "", "Stages", "Stages", "Variables"),
			modify("Project", "AWS::CodeBuild::Project", types.ReplacementTrue, types.PolicyActionReplaceAndDelete, "Name"),
			modify("Role", "AWS::IAM::Role", types.ReplacementConditional, types.PolicyActionReplaceAndRetain, "RoleName"),
			remove("Rule", "AWS::Events::Rule", types.PolicyActionDelete),
			{Action: types.ChangeActionDynamic, LogicalResourceId: aws.String("Nested\x1b[31m"), ResourceType: aws.String("AWS::SNS::Topic")},
			remove("Kept", "AWS::SNS::Topic", types.PolicyActionRetain),
		}}
		stack := lane()
		stack.Parameters = []deploy.Parameter{
			{Name: "Pat", Value: "canary", From: "--parameter", Hidden: true},
			{Name: "Subnets", Value: "subnet-1,subnet-2", From: "SUBNETS"},
			{Name: "VpcId", Value: "vpc-2", From: "VPC_ID"},
		}
		p, err := newBench(t, deploy.Clients{Stacks: s}).Prepare(t.Context(), stack)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "changes.txt", strings.Join(p.Lines(), "\n")+"\n")
		want := []string{"UPDATE", stack.Role, "[CAPABILITY_NAMED_IAM]", "Pat=canary false", "Subnets=subnet-1,subnet-2 false", "VpcId=vpc-2 false"}
		if !slices.Equal(s.given, want) {
			t.Errorf("CloudFormation was given %q, want %q", s.given, want)
		}
	})
}

func TestPrepare_States(t *testing.T) {
	tests := []struct {
		status types.StackStatus
		code   ops.Code // "": prepared
		says   []string
	}{
		{"", "", nil},
		{types.StackStatusReviewInProgress, "", nil},
		{types.StackStatusCreateComplete, "", nil},
		{types.StackStatusUpdateRollbackComplete, "", nil},
		{types.StackStatusUpdateInProgress, ops.Conflict, []string{"is being changed (UPDATE_IN_PROGRESS)", "Wait"}},
		{types.StackStatusUpdateCompleteCleanupInProgress, ops.Conflict, []string{"is being changed"}},
		{types.StackStatusRollbackInProgress, ops.Conflict, []string{"is being changed"}},
		{types.StackStatusRollbackComplete, ops.Conflict, []string{"never created", "It failed first at Project (AWS::CodeBuild::Project): no such subnet.", "--recreate"}},
		{types.StackStatusDeleteFailed, ops.Conflict, []string{"can only be deleted"}},
		{types.StackStatusUpdateRollbackFailed, ops.Conflict, []string{"stuck", "continue-update-rollback"}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			s := &stacks{events: []types.StackEvent{
				event(types.ResourceStatusCreateInProgress, "synops-lane-admin", "AWS::CloudFormation::Stack", ""),
				event(types.ResourceStatusCreateFailed, "Project", "AWS::CodeBuild::Project", "no such subnet"),
			}}
			wantType := "CREATE"
			if tt.status != "" {
				s.stack = laneStack(tt.status)
				if tt.status != types.StackStatusReviewInProgress {
					wantType = "UPDATE"
				}
			}
			_, err := newBench(t, deploy.Clients{Stacks: s}).Prepare(t.Context(), lane())
			if tt.code == "" {
				if err != nil || s.given[0] != wantType {
					t.Errorf("%s: %v, %q; want a change set %s", tt.status, err, s.given, wantType)
				}
				return
			}
			wantError(t, err, tt.code, tt.says...)
			if s.calls != nil {
				t.Errorf("%s: %q was called", tt.status, s.calls)
			}
		})
	}
}

func TestPrepare_Fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stacks{reason: "Parameters: [VpcId] must have values"}
		_, err := newBench(t, deploy.Clients{Stacks: s}).Prepare(t.Context(), lane())
		wantError(t, err, ops.Conflict, "must have values", "--parameter")
		if got := strings.Join(s.calls, " "); got != "CreateChangeSet DeleteChangeSet DeleteStack" {
			t.Errorf("called %s, want the change set and its empty stack deleted", got)
		}
	})
	synctest.Test(t, func(t *testing.T) { // whoever waits gives up
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		s := &stacks{stack: laneStack(types.StackStatusUpdateComplete), polls: 1000}
		_, err := newBench(t, deploy.Clients{Stacks: s}).Prepare(ctx, lane())
		wantError(t, err, ops.Unavailable, "waiting for the change set")
		if got := strings.Join(s.calls, " "); got != "CreateChangeSet DeleteChangeSet" {
			t.Errorf("called %s, want the change set deleted", got)
		}
	})
}

// TestDiscard_Denied: the deployment role may not delete stacks, not even empty ones.
func TestDiscard_Denied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stacks{denied: "DeleteStack", changes: []types.ResourceChange{add("Role", "AWS::IAM::Role")}}
		b := newBench(t, deploy.Clients{Stacks: s})
		p, err := b.Prepare(t.Context(), lane())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Discard(t.Context(), p); err != nil {
			t.Errorf("discarding: %v", err)
		}
		if len(b.said) != 1 || !strings.Contains(b.said[0], "does no harm") {
			t.Errorf("said %q, want that an empty stack stays", b.said)
		}
		if err := b.Discard(t.Context(), p); err != nil || len(s.calls) != 3 {
			t.Errorf("discarding again: %v, %q", err, s.calls)
		}
	})
}

func TestExecute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stacks{stack: laneStack(types.StackStatusUpdateComplete), changes: []types.ResourceChange{add("Alarm", "AWS::CloudWatch::Alarm")},
			events: []types.StackEvent{event(types.ResourceStatusUpdateComplete, "synops-lane-admin", "AWS::CloudFormation::Stack", "")},
			execution: []step{
				{types.StackStatusUpdateInProgress, []types.StackEvent{event(types.ResourceStatusUpdateInProgress, "synops-lane-admin", "AWS::CloudFormation::Stack", "")}},
				{types.StackStatusUpdateInProgress, []types.StackEvent{event(types.ResourceStatusCreateInProgress, "Alarm", "AWS::CloudWatch::Alarm", ""), event(types.ResourceStatusCreateComplete, "Alarm", "AWS::CloudWatch::Alarm", "")}},
				{types.StackStatusUpdateCompleteCleanupInProgress, nil},
				{types.StackStatusUpdateComplete, []types.StackEvent{event(types.ResourceStatusUpdateComplete, "synops-lane-admin", "AWS::CloudFormation::Stack", "")}},
			}}
		b := newBench(t, deploy.Clients{Stacks: s})
		p, err := b.Prepare(t.Context(), lane())
		if err != nil {
			t.Fatal(err)
		}
		out, err := b.Execute(t.Context(), p)
		if err != nil || out["Pipeline"] != "synops-admin" {
			t.Fatalf("outputs %v, %v", out, err)
		}
		golden(t, "progress.txt", strings.Join(b.said, "\n")+"\n")
	})
}

func TestExecute_Fails(t *testing.T) {
	tests := []struct {
		name   string
		status types.StackStatus
		reason string
		says   []string
	}{
		{"rolled back", types.StackStatusUpdateRollbackComplete, "User: arn:aws:sts::1:assumed-role/synops-cloudformation/x is not authorized to perform: sns:TagResource", []string{
			"It failed first at Topic (AWS::SNS::Topic): User:", "everything is as it was", "synops bootstrap"}},
		{"half rolled back", types.StackStatusUpdateRollbackFailed, "Topic synops-admin already exists", []string{"Rolling back failed too", "somebody's own"}},
		{"never created", types.StackStatusRollbackComplete, "something new", []string{"ROLLBACK_COMPLETE and serves nothing", "Put right what it names"}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			s := &stacks{stack: laneStack(types.StackStatusUpdateComplete),
				events: []types.StackEvent{ // an earlier failure is not this one's cause
					event(types.ResourceStatusUpdateInProgress, "synops-lane-admin", "AWS::CloudFormation::Stack", ""),
					event(types.ResourceStatusUpdateFailed, "Earlier", "AWS::SNS::Topic", "another cause"),
				},
				execution: []step{{types.StackStatusUpdateInProgress, []types.StackEvent{
					event(types.ResourceStatusUpdateInProgress, "synops-lane-admin", "AWS::CloudFormation::Stack", ""),
					event(types.ResourceStatusUpdateFailed, "Alarm", "AWS::CloudWatch::Alarm", "Resource update cancelled"),
					event(types.ResourceStatusCreateFailed, "Topic", "AWS::SNS::Topic", tt.reason),
					event(types.ResourceStatusCreateFailed, "Later", "AWS::SNS::Topic", "followed from it"),
					event(types.ResourceStatusUpdateRollbackInProgress, "synops-lane-admin", "AWS::CloudFormation::Stack", "[Topic]"),
				}}, {tt.status, nil}}}
			b := newBench(t, deploy.Clients{Stacks: s})
			p, err := b.Prepare(t.Context(), lane())
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Execute(t.Context(), p)
			wantError(t, err, ops.Conflict, tt.says...)
		})
	}
}

// TestExecute_Left: whoever leaves is told that CloudFormation goes on.
func TestExecute_Left(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stacks{stack: laneStack(types.StackStatusUpdateComplete), execution: slices.Repeat([]step{{types.StackStatusUpdateInProgress, nil}}, 1000)}
		b := newBench(t, deploy.Clients{Stacks: s})
		p, err := b.Prepare(t.Context(), lane())
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, stop)
		_, err = b.Execute(ctx, p)
		wantError(t, err, ops.Canceled, "goes on by itself")
		if slices.Contains(s.calls, "DeleteChangeSet") {
			t.Error("a change set that is being executed was deleted")
		}
	})
}

func TestRecreate(t *testing.T) {
	for status, want := range map[types.StackStatus]bool{types.StackStatusRollbackComplete: true, types.StackStatusUpdateComplete: false, types.StackStatusUpdateRollbackFailed: false} {
		synctest.Test(t, func(t *testing.T) {
			s := &stacks{stack: laneStack(status)}
			got, err := newBench(t, deploy.Clients{Stacks: s}).Recreate(t.Context(), "synops-lane-admin", "")
			if err != nil || got != want || (s.stack == nil) != want {
				t.Errorf("%s: %t, %v; want %t", status, got, err, want)
			}
		})
	}
}
