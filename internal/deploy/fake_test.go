package deploy_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfnapi "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got, -update rewrites it):\n%s", name, diff)
	}
}

func answer(code, message string) error {
	return &smithy.GenericAPIError{Code: code, Message: message}
}

const stackID = "arn:aws:cloudformation:us-east-1:111111111111:stack/synops-lane-admin/1"

// stacks is a CloudFormation with one stack whose next change set is told by the
// test. Methods that are not overridden are not to be called.
type stacks struct {
	deploy.Stacks
	stack  *types.Stack
	events []types.StackEvent // oldest first
	calls  []string
	denied string // a call that is refused

	changes   []types.ResourceChange
	reason    string   // the change set fails with it
	polls     int      // looks until the change set is there
	given     []string // what CreateChangeSet was sent
	execution []step   // what executing does, a step with each look
}

type step struct {
	status types.StackStatus
	events []types.StackEvent
}

func (s *stacks) called(name string) error {
	s.calls = append(s.calls, name)
	if s.denied == name {
		return answer("AccessDenied", "not authorized to perform "+name)
	}
	return nil
}

func (s *stacks) DescribeStacks(_ context.Context, in *cfnapi.DescribeStacksInput, _ ...func(*cfnapi.Options)) (*cfnapi.DescribeStacksOutput, error) {
	if s.stack == nil {
		return nil, answer("ValidationError", "Stack with id "+aws.ToString(in.StackName)+" does not exist")
	}
	if len(s.execution) > 0 && slices.Contains(s.calls, "ExecuteChangeSet") {
		s.stack.StackStatus = s.execution[0].status
		s.events = append(s.events, s.execution[0].events...)
		s.execution = s.execution[1:]
	}
	return &cfnapi.DescribeStacksOutput{Stacks: []types.Stack{*s.stack}}, nil
}

// DescribeStackEvents answers newest first, two to a page.
func (s *stacks) DescribeStackEvents(_ context.Context, in *cfnapi.DescribeStackEventsInput, _ ...func(*cfnapi.Options)) (*cfnapi.DescribeStackEventsOutput, error) {
	all := slices.Clone(s.events)
	slices.Reverse(all)
	from, _ := strconv.Atoi(aws.ToString(in.NextToken))
	out := &cfnapi.DescribeStackEventsOutput{StackEvents: all[from:min(from+2, len(all))]}
	if from+2 < len(all) {
		out.NextToken = aws.String(strconv.Itoa(from + 2))
	}
	return out, nil
}

func (s *stacks) CreateChangeSet(_ context.Context, in *cfnapi.CreateChangeSetInput, _ ...func(*cfnapi.Options)) (*cfnapi.CreateChangeSetOutput, error) {
	s.given = []string{string(in.ChangeSetType), aws.ToString(in.RoleARN), fmt.Sprint(in.Capabilities)}
	for _, p := range in.Parameters {
		s.given = append(s.given, fmt.Sprintf("%s=%s %t", aws.ToString(p.ParameterKey), aws.ToString(p.ParameterValue), aws.ToBool(p.UsePreviousValue)))
	}
	if s.stack == nil {
		s.stack = &types.Stack{StackId: aws.String(stackID), StackName: in.StackName, StackStatus: types.StackStatusReviewInProgress}
	}
	return &cfnapi.CreateChangeSetOutput{Id: aws.String("change-set"), StackId: aws.String(stackID)}, s.called("CreateChangeSet")
}

// DescribeChangeSet answers three changes to a page.
func (s *stacks) DescribeChangeSet(_ context.Context, in *cfnapi.DescribeChangeSetInput, _ ...func(*cfnapi.Options)) (*cfnapi.DescribeChangeSetOutput, error) {
	if s.polls--; s.polls >= 0 {
		return &cfnapi.DescribeChangeSetOutput{Status: types.ChangeSetStatusCreateInProgress}, nil
	}
	if s.reason != "" {
		return &cfnapi.DescribeChangeSetOutput{Status: types.ChangeSetStatusFailed, StatusReason: aws.String(s.reason)}, nil
	}
	from, _ := strconv.Atoi(aws.ToString(in.NextToken))
	out := &cfnapi.DescribeChangeSetOutput{Status: types.ChangeSetStatusCreateComplete}
	for i := from; i < min(from+3, len(s.changes)); i++ {
		out.Changes = append(out.Changes, types.Change{ResourceChange: &s.changes[i]})
	}
	if from+3 < len(s.changes) {
		out.NextToken = aws.String(strconv.Itoa(from + 3))
	}
	return out, nil
}

