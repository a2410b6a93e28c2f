package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

func faulty(f ...sandbox.Fault) *sandbox.Synapse {
	s := quiet()
	s.SetFaults(sandbox.Faults{Active: f})
	return s
}

func TestErrorFaults(t *testing.T) {
	for _, c := range []struct {
		kind   sandbox.FaultKind
		status int
		kindOf string
	}{
		{sandbox.Throttled, 429, "application/json"},
		{sandbox.BadToken, 401, "application/json;charset=UTF-8"},
		{sandbox.Overload, 503, "application/json;charset=UTF-8"},
		{sandbox.ServerError, 500, "application/json"},
		{sandbox.BadGateway, 502, "application/json;charset=UTF-8"},
		{sandbox.HTML, 502, "text/html"},
	} {
		s := faulty(sandbox.Fault{Kind: c.kind, Count: 1, RetryAfter: "2"})
		r := admin(t, s, "POST", redactPath, "")
		if r.status != c.status || r.header.Get("Content-Type") != c.kindOf || r.header.Get("Retry-After") != "2" {
			t.Errorf("%s: got %d %v %s", c.kind, r.status, r.header, r.body)
		}
		if u, _ := s.User("3350397"); u.Redacted {
			t.Errorf("%s: the call was applied", c.kind)
		}
		admin(t, s, "POST", redactPath, "").want(t, string(c.kind)+" strikes once", 200, "")
	}
}

func TestFaultsMatchSkipAndCount(t *testing.T) {
	s := faulty(sandbox.Fault{Kind: sandbox.ServerError, Method: "GET", Path: "/version", Skip: 1, Count: 2})
	admin(t, s, "GET", "/repo/v1/status", "").want(t, "another path", 200, "*")
	for i, want := range []int{200, 500, 500, 200} {
		if r := admin(t, s, "GET", "/repo/v1/version", ""); r.status != want {
			t.Errorf("call %d: got %d, want %d", i+1, r.status, want)
		}
	}
}

func TestReadOnlyAndTokenMidway(t *testing.T) {
	s := faulty(sandbox.Fault{Kind: sandbox.ReadOnlyMidway, Skip: 1, Count: 1})
	admin(t, s, "GET", bundlePath, "").want(t, "before", 200, "*")
	admin(t, s, "GET", bundlePath, "").wantError(t, "at that call", 503)
	if got := s.StackStatus().Status; got != synapse.ReadOnly {
		t.Errorf("the stack is %s", got)
	}
	s = faulty(sandbox.Fault{Kind: sandbox.TokenExpires, Skip: 1, Count: 1})
	for i, want := range []int{200, 401, 401} {
		if r := admin(t, s, "GET", bundlePath, ""); r.status != want {
			t.Errorf("call %d: got %d, want %d", i+1, r.status, want)
		}
	}
	call(t, s, sandbox.SecondAdminToken, "GET", bundlePath, "").want(t, "the renewed token", 200, "*")
}

func TestOldBackend(t *testing.T) {
	s := quiet()
	s.SetFaults(sandbox.Faults{OldBackend: true})
	for _, c := range [][2]string{{"PUT", "/repo/v1/admin/resetuserstatus/3350398"}, {"DELETE", "/repo/v1/admin/user/3350396/2fa"}, {"GET", "/repo/v1/realm/list"}, {"POST", "/repo/v1/admin/grid/session/backfill"}} {
		r := admin(t, s, c[0], c[1], "")
		r.wantError(t, c[1], 404)
		if !strings.HasPrefix(r.object["reason"].(string), c[0]+" ") {
			t.Errorf("the reason names the method: %s", r.body)
		}
	}
	admin(t, s, "POST", redactPath, "").want(t, "an old route", 200, "")
	call(t, s, sandbox.NoSecondFactorToken, "GET", bundlePath, "").want(t, "asks no second factor", 200, "*")
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faulty(sandbox.Fault{Latency: sandbox.Duration(20 * time.Millisecond)})
		begin := time.Now()
		admin(t, s, "GET", bundlePath, "").want(t, "slow", 200, "*")
		if d := time.Since(begin); d != 20*time.Millisecond {
			t.Errorf("took %v, want 20ms", d)
		}
	})
}

