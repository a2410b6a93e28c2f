package deploy_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
)

func parameterTemplate(t *testing.T) *cfn.Template {
	t.Helper()
	tpl, err := cfn.Parse([]byte(`
Parameters:
  Asked: {Type: String, Description: Asked for.}
  Known: {Type: String, Default: d}
  Held: {Type: String, Default: d}
  Pat: {Type: String, NoEcho: true}
  Rest: {Type: String, Default: d}
  Hint: {Type: String, Default: d}
Resources:
  Topic: {Type: "AWS::SNS::Topic", Properties: {DisplayName: !Sub "${Asked}${Known}${Held}${Pat}${Rest}${Hint}"}}
`))
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

func TestParameters(t *testing.T) {
	now := laneStack(types.StackStatusUpdateComplete)
	for _, key := range []string{"Asked", "Known", "Held"} {
		now.Parameters = append(now.Parameters, types.Parameter{ParameterKey: aws.String(key), ParameterValue: aws.String("held")})
	}
	known := map[string]deploy.Given{"Asked": {Value: "k", From: "VPC_ID"}, "Known": {Value: "k", From: "VPC_ID"},
		"Held": {Value: "w", From: "GitHub", Weak: true}, "Hint": {Value: "w", From: "GitHub", Weak: true}}
	got, err := deploy.Parameters(parameterTemplate(t), map[string]string{"Asked": "a"}, known, now)
	if err != nil {
		t.Fatal(err)
	}
	want := []deploy.Parameter{
		{Name: "Asked", Value: "a", From: "--parameter", Description: "Asked for."},
		{Name: "Held", Value: "held", From: "the stack as it is"},
		{Name: "Hint", Value: "w", From: "GitHub"},
		{Name: "Known", Value: "k", From: "VPC_ID"},
		{Name: "Pat", From: "the stack as it is", Hidden: true},
		{Name: "Rest", Value: "d", From: "the template's default"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(deploy.Parameter{})); diff != "" {
		t.Error(diff)
	}
	golden(t, "parameters.txt", strings.Join(deploy.ParameterLines(got), "\n")+"\n")
}

// TestParameters_Missing: all that has no value is told at once; a stack that is
// there for review only holds nothing.
func TestParameters_Missing(t *testing.T) {
	now := laneStack(types.StackStatusReviewInProgress)
	_, err := deploy.Parameters(parameterTemplate(t), map[string]string{"Rset": "x"}, nil, now)
	wantError(t, err, ops.Invalid, "parameter Asked has no value: Asked for.", "parameter Pat has no value", `no parameter "Rset". Did you mean "Rest"?`, "--parameter NAME=VALUE")
}
