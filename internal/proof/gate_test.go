package proof_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"time"
)

// A moment is when in a call's life it is held.
type moment int

const (
	beforeApplied moment = iota // the service has not seen it
	afterApplied                // it was done, and the answer is under way
)

func (m moment) String() string {
	return [...]string{"before it is applied", "after it was applied"}[m]
}

// A write is one call that changes something, as it arrived.
type write struct {
	effect  string // as the journal names it
	applied bool
	docs    int // journal documents there were when it arrived
	at      time.Time
}

// A gate stands before a service: it notes the calls that write and can hold one
// at either moment, for as long as its caller lives or until it is let go.
type gate struct {
	service http.Handler

	mu       sync.Mutex
	docs     func() int
	instead  func(w http.ResponseWriter, r *http.Request) bool // answers a write in the service's place; nil: never
	writes   []write
	holdAt   int // the write to hold, from 1; 0: none
	moment   moment
	held     chan struct{}
	released chan struct{}
}

func newGate(service http.Handler) *gate {
	return &gate{service: service, docs: func() int { return 0 }, held: make(chan struct{}), released: make(chan struct{})}
}

// count has the gate note with each write how many documents docs tells.
func (g *gate) count(docs func() int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.docs = docs
}

// answer has instead answer the writes.
func (g *gate) answer(instead func(w http.ResponseWriter, r *http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.instead = instead
}

// hold makes the gate hold the nth write from now on counted from the first ever.
// The channel is closed when it is held.
func (g *gate) hold(n int, m moment) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holdAt, g.moment = n, m
	g.held, g.released = make(chan struct{}), make(chan struct{})
	return g.held
}

// open lets go of what is held and holds nothing more.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holdAt != 0 {
		g.holdAt = 0
		close(g.released)
	}
}

// all returns the writes so far, in the order they arrived.
func (g *gate) all() []write {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]write(nil), g.writes...)
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	effect := effectOf(r)
	if effect == "" {
		g.service.ServeHTTP(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body) // all of it, or the server does not notice that the caller left
	r.Body = io.NopCloser(bytes.NewReader(body))
	n, holdBefore, holdAfter := g.arrive(effect)
	if holdBefore && !g.wait(r) {
		return
	}
	g.mu.Lock()
	instead := g.instead
	g.mu.Unlock()
	if instead != nil && instead(w, r) {
		return
	}
	answer := httptest.NewRecorder()
	g.service.ServeHTTP(answer, r)
	if answer.Code < 300 {
		g.mu.Lock()
		g.writes[n].applied = true
		g.mu.Unlock()
	}
	if holdAfter && !g.wait(r) {
		return
	}
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (g *gate) arrive(effect string) (n int, before, after bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes = append(g.writes, write{effect: effect, docs: g.docs(), at: time.Now()})
	hold := g.holdAt == len(g.writes)
	return len(g.writes) - 1, hold && g.moment == beforeApplied, hold && g.moment == afterApplied
}

// wait holds the call; false when its caller is gone.
func (g *gate) wait(r *http.Request) bool {
	g.mu.Lock()
	held, released := g.held, g.released
	g.mu.Unlock()
	close(held)
	select {
	case <-released:
		return true
	case <-r.Context().Done():
		return false
	}
}

// writing matches the calls that make effects, and what they name their target by.
var writing = []struct {
	method string
	path   *regexp.Regexp
	effect string
}{
	{"PUT", regexp.MustCompile(`^/repo/v1/admin/oauth2/client/(\d+)/verified$`), "oauth-client/"},
	{"PUT", regexp.MustCompile(`^/repo/v1/entity/(syn\d+)/datatype$`), "entity/"},
	{"POST", regexp.MustCompile(`^/repo/v1/admin/redact/user/(\d+)$`), "user/"},
	{"PUT", regexp.MustCompile(`^/repo/v1/admin/user/(\d+)/certificationStatus$`), "user/"},
	{"POST", regexp.MustCompile(`^/repo/v1/admin/realm()$`), "realm/"},
	{"POST", regexp.MustCompile(`^/repo/v1/admin/asynchronous/job()$`), "admin-job"},
	{"POST", regexp.MustCompile(`^/repo/v1/admin/grid/session/backfill()$`), "grid-sessions"},
	{"POST", regexp.MustCompile(`^/repo/v1/admin/emailQuarantine/expire()$`), "email/"},
}

// effectOf names the effect that a call makes, "" when it makes none.
func effectOf(r *http.Request) string {
	for _, w := range writing {
		if m := w.path.FindStringSubmatch(r.URL.Path); m != nil && r.Method == w.method {
			return w.effect + m[1]
		}
	}
	return ""
}
