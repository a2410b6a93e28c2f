package sandbox_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

const (
	bundlePath = "/repo/v1/user/3350396/bundle?mask=0xFFFF"
	redactPath = "/repo/v1/admin/redact/user/3350397"
)

func TestWhoMayCall(t *testing.T) {
	s := quiet()
	for _, c := range []struct {
		name, token, method, path string
		status                    int
	}{
		{"anonymous on an admin path is 403, not 401", "", "POST", redactPath, 403},
		{"a token nobody knows", "nonsense", "POST", redactPath, 401},
		{"an expired token", sandbox.ExpiredToken, "GET", bundlePath, 401},
		{"a user is no administrator", sandbox.UserToken, "POST", redactPath, 403},
		{"ACT is no administrator", sandbox.ACTToken, "POST", redactPath, 403},
		{"an administrator without scope modify", sandbox.ViewOnlyToken, "POST", redactPath, 403},
		{"view is enough to read", sandbox.ViewOnlyToken, "GET", bundlePath, 200},
		{"an administrator without second factor may not even read", sandbox.NoSecondFactorToken, "GET", bundlePath, 403},
		{"unsigned terms of use", sandbox.UnsignedToken, "GET", bundlePath, 403},
		{"anonymous may read what is public", "", "GET", bundlePath, 200},
		{"version asks nobody", "", "GET", "/repo/v1/version", 200},
		{"a bad token is refused before routing", "nonsense", "GET", "/repo/v1/version", 401},
		{"403 wins over 404", sandbox.UserToken, "PUT", "/repo/v1/admin/oauth2/client/999/verified?etag=x", 403},
		{"400 of a parameter wins over 403", sandbox.UserToken, "POST", "/repo/v1/admin/redact/user/jdoe", 400},
	} {
		if r := call(t, s, c.token, c.method, c.path, ""); r.status != c.status {
			t.Errorf("%s: %s %s: got %d %s, want %d", c.name, c.method, c.path, r.status, r.body, c.status)
		}
	}
	if u, _ := s.User("3350397"); u.Redacted {
		t.Error("a refused call redacted the user")
	}
}

func TestErrorBodies(t *testing.T) {
	s := quiet()
	r := call(t, s, sandbox.ViewOnlyToken, "POST", redactPath, "")
	if r.object["error"] != "insufficient_scope" || r.object["concreteType"] != synapse.OAuthErrorType {
		t.Errorf("missing scope: got %s, want an OAuthErrorResponse with insufficient_scope", r.body)
	}
	r = call(t, s, sandbox.NoSecondFactorToken, "GET", bundlePath, "")
	if r.object["errorCode"] != "TWO_FA_ENABLED_REQUIRED" {
		t.Errorf("no second factor: got %s, want errorCode TWO_FA_ENABLED_REQUIRED", r.body)
	}
	r = call(t, s, "nonsense", "GET", bundlePath, "")
	if r.header.Get("WWW-Authenticate") != `Bearer realm="Synapse Repository Services"` {
		t.Errorf("bad token: WWW-Authenticate is %q", r.header.Get("WWW-Authenticate"))
	}
	r = call(t, s, "", "GET", "/repo/v1/nowhere", "", "Accept: text/plain")
	if r.status != 404 || strings.HasPrefix(r.body, "{") {
		t.Errorf("plain text was asked for: got %d %s", r.status, r.body)
	}
}

