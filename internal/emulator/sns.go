package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// SNS holds an account's topics.
type SNS struct {
	account *Account

	mu     sync.Mutex
	topics map[string]*Topic // by ARN
}

// A Topic keeps every message that was published to it.
type Topic struct {
	Name          string
	ARN           string
	Policy        string // JSON; "" the default: the account alone may publish
	Subscriptions []Subscription
	Messages      []Message
}

// A Subscription is an end point that gets messages: an e-mail address, which waits
// for its confirmation for ever, or an http URL on loopback.
type Subscription struct{ ARN, Protocol, Endpoint string }

// A Message is what was published, and by whom.
type Message struct {
	ID, Subject, Body string
	From              string // principal
	At                time.Time
}

func newSNS(a *Account) *SNS { return &SNS{account: a, topics: map[string]*Topic{}} }

// CreateTopic stores a new topic and returns its ARN.
func (s *SNS) CreateTopic(name string) (string, error) {
	arn := s.account.arn("sns", name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[arn] != nil {
		return "", fault("InvalidParameter", "Topic %s already exists", name)
	}
	s.topics[arn] = &Topic{Name: name, ARN: arn}
	return arn, nil
}

// UpdateTopic changes a topic's policy or subscriptions.
func (s *SNS) UpdateTopic(arn string, change func(*Topic)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[arn]
	if t == nil {
		return noTopic()
	}
	c := t.clone()
	change(&c)
	if c.Policy != "" {
		if _, err := policy.Parse([]byte(c.Policy)); err != nil {
			return fault("InvalidParameter", "Invalid parameter: Policy Error: %v", err)
		}
	}
	for i := range c.Subscriptions {
		if c.Subscriptions[i].ARN == "" {
			c.Subscriptions[i].ARN = arn + ":" + requestID()
		}
	}
	t.Policy, t.Subscriptions = c.Policy, c.Subscriptions
	return nil
}

// DeleteTopic removes a topic and its subscriptions.
func (s *SNS) DeleteTopic(arn string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[arn] == nil {
		return noTopic()
	}
	delete(s.topics, arn)
	return nil
}

// Topic returns a topic with its messages, by ARN.
func (s *SNS) Topic(arn string) (Topic, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[arn]
	if t == nil {
		return Topic{}, false
	}
	return t.clone(), true
}

// Topics returns the ARNs of all topics, sorted.
func (s *SNS) Topics() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.topics))
}

func (t *Topic) clone() Topic {
	c := *t
	c.Subscriptions, c.Messages = slices.Clone(t.Subscriptions), slices.Clone(t.Messages)
	return c
}

func noTopic() *Fault {
	return &Fault{"NotFound", "Topic does not exist", http.StatusNotFound}
}

// publish delivers a message if who may publish; http end points get it in the
// background, once.
func (s *SNS) publish(who *Caller, keys map[string][]string, arn, subject, body string) (string, error) {
	t, ok := s.Topic(arn)
	if !ok {
		return "", noTopic()
	}
	doc, err := t.policy(s.account)
	if err != nil {
		return "", err
	}
	d := *queryDialect
	d.denied.Code = "AuthorizationError"
	err = s.account.cloud.allow(who, question{action: "sns:Publish", resource: arn, keys: keys, owner: s.account, policies: []*policy.Document{doc}}, &d)
	if err != nil {
		return "", err
	}
	m := Message{ID: requestID(), Subject: subject, Body: body, From: principalOf(who), At: s.account.cloud.now()}
	s.mu.Lock()
	if live := s.topics[arn]; live != nil {
		live.Messages = append(live.Messages, m)
	}
	s.mu.Unlock()
	for _, sub := range t.Subscriptions {
		if sub.Protocol == "http" {
			s.account.cloud.background(func(ctx context.Context) { s.deliver(ctx, sub, arn, m) })
		}
	}
	return m.ID, nil
}

func (t *Topic) policy(a *Account) (*policy.Document, error) {
	if t.Policy == "" {
		return nil, nil
	}
	return a.IAM.parse(t.Policy)
}

func (s *SNS) deliver(ctx context.Context, sub Subscription, topic string, m Message) {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	body, err := json.Marshal(map[string]string{
		"Type": "Notification", "MessageId": m.ID, "TopicArn": topic, "Subject": m.Subject, "Message": m.Body, "Timestamp": stamp(m.At),
	})
	if err != nil {
		return
	}
	hreq, err := http.NewRequestWithContext(ctx, http.MethodPost, sub.Endpoint, bytes.NewReader(body))
	if err != nil {
		return
	}
	hreq.Header.Set("X-Amz-Sns-Message-Type", "Notification")
	hreq.Close = true
	resp, err := s.account.cloud.transport.RoundTrip(hreq)
	if err != nil {
		s.account.cloud.config.Log.Info("message not delivered", "topic", topic, "endpoint", sub.Endpoint)
		return
	}
	resp.Body.Close()
}

