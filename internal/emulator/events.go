package emulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Events is an account's default event bus and its rules.
type Events struct {
	account *Account

	mu       sync.Mutex
	rules    map[string]*Rule // by name
	emitted  []Event
	failures []string
}

// A Rule sends events that match a pattern to topics.
type Rule struct {
	Name        string
	Description string
	Pattern     string // JSON
	Disabled    bool
	Targets     []RuleTarget
}

// A RuleTarget is a topic, and what is made of the event for it.
type RuleTarget struct {
	ID  string
	ARN string
	// Paths and Template are the input transformer; an empty template sends the
	// event itself.
	Paths    map[string]string
	Template string
}

// An Event is one event as rules see it.
type Event struct {
	Source     string // such as aws.codebuild
	DetailType string
	Resources  []string
	Detail     map[string]any
	At         time.Time // zero: now
}

func newEvents(a *Account) *Events { return &Events{account: a, rules: map[string]*Rule{}} }

// PutRule stores a rule, in place of one of that name, and returns its ARN.
func (e *Events) PutRule(r Rule) (string, error) {
	var pattern map[string]any
	if err := json.Unmarshal([]byte(r.Pattern), &pattern); err != nil {
		return "", fault("InvalidEventPatternException", "Event pattern is not valid: %v", err)
	}
	if err := checkPattern(pattern); err != nil {
		return "", err
	}
	if len(r.Targets) > 5 {
		return "", fault("LimitExceededException", "A rule has at most 5 targets.")
	}
	for _, t := range r.Targets {
		if !strings.HasPrefix(t.ARN, "arn:aws:sns:") {
			return "", notModeled("PutTargets", "target "+t.ARN)
		}
	}
	r.Targets = slices.Clone(r.Targets)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rules[r.Name] = &r
	return e.ruleARN(r.Name), nil
}

func (e *Events) ruleARN(name string) string { return e.account.arn("events", "rule/"+name) }

// DeleteRule removes a rule with its targets.
func (e *Events) DeleteRule(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rules[name] == nil {
		return fault("ResourceNotFoundException", "Rule %s does not exist on EventBus default.", name)
	}
	delete(e.rules, name)
	return nil
}

// Rule returns the rule of that name.
func (e *Events) Rule(name string) (Rule, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.rules[name]
	if r == nil {
		return Rule{}, false
	}
	return *r, true
}

// Emitted returns every event so far.
func (e *Events) Emitted() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.emitted)
}

// Failures tells which deliveries a target refused, a sentence each. In AWS they
// show in a metric only.
func (e *Events) Failures() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.failures)
}

// Emit sends an event of an AWS service to the topics of each rule that matches,
// and returns when they have it.
func (e *Events) Emit(event Event) {
	if event.At.IsZero() {
		event.At = e.account.cloud.now()
	}
	e.mu.Lock()
	e.emitted = append(e.emitted, event)
	rules := slices.Collect(maps.Values(e.rules))
	e.mu.Unlock()
	whole := event.whole(e.account)
	for _, r := range rules {
		var pattern map[string]any
		_ = json.Unmarshal([]byte(r.Pattern), &pattern) // PutRule has read it
		if r.Disabled || !matches(pattern, whole) {
			continue
		}
		for _, t := range r.Targets {
			if err := e.send(r, t, whole); err != nil {
				e.mu.Lock()
				e.failures = append(e.failures, fmt.Sprintf("Rule %s could not send to %s: %v", r.Name, t.ARN, err))
				e.mu.Unlock()
			}
		}
	}
}

// whole is the event with its envelope.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
func (v Event) whole(a *Account) map[string]any {
	resources := []any{}
	for _, r := range v.Resources {
		resources = append(resources, r)
	}
	var detail map[string]any
	b, err := json.Marshal(v.Detail)
	if err == nil {
		_ = json.Unmarshal(b, &detail) // as it looks to who reads JSON: plain maps and lists
	}
	return map[string]any{
		"version": "0", "id": requestID(), "detail-type": v.DetailType, "source": v.Source, "account": a.ID,
		"time": v.At.UTC().Format(time.RFC3339), "region": a.Region, "resources": resources, "detail": detail,
	}
}

func (e *Events) send(r *Rule, t RuleTarget, whole map[string]any) error {
	body, err := t.render(whole)
	if err != nil {
		return err
	}
	keys := map[string][]string{"aws:SourceArn": {e.ruleARN(r.Name)}, "aws:SourceAccount": {e.account.ID}, "aws:SecureTransport": {"true"}}
	_, err = e.account.SNS.publish(&Caller{Service: "events.amazonaws.com"}, keys, t.ARN, "", body)
	return err
}

