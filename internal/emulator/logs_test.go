package emulator_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// stream stores a group and a stream of a hundred lines, which are there to read
// unless delayed.
func (w *world) stream() *cloudwatchlogs.Client {
	w.t.Helper()
	l := w.Account(dev).Logs
	w.must(l.CreateGroup("/synops/plan", 30))
	w.must(l.CreateStream("/synops/plan", "build-1"))
	for i := range 100 {
		w.must(l.Put("/synops/plan", "build-1", fmt.Sprint("line ", i)))
	}
	return logsOf(w.admin(dev))
}

func quiet(c *emulator.Config) {
	c.Settings.LogDelay, c.Settings.EmptyLogPages = 0, false
	delete(c.Settings.Rates, "logs:GetLogEvents")
}

func page(c *cloudwatchlogs.Client, token *string, change ...func(*cloudwatchlogs.GetLogEventsInput)) (*cloudwatchlogs.GetLogEventsOutput, error) {
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("/synops/plan"), LogStreamName: aws.String("build-1"), StartFromHead: aws.Bool(true), NextToken: token}
	for _, f := range change {
		f(in)
	}
	return c.GetLogEvents(ctx, in)
}

func limit(n int32) func(*cloudwatchlogs.GetLogEventsInput) {
	return func(in *cloudwatchlogs.GetLogEventsInput) { in.Limit = &n }
}

// TestLogs_Forward reads a stream to its end, where the token repeats, and on when
// more has come.
func TestLogs_Forward(t *testing.T) {
	w := newWorld(t, quiet)
	c := w.stream()
	var got []string
	var token *string
	for {
		out, err := page(c, token, limit(30))
		w.must(err)
		for _, e := range out.Events {
			got = append(got, *e.Message)
		}
		if token != nil && *out.NextForwardToken == *token {
			break
		}
		token = out.NextForwardToken
	}
	if want := w.Account(dev).Logs.Lines("/synops/plan", "build-1"); !slices.Equal(got, want) {
		t.Errorf("read %d lines, want %d", len(got), len(want))
	}
	w.must(w.Account(dev).Logs.Put("/synops/plan", "build-1", "more"))
	out, err := page(c, token)
	w.must(err)
	if len(out.Events) != 1 || *out.Events[0].Message != "more" || *out.NextForwardToken == *token {
		t.Errorf("after the end: %+v", out)
	}
}

func TestLogs_Tail(t *testing.T) {
	w := newWorld(t, quiet)
	c := w.stream()
	last, err := page(c, nil, limit(10), func(in *cloudwatchlogs.GetLogEventsInput) { in.StartFromHead = nil })
	w.must(err)
	if len(last.Events) != 10 || *last.Events[9].Message != "line 99" {
		t.Errorf("the last ten: %d events", len(last.Events))
	}
	before, err := page(c, last.NextBackwardToken, limit(10))
	w.must(err)
	if len(before.Events) != 10 || *before.Events[9].Message != "line 89" {
		t.Errorf("the ten before: %+v", before.Events)
	}
	after, err := page(c, last.NextForwardToken)
	w.must(err)
	if len(after.Events) != 0 || *after.NextForwardToken != *last.NextForwardToken {
		t.Errorf("behind the last: %+v", after)
	}
}

// TestLogs_Delay: what was put is not there to read at once; an empty page is not
// the end.
func TestLogs_Delay(t *testing.T) {
	w := newWorld(t)
	c := w.stream()
	out, err := page(c, nil)
	w.must(err)
	if len(out.Events) != 0 {
		t.Errorf("%d events before the delay has passed", len(out.Events))
	}
	w.clock.pass(emulator.Defaults().LogDelay)
	out, err = page(c, nil)
	w.must(err)
	if len(out.Events) != 0 {
		t.Errorf("the first page has %d events; it is to be empty", len(out.Events))
	}
	out, err = page(c, out.NextForwardToken)
	w.must(err)
	if len(out.Events) != 100 || *out.Events[0].IngestionTime <= *out.Events[0].Timestamp {
		t.Errorf("the second page has %d events", len(out.Events))
	}
}

// TestLogs_Page holds at most a megabyte.
func TestLogs_Page(t *testing.T) {
	w := newWorld(t, quiet)
	c := w.stream()
	for range 3 {
		w.must(w.Account(dev).Logs.Put("/synops/plan", "build-1", strings.Repeat("x", 600<<10)))
	}
	sizes, read := []int{}, 0
	var token *string
	for read < 103 {
		out, err := page(c, token)
		w.must(err)
		sizes = append(sizes, len(out.Events))
		read += len(out.Events)
		token = out.NextForwardToken
	}
	if !slices.Equal(sizes, []int{101, 1, 1}) {
		t.Errorf("pages of %v events", sizes)
	}
}

