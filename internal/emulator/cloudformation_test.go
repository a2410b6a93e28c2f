package emulator_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// small is a template of a topic, a log group that is kept, and a bucket.
const small = `
Description: a small one
Parameters:
  Days: {Type: Number, Default: 30}
  Password: {Type: String, NoEcho: true, Default: hidden}
  Group: {Type: String, Default: /small/logs}
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties: {}
  Logs:
    Type: AWS::Logs::LogGroup
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties: {LogGroupName: !Ref Group, RetentionInDays: !Ref Days}
  Broke:
    Type: AWS::Events::Rule
    Properties:
      Description: !Sub "to ${Topic}"
      EventPattern: {source: [aws.codebuild]}
      Targets: [{Id: t, Arn: !Ref Topic}]
Outputs:
  Topic: {Value: !Ref Topic, Description: where to, Export: {Name: small-topic}}
  LogsArn: {Value: !GetAtt Logs.Arn}
`

func smallStack(edit ...string) stackChange {
	return stackChange{name: "small", template: strings.NewReplacer(edit...).Replace(small), parameters: map[string]string{}}
}

func (s stackChange) with(key, value string) stackChange {
	s.parameters[key] = value
	return s
}

// describe returns the stack.
func describe(t *testing.T, c *cloudformation.Client, name string) cftypes.Stack {
	t.Helper()
	out, err := c.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return out.Stacks[0]
}

// TestStack_RollBack_Retained: what is to be retained stays where making the stack
// fails, unless its policy says that it was then never made.
func TestStack_RollBack_Retained(t *testing.T) {
	for policy, stays := range map[string]bool{"Retain": true, "RetainExceptOnCreate": false} {
		t.Run(policy, func(t *testing.T) {
			w := newQuickWorld(t)
			c, a := stacksOf(w.admin(dev)), w.Account(dev)
			// The rule is made after the log group, and cannot be.
			s := smallStack("DeletionPolicy: Retain", "DeletionPolicy: "+policy, "    Type: AWS::Events::Rule\n", "    Type: AWS::Events::Rule\n    DependsOn: Logs\n", "Targets: [{Id: t, Arn: !Ref Topic}]", "Targets: [{Id: t, Arn: nothing}]")
			if err := create(c, s); err == nil {
				t.Fatal("a rule with no target was made")
			}
			until(t, "the rollback", func() bool { status, _ := a.Stacks.Stack("small"); return status == "ROLLBACK_COMPLETE" })
			if _, there := a.Logs.Group("/small/logs"); there != stays {
				t.Errorf("the log group is there: %t, want %t", there, stays)
			}
		})
	}
	t.Run("outlived", func(t *testing.T) {
		w := newQuickWorld(t)
		c, a := stacksOf(w.admin(dev)), w.Account(dev)
		w.must(create(c, smallStack("DeletionPolicy: Retain", "DeletionPolicy: RetainExceptOnCreate")))
		w.must(remove(c, "small"))
		if _, there := a.Logs.Group("/small/logs"); !there {
			t.Error("what outlived its making went with its stack")
		}
	})
}

// TestStack_Life: made, looked at, changed, removed, each with the SDK's waiters.
func TestStack_Life(t *testing.T) {
	w := newQuickWorld(t)
	c := stacksOf(w.admin(dev))
	w.must(create(c, smallStack()))
	st := describe(t, c, "small")
	outputs := map[string]string{}
	for _, o := range st.Outputs {
		outputs[*o.OutputKey] = *o.OutputValue + " " + aws.ToString(o.ExportName)
	}
	topic := w.Account(dev).Stacks.Resource("small", "Topic")
	want := map[string]string{"Topic": topic + " small-topic", "LogsArn": "arn:aws:logs:us-east-1:" + dev + ":log-group:/small/logs:* "}
	if diff := cmp.Diff(want, outputs); diff != "" {
		t.Error(diff)
	}
	for _, p := range st.Parameters {
		if *p.ParameterKey == "Password" && *p.ParameterValue != "****" {
			t.Errorf("the password is shown: %s", *p.ParameterValue)
		}
	}
	if st.StackStatus != cftypes.StackStatusCreateComplete || *st.Description != "a small one" {
		t.Errorf("stack %s, %q", st.StackStatus, *st.Description)
	}
	w.must(update(c, smallStack().with("Days", "60")))
	if g, _ := w.Account(dev).Logs.Group("/small/logs"); g.RetentionDays != 60 {
		t.Errorf("retention %d days after the update", g.RetentionDays)
	}
	body, err := c.GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: aws.String("small")})
	w.must(err)
	if *body.TemplateBody != small {
		t.Error("GetTemplate gives another text")
	}
	w.must(remove(c, "small"))
	_, err = c.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("small")})
	wantCode(t, err, "ValidationError")
	if got := describe(t, c, *st.StackId); got.StackStatus != cftypes.StackStatusDeleteComplete {
		t.Errorf("by ID it is %s", got.StackStatus)
	}
	if _, kept := w.Account(dev).Logs.Group("/small/logs"); !kept {
		t.Error("the log group with Retain is gone")
	}
	if _, there := w.Account(dev).SNS.Topic(topic); there {
		t.Error("the topic is still there")
	}
}

