package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cb "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/pipeline"
)

// aDay is a log of lines of which several have one time, and some say the same.
func aDay(page int) (*tape, string) {
	t := &tape{page: page}
	var all strings.Builder
	at := noon.UnixMilli()
	for i := range 60 {
		if i%7 == 0 {
			at++
		}
		line := fmt.Sprintf("line %d", i/2) // each twice
		t.say(at, line)
		all.WriteString(line + "\n")
	}
	return t, all.String()
}

// TestLog_ExactlyOnce: cut after any reading, and with tokens that died meanwhile or
// were not taken, a new follower goes on with the next line.
func TestLog_ExactlyOnce(t *testing.T) {
	for name, c := range map[string]struct {
		page   int
		sleeps time.Duration // between two followers
		forget bool          // the token that a follower brings is not taken
	}{
		"by token":             {7, time.Minute, false},
		"after a day":          {7, 25 * time.Hour, false},
		"token not taken":      {5, time.Minute, true},
		"a line at a time":     {1, 25 * time.Hour, false},
		"several of one milli": {3, 25 * time.Hour, false},
		"pages across":         {16, 25 * time.Hour, false},
	} {
		log, want := aDay(c.page)
		clk := &clock{at: noon}
		var got strings.Builder
		cursor := ""
		for range 100 {
			e := scripted(&script{}, log, clk) // a new process
			if c.forget {
				log.forget = func() bool { log.forget = nil; return true }
			}
			text, next, err := e.Log(t.Context(), ref, 1, cursor, false)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got.Write(text)
			cursor = next
			clk.pass(c.sleeps)
		}
		if got.String() != want {
			t.Errorf("%s: read\n%s\nwant\n%s", name, got.String(), want)
		}
	}
}

// TestLog_AsksSeldom: each second while there are new lines, every fifteen once it
// has long been quiet, and at once again behind news.
func TestLog_AsksSeldom(t *testing.T) {
	log, clk := &tape{page: 100}, &clock{at: noon}
	e := scripted(&script{}, log, clk)
	cursor := ""
	look := func(want string) {
		t.Helper()
		text, next, err := e.Log(t.Context(), ref, 1, cursor, false)
		if err != nil || string(text) != want {
			t.Fatalf("read %q, %v, want %q", text, err, want)
		}
		cursor = next
	}
	for i := range 30 { // a minute of news, every two seconds
		line := fmt.Sprint("line ", i)
		log.say(clk.now().UnixMilli(), line)
		look(line + "\n")
		look("") // the follower asks until there is nothing
		clk.pass(2 * time.Second)
	}
	if n := log.calls(); n > 61 {
		t.Errorf("%d calls for 30 lines", n)
	}
	before := log.calls()
	for range 1800 { // an hour of quiet
		look("")
		clk.pass(2 * time.Second)
	}
	if n := log.calls() - before; n < 220 || n > 260 {
		t.Errorf("%d calls in a quiet hour", n)
	}
	log.say(clk.now().UnixMilli(), "news")
	clk.pass(16 * time.Second)
	look("news\n")
}

// TestLog_WorkersOwn: of a build's log people see what the worker says, up to its
// last line.
func TestLog_WorkersOwn(t *testing.T) {
	log, clk := &tape{page: 100}, &clock{at: noon}
	log.say(noon.UnixMilli(), "[Container] 2026/11/23 12:00:00 Running command ./synops", "one", ops.LineBeat, "two", ops.LineEnded, "[Container] Phase complete", "three")
	e := scripted(&script{}, log, clk)
	text, cursor, err := e.Log(t.Context(), ref, 1, "", true)
	if err != nil || string(text) != "one\ntwo\nthree\n" && string(text) != "one\ntwo\n" {
		t.Fatalf("read %q, %v", text, err)
	}
	calls := log.calls()
	if text, _, err = e.Log(t.Context(), ref, 1, cursor, true); len(text) > 0 || err != nil || log.calls() != calls {
		t.Errorf("after the worker's last line: %q, %v, %d calls", text, err, log.calls()-calls)
	}
}

// TestLog_Rest: a build that did not end orderly is listened to until its lines must
// have come.
func TestLog_Rest(t *testing.T) {
	log, s, clk := &tape{page: 100}, &script{build: aBuild(cb.StatusTypeInProgress, "BUILD")}, &clock{at: noon}
	log.say(noon.UnixMilli(), "one")
	e := scripted(s, log, clk, func(c *pipeline.Config) {
		c.Pace = pipeline.Pace{Result: time.Millisecond, LogLeast: 2 * time.Millisecond, LogMost: time.Second, Build: time.Nanosecond, LogLag: 5 * time.Second}
		c.Now = func() time.Time { clk.pass(100 * time.Millisecond); return clk.now() }
	})
	text, cursor, err := e.Log(t.Context(), ref, 1, "", true)
	if err != nil || string(text) != "one\n" {
		t.Fatalf("read %q, %v", text, err)
	}
	s.mu.Lock()
	s.build = aBuild(cb.StatusTypeStopped, "COMPLETED")
	s.build.EndTime = aws.Time(clk.now())
	s.mu.Unlock()
	begin := clk.now()
	if text, _, err = e.Log(t.Context(), ref, 1, cursor, true); err != nil || len(text) > 0 {
		t.Fatalf("read %q, %v", text, err)
	}
	if waited := clk.now().Sub(begin); waited < 5*time.Second {
		t.Errorf("listened for %v after the build's end", waited)
	}
}

// TestLog_NotAnAttempt: a build that never came to be the attempt is told of once it
// is over, with CodeBuild's own words.
func TestLog_NotAnAttempt(t *testing.T) {
	log, clk := &tape{page: 100}, &clock{at: noon.Add(time.Hour)}
	log.say(noon.UnixMilli(), "[Container] error while downloading the source")
	s := &script{status: types.PipelineExecutionStatusFailed, linked: true, build: aBuild(cb.StatusTypeFailed, "COMPLETED")}
	s.build.EndTime = aws.Time(noon)
	e := scripted(s, log, clk, func(c *pipeline.Config) {
		c.Find = func(context.Context, ops.RunRef, int) (ops.Execution, *ops.Attempt, error) { return begun, nil, nil }
	})
	if text, _, err := e.Log(t.Context(), ref, 1, "", false); len(text) > 0 || err != nil {
		t.Errorf("while it may still be claimed: %q, %v", text, err)
	}
	if text, _, err := e.Log(t.Context(), ref, 1, "", true); string(text) != "[Container] error while downloading the source\n" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
}

// TestLog_Hostile: what is no cursor is refused.
func TestLog_Hostile(t *testing.T) {
	e := scripted(&script{}, &tape{page: 1}, &clock{at: noon})
	for _, cursor := range []string{"no cursor", "{}", `{"stream":"b-1","more":1}`, `{"stream":"b-1"}{}`, "12"} {
		if _, _, err := e.Log(t.Context(), ref, 1, cursor, false); ops.CodeOf(err) != ops.Invalid {
			t.Errorf("%s: %v", cursor, err)
		}
	}
}
