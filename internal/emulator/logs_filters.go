package emulator

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A MetricFilter makes a point of a metric from each log line that matches.
type MetricFilter struct {
	Name      string
	Pattern   string // a phrase in quotes, or a word
	Namespace string
	Metric    string
	Value     string // a number
}

// PutFilter stores a metric filter of a group, in place of one of that name. It
// sees what is put from now on.
func (l *Logs) PutFilter(group string, f MetricFilter) error {
	if _, ok := f.phrase(); !ok {
		return notModeled("PutMetricFilter", "pattern "+strconv.Quote(f.Pattern))
	}
	if _, err := strconv.ParseFloat(f.Value, 64); err != nil {
		return notModeled("PutMetricFilter", "value "+strconv.Quote(f.Value))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[group]
	if g == nil {
		return noLogGroup()
	}
	g.filters[f.Name] = f
	return nil
}

// DeleteFilter removes a metric filter.
func (l *Logs) DeleteFilter(group, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[group]
	if g == nil {
		return noLogGroup()
	}
	if _, ok := g.filters[name]; !ok {
		return fault("ResourceNotFoundException", "The specified metric filter does not exist.")
	}
	delete(g.filters, name)
	return nil
}

// Filters returns a group's metric filters by name.
func (l *Logs) Filters(group string) []MetricFilter {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[group]
	if g == nil {
		return nil
	}
	var out []MetricFilter
	for _, name := range slices.Sorted(maps.Keys(g.filters)) {
		out = append(out, g.filters[name])
	}
	return out
}

// phrase is what a line must hold, with its case. Patterns of several terms, of
// JSON and of columns are not modeled.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
func (f MetricFilter) phrase() (string, bool) {
	p := f.Pattern
	if len(p) > 2 && p[0] == '"' && p[len(p)-1] == '"' {
		p = p[1 : len(p)-1]
		return p, !strings.ContainsAny(p, `"\`)
	}
	return p, p != "" && !strings.ContainsAny(p, ` "?-{}[]%*`)
}

// count makes the points that an event gives.
func (g *logGroup) count(w *CloudWatch, e logEvent) {
	for _, f := range g.filters {
		phrase, _ := f.phrase()
		if !strings.Contains(e.message, phrase) {
			continue
		}
		n, err := strconv.ParseFloat(f.Value, 64)
		if err != nil {
			continue // PutFilter has refused it
		}
		w.PutMetric(Point{Namespace: f.Namespace, Metric: f.Metric, Value: n, At: e.at})
	}
}
