package adminapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Bounds of what is read of an answer.
const (
	mostBody  = 64 << 20
	mostError = 4 << 10
)

// An answer is one response, read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// exchange sends one request, when the pace admits it, and reads the answer. A
// fault means there was no whole answer.
func (c *Client) exchange(ctx context.Context, o *order, target *url.URL, token string) (answer, *fault) {
	if err := c.pace.enter(ctx, target.Path); err != nil {
		return answer{}, c.stopped(o, err, "before it was sent")
	}
	defer c.pace.leave()
	limited, cancel := context.WithTimeout(ctx, o.patience)
	defer cancel()
	var reached atomic.Bool // a connection was there: the service may have read the request
	req := c.request(limited, o, target, token, &reached)

	c.requests.Add(1)
	began := time.Now()
	a, err := c.carry(req, o)
	took := time.Since(began)
	c.waited.Add(int64(took))
	if err != nil {
		f := c.lost(ctx, o, err, reached.Load())
		c.log.DebugContext(ctx, "no answer", "call", o.name, "took", took, "because", f.reason)
		return answer{}, f
	}
	c.log.DebugContext(ctx, "answer", "call", o.name, "status", a.status, "took", took)
	if a.status == http.StatusTooManyRequests {
		c.throttled.Add(1)
		if c.pace.throttled() {
			c.log.InfoContext(ctx, "the service throttles; going at half the pace from here on", "in_flight", c.pace.inFlight())
		}
	}
	return a, nil
}

// request builds one sending of the order. Without a charset the service would
// read a body as ISO-8859-1.
func (c *Client) request(ctx context.Context, o *order, target *url.URL, token string, reached *atomic.Bool) *http.Request {
	if o.class == read || !c.traced {
		reached.Store(true) // it does not matter, or cannot be told
	} else {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { reached.Store(true) }})
	}
	req := (&http.Request{
		Method: o.method, URL: target, Host: target.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Accept": {"application/json"}, "User-Agent": {c.agent}},
	}).WithContext(ctx)
	if token != "" {
		req.Header.Set("Authorization", c.scheme+" "+token)
	}
	if o.payload != nil {
		req.Header.Set("Content-Type", "application/json; charset=UTF-8")
		req.ContentLength = int64(len(o.payload))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(o.payload)), nil }
		req.Body, _ = req.GetBody()
	}
	return req
}

// carry sends req and reads as much of the answer as is wanted. When it answers
// 2xx and no body is due, the status alone is the answer.
func (c *Client) carry(req *http.Request, o *order) (answer, error) {
	via := c.kept
	if o.class == once {
		via = c.fresh
	}
	resp, err := via.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	success := a.status >= 200 && a.status < 300
	if !success || o.into == nil {
		a.body, _ = io.ReadAll(io.LimitReader(resp.Body, mostError))
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be kept
		return a, nil
	}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, mostBody+1))
	if err != nil {
		return answer{}, fmt.Errorf("the answer broke off after %d bytes: %w", len(a.body), err)
	}
	return a, nil
}

// lost is the fault of a request without a whole answer.
func (c *Client) lost(ctx context.Context, o *order, err error, reached bool) *fault {
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		reached = false
	}
	if ctx.Err() != nil {
		f := c.stopped(o, ctx.Err(), "while it was under way")
		f.may = reached
		return f
	}
	f := &fault{may: reached, passing: true, code: ops.Unavailable, reason: "no answer"}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		f.passing, f.may = false, false
		f.message = fmt.Sprintf("%s was not sent: the host's certificate is not trusted: %s.", o.name, c.show(cert.Err.Error()))
		f.hint = "Check the host; a proxy between here and there may be answering in its place."
		return f
	}
	switch {
	case !reached:
		f.message = fmt.Sprintf("%s was not sent: no connection to %s: %s.", o.name, c.base.Host, c.plain(err.Error()))
		f.hint = "Check that the host can be reached from here: it may answer in its own subnet only."
	case errors.Is(err, context.DeadlineExceeded):
		f.message = fmt.Sprintf("%s got no whole answer within %s.", o.name, o.patience)
	default:
		f.message = fmt.Sprintf("%s got no whole answer: %s.", o.name, c.plain(err.Error()))
	}
	return f
}