func TestServiceBasic(t *testing.T) {
	s := quiet()
	good := "Authorization: Basic c2FuZGJveC1zZXJ2aWNlLWtleTpzYW5kYm94LXNlcnZpY2Utc2VjcmV0"
	call(t, s, "", "GET", "/repo/v1/admin/id/generator/export", "", good).want(t, "right pair", 200, "*")
	call(t, s, "", "GET", "/repo/v1/admin/id/generator/export", "", "Authorization: Basic YTpi").wantError(t, "wrong pair", 401)
	call(t, s, "", "GET", "/repo/v1/admin/id/generator/export", "", "Authorization: Basic %%%").wantError(t, "undecodable is anonymous", 403)
	s.SetUser(sandbox.User{ID: "1", Admin: true})
	call(t, s, "", "GET", "/repo/v1/admin/id/generator/export", "", good).want(t, "no second factor is asked of user 1", 200, "*")
	r := call(t, s, "", "GET", "/repo/v1/userProfile", "", good)
	if r.object["ownerId"] != "273950" {
		t.Errorf("service Basic off its paths: got %s, want the anonymous user", r.body)
	}
}

func TestRouting(t *testing.T) {
	s := quiet()
	admin(t, s, "GET", "/repo/v1/admin/no/such/thing", "").wantError(t, "unknown route", 404)
	admin(t, s, "GET", redactPath, "").wantError(t, "wrong method", 405)
	call(t, s, sandbox.AdminToken, "GET", bundlePath, "", "Accept: text/html").wantError(t, "unsupported Accept", 406)
	feature := "/repo/v1/admin/feature/DISABLE_INACTIVE_USERS/status"
	call(t, s, sandbox.AdminToken, "POST", feature, `{"enabled":true}`, "Content-Type: text/plain").wantError(t, "unsupported Content-Type", 415)
	admin(t, s, "POST", feature, strings.Repeat(" ", 2<<20)+"{}").wantError(t, "a body over 2 MiB", 413)
	admin(t, s, "POST", feature, `{"enabled":`).wantError(t, "half a body", 400)
	admin(t, s, "POST", feature, "").wantError(t, "no body", 400)
	admin(t, s, "HEAD", "/repo/v1/healthcheck", "").want(t, "healthcheck", 200, "")
	r := call(t, s, "", "GET", "/repo/v1/version", "", "X-Forwarded-Proto: http")
	if r.status != 302 || !strings.HasPrefix(r.header.Get("Location"), "https://") {
		t.Errorf("plain http: got %d to %q, want 302 to https", r.status, r.header.Get("Location"))
	}
}

func TestCharset(t *testing.T) {
	s := quiet()
	body := `{"name":"réalm","identityProvider":[]}`
	r := call(t, s, sandbox.AdminToken, "POST", "/repo/v1/admin/realm", body, "Content-Type: application/json")
	if !strings.Contains(r.body, "rÃ©alm") {
		t.Errorf("without a charset the body is ISO-8859-1; got %s", r.body)
	}
	r = admin(t, s, "POST", "/repo/v1/admin/realm", body)
	if !strings.Contains(r.body, "réalm") {
		t.Errorf("with charset=UTF-8: got %s", r.body)
	}
}

func TestMaintenance(t *testing.T) {
	s := quiet()
	for _, status := range []string{synapse.ReadOnly, synapse.Down} {
		s.SetStackStatus(synapse.StackStatus{Status: status})
		for _, path := range []string{bundlePath, "/auth/v1/oauth2/client/100001", "/repo/v1/userProfile", "/repo/v1/realm/list", "/repo/v1/nowhere", "/repo/v1/userProfile?x=/admin"} {
			r := call(t, s, "nonsense", "GET", path, "")
			r.wantError(t, status+": reads too, before authentication: "+path, 503)
			if r.object["reason"] != "Synapse is down for maintenance." {
				t.Errorf("reason without a message: %s", r.body)
			}
		}
		admin(t, s, "PUT", "/repo/v1/entity/syn123/datatype?type=OPEN_DATA", "").wantError(t, "data type", 503)
		for _, path := range []string{"/repo/v1/version", "/repo/v1/status", "/repo/v1/admin/synapse/status", "/repo/v1/admin/id/generator/export"} {
			admin(t, s, "GET", path, "").want(t, status+": exempt "+path, 200, "*")
		}
		admin(t, s, "POST", redactPath, "").want(t, "writes on admin paths go on", 200, "")
	}
	s.SetStackStatus(synapse.StackStatus{Status: synapse.ReadOnly, CurrentMessage: "Back at noon."})
	if r := admin(t, s, "GET", bundlePath, ""); r.object["reason"] != "Back at noon." {
		t.Errorf("reason is the current message; got %s", r.body)
	}
}

