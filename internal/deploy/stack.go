package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfnapi "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// A Stack is what a stack is to be.
type Stack struct {
	Name       string
	Lane       ops.Lane // whose pipeline it holds; "" for none
	Template   []byte   // at most 51,200 bytes, which is what CloudFormation takes inline
	Parameters []Parameter
	Role       string // ARN of the role that CloudFormation acts as; "": the caller's
}

// mostTemplate is the largest template that goes without a bucket.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
const mostTemplate = 51_200

// find describes a stack, nil when there is none.
func (d *Deployer) find(ctx context.Context, name string) (*types.Stack, error) {
	out, err := d.c.Clients.Stacks.DescribeStacks(ctx, &cfnapi.DescribeStacksInput{StackName: aws.String(name)})
	if missingStack(err) {
		return nil, nil
	}
	if err != nil {
		return nil, awsauth.Explain("looking at stack "+name, err)
	}
	for i := range out.Stacks {
		if out.Stacks[i].StackStatus != types.StackStatusDeleteComplete {
			return &out.Stacks[i], nil
		}
	}
	return nil, nil
}

// missingStack: CloudFormation has no code of its own for it.
func missingStack(err error) bool {
	return awsauth.CodeOfAPI(err) == "ValidationError" && strings.Contains(err.Error(), "does not exist")
}

// Outputs returns a stack's outputs. NotFound: there is no such stack, or it was
// never created to its end.
func (d *Deployer) Outputs(ctx context.Context, name string) (map[string]string, error) {
	s, err := d.find(ctx, name)
	if err != nil {
		return nil, err
	}
	if s == nil || s.StackStatus == types.StackStatusReviewInProgress {
		return nil, &ops.Error{Code: ops.NotFound, Message: fmt.Sprintf("There is no stack %s in account %s.", name, d.c.Environment.Account), Hint: d.createHint(name)}
	}
	return outputs(s), nil
}

func outputs(s *types.Stack) map[string]string {
	out := map[string]string{}
	for _, o := range s.Outputs {
		out[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	return out
}

func (d *Deployer) createHint(name string) string {
	if name == BootstrapStack {
		return fmt.Sprintf("An administrator of the account makes it once: synops bootstrap -e %s", d.c.Environment.Name)
	}
	return fmt.Sprintf("Make it with: synops deploy -e %s", d.c.Environment.Name)
}

// A footing is what a stack's status lets one do.
type footing int

const (
	create footing = iota // it is not there, or is there for review only
	update
	remnant // its creation failed; it can only be deleted
	busy    // something changes it now
	stuck   // its roll-back failed
)

// footingOf sorts the statuses.
func footingOf(s *types.Stack) footing {
	if s == nil {
		return create
	}
	switch s.StackStatus {
	case types.StackStatusReviewInProgress:
		return create
	case types.StackStatusRollbackComplete, types.StackStatusRollbackFailed, types.StackStatusCreateFailed, types.StackStatusDeleteFailed:
		return remnant
	case types.StackStatusUpdateRollbackFailed, types.StackStatusImportRollbackFailed:
		return stuck
	}
	if strings.HasSuffix(string(s.StackStatus), "_IN_PROGRESS") {
		return busy
	}
	return update
}

// ready returns whether the stack is created or updated, or why neither can be.
func (d *Deployer) ready(ctx context.Context, s *types.Stack) (footing, error) {
	name, at := "", footingOf(s)
	if s != nil {
		name = aws.ToString(s.StackName)
	}
	switch at {
	case busy:
		return at, &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("Stack %s is being changed (%s).", name, s.StackStatus), Hint: "Wait until that has ended, then try again."}
	case stuck:
		why := d.whyFailed(ctx, name)
		return at, &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("Stack %s is stuck: its last change failed and so did rolling it back. %s", name, why),
			Hint: "Put the cause right, then: aws cloudformation continue-update-rollback --stack-name " + name}
	case remnant:
		why := d.whyFailed(ctx, name)
		return at, &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("Stack %s was never created to its end (%s) and can only be deleted. %s", name, s.StackStatus, why),
			Hint: "Put the cause right, then an administrator adds --recreate: it deletes what is left of the stack first."}
	}
	return at, nil
}

// Recreate deletes what is left of a stack whose creation failed; any other stack
// is left alone. It tells whether there was one.
func (d *Deployer) Recreate(ctx context.Context, name, role string) (bool, error) {
	s, err := d.find(ctx, name)
	if err != nil || footingOf(s) != remnant {
		return false, err
	}
	d.c.Say("%s: deleting what is left of the creation that failed", name)
	in := &cfnapi.DeleteStackInput{StackName: s.StackId}
	if role != "" {
		in.RoleARN = aws.String(role)
	}
	if _, err := d.c.Clients.Stacks.DeleteStack(ctx, in); err != nil {
		e := awsauth.Explain("deleting the remnant of stack "+name, err)
		if own, ok := errors.AsType[*ops.Error](e); ok && own.Code == ops.Denied {
			own.Hint = "No role of a workflow deletes a stack. An administrator of the account does it, by the same command."
		}
		return false, e
	}
	pause := d.pacing()
	for {
		s, err := d.find(ctx, name)
		if err != nil {
			return false, err
		}
		switch {
		case s == nil:
			return true, nil
		case s.StackStatus == types.StackStatusDeleteFailed:
			return false, &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("What is left of stack %s cannot be deleted. %s", name, d.whyFailed(ctx, name)), Hint: "Delete it in the console, where what resists can be left behind."}
		}
		if err := pause(ctx); err != nil {
			return false, awsauth.Explain("waiting for stack "+name+" to be deleted", err)
		}
	}
}

// sortedNames is for printing a map's entries in an order.
func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
