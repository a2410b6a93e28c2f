package adminapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
)

// source is a token source that gives its tokens in turn, the last for ever.
type source struct {
	reads  atomic.Int64
	tokens []string
	err    error
}

func (s *source) read(context.Context) (string, error) {
	n := int(s.reads.Add(1))
	return s.tokens[min(n, len(s.tokens))-1], s.err
}

func from(s *source) func(*adminapi.Config) {
	return func(c *adminapi.Config) { c.Token = s.read }
}

// accepts answers 200 to one token and 401 to others.
func accepts(token string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.Header().Set("WWW-Authenticate", `Bearer realm="Synapse Repository Services"`)
			why(401, "Invalid access token")(w, r)
			return
		}
		say(200, `{"enabled":true,"id":"14"}`)(w, r)
	}
}

func TestTheTokenIsReadAtFirstNeed(t *testing.T) {
	src := &source{tokens: []string{canary}}
	s := serve(t, say(200, `{"stackInstance":"544","enabled":true}`))
	c, _ := client(t, s.URL, from(src))
	if _, err := c.Version(t.Context()); err != nil || src.reads.Load() != 0 {
		t.Errorf("%v after %d reads; Version needs no token", err, src.reads.Load())
	}
	for range 3 {
		if err := readOne(t.Context(), c); err != nil || src.reads.Load() != 1 {
			t.Errorf("%v after %d reads, want 1", err, src.reads.Load())
		}
	}
}

func TestA401ReadsTheTokenOnceMore(t *testing.T) {
	for _, k := range kinds {
		src := &source{tokens: []string{"old-token-1", "new-token-2"}}
		s := serve(t, accepts("new-token-2"))
		c, pauses := client(t, s.URL, from(src))
		if err := k.call(t.Context(), c); err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
		if n := len(s.requests()); n != 2 || src.reads.Load() != 2 || len(*pauses) != 0 {
			t.Errorf("%s: %d requests, %d reads, %d pauses", k.name, n, src.reads.Load(), len(*pauses))
		}
	}
}

func TestA401ThatStays(t *testing.T) {
	for name, row := range map[string]struct {
		tokens          []string
		requests, reads int
	}{
		"another token, refused too": {[]string{canary + "1", canary + "2", canary + "3"}, 2, 2},
		"the same token":             {[]string{canary}, 1, 2},
	} {
		src := &source{tokens: row.tokens}
		s := serve(t, accepts("something-else"))
		c, _ := client(t, s.URL, from(src))
		wantError(t, readOne(t.Context(), c), ops.Denied, "401 Unauthorized", "source")
		if n := len(s.requests()); n != row.requests || int(src.reads.Load()) != row.reads {
			t.Errorf("%s: %d requests and %d reads, want %d and %d", name, n, src.reads.Load(), row.requests, row.reads)
		}
	}
	src := &source{tokens: []string{canary}}
	s := serve(t, why(401, "x"))
	c, _ := client(t, s.URL, from(src))
	_, err := c.Version(t.Context())
	wantError(t, err, ops.Denied)
	if src.reads.Load() != 0 {
		t.Error("a call without a token read one")
	}
}

