// Package account is what tools from source repositories need of an AWS account:
// the bucket that keeps what was built, the role that they act as, and the
// CloudFormation stacks that they change.
//
// What is not here: which tools there are, and what the role may do: that is the
// account's to decide.
package account

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
)

// The lives of the role's sessions: an hour is the most that a role may give who is
// a role's session itself, and keys are renewed before they end.
const (
	sessionLife = time.Hour
	renewBefore = 10 * time.Minute
)

// An Account is one account, asked as one session. Safe for concurrent use.
type Account struct {
	bucket  string
	objects *s3.Client
	stacks  *cloudformation.Client // as the session itself: it reads
	builder *cloudformation.Client // as the role: it deletes
	keys    aws.CredentialsProvider
}

// New returns the account that cfg signs in to. bucket keeps what was built; role is
// the ARN of what tools act as, and session names their sessions in CloudTrail.
func New(cfg awsauth.Config, bucket, role, session string) *Account {
	as := cfg.Copy()
	provider := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName, o.Duration = session, sessionLife
	})
	as.Credentials = aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = renewBefore })
	return &Account{
		bucket: bucket,
		objects: s3.NewFromConfig(cfg, func(o *s3.Options) {
			o.UsePathStyle = ops.Loopback(aws.ToString(cfg.BaseEndpoint)) // a bucket's name as a host name does not lead to this machine
		}),
		stacks:  cloudformation.NewFromConfig(cfg),
		builder: cloudformation.NewFromConfig(as),
		keys:    as.Credentials,
	}
}

// Keys are the role's credentials, good for ten minutes at least.
func (a *Account) Keys(ctx context.Context) (toolrun.Keys, error) {
	c, err := a.keys.Retrieve(ctx)
	if err != nil {
		return toolrun.Keys{}, awsauth.Explain("becoming the role that tools act as", err)
	}
	return toolrun.Keys{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expires: c.Expires}, nil
}

// Get writes an object to w. It is NotFound when there is none.
func (a *Account) Get(ctx context.Context, key string, w io.Writer) error {
	out, err := a.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &a.bucket, Key: &key})
	if _, none := errors.AsType[*s3types.NoSuchKey](err); none {
		return &ops.Error{Code: ops.NotFound, Message: "the cache has no " + key + ".", Err: err}
	}
	if err != nil {
		return awsauth.Explain("reading "+key+" from the cache", err)
	}
	defer out.Body.Close()
	_, err = io.Copy(w, out.Body)
	return awsauth.Explain("reading "+key+" from the cache", err)
}

// Put keeps size bytes of r under key, over what was there.
func (a *Account) Put(ctx context.Context, key string, r io.ReadSeeker, size int64) error {
	_, err := a.objects.PutObject(ctx, &s3.PutObjectInput{Bucket: &a.bucket, Key: &key, Body: r, ContentLength: &size})
	return awsauth.Explain("writing "+key+" to the cache", err)
}

// All lists every stack that is not deleted, without its parameters and outputs.
func (a *Account) All(ctx context.Context) ([]toolrun.Stack, error) {
	var there []cftypes.StackStatus
	for _, s := range cftypes.StackStatus("").Values() {
		if s != cftypes.StackStatusDeleteComplete {
			there = append(there, s)
		}
	}
	var out []toolrun.Stack
	pages := cloudformation.NewListStacksPaginator(a.stacks, &cloudformation.ListStacksInput{StackStatusFilter: there})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awsauth.Explain("listing stacks", err)
		}
		for i := range page.StackSummaries {
			s := &page.StackSummaries[i]
			out = append(out, toolrun.Stack{
				Name: aws.ToString(s.StackName), ID: aws.ToString(s.StackId), Status: string(s.StackStatus), Reason: aws.ToString(s.StackStatusReason),
				Parent: aws.ToString(s.ParentId), Changed: latest(s.CreationTime, s.LastUpdatedTime, s.DeletionTime),
			})
		}
	}
	return out, nil
}

// latest is the newest of the times that are set.
func latest(times ...*time.Time) (out time.Time) {
	for _, at := range times {
		if at != nil && at.After(out) {
			out = *at
		}
	}
	return out
}

// Stack returns one by name or ID, nil when there is none.
func (a *Account) Stack(ctx context.Context, nameOrID string) (*toolrun.Stack, error) {
	out, err := a.stacks.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &nameOrID})
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, awsauth.Explain("reading stack "+ops.Clip(nameOrID), err)
	}
	if len(out.Stacks) != 1 {
		return nil, ops.Errorf(ops.Internal, "CloudFormation tells of %d stacks where one was asked for.", len(out.Stacks))
	}
	s := stackOf(&out.Stacks[0])
	return &s, nil
}

// missing tells whether CloudFormation says that there is no such stack. It has no
// code of its own for that.
func missing(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() == "ValidationError" && strings.Contains(api.ErrorMessage(), "does not exist")
}

func stackOf(s *cftypes.Stack) toolrun.Stack {
	out := toolrun.Stack{
		Name: aws.ToString(s.StackName), ID: aws.ToString(s.StackId), Status: string(s.StackStatus), Reason: aws.ToString(s.StackStatusReason),
		Protected: aws.ToBool(s.EnableTerminationProtection), Parent: aws.ToString(s.ParentId),
		Parameters: map[string]string{}, Outputs: map[string]string{},
	}
	out.Changed = latest(s.CreationTime, s.LastUpdatedTime, s.DeletionTime)
	for _, p := range s.Parameters {
		out.Parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	for _, o := range s.Outputs {
		out.Outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	return out
}

// mostEvents bounds how far back a stack's events are read.
const mostEvents = 5000

// Events lists a stack's events from since on, oldest first.
func (a *Account) Events(ctx context.Context, id string, since time.Time) ([]toolrun.StackEvent, error) {
	var out []toolrun.StackEvent
	pages := cloudformation.NewDescribeStackEventsPaginator(a.stacks, &cloudformation.DescribeStackEventsInput{StackName: &id})
read:
	for pages.HasMorePages() && len(out) < mostEvents {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awsauth.Explain("reading a stack's events", err)
		}
		for i := range page.StackEvents { // the newest first
			e := &page.StackEvents[i]
			at := aws.ToTime(e.Timestamp)
			if at.Before(since.Truncate(time.Second)) {
				break read
			}
			out = append(out, toolrun.StackEvent{At: at, Resource: aws.ToString(e.LogicalResourceId), Type: aws.ToString(e.ResourceType),
				State: string(e.ResourceStatus), Reason: aws.ToString(e.ResourceStatusReason)})
		}
	}
	slices.Reverse(out)
	return out, nil
}

// Delete begins to delete a stack, as the role that tools act as.
func (a *Account) Delete(ctx context.Context, id, token string) error {
	_, err := a.builder.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &id, ClientRequestToken: &token})
	return awsauth.Explain("deleting a stack", err)
}