// render makes what the target gets: the event, or the template with its variables
// filled in.
func (t RuleTarget) render(whole map[string]any) (string, error) {
	if t.Template == "" {
		b, err := json.Marshal(whole)
		return string(b), err
	}
	out := t.Template
	for name, path := range t.Paths {
		out = strings.ReplaceAll(out, "<"+name+">", lookUp(whole, path))
	}
	return strings.Trim(out, `"`), nil
}

// lookUp returns what a path such as $.detail.build-status leads to; "" when nothing
// is there.
func lookUp(v any, path string) string {
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "$."), ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[part]
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// checkPattern refuses matchers that are not modeled.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
func checkPattern(pattern map[string]any) error {
	for name, v := range pattern {
		switch v := v.(type) {
		case map[string]any:
			if err := checkPattern(v); err != nil {
				return err
			}
		case []any:
			for _, m := range v {
				if o, ok := m.(map[string]any); ok && (len(o) != 1 || o["prefix"] == nil && o["anything-but"] == nil && o["exists"] == nil) {
					return notModeled("PutRule", fmt.Sprintf("a matcher of %q", name))
				}
			}
		default:
			return fault("InvalidEventPatternException", "Event pattern is not valid: %q must be an object or an array", name)
		}
	}
	return nil
}

// matches tells whether every field of the pattern is met.
func matches(pattern, event map[string]any) bool {
	for name, want := range pattern {
		have, present := event[name]
		switch want := want.(type) {
		case map[string]any:
			inner, ok := have.(map[string]any)
			if !ok || !matches(want, inner) {
				return false
			}
		case []any:
			if !slices.ContainsFunc(want, func(m any) bool { return matchesOne(m, have, present) }) {
				return false
			}
		}
	}
	return true
}

// matchesOne compares one matcher with a field; a list is met by any of its values.
func matchesOne(m, have any, present bool) bool {
	if list, ok := have.([]any); ok {
		return slices.ContainsFunc(list, func(h any) bool { return matchesOne(m, h, present) })
	}
	o, ok := m.(map[string]any)
	if !ok {
		return present && m == have
	}
	if exists, ok := o["exists"].(bool); ok {
		return present == exists
	}
	if prefix, ok := o["prefix"].(string); ok {
		s, isText := have.(string)
		return isText && strings.HasPrefix(s, prefix)
	}
	but, isList := o["anything-but"].([]any)
	if !isList {
		but = []any{o["anything-but"]}
	}
	return present && !slices.Contains(but, have)
}

func eventsService() service {
	return jsonService{
		"DescribeRule":      jsonOp(describeRule),
		"ListTargetsByRule": jsonOp(listTargetsByRule),
	}
}

type describeRuleInput struct{ Name, EventBusName string }

type describeRuleOutput struct{ Name, Arn, EventPattern, State, Description string }

func describeRule(c *call, in *describeRuleInput) (*describeRuleOutput, error) {
	r, err := c.rule("events:DescribeRule", in.Name, in.EventBusName)
	if err != nil {
		return nil, err
	}
	state := "ENABLED"
	if r.Disabled {
		state = "DISABLED"
	}
	return &describeRuleOutput{r.Name, c.account.Events.ruleARN(r.Name), r.Pattern, state, r.Description}, nil
}

// rule returns a rule if the caller may do action to it.
func (c *call) rule(action, name, bus string) (Rule, error) {
	if bus != "" && bus != "default" {
		return Rule{}, notModeled(action, "event bus "+bus)
	}
	if err := c.allow(question{action: action, resource: c.account.Events.ruleARN(name)}); err != nil {
		return Rule{}, err
	}
	r, ok := c.account.Events.Rule(name)
	if !ok {
		return Rule{}, fault("ResourceNotFoundException", "Rule %s does not exist on EventBus default.", name)
	}
	return r, nil
}

type listTargetsInput struct{ Rule, EventBusName string }

type targetEntry struct {
	ID  string `json:"Id"`
	Arn string
}

type listTargetsOutput struct{ Targets []targetEntry }

func listTargetsByRule(c *call, in *listTargetsInput) (*listTargetsOutput, error) {
	r, err := c.rule("events:ListTargetsByRule", in.Rule, in.EventBusName)
	if err != nil {
		return nil, err
	}
	out := &listTargetsOutput{Targets: []targetEntry{}}
	for _, t := range r.Targets {
		out.Targets = append(out.Targets, targetEntry{t.ID, t.ARN})
	}
	return out, nil
}