func TestLogs_Tokens(t *testing.T) {
	w := newWorld(t, quiet)
	c := w.stream()
	out, err := page(c, nil, limit(1))
	w.must(err)
	for _, token := range []string{"x", "f/1", "g/1/2", "f/-1/99999999999"} {
		_, err := page(c, &token)
		wantCode(t, err, "InvalidParameterException")
	}
	old := fmt.Sprintf("f/%020d/%d", 1, w.clock.now().Add(-25*time.Hour).Unix())
	_, err = page(c, &old)
	wantCode(t, err, "InvalidParameterException")
	if _, err = page(c, out.NextForwardToken); err != nil {
		t.Errorf("a fresh token: %v", err)
	}
	_, err = page(c, nil, limit(10001))
	wantCode(t, err, "InvalidParameterException")
}

func TestLogs_Writing(t *testing.T) {
	w := newWorld(t, quiet)
	l := w.Account(dev).Logs
	w.must(l.CreateGroup("/synops/plan", 30))
	w.role(dev, "lane", allows("arn:aws:logs:us-east-1:"+dev+":log-group:/synops/plan:*", "logs:CreateLogStream", "logs:PutLogEvents"))
	c := logsOf(w.as(dev, "lane"))
	_, err := c.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String("/synops/plan"), LogStreamName: aws.String("build-1")})
	w.must(err)
	_, err = c.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String("/synops/plan"), LogStreamName: aws.String("build-1")})
	wantCode(t, err, "ResourceAlreadyExistsException")
	at := w.clock.now().UnixMilli()
	event := func(at int64, text string) types.InputLogEvent {
		return types.InputLogEvent{Timestamp: &at, Message: &text}
	}
	put := func(stream string, events ...types.InputLogEvent) error {
		_, err := c.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("/synops/plan"), LogStreamName: &stream, LogEvents: events})
		return err
	}
	w.must(put("build-1", event(at, "one"), event(at, "two")))
	wantCode(t, put("build-1", event(at, "b"), event(at-1, "a")), "InvalidParameterException")
	wantCode(t, put("build-1", event(at-25*3600*1000, "a"), event(at, "b")), "InvalidParameterException")
	wantCode(t, put("build-2", event(at, "a")), "ResourceNotFoundException")
	if got := l.Lines("/synops/plan", "build-1"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("stored %q", got)
	}
	_, err = page(c, nil)
	wantCode(t, err, "AccessDeniedException")
}

func TestLogs_Describe(t *testing.T) {
	w := newWorld(t, quiet)
	c := w.stream()
	for i := range 60 {
		w.must(w.Account(dev).Logs.CreateStream("/synops/plan", fmt.Sprintf("other-%02d", i)))
	}
	var names []string
	p := cloudwatchlogs.NewDescribeLogStreamsPaginator(c, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String("/synops/plan")})
	for p.HasMorePages() {
		out, err := p.NextPage(ctx)
		w.must(err)
		for _, s := range out.LogStreams {
			names = append(names, *s.LogStreamName)
		}
	}
	if len(names) != 61 || names[0] != "build-1" {
		t.Errorf("streams %q", names)
	}
	groups, err := c.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/synops/")})
	w.must(err)
	if len(groups.LogGroups) != 1 || *groups.LogGroups[0].RetentionInDays != 30 {
		t.Errorf("groups %+v", groups.LogGroups)
	}
	if err := w.Account(dev).Logs.SetRetention("/synops/plan", 31); codeOf2(err) != "InvalidParameterException" {
		t.Errorf("a retention that cannot be set: %v", err)
	}
}

// TestLogs_Throttle: an account's calls beyond the rate are refused until time has
// passed.
func TestLogs_Throttle(t *testing.T) {
	w := newWorld(t)
	c := w.stream()
	refused := 0
	for range 15 {
		if _, err := page(c, nil); err != nil {
			wantCode(t, err, "ThrottlingException")
			refused++
		}
	}
	if refused != 5 {
		t.Errorf("%d of 15 calls at once were refused, want 5", refused)
	}
	w.clock.pass(100 * time.Millisecond)
	if _, err := page(c, nil); err != nil {
		t.Errorf("after a tenth of a second: %v", err)
	}
	if _, err := page(c, nil); codeOf(err) != "ThrottlingException" {
		t.Errorf("a second one at once: %v", err)
	}
}
