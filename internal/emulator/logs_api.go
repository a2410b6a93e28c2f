package emulator

import (
	"maps"
	"slices"
	"strings"
	"time"
)

func logsService() service {
	return jsonService{
		"CreateLogGroup":     jsonOp(createLogGroup),
		"CreateLogStream":    jsonOp(createLogStream),
		"PutLogEvents":       jsonOp(putLogEvents),
		"GetLogEvents":       jsonOp(getLogEvents),
		"DescribeLogStreams": jsonOp(describeLogStreams),
		"DescribeLogGroups":  jsonOp(describeLogGroups),
	}
}

type nothing struct{}

// mayLog asks about a group, or about one stream of it.
func (c *call) mayLog(action, group, stream string) error {
	arn := c.account.arn("logs", "log-group:"+group)
	if stream != "" {
		arn += ":log-stream:" + stream
	}
	return c.allow(question{action: action, resource: arn})
}

type logNames struct {
	LogGroupName  string `json:"logGroupName"`
	LogStreamName string `json:"logStreamName"`
}

func createLogGroup(c *call, in *struct {
	LogGroupName string `json:"logGroupName"`
}) (*nothing, error) {
	if err := c.mayLog("logs:CreateLogGroup", in.LogGroupName, ""); err != nil {
		return nil, err
	}
	return &nothing{}, c.account.Logs.CreateGroup(in.LogGroupName, 0)
}

func createLogStream(c *call, in *logNames) (*nothing, error) {
	if err := c.mayLog("logs:CreateLogStream", in.LogGroupName, in.LogStreamName); err != nil {
		return nil, err
	}
	return &nothing{}, c.account.Logs.CreateStream(in.LogGroupName, in.LogStreamName)
}

type inputLogEvent struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

type putLogEventsInput struct {
	LogGroupName  string          `json:"logGroupName"`
	LogStreamName string          `json:"logStreamName"`
	SequenceToken string          `json:"sequenceToken"` // ignored since 2023
	LogEvents     []inputLogEvent `json:"logEvents"`
}

type putLogEventsOutput struct {
	NextSequenceToken string `json:"nextSequenceToken"`
}

