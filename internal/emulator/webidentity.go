package emulator

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// githubClaims are the claims of a GitHub token that AWS takes for condition keys.
// A claim that is not here is simply absent when a trust policy is asked.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
var githubClaims = []string{
	"actor", "actor_id", "job_workflow_ref", "repository", "repository_id", "workflow", "ref", "environment", "enterprise_id",
}

func assumeRoleWithWebIdentity(c *call) (any, error) {
	a, err := c.assumption()
	if err != nil {
		return nil, err
	}
	t, err := parseToken(c.param("WebIdentityToken"))
	if err != nil {
		return nil, invalidToken("%v", err)
	}
	bare := strings.TrimPrefix(t.claims.Issuer, "https://")
	provider, ok := a.account.IAM.Provider("arn:aws:iam::" + a.account.ID + ":oidc-provider/" + bare)
	if !ok {
		return nil, invalidToken("No OpenIDConnect provider found in your account for %s", t.claims.Issuer)
	}
	if err := c.cloud.checkToken(c.http.Context(), t, provider); err != nil {
		return nil, err
	}
	err = c.cloud.allow(&Caller{ARN: provider.ARN}, question{
		action: "sts:AssumeRoleWithWebIdentity", resource: a.role.ARN, owner: a.account,
		keys: merged(c.keys(), t.keys(bare)), policies: []*policy.Document{a.trust},
	}, &dialect{denied: Fault{"AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403}})
	if err != nil {
		return nil, err
	}
	out, err := a.issue(c.cloud, false)
	if err != nil {
		return nil, err
	}
	out.SubjectFromWebIdentityToken, out.Audience, out.Provider = t.claims.Subject, t.claims.Audience[0], provider.ARN
	return out, nil
}

func invalidToken(format string, args ...any) *Fault {
	return fault("InvalidIdentityToken", format, args...)
}

// A token is a JSON web token, read but not believed.
type token struct {
	keyID     string
	claims    claims
	all       map[string]any
	signed    []byte
	signature []byte
}

type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	Expires   float64  `json:"exp"`
	NotBefore float64  `json:"nbf"`
	Issued    float64  `json:"iat"`
}

// An audience is one text or a list of them.
type audience []string

// UnmarshalJSON reads either form.
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

func parseToken(text string) (*token, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, errors.New("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(p); err != nil {
			return nil, errors.New("The ID Token provided could not be decoded.")
		}
	}
	var header struct{ Alg, Kid string }
	t := &token{signed: []byte(parts[0] + "." + parts[1]), signature: raw[2]}
	if json.Unmarshal(raw[0], &header) != nil || json.Unmarshal(raw[1], &t.claims) != nil || json.Unmarshal(raw[1], &t.all) != nil {
		return nil, errors.New("The ID Token provided could not be read.")
	}
	if header.Alg != "RS256" { // "none" and HMAC are the classic ways around a signature
		return nil, fmt.Errorf("The ID Token's algorithm %q is not supported.", header.Alg)
	}
	if t.claims.Issuer == "" || t.claims.Subject == "" || len(t.claims.Audience) == 0 || t.claims.Expires == 0 || t.claims.Issued == 0 {
		return nil, errors.New("Missing a required claim: iss, sub, aud, exp and iat must be there.")
	}
	t.keyID = header.Kid
	return t, nil
}

// checkToken tells whether the provider signed the token, for it, and for now.
func (c *Cloud) checkToken(ctx context.Context, t *token, p Provider) error {
	base, ok := c.config.Issuers[p.URL]
	if !ok {
		return fault("IDPCommunicationError", "The issuer %s cannot be reached from the emulated account: Config.Issuers does not have it.", p.URL)
	}
	key, err := c.tokens.key(ctx, base, t.claims.Issuer, t.keyID)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(t.signed)
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], t.signature) != nil {
		return invalidToken("Couldn't verify the signature of the ID Token.")
	}
	now := float64(c.now().UnixMilli()) / 1000
	switch {
	case now >= t.claims.Expires:
		return fault("ExpiredTokenException", "Token expired: current date/time %s must be before the expiration date/time", c.now().Format(time.RFC3339))
	case now < t.claims.NotBefore:
		return invalidToken("Token is not valid yet.")
	case !slices.ContainsFunc(t.claims.Audience, func(a string) bool { return slices.Contains(p.Audiences, a) }):
		return invalidToken("Incorrect token audience")
	}
	return nil
}

// keys are the condition keys the token gives, under the provider's name.
func (t *token) keys(provider string) map[string][]string {
	m := map[string][]string{provider + ":sub": {t.claims.Subject}, provider + ":aud": t.claims.Audience}
	if provider != githubIssuer {
		return m
	}
	for _, name := range githubClaims {
		if s, ok := t.all[name].(string); ok && s != "" {
			m[provider+":"+name] = []string{s}
		}
	}
	return m
}

// A verifier fetches and keeps issuers' keys.
type verifier struct {
	mu        sync.Mutex
	keys      map[string]*rsa.PublicKey // by base URL and key ID
	transport http.RoundTripper
}

// key returns the issuer's key of that ID, asking the issuer when it is new.
func (v *verifier) key(ctx context.Context, base, issuer, id string) (*rsa.PublicKey, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k := v.keys[base+" "+id]; k != nil {
		return k, nil
	}
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	var about struct {
		Issuer string
		URI    string `json:"jwks_uri"`
	}
	if err := v.get(ctx, base+"/.well-known/openid-configuration", &about); err != nil {
		return nil, fault("IDPCommunicationError", "%v", err)
	}
	if about.Issuer != issuer {
		return nil, invalidToken("The issuer %q does not match the provider's %q.", issuer, about.Issuer)
	}
	var set struct{ Keys []struct{ Kid, N, E string } }
	if err := v.get(ctx, about.URI, &set); err != nil {
		return nil, fault("IDPCommunicationError", "%v", err)
	}
	if v.keys == nil {
		v.keys = map[string]*rsa.PublicKey{}
	}
	for _, k := range set.Keys {
		if pub, err := publicKey(k.N, k.E); err == nil {
			v.keys[base+" "+k.Kid] = pub
		}
	}
	if k := v.keys[base+" "+id]; k != nil {
		return k, nil
	}
	return nil, invalidToken("Couldn't retrieve verification key from your identity provider.")
}

func (v *verifier) get(ctx context.Context, url string, out any) error {
	hreq, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("asking the issuer: %w", err)
	}
	resp, err := v.transport.RoundTrip(hreq)
	if err != nil {
		return fmt.Errorf("asking the issuer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the issuer: %s answers %s", url, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(out)
}

func publicKey(n, e string) (*rsa.PublicKey, error) {
	nb, err := base64.RawURLEncoding.DecodeString(n)
	if err != nil {
		return nil, fmt.Errorf("reading the issuer's key: %w", err)
	}
	eb, err := base64.RawURLEncoding.DecodeString(e)
	if err != nil || len(eb) > 4 {
		return nil, errors.New("reading the issuer's key: its exponent is odd")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(nb), E: int(new(big.Int).SetBytes(eb).Int64())}, nil
}