// TestStack_Events: newest first, from the stack's begin to its end, and what is
// kept is skipped.
func TestStack_Events(t *testing.T) {
	w := newQuickWorld(t)
	c := stacksOf(w.admin(dev))
	w.must(create(c, smallStack()))
	id := *describe(t, c, "small").StackId
	w.must(remove(c, "small"))
	var got []string
	pages := cloudformation.NewDescribeStackEventsPaginator(c, &cloudformation.DescribeStackEventsInput{StackName: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		w.must(err)
		for _, e := range page.StackEvents {
			got = append(got, *e.LogicalResourceId+" "+string(e.ResourceStatus))
		}
	}
	slices.Reverse(got)
	want := []string{
		"small REVIEW_IN_PROGRESS", "small CREATE_IN_PROGRESS",
		"Logs CREATE_IN_PROGRESS", "Logs CREATE_IN_PROGRESS", "Logs CREATE_COMPLETE",
		"Topic CREATE_IN_PROGRESS", "Topic CREATE_IN_PROGRESS", "Topic CREATE_COMPLETE",
		"Broke CREATE_IN_PROGRESS", "Broke CREATE_IN_PROGRESS", "Broke CREATE_COMPLETE",
		"small CREATE_COMPLETE", "small DELETE_IN_PROGRESS",
		"Broke DELETE_IN_PROGRESS", "Broke DELETE_COMPLETE", "Topic DELETE_IN_PROGRESS", "Topic DELETE_COMPLETE",
		"Logs DELETE_SKIPPED", "small DELETE_COMPLETE",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestStack_Replacement: the new one is made first and what refers to it is changed;
// the old one goes, or stays where it is to be kept. What has a name of its own
// cannot be replaced under it.
func TestStack_Replacement(t *testing.T) {
	w := newQuickWorld(t)
	c, a := stacksOf(w.admin(dev)), w.Account(dev)
	w.must(create(c, smallStack()))
	old, rule := a.Stacks.Resource("small", "Topic"), a.Stacks.Resource("small", "Broke")
	w.must(update(c, smallStack("Properties: {}", "Properties: {TopicName: other}").with("Group", "/small/other")))
	topic := a.Stacks.Resource("small", "Topic")
	if _, there := a.SNS.Topic(old); there || topic == old {
		t.Error("the old topic is still there")
	}
	if r, _ := a.Events.Rule(rule); len(r.Targets) != 1 || r.Targets[0].ARN != topic {
		t.Errorf("the rule leads to %+v, want %s", r.Targets, topic)
	}
	if _, kept := a.Logs.Group("/small/logs"); !kept {
		t.Error("the old log group was not kept")
	}
	// What is replaced is kept by one policy, what is removed by the other.
	w.must(update(c, smallStack("    UpdateReplacePolicy: Retain\n", "").with("Group", "/small/third")))
	w.must(update(c, smallStack("    UpdateReplacePolicy: Retain\n", "").with("Group", "/small/fourth")))
	if _, kept := a.Logs.Group("/small/third"); kept {
		t.Error("a replaced log group was kept by its deletion policy")
	}
}

// TestStack_RollBack: what was made goes, newest first, and the first failure says
// why; then only deletion is left.
func TestStack_RollBack(t *testing.T) {
	w := newQuickWorld(t)
	c, a := stacksOf(w.admin(dev)), w.Account(dev)
	w.must(a.Logs.CreateGroup("/small/logs", 0))
	s := smallStack("    Type: AWS::Logs::LogGroup\n", "    Type: AWS::Logs::LogGroup\n    DependsOn: Broke\n")
	if err := create(c, s); err == nil {
		t.Fatal("a log group of a taken name was made")
	}
	until(t, "the rollback", func() bool { status, _ := a.Stacks.Stack("small"); return status == "ROLLBACK_COMPLETE" })
	if got := a.SNS.Topics(); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
	events, err := c.DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: aws.String("small")})
	w.must(err)
	var failed []string
	for _, e := range events.StackEvents {
		if strings.HasSuffix(string(e.ResourceStatus), "_FAILED") || e.ResourceStatus == "ROLLBACK_IN_PROGRESS" {
			failed = append(failed, *e.LogicalResourceId+": "+*e.ResourceStatusReason)
		}
	}
	want := []string{
		"small: The following resource(s) failed to create: [Logs]. Rollback requested by user.",
		`Logs: Resource handler returned message: "The specified log group already exists" (HandlerErrorCode: ResourceAlreadyExistsException)`,
	}
	if diff := cmp.Diff(want, failed); diff != "" {
		t.Error(diff)
	}
	_, err = c.CreateChangeSet(ctx, s.input(changes, cftypes.ChangeSetTypeUpdate))
	wantCode(t, err, "ValidationError")
	w.must(remove(c, "small"))
}

// TestStack_UpdateRollsBack: a failed update leaves every resource as it was.
func TestStack_UpdateRollsBack(t *testing.T) {
	w := newQuickWorld(t)
	c, a := stacksOf(w.admin(dev)), w.Account(dev)
	w.must(create(c, smallStack()))
	before := a.Stacks.Resource("small", "Topic")
	s := smallStack("source: [aws.codebuild]", "source: [{wildcard: aws}]", "Properties: {}", "Properties: {TopicName: other}").with("Days", "60")
	if err := update(c, s); err == nil {
		t.Fatal("a pattern nobody models was taken")
	}
	until(t, "the rollback", func() bool { status, _ := a.Stacks.Stack("small"); return status == "UPDATE_ROLLBACK_COMPLETE" })
	if g, _ := a.Logs.Group("/small/logs"); g.RetentionDays != 30 {
		t.Errorf("retention %d days", g.RetentionDays)
	}
	if got := a.SNS.Topics(); !slices.Equal(got, []string{before}) || a.Stacks.Resource("small", "Topic") != before {
		t.Errorf("topics %v, want %s alone", got, before)
	}
	if got := driftOf(t, c, "small"); got != "IN_SYNC" {
		t.Error(got)
	}
	w.must(update(c, smallStack().with("Days", "60")))
}

// TestStack_CustomNameCannotBeReplaced: under the same name there can be one.
func TestStack_CustomNameCannotBeReplaced(t *testing.T) {
	const policy = `
Parameters: {Words: {Type: String}}
Resources:
  P:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      ManagedPolicyName: p
      Description: !Ref Words
      PolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "s3:GetObject", Resource: "*"}]}
`
	w := newQuickWorld(t)
	c := stacksOf(w.admin(dev))
	s := stackChange{name: "p", template: policy, parameters: map[string]string{"Words": "one"}, capabilities: []cftypes.Capability{cftypes.CapabilityCapabilityNamedIam}}
	w.must(create(c, s))
	if err := update(c, s.with("Words", "two")); err == nil {
		t.Error("it was replaced")
	}
	until(t, "the rollback", func() bool {
		status, _ := w.Account(dev).Stacks.Stack("p")
		return status == "UPDATE_ROLLBACK_COMPLETE"
	})
	events, err := c.DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: aws.String("p")})
	w.must(err)
	if !slices.ContainsFunc(events.StackEvents, func(e cftypes.StackEvent) bool {
		return strings.Contains(aws.ToString(e.ResourceStatusReason), "cannot update a stack when a custom-named resource requires replacing")
	}) {
		t.Error("no event says why")
	}
}

