package pipeline

import (
	"bytes"
	"encoding/json"
	"hash/fnv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// tokenLife is how long a forward token is used. AWS takes one for 24 hours; a
// cursor has to hold for as long as a run.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
const tokenLife = 20 * time.Hour

// A cursor is a place in one build's stream: behind the last line read. The token
// leads there fast; without it, time, place within the millisecond and what the
// line says find it again.
type cursor struct {
	Stream string `json:"stream"`
	Millis int64  `json:"ms,omitempty"`    // of the last line
	Count  int    `json:"n,omitempty"`     // lines read that have this time
	Line   uint32 `json:"line,omitempty"`  // hash of the last line
	Token  string `json:"token,omitempty"` // as AWS gave it
	At     int64  `json:"at,omitempty"`    // when it did, in seconds
	Ended  bool   `json:"ended,omitempty"` // the worker said that this was its last line
}

// parseCursor reads what Log handed out; "" is the start. The error is Invalid.
func parseCursor(s string) (cursor, error) {
	var c cursor
	if s == "" {
		return c, nil
	}
	dec := json.NewDecoder(strings.NewReader(s))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil || dec.More() || c.Stream == "" {
		return cursor{}, ops.Errorf(ops.Invalid, "%s is not a cursor of a build's log.", ops.Quote(s))
	}
	return c, nil
}

func (c cursor) String() string {
	if c.Stream == "" {
		return ""
	}
	b, _ := ops.CanonicalJSON(c) // strings and numbers always marshal
	return string(b)
}

// fresh tells whether the token may still be taken.
func (c *cursor) fresh(now time.Time) bool {
	age := now.Sub(time.Unix(c.At, 0))
	return c.Token != "" && age >= 0 && age < tokenLife
}

// unread drops the lines of a page that begins at the cursor's millisecond which
// the cursor has behind it: up to the very line, or, where that is not there, as
// many as were read.
func (c *cursor) unread(events []logs.OutputLogEvent) []logs.OutputLogEvent {
	same := 0
	found := -1
	for same < len(events) && aws.ToInt64(events[same].Timestamp) == c.Millis {
		// Of equal lines the one in the cursor's own place is meant, or the nearest before.
		if hashOf(events[same]) == c.Line && (found < 0 || same < c.Count) {
			found = same
		}
		same++
	}
	if found >= 0 {
		return events[found+1:]
	}
	return events[min(c.Count, same):]
}

// pass moves the cursor behind the lines.
func (c *cursor) pass(events []logs.OutputLogEvent) {
	for _, e := range events {
		if at := aws.ToInt64(e.Timestamp); at != c.Millis {
			c.Millis, c.Count = at, 0
		}
		c.Count, c.Line = c.Count+1, hashOf(e)
		c.Ended = c.Ended || strings.TrimRight(aws.ToString(e.Message), "\r\n") == ops.LineEnded
	}
}

func hashOf(e logs.OutputLogEvent) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(aws.ToString(e.Message)))
	return h.Sum32()
}

// containerLine begins what CodeBuild's agent says among what commands print.
const containerLine = "[Container] "

// textOf is what people read of the lines. Of a worker's log only what the worker
// says; where no worker came to say anything, all.
func textOf(events []logs.OutputLogEvent, all bool) []byte {
	var b bytes.Buffer
	for _, e := range events {
		line := strings.TrimRight(aws.ToString(e.Message), "\r\n")
		if line == ops.LineBeat || line == ops.LineEnded || !all && strings.HasPrefix(line, containerLine) {
			continue
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.Bytes()
}
