package emulator_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// told is what was published to a topic, in order.
func (w *world) told(arn string) string {
	topic, _ := w.Account(dev).SNS.Topic(arn)
	var bodies []string
	for _, m := range topic.Messages {
		bodies = append(bodies, m.Body)
	}
	return strings.Join(bodies, ", ")
}

// TestAlarm_MissingBreaches: an alarm that takes silence for trouble goes off when
// the heartbeat stops, once, and comes back.
func TestAlarm_MissingBreaches(t *testing.T) {
	w := newWorld(t)
	arn := w.topic("cloudwatch.amazonaws.com")
	m := w.Account(dev).CloudWatch
	_, err := m.PutAlarm(emulator.Alarm{
		Name: "heartbeat", Periods: 2, Comparison: "LessThanThreshold", Threshold: 1, Missing: "breaching",
		AlarmTopics: []string{arn}, OKTopics: []string{arn},
		Queries: []emulator.Query{{
			ID: "m", Namespace: "synops", Metric: "Heartbeats", Dimensions: map[string]string{"Lane": "plan"}, Statistic: "Sum", Period: time.Minute, Return: true,
		}},
	})
	w.must(err)
	beat := func() {
		m.PutMetric(emulator.Point{Namespace: "synops", Metric: "Heartbeats", Dimensions: map[string]string{"Lane": "plan"}, Value: 1})
		m.PutMetric(emulator.Point{Namespace: "synops", Metric: "Heartbeats", Dimensions: map[string]string{"Lane": "admin"}, Value: 1})
	}
	beat()
	m.Evaluate()
	for range 6 {
		w.clock.pass(time.Minute)
		m.Evaluate()
	}
	beat()
	m.Evaluate()
	if got, want := w.told(arn), "heartbeat is OK, heartbeat is ALARM, heartbeat is OK"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestAlarm_FromLogLines: lines become points, and an expression tells silence
// after "running" from silence after "ended".
func TestAlarm_FromLogLines(t *testing.T) {
	w := newWorld(t, quiet)
	arn := w.topic("cloudwatch.amazonaws.com")
	a := w.Account(dev)
	w.must(a.Logs.CreateGroup("/synops/plan", 90))
	w.must(a.Logs.CreateStream("/synops/plan", "build-1"))
	for phrase, value := range map[string]string{"running": "1", "ended": "0"} {
		w.must(a.Logs.PutFilter("/synops/plan", emulator.MetricFilter{
			Name: phrase, Pattern: `"synops-heartbeat ` + phrase + `"`, Namespace: "synops", Metric: "plan-heartbeat", Value: value,
		}))
	}
	_, err := a.CloudWatch.PutAlarm(emulator.Alarm{
		Name: "lost", Periods: 3, Datapoints: 3, Comparison: "GreaterThanOrEqualToThreshold", Threshold: 1, Missing: "notBreaching", AlarmTopics: []string{arn},
		Queries: []emulator.Query{
			{ID: "beat", Namespace: "synops", Metric: "plan-heartbeat", Statistic: "Maximum", Period: time.Minute},
			{ID: "silent", Expression: "IF(FILL(beat, REPEAT) > FILL(beat, 0), 1, 0)", Return: true},
		},
	})
	w.must(err)
	minutes := func(n int, line string) {
		for range n {
			if line != "" {
				w.must(a.Logs.Put("/synops/plan", "build-1", "at 12:00 "+line))
			}
			a.CloudWatch.Evaluate()
			w.clock.pass(time.Minute)
		}
	}
	minutes(4, "synops-heartbeat running")
	minutes(1, "synops-heartbeat ended")
	minutes(8, "")
	if got := w.told(arn); got != "" {
		t.Errorf("told %q after an orderly end", got)
	}
	minutes(3, "synops-heartbeat running")
	minutes(2, "nothing of note")
	if got := w.told(arn); got != "" {
		t.Errorf("told %q after two silent minutes", got)
	}
	minutes(2, "nothing of note")
	if got := w.told(arn); got != "lost is ALARM" {
		t.Errorf("told %q, want one alarm", got)
	}
}

func TestAlarm_Refusals(t *testing.T) {
	w := newWorld(t)
	good := emulator.Alarm{Name: "a", Periods: 1, Comparison: "GreaterThanThreshold", Queries: []emulator.Query{
		{ID: "m", Namespace: "n", Metric: "x", Statistic: "Sum", Period: time.Minute},
		{ID: "e", Expression: "IF(m > 1, 1, 0)", Return: true},
	}}
	for name, tc := range map[string]struct {
		change func(*emulator.Alarm)
		want   string
	}{
		"nothing returned":   {func(a *emulator.Alarm) { a.Queries[1].Return = false }, "ValidationError"},
		"statistic":          {func(a *emulator.Alarm) { a.Queries[0].Statistic = "p99" }, "NotModelled"},
		"comparison":         {func(a *emulator.Alarm) { a.Comparison = "GreaterThanUpperThreshold" }, "NotModelled"},
		"missing data":       {func(a *emulator.Alarm) { a.Missing = "perhaps" }, "ValidationError"},
		"function":           {func(a *emulator.Alarm) { a.Queries[1].Expression = "ANOMALY_DETECTION_BAND(m, 2)" }, "NotModelled"},
		"unfinished":         {func(a *emulator.Alarm) { a.Queries[1].Expression = "IF(m > 1, 1" }, "NotModelled"},
		"something after":    {func(a *emulator.Alarm) { a.Queries[1].Expression = "m > 1 m" }, "NotModelled"},
		"more than all":      {func(a *emulator.Alarm) { a.Datapoints = 2 }, "ValidationError"},
		"nothing is changed": {func(*emulator.Alarm) {}, "<nil>"},
	} {
		a := good
		a.Queries = slices.Clone(good.Queries)
		tc.change(&a)
		if _, err := w.Account(dev).CloudWatch.PutAlarm(a); codeOf2(err) != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

func TestLogs_FilterRefusals(t *testing.T) {
	w := newWorld(t)
	w.must(w.Account(dev).Logs.CreateGroup("g", 0))
	for pattern, want := range map[string]string{`"a phrase"`: "<nil>", "word": "<nil>", "two words": "NotModelled", `{ $.x = 1 }`: "NotModelled", "": "NotModelled", "[a, b]": "NotModelled"} {
		err := w.Account(dev).Logs.PutFilter("g", emulator.MetricFilter{Name: "f", Pattern: pattern, Namespace: "n", Metric: "m", Value: "1"})
		if codeOf2(err) != want {
			t.Errorf("%q: %v, want %s", pattern, err, want)
		}
	}
}
