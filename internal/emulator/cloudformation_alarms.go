package emulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

func alarmTypes() map[string]*resourceType {
	return map[string]*resourceType{
		"AWS::SNS::Topic":        topicType(),
		"AWS::SNS::TopicPolicy":  topicPolicyType(),
		"AWS::Events::Rule":      ruleType(),
		"AWS::CloudWatch::Alarm": alarmType(),
	}
}

type topicProperties struct {
	TopicName    string `json:",omitempty"`
	Subscription []struct {
		Protocol, Endpoint string
	} `json:",omitempty"`
}

func (p *topicProperties) write(t *Topic) {
	t.Subscriptions = nil
	for _, s := range p.Subscription {
		t.Subscriptions = append(t.Subscriptions, Subscription{Protocol: s.Protocol, Endpoint: s.Endpoint})
	}
}

// topicQuestions asks in the topic's own policy as well. Without one, the account's
// identities are admitted by the default policy.
func topicQuestions(a *Account, arn string, actions ...string) []question {
	q := all(arn, actions...)
	t, ok := a.SNS.Topic(arn)
	if !ok || t.Policy == "" {
		return q
	}
	if doc, err := a.IAM.parse(t.Policy); err == nil { // it was read when it was put
		for i := range q {
			q[i].policies = []*policy.Document{doc}
		}
	}
	return q
}

func topicType() *resourceType {
	return kind("AWS::SNS::Topic", kindOf[topicProperties]{
		named: "TopicName", most: 256, replace: []string{"TopicName"},
		asks: func(a *Account, v verb, physical string, _, new *topicProperties) []question {
			arn := physical
			if v == creates {
				arn = a.arn("sns", physical)
				return append(all(arn, "sns:CreateTopic"), repeat(ask("sns:Subscribe", arn), len(new.Subscription))...)
			}
			switch v {
			case updates:
				return topicQuestions(a, arn, "sns:ListSubscriptionsByTopic", "sns:Subscribe")
			case deletes:
				return topicQuestions(a, arn, "sns:DeleteTopic")
			}
			return topicQuestions(a, arn, "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic")
		},
		create: func(a *Account, physical string, p topicProperties) (string, error) {
			arn, err := a.SNS.CreateTopic(physical)
			if err != nil {
				return "", err
			}
			return arn, a.SNS.UpdateTopic(arn, p.write)
		},
		update: func(a *Account, physical string, _, p topicProperties) error {
			return a.SNS.UpdateTopic(physical, p.write)
		},
		remove: func(a *Account, physical string, _ topicProperties) error { return a.SNS.DeleteTopic(physical) },
		read: func(a *Account, physical string) (topicProperties, bool) {
			t, ok := a.SNS.Topic(physical)
			p := topicProperties{TopicName: t.Name}
			for _, s := range t.Subscriptions {
				p.Subscription = append(p.Subscription, struct{ Protocol, Endpoint string }{s.Protocol, s.Endpoint})
			}
			return p, ok
		},
		attr: func(_ *Account, physical, name string) (string, bool) {
			switch name {
			case "TopicArn":
				return physical, true
			case "TopicName":
				return physical[strings.LastIndexByte(physical, ':')+1:], true
			}
			return "", false
		},
	})
}

type topicPolicyProperties struct {
	Topics         []string `json:",omitempty"`
	PolicyDocument document `json:",omitempty"`
}

// topicPolicyType is one policy for one topic.
func topicPolicyType() *resourceType {
	put := func(a *Account, p topicPolicyProperties, doc string) error {
		if len(p.Topics) != 1 {
			return notModeled("AWS::SNS::TopicPolicy", "any but one topic")
		}
		return a.SNS.UpdateTopic(p.Topics[0], func(t *Topic) { t.Policy = doc })
	}
	return kind("AWS::SNS::TopicPolicy", kindOf[topicPolicyProperties]{
		asks: func(a *Account, v verb, physical string, old, new *topicPolicyProperties) []question {
			if v == reads {
				return topicQuestions(a, physical, "sns:GetTopicAttributes")
			}
			p := new
			if v == deletes {
				p = old
			}
			var q []question
			for _, arn := range p.Topics {
				q = append(q, topicQuestions(a, arn, "sns:SetTopicAttributes")...)
			}
			return q
		},
		// Its physical ID in AWS is made up; here it is the topic, which is what is read.
		create: func(a *Account, _ string, p topicPolicyProperties) (string, error) {
			if err := put(a, p, string(p.PolicyDocument)); err != nil {
				return "", err
			}
			return p.Topics[0], nil
		},
		update: func(a *Account, _ string, _, p topicPolicyProperties) error {
			return put(a, p, string(p.PolicyDocument))
		},
		remove: func(a *Account, _ string, p topicPolicyProperties) error { return put(a, p, "") },
		read: func(a *Account, physical string) (topicPolicyProperties, bool) {
			t, _ := a.SNS.Topic(physical)
			return topicPolicyProperties{[]string{physical}, document(t.Policy)}, t.Policy != ""
		},
		attr: func(*Account, string, string) (string, bool) { return "", false },
	})
}

