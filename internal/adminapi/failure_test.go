package adminapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// One call of each kind of retry safety.
func readOne(ctx context.Context, c *adminapi.Client) error {
	_, err := c.Feature(ctx, "A")
	return err
}

func resend(ctx context.Context, c *adminapi.Client) error { return c.RedactUser(ctx, "12") }

func createOnce(ctx context.Context, c *adminapi.Client) error {
	_, err := c.CreateRealm(ctx, synapse.Realm{Name: "acme"})
	return err
}

func deleteOnce(ctx context.Context, c *adminapi.Client) error { return c.DeleteRealm(ctx, "12") }

var kinds = []struct {
	name string
	call func(context.Context, *adminapi.Client) error
}{{"read", readOne}, {"resendable", resend}, {"once", createOnce}}

// TestStatuses is the table of what each status means and how often a call is sent
// before it is given up: tries of read, resendable and once calls.
func TestStatuses(t *testing.T) {
	for _, row := range []struct {
		status int
		code   ops.Code
		tries  [3]int
		write  ops.Code // of a call that is no read, where it differs
	}{
		{400, ops.Invalid, [3]int{1, 1, 1}, ""},
		{401, ops.Denied, [3]int{1, 1, 1}, ""},
		{403, ops.Denied, [3]int{1, 1, 1}, ""},
		{404, ops.NotFound, [3]int{1, 1, 1}, ""},
		{405, ops.Internal, [3]int{1, 1, 1}, ""},
		{406, ops.Internal, [3]int{1, 1, 1}, ""},
		{409, ops.Conflict, [3]int{1, 1, 1}, ""},
		{410, ops.NotFound, [3]int{1, 1, 1}, ""},
		{412, ops.Conflict, [3]int{1, 1, 1}, ""},
		{413, ops.Invalid, [3]int{1, 1, 1}, ""},
		{415, ops.Internal, [3]int{1, 1, 1}, ""},
		{423, ops.Conflict, [3]int{1, 1, 1}, ""},
		{429, ops.Unavailable, [3]int{10, 10, 10}, ""},
		{500, ops.Unavailable, [3]int{3, 3, 1}, ops.Unsettled},
		{501, ops.Unavailable, [3]int{1, 1, 1}, ops.Unsettled},
		{502, ops.Unavailable, [3]int{5, 5, 1}, ops.Unsettled},
		{503, ops.Unavailable, [3]int{5, 5, 5}, ""},
		{504, ops.Unavailable, [3]int{5, 5, 1}, ops.Unsettled},
		{599, ops.Unavailable, [3]int{1, 1, 1}, ops.Unsettled},
	} {
		for i, k := range kinds {
			s := serve(t, why(row.status, "the reason"))
			c, pauses := client(t, s.URL)
			err := k.call(t.Context(), c)
			code := row.code
			if k.name != "read" && row.write != "" {
				code = row.write
			}
			wantError(t, err, code, "/repo/v1/admin/", http.StatusText(row.status), `"the reason"`)
			if n := len(s.requests()); n != row.tries[i] || len(*pauses) != n-1 {
				t.Errorf("%d, %s: %d requests and %d pauses, want %d requests", row.status, k.name, n, len(*pauses), row.tries[i])
			}
		}
	}
}

func TestForbiddenHasItsOwnHints(t *testing.T) {
	for body, want := range map[string]string{
		`{"reason":"x","errorCode":"TWO_FA_ENABLED_REQUIRED"}`:                "two-factor",
		`{"reason":"x","error":"insufficient_scope","error_description":"d"}`: "scopes view and modify",
		`{"reason":"Terms of Use have not been signed."}`:                     "Sign the terms",
		`{"reason":"no"}`: "administrator",
	} {
		s := serve(t, say(403, body))
		c, _ := client(t, s.URL)
		wantError(t, readOne(t.Context(), c), ops.Denied, want)
	}
}

