package emulator

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"sync"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// A Caller is who makes a call: an administrator or user with lasting keys, a
// role's session, a service, or nobody.
type Caller struct {
	Account *Account // nil for nobody
	// ARN is that of the user or of the session, such as
	// arn:aws:sts::111111111111:assumed-role/synops-perform/run-1; "" for nobody.
	ARN     string
	Role    string    // name of the role; "" for a user
	Service string    // service principal, such as codebuild.amazonaws.com
	Expires time.Time // zero: never

	roleID  string             // the role as it was assumed: one recreated is another
	session []*policy.Document // narrows the role
	user    *user
	mfa     bool
}

// temporary tells whether the caller's credentials came from STS.
func (w *Caller) temporary() bool { return w.Role != "" }

// Credentials are keys to sign with.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string    // "" for lasting keys
	Expiration      time.Time // zero: never
}

// keyring holds all keys ever issued.
type keyring struct {
	mu   sync.RWMutex
	keys map[string]key // by access key ID
}

type key struct {
	Credentials
	caller *Caller
}

// issue makes credentials for the caller: temporary ones when it is a session.
func (r *keyring) issue(who *Caller) Credentials {
	kind, token := "AKIA", ""
	if who.temporary() {
		kind, token = "ASIA", base64.StdEncoding.EncodeToString(random(192))
	}
	c := Credentials{
		AccessKeyID:     kind + base32.StdEncoding.EncodeToString(random(10)),
		SecretAccessKey: base64.StdEncoding.EncodeToString(random(30)),
		SessionToken:    token,
		Expiration:      who.Expires,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil {
		r.keys = map[string]key{}
	}
	r.keys[c.AccessKeyID] = key{c, who}
	return c
}

func (r *keyring) find(id string) (key, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	k, ok := r.keys[id]
	return k, ok
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// requestID is a new random ID as services name their answers by.
func requestID() string {
	h := hex.EncodeToString(random(16))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
