package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	cb "github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// mostPages is how many pages one reading takes at most: AWS may answer several
// that are empty and yet not the end.
const mostPages = 100

type attemptKey struct {
	ref ops.RunRef
	n   int
}

// An askKey is a follower's place in a log. Followers at the same place share the
// pauses; one that is behind does not wait for the others.
type askKey struct {
	attemptKey
	cursor string
}

// A logPace is when a log was asked last, and how long to leave it alone.
type logPace struct {
	at    time.Time
	pause time.Duration
}

// A stream is where an attempt's build prints.
type stream struct {
	name    string
	claimed bool // it is the worker's own word
}

// Log returns what the attempt's build printed behind the cursor. While it goes on
// AWS is asked for new lines after a pause that grows while there are none. Once it
// has ended, Log waits for the worker's last line, or where that never comes for
// Pace.LogLag behind the end of the build.
func (e *Engine) Log(ctx context.Context, ref ops.RunRef, n int, from string, ended bool) ([]byte, string, error) {
	c, err := parseCursor(from)
	if err != nil {
		return nil, from, err
	}
	key := attemptKey{ref, n}
	if c.Ended || !ended && !e.due(askKey{key, from}) {
		return nil, from, nil
	}
	place, err := e.streamOf(ctx, key, ended)
	if err != nil || place.name == "" {
		return nil, from, err
	}
	if c.Stream != place.name {
		c = cursor{Stream: place.name}
	}
	if ended {
		return e.rest(ctx, key, place, c)
	}
	text, c, err := e.read(ctx, key, place, c)
	if err != nil {
		e.put(askKey{key, from}, from, false)
		return nil, from, err
	}
	e.put(askKey{key, from}, c.String(), len(text) > 0)
	return text, c.String(), nil
}

// Ended tells whether the attempt's worker said its last line before the cursor: it
// ended orderly, with its result or a hand-over written before.
func (e *Engine) Ended(from string) bool {
	c, err := parseCursor(from)
	return err == nil && c.Ended
}

// due tells whether a place may be asked for again.
func (e *Engine) due(k askKey) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, asked := e.asked[k]
	return !asked || e.c.Now().Sub(p.at) >= p.pause
}

// put notes that the place k was asked for and led to the cursor next.
func (e *Engine) put(k askKey, next string, news bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	pause := e.c.Pace.LogLeast
	if p := e.asked[k]; !news && p.pause > 0 {
		pause = min(p.pause*3/2, e.c.Pace.LogMost)
	}
	delete(e.asked, k)
	e.asked[askKey{k.attemptKey, next}] = logPace{e.c.Now(), pause}
}

// streamOf is the stream that the attempt's worker names. A build that never came
// to be the attempt is told of only once it has ended: before, another may still
// become it.
func (e *Engine) streamOf(ctx context.Context, key attemptKey, ended bool) (stream, error) {
	e.mu.Lock()
	place, ok := e.place[key]
	e.mu.Unlock()
	if ok {
		return place, nil
	}
	x, attempt, err := e.c.Find(ctx, key.ref, key.n)
	if err != nil {
		return stream{}, fmt.Errorf("reading what was started: %w", err)
	}
	switch {
	case attempt != nil && attempt.Stream != "":
		place = stream{attempt.Stream, true}
	case attempt != nil && attempt.Build == "" || attempt == nil && !ended:
		return stream{}, nil
	default:
		s, err := e.survey(ctx, x, attempt)
		if err != nil || s.build == nil || s.build.Logs == nil {
			return stream{}, err
		}
		place = stream{aws.ToString(s.build.Logs.StreamName), attempt != nil}
	}
	if place.claimed && place.name != "" {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.place[key] = place
	}
	return place, nil
}