// TestABodyThatIsNotTheServices: shown bounded and escaped, and no proof, for a
// 503, that nothing was done.
func TestABodyThatIsNotTheServices(t *testing.T) {
	page := "<html>\x1b[31m\u202eBad Gateway" + strings.Repeat("é", 5000)
	s := serve(t, say(502, page))
	c, _ := client(t, s.URL)
	err := readOne(t.Context(), c)
	wantError(t, err, ops.Unavailable, "Bad Gateway", `\x1b[31m`)
	if n := len([]rune(err.Error())); n > 700 {
		t.Errorf("%d characters: %v", n, err)
	}
	if strings.ContainsAny(err.Error(), "\x1b\u202e") {
		t.Errorf("%q is not escaped", err)
	}
	s = serve(t, say(503, "<html>Service Unavailable</html>"))
	c, _ = client(t, s.URL)
	wantError(t, createOnce(t.Context(), c), ops.Unsettled, "may have been created")
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	s = serve(t, say(500, "Jane Doe of Example Org"))
	c, _ = client(t, s.URL)
	_, err = c.UserBundle(t.Context(), "12", 1)
	if wantError(t, err, ops.Unavailable, "not shown"); strings.Contains(err.Error(), "Jane") {
		t.Errorf("%v shows a person", err)
	}
	s = serve(t, say(403, ""))
	c, _ = client(t, s.URL)
	wantError(t, readOne(t.Context(), c), ops.Denied, "403 Forbidden without a reason")
}

// TestARefusalThatIsNotTheServices: a proxy's page says nothing of the token. It passes,
// or it is told as what it is; and what it stands for may have been done.
func TestARefusalThatIsNotTheServices(t *testing.T) {
	for _, body := range []string{"<html><body>Request blocked</body></html>", `{"message":"Forbidden"}`, "denied by policy"} {
		for _, status := range []int{401, 403} {
			for i, want := range []struct {
				code  ops.Code
				tries int
			}{{ops.Unavailable, 5}, {ops.Unsettled, 5}, {ops.Unsettled, 1}} {
				s := serve(t, say(status, body))
				c, pauses := client(t, s.URL)
				err := kinds[i].call(t.Context(), c)
				wantError(t, err, want.code, fmt.Sprint(status), "not the service's")
				if kinds[i].name == "read" && !strings.Contains(ops.HintOf(err), "between here and the service") {
					t.Errorf("the hint is %q", ops.HintOf(err))
				}
				if n := len(s.requests()); n != want.tries || len(*pauses) != n-1 {
					t.Errorf("%d %s, %s: %d requests, want %d", status, body, kinds[i].name, n, want.tries)
				}
			}
		}
	}
	s := serve(t, say(403, "<html>"), say(401, "<html>"), say(200, `{"feature":"A","enabled":true}`))
	c, _ := client(t, s.URL)
	if got, err := c.Feature(t.Context(), "A"); err != nil || !got.Enabled {
		t.Errorf("after a page, and another: %+v, %v", got, err)
	}
}

func TestALongReasonIsShownUpTo300Characters(t *testing.T) {
	s := serve(t, why(400, strings.Repeat("abcdefghi ", 100)))
	c, _ := client(t, s.URL)
	err := readOne(t.Context(), c)
	wantError(t, err, ops.Invalid, `"`+strings.Repeat("abcdefghi ", 30)+`… (1000 bytes)"`)
}

// TestLostAnswers: the connection ends without an answer. What may be sent again
// is; a write that may have been carried out is Unsettled.
func TestLostAnswers(t *testing.T) {
	cut := "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"id\":\"1\",\"ena"
	for name, step := range map[string]http.HandlerFunc{
		"dropped": drop, "cut body": raw(cut), "not HTTP": raw("hello\r\n\r\n"), "half a header": raw("HTTP/1.1 200 OK\r\nConte"),
	} {
		for i, want := range []int{5, 5, 1} {
			if i == 1 && name == "cut body" {
				continue // its status alone is the answer
			}
			s := serve(t, step)
			c, _ := client(t, s.URL)
			err := kinds[i].call(t.Context(), c)
			code := ops.Unavailable
			parts := []string{"/repo/v1/admin/"}
			switch kinds[i].name {
			case "once":
				code, parts = ops.Unsettled, append(parts, "The realm may have been created.")
			case "resendable":
				code, parts = ops.Unsettled, append(parts, "sending it again is safe")
			}
			wantError(t, err, code, parts...)
			if n := len(s.requests()); n != want {
				t.Errorf("%s, %s: %d requests, want %d", name, kinds[i].name, n, want)
			}
		}
	}
}

