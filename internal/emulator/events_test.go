package emulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// topic stores a topic to which a service may publish.
func (w *world) topic(service string) string {
	w.t.Helper()
	s := w.Account(dev).SNS
	arn, err := s.CreateTopic("alarms")
	w.must(err)
	w.must(s.UpdateTopic(arn, func(t *emulator.Topic) {
		t.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sns:Publish","Resource":"` + arn + `"}]}`
	}))
	return arn
}

func build(project, status string) emulator.Event {
	return emulator.Event{
		Source: "aws.codebuild", DetailType: "CodeBuild Build State Change", Resources: []string{"arn:aws:codebuild:us-east-1:" + dev + ":build/" + project + ":1"},
		Detail: map[string]any{"build-status": status, "project-name": project, "additional-information": map[string]any{"timeout-in-minutes": 60}},
	}
}

// TestEvents_RuleToTopic: an event that matches reaches the topic, in the template's
// words; others do not.
func TestEvents_RuleToTopic(t *testing.T) {
	w := newWorld(t)
	arn := w.topic("events.amazonaws.com")
	e := w.Account(dev).Events
	_, err := e.PutRule(emulator.Rule{
		Name:    "ended",
		Pattern: `{"source":["aws.codebuild"],"detail":{"project-name":[{"prefix":"synops-"}],"build-status":["FAILED","STOPPED"],"additional-information":{"timeout-in-minutes":[60]}}}`,
		Targets: []emulator.RuleTarget{{ID: "t", ARN: arn, Paths: map[string]string{"p": "$.detail.project-name", "s": "$.detail.build-status"}, Template: `"<p> is <s>"`}},
	})
	w.must(err)
	for _, event := range []emulator.Event{build("synops-plan", "FAILED"), build("synops-plan", "SUCCEEDED"), build("other", "FAILED")} {
		e.Emit(event)
	}
	got, _ := w.Account(dev).SNS.Topic(arn)
	if len(got.Messages) != 1 || got.Messages[0].Body != "synops-plan is FAILED" || got.Messages[0].From != "events.amazonaws.com" {
		t.Errorf("messages %+v; refused: %q", got.Messages, e.Failures())
	}
	if len(e.Emitted()) != 3 {
		t.Errorf("%d events on record", len(e.Emitted()))
	}
	c := eventsOf(w.admin(dev))
	r, err := c.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: aws.String("ended")})
	w.must(err)
	targets, err := c.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: aws.String("ended")})
	w.must(err)
	if r.State != "ENABLED" || *targets.Targets[0].Arn != arn {
		t.Errorf("rule %+v, targets %+v", r, targets.Targets)
	}
}

// TestEvents_TopicMustTrust: without the topic's leave nothing is delivered, and
// the bus knows.
func TestEvents_TopicMustTrust(t *testing.T) {
	w := newWorld(t)
	arn := w.topic("cloudwatch.amazonaws.com")
	e := w.Account(dev).Events
	_, err := e.PutRule(emulator.Rule{Name: "all", Pattern: `{"source":["aws.codebuild"]}`, Targets: []emulator.RuleTarget{{ID: "t", ARN: arn}}})
	w.must(err)
	e.Emit(build("p", "FAILED"))
	if got, _ := w.Account(dev).SNS.Topic(arn); len(got.Messages) != 0 {
		t.Errorf("messages %+v", got.Messages)
	}
	if f := e.Failures(); len(f) != 1 || !strings.Contains(f[0], "AuthorizationError") {
		t.Errorf("failures %q", f)
	}
}

func TestEvents_Patterns(t *testing.T) {
	w := newWorld(t)
	e := w.Account(dev).Events
	for p, want := range map[string]string{
		`{"source":"aws.codebuild"}`:        "InvalidEventPatternException",
		`{"source":[{"wildcard":"aws.*"}]}`: "NotModelled",
		`nonsense`:                          "InvalidEventPatternException",
	} {
		if _, err := e.PutRule(emulator.Rule{Name: "r", Pattern: p}); codeOf2(err) != want {
			t.Errorf("%s: %v, want %s", p, err, want)
		}
	}
	arn := w.topic("events.amazonaws.com")
	for i, tc := range []struct {
		pattern string
		want    bool
	}{
		{`{"detail":{"build-status":[{"anything-but":["SUCCEEDED","IN_PROGRESS"]}]}}`, true},
		{`{"detail":{"build-status":[{"anything-but":"FAILED"}]}}`, false},
		{`{"detail":{"phase":[{"exists":false}]}}`, true},
		{`{"detail":{"build-status":[{"exists":false}]}}`, false},
		{`{"resources":[{"prefix":"arn:aws:codebuild:"}]}`, true},
		{`{"account":["` + prod + `"]}`, false},
		{`{"detail":{"build-status":{"x":["y"]}}}`, false},
	} {
		_, err := e.PutRule(emulator.Rule{Name: "r", Pattern: tc.pattern, Targets: []emulator.RuleTarget{{ID: "t", ARN: arn}}})
		w.must(err)
		before, _ := w.Account(dev).SNS.Topic(arn)
		e.Emit(build("p", "FAILED"))
		after, _ := w.Account(dev).SNS.Topic(arn)
		if got := len(after.Messages) > len(before.Messages); got != tc.want {
			t.Errorf("pattern %d %s: matched %v", i, tc.pattern, got)
		}
	}
}

// TestSNS_Delivery: a subscriber on loopback gets the message; one by e-mail stays
// unconfirmed.
func TestSNS_Delivery(t *testing.T) {
	w := newWorld(t)
	arrived := make(chan map[string]string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var m map[string]string
		_ = json.Unmarshal(b, &m)
		arrived <- m
	}))
	defer server.Close()
	s := w.Account(dev).SNS
	arn, err := s.CreateTopic("alarms")
	w.must(err)
	w.must(s.UpdateTopic(arn, func(t *emulator.Topic) {
		t.Subscriptions = []emulator.Subscription{{Protocol: "http", Endpoint: server.URL}, {Protocol: "email", Endpoint: "ops@example.org"}}
	}))
	c := snsOf(w.admin(dev))
	_, err = c.Publish(ctx, &sns.PublishInput{TopicArn: &arn, Subject: aws.String("news"), Message: aws.String("text")})
	w.must(err)
	if m := <-arrived; m["Message"] != "text" || m["Subject"] != "news" || m["TopicArn"] != arn {
		t.Errorf("delivered %v", m)
	}
	subs, err := c.ListSubscriptionsByTopic(ctx, &sns.ListSubscriptionsByTopicInput{TopicArn: &arn})
	w.must(err)
	if len(subs.Subscriptions) != 2 || *subs.Subscriptions[1].SubscriptionArn != "PendingConfirmation" {
		t.Errorf("subscriptions %+v", subs.Subscriptions)
	}
	a, err := c.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &arn})
	w.must(err)
	if a.Attributes["SubscriptionsPending"] != "1" {
		t.Errorf("attributes %v", a.Attributes)
	}
	_, err = c.Publish(ctx, &sns.PublishInput{TopicArn: aws.String(arn + "x"), Message: aws.String("m")})
	wantCode(t, err, "NotFound")
	_, err = c.Publish(ctx, &sns.PublishInput{TopicArn: &arn, Message: aws.String("m"), Subject: aws.String("two\nlines")})
	wantCode(t, err, "InvalidParameter")
}