type ruleProperties struct {
	Name         string         `json:",omitempty"`
	Description  string         `json:",omitempty"`
	EventPattern document       `json:",omitempty"`
	State        string         `json:",omitempty"`
	Targets      []targetRecord `json:",omitempty"`
}

type targetRecord struct {
	ID               string `json:"Id"`
	Arn              string
	InputTransformer *struct {
		InputPathsMap map[string]string `json:",omitempty"`
		InputTemplate string
	} `json:",omitempty"`
}

func (p *ruleProperties) rule(name string) Rule {
	r := Rule{Name: name, Description: p.Description, Pattern: string(p.EventPattern), Disabled: p.State == "DISABLED"}
	for _, t := range p.Targets {
		target := RuleTarget{ID: t.ID, ARN: t.Arn}
		if x := t.InputTransformer; x != nil {
			target.Paths, target.Template = x.InputPathsMap, x.InputTemplate
		}
		r.Targets = append(r.Targets, target)
	}
	return r
}

func ruleType() *resourceType {
	return kind("AWS::Events::Rule", kindOf[ruleProperties]{
		named: "Name", most: 64, replace: []string{"Name"},
		asks: func(a *Account, v verb, physical string, _, _ *ruleProperties) []question {
			arn := a.Events.ruleARN(physical)
			switch v {
			case creates, updates:
				return all(arn, "events:DescribeRule", "events:PutRule", "events:ListTargetsByRule", "events:PutTargets")
			case deletes:
				return all(arn, "events:DescribeRule", "events:ListTargetsByRule", "events:RemoveTargets", "events:DeleteRule")
			}
			return all(arn, "events:DescribeRule", "events:ListTargetsByRule")
		},
		create: func(a *Account, physical string, p ruleProperties) (string, error) {
			_, err := a.Events.PutRule(p.rule(physical))
			return physical, err
		},
		update: func(a *Account, physical string, _, p ruleProperties) error {
			_, err := a.Events.PutRule(p.rule(physical))
			return err
		},
		remove: func(a *Account, physical string, _ ruleProperties) error { return a.Events.DeleteRule(physical) },
		read:   readRule,
		attr: func(a *Account, physical, name string) (string, bool) {
			return a.Events.ruleARN(physical), name == "Arn"
		},
	})
}

func readRule(a *Account, physical string) (ruleProperties, bool) {
	r, ok := a.Events.Rule(physical)
	p := ruleProperties{Name: r.Name, Description: r.Description, EventPattern: document(r.Pattern), State: "ENABLED"}
	if r.Disabled {
		p.State = "DISABLED"
	}
	for _, t := range r.Targets {
		record := targetRecord{ID: t.ID, Arn: t.ARN}
		if t.Template != "" {
			record.InputTransformer = &struct {
				InputPathsMap map[string]string `json:",omitempty"`
				InputTemplate string
			}{t.Paths, t.Template}
		}
		p.Targets = append(p.Targets, record)
	}
	return p, ok
}

// alarmProperties are those of AWS::CloudWatch::Alarm, on one metric or on several
// with an expression.
type alarmProperties struct {
	AlarmName          string        `json:",omitempty"`
	AlarmDescription   string        `json:",omitempty"`
	Namespace          string        `json:",omitempty"`
	MetricName         string        `json:",omitempty"`
	Dimensions         []dimension   `json:",omitempty"`
	Statistic          string        `json:",omitempty"`
	Period             Number        `json:",omitempty"`
	Metrics            []metricQuery `json:",omitempty"`
	EvaluationPeriods  Number        `json:",omitempty"`
	DatapointsToAlarm  Number        `json:",omitempty"`
	ComparisonOperator string        `json:",omitempty"`
	Threshold          json.Number
	TreatMissingData   string   `json:",omitempty"`
	AlarmActions       []string `json:",omitempty"`
	OKActions          []string `json:",omitempty"`
}

type dimension struct{ Name, Value string }

type metricQuery struct {
	ID         string      `json:"Id"`
	Expression string      `json:",omitempty"`
	Label      string      `json:",omitempty"`
	ReturnData *Flag       `json:",omitempty"` // absent: true
	MetricStat *metricStat `json:",omitempty"`
}

type metricStat struct {
	Metric struct {
		Namespace, MetricName string
		Dimensions            []dimension `json:",omitempty"`
	}
	Period Number
	Stat   string
}