func TestALostAnswerIsMadeUpForByTheNextTry(t *testing.T) {
	s := serve(t, drop, raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"ena"), say(200, `{"feature":"A","enabled":true}`))
	c, _ := client(t, s.URL)
	got, err := c.Feature(t.Context(), "A")
	if err != nil || !got.Enabled {
		t.Errorf("got %+v, %v", got, err)
	}
	s = serve(t, drop, say(200, ""))
	c, _ = client(t, s.URL)
	if err := resend(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func TestAStatusIsAllThatAWriteWithoutABodyNeeds(t *testing.T) {
	s := serve(t, raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"))
	c, _ := client(t, s.URL)
	if err := deleteOnce(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// TestNeverConnected: nothing was sent, so even a once call is tried again, and is
// not Unsettled.
func TestNeverConnected(t *testing.T) {
	s := serve(t, drop)
	host := s.URL
	s.Close()
	for _, k := range kinds {
		c, pauses := client(t, host)
		err := k.call(t.Context(), c)
		wantError(t, err, ops.Unavailable, "was not sent", "refused")
		if len(*pauses) != 4 {
			t.Errorf("%s: %d pauses, want 4", k.name, len(*pauses))
		}
		if strings.Contains(err.Error(), "may have") {
			t.Errorf("%s: %v", k.name, err)
		}
	}
}

// TestAnUntrustedCertificateIsNotTriedAgain: no retry mends it, and nothing went
// through it.
func TestAnUntrustedCertificateIsNotTriedAgain(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(drop))
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	defer s.Close()
	c, pauses := client(t, s.URL)
	wantError(t, createOnce(t.Context(), c), ops.Unavailable, "certificate is not trusted")
	if len(*pauses) != 0 {
		t.Errorf("%d pauses, want none", len(*pauses))
	}
}

// TestAOnceCallTakesAFreshConnection: on a kept one that the service is closing,
// nobody can tell whether the request was read.
func TestAOnceCallTakesAFreshConnection(t *testing.T) {
	body := `{"feature":"A","enabled":true}`
	s := serve(t, raw("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n"+body), say(201, `{"id":"14"}`))
	c, _ := client(t, s.URL)
	if err := readOne(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := createOnce(t.Context(), c); err != nil {
		t.Error(err)
	}
	if r := s.requests()[1]; r.Header.Get("Connection") != "close" {
		t.Errorf("headers %v: the connection would be kept", r.Header)
	}
}

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func via(rt http.RoundTripper) func(*adminapi.Config) {
	return func(c *adminapi.Config) { c.Transport = rt }
}

func TestBodiesAreBounded(t *testing.T) {
	for status, want := range map[int]ops.Code{200: ops.Internal, 400: ops.Invalid} {
		rt := roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(endless{})}, nil
		})
		c, _ := client(t, "http://127.0.0.1", via(rt))
		err := readOne(t.Context(), c)
		wantError(t, err, want)
		if n := len(err.Error()); n > 900 {
			t.Errorf("an error of %d bytes", n)
		}
	}
}

func TestALargeAnswerIsReadWhole(t *testing.T) {
	script := strings.Repeat("INSERT;", 300_000)
	s := serve(t, say(200, `{"exportScript":"`+script+`"}`))
	c, _ := client(t, s.URL)
	if got, err := c.ExportIDs(t.Context()); err != nil || got != script {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(script))
	}
}

func TestRedirects(t *testing.T) {
	to := func(where string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", where)
			w.WriteHeader(http.StatusFound)
		}
	}
	other := serve(t, say(200, `{"enabled":true}`))
	for _, where := range []string{other.URL + "/repo/v1/x", "//" + other.Listener.Addr().String() + "/x", "https://repo.example.org/" + canary, "", "http://%zz"} {
		for _, k := range kinds {
			s := serve(t, to(where))
			c, _ := client(t, s.URL)
			wantError(t, k.call(t.Context(), c), ops.Denied, "redirected")
			if n := len(s.requests()); n != 1 {
				t.Errorf("%d requests to %q, want 1", n, where)
			}
		}
	}
	if n := len(other.requests()); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}

	within := []http.HandlerFunc{to("/moved?x=1"), say(200, `{"feature":"A","enabled":true}`)}
	s := serve(t, within...)
	c, _ := client(t, s.URL)
	if err := readOne(t.Context(), c); err != nil || s.requests()[1].URI != "/moved?x=1" {
		t.Errorf("a read's redirect within the host: %v, %v", err, s.requests())
	}
	for _, k := range kinds[1:] {
		s := serve(t, within...)
		c, _ := client(t, s.URL)
		wantError(t, k.call(t.Context(), c), ops.Denied, "although it is a write")
		if n := len(s.requests()); n != 1 {
			t.Errorf("%s: %d requests, want 1", k.name, n)
		}
	}
	s = serve(t, to("/round"))
	c, _ = client(t, s.URL)
	wantError(t, readOne(t.Context(), c), ops.Internal, "more than three times")
}

