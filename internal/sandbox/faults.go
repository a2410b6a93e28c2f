package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// FaultKind says what goes wrong.
type FaultKind string

// The kinds of fault; FaultKinds says what each does.
const (
	Slow           FaultKind = "slow"
	Throttled      FaultKind = "429"
	BadToken       FaultKind = "401"
	Overload       FaultKind = "503"
	ServerError    FaultKind = "500"
	BadGateway     FaultKind = "502"
	HTML           FaultKind = "html"
	DropBefore     FaultKind = "drop-before"
	DropAfter      FaultKind = "drop-after"
	Truncate       FaultKind = "truncate"
	BrokenJSON     FaultKind = "broken-json"
	Hang           FaultKind = "hang"
	Held           FaultKind = "held"
	EtagRace       FaultKind = "etag-race"
	ReadOnlyMidway FaultKind = "read-only-midway"
	TokenExpires   FaultKind = "token-expires"
	JobForever     FaultKind = "job-forever"
	JobPoll500     FaultKind = "job-poll-500"
	JobFails       FaultKind = "job-fails"
)

// FaultKinds lists all kinds, each with what it does to a call.
var FaultKinds = []struct {
	Kind FaultKind
	Does string
}{
	{Slow, "nothing but latency"},
	{Throttled, "the throttle's answer"},
	{BadToken, "this call's token is refused, once"},
	{Overload, "the service is overloaded, not in maintenance"},
	{ServerError, "an unforeseen error"},
	{BadGateway, "a service underneath failed"},
	{HTML, "502 with a load balancer's page"},
	{DropBefore, "the connection closes, nothing was applied"},
	{DropAfter, "applied, then the connection closes"},
	{Truncate, "half the body arrives, then the connection closes"},
	{BrokenJSON, "half the body arrives as if it were all"},
	{Hang, "no answer until the caller gives up"},
	{Held, "answered as usual once the faults are set anew, not before"},
	{EtagRace, "somebody edits the OAuth client just before the PUT"},
	{ReadOnlyMidway, "the stack turns READ_ONLY at this call"},
	{TokenExpires, "the token expires at this call, for good"},
	{JobForever, "the polled job gets no further"},
	{JobPoll500, "the poll answers 500"},
	{JobFails, "the polled job has failed"},
}

// known tells whether k is one of them.
func (k FaultKind) known() bool {
	for _, kind := range FaultKinds {
		if kind.Kind == k {
			return true
		}
	}
	return false
}

func faultNames() (names []FaultKind) {
	for _, kind := range FaultKinds {
		names = append(names, kind.Kind)
	}
	return names
}

// A Duration is a time.Duration that is text such as "20ms" in JSON.
type Duration time.Duration

// MarshalText renders d as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads text such as "1.5s".
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// A Fault strikes the calls it matches.
type Fault struct {
	Kind   FaultKind `json:"kind,omitempty"`   // "": slow
	Method string    `json:"method,omitempty"` // "": every method
	Path   string    `json:"path,omitempty"`   // substring of path and query; "": every path
	Skip   int       `json:"skip,omitempty"`   // let so many matching calls pass first
	Count  int       `json:"count,omitempty"`  // strike so many calls; 0: all, until faults are set anew
	// Latency holds the call up before anything else happens to it. It takes one of
	// the caller's three places meanwhile.
	Latency Duration `json:"latency,omitempty"`
	// RetryAfter is sent as a header with 429, 502 and 503; the service itself sends
	// none.
	RetryAfter string `json:"retry_after,omitempty"`
	// Verified is what somebody else sets with an etag-race; nil: only the etag
	// changes.
	Verified *bool `json:"verified,omitempty"`
}

// Faults is everything that is wrong with a sandbox. The zero value is nothing.
type Faults struct {
	Active []Fault `json:"active,omitempty"` // several may strike one call
	// OldBackend answers 404 to every route younger than 2024, and asks no second
	// factor.
	OldBackend bool `json:"old_backend,omitempty"`
	// DuplicateRealm is the status for a taken realm name or provider: 400 (also
	// when 0), 409 or 500. The service's own is not known.
	DuplicateRealm int `json:"duplicate_realm,omitempty"`
}

// Validate tells whether every kind and status is one there is.
func (f Faults) Validate() error {
	for _, one := range f.Active {
		if one.Kind != "" && !one.Kind.known() {
			return fmt.Errorf("there is no fault %q; the kinds are %q", one.Kind, faultNames())
		}
		if one.Skip < 0 || one.Count < 0 || one.Latency < 0 {
			return fmt.Errorf("fault %q: skip, count and latency cannot be negative", one.Kind)
		}
	}
	switch f.DuplicateRealm {
	case 0, 400, 409, 500:
		return nil
	}
	return fmt.Errorf("duplicate_realm is %d; it must be 400, 409 or 500", f.DuplicateRealm)
}

