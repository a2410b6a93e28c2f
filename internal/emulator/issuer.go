package emulator

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"
)

// An Issuer signs ID tokens as GitHub does for Actions jobs, and serves its keys.
// It is an http.Handler:
//
//	GET /token?audience=A              {"value": "…"}; needs the bearer RequestToken.
//	                                   Further parameters replace claims; an empty
//	                                   one removes the claim.
//	GET /.well-known/openid-configuration, GET /jwks
//
// Point Config.Issuers at where it is served. Safe for concurrent use.
type Issuer struct {
	// RequestToken is what a job has as ACTIONS_ID_TOKEN_REQUEST_TOKEN. Job gives
	// others, for jobs that run side by side.
	RequestToken string
	// Claims returns the job's claims at each request; nil: none but the query's.
	Claims func() (map[string]any, error)
	// Life of a token; 0: five minutes, as GitHub's.
	Life time.Duration
	Now  func() time.Time // nil: the machine's clock

	// key is made when it is first needed: to look for primes takes longer than most
	// of what is done on an emulated account, and few need a token.
	key  func() (*rsa.PrivateKey, error)
	id   string
	mux  *http.ServeMux
	jobs sync.Map // claims by request token
}

// IssuerURL is who GitHub's tokens say they are from.
const IssuerURL = "https://" + githubIssuer

// NewIssuer returns an issuer with a key and a RequestToken of its own.
func NewIssuer() *Issuer {
	key := sync.OnceValues(func() (*rsa.PrivateKey, error) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("making the issuer's key: %w", err)
		}
		return key, nil
	})
	i := &Issuer{RequestToken: hex.EncodeToString(random(20)), key: key, id: hex.EncodeToString(random(8)), mux: http.NewServeMux()}
	i.mux.HandleFunc("GET /token", i.serveToken)
	i.mux.HandleFunc("GET /jwks", i.serveKeys)
	i.mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, map[string]any{
			"issuer": IssuerURL, "jwks_uri": "http://" + r.Host + "/jwks",
			"response_types_supported": []string{"id_token"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	return i
}

// Job returns a request token of its own for a job with these claims.
func (i *Issuer) Job(claims map[string]any) string {
	token := hex.EncodeToString(random(20))
	i.jobs.Store(token, maps.Clone(claims))
	return token
}

// claimsOf are the claims of the job that has the request token; ok is false for a
// token that is none.
func (i *Issuer) claimsOf(token string) (claims map[string]any, ok bool, err error) {
	if job, ok := i.jobs.Load(token); ok {
		return maps.Clone(job.(map[string]any)), true, nil
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(i.RequestToken)) != 1 {
		return nil, false, nil
	}
	claims = map[string]any{}
	if i.Claims != nil {
		given, err := i.Claims()
		if err != nil {
			return nil, true, err
		}
		maps.Copy(claims, given)
	}
	return claims, true, nil
}

// ServeHTTP answers as the type's comment says.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) { i.mux.ServeHTTP(w, r) }

func (i *Issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	claims, ok, err := i.claimsOf(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if !ok {
		http.Error(w, `{"message":"Bearer token is not valid"}`, http.StatusUnauthorized)
		return
	}
	for name, values := range r.URL.Query() {
		switch {
		case name == "api-version":
		case name == "audience":
			claims["aud"] = values[0]
		case values[0] == "":
			delete(claims, name)
		default:
			claims[name] = values[0]
		}
	}
	text, err := i.Token(claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answerJSON(w, map[string]any{"value": text, "count": len(text)})
}

// Token returns a signed token with these claims; iss, iat, nbf, exp and jti are
// added where they are missing.
func (i *Issuer) Token(claims map[string]any) (string, error) {
	now, life := time.Now, i.Life
	if i.Now != nil {
		now = i.Now
	}
	if life == 0 {
		life = 5 * time.Minute
	}
	at := now()
	all := map[string]any{
		"iss": IssuerURL, "iat": at.Unix(), "nbf": at.Add(-5 * time.Minute).Unix(), "exp": at.Add(life).Unix(), "jti": requestID(),
	}
	maps.Copy(all, claims)
	header, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": i.id})
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	body, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(signed))
	key, err := i.key()
	if err != nil {
		return "", err
	}
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	key, err := i.key()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answerJSON(w, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": i.id,
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}}})
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller has gone; nobody is left to tell
}