func dimensions(list []dimension) map[string]string {
	m := map[string]string{}
	for _, d := range list {
		m[d.Name] = d.Value
	}
	return m
}

func (p *alarmProperties) alarm(name string) (Alarm, error) {
	threshold, err := p.Threshold.Float64()
	if err != nil {
		return Alarm{}, fault("ValidationError", "The threshold %q is not a number.", p.Threshold)
	}
	a := Alarm{
		Name: name, Description: p.AlarmDescription, Periods: int(p.EvaluationPeriods), Datapoints: int(p.DatapointsToAlarm),
		Comparison: p.ComparisonOperator, Threshold: threshold, Missing: p.TreatMissingData,
		AlarmTopics: slices.Clone(p.AlarmActions), OKTopics: slices.Clone(p.OKActions),
	}
	if len(p.Metrics) == 0 {
		a.Queries = []Query{{
			ID: "m1", Namespace: p.Namespace, Metric: p.MetricName, Dimensions: dimensions(p.Dimensions),
			Statistic: p.Statistic, Period: time.Duration(p.Period) * time.Second, Return: true,
		}}
		return a, nil
	}
	for _, m := range p.Metrics {
		q := Query{ID: m.ID, Expression: m.Expression, Label: m.Label, Return: m.ReturnData == nil || bool(*m.ReturnData)}
		if s := m.MetricStat; s != nil {
			q.Namespace, q.Metric, q.Dimensions = s.Metric.Namespace, s.Metric.MetricName, dimensions(s.Metric.Dimensions)
			q.Statistic, q.Period = s.Stat, time.Duration(s.Period)*time.Second
		}
		a.Queries = append(a.Queries, q)
	}
	return a, nil
}

func alarmType() *resourceType {
	put := func(a *Account, physical string, p alarmProperties) error {
		alarm, err := p.alarm(physical)
		if err != nil {
			return err
		}
		_, err = a.CloudWatch.PutAlarm(alarm)
		return err
	}
	return kind("AWS::CloudWatch::Alarm", kindOf[alarmProperties]{
		named: "AlarmName", most: 255, replace: []string{"AlarmName"},
		asks: func(a *Account, v verb, physical string, _, _ *alarmProperties) []question {
			arn := a.CloudWatch.AlarmARN(physical)
			switch v {
			case creates, updates:
				return all(arn, "cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource")
			case deletes:
				return all(arn, "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms")
			}
			return all(arn, "cloudwatch:DescribeAlarms")
		},
		create: func(a *Account, physical string, p alarmProperties) (string, error) {
			return physical, put(a, physical, p)
		},
		update: func(a *Account, physical string, _, p alarmProperties) error { return put(a, physical, p) },
		remove: func(a *Account, physical string, _ alarmProperties) error { return a.CloudWatch.DeleteAlarm(physical) },
		read:   readAlarm,
		normal: func(p *alarmProperties) {
			for i := range p.Metrics {
				if p.Metrics[i].ReturnData == nil {
					yes := Flag(true)
					p.Metrics[i].ReturnData = &yes
				}
			}
		},
		attr: func(a *Account, physical, name string) (string, bool) {
			return a.CloudWatch.AlarmARN(physical), name == "Arn"
		},
	})
}

func readAlarm(a *Account, physical string) (alarmProperties, bool) {
	w, ok := a.CloudWatch.Alarm(physical)
	p := alarmProperties{
		AlarmName: w.Name, AlarmDescription: w.Description, EvaluationPeriods: Number(w.Periods), DatapointsToAlarm: Number(w.Datapoints),
		ComparisonOperator: w.Comparison, Threshold: json.Number(fmt.Sprint(w.Threshold)), TreatMissingData: w.Missing,
		AlarmActions: w.AlarmTopics, OKActions: w.OKTopics,
	}
	for _, q := range w.Queries {
		var list []dimension
		for _, name := range slices.Sorted(maps.Keys(q.Dimensions)) {
			list = append(list, dimension{name, q.Dimensions[name]})
		}
		p.Namespace, p.MetricName, p.Dimensions, p.Statistic, p.Period = q.Namespace, q.Metric, list, q.Statistic, Number(q.Period/time.Second)
		returns := Flag(q.Return)
		m := metricQuery{ID: q.ID, Expression: q.Expression, Label: q.Label, ReturnData: &returns}
		if q.Expression == "" {
			s := &metricStat{Period: p.Period, Stat: q.Statistic}
			s.Metric.Namespace, s.Metric.MetricName, s.Metric.Dimensions = q.Namespace, q.Metric, list
			m.MetricStat = s
		}
		p.Metrics = append(p.Metrics, m)
	}
	return p, ok
}