func TestMaintenanceIsToldFromOverload(t *testing.T) {
	permissions := func(c *adminapi.Client) error {
		_, err := c.EntityPermissions(t.Context(), "syn1")
		return err
	}
	for _, status := range []string{synapse.ReadOnly, synapse.Down} {
		s := serve(t, why(503, "Back at noon"), say(200, `{"status":"`+status+`","currentMessage":"Back at noon"}`))
		c, pauses := client(t, s.URL)
		wantError(t, permissions(c), ops.Unavailable, status, "Back at noon", "/repo/v1/entity/syn1/permissions")
		reqs := s.requests()
		if len(reqs) != 2 || reqs[1].URI != "/repo/v1/status" || reqs[1].Header.Get("Authorization") != "" || len(*pauses) != 0 {
			t.Errorf("%s: asked %v, paused %v", status, reqs, *pauses)
		}
	}
	for name, probe := range map[string]http.HandlerFunc{"READ_WRITE": say(200, `{"status":"READ_WRITE"}`), "no answer": why(503, "x"), "dropped": drop} {
		s := serve(t, why(503, "x"), probe, say(200, `{"isEntityOpenData":true}`))
		c, pauses := client(t, s.URL)
		if err := permissions(c); err != nil || len(*pauses) != 1 {
			t.Errorf("%s: %v after %v", name, err, *pauses)
		}
	}
	// Paths that answer in maintenance are not asked about it: their 503 is overload.
	s := serve(t, why(503, "x"), say(200, ""))
	c, _ := client(t, s.URL)
	if err := resend(t.Context(), c); err != nil || len(s.requests()) != 2 {
		t.Errorf("%v after %v", err, s.requests())
	}
}

func TestErrorsOfTheContext(t *testing.T) {
	for _, k := range kinds {
		ctx, cancel := context.WithCancel(t.Context())
		s := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
		c, _ := client(t, s.URL)
		err := k.call(ctx, c)
		code := ops.Canceled
		if k.name == "once" {
			code = ops.Unsettled
		}
		wantError(t, err, code, "was canceled while it was under way")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v is not context.Canceled", k.name, err)
		}
		wantError(t, k.call(ctx, c), ops.Canceled, "before it was sent")
		if n := len(s.requests()); n != 1 {
			t.Errorf("%s: %d requests, want 1", k.name, n)
		}
		late, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		wantError(t, k.call(late, c), ops.Unavailable, "ran out of time")
		stop()
	}
}

// TestLeave: what was taken over by somebody else meanwhile is not sent again; a read
// is.
func TestLeave(t *testing.T) {
	taken := ops.WithLeave(t.Context(), func(context.Context) error { return errors.New("another goes on") })
	ours := ops.WithLeave(t.Context(), func(context.Context) error { return nil })
	certify := func(ctx context.Context, c *adminapi.Client) error { return c.SetCertified(ctx, "12", false) }
	expired := func(w http.ResponseWriter, r *http.Request) { why(401, "Invalid access token")(w, r) }
	for _, one := range []struct {
		name  string
		ctx   context.Context
		steps []http.HandlerFunc
		call  func(ctx context.Context, c *adminapi.Client) error
		sent  int
		code  ops.Code // "": it succeeds
	}{
		{"a write", taken, []http.HandlerFunc{drop, say(200, "")}, certify, 1, ops.Unsettled},
		{"a write that is still ours", ours, []http.HandlerFunc{drop, say(200, "")}, certify, 2, ""},
		{"a write that nobody takes over", t.Context(), []http.HandlerFunc{drop, say(200, "")}, certify, 2, ""},
		{"a write with a token that expired", taken, []http.HandlerFunc{expired, say(200, "")}, certify, 1, ops.Denied},
		{"a read", taken, []http.HandlerFunc{drop, say(200, `{"feature":"A","enabled":true}`)}, readOne, 2, ""},
	} {
		t.Run(one.name, func(t *testing.T) {
			s, n := serve(t, one.steps...), 0
			c, _ := client(t, s.URL, func(cfg *adminapi.Config) {
				cfg.Token = func(context.Context) (string, error) { n++; return fmt.Sprint(canary, n), nil }
			})
			err := one.call(one.ctx, c)
			if one.code != "" {
				wantError(t, err, one.code)
			} else if err != nil {
				t.Error(err)
			}
			if got := len(s.requests()); got != one.sent {
				t.Errorf("it was sent %d times, want %d", got, one.sent)
			}
		})
	}
}