// TestStack_Protection: a protected stack, and one whose export is in use, stay.
func TestStack_Protection(t *testing.T) {
	w := newQuickWorld(t)
	c := stacksOf(w.admin(dev))
	w.must(create(c, smallStack()))
	w.must(create(c, stackChange{name: "user", template: `
Resources:
  Rule:
    Type: AWS::Events::Rule
    Properties: {EventPattern: {source: [aws.codebuild]}, Targets: [{Id: t, Arn: !ImportValue small-topic}]}
`}))
	wantCode(t, remove(c, "small"), "ValidationError")
	if err := update(c, smallStack(", Export: {Name: small-topic}", "")); err == nil {
		t.Error("an export in use was removed")
	}
	until(t, "the rollback", func() bool {
		status, reason := w.Account(dev).Stacks.Stack("small")
		if status == "UPDATE_ROLLBACK_IN_PROGRESS" && !strings.Contains(reason, "in use by user") {
			t.Errorf("it rolls back because %q", reason)
		}
		return status == "UPDATE_ROLLBACK_COMPLETE"
	})
	w.must(remove(c, "user"))
	protect := func(on bool) {
		_, err := c.UpdateTerminationProtection(ctx, &cloudformation.UpdateTerminationProtectionInput{StackName: aws.String("small"), EnableTerminationProtection: &on})
		w.must(err)
	}
	protect(true)
	wantCode(t, remove(c, "small"), "ValidationError")
	protect(false)
	w.must(remove(c, "small"))
	list, err := c.ListStacks(ctx, &cloudformation.ListStacksInput{StackStatusFilter: []cftypes.StackStatus{cftypes.StackStatusDeleteComplete}})
	w.must(err)
	if len(list.StackSummaries) != 2 {
		t.Errorf("%d deleted stacks are listed, want 2", len(list.StackSummaries))
	}
	twice := stackChange{name: "twice", template: small}
	w.must(create(c, smallStack().with("Group", "/small/2")))
	if err := create(c, twice); err == nil {
		t.Error("two stacks export one name")
	}
}

