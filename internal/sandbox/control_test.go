package sandbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// control asks a switch over HTTP.
func control(t *testing.T, url, method, path, body string) (int, string) {
	t.Helper()
	req, _ := http.NewRequest(method, url+path, strings.NewReader(body))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(b))
}

func TestControl(t *testing.T) {
	s := quiet()
	url := serve(t, s)
	if status, body := control(t, url, "GET", "/sandbox", ""); status != 200 || body != strings.TrimSpace(s.Describe()) {
		t.Errorf("description: %d %s", status, body)
	}
	faults := `{"active":[{"kind":"503","path":"bundle","count":2,"latency":"1ms"}],"duplicate_realm":500}`
	if status, body := control(t, url, "PUT", "/sandbox/faults", faults); status != 200 || body != faults {
		t.Errorf("faults: %d %s", status, body)
	}
	if _, body := control(t, url, "GET", "/sandbox/faults", ""); body != faults {
		t.Errorf("faults read back: %s", body)
	}
	admin(t, s, "GET", bundlePath, "").wantError(t, "the fault set over HTTP", 503)
	for _, bad := range []string{`{"active":[{"kind":"x"}]}`, `{"actve":[]}`, `{`, `{"duplicate_realm":404}`, `{"active":[{"latency":"1"}]}`} {
		if status, _ := control(t, url, "PUT", "/sandbox/faults", bad); status != 400 {
			t.Errorf("%s: %d, want 400", bad, status)
		}
	}
	control(t, url, "DELETE", "/sandbox/faults", "")
	admin(t, s, "POST", redactPath, "").want(t, "without faults", 200, "")
	var u sandbox.User
	if _, body := control(t, url, "GET", "/sandbox/state/users/3350397", ""); json.Unmarshal([]byte(body), &u) != nil || !u.Redacted {
		t.Errorf("state of a user: %s", body)
	}
	control(t, url, "PUT", "/sandbox/state/status", `{"status":"READ_ONLY"}`)
	if got := s.StackStatus().Status; got != synapse.ReadOnly {
		t.Errorf("status set from outside: %s", got)
	}
	for path, want := range map[string]int{"oauth-clients/100001": 200, "entities/syn123": 200, "features/X": 200, "quarantine/old@example.org": 200,
		"realms": 200, "jobs": 200, "status": 200, "backfills": 200, "users/9": 404, "nothing": 404} {
		if status, body := control(t, url, "GET", "/sandbox/state/"+path, ""); status != want {
			t.Errorf("state/%s: %d %s", path, status, body)
		}
	}
	control(t, url, "POST", "/sandbox/reset", "")
	if u, _ := s.User("3350397"); u.Redacted || s.Total() != 0 || s.StackStatus().Status != synapse.ReadWrite {
		t.Error("reset left something")
	}
}

func TestCallLog(t *testing.T) {
	s := sandbox.New(sandbox.Config{NoThrottle: true, CallLog: 2})
	admin(t, s, "POST", redactPath, "")
	admin(t, s, "POST", "/repo/v1/admin/emailQuarantine/expire", `{"email":"old@example.org"}`)
	call(t, s, "", "GET", "/repo/v1/user/3350396/bundle?mask=8", "")
	calls := s.Calls()
	if len(calls) != 2 || s.Total() != 3 {
		t.Fatalf("%d calls remembered of %d, want 2 of 3", len(calls), s.Total())
	}
	if c := calls[0]; c.N != 2 || c.Status != 204 || c.User != "273960" || len(c.Body) != 64 || strings.Contains(fmt.Sprint(c), "old@example.org") {
		t.Errorf("quarantine call: %+v", c)
	}
	if c := calls[1]; c.N != 3 || c.Path != "/repo/v1/user/3350396/bundle?mask=8" || c.User != "" || c.Body != "" {
		t.Errorf("bundle call: %+v", c)
	}
	if n := s.Counts()["POST /repo/v1/admin/redact/user/{id}"]; n != 1 {
		t.Errorf("forgotten calls are still counted: %v", s.Counts())
	}
	url := serve(t, s)
	if _, body := control(t, url, "GET", "/sandbox/calls?since=2", ""); !strings.Contains(body, `"n":3`) || strings.Contains(body, `"n":2`) {
		t.Errorf("calls since 2: %s", body)
	}
	if _, body := control(t, url, "GET", "/sandbox/counts", ""); !strings.Contains(body, `"total":3`) {
		t.Errorf("counts: %s", body)
	}
}

func TestConfigToken(t *testing.T) {
	s := sandbox.New(sandbox.Config{Token: "my-own-token"})
	call(t, s, "my-own-token", "POST", redactPath, "").want(t, "the token asked for", 200, "")
	call(t, s, sandbox.AdminToken, "POST", redactPath, "").wantError(t, "the default is gone then", 401)
}

// A hundred thousand users must fit, all of them changed: so many take no more than
// their part.
func TestManyUsersAreSmall(t *testing.T) {
	const users, mostBytes = 20_000, 12 << 20
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := sandbox.New(sandbox.Config{NoThrottle: true, Users: users})
	for i := range users {
		path := fmt.Sprintf("/repo/v1/admin/user/%d/certificationStatus?isCertified=false", 3_400_001+i)
		if r := admin(t, s, "PUT", path, ""); r.status != 204 {
			t.Fatalf("%s: %d %s", path, r.status, r.body)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > mostBytes {
		t.Errorf("%d changed users and their calls take %d MiB, want at most %d", users, used>>20, mostBytes>>20)
	}
	if u, ok := s.User("3420000"); !ok || u.Certified {
		t.Errorf("the last user: %+v, %v", u, ok)
	}
	if _, ok := s.User("3420001"); ok {
		t.Error("there is one user too many")
	}
}

func BenchmarkServe(b *testing.B) {
	s := quiet()
	l := serveBench(b, s)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, _ := http.NewRequest("GET", l+bundlePath, nil)
			req.Header.Set("Authorization", "Bearer "+sandbox.AdminToken)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

func serveBench(b *testing.B, s *sandbox.Synapse) string {
	srv := httptest.NewServer(s)
	b.Cleanup(srv.Close)
	return srv.URL
}