// TestManyCallsReadTheTokenTogether: one read at first, one after all were
// answered 401.
func TestManyCallsReadTheTokenTogether(t *testing.T) {
	src := &source{tokens: []string{"old-token-1", "new-token-2"}}
	s := serve(t, accepts("new-token-2"))
	c, _ := client(t, s.URL, from(src), func(c *adminapi.Config) { c.Pace.InFlight = 20 })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := readOne(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := src.reads.Load(); n != 2 {
		t.Errorf("%d reads, want 2", n)
	}
}

func TestRenewToken(t *testing.T) {
	src := &source{tokens: []string{"old-token-1", "new-token-2"}}
	s := serve(t, accepts("new-token-2"))
	c, _ := client(t, s.URL, from(src))
	for range 2 {
		if err := c.RenewToken(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := readOne(t.Context(), c); err != nil || src.reads.Load() != 2 || len(s.requests()) != 1 {
		t.Errorf("%v after %d reads and %d requests", err, src.reads.Load(), len(s.requests()))
	}
}

func TestATokenThatCannotBeUsed(t *testing.T) {
	s := serve(t, say(200, `{"enabled":true}`))
	for _, token := range []string{"", canary + "\n", " " + canary, canary + "\r\nX: y", canary + "é", strings.Repeat(canary, 1000)} {
		c, _ := client(t, s.URL, from(&source{tokens: []string{token}}))
		wantError(t, readOne(t.Context(), c), ops.Denied, "token", "source")
		err := c.RenewToken(t.Context())
		wantError(t, err, ops.Denied, "token")
	}
	for err, code := range map[error]ops.Code{
		errors.New("no such file"):                         ops.Denied,
		ops.Errorf(ops.Unavailable, "the store is asleep"): ops.Unavailable,
	} {
		c, _ := client(t, s.URL, from(&source{tokens: []string{""}, err: err}))
		wantError(t, createOnce(t.Context(), c), code, err.Error(), "was not sent")
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

// TestReadingATokenCanBeGivenUpOn: nobody waits for a source longer than asked to.
func TestReadingATokenCanBeGivenUpOn(t *testing.T) {
	s := serve(t, say(200, `{"enabled":true}`))
	began, end := make(chan struct{}), make(chan struct{})
	c, _ := client(t, s.URL, func(c *adminapi.Config) {
		c.Token = func(context.Context) (string, error) { close(began); <-end; return canary, nil }
	})
	done := make(chan error)
	go func() { done <- readOne(t.Context(), c) }()
	<-began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, readOne(ctx, c), ops.Canceled)
	close(end)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestNothingShowsTheToken: the service, or something in its place, sends back
// what it was sent, in every place an error or a log could quote.
func TestNothingShowsTheToken(t *testing.T) {
	echo := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			say(status, strings.ReplaceAll(body, "TOKEN", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))(w, r)
		}
	}
	filler := strings.Repeat("x", 290) // the token lies across the end of what is shown
	steps := map[string]http.HandlerFunc{
		"reason":         echo(400, `{"reason":"Invalid access token TOKEN of jane.doe@example.org"}`),
		"at the end":     echo(400, `{"reason":"`+filler+`TOKEN"}`),
		"e-mail":         why(404, "User jane.doe@example.org not found, nor jane.doe%40example.org"),
		"description":    echo(403, `{"error":"insufficient_scope","error_description":"TOKEN"}`),
		"page":           echo(502, `<html>TOKEN jane.doe@example.org</html>`),
		"200 page":       echo(200, `<html>TOKEN</html>`),
		"200 at end":     echo(200, filler+`TOKEN`),
		"401":            echo(401, `{"reason":"TOKEN"}`),
		"status line":    raw("HTTP/1.1 " + canary + "\r\n\r\n"),
		"not HTTP":       raw(canary + "\r\n\r\n"),
		"header":         raw("HTTP/1.1 200 OK\r\n" + canary + "\r\n\r\n"),
		"length":         raw("HTTP/1.1 200 OK\r\nContent-Length: " + canary + "\r\n\r\n"),
		"JSON Web Token": why(400, "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ0b2stY2FuYXJ5In0.c2ln"),
		"redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://"+canary+"/x")
			w.WriteHeader(307)
		},
	}
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for name, step := range steps {
		for _, e := range endpoints() {
			if e.noToken {
				continue
			}
			s := serve(t, step)
			s.Config.ErrorLog = quiet()
			c, _ := client(t, s.URL, func(c *adminapi.Config) { c.Log = log })
			got, err := e.call(t.Context(), c)
			if err == nil && !strings.HasPrefix(name, "200") { // where no body is due, a page is not looked at
				t.Errorf("%s, %s: no error: %v", name, e.name, got)
			}
			if err != nil {
				wantNoSecret(t, err.Error())
				for cause := err; cause != nil; cause = errors.Unwrap(cause) {
					wantNoSecret(t, cause.Error())
				}
				if strings.Contains(err.Error(), "eyJ") {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	if logged.Len() == 0 || !strings.Contains(logged.String(), "/repo/v1/admin/realm") {
		t.Error("nothing was logged")
	}
	wantNoSecret(t, logged.String())
	for _, word := range []string{"Bearer", "etag", "isCertified", base64.StdEncoding.EncodeToString([]byte(canary))} {
		if strings.Contains(logged.String(), word) {
			t.Errorf("the log holds %q", word)
		}
	}
}

// TestMaintenanceMessagesAreMaskedToo, as whatever else comes from outside.
func TestMaintenanceMessagesAreMaskedToo(t *testing.T) {
	s := serve(t, why(503, "x"), say(200, `{"status":"DOWN","currentMessage":"`+canary+`"}`))
	c, _ := client(t, s.URL)
	_, err := c.Self(t.Context())
	wantError(t, err, ops.Unavailable, "withheld")
}