// TestStack_ImportOfNothing: a name that nobody exports is refused at once.
func TestStack_ImportOfNothing(t *testing.T) {
	w := newQuickWorld(t)
	c := stacksOf(w.admin(dev))
	err := create(c, stackChange{name: "user", template: `
Resources:
  Rule:
    Type: AWS::Events::Rule
    Properties: {EventPattern: {source: [aws.codebuild]}, Targets: [{Id: t, Arn: !ImportValue small-topic}]}
`})
	if err == nil || !strings.Contains(err.Error(), "No export named small-topic found") {
		t.Errorf("error %v", err)
	}
}

// TestStack_Drift: what somebody changed or removed is named, property by property.
func TestStack_Drift(t *testing.T) {
	w := newQuickWorld(t)
	c, a := stacksOf(w.admin(dev)), w.Account(dev)
	w.must(create(c, smallStack()))
	w.must(a.Logs.SetRetention("/small/logs", 1))
	w.must(a.Events.DeleteRule(a.Stacks.Resource("small", "Broke")))
	want := "DRIFTED; Logs MODIFIED; NOT_EQUAL /RetentionInDays 1 instead of 30; Broke DELETED"
	if got := driftOf(t, c, "small"); got != want {
		t.Errorf("found %q, want %q", got, want)
	}
	if st := describe(t, c, "small"); st.DriftInformation.StackDriftStatus != cftypes.StackDriftStatusDrifted {
		t.Errorf("the stack says %s", st.DriftInformation.StackDriftStatus)
	}
	// Drift is looked at with the permissions of who asks.
	w.role(dev, "looker", allows("*", "cloudformation:*"))
	if got := driftOf(t, stacksOf(w.as(dev, "looker")), "small"); !strings.Contains(got, "not authorized") {
		t.Errorf("without permission to read: %q", got)
	}
}