func snsService() service {
	return &queryService{
		namespace: "http://sns.amazonaws.com/doc/2010-03-31/",
		denied:    "AuthorizationError",
		operations: map[string]operation{
			"Publish":                  {takes: []string{"TopicArn", "Message", "Subject"}, do: publish},
			"GetTopicAttributes":       {takes: []string{"TopicArn"}, do: getTopicAttributes},
			"ListTopics":               {do: listTopics},
			"ListSubscriptionsByTopic": {takes: []string{"TopicArn"}, do: listSubscriptions},
		},
	}
}

// topicOwner returns whose topic an ARN names.
func (c *call) topicOwner(arn string) (*SNS, error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[2] != "sns" {
		return nil, fault("InvalidParameter", "Invalid parameter: TopicArn %q", arn)
	}
	a := c.cloud.Account(parts[4])
	if a == nil {
		return nil, noTopic()
	}
	return a.SNS, nil
}

// publish: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
func publish(c *call) (any, error) {
	subject, body := c.param("Subject"), c.param("Message")
	if len(body) == 0 || len(body) > 262144 || len(subject) > 100 || strings.ContainsAny(subject, "\r\n") {
		return nil, fault("InvalidParameter", "Invalid parameter: a message has 1 to 262144 bytes, a subject at most 100 characters on one line")
	}
	owner, err := c.topicOwner(c.param("TopicArn"))
	if err != nil {
		return nil, err
	}
	id, err := owner.publish(c.caller, c.keys(), c.param("TopicArn"), subject, body)
	if err != nil {
		return nil, err
	}
	return struct {
		MessageID string `xml:"MessageId"`
	}{id}, nil
}

// topic returns a topic if the caller may do action to it.
func (c *call) topic(action string) (Topic, error) {
	arn := c.param("TopicArn")
	owner, err := c.topicOwner(arn)
	if err != nil {
		return Topic{}, err
	}
	t, ok := owner.Topic(arn)
	doc, err := t.policy(owner.account)
	if err != nil {
		return Topic{}, err
	}
	if err := c.allow(question{action: action, resource: arn, owner: owner.account, policies: []*policy.Document{doc}}); err != nil {
		return Topic{}, err
	}
	if !ok {
		return Topic{}, noTopic()
	}
	return t, nil
}

type xmlEntry struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

func getTopicAttributes(c *call) (any, error) {
	t, err := c.topic("sns:GetTopicAttributes")
	if err != nil {
		return nil, err
	}
	return struct {
		Entries []xmlEntry `xml:"Attributes>entry"`
	}{[]xmlEntry{
		{"TopicArn", t.ARN}, {"Policy", t.Policy},
		{"SubscriptionsPending", fmt.Sprint(t.count("email"))}, {"SubscriptionsConfirmed", fmt.Sprint(t.count("http"))},
	}}, nil
}

func (t *Topic) count(protocol string) int {
	n := 0
	for _, s := range t.Subscriptions {
		if s.Protocol == protocol {
			n++
		}
	}
	return n
}

func listTopics(c *call) (any, error) {
	if err := c.allow(question{action: "sns:ListTopics", resource: "*"}); err != nil {
		return nil, err
	}
	type member struct{ TopicArn string }
	var out struct {
		Members []member `xml:"Topics>member"`
	}
	for _, arn := range c.account.SNS.Topics() {
		out.Members = append(out.Members, member{arn})
	}
	return out, nil
}

func listSubscriptions(c *call) (any, error) {
	t, err := c.topic("sns:ListSubscriptionsByTopic")
	if err != nil {
		return nil, err
	}
	type member struct{ TopicArn, Protocol, SubscriptionArn, Owner, Endpoint string }
	var out struct {
		Members []member `xml:"Subscriptions>member"`
	}
	for _, s := range t.Subscriptions {
		arn := s.ARN
		if s.Protocol == "email" { // nobody is there to press the button
			arn = "PendingConfirmation"
		}
		out.Members = append(out.Members, member{t.ARN, s.Protocol, arn, strings.Split(t.ARN, ":")[4], s.Endpoint})
	}
	return out, nil
}
