package sandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// reply is one answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
	object map[string]any // nil when the body is no JSON object
}

// call asks s in process, without a socket. A "Header: value" among headers
// replaces the default.
func call(t *testing.T, s *sandbox.Synapse, token, method, path, body string, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequest(method, "http://sandbox.test"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json; charset=UTF-8")
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	resp, err := s.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the body: %v", method, path, err)
	}
	r := reply{status: resp.StatusCode, header: resp.Header, body: string(b)}
	if json.Unmarshal(b, &r.object) != nil {
		r.object = nil
	}
	return r
}

// admin is call with the administrator's token.
func admin(t *testing.T, s *sandbox.Synapse, method, path, body string) reply {
	t.Helper()
	return call(t, s, sandbox.AdminToken, method, path, body)
}

// want checks a status and, unless it is "*", the whole body.
func (r reply) want(t *testing.T, what string, status int, body string) {
	t.Helper()
	if r.status != status || body != "*" && r.body != body {
		t.Errorf("%s: got %d %q, want %d %q", what, r.status, r.body, status, body)
	}
}

// wantError checks an ErrorResponse.
func (r reply) wantError(t *testing.T, what string, status int) {
	t.Helper()
	if r.status != status || r.object["concreteType"] != "org.sagebionetworks.repo.model.ErrorResponse" || r.object["reason"] == "" {
		t.Errorf("%s: got %d %q, want an ErrorResponse with status %d", what, r.status, r.body, status)
	}
}

func quiet() *sandbox.Synapse { return sandbox.New(sandbox.Config{NoThrottle: true}) }