// TestStack_ServiceRole: with a role the change is made with its powers, for this and
// every later change; without, with those of who asks.
func TestStack_ServiceRole(t *testing.T) {
	w := newQuickWorld(t)
	trustCFN := trust(`"Service":"cloudformation.amazonaws.com"`, "sts:AssumeRole", `{"StringEquals":{"aws:SourceAccount":"`+dev+`"}}`)
	service, err := w.Account(dev).IAM.CreateRole(emulator.Role{Name: "service", Trust: trustCFN, Inline: map[string]string{"p": allows("*", "sns:*", "events:*", "logs:*")}})
	w.must(err)
	stranger := w.role(dev, "stranger", allows("*", "sns:*"))
	w.role(dev, "asker", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudformation:*","Resource":"*"},
		{"Effect":"Allow","Action":"iam:PassRole","Resource":["`+service.ARN+`","`+stranger.ARN+`"],"Condition":{"StringEquals":{"iam:PassedToService":"cloudformation.amazonaws.com"}}}]}`)
	c := stacksOf(w.as(dev, "asker"))
	own := smallStack()
	if err := create(c, own); err == nil {
		t.Error("made without permission")
	}
	w.must(remove(c, "small"))
	s := smallStack()
	s.role = service.ARN
	s.name = "small2"
	w.must(create(c, s))
	s.role = "" // it is remembered
	w.must(update(c, s.with("Days", "60")))
	w.must(remove(c, "small2"))
	s = smallStack()
	s.name, s.role = "small3", stranger.ARN
	if err := create(c, s); err == nil {
		t.Error("made with a role that does not trust CloudFormation")
	}
	s.name, s.role = "small4", "arn:aws:iam::"+dev+":role/other"
	wantCode(t, create(c, s), "AccessDenied")
}

// TestStack_CallsAgain: a call sent twice with its token is one; without, it is
// refused.
func TestStack_CallsAgain(t *testing.T) {
	w := newQuickWorld(t, func(s *emulator.Settings) { s.Stacks.Step = 50 * time.Millisecond })
	c := stacksOf(w.admin(dev))
	in := smallStack().input(changes, cftypes.ChangeSetTypeCreate)
	in.ClientToken = aws.String("t-1")
	first, err := c.CreateChangeSet(ctx, in)
	w.must(err)
	second, err := c.CreateChangeSet(ctx, in)
	w.must(err)
	if *first.Id != *second.Id {
		t.Error("one token made two change sets")
	}
	in.ClientToken = aws.String("t-2")
	_, err = c.CreateChangeSet(ctx, in)
	wantCode(t, err, "AlreadyExistsException")
	set := &cloudformation.DescribeChangeSetInput{StackName: aws.String("small"), ChangeSetName: aws.String(changes)}
	until(t, "the change set", func() bool {
		out, err := c.DescribeChangeSet(ctx, set)
		w.must(err)
		return out.Status == cftypes.ChangeSetStatusCreateComplete
	})
	execute := func(token string) error {
		_, err := c.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: set.StackName, ChangeSetName: set.ChangeSetName, ClientRequestToken: &token})
		return err
	}
	w.must(execute("e-1"))
	w.must(execute("e-1"))
	wantCode(t, execute("e-2"), "InvalidChangeSetStatus")
}

// TestStack_OneAtATime: while a stack is at work every other change is refused.
func TestStack_OneAtATime(t *testing.T) {
	w := newQuickWorld(t, func(s *emulator.Settings) { s.Stacks.Step = 150 * time.Millisecond })
	c := stacksOf(w.admin(dev))
	s := smallStack()
	_, err := propose(c, s, cftypes.ChangeSetTypeCreate)
	w.must(err)
	_, err = c.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: aws.String("small"), ChangeSetName: aws.String(changes)})
	w.must(err)
	if status, _ := w.Account(dev).Stacks.Stack("small"); status != "CREATE_IN_PROGRESS" {
		t.Fatalf("stack %s", status)
	}
	_, err = c.CreateChangeSet(ctx, s.input("other", cftypes.ChangeSetTypeUpdate))
	wantCode(t, err, "ValidationError")
	_, err = c.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: aws.String("small"), ChangeSetName: aws.String(changes)})
	wantCode(t, err, "InvalidChangeSetStatus")
	_, err = c.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("small")})
	wantCode(t, err, "ValidationError")
}
