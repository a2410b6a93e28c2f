package adminapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

var _ tasks.Service = (*adminapi.Client)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const canary = "tok-canary-3f9c77aa51"

// A service answers request i with step i, and every later one with the last
// step. It keeps what it heard.
type service struct {
	*httptest.Server
	mu    sync.Mutex
	heard []heard
	steps []http.HandlerFunc
}

type heard struct {
	Method, URI, Body string
	Header            http.Header
}

func serve(t testing.TB, steps ...http.HandlerFunc) *service {
	s := &service{steps: steps}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	step := s.steps[min(len(s.heard), len(s.steps)-1)]
	s.heard = append(s.heard, heard{r.Method, r.RequestURI, string(body), r.Header.Clone()})
	s.mu.Unlock()
	step(w, r)
}

func (s *service) requests() []heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]heard(nil), s.heard...)
}

// say answers with a status and a body, as the service does.
func say(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// why answers with an ErrorResponse.
func why(status int, reason string) http.HandlerFunc {
	return say(status, `{"concreteType":"org.sagebionetworks.repo.model.ErrorResponse","reason":"`+reason+`"}`)
}

// drop closes the connection without an answer.
func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// raw writes bytes as they are and closes the connection.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
}

func fixed(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// client returns a client of host that does not wait between tries; pauses
// collects what it would have waited.
func client(t testing.TB, host string, change ...func(*adminapi.Config)) (c *adminapi.Client, pauses *[]time.Duration) {
	cfg := adminapi.Config{Host: host, Token: fixed(canary), Pace: ops.Pace{Unlimited: true}}
	for _, f := range change {
		f(&cfg)
	}
	c, err := adminapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var mu sync.Mutex
	pauses = new([]time.Duration)
	c.SetWait(func(ctx context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		*pauses = append(*pauses, d)
		return ctx.Err()
	})
	return c, pauses
}

// wantError checks code and parts of the text, and that what must never show does
// not.
func wantError(t *testing.T, err error, code ops.Code, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one of code %q", code)
	}
	if e, ok := errors.AsType[*ops.Error](err); !ok || e.Code != code {
		t.Errorf("code %q, want %q, of %v", ops.CodeOf(err), code, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	wantNoSecret(t, err.Error())
}

func wantNoSecret(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{canary, canary[:12], "jane.doe@"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows %q", text, secret)
		}
	}
}

func TestNewRefusesWhatIsNotABaseURL(t *testing.T) {
	for _, host := range []string{
		"", "repo-dev.dev.sagebase.org", "ftp://repo", "https://", "https://repo/repo/v1", "https://repo?x=1", "https://repo#x",
		"http://repo-dev.dev.sagebase.org", "http://127.0.0.1.example.org", "http://10.0.0.1", "https://u:p@repo", "https://" + canary + "@repo", "https://a b", "https://:80",
	} {
		_, err := adminapi.New(adminapi.Config{Host: host, Token: fixed(canary)})
		wantError(t, err, ops.Invalid, "host")
	}
	for _, host := range []string{"https://repo-dev.dev.sagebase.org", "https://repo/", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:80"} {
		if _, err := adminapi.New(adminapi.Config{Host: host, Token: fixed(canary)}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	_, err := adminapi.New(adminapi.Config{Host: "https://repo"})
	wantError(t, err, ops.Invalid, "token")
}

func TestNewRefusesAPaceAboveTheServicesBeyondLoopback(t *testing.T) {
	for _, p := range []ops.Pace{{Unlimited: true}, {InFlight: 4}, {InFlight: -1}, {PerMinute: -1}} {
		_, err := adminapi.New(adminapi.Config{Host: "https://repo", Token: fixed(canary), Pace: p})
		wantError(t, err, ops.Invalid)
	}
	c, err := adminapi.New(adminapi.Config{Host: "http://127.0.0.1", Token: fixed(canary), Pace: ops.Pace{Unlimited: true, InFlight: 40}})
	if err != nil {
		t.Fatal(err)
	}
	if n := c.InFlight(); n != 40 {
		t.Errorf("%d in flight, want 40", n)
	}
}

func TestStatsCount(t *testing.T) {
	s := serve(t, why(502, "x"), why(429, "x"), say(200, `{"version":"1","stackInstance":"544"}`))
	c, _ := client(t, s.URL)
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := c.Stats()
	if got.Requests != 3 || got.Retries != 2 || got.Throttled != 1 || got.Waited <= 0 {
		t.Errorf("stats are %+v", got)
	}
}
