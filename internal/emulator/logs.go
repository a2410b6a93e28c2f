package emulator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Logs holds an account's log groups.
type Logs struct {
	account *Account

	mu     sync.Mutex
	groups map[string]*logGroup
}

type logGroup struct {
	name    string
	days    int // retention; 0: for ever
	created time.Time
	streams map[string]*logStream
	filters map[string]MetricFilter // by name
}

type logStream struct {
	name    string
	created time.Time
	events  []logEvent // by timestamp
}

type logEvent struct {
	at      time.Time
	ingests time.Time // from when on it can be read
	message string
}

func newLogs(a *Account) *Logs { return &Logs{account: a, groups: map[string]*logGroup{}} }

// A LogGroup is a log group as it is configured.
type LogGroup struct {
	Name          string
	RetentionDays int // 0: for ever
	Created       time.Time
}

// retentions are the days that may be set; 0 is for ever.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
var retentions = []int{0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// CreateGroup stores a new log group.
func (l *Logs) CreateGroup(name string, retentionDays int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups[name] != nil {
		return fault("ResourceAlreadyExistsException", "The specified log group already exists")
	}
	if !slices.Contains(retentions, retentionDays) {
		return fault("InvalidParameterException", "%d days cannot be set.", retentionDays)
	}
	l.groups[name] = &logGroup{name: name, days: retentionDays, created: l.account.cloud.now(), streams: map[string]*logStream{}, filters: map[string]MetricFilter{}}
	return nil
}

// SetRetention changes how long a group's events are kept; 0 is for ever.
func (l *Logs) SetRetention(name string, days int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[name]
	if g == nil {
		return noLogGroup()
	}
	if !slices.Contains(retentions, days) {
		return fault("InvalidParameterException", "%d days cannot be set.", days)
	}
	g.days = days
	return nil
}

// DeleteGroup removes a group with all its streams.
func (l *Logs) DeleteGroup(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups[name] == nil {
		return noLogGroup()
	}
	delete(l.groups, name)
	return nil
}

// Group returns a group's configuration.
func (l *Logs) Group(name string) (LogGroup, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[name]
	if g == nil {
		return LogGroup{}, false
	}
	return LogGroup{g.name, g.days, g.created}, true
}

// GroupARN returns the ARN of a group of that name, as CloudFormation gives it.
func (l *Logs) GroupARN(name string) string { return l.account.arn("logs", "log-group:"+name+":*") }

// CreateStream stores a new stream.
func (l *Logs) CreateStream(group, stream string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[group]
	if g == nil {
		return noLogGroup()
	}
	if g.streams[stream] != nil {
		return fault("ResourceAlreadyExistsException", "The specified log stream already exists")
	}
	g.streams[stream] = &logStream{name: stream, created: l.account.cloud.now()}
	return nil
}

// Put appends lines to a stream, as of now. They can be read after Settings.LogDelay.
func (l *Logs) Put(group, stream string, lines ...string) error {
	now := l.account.cloud.now()
	events := make([]logEvent, len(lines))
	for i, line := range lines {
		events[i] = logEvent{at: now, message: line}
	}
	return l.put(group, stream, events)
}

func (l *Logs) put(group, stream string, events []logEvent) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.stream(group, stream)
	if err != nil {
		return err
	}
	ingests := l.account.cloud.now().Add(l.account.cloud.settings.LogDelay)
	for _, e := range events {
		e.ingests = ingests
		s.events = append(s.events, e)
		l.groups[group].count(l.account.CloudWatch, e)
	}
	slices.SortStableFunc(s.events, func(a, b logEvent) int { return a.at.Compare(b.at) })
	return nil
}

// Lines returns all messages of a stream, those included that cannot be read yet.
func (l *Logs) Lines(group, stream string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.stream(group, stream)
	if err != nil {
		return nil
	}
	out := make([]string, len(s.events))
	for i, e := range s.events {
		out[i] = e.message
	}
	return out
}

// Streams returns the names of a group's streams, sorted.
func (l *Logs) Streams(group string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups[group] == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(l.groups[group].streams))
}

// stream is called under the lock.
func (l *Logs) stream(group, stream string) (*logStream, error) {
	g := l.groups[group]
	if g == nil {
		return nil, noLogGroup()
	}
	s := g.streams[stream]
	if s == nil {
		return nil, fault("ResourceNotFoundException", "The specified log stream does not exist.")
	}
	return s, nil
}

func noLogGroup() *Fault {
	return fault("ResourceNotFoundException", "The specified log group does not exist.")
}

// A logPosition is what a token of GetLogEvents says: where to go on, which way,
// and until when it is good.
type logPosition struct {
	forward bool
	index   int
	made    time.Time
}

func (p logPosition) String() string {
	direction := "b"
	if p.forward {
		direction = "f"
	}
	return fmt.Sprintf("%s/%020d/%d", direction, p.index, p.made.Unix())
}

// parsePosition reads a token. Tokens expire after 24 hours.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
func parsePosition(text string, now time.Time) (logPosition, error) {
	var p logPosition
	var seconds int64
	direction, rest, _ := strings.Cut(text, "/")
	_, err := fmt.Sscanf(rest, "%d/%d", &p.index, &seconds)
	if err != nil || direction != "f" && direction != "b" || p.index < 0 {
		return p, fault("InvalidParameterException", "The specified nextToken is invalid.")
	}
	p.forward, p.made = direction == "f", time.Unix(seconds, 0)
	if now.Sub(p.made) > 24*time.Hour {
		return p, fault("InvalidParameterException", "The specified nextToken is expired.")
	}
	return p, nil
}
