package emulator

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// An Ask is one question of permission and how it was answered, however often.
type Ask struct {
	Account   string // the caller's; "" for nobody
	Principal string // ARN of the role or user, the service's name, or "*" for nobody
	Action    string
	Resource  string
	Allowed   bool
	Statement string // that decided, as policy names it; "" when none did
	Reason    string
	Times     int
}

// ledger keeps every question, in the order first asked.
type ledger struct {
	mu    sync.Mutex
	asks  []Ask
	index map[string]int
}

func (l *ledger) add(a Ask) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.index == nil {
		l.index = map[string]int{}
	}
	k := fmt.Sprint(a.Principal, "\n", a.Action, "\n", a.Resource, "\n", a.Allowed, "\n", a.Statement)
	i, seen := l.index[k]
	if !seen {
		i = len(l.asks)
		l.index[k] = i
		l.asks = append(l.asks, a)
	}
	l.asks[i].Times++
}

// Asked returns every question of permission so far, equal ones once.
func (c *Cloud) Asked() []Ask {
	c.asked.mu.Lock()
	defer c.asked.mu.Unlock()
	return slices.Clone(c.asked.asks)
}

// A question asks whether a caller may do something to one resource.
type question struct {
	action   string // such as "s3:PutObject"
	resource string // its ARN, or "*" where the action takes none
	// keys are condition keys of this request, beyond those of every request.
	keys map[string][]string
	// owner is the resource's account; nil: the caller's.
	owner *Account
	// policies are the resource's own; nil elements are left out.
	policies []*policy.Document
}

// allow returns nil when the caller may, else the Fault of the call's protocol.
func (c *call) allow(q question) error {
	q.keys = merged(c.keys(), q.keys)
	return c.cloud.allow(c.caller, q, c.dialect)
}

// keys are the condition keys that come from the connection.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func (c *call) keys() map[string][]string {
	secure := c.http.TLS != nil || !c.cloud.config.InsecureTransport
	m := map[string][]string{"aws:SecureTransport": {fmt.Sprint(secure)}}
	if host, _, err := net.SplitHostPort(c.http.RemoteAddr); err == nil {
		m["aws:SourceIp"] = []string{host}
	}
	return m
}

// allow asks whether who may; a no is a Fault in the words of d.
func (c *Cloud) allow(who *Caller, q question, d *dialect) error {
	if q.owner == nil {
		q.owner = who.Account
	}
	decision, err := c.decide(who, q)
	if err != nil {
		return err
	}
	c.asked.add(Ask{
		Account: accountOf(who), Principal: principalOf(who), Action: q.action, Resource: q.resource,
		Allowed: decision.Allowed, Statement: decision.Statement, Reason: decision.Reason, Times: 0,
	})
	if decision.Allowed {
		return nil
	}
	f := d.denied
	if f.Message == "" {
		f.Message = fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s: %s", who.name(), q.action, q.resource, decision.Reason)
	}
	return &f
}

func (c *Cloud) decide(who *Caller, q question) (policy.Decision, error) {
	p := policy.Policies{Resource: dropNil(q.policies), SameAccount: who.Account == q.owner}
	if who.Account != nil {
		var err error
		if p.Identity, p.Boundary, err = who.Account.IAM.policiesOf(who); err != nil {
			return policy.Decision{}, err
		}
		p.Session = who.session
	}
	r := policy.Request{
		Principal: who.ARN, Service: who.Service, Action: q.action, Resource: q.resource,
		Context: merged(who.keys(q.owner), q.keys),
	}
	if r.Principal == "" && r.Service == "" {
		r.Principal = "*"
	}
	decision, err := policy.Decide(r, p)
	if err != nil {
		return policy.Decision{}, notModeled(q.action, fmt.Sprintf("a policy asked (%v)", err))
	}
	return decision, nil
}

// keys are the condition keys that every request of this caller has.
func (w *Caller) keys(owner *Account) map[string][]string {
	m := map[string][]string{"aws:ViaAWSService": {"false"}, "aws:PrincipalIsAWSService": {fmt.Sprint(w.Service != "")}}
	if owner != nil {
		m["aws:RequestedRegion"] = []string{owner.Region}
		m["aws:ResourceAccount"] = []string{owner.ID}
	}
	if w.Account != nil {
		m["aws:PrincipalArn"] = []string{principalOf(w)}
		m["aws:PrincipalAccount"] = []string{w.Account.ID}
		m["aws:PrincipalType"] = []string{"User"}
	}
	if w.temporary() {
		// Long-term keys have no such key at all, not "false".
		m["aws:MultiFactorAuthPresent"] = []string{fmt.Sprint(w.mfa)}
		m["aws:PrincipalType"] = []string{"AssumedRole"}
		m["aws:userid"] = []string{w.roleID + ":" + w.ARN[strings.LastIndexByte(w.ARN, '/')+1:]}
	}
	return m
}

// name is how a message names the caller.
func (w *Caller) name() string {
	switch {
	case w.ARN != "":
		return w.ARN
	case w.Service != "":
		return w.Service
	}
	return "anonymous"
}

func accountOf(w *Caller) string {
	if w.Account == nil {
		return ""
	}
	return w.Account.ID
}

// principalOf is the caller as aws:PrincipalArn has it: the role, not its session.
func principalOf(w *Caller) string {
	switch {
	case w.Role != "":
		return "arn:aws:iam::" + w.Account.ID + ":role/" + w.Role
	case w.ARN != "":
		return w.ARN
	case w.Service != "":
		return w.Service
	}
	return "*"
}

func merged(a, b map[string][]string) map[string][]string {
	m := make(map[string][]string, len(a)+len(b))
	for k, v := range a {
		m[k] = v
	}
	for k, v := range b {
		if v == nil {
			delete(m, k)
			continue
		}
		m[k] = v
	}
	return m
}

func dropNil(docs []*policy.Document) []*policy.Document {
	return slices.DeleteFunc(slices.Clone(docs), func(d *policy.Document) bool { return d == nil })
}
