package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

const mostBody = 2 << 20

// request is one call on its way through the checks to its handler.
type request struct {
	*http.Request
	s      *Synapse
	caller *caller
	route  *route
	vars   map[string]string
	body   []byte
	hits   []Fault
	// changed is closed when the faults change.
	changed <-chan struct{}
}

// answer files the call and takes it through the service's checks in the
// service's order: redirect, size, stack status, authentication, terms of use,
// second factor, throttles, routing, scope, parameters and body, and then the
// method's own.
func (s *Synapse) answer(r *http.Request) answer {
	s.calls.begin()
	q := &request{Request: r, s: s}
	c := Call{Time: time.Now(), Method: r.Method, Path: r.URL.RequestURI()}
	q.hits, q.changed = s.faults.take(r)
	for _, f := range q.hits {
		c.Faults = append(c.Faults, string(f.Kind))
	}
	a, handled := q.admit()
	if handled {
		c.Status = a.status
	}
	if q.caller != nil && !q.caller.anonymous {
		c.User = strconv.FormatInt(q.caller.id, 10)
	}
	if len(q.body) > 0 {
		sum := sha256.Sum256(q.body)
		c.Body = hex.EncodeToString(sum[:])
	}
	name := r.Method
	if q.route != nil {
		name += " " + q.route.pattern
	}
	s.calls.end(c, name)
	return a
}

// admit returns the answer, and false when the call was dropped unhandled.
func (q *request) admit() (answer, bool) {
	q.strikeState()
	accept := q.Header.Get("Accept")
	if f := q.edge(); f != nil {
		return *f, true
	}
	c, f := q.s.authenticate(q.Request)
	if f == nil {
		q.caller = c
		f = q.s.mayEnter(c)
	}
	if f != nil {
		return f.answer(accept), true
	}
	if !q.s.config.NoThrottle && throttled(c, q.URL.Path) {
		leave, turnedAway := q.s.pace.enter(c, q.Request)
		if turnedAway != nil {
			return *turnedAway, true
		}
		defer leave()
	}
	// After the throttles, so that a slow call occupies one of the three places.
	if a, struck := q.strikeBefore(); struck {
		return a, a.cut == whole
	}
	a := q.dispatch(accept)
	q.strikeAfter(&a)
	return a, true
}

// edge asks what is asked before the caller is known.
func (q *request) edge() *answer {
	if q.Header.Get("X-Forwarded-Proto") == "http" {
		a := newAnswer(http.StatusFound, "", nil)
		a.header.Set("Location", "https://"+q.Host+q.URL.RequestURI())
		return &a
	}
	if q.Body != nil {
		b, err := io.ReadAll(io.LimitReader(q.Body, mostBody+1))
		if err != nil {
			a := failed(http.StatusBadRequest, "The body could not be read.").answer("")
			return &a
		}
		q.body = b
	}
	if len(q.body) > mostBody || q.ContentLength > mostBody {
		q.body = nil
		a := failed(http.StatusRequestEntityTooLarge, "The request body is larger than 2097152 bytes.").answer("")
		return &a
	}
	if status := q.s.StackStatus(); status.Status != synapse.ReadWrite && !exempt(q.URL.EscapedPath()) {
		reason := status.CurrentMessage
		if reason == "" {
			reason = "Synapse is down for maintenance."
		}
		a := failed(http.StatusServiceUnavailable, "%s", reason).answer("")
		return &a
	}
	return nil
}

// exempt is the maintenance filter's rule: a substring of the path, wherever.
func exempt(uri string) bool {
	for _, part := range []string{"/admin", "/migration", "/version", "/status"} {
		if strings.Contains(uri, part) {
			return true
		}
	}
	return false
}

// dispatch finds the route and calls it under the lock of the state.
func (q *request) dispatch(accept string) answer {
	var f *failure
	if q.route, q.vars, f = q.s.routes.find(q.Method, q.URL.EscapedPath()); f == nil && q.route.isNew && q.s.faults.oldBackend() {
		f, q.route = noRoute(q.Method), nil
	}
	if f == nil && !acceptable(accept) {
		f = failed(http.StatusNotAcceptable, "Could not find acceptable representation")
	}
	if f == nil {
		f = q.caller.hasScopes(q.route.scopes)
	}
	if f == nil && q.route.body {
		f = q.decodeCharset()
	}
	if f != nil {
		return f.answer(accept)
	}
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	v, err := q.route.handle(q)
	if err != nil {
		refused, _ := errors.AsType[*failure](err) // handlers return no other error
		return refused.answer(accept)
	}
	return success(q.route.status, v)
}

func acceptable(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		switch kind, _, _ := strings.Cut(strings.TrimSpace(part), ";"); kind {
		case "", "*/*", "application/*", "application/json", "text/plain":
			return true
		}
	}
	return false
}

// decodeCharset asks for a JSON body and, when no charset is given, reads it as
// ISO-8859-1, as the service does: a client that forgets the charset breaks every
// letter beyond ASCII.
func (q *request) decodeCharset() *failure {
	if len(q.body) == 0 {
		return failed(http.StatusBadRequest, "Required request body is missing.")
	}
	kind, params, err := mime.ParseMediaType(q.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return failed(http.StatusUnsupportedMediaType, "Content type '%s' not supported", q.Header.Get("Content-Type"))
	}
	if params["charset"] == "" {
		var utf8 bytes.Buffer
		for _, b := range q.body {
			utf8.WriteRune(rune(b))
		}
		q.body = utf8.Bytes()
	}
	if !json.Valid(q.body) {
		return failed(http.StatusBadRequest, "The request body could not be read as JSON.")
	}
	return nil
}

// decode reads the body into v; unknown fields are ignored.
func (q *request) decode(v any) error {
	if err := json.Unmarshal(q.body, v); err != nil {
		return failed(http.StatusBadRequest, "The request body does not fit: %v", err)
	}
	return nil
}

// number returns a path variable as a number, or 400.
func (q *request) number(name string) (int64, error) {
	n, ok := principal(q.vars[name])
	if !ok {
		return 0, failed(http.StatusBadRequest, "%q is not a number.", q.vars[name])
	}
	return n, nil
}

// param returns a query parameter and whether it is there.
func (q *request) param(name string) (string, bool) {
	v, ok := q.URL.Query()[name]
	if !ok || len(v) == 0 {
		return "", false
	}
	return v[0], true
}

// boolean returns a query parameter read as Spring reads booleans.
func (q *request) boolean(name string, fallback *bool) (bool, error) {
	text, ok := q.param(name)
	if !ok || text == "" {
		if fallback != nil {
			return *fallback, nil
		}
		return false, missing(name)
	}
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "on", "yes", "1":
		return true, nil
	case "false", "off", "no", "0":
		return false, nil
	}
	return false, failed(http.StatusBadRequest, "Invalid boolean value '%s'", text)
}

func missing(name string) *failure {
	return failed(http.StatusBadRequest, "Required request parameter '%s' is not present", name)
}

// principal reads an ID in digits.
func principal(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0
}

// stamp renders a time as the service does.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// seeded is the stamp of everything that was there from the start.
const seeded = "2024-01-15T12:00:00.000Z"

// etagOf is the etag of version n of a thing: like a UUID, and the same each time.
func etagOf(thing string, n int64) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s#%d", thing, n))
	x := hex.EncodeToString(h[:16])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// newEtag returns an etag never given before.
func (s *Synapse) newEtag(thing string) string {
	s.state.edits++
	return etagOf(thing, s.state.edits)
}