// putLogEvents: a batch has at most 10,000 events and 1,048,576 bytes, 26 counted
// for each event besides its text, in the order of time, within 24 hours.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
func putLogEvents(c *call, in *putLogEventsInput) (*putLogEventsOutput, error) {
	if err := c.mayLog("logs:PutLogEvents", in.LogGroupName, in.LogStreamName); err != nil {
		return nil, err
	}
	if len(in.LogEvents) == 0 || len(in.LogEvents) > 10000 {
		return nil, fault("InvalidParameterException", "A batch has 1 to 10000 events, not %d.", len(in.LogEvents))
	}
	size := 0
	events := make([]logEvent, len(in.LogEvents))
	for i, e := range in.LogEvents {
		size += len(e.Message) + 26
		events[i] = logEvent{at: time.UnixMilli(e.Timestamp).UTC(), message: e.Message}
		if i > 0 && e.Timestamp < in.LogEvents[i-1].Timestamp {
			return nil, fault("InvalidParameterException", "Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if size > 1048576 {
		return nil, fault("InvalidParameterException", "Upload too large: %d bytes exceeds limit of 1048576", size)
	}
	if events[len(events)-1].at.Sub(events[0].at) > 24*time.Hour {
		return nil, fault("InvalidParameterException", "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return &putLogEventsOutput{requestID()}, c.account.Logs.put(in.LogGroupName, in.LogStreamName, events)
}

type getLogEventsInput struct {
	LogGroupName  string `json:"logGroupName"`
	LogStreamName string `json:"logStreamName"`
	NextToken     string `json:"nextToken"`
	Limit         *int   `json:"limit"`
	StartFromHead bool   `json:"startFromHead"`
	StartTime     *int64 `json:"startTime"`
	EndTime       *int64 `json:"endTime"`
}

type outputLogEvent struct {
	Timestamp     int64  `json:"timestamp"`
	IngestionTime int64  `json:"ingestionTime"`
	Message       string `json:"message"`
}

type getLogEventsOutput struct {
	Events            []outputLogEvent `json:"events"`
	NextForwardToken  string           `json:"nextForwardToken"`
	NextBackwardToken string           `json:"nextBackwardToken"`
}

const mostLogPage = 1 << 20 // bytes

// getLogEvents: at most 10,000 events and 1 MB a page; at the end the token that
// was given comes back.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
func getLogEvents(c *call, in *getLogEventsInput) (*getLogEventsOutput, error) {
	if err := c.mayLog("logs:GetLogEvents", in.LogGroupName, in.LogStreamName); err != nil {
		return nil, err
	}
	limit := 10000
	if in.Limit != nil {
		limit = *in.Limit
	}
	if limit < 1 || limit > 10000 {
		return nil, fault("InvalidParameterException", "limit %d is not between 1 and 10000.", limit)
	}
	events, err := c.account.Logs.readable(in)
	if err != nil {
		return nil, err
	}
	now := c.cloud.now()
	at := logPosition{forward: in.StartFromHead, made: now}
	if !in.StartFromHead {
		at.index = len(events)
	}
	if in.NextToken != "" {
		if at, err = parsePosition(in.NextToken, now); err != nil {
			return nil, err
		}
	} else if in.StartFromHead && len(events) > 0 && c.cloud.settings.EmptyLogPages {
		limit = 0
	}
	first, last := page(events, at, limit)
	out := &getLogEventsOutput{Events: []outputLogEvent{}}
	for _, e := range events[first:last] {
		out.Events = append(out.Events, outputLogEvent{e.at.UnixMilli(), e.ingests.UnixMilli(), e.message})
	}
	out.NextForwardToken = token24(logPosition{true, last, now}, in.NextToken)
	out.NextBackwardToken = token24(logPosition{false, first, now}, in.NextToken)
	return out, nil
}

// token24 returns the token for a position: the one that was given when it means
// the same, for that is how the end is told.
func token24(p logPosition, given string) string {
	text := p.String()
	if i := strings.LastIndexByte(text, '/'); strings.HasPrefix(given, text[:i+1]) {
		return given
	}
	return text
}

// page returns which events follow the position, or lie before it, within limit
// and one page's size.
func page(events []logEvent, at logPosition, limit int) (first, last int) {
	first = min(at.index, len(events))
	last = first
	size := 0
	for range limit {
		switch {
		case at.forward && last < len(events):
			size += len(events[last].message) + 26
			last++
		case !at.forward && first > 0:
			first--
			size += len(events[first].message) + 26
		default:
			return first, last
		}
		if size > mostLogPage {
			if at.forward {
				return first, max(last-1, first+1)
			}
			return min(first+1, last-1), last
		}
	}
	return first, last
}

// readable returns the stream's events that are ingested by now and within the
// times asked for.
func (l *Logs) readable(in *getLogEventsInput) ([]logEvent, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.stream(in.LogGroupName, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	now := l.account.cloud.now()
	var out []logEvent
	for _, e := range s.events {
		ms := e.at.UnixMilli()
		if e.ingests.After(now) || in.StartTime != nil && ms < *in.StartTime || in.EndTime != nil && ms >= *in.EndTime {
			continue
		}
		out = append(out, e)
	}
	return out, nil
}

type describeLogStreamsInput struct {
	LogGroupName        string `json:"logGroupName"`
	LogStreamNamePrefix string `json:"logStreamNamePrefix"`
	OrderBy             string `json:"orderBy"`
	Descending          bool   `json:"descending"`
	Limit               *int   `json:"limit"`
	NextToken           string `json:"nextToken"`
}

type logStreamEntry struct {
	LogStreamName       string `json:"logStreamName"`
	CreationTime        int64  `json:"creationTime"`
	FirstEventTimestamp *int64 `json:"firstEventTimestamp,omitempty"`
	LastEventTimestamp  *int64 `json:"lastEventTimestamp,omitempty"`
	Arn                 string `json:"arn"`
}

type describeLogStreamsOutput struct {
	LogStreams []logStreamEntry `json:"logStreams"`
	NextToken  string           `json:"nextToken,omitempty"`
}

func describeLogStreams(c *call, in *describeLogStreamsInput) (*describeLogStreamsOutput, error) {
	if err := c.mayLog("logs:DescribeLogStreams", in.LogGroupName, ""); err != nil {
		return nil, err
	}
	if in.OrderBy != "" && in.OrderBy != "LogStreamName" {
		return nil, notModeled("DescribeLogStreams", "orderBy "+in.OrderBy)
	}
	l := c.account.Logs
	if _, ok := l.Group(in.LogGroupName); !ok {
		return nil, noLogGroup()
	}
	names := slices.DeleteFunc(l.Streams(in.LogGroupName), func(s string) bool { return !strings.HasPrefix(s, in.LogStreamNamePrefix) })
	if in.Descending {
		slices.Reverse(names)
	}
	names, next := cutPage(names, in.NextToken, in.Limit, 50)
	out := &describeLogStreamsOutput{LogStreams: []logStreamEntry{}, NextToken: next}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		s, err := l.stream(in.LogGroupName, name)
		if err != nil {
			continue
		}
		e := logStreamEntry{LogStreamName: name, CreationTime: s.created.UnixMilli(), Arn: c.account.arn("logs", "log-group:"+in.LogGroupName+":log-stream:"+name)}
		if n := len(s.events); n > 0 {
			e.FirstEventTimestamp, e.LastEventTimestamp = new(s.events[0].at.UnixMilli()), new(s.events[n-1].at.UnixMilli())
		}
		out.LogStreams = append(out.LogStreams, e)
	}
	return out, nil
}

// cutPage returns the names behind the token's, at most limit, and the next token.
func cutPage(names []string, token string, limit *int, most int) (page []string, next string) {
	if token != "" {
		names = names[slices.Index(names, token)+1:]
	}
	if limit != nil {
		most = min(most, *limit)
	}
	if len(names) <= most {
		return names, ""
	}
	return names[:most], names[most-1]
}

type describeLogGroupsInput struct {
	LogGroupNamePrefix string `json:"logGroupNamePrefix"`
	Limit              *int   `json:"limit"`
	NextToken          string `json:"nextToken"`
}

type logGroupEntry struct {
	LogGroupName    string `json:"logGroupName"`
	Arn             string `json:"arn"`
	CreationTime    int64  `json:"creationTime"`
	RetentionInDays int    `json:"retentionInDays,omitempty"`
}

type describeLogGroupsOutput struct {
	LogGroups []logGroupEntry `json:"logGroups"`
	NextToken string          `json:"nextToken,omitempty"`
}

// describeLogGroups is authorized on the prefix: the action lists whatever begins so.
func describeLogGroups(c *call, in *describeLogGroupsInput) (*describeLogGroupsOutput, error) {
	if err := c.allow(question{action: "logs:DescribeLogGroups", resource: c.account.arn("logs", "log-group:"+in.LogGroupNamePrefix)}); err != nil {
		return nil, err
	}
	l := c.account.Logs
	l.mu.Lock()
	defer l.mu.Unlock()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(l.groups)), func(s string) bool { return !strings.HasPrefix(s, in.LogGroupNamePrefix) })
	names, next := cutPage(names, in.NextToken, in.Limit, 50)
	out := &describeLogGroupsOutput{LogGroups: []logGroupEntry{}, NextToken: next}
	for _, name := range names {
		g := l.groups[name]
		out.LogGroups = append(out.LogGroups, logGroupEntry{name, l.GroupARN(name), g.created.UnixMilli(), g.days})
	}
	return out, nil
}
