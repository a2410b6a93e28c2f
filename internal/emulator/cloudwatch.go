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

// An Alarm watches a metric, or an expression over metrics, and tells topics when
// its state changes.
type Alarm struct {
	Name        string
	Description string
	// Queries are metrics and expressions, of which one has Return. An alarm on one
	// metric has one.
	Queries     []Query
	Periods     int // that are looked at, the newest
	Datapoints  int // of them that must breach; 0: all
	Comparison  string
	Threshold   float64
	Missing     string   // breaching, notBreaching, ignore or missing; "": missing
	AlarmTopics []string // ARNs told when it goes to ALARM
	OKTopics    []string

	State string // OK, ALARM or INSUFFICIENT_DATA
}

// A Query is one series: a metric's statistic by period, or an expression.
type Query struct {
	ID         string
	Namespace  string
	Metric     string
	Dimensions map[string]string
	Statistic  string // Sum, Maximum, Minimum or SampleCount
	Period     time.Duration
	Expression string // instead of a metric; see the file alarm_math.go
	Label      string // what people read
	Return     bool   // the alarm compares this one
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
	if err := a.check(); err != nil {
		return "", err
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

func (a *Alarm) check() error {
	returned := 0
	for _, q := range a.Queries {
		if q.Return {
			returned++
		}
		switch {
		case q.Expression != "":
			if _, err := parseExpression(q.Expression); err != nil {
				return err
			}
		case !slices.Contains([]string{"Sum", "Maximum", "Minimum", "SampleCount"}, q.Statistic):
			return notModeled("PutMetricAlarm", "statistic "+q.Statistic)
		case q.Period <= 0 || q.Period != a.period():
			return fault("ValidationError", "Every metric of the alarm has the same period, and it is positive.")
		}
	}
	switch {
	case returned != 1:
		return fault("ValidationError", "Exactly one of the alarm's metrics is returned.")
	case a.Periods <= 0 || a.Datapoints < 0 || a.Datapoints > a.Periods:
		return fault("ValidationError", "An alarm looks at one period or more, and no more can breach.")
	case compare(a.Comparison, 0, 0) == nil:
		return notModeled("PutMetricAlarm", "comparison "+a.Comparison)
	case !slices.Contains([]string{"", "breaching", "notBreaching", "ignore", "missing"}, a.Missing):
		return fault("ValidationError", "TreatMissingData %q is not known.", a.Missing)
	}
	return nil
}

// period is that of the alarm's metrics.
func (a *Alarm) period() time.Duration {
	for _, q := range a.Queries {
		if q.Expression == "" {
			return q.Period
		}
	}
	return 0
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

// Alarms returns the names of all alarms, sorted.
func (w *CloudWatch) Alarms() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.alarms))
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
	for _, a := range w.changed() {
		topics := a.AlarmTopics
		if a.State == "OK" {
			topics = a.OKTopics
		}
		keys := map[string][]string{
			"aws:SourceAccount": {w.account.ID}, "aws:SourceArn": {w.AlarmARN(a.Name)}, "aws:SecureTransport": {"true"},
		}
		for _, topic := range topics {
			_, err := w.account.SNS.publish(&Caller{Service: "cloudwatch.amazonaws.com"}, keys, topic, a.State+": "+a.Name, a.Name+" is "+a.State)
			if err != nil {
				w.account.cloud.config.Log.Info("alarm not told", "alarm", a.Name, "err", err)
			}
		}
	}
}

// changed gives every alarm its state of now and returns those that went to OK or
// ALARM.
func (w *CloudWatch) changed() []Alarm {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Alarm
	for _, name := range slices.Sorted(maps.Keys(w.alarms)) {
		a := *w.alarms[name] // handed out before: replaced, not changed
		state := w.state(&a)
		if state == a.State {
			continue
		}
		a.State = state
		w.alarms[name] = &a
		if state != "INSUFFICIENT_DATA" {
			out = append(out, a)
		}
	}
	return out
}

// state is called under the lock. More points are fetched than are looked at, so
// that late ones still count; of those that are there the newest are taken, and
// what lacks is filled in as the alarm says.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
func (w *CloudWatch) state(a *Alarm) string {
	const more = 2
	values := w.series(a, a.Periods+more)
	there, breaching := 0, 0
	for _, v := range slices.Backward(values) {
		if v == nil || there == a.Periods {
			continue
		}
		there++
		if *compare(a.Comparison, *v, a.Threshold) {
			breaching++
		}
	}
	want := a.Datapoints
	if want == 0 {
		want = a.Periods
	}
	if a.Missing == "breaching" {
		breaching += a.Periods - there
	}
	switch {
	case breaching >= want:
		return "ALARM"
	case there > 0 || a.Missing == "breaching" || a.Missing == "notBreaching":
		return "OK"
	case a.Missing == "ignore":
		return a.State
	}
	return "INSUFFICIENT_DATA"
}

// series returns the n newest values of what the alarm compares, oldest first; nil
// where there is none.
func (w *CloudWatch) series(a *Alarm, n int) []*float64 {
	known := map[string][]*float64{}
	end := w.account.cloud.now()
	for _, q := range a.Queries {
		if q.Expression != "" {
			continue
		}
		s := make([]*float64, n)
		for i := range s {
			last := end.Add(-time.Duration(n-1-i) * q.Period)
			s[i] = w.statistic(q, last.Add(-q.Period), last)
		}
		known[q.ID] = s
	}
	for _, q := range a.Queries {
		if !q.Return {
			continue
		}
		if q.Expression == "" {
			return known[q.ID]
		}
		e, err := parseExpression(q.Expression)
		if err != nil {
			return make([]*float64, n) // PutAlarm has refused it
		}
		return e.over(known, n)
	}
	return nil
}

// statistic is that of the points after start, up to end; nil when there are none.
func (w *CloudWatch) statistic(q Query, start, end time.Time) *float64 {
	var values []float64
	sum := 0.0
	for _, p := range w.points {
		if p.Namespace == q.Namespace && p.Metric == q.Metric && maps.Equal(p.Dimensions, q.Dimensions) && p.At.After(start) && !p.At.After(end) {
			values = append(values, p.Value)
			sum += p.Value
		}
	}
	if len(values) == 0 {
		return nil
	}
	switch q.Statistic {
	case "Sum":
		return &sum
	case "Minimum":
		return new(slices.Min(values))
	case "Maximum":
		return new(slices.Max(values))
	}
	return new(float64(len(values)))
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

// cloudWatchService answers nothing that the project asks over the wire: alarms
// come from templates, and points from metric filters.
func cloudWatchService() service { return &queryService{operations: map[string]operation{}} }
