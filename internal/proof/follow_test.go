package proof_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/pipeline"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// A trouble is what befalls a follower for a while. answer is what AWS says to a call
// instead of what it would: nil and no error leave it as it is.
type trouble struct {
	name   string
	lasts  time.Duration
	answer func(call string) (*http.Response, error)
	keys   bool // credentials cannot be renewed either
}

var troubles = []trouble{
	{name: "throttled", lasts: 4 * time.Minute, answer: func(call string) (*http.Response, error) {
		if strings.HasPrefix(call, "s3 ") {
			return said(http.StatusServiceUnavailable, "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"), nil
		}
		return said(http.StatusBadRequest, `{"__type":"ThrottlingException","message":"Rate exceeded"}`), nil
	}},
	{name: "a dropped connection", lasts: 4 * time.Minute, answer: func(string) (*http.Response, error) { return nil, errCut }},
	{name: "credentials that end and cannot be renewed", lasts: 4 * time.Minute, keys: true, answer: func(string) (*http.Response, error) { return nil, nil }},
	{name: "an engine that forgets", lasts: time.Hour, answer: func(call string) (*http.Response, error) {
		switch call {
		case "BatchGetBuilds":
			return said(http.StatusOK, `{"builds":[],"buildsNotFound":["synops-admin:gone"]}`), nil
		case "GetPipelineExecution", "ListActionExecutions":
			return said(http.StatusBadRequest, `{"__type":"PipelineExecutionNotFoundException","message":"gone"}`), nil
		}
		return nil, nil
	}},
	{name: "a log that forgets for a while", lasts: 4 * time.Minute, answer: func(call string) (*http.Response, error) {
		if call == "GetLogEvents" {
			return said(http.StatusBadRequest, `{"__type":"ResourceNotFoundException","message":"gone"}`), nil
		}
		return nil, nil
	}},
}

func said(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}

// A troubled line is a follower's, from a time on and for a while.
type troubled struct {
	to       http.RoundTripper
	is       func() bool
	what     trouble
	answered *atomic.Int64
}

func (l troubled) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.is() {
		if answer, err := l.what.answer(nameOf(r)); answer != nil || err != nil {
			l.answered.Add(1)
			if answer != nil {
				answer.Request = r
			}
			return answer, err
		}
	}
	return l.to.RoundTrip(r)
}

// TestFollowSurvives has trouble befall a follower in the midst of a run. It goes on
// by itself where it was: each line comes once, and the verdict soon after the end.
func TestFollowSurvives(t *testing.T) {
	for i, what := range troubles {
		if raced && i > 0 {
			continue
		}
		t.Run(what.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { what.befall(t) })
		})
	}
}

func (what trouble) befall(t *testing.T) {
	const minutes = 12
	b := newBubble(t, sandbox.Config{})
	b.sessions = 6 * time.Minute // renewed each minute
	ref, _, err := b.asker().Launch(t.Context(), "job", b.request("canary", map[string]string{"minutes": strconv.Itoa(minutes)}), launcher.Answers{By: "proof"})
	b.ok(err)
	begins := time.Now().Add(4 * time.Minute)
	is := func() bool { d := time.Since(begins); return d >= 0 && d < what.lasts }
	var answered atomic.Int64
	cfg := b.config(newProcess(nil), "synops-observe")
	cfg.HTTPClient = &http.Client{Transport: troubled{cfg.HTTPClient.(*http.Client).Transport, is, what, &answered}}
	if keys := cfg.Credentials; what.keys {
		cfg.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			if is() {
				answered.Add(1)
				return aws.Credentials{}, &smithyhttp.RequestSendError{Err: errCut}
			}
			return keys.Retrieve(ctx)
		}), func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute })
	}
	w := &watcher{b: b, ref: ref}
	r, err := b.launcherOf(cfg, pipeline.Config{}).Follow(t.Context(), ref, launcher.Follow{Log: w, Progress: func(ops.Heartbeat) {}, Attempt: func(n int, _ bool) {
		t.Errorf("it went on to attempt %d", n)
	}})
	b.ok(err)
	if late := time.Since(r.Ended); r.Outcome != ops.Succeeded || w.last != minutes || late > 30*time.Second {
		t.Errorf("the verdict %s came %v after the end, behind line %d of %d", r.Outcome, late, w.last, minutes)
	}
	if answered.Load() == 0 {
		t.Error("there was no trouble")
	}
	t.Log(fmt.Sprint(answered.Load()), "calls were in trouble")
}
