package emulator

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// CloudWatch holds an account's alarms and the points of its metrics.
type CloudWatch struct {
	account *Account

	mu     sync.Mutex
	alarms map[string]*Alarm // by name
	points []Point
}

// An Alarm watches one metric and tells topics when its state changes.
type Alarm struct {
	Name        string
	Description string
	Namespace   string
	Metric      string
	Dimensions  map[string]string
	Statistic   string // Sum, Maximum, Minimum or SampleCount
	Period      time.Duration
	Periods     int    // that must breach, one after the other
	Comparison  string // as AWS names them, such as LessThanThreshold
	Threshold   float64
	Missing     string   // breaching, notBreaching, ignore or missing
	AlarmTopics []string // ARNs told when it goes to ALARM
	OKTopics    []string

	State string // OK, ALARM or INSUFFICIENT_DATA
}

// A Point is one value of a metric.
type Point struct {
	Namespace  string
	Metric     string
	Dimensions map[string]string
	Value      float64
	At         time.Time // zero: now
}

func newCloudWatch(a *Account) *CloudWatch {
	return &CloudWatch{account: a, alarms: map[string]*Alarm{}}
}

// PutAlarm stores an alarm, in place of one of that name, and returns its ARN.
func (w *CloudWatch) PutAlarm(a Alarm) (string, error) {
	if !slices.Contains([]string{"Sum", "Maximum", "Minimum", "SampleCount"}, a.Statistic) {
		return "", notModeled("PutMetricAlarm", "statistic "+a.Statistic)
	}
	if compare(a.Comparison, 0, 0) == nil {
		return "", notModeled("PutMetricAlarm", "comparison "+a.Comparison)
	}
	if a.Period <= 0 || a.Periods <= 0 {
		return "", fault("ValidationError", "An alarm has a period, and a number of them.")
	}
	a.State = "INSUFFICIENT_DATA"
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.alarms[a.Name]; old != nil {
		a.State = old.State
	}
	w.alarms[a.Name] = &a
	return w.AlarmARN(a.Name), nil
}

// AlarmARN returns the ARN of an alarm of that name.
func (w *CloudWatch) AlarmARN(name string) string {
	return w.account.arn("cloudwatch", "alarm:"+name)
}

// DeleteAlarm removes an alarm.
func (w *CloudWatch) DeleteAlarm(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.alarms[name] == nil {
		return &Fault{"ResourceNotFound", "No such alarm.", 404}
	}
	delete(w.alarms, name)
	return nil
}

// Alarm returns the alarm of that name.
func (w *CloudWatch) Alarm(name string) (Alarm, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.alarms[name]
	if a == nil {
		return Alarm{}, false
	}
	return *a, true
}

// PutMetric stores a point.
func (w *CloudWatch) PutMetric(p Point) {
	if p.At.IsZero() {
		p.At = w.account.cloud.now()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.points = append(w.points, p)
}

// Evaluate works out every alarm's state as of now and tells the topics of those
// that changed. AWS does this about once a minute; here a test says when.
func (w *CloudWatch) Evaluate() {
	w.mu.Lock()
	type change struct {
		name, state string
		topics      []string
	}
	var changes []change
	for _, a := range w.alarms {
		state := w.state(a)
		if state == a.State {
			continue
		}
		c := *a // handed out before: replaced, not changed
		c.State = state
		w.alarms[a.Name] = &c
		switch state {
		case "ALARM":
			changes = append(changes, change{a.Name, state, a.AlarmTopics})
		case "OK":
			changes = append(changes, change{a.Name, state, a.OKTopics})
		}
	}
	w.mu.Unlock()
	keys := map[string][]string{"aws:SourceAccount": {w.account.ID}, "aws:SecureTransport": {"true"}}
	for _, c := range changes {
		keys["aws:SourceArn"] = []string{w.AlarmARN(c.name)}
		for _, topic := range c.topics {
			_, err := w.account.SNS.publish(&Caller{Service: "cloudwatch.amazonaws.com"}, keys, topic, c.state+": "+c.name, c.name+" is "+c.state)
			if err != nil {
				w.account.cloud.config.Log.Info("alarm not told", "alarm", c.name, "err", err)
			}
		}
	}
}

// state is called under the lock.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
func (w *CloudWatch) state(a *Alarm) string {
	breaching, missing := 0, 0
	end := w.account.cloud.now()
	for range a.Periods {
		start := end.Add(-a.Period)
		v, ok := w.statistic(a, start, end)
		switch {
		case ok && *compare(a.Comparison, v, a.Threshold), !ok && a.Missing == "breaching":
			breaching++
		case !ok && a.Missing != "notBreaching":
			missing++
		}
		end = start
	}
	switch {
	case breaching == a.Periods:
		return "ALARM"
	case missing == a.Periods && a.Missing == "ignore":
		return a.State
	case missing == a.Periods:
		return "INSUFFICIENT_DATA"
	}
	return "OK"
}

func (w *CloudWatch) statistic(a *Alarm, start, end time.Time) (float64, bool) {
	n, sum, least, most := 0, 0.0, 0.0, 0.0
	for _, p := range w.points {
		if p.Namespace != a.Namespace || p.Metric != a.Metric || !maps.Equal(p.Dimensions, a.Dimensions) || p.At.After(end) || !p.At.After(start) {
			continue
		}
		if n == 0 {
			least, most = p.Value, p.Value
		}
		n, sum, least, most = n+1, sum+p.Value, min(least, p.Value), max(most, p.Value)
	}
	switch a.Statistic {
	case "Sum":
		return sum, n > 0
	case "Minimum":
		return least, n > 0
	case "Maximum":
		return most, n > 0
	}
	return float64(n), n > 0
}

// compare returns nil for a comparison that is not known.
func compare(name string, a, b float64) *bool {
	switch name {
	case "LessThanThreshold":
		return new(a < b)
	case "LessThanOrEqualToThreshold":
		return new(a <= b)
	case "GreaterThanThreshold":
		return new(a > b)
	case "GreaterThanOrEqualToThreshold":
		return new(a >= b)
	}
	return nil
}

// cloudWatchService answers nothing yet that the project asks over the wire: alarms
// come from templates, and points from log metric filters.
func cloudWatchService() service { return &queryService{operations: map[string]operation{}} }
