package deploy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfnapi "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// Kind tells what a prepared change would do to its stack.
type Kind string

// The kinds.
const (
	Create    Kind = "create"
	Update    Kind = "update"
	Unchanged Kind = "unchanged"
)

// A Prepared stack has a change set that waits to be executed or discarded, or is
// as it should be already.
type Prepared struct {
	Stack   Stack
	Kind    Kind
	Changes []Change // in CloudFormation's order
	// Values are the parameters whose value changes, each as a line; for a new stack
	// none, Stack.Parameters tells them all.
	Values []string

	id        string // of the change set
	stackID   string
	review    bool // the stack is there for this change set only
	interrupt bool // what Guard was told
}

// noChange are the texts by which CloudFormation says that there is nothing to do. No
// reference names them; others who deploy match both.
// https://github.com/aws-actions/aws-cloudformation-github-deploy
var noChange = []string{"didn't contain changes", "No updates are to be performed"}

// Prepare makes a change set and waits until CloudFormation has worked out what it
// would change. Nothing of the stack is changed. A stack that is as it should be
// yields Unchanged, and the empty change set is deleted again.
func (d *Deployer) Prepare(ctx context.Context, s Stack) (*Prepared, error) {
	if len(s.Template) > mostTemplate {
		return nil, &ops.Error{Code: ops.Internal, Message: fmt.Sprintf("The template of %s has %d bytes; CloudFormation takes %d.", s.Name, len(s.Template), mostTemplate)}
	}
	now, err := d.find(ctx, s.Name)
	if err != nil {
		return nil, err
	}
	at, err := d.ready(ctx, now)
	if err != nil {
		return nil, err
	}
	p := &Prepared{Stack: s, Kind: Create, review: true}
	if at == update {
		p.Kind, p.review, p.Values = Update, false, changedValues(now, s.Parameters)
	}
	if err := d.createChangeSet(ctx, p); err != nil {
		return nil, err
	}
	return p, d.awaitChangeSet(ctx, p)
}

func (d *Deployer) createChangeSet(ctx context.Context, p *Prepared) error {
	token := "synops-" + random()
	in := &cfnapi.CreateChangeSetInput{
		StackName: aws.String(p.Stack.Name), ChangeSetName: aws.String(token), ClientToken: aws.String(token),
		TemplateBody: aws.String(string(p.Stack.Template)), Parameters: sent(p.Stack.Parameters),
		Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam}, ChangeSetType: types.ChangeSetTypeUpdate,
		Description: aws.String("synops deploy"),
	}
	if p.Kind == Create {
		in.ChangeSetType = types.ChangeSetTypeCreate
	}
	if p.Stack.Role != "" {
		in.RoleARN = aws.String(p.Stack.Role)
	}
	out, err := d.c.Clients.Stacks.CreateChangeSet(ctx, in)
	if err != nil {
		return awsauth.Explain("asking CloudFormation what would change in "+p.Stack.Name, err)
	}
	p.id, p.stackID = aws.ToString(out.Id), aws.ToString(out.StackId)
	return nil
}

// random names a change set; two deployments at once must not share one.
func random() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails; see crypto/rand
	return hex.EncodeToString(b)
}

// awaitChangeSet waits for the change set and reads all its pages. One that failed
// or was given up on is deleted.
func (d *Deployer) awaitChangeSet(ctx context.Context, p *Prepared) error {
	pause := d.pacing()
	for {
		out, err := d.describeChangeSet(ctx, p, nil)
		if err != nil {
			return d.giveUp(ctx, p, err)
		}
		switch out.Status {
		case types.ChangeSetStatusCreateComplete:
			if err := d.readChanges(ctx, p, out); err != nil {
				return d.giveUp(ctx, p, err)
			}
			return nil
		case types.ChangeSetStatusFailed:
			return d.failedChangeSet(ctx, p, aws.ToString(out.StatusReason))
		case types.ChangeSetStatusCreatePending, types.ChangeSetStatusCreateInProgress:
		default:
			return d.giveUp(ctx, p, &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("The change set of %s is %s: somebody else took it.", p.Stack.Name, out.Status), Hint: "Try again."})
		}
		if err := pause(ctx); err != nil {
			return d.giveUp(ctx, p, awsauth.Explain("waiting for the change set of "+p.Stack.Name, err))
		}
	}
}

func (d *Deployer) describeChangeSet(ctx context.Context, p *Prepared, next *string) (*cfnapi.DescribeChangeSetOutput, error) {
	out, err := d.c.Clients.Stacks.DescribeChangeSet(ctx, &cfnapi.DescribeChangeSetInput{ChangeSetName: aws.String(p.id), StackName: aws.String(p.stackID), NextToken: next})
	return out, awsauth.Explain("reading the change set of "+p.Stack.Name, err)
}