func (s *stacks) DeleteChangeSet(context.Context, *cfnapi.DeleteChangeSetInput, ...func(*cfnapi.Options)) (*cfnapi.DeleteChangeSetOutput, error) {
	return nil, s.called("DeleteChangeSet")
}

func (s *stacks) ExecuteChangeSet(context.Context, *cfnapi.ExecuteChangeSetInput, ...func(*cfnapi.Options)) (*cfnapi.ExecuteChangeSetOutput, error) {
	return nil, s.called("ExecuteChangeSet")
}

func (s *stacks) DeleteStack(context.Context, *cfnapi.DeleteStackInput, ...func(*cfnapi.Options)) (*cfnapi.DeleteStackOutput, error) {
	err := s.called("DeleteStack")
	if err == nil {
		s.stack = nil
	}
	return nil, err
}

// laneStack is a stack that was deployed before.
func laneStack(status types.StackStatus) *types.Stack {
	return &types.Stack{StackId: aws.String(stackID), StackName: aws.String("synops-lane-admin"), StackStatus: status,
		Parameters: []types.Parameter{{ParameterKey: aws.String("VpcId"), ParameterValue: aws.String("vpc-1")}, {ParameterKey: aws.String("Pat"), ParameterValue: aws.String("****")}},
		Outputs:    []types.Output{{OutputKey: aws.String("Pipeline"), OutputValue: aws.String("synops-admin")}}}
}

var events int

func event(status types.ResourceStatus, id, kind, reason string) types.StackEvent {
	events++
	e := types.StackEvent{EventId: aws.String(fmt.Sprint("e", events)), StackId: aws.String(stackID), StackName: aws.String("synops-lane-admin"), LogicalResourceId: aws.String(id),
		ResourceType: aws.String(kind), ResourceStatus: status}
	if kind == "AWS::CloudFormation::Stack" {
		e.PhysicalResourceId = aws.String(stackID)
	}
	if reason != "" {
		e.ResourceStatusReason = aws.String(reason)
	}
	return e
}

// a bench is a Deployer for the dev account and what it said.
type bench struct {
	*deploy.Deployer
	said []string
}

func newBench(t *testing.T, c deploy.Clients) *bench {
	t.Helper()
	b := &bench{}
	d, err := deploy.New(deploy.Config{Clients: c, Environment: &ops.Environment{Name: "dev", Account: "111111111111", Region: "us-east-1", Secret: "/synapse/admin-pat"},
		Identity: awsauth.Identity{Account: "111111111111", ARN: "arn:aws:sts::111111111111:assumed-role/synops-deploy/s"},
		Say:      func(format string, args ...any) { b.said = append(b.said, fmt.Sprintf(format, args...)) }})
	if err != nil {
		t.Fatal(err)
	}
	b.Deployer = d
	return b
}

func lane() deploy.Stack {
	return deploy.Stack{Name: "synops-lane-admin", Lane: "admin", Template: []byte("Resources: {}"), Role: "arn:aws:iam::111111111111:role/synops-cloudformation",
		Parameters: []deploy.Parameter{{Name: "VpcId", Value: "vpc-1", From: "VPC_ID"}}}
}

// wantError checks code and what the message and hint say.
func wantError(t *testing.T, err error, code ops.Code, says ...string) {
	t.Helper()
	if err == nil || ops.CodeOf(err) != code {
		t.Fatalf("error is %v (%s), want %s", err, ops.CodeOf(err), code)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}
