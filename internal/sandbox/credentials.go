package sandbox

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
)

// The tokens of the seed. They are no secrets: they open nothing but a sandbox.
const (
	AdminToken          = "sandbox-admin-token"   // of ops-admin, unless Config.Token names another
	SecondAdminToken    = "sandbox-admin-token-2" // of ops-admin too: what a renewed source may give
	ViewOnlyToken       = "sandbox-viewonly-token"
	UserToken           = "sandbox-user-token" // of jdoe
	ACTToken            = "sandbox-act-token"
	ExpiredToken        = "sandbox-expired-token"
	NoSecondFactorToken = "sandbox-no2fa-token" // of an administrator without a second factor
	UnsignedToken       = "sandbox-unsigned-token"
	ServiceKey          = "sandbox-service-key"
	ServiceSecret       = "sandbox-service-secret"
)

// scope is a set of a token's permissions.
type scope uint8

const (
	view scope = 1 << iota
	modify
	authorize
)

type token struct {
	user    int64
	scopes  scope
	expired bool
}

// caller is who a call comes from.
type caller struct {
	id        int64
	anonymous bool
	service   bool // by service Basic: user 1, no second factor asked
	admin     bool
	act       bool
	scopes    scope
}

// AddToken lets a token in for a user, with scopes view and modify.
func (s *Synapse) AddToken(t, userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, _ := principal(userID)
	s.tokens[t] = token{user: id, scopes: view | modify}
}

// ExpireToken makes a token expire. It stays so until Reset or AddToken.
func (s *Synapse) ExpireToken(t string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.tokens[t]; ok {
		known.expired = true
		s.tokens[t] = known
	}
}

// bearer returns the token of a request, by either of its two headers.
func bearer(r *http.Request) string {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(rest) != "" {
		return strings.TrimSpace(rest)
	}
	return r.Header.Get("sessionToken")
}

// authenticate finds the caller. No header, or one that cannot be parsed, is
// anonymous and not an error: administrative paths then answer 403.
func (s *Synapse) authenticate(r *http.Request) (*caller, *failure) {
	if key, secret, ok := basic(r); ok && servicePath(r.URL.Path) {
		same := subtle.ConstantTimeCompare([]byte(key+"\x00"+secret), []byte(ServiceKey+"\x00"+ServiceSecret))
		if same != 1 {
			return nil, failed(http.StatusUnauthorized, "Invalid credentials.")
		}
		return &caller{id: adminUser, service: true, admin: true, scopes: view | modify}, nil
	}
	text := bearer(r)
	if text == "" {
		return &caller{id: anonymousUser, anonymous: true}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[text]
	if !ok {
		return nil, failed(http.StatusUnauthorized, "Invalid access token")
	}
	if t.expired {
		return nil, oauthFailed(http.StatusUnauthorized, "invalid_token", "The token has expired.")
	}
	u, _ := s.user(t.user)
	return &caller{id: t.user, admin: u.Admin, act: u.ACT, scopes: t.scopes}, nil
}

// basic returns the pair of a Basic header that can be decoded.
func basic(r *http.Request) (key, secret string, ok bool) {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(b), ":")
}

func servicePath(path string) bool {
	for _, p := range []string{"/repo/v1/admin/", "/repo/v1/migration/", "/repo/v1/testing/"} {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// mayEnter asks what the service asks of a known caller before it looks at the
// path: signed terms of use, then a second factor.
func (s *Synapse) mayEnter(c *caller) *failure {
	if c.anonymous || c.service {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, _ := s.user(c.id)
	if u.Unsigned {
		return failed(http.StatusForbidden, "Terms of use have not been signed.")
	}
	if u.TwoFactor || s.faults.oldBackend() || (!u.Admin && s.feature("DISABLE_2FA_REQUIREMENT")) {
		return nil
	}
	f := failed(http.StatusForbidden, "Two-factor authentication must be enabled.")
	f.body.ErrorCode = "TWO_FA_ENABLED_REQUIRED"
	return f
}

// hasScopes checks a route's scopes. Anonymous callers pass: they meet the method's
// own checks. Service callers hold all there are.
func (c *caller) hasScopes(want scope) *failure {
	if c.anonymous || c.scopes&want == want {
		return nil
	}
	return oauthFailed(http.StatusForbidden, "insufficient_scope", "Request lacks scope(s) required by this service.")
}

var errNotAdmin = failed(http.StatusForbidden, "Only an administrator may do this.")

// mustBeAdmin is the check that administrative methods begin with.
func (c *caller) mustBeAdmin() error {
	if !c.admin {
		return errNotAdmin
	}
	return nil
}

// mustBeACT lets administrators and the Access and Compliance Team pass.
func (c *caller) mustBeACT() error {
	if !c.admin && !c.act {
		return failed(http.StatusForbidden, "Only the Access and Compliance Team or an administrator may do this.")
	}
	return nil
}