func (d *Deployer) readChanges(ctx context.Context, p *Prepared, out *cfnapi.DescribeChangeSetOutput) error {
	for {
		for _, c := range out.Changes {
			if c.ResourceChange != nil {
				p.Changes = append(p.Changes, newChange(c.ResourceChange))
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return nil
		}
		var err error
		if out, err = d.describeChangeSet(ctx, p, out.NextToken); err != nil {
			return err
		}
	}
}

func (d *Deployer) failedChangeSet(ctx context.Context, p *Prepared, reason string) error {
	for _, text := range noChange {
		if strings.Contains(reason, text) {
			p.Kind = Unchanged
			return d.Discard(ctx, p)
		}
	}
	return d.giveUp(ctx, p, &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("CloudFormation cannot work out the change of %s: %s", p.Stack.Name, sentence(reason)), Hint: advice(reason, "Put right what it names, then try again.")})
}

// giveUp discards the change set for the sake of err, which it returns.
func (d *Deployer) giveUp(ctx context.Context, p *Prepared, err error) error {
	if discard := d.Discard(ctx, p); discard != nil {
		d.c.Say("%s: its change set %s could not be deleted: %v", p.Stack.Name, p.id, discard)
	}
	return err
}

// Discard deletes a change set that is not to be executed, and the empty stack that
// was made for it where this role may; an empty stack that stays is no hindrance to
// the next change set. It may be called twice, and works after ctx was canceled.
func (d *Deployer) Discard(ctx context.Context, p *Prepared) error {
	if p.id == "" {
		return nil
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer stop()
	if _, err := d.c.Clients.Stacks.DeleteChangeSet(ctx, &cfnapi.DeleteChangeSetInput{ChangeSetName: aws.String(p.id), StackName: aws.String(p.stackID)}); err != nil {
		return awsauth.Explain("deleting the change set of "+p.Stack.Name, err)
	}
	p.id = ""
	if !p.review {
		return nil
	}
	in := &cfnapi.DeleteStackInput{StackName: aws.String(p.stackID)}
	if p.Stack.Role != "" {
		in.RoleARN = aws.String(p.Stack.Role)
	}
	_, err := d.c.Clients.Stacks.DeleteStack(ctx, in)
	if err = awsauth.Explain("deleting the empty stack "+p.Stack.Name, err); ops.CodeOf(err) == ops.Denied {
		d.c.Say("%s: an empty stack stays behind (REVIEW_IN_PROGRESS); it does no harm and the next deployment uses it.", p.Stack.Name)
		return nil
	}
	return err
}

// Execute makes the changes of p, tells of each as it happens, and returns the
// stack's outputs. What Guard was asked is asked again: a run may have begun since.
// When ctx ends CloudFormation goes on; the error says so.
func (d *Deployer) Execute(ctx context.Context, p *Prepared) (map[string]string, error) {
	if err := d.Guard(ctx, p, p.interrupt); err != nil {
		return nil, err
	}
	seen, err := d.newestEvent(ctx, p.stackID) // what was before is not told again
	if err != nil {
		return nil, err
	}
	token := "synops-" + random()
	if _, err := d.c.Clients.Stacks.ExecuteChangeSet(ctx, &cfnapi.ExecuteChangeSetInput{ChangeSetName: aws.String(p.id), StackName: aws.String(p.stackID), ClientRequestToken: aws.String(token)}); err != nil {
		return nil, awsauth.Explain("executing the change set of "+p.Stack.Name, err)
	}
	p.id = "" // it is CloudFormation's now
	pause := d.pacing()
	for {
		// The status first: events that came before it are then sure to be told.
		s, err := d.find(ctx, p.stackID)
		if err == nil {
			seen, err = d.tellEvents(ctx, p.stackID, seen)
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, d.leftGoing(p, ctx.Err())
		case err != nil:
			return nil, err
		case s == nil:
			return nil, &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("Stack %s was deleted while it was being changed.", p.Stack.Name)}
		case !strings.HasSuffix(string(s.StackStatus), "_IN_PROGRESS"):
			return d.finished(ctx, p, s)
		}
		if err := pause(ctx); err != nil {
			return nil, d.leftGoing(p, err)
		}
	}
}

func (d *Deployer) leftGoing(p *Prepared, err error) error {
	e := awsauth.Explain("waiting for stack "+p.Stack.Name, err)
	if own, ok := errors.AsType[*ops.Error](e); ok {
		own.Hint = "CloudFormation goes on by itself. Run the same command again later: it says what is left to do."
	}
	return e
}

func (d *Deployer) finished(ctx context.Context, p *Prepared, s *types.Stack) (map[string]string, error) {
	switch s.StackStatus {
	case types.StackStatusCreateComplete, types.StackStatusUpdateComplete:
		return outputs(s), nil
	}
	left := "It was rolled back: everything is as it was."
	switch footingOf(s) {
	case remnant:
		left = "It is left as " + string(s.StackStatus) + " and serves nothing."
	case stuck:
		left = "Rolling back failed too."
	}
	f := d.firstFailure(ctx, p.stackID)
	return nil, &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("Stack %s failed. %s %s", p.Stack.Name, f.text(), left), Hint: f.advice()}
}
