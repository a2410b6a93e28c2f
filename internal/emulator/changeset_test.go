package emulator_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"
)

// TestChangeSet_IsRefused: what CloudFormation asks before it takes a change set.
func TestChangeSet_IsRefused(t *testing.T) {
	role := `  R:
    Type: AWS::IAM::Role
    Properties: {AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: "sts:AssumeRole"}]}}
Outputs:`
	named := strings.Replace(role, "Properties: {", "Properties: {RoleName: r, ", 1)
	w := newQuickWorld(t)
	c := stacksOf(w.admin(dev))
	iam := func(s stackChange, given ...cftypes.Capability) stackChange { s.capabilities = given; return s }
	for _, tc := range []struct {
		name  string
		s     stackChange
		kind  cftypes.ChangeSetType
		code  string
		words string
	}{
		{"an unknown parameter", smallStack().with("Nothing", "1"), "CREATE", "ValidationError", "Parameters: [Nothing] do not exist in the template"},
		{"a missing parameter", smallStack("{Type: Number, Default: 30}", "{Type: Number}"), "CREATE", "ValidationError", "Parameters: [Days] must have values"},
		{"a parameter of another type", smallStack().with("Days", "many"), "CREATE", "ValidationError", "not a number"},
		{"an update of nothing", smallStack(), "UPDATE", "ValidationError", "does not exist"},
		{"a type nobody models", smallStack("AWS::SNS::Topic", "AWS::SQS::Queue"), "CREATE", "NotModelled", "AWS::SQS::Queue"},
		{"a property nobody models", smallStack("Properties: {}", "Properties: {KmsMasterKeyId: k}"), "CREATE", "NotModelled", "KmsMasterKeyId"},
		{"a reference to nothing", smallStack("!Ref Topic}]", "!Ref Nothing}]"), "CREATE", "ValidationError", "Nothing"},
		{"a role without capability", iam(smallStack("Outputs:", role)), "CREATE", "InsufficientCapabilitiesException", "CAPABILITY_IAM"},
		{"a named role with too little", iam(smallStack("Outputs:", named), cftypes.CapabilityCapabilityIam), "CREATE", "InsufficientCapabilitiesException", "CAPABILITY_NAMED_IAM"},
		{"a role with what it needs", iam(smallStack("Outputs:", role), cftypes.CapabilityCapabilityIam), "CREATE", "", ""},
		{"a template that is too long", smallStack("a small one", strings.Repeat("x", 52000)), "CREATE", "ValidationError", "51200"},
		{"a name with a dot", stackChange{name: "a.b", template: small}, "CREATE", "ValidationError", "a.b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := c.CreateChangeSet(ctx, tc.s.input(changes, tc.kind))
			wantCode(t, err, tc.code)
			if tc.words != "" && !strings.Contains(fmt.Sprint(err), tc.words) {
				t.Errorf("error %v, want one with %q", err, tc.words)
			}
		})
	}
	if status, _ := w.Account(dev).Stacks.Stack("small"); status != "REVIEW_IN_PROGRESS" {
		t.Errorf("a change set alone left the stack %q", status)
	}
}

// TestChangeSet_NoChange: both texts, and neither can be executed.
func TestChangeSet_NoChange(t *testing.T) {
	w := newQuickWorld(t)
	c := stacksOf(w.admin(dev))
	w.must(create(c, smallStack()))
	for name, tc := range map[string]struct {
		s    stackChange
		want string
	}{
		"the same again":        {smallStack(), "The submitted information didn't contain changes. Submit different information to create a change set."},
		"another text":          {smallStack("a small one", "a small two"), "No updates are to be performed."},
		"another way to say it": {smallStack("RetentionInDays: !Ref Days", `RetentionInDays: "30"`), "No updates are to be performed."},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := propose(c, tc.s, cftypes.ChangeSetTypeUpdate)
			w.must(err)
			if out.Status != cftypes.ChangeSetStatusFailed || aws.ToString(out.StatusReason) != tc.want {
				t.Errorf("%s: %s", out.Status, aws.ToString(out.StatusReason))
			}
			_, err = c.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: aws.String("small"), ChangeSetName: aws.String(changes)})
			wantCode(t, err, "InvalidChangeSetStatus")
			_, err = c.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{StackName: aws.String("small"), ChangeSetName: aws.String(changes)})
			w.must(err)
			_, err = c.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{StackName: aws.String("small"), ChangeSetName: aws.String(changes)})
			wantCode(t, err, "ChangeSetNotFound")
		})
	}
}

// TestChangeSet_Changes: what is added, changed, replaced and removed, and what
// follows from it.
func TestChangeSet_Changes(t *testing.T) {
	w := newQuickWorld(t)
	c := stacksOf(w.admin(dev))
	w.must(create(c, smallStack()))
	for _, tc := range []struct {
		name string
		s    stackChange
		want []string
	}{
		{"changed in place", smallStack().with("Days", "60"), []string{"Modify Logs False  RetentionInDays/Never/Static"}},
		{"replaced, with what refers to it", smallStack("Properties: {}", "Properties: {TopicName: other}"), []string{
			"Modify Broke False  Description/Never/Dynamic Targets/Never/Dynamic", "Modify Topic True ReplaceAndDelete TopicName/Always/Static",
		}},
		{"replaced and kept", smallStack().with("Group", "/small/other"), []string{"Modify Logs True ReplaceAndRetain LogGroupName/Always/Static"}},
		{"removed", smallStack("      Description: !Sub \"to ${Topic}\"\n", "", "  Logs:\n    Type", "  Logs2:\n    Type", "!GetAtt Logs.Arn", "!GetAtt Logs2.Arn", "/small/logs", "/small/2"), []string{
			"Modify Broke False  Description/Never/Static", "Remove Logs  Retain", "Add Logs2  ",
		}},
		{"an output alone", smallStack("LogsArn:", "TheLogs:"), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := propose(c, tc.s, cftypes.ChangeSetTypeUpdate)
			w.must(err)
			if out.Status != cftypes.ChangeSetStatusCreateComplete {
				t.Fatalf("%s: %s", out.Status, aws.ToString(out.StatusReason))
			}
			var got []string
			for _, ch := range out.Changes {
				got = append(got, told(ch.ResourceChange))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			_, err = c.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{StackName: aws.String("small"), ChangeSetName: aws.String(changes)})
			w.must(err)
		})
	}
}

func told(r *cftypes.ResourceChange) string {
	s := fmt.Sprintf("%s %s %s %s", r.Action, *r.LogicalResourceId, r.Replacement, r.PolicyAction)
	for _, d := range r.Details {
		s += fmt.Sprintf(" %s/%s/%s", *d.Target.Name, d.Target.RequiresRecreation, d.Evaluation)
	}
	return s
}