func TestStackStatus(t *testing.T) {
	s := quiet()
	path := "/repo/v1/admin/synapse/status"
	admin(t, s, "PUT", path, `{"status":"DOWN","pendingMaintenanceMessage":"soon"}`).want(t, "put", 200, `{"status":"DOWN","pendingMaintenanceMessage":"soon"}`)
	admin(t, s, "PUT", path, `{"status":"READ_WRITE"}`).want(t, "a full replacement, and the way back up", 200, `{"status":"READ_WRITE"}`)
	if got := s.StackStatus(); got != (synapse.StackStatus{Status: synapse.ReadWrite}) {
		t.Errorf("omitted messages are erased; got %+v", got)
	}
	admin(t, s, "PUT", path, `{"currentMessage":"x"}`).wantError(t, "no status", 400)
	admin(t, s, "PUT", path, `{"status":"ASLEEP"}`).wantError(t, "no such status", 400)
	call(t, s, sandbox.UserToken, "PUT", path, `{"status":"DOWN"}`).wantError(t, "not an administrator", 403)
	admin(t, s, "PUT", "/repo/v1/status", `{"status":"DOWN"}`).wantError(t, "only the admin path has PUT", 405)
	call(t, s, "", "GET", "/repo/v1/status", "").want(t, "anybody may read", 200, `{"status":"READ_WRITE"}`)
}

func TestThrottlePerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Config{})
		get := func(token, path string) reply { return call(t, s, token, "GET", path, "") }
		for i := range 600 {
			if r := get(sandbox.AdminToken, "/repo/v1/status"); r.status != 200 {
				t.Fatalf("call %d of the minute: %d %s", i+1, r.status, r.body)
			}
		}
		r := get(sandbox.AdminToken, "/repo/v1/status")
		r.want(t, "call 601", 429, "{\"reason\": \"Requests are too frequent. Allowed 600 requests every 60 seconds.\"}\n")
		if r.header.Get("Retry-After") != "" {
			t.Error("the service sends no Retry-After")
		}
		get(sandbox.AdminToken, "/auth/v1/oauth2/client/100001").want(t, "/auth/v1 is not throttled", 200, "*")
		get("", "/repo/v1/version").want(t, "anonymous is exempt", 200, "*")
		get(sandbox.UserToken, "/repo/v1/status").want(t, "another caller", 200, "*")
		s.AddToken("one", "1")
		for range 601 {
			get("one", "/repo/v1/status").want(t, "user 1 is exempt", 200, "*")
		}
		time.Sleep(time.Minute)
		for range 600 {
			get(sandbox.AdminToken, "/repo/v1/status").want(t, "a minute later", 200, "*")
		}
		s.Reset()
		get(sandbox.AdminToken, "/repo/v1/status").want(t, "counters forgotten", 200, "*")
	})
}

func TestThrottleAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Config{})
		s.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Latency: sandbox.Duration(time.Second)}}})
		statuses := make(chan reply, 4)
		for range 4 {
			go func() { statuses <- call(t, s, sandbox.AdminToken, http.MethodGet, "/repo/v1/status", "") }()
		}
		first := <-statuses
		first.want(t, "the fourth at once", 429, "{\"reason\": \"Too many concurrent requests. Allowed 3 concurrent connections at any time.\"}\n")
		for range 3 {
			(<-statuses).want(t, "the first three", 200, "*")
		}
		if got := s.MostInFlight(); got != 4 {
			t.Errorf("most in flight: %d, want 4", got)
		}
	})
}
