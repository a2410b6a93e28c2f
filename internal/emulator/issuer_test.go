package emulator_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// TestIssuer_Token: a job gets what its claims are, as the query changes them; who
// does not show the job's token gets nothing.
func TestIssuer_Token(t *testing.T) {
	issuer := emulator.NewIssuer()
	given := map[string]any{"sub": "repo:a/b:ref:refs/heads/main", "environment": "dev", "run_id": "7"}
	issuer.Claims = func() (map[string]any, error) {
		if given == nil {
			return nil, errors.New("the claims cannot be read")
		}
		return maps.Clone(given), nil
	}
	ask := func(bearer, query string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/token?api-version=2.0&"+query, nil)
		r.Header.Set("Authorization", "Bearer "+bearer)
		w := httptest.NewRecorder()
		issuer.ServeHTTP(w, r)
		return w
	}
	w := ask(issuer.RequestToken, "audience=sts.amazonaws.com&run_id=8&environment=")
	var out struct{ Value string }
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("answered %d %s", w.Code, w.Body)
	}
	var claims map[string]any
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(out.Value, ".")[1])
	if err != nil || json.Unmarshal(body, &claims) != nil {
		t.Fatalf("token %q", out.Value)
	}
	for name, want := range map[string]any{"iss": emulator.IssuerURL, "aud": "sts.amazonaws.com", "sub": given["sub"], "run_id": "8", "environment": nil} {
		if claims[name] != want {
			t.Errorf("claim %s is %v, want %v", name, claims[name], want)
		}
	}
	if life := claims["exp"].(float64) - claims["iat"].(float64); life != 300 {
		t.Errorf("the token lives for %v s, want 300", life)
	}
	own := issuer.Job(map[string]any{"sub": "repo:c/d"})
	w = ask(own, "audience=a")
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("a job's own token: %d %s", w.Code, w.Body)
	}
	if body, err := base64.RawURLEncoding.DecodeString(strings.Split(out.Value, ".")[1]); err != nil || !strings.Contains(string(body), `"repo:c/d"`) || strings.Contains(string(body), "run_id") {
		t.Errorf("a job's own claims: %s, %v", body, err)
	}
	if w := ask("wrong", "audience=a"); w.Code != http.StatusUnauthorized {
		t.Errorf("a wrong bearer: %d %s", w.Code, w.Body)
	}
	given = nil
	if w := ask(issuer.RequestToken, "audience=a"); w.Code != http.StatusInternalServerError {
		t.Errorf("without claims to give: %d %s", w.Code, w.Body)
	}
}