// A call that is held is answered as usual when it is let go, and not at all, nor
// done, when its caller has left by then.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faulty(sandbox.Fault{Kind: sandbox.Held, Path: "3350397", Skip: 1})
		admin(t, s, "GET", bundlePath+"&of=3350397", "").want(t, "one that is skipped", 200, "*")
		held := func(ctx context.Context) <-chan error {
			req, _ := http.NewRequestWithContext(ctx, "POST", "http://sandbox.test"+redactPath, nil)
			req.Header.Set("Authorization", "Bearer "+sandbox.AdminToken)
			done := make(chan error, 1)
			go func() {
				resp, err := s.RoundTrip(req)
				if err == nil && resp.StatusCode != http.StatusOK {
					err = errors.New(resp.Status)
				}
				done <- err
			}()
			time.Sleep(time.Hour)
			return done
		}
		ctx, leave := context.WithCancel(t.Context())
		left := held(ctx)
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("one whose caller left: %v", err)
		}
		done := held(t.Context())
		if u, _ := s.User("3350397"); u.Redacted || len(done) > 0 {
			t.Error("a call was done or answered while it was held")
		}
		s.SetFaults(sandbox.Faults{})
		if err := <-done; err != nil {
			t.Errorf("a call that was let go: %v", err)
		}
		if u, _ := s.User("3350397"); !u.Redacted {
			t.Error("a call that was let go is not done")
		}
	})
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faulty(sandbox.Fault{Kind: sandbox.Hang})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "POST", "http://sandbox.test"+redactPath, nil)
		if _, err := s.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the caller's own patience to end", err)
		}
		done := make(chan error)
		go func() {
			_, err := s.RoundTrip(req.Clone(t.Context()))
			done <- err
		}()
		synctest.Wait()
		s.SetFaults(sandbox.Faults{})
		if err := <-done; err == nil {
			t.Error("a call that hung was answered")
		}
		if u, _ := s.User("3350397"); u.Redacted {
			t.Error("a call that hung was applied")
		}
	})
}

// serve starts s on a real socket.
func serve(t *testing.T, s *sandbox.Synapse) string {
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.URL
}

func post(t *testing.T, url string) (*http.Response, error) {
	req, _ := http.NewRequest("POST", url, nil)
	req.Header.Set("Authorization", "Bearer "+sandbox.AdminToken)
	return http.DefaultClient.Do(req)
}

func TestDroppedConnections(t *testing.T) {
	for kind, applied := range map[sandbox.FaultKind]bool{sandbox.DropBefore: false, sandbox.DropAfter: true} {
		s := faulty(sandbox.Fault{Kind: kind})
		if resp, err := post(t, serve(t, s)+redactPath); err == nil {
			t.Errorf("%s: got an answer, %s", kind, resp.Status)
			resp.Body.Close()
		}
		if u, _ := s.User("3350397"); u.Redacted != applied {
			t.Errorf("%s: applied %v, want %v", kind, u.Redacted, applied)
		}
		c := s.Calls()[0]
		if (c.Status != 0) != applied || !cmp.Equal(c.Faults, []string{string(kind)}) {
			t.Errorf("%s: logged as %+v", kind, c)
		}
	}
}

func TestCutBodies(t *testing.T) {
	for kind, want := range map[sandbox.FaultKind]error{sandbox.Truncate: io.ErrUnexpectedEOF, sandbox.BrokenJSON: nil} {
		s := faulty(sandbox.Fault{Kind: kind})
		for name, client := range map[string]http.RoundTripper{"socket": http.DefaultTransport, "in process": s} {
			req, _ := http.NewRequest("GET", serve(t, s)+bundlePath, nil)
			resp, err := client.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if !errors.Is(err, want) || len(b) == 0 || json.Valid(b) {
				t.Errorf("%s, %s: read %q with %v, want half a body and %v", kind, name, b, err, want)
			}
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	s := faulty(sandbox.Fault{Kind: sandbox.Hang, Path: "redact"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served, answered := make(chan error, 1), make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	url := "http://" + l.Addr().String()
	go func() {
		_, err := post(t, url+redactPath)
		answered <- err
	}()
	for s.MostInFlight() == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-answered; err == nil {
		t.Error("a call that hung was answered")
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}

func TestInvalidFaultsPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an unknown kind was taken")
		}
	}()
	quiet().SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: "drop-befor"}}})
}