// read reads from the cursor up to the first page with lines, or to the end as it
// is now: there the same token comes back.
func (e *Engine) read(ctx context.Context, key attemptKey, place stream, c cursor) ([]byte, cursor, error) {
	begun, seeking := c, false
	var events []logs.OutputLogEvent // those of the cursor's millisecond, while seeking
	for range mostPages {
		out, sent, err := e.page(ctx, key.ref.Lane, c)
		if err != nil || out == nil {
			return nil, begun, err
		}
		seeking = seeking || sent == "" && c.Count > 0
		events = append(events, out.Events...)
		next := aws.ToString(out.NextForwardToken)
		end := next == "" || next == sent
		c.Token, c.At = next, e.c.Now().Unix()
		if seeking && !end && !beyond(events, c.Millis) {
			continue // the line read last may be on the next page
		}
		if seeking {
			events, seeking = c.unread(events), false
		}
		c.pass(events)
		if text := textOf(events, !place.claimed); len(text) > 0 || end || c.Ended {
			return text, c, nil
		}
		events = nil
	}
	if seeking {
		return nil, begun, nil // its token leads past lines that were not looked at
	}
	return nil, c, nil
}

// beyond tells whether lines lead past a millisecond.
func beyond(events []logs.OutputLogEvent, millis int64) bool {
	return len(events) > 0 && aws.ToInt64(events[len(events)-1].Timestamp) > millis
}

// page asks for the lines at the cursor, and tells the token it sent: "" where they
// begin at the cursor's millisecond instead, for want of a token that is taken. A
// stream that does not exist yet is no page.
func (e *Engine) page(ctx context.Context, lane ops.Lane, c cursor) (out *cloudwatchlogs.GetLogEventsOutput, sent string, err error) {
	group := logGroupOf(lane)
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: &c.Stream, StartFromHead: aws.Bool(true)}
	if c.fresh(e.c.Now()) {
		in.NextToken, sent = &c.Token, c.Token
		out, err = e.c.Clients.Logs.GetLogEvents(ctx, in)
	}
	if sent == "" || awsauth.CodeOfAPI(err) == "InvalidParameterException" { // it died before its time
		in.NextToken, sent = nil, ""
		if c.Count > 0 {
			in.StartTime = &c.Millis
		}
		out, err = e.c.Clients.Logs.GetLogEvents(ctx, in)
	}
	switch {
	case awsauth.CodeOfAPI(err) == "ResourceNotFoundException":
		return nil, "", nil
	case err != nil:
		return nil, "", awsauth.Explain("reading the log "+group+" "+c.Stream, err)
	}
	return out, sent, nil
}

// rest reads on until there is nothing more to come.
func (e *Engine) rest(ctx context.Context, key attemptKey, place stream, c cursor) ([]byte, string, error) {
	look := time.NewTicker(max(e.c.Pace.LogLeast/2, time.Millisecond))
	defer look.Stop()
	since, settled := e.c.Now(), false
	for {
		text, next, err := e.read(ctx, key, place, c)
		if err != nil {
			return nil, c.String(), err
		}
		// What comes behind the worker's last line is not the worker's.
		if c = next; len(text) > 0 || c.Ended || settled {
			return text, c.String(), nil
		}
		// A build that goes on although its attempt has ended may hang: it is not
		// waited for without end.
		settled = e.c.Now().Sub(since) >= 3*e.c.Pace.LogLag
		if !settled {
			if settled, err = e.settled(ctx, key, since); err != nil {
				return nil, c.String(), err
			}
		}
		if settled {
			continue // once more, for what came between reading and asking
		}
		select {
		case <-ctx.Done():
			return nil, c.String(), ctx.Err()
		case <-look.C:
		}
	}
}

// settled tells whether all lines of an attempt's build must have appeared: it
// ended long enough ago. Of one that AWS does not know any more it is the time since
// its end was heard of that counts.
func (e *Engine) settled(ctx context.Context, key attemptKey, since time.Time) (bool, error) {
	x, attempt, err := e.c.Find(ctx, key.ref, key.n)
	if err != nil {
		return false, fmt.Errorf("reading what was started: %w", err)
	}
	s, err := e.survey(ctx, x, attempt)
	switch {
	case err != nil:
		return false, err
	case s.build == nil:
		return e.c.Now().Sub(since) >= e.c.Pace.LogLag, nil
	case s.build.BuildStatus == cb.StatusTypeInProgress:
		return false, nil
	}
	return s.build.EndTime == nil || e.c.Now().Sub(*s.build.EndTime) >= e.c.Pace.LogLag, nil
}
