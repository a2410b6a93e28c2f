package proof_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A call is one call of a process at one of two moments.
type call struct {
	n      int    // from 1 on, of this process
	name   string // such as "s3 PUT admin/claims/1.json" or "synapse PUT /repo/v1/…"
	moment moment
}

// A process is a launcher or a worker, as far as others can tell.
type process struct {
	env map[string]string
	met func(c call) error // asked at both moments of each call; an error is what the caller gets instead

	dead chan struct{} // closed when it is killed
	once sync.Once

	mu     sync.Mutex
	calls  []string
	writes []time.Time   // when it sent what changes something in the service
	cut    bool          // the account is out of reach; the service is not
	still  chan struct{} // closed when it goes on; nil: it goes on
	ended  bool          // by itself
	lost   []string      // effects whose answers did not reach it

	askedFirst, askedLast time.Time // the service
}

func newProcess(met func(call) error) *process {
	return &process{met: met, dead: make(chan struct{})}
}

var (
	errKilled = errors.New("signal: killed")
	errCut    = errors.New("connection reset by peer")
)

// kill is sudden death: nothing more leaves the process, and nothing reaches it.
func (p *process) kill() { p.once.Do(func() { close(p.dead) }) }

func (p *process) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// stop has nothing of the process go on until the function is called, as SIGSTOP
// does: calls in hand stay as they are.
func (p *process) stop() (goOn func()) {
	still := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.still = still
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.still = nil
		close(still)
	}
}

// partition puts the account out of the process's reach, or within it again.
func (p *process) partition(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
}

// goes waits while the process is stopped; it is false for one that is dead.
func (p *process) goes() bool {
	p.mu.Lock()
	still := p.still
	p.mu.Unlock()
	if still != nil {
		select {
		case <-still:
		case <-p.dead:
		}
	}
	return !p.isDead()
}

// isCut tells whether a call does not get through.
func (p *process) isCut(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut && !strings.HasPrefix(name, "synapse ")
}

// sent lists the calls so far, in order.
func (p *process) sent() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// A lineOf carries a process's calls.
type lineOf struct {
	p  *process
	to http.RoundTripper
}

// RoundTrip carries a call while the process lives.
func (l lineOf) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.carry(r)
	if effect := effectOf(r); effect != "" && err != nil && !l.p.isDead() {
		l.p.mu.Lock()
		l.p.lost = append(l.p.lost, effect)
		l.p.mu.Unlock()
	}
	return answer, err
}

func (l lineOf) carry(r *http.Request) (*http.Response, error) {
	if !l.p.goes() {
		return nil, errKilled
	}
	l.p.mu.Lock()
	c := call{n: len(l.p.calls) + 1, name: nameOf(r)}
	l.p.calls = append(l.p.calls, c.name)
	l.p.mu.Unlock()
	if err := l.meet(c); err != nil {
		return nil, err
	}
	l.p.note(c.name, effectOf(r) != "")
	// What the process is killed over has arrived all the same.
	answer, err := l.to.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
	c.moment = afterApplied
	if met := l.meet(c); met != nil {
		return nil, met
	}
	if err == nil {
		err = r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// note remembers a call to the service, which is about to arrive.
func (p *process) note(name string, writes bool) {
	if !strings.HasPrefix(name, "synapse ") {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.askedLast = time.Now()
	if p.askedFirst.IsZero() {
		p.askedFirst = p.askedLast
	}
	if writes {
		p.writes = append(p.writes, p.askedLast)
	}
}

// asked tells when the process asked the service first and last; zero: never.
func (p *process) asked() (first, last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.askedFirst, p.askedLast
}

func (l lineOf) meet(c call) error {
	if l.p.met != nil {
		if err := l.p.met(c); err != nil {
			return err
		}
	}
	switch {
	case !l.p.goes():
		return errKilled
	case l.p.isCut(c.name):
		return errCut
	}
	return nil
}

// nameOf names a call for people, as short as it is unmistakable.
func nameOf(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, "/repo/") || strings.HasPrefix(r.URL.Path, "/auth/") {
		return "synapse " + r.Method + " " + r.URL.Path
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		_, operation, _ := strings.Cut(target, ".")
		return operation
	}
	if r.URL.Host == "127.0.0.1:1" && strings.HasPrefix(r.URL.Path, "/_cloud/") {
		return "credentials"
	}
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if key == "" && r.Method == http.MethodGet {
		return "s3 LIST " + r.URL.Query().Get("prefix")
	}
	return strings.TrimSpace("s3 " + r.Method + " " + key)
}