// Held is how many calls hang or are held now.
func (s *Synapse) Held() int { return int(s.held.Load()) }

// SetFaults replaces all faults and starts counting anew. Calls that hang are let
// go without an answer, those that are held get theirs. It panics when f does not validate, for then the test is wrong.
func (s *Synapse) SetFaults(f Faults) {
	if err := f.Validate(); err != nil {
		panic("sandbox: " + err.Error())
	}
	s.faults.set(f)
}

// faultSet holds the faults and how often each has been met.
type faultSet struct {
	mu      sync.Mutex
	faults  Faults
	met     []int
	changed chan struct{} // closed when the faults change
}

func (s *faultSet) set(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Active = slices.Clone(f.Active)
	s.faults, s.met = f, make([]int, len(f.Active))
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

func (s *faultSet) get() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.faults
	f.Active = slices.Clone(f.Active)
	return f
}

func (s *faultSet) oldBackend() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.OldBackend
}

// take returns the faults that strike r and counts them, and a channel that is
// closed when the faults change: what a call that hangs or is held waits for.
func (s *faultSet) take(r *http.Request) (hits []Fault, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	for i, f := range s.faults.Active {
		if f.Kind == "" {
			f.Kind = Slow
		}
		if !f.matches(r.Method, r.URL.RequestURI()) {
			continue
		}
		s.met[i]++
		if s.met[i] <= f.Skip || f.Count > 0 && s.met[i] > f.Skip+f.Count {
			continue
		}
		hits = append(hits, f)
	}
	return hits, s.changed
}

// matches tells whether a call is one the fault is for; some kinds make sense for
// one route only.
func (f Fault) matches(method, uri string) bool {
	if f.Method != "" && f.Method != method || !strings.Contains(uri, f.Path) {
		return false
	}
	switch f.Kind {
	case JobForever, JobPoll500, JobFails:
		return method == http.MethodGet && strings.Contains(uri, "/asynchronous/job/")
	case EtagRace:
		return method == http.MethodPut && strings.Contains(uri, "/oauth2/client/") && strings.Contains(uri, "/verified")
	}
	return true
}

// hit returns the fault of a kind that strikes this call, or nil.
func (q *request) hit(kind FaultKind) *Fault {
	for i := range q.hits {
		if q.hits[i].Kind == kind {
			return &q.hits[i]
		}
	}
	return nil
}

// strikeState does what changes the stack or the token under the caller's feet.
func (q *request) strikeState() {
	if q.hit(ReadOnlyMidway) != nil {
		q.s.SetStackStatus(readOnlyStatus())
	}
	if q.hit(TokenExpires) != nil {
		q.s.ExpireToken(bearer(q.Request))
	}
}

// strikeBefore holds the call up and returns what is answered instead of handling
// it.
func (q *request) strikeBefore() (answer, bool) {
	for _, f := range q.hits {
		if f.Latency > 0 {
			wait(q.Request, time.Duration(f.Latency))
		}
		if a, ok := f.instead(q.Request); ok {
			if f.RetryAfter != "" {
				a.header.Set("Retry-After", f.RetryAfter)
			}
			return a, true
		}
		if f.Kind == Hang || f.Kind == Held {
			q.s.held.Add(1)
			defer q.s.held.Add(-1)
			select {
			case <-q.Context().Done():
				return answer{cut: nothing}, true
			case <-q.changed:
			}
			if f.Kind == Hang {
				return answer{cut: nothing}, true
			}
		}
	}
	return answer{}, false
}

func wait(r *http.Request, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

const gatewayPage = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"

// instead returns the answer of the kinds that come before the service.
func (f Fault) instead(r *http.Request) (answer, bool) {
	switch f.Kind {
	case Throttled:
		return tooFrequent(), true
	case BadToken:
		return failed(http.StatusUnauthorized, "Invalid access token").answer(""), true
	case Overload:
		return failed(http.StatusServiceUnavailable, "The service is temporarily unavailable. Please try again.").answer(""), true
	case ServerError:
		return raw(http.StatusInternalServerError, "Server Error. Error logged."), true
	case BadGateway:
		return failed(http.StatusBadGateway, "A service underneath did not answer.").answer(""), true
	case HTML:
		return newAnswer(http.StatusBadGateway, "text/html", []byte(gatewayPage)), true
	case DropBefore:
		return answer{cut: nothing}, true
	}
	return answer{}, false
}

// strikeAfter spoils the answer to a call that has been handled.
func (q *request) strikeAfter(a *answer) {
	for _, f := range q.hits {
		switch f.Kind {
		case DropAfter:
			a.cut = nothing
		case Truncate:
			a.cut = half
		case BrokenJSON:
			a.body = a.body[:len(a.body)/2]
		}
	}
}

// decodeFaults reads Faults strictly.
func decodeFaults(b []byte) (Faults, error) {
	var f Faults
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Faults{}, fmt.Errorf("reading faults: %w", err)
	}
	return f, f.Validate()
}
