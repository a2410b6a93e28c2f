package deploy

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfnapi "github.com/aws/aws-sdk-go-v2/service/cloudformation"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// Output returns one output of a stack, for whoever uses what was deployed and
// changes nothing. NotFound: the stack or its output is not there.
func Output(ctx context.Context, stacks Stacks, stack, key string) (string, error) {
	missing := &ops.Error{Code: ops.NotFound, Message: "The stack " + stack + " has no output " + key + " in this account.", Hint: "The account is not set up: synops bootstrap."}
	out, err := stacks.DescribeStacks(ctx, &cfnapi.DescribeStacksInput{StackName: &stack})
	if missingStack(err) {
		missing.Err = err
		return "", missing
	}
	if err != nil {
		return "", awsauth.Explain("reading the outputs of "+stack, err)
	}
	for _, s := range out.Stacks {
		for _, o := range s.Outputs {
			if aws.ToString(o.OutputKey) == key {
				return aws.ToString(o.OutputValue), nil
			}
		}
	}
	return "", missing
}
