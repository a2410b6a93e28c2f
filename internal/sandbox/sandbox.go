package sandbox

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// Config says how a sandbox is filled and how strict it is. The zero value is a
// full sandbox with every rule on.
type Config struct {
	Stack    string // family of instances, for Describe; "sandbox"
	Instance string // stackInstance of GET /repo/v1/version; "544"
	Version  string // its version; "544.0-12-gabcdef0"
	Token    string // the administrator's token; AdminToken
	// Users, Clients and Entities are how many there are beyond the seed, with IDs
	// from 3400001, 200001 and syn30001 on. They are computed from the ID, so a
	// hundred thousand cost nothing until changed. 0: 1000, 100 and 1000; negative:
	// none.
	Users, Clients, Entities int
	// NoThrottle takes the rules of 3 at once and 600 a minute away.
	NoThrottle bool
	// FeatureCache is how long a feature reads as it was before a change, as on
	// other servers of a stack (up to a minute there).
	FeatureCache time.Duration
	// JobPolls is how many polls see a job PROCESSING before it ends; 0: 2.
	JobPolls int
	// JobTypes are concrete types of admin jobs known beyond the two of the seed.
	JobTypes []string
	// CallLog is how many calls Calls remembers; 0: 50,000.
	CallLog int
}

func (c Config) withDefaults() Config {
	text := func(s *string, d string) {
		if *s == "" {
			*s = d
		}
	}
	number := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
		*n = max(*n, 0)
	}
	text(&c.Stack, "sandbox")
	text(&c.Instance, "544")
	text(&c.Version, c.Instance+".0-12-gabcdef0")
	text(&c.Token, AdminToken)
	number(&c.Users, 1000)
	number(&c.Clients, 100)
	number(&c.Entities, 1000)
	number(&c.JobPolls, 2)
	number(&c.CallLog, 50_000)
	return c
}

// Synapse is one in-memory stack. It is an http.Handler and, for tests without
// sockets, an http.RoundTripper. Safe for concurrent use.
type Synapse struct {
	config Config
	routes routes
	calls  *callLog
	faults faultSet
	pace   throttle
	held   atomic.Int64

	mu     sync.Mutex // guards all below
	tokens map[string]token
	state  state
}

// state is what the service knows. The maps hold the seed and what has changed;
// everything else is computed from its ID.
type state struct {
	users      map[int64]User // seeded or set, before patches
	patches    map[int64]patch
	quarantine map[string]time.Time // e-mail: expiry
	clients    map[string]OAuthClient
	entities   map[int64]Entity
	dataTypes  map[int64]dataType
	features   map[string]feature
	realms     []Realm
	nextRealm  int
	jobs       map[string]*Job
	jobOrder   []string
	status     synapse.StackStatus
	backfills  int
	edits      int64 // counts changes, so that every new etag is new
}

// New returns a seeded sandbox.
func New(c Config) *Synapse {
	s := &Synapse{config: c.withDefaults(), routes: newRoutes()}
	s.calls = newCallLog(s.config.CallLog)
	s.seed()
	return s
}

// NewPair returns two sandboxes that differ in Stack ("dev", "prod") and Instance
// ("dev544", "544"), so that work aimed at the wrong one shows.
func NewPair(c Config) (dev, prod *Synapse) {
	d, p := c, c
	d.Stack, d.Instance, d.Version = "dev", "dev544", ""
	p.Stack, p.Instance, p.Version = "prod", "544", ""
	return New(d), New(p)
}

// Reset puts the seed back and forgets faults, calls and throttle counters.
func (s *Synapse) Reset() {
	s.faults.set(Faults{})
	s.calls.clear()
	s.pace.clear()
	s.seed()
}

// Serve answers on l until ctx ends, then closes l and returns nil. Calls that
// still hang are given up on.
func (s *Synapse) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(io.Discard, "", 0), // dropped connections are meant
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	err := srv.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// ServeHTTP answers one call. A fault that drops the connection panics with
// http.ErrAbortHandler, as net/http wants it.
func (s *Synapse) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if controls(r) {
		s.control(w, r)
		return
	}
	s.answer(r).write(w)
}
