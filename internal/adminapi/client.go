// Package adminapi is the client of the Synapse REST API: one typed method per
// endpoint, errors in our words, retries only where they are safe, and a pace
// below the service's own limits.
//
// What is not here: what a task does with an answer, and where the token comes
// from. The client asks for the token when a call first needs it, adds it to the
// request itself and lets no caller see it.
package adminapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Config is what a Client needs. Host and Token are required.
type Config struct {
	// Host is the service's base URL without a path, such as
	// https://repo-dev.dev.sagebase.org: https, or http to loopback.
	Host string
	// Token reads the administrator's token from its source. It is asked at the
	// first call that needs a token, once more when the service answers 401, and by
	// RenewToken; never twice at a time.
	Token func(ctx context.Context) (string, error)
	// Pace lowers the service's own limits; above them only against loopback.
	Pace ops.Pace
	// UserAgent is "synapse-ops-core" when empty.
	UserAgent string
	// Log gets methods, paths, statuses and times: no tokens, queries or bodies.
	// Nil: none.
	Log *slog.Logger
	// Mask hides secrets, in whatever spelling, in texts that come from outside and
	// are shown. Nil: a text that holds the token as it is is withheld whole.
	Mask func(string) string
	// Transport carries the requests. Nil: HTTP/1.1 with connections kept alive,
	// and a fresh one for every write that must not be sent twice.
	Transport http.RoundTripper
}

// Client asks one Synapse host. Safe for concurrent use. Close it when done.
type Client struct {
	base   *url.URL
	agent  string
	scheme string // of the Authorization header
	log    *slog.Logger
	tokens *tokens
	mask   func(string) string
	pace   *pace
	kept   http.RoundTripper // for reads and writes that may be resent
	fresh  http.RoundTripper // for writes that must not
	traced bool              // the transports report connections
	wait   func(ctx context.Context, d time.Duration) error

	requests, waited, retries, throttled atomic.Int64
}

// Stats counts what a client did so far.
type Stats struct {
	Requests  int64         // sent or tried to send, retries included
	Waited    time.Duration // from sending to the answer's end, summed over requests
	Retries   int64
	Throttled int64 // answers 429
}

// New returns a client. The error is Invalid when the host is not a base URL, is
// plain http beyond loopback, or the pace is above the service's limits there.
func New(c Config) (*Client, error) {
	base, err := baseURL(c.Host)
	if err != nil {
		return nil, err
	}
	if c.Token == nil {
		return nil, ops.Errorf(ops.Invalid, "a client needs a source for the token.")
	}
	p, err := newPace(c.Pace, ops.Loopback(c.Host))
	if err != nil {
		return nil, err
	}
	return newClient(c, base, p), nil
}

func newClient(c Config, base *url.URL, p *pace) *Client {
	cl := &Client{
		base: base, agent: c.UserAgent, scheme: "Bearer", log: c.Log, pace: p, wait: sleep,
		tokens: &tokens{what: "admin token", read: c.Token, turn: make(chan struct{}, 1)},
		mask:   c.Mask,
	}
	if cl.agent == "" {
		cl.agent = "synapse-ops-core"
	}
	if cl.log == nil {
		cl.log = slog.New(slog.DiscardHandler)
	}
	cl.carryBy(c.Transport)
	return cl
}

// carryBy sets the transports. A kept connection that the service is just closing
// leaves it open whether a request was read, so writes that must not be sent
// twice get a fresh one.
func (c *Client) carryBy(given http.RoundTripper) {
	if given != nil {
		_, c.traced = given.(*http.Transport)
		c.kept, c.fresh = given, given
		return
	}
	kept, fresh := newTransport(), newTransport()
	kept.MaxIdleConnsPerHost = max(c.pace.inFlight(), 1)
	fresh.DisableKeepAlives = true
	c.kept, c.fresh, c.traced = kept, fresh, true
}

// newTransport speaks HTTP/1.1 only. Its time to connect is shorter than any
// call's, so that "never connected" shows as such.
func newTransport() *http.Transport {
	var only http.Protocols
	only.SetHTTP1(true)
	return &http.Transport{
		Protocols:              &only,
		Proxy:                  http.ProxyFromEnvironment, // which never takes loopback's calls
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		IdleConnTimeout:        50 * time.Second, // below the load balancer's 60 s
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
}

func baseURL(host string) (*url.URL, error) {
	wrong := func(why string) error {
		return &ops.Error{Code: ops.Invalid, Message: why, Hint: "Write it as https://repo-dev.dev.sagebase.org."}
	}
	if ops.LooksSecret(host) || strings.Contains(host, "@") {
		return nil, wrong("the host holds credentials, which it must not.")
	}
	u, err := url.Parse(host)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, wrong("the host " + ops.Quote(host) + " is not a base URL.")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, wrong("the host " + ops.Quote(host) + " has more than scheme, name and port.")
	case u.Scheme == "http" && !ops.Loopback(host):
		return nil, wrong("the host " + ops.Quote(host) + " is plain http, which would show the token to the network; only loopback may be.")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// Stats returns the counts so far.
func (c *Client) Stats() Stats {
	return Stats{
		Requests:  c.requests.Load(),
		Waited:    time.Duration(c.waited.Load()),
		Retries:   c.retries.Load(),
		Throttled: c.throttled.Load(),
	}
}

// InFlight is how many requests the pace allows at once now: the service's
// throttling lowers it.
func (c *Client) InFlight() int { return c.pace.inFlight() }

// RenewToken reads the token anew from its source.
func (c *Client) RenewToken(ctx context.Context) error {
	_, err := c.tokens.renew(ctx, c.tokens.held())
	return err
}

// Close closes idle connections. Calls in flight end as usual.
func (c *Client) Close() {
	for _, rt := range []http.RoundTripper{c.kept, c.fresh} {
		if t, ok := rt.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

// sleep waits for d, or for the end of ctx, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
