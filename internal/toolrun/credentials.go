package toolrun

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// An endpoint hands a tool its credentials the way a container's endpoint does:
// the SDKs of every language ask it, and ask again before the keys end. It answers
// on loopback only, for the token of this one run, while the run goes on.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
type endpoint struct {
	url, token string
	keys       func(ctx context.Context) (Keys, error)
	mask       func(string) error
	server     *http.Server

	mu     sync.Mutex
	served int
	failed error // the last answer that could not be given; nil once one could
}

// openEndpoint begins to serve. Close ends it.
func (r *Runner) openEndpoint() (*endpoint, error) {
	secret := make([]byte, 48)
	_, _ = rand.Read(secret) // never fails; see crypto/rand
	e := &endpoint{token: hex.EncodeToString(secret[:32]), keys: r.c.Credentials, mask: r.c.Mask}
	if err := e.mask(e.token); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serving credentials on loopback: %w", err)
	}
	e.url = "http://" + l.Addr().String() + "/" + hex.EncodeToString(secret[32:])
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+hex.EncodeToString(secret[32:]), e.answer)
	e.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() { _ = e.server.Serve(l) }() // ends with Close
	return e, nil
}

func (e *endpoint) close() { _ = e.server.Close() }

// env is what tells the SDKs where to ask.
func (e *endpoint) env() []string {
	return []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + e.url, "AWS_CONTAINER_AUTHORIZATION_TOKEN=" + e.token}
}

func (e *endpoint) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(e.token)) != 1 {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"code":"AccessDenied","message":"not the token of this run"}`))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	k, err := e.fresh(ctx)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"code":"Unavailable","message":"the worker cannot get credentials now"}`))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{
		"AccessKeyId": k.AccessKeyID, "SecretAccessKey": k.SecretAccessKey, "Token": k.SessionToken, "Expiration": k.Expires.UTC().Format(time.RFC3339),
	})
}

// fresh gets credentials and has them masked before anybody can print them.
func (e *endpoint) fresh(ctx context.Context) (Keys, error) {
	k, err := e.keys(ctx)
	for _, secret := range []string{k.SecretAccessKey, k.SessionToken} {
		if err == nil {
			err = e.mask(secret)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = err
	if err == nil {
		e.served++
	}
	return k, err
}

// trouble is why the last asking got nothing; nil when it did, or none came.
func (e *endpoint) trouble() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed
}
