package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfnapi "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// discardTime bounds tidying up after a change set.
const discardTime = 20 * time.Second

const stackType = "AWS::CloudFormation::Stack"

// eventsUntil returns a stack's events newest first, up to and without the first
// for which enough answers true.
func (d *Deployer) eventsUntil(ctx context.Context, stack string, enough func(*types.StackEvent) bool) ([]types.StackEvent, error) {
	in := &cfnapi.DescribeStackEventsInput{StackName: aws.String(stack)}
	var all []types.StackEvent
	for {
		out, err := d.c.Clients.Stacks.DescribeStackEvents(ctx, in)
		if err != nil {
			return nil, awsauth.Explain("reading the events of stack "+shown(stack), err)
		}
		for i := range out.StackEvents {
			if enough(&out.StackEvents[i]) {
				return all, nil
			}
			all = append(all, out.StackEvents[i])
		}
		if aws.ToString(out.NextToken) == "" {
			return all, nil
		}
		in.NextToken = out.NextToken
	}
}

func (d *Deployer) newestEvent(ctx context.Context, stack string) (string, error) {
	out, err := d.c.Clients.Stacks.DescribeStackEvents(ctx, &cfnapi.DescribeStackEventsInput{StackName: aws.String(stack)})
	if err != nil {
		return "", awsauth.Explain("reading the events of stack "+stack, err)
	}
	if len(out.StackEvents) == 0 {
		return "", nil
	}
	return aws.ToString(out.StackEvents[0].EventId), nil
}

// tellEvents tells what happened since the event seen, oldest first, and returns
// the newest.
func (d *Deployer) tellEvents(ctx context.Context, stack, seen string) (string, error) {
	news, err := d.eventsUntil(ctx, stack, func(e *types.StackEvent) bool { return aws.ToString(e.EventId) == seen && seen != "" })
	if err != nil {
		return seen, err
	}
	slices.Reverse(news)
	for i := range news {
		seen = aws.ToString(news[i].EventId)
		if !worthTelling(&news[i]) {
			continue
		}
		line := fmt.Sprintf("  %-28s %s  %s", news[i].ResourceStatus, shown(aws.ToString(news[i].LogicalResourceId)), shown(aws.ToString(news[i].ResourceType)))
		if failed(&news[i]) {
			line += ": " + sentence(aws.ToString(news[i].ResourceStatusReason))
		}
		d.c.Say("%s", line)
	}
	return seen, nil
}

// worthTelling leaves out the beginnings of resources: their ends are told.
func worthTelling(e *types.StackEvent) bool {
	return aws.ToString(e.ResourceType) == stackType || !strings.HasSuffix(string(e.ResourceStatus), "_IN_PROGRESS")
}

func failed(e *types.StackEvent) bool { return strings.HasSuffix(string(e.ResourceStatus), "_FAILED") }

// A failure is the event that the rest of a failed change followed from; zero when
// none was found.
type failure struct {
	id, kind, reason string
}

// firstFailure finds the first failing event of the stack's last operation. What
// was canceled because of it is passed over.
func (d *Deployer) firstFailure(ctx context.Context, stack string) failure {
	began := false
	events, err := d.eventsUntil(ctx, stack, func(e *types.StackEvent) bool {
		if began {
			return true
		}
		began = aws.ToString(e.ResourceType) == stackType && aws.ToString(e.PhysicalResourceId) == aws.ToString(e.StackId) && begins(e.ResourceStatus)
		return false
	})
	if err != nil {
		return failure{reason: "Its events cannot be read: " + err.Error()}
	}
	slices.Reverse(events)
	for i := range events {
		reason := aws.ToString(events[i].ResourceStatusReason)
		if !failed(&events[i]) || strings.Contains(reason, "cancelled") || //nolint:misspell // as CloudFormation spells it
			aws.ToString(events[i].ResourceType) == stackType {
			continue
		}
		return failure{aws.ToString(events[i].LogicalResourceId), aws.ToString(events[i].ResourceType), reason}
	}
	return failure{}
}

// begins: a roll-back belongs to the operation that it rolls back.
func begins(s types.ResourceStatus) bool {
	return s == types.ResourceStatusCreateInProgress || s == types.ResourceStatusUpdateInProgress || s == types.ResourceStatusDeleteInProgress
}

func (f failure) text() string {
	switch {
	case f.id == "" && f.reason == "":
		return "None of its events says why."
	case f.id == "":
		return sentence(f.reason)
	}
	return fmt.Sprintf("It failed first at %s (%s): %s", shown(f.id), shown(f.kind), sentence(f.reason))
}

func (f failure) advice() string {
	return advice(f.reason, "Put right what it names, then run the same command again.")
}

func (d *Deployer) whyFailed(ctx context.Context, stack string) string {
	return d.firstFailure(ctx, stack).text()
}

// advices is what helps, by what AWS's reason holds.
var advices = []struct{ part, advice string }{
	{"is not authorized to perform", "The role that CloudFormation acts as lacks that permission: an administrator brings it up to date with synops bootstrap, then run this again."},
	{"AccessDenied", "The role that CloudFormation acts as lacks that permission: an administrator brings it up to date with synops bootstrap, then run this again."},
	{"permissions boundary", "Roles here are made with the boundary synops-boundary only; bring it up to date with synops bootstrap, then run this again."},
	{"already exists", "Something of that name is there and is not this stack's: a retained remnant or somebody's own. Look at it in the console; delete or rename it if nothing needs it, then run this again."},
	{"imit", "The account is at a limit: ask AWS to raise it in Service Quotas, then run this again."},
	{"Rate exceeded", "AWS throttles; run this again in a minute."},
	{"does not have enough subnet", "Check SUBNETS: they must be subnets of VPC_ID."},
	{"InvalidSubnet", "Check SUBNETS: they must be subnets of VPC_ID."},
	{"ecurity group", "Check SECURITY_GROUP_IDS: they must be groups of VPC_ID."},
	{"MalformedPolicyDocument", "IAM does not take a policy in the template: this release is at fault, report it. If it names a principal, that role must be there first: run synops bootstrap."},
	{"No export named", "The bootstrap stack is older than this release: an administrator runs synops bootstrap first."},
	{"in use by", "Another stack uses that output: bring the lanes up to date first."},
	{"Parameters: [", "Give the parameter it names: --parameter NAME=VALUE."},
	{"Parameter ", "Give the parameter it names another value: --parameter NAME=VALUE."},
}

func advice(reason, otherwise string) string {
	for _, a := range advices {
		if strings.Contains(reason, a.part) {
			return a.advice
		}
	}
	return otherwise
}

// sentence bounds a text from outside, keeps it on a line and ends it.
func sentence(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" {
		return "it gives no reason."
	}
	if r := []rune(s); len(r) > 400 {
		s = string(r[:400]) + "…"
	}
	return strings.TrimSuffix(s, ".") + "."
}
