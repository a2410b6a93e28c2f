package deploy

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfnapi "github.com/aws/aws-sdk-go-v2/service/cloudformation"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// Buckets are the bootstrap's, and its topic, for whoever uses what was deployed and
// changes nothing.
type Buckets struct {
	Store, Bundle, Cache string
	Topic                string // who subscribes is told of runs; "" in an older bootstrap
}

// FindBuckets reads them from the bootstrap's outputs. NotFound: the account is not
// set up.
func FindBuckets(ctx context.Context, stacks Stacks) (Buckets, error) {
	name, values := BootstrapStack, map[string]string{}
	out, err := stacks.DescribeStacks(ctx, &cfnapi.DescribeStacksInput{StackName: &name})
	if err != nil && !missingStack(err) {
		return Buckets{}, awsauth.Explain("reading the outputs of "+name, err)
	}
	if err == nil {
		for _, s := range out.Stacks {
			for _, o := range s.Outputs {
				values[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
			}
		}
	}
	b := Buckets{Store: values["StoreBucket"], Bundle: values["BundleBucket"], Cache: values["CacheBucket"], Topic: values["AlarmTopic"]}
	if b.Store == "" || b.Bundle == "" {
		return Buckets{}, &ops.Error{Code: ops.NotFound, Message: "The stack " + name + ", which names the buckets, is not in this account as it should be.", Hint: "The account is not set up: synops bootstrap.", Err: err}
	}
	return b, nil
}
