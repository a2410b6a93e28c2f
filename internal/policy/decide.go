package policy

import (
	"fmt"
	"maps"
	"strings"
)

// A Request is one call to be judged.
type Request struct {
	// Principal is who calls: the ARN of a role, user or assumed role (the session
	// of a role without a path), "*" for nobody known, or the provider's ARN for
	// AssumeRoleWithWebIdentity.
	Principal string
	Service   string // who calls is this service, such as codebuild.amazonaws.com; "" none
	Action    string // such as s3:PutObject
	Resource  string // an ARN, or "*" where the action takes none; for assuming, the role's ARN
	// Context holds the condition keys. aws:PrincipalArn and aws:PrincipalAccount
	// are made of Principal when they are not given.
	Context map[string][]string
}

// Policies are the documents that bear on a request. An empty list is not asked,
// but for Resource where the action is one of assuming a role.
type Policies struct {
	Identity    []*Document // attached to the principal
	Boundary    []*Document // its permissions boundary
	Session     []*Document // handed over when the role was assumed
	Resource    []*Document // attached to the resource, or the role's trust policy
	SameAccount bool        // principal and resource are of one account
}

// A Decision is the judgement, with what decided.
type Decision struct {
	Allowed   bool
	Reason    string // in a few words, such as "explicit deny in resource policy"
	Statement string // Sid of the statement that decided, or "#2"; "" when none did
}

// Decide judges a request as IAM does: a Deny anywhere wins; within one account an
// Allow of identity (within boundary and session) or of the resource's policy
// suffices, where the latter names a role or anyone, again within the boundary and
// the session, unless it names the session itself; across accounts both must allow.
// Assuming a role always needs its trust policy's Allow, and where that admits a
// whole account, the identity's as well. An error means that the documents or the
// request hold something not known; nothing is allowed then.
func Decide(r Request, p Policies) (Decision, error) {
	q, err := newQuestion(r)
	if err != nil {
		return Decision{}, err
	}
	identity, err := q.ask("identity policy", p.Identity, false)
	if err != nil {
		return Decision{}, err
	}
	boundary, err := q.ask("permissions boundary", p.Boundary, false)
	if err != nil {
		return Decision{}, err
	}
	session, err := q.ask("session policy", p.Session, false)
	if err != nil {
		return Decision{}, err
	}
	resource, err := q.ask("resource policy", p.Resource, true)
	if err != nil {
		return Decision{}, err
	}
	for _, a := range []answer{identity, boundary, session, resource} {
		if a.denied {
			return Decision{Reason: "explicit deny in " + a.kind, Statement: a.statement}, nil
		}
	}
	within := (len(p.Boundary) == 0 || boundary.grant > noGrant) && (len(p.Session) == 0 || session.grant > noGrant)
	return q.weigh(identity, resource, within, p.SameAccount), nil
}

// weigh combines answers that hold no Deny.
func (q *question) weigh(identity, resource answer, within, sameAccount bool) Decision {
	mine := identity.grant > noGrant && within
	// The resource's policy speaks for itself where it names the caller; where it
	// names the account it lets the account decide.
	theirs := resource.grant == toSession || resource.grant >= toRole && within
	allowed := func(a answer) Decision {
		return Decision{Allowed: true, Reason: "allowed by " + a.kind, Statement: a.statement}
	}
	switch {
	case q.service != "" || q.federated || q.Principal == "*":
		if resource.grant > noGrant {
			return allowed(resource)
		}
		return Decision{Reason: "nothing in the resource policy allows it"}
	case q.assuming && sameAccount:
		if theirs || resource.grant == toAccount && mine {
			return allowed(resource)
		}
		return Decision{Reason: "the trust policy and the identity policy do not both allow it"}
	case !sameAccount || q.assuming:
		if mine && resource.grant > noGrant {
			return allowed(resource)
		}
		return Decision{Reason: "identity policy and resource policy of two accounts do not both allow it"}
	case mine:
		return allowed(identity)
	case theirs:
		return allowed(resource)
	case identity.grant > noGrant || resource.grant >= toRole:
		return Decision{Reason: "not within the permissions boundary or the session policy"}
	}
	return Decision{Reason: "nothing allows it"}
}

// A grant tells how closely an Allow names the caller.
type grant int

const (
	noGrant grant = iota
	toAccount
	toRole    // or anyone
	toSession // or a user: no boundary or session policy stands in between
)

// An answer is what one kind of documents says.
type answer struct {
	kind      string
	denied    bool
	grant     grant
	statement string
}

// A question is a request prepared for asking.
type question struct {
	Request
	service   string
	role      string // the role's ARN when a role's session asks
	account   string
	federated bool
	assuming  bool
	context   map[string][]string
}

func newQuestion(r Request) (*question, error) {
	q := &question{Request: r, service: r.Service, context: map[string][]string{}}
	maps.Copy(q.context, r.Context)
	if r.Action == "" || strings.ContainsAny(r.Action, "*?") || !actionForm.MatchString(r.Action) {
		return nil, fmt.Errorf("the action %q is none", r.Action)
	}
	if r.Resource != "*" && (strings.Count(r.Resource, ":") < 5 || !strings.HasPrefix(r.Resource, "arn:")) {
		return nil, fmt.Errorf("the resource %q is not an ARN", r.Resource)
	}
	q.assuming = strings.HasPrefix(strings.ToLower(r.Action), "sts:assumerole")
	q.federated = strings.Contains(r.Principal, "-provider/")
	if r.Service != "" || q.federated || r.Principal == "*" {
		return q, nil
	}
	if !personForm.MatchString(r.Principal) {
		return nil, fmt.Errorf("the principal %q is not one that is known", r.Principal)
	}
	parts := strings.SplitN(r.Principal, ":", 6)
	q.account = parts[4]
	arn := r.Principal
	if name, ok := strings.CutPrefix(parts[5], "assumed-role/"); ok {
		name, _, _ = strings.Cut(name, "/")
		q.role = "arn:aws:iam::" + q.account + ":role/" + name
		arn = q.role
	}
	q.preset("aws:PrincipalArn", arn)
	q.preset("aws:PrincipalAccount", q.account)
	return q, nil
}

func (q *question) preset(key, value string) {
	if _, given := lookUp(q.context, key); !given {
		q.context[key] = []string{value}
	}
}

// ask puts the question to documents of one kind: a Deny that applies, else the
// closest Allow.
func (q *question) ask(kind string, docs []*Document, ofResource bool) (answer, error) {
	best := answer{kind: kind}
	for _, d := range docs {
		if d == nil {
			return best, fmt.Errorf("a %s is missing", kind)
		}
		for i := range d.Statements {
			s := &d.Statements[i]
			if ofResource != (len(s.Principals) > 0) {
				return best, fmt.Errorf("%s: statement %s is of another kind of policy", kind, s.name(i))
			}
			g, err := q.grantOf(s, ofResource)
			if err != nil {
				return best, fmt.Errorf("%s: statement %s: %w", kind, s.name(i), err)
			}
			switch {
			case g == noGrant:
			case s.Deny:
				return answer{kind: kind, denied: true, statement: s.name(i)}, nil
			case g > best.grant:
				best.grant, best.statement = g, s.name(i)
			}
		}
	}
	return best, nil
}

func (s *Statement) name(i int) string {
	if s.Sid != "" {
		return s.Sid
	}
	return fmt.Sprintf("#%d", i+1)
}

// grantOf tells whether a statement applies to the question, and how closely it
// names who asks.
func (q *question) grantOf(s *Statement, ofResource bool) (grant, error) {
	g := toSession
	if ofResource {
		g = q.named(s)
	}
	if g == noGrant || !q.actionIn(s) || !q.resourceIn(s) {
		return noGrant, nil
	}
	for i := range s.Conditions {
		ok, err := s.Conditions[i].holds(q.context)
		if err != nil || !ok {
			return noGrant, err
		}
	}
	return g, nil
}

func (q *question) actionIn(s *Statement) bool {
	service, _, _ := strings.Cut(q.Action, ":")
	for _, a := range s.Actions {
		of, _, _ := strings.Cut(a, ":") // a service is in lower case and holds no wildcard
		if of == "*" || of == service && like(strings.ToLower(a), strings.ToLower(q.Action)) {
			return true
		}
	}
	return false
}

func (q *question) resourceIn(s *Statement) bool {
	if len(s.Resources) == 0 {
		return true // a trust policy is about the role it is attached to
	}
	for _, pattern := range s.Resources {
		if likeARN(pattern, q.Resource) {
			return !s.NotResource
		}
	}
	return s.NotResource
}

// named tells how closely a statement's principals name who asks.
func (q *question) named(s *Statement) grant {
	best := noGrant
	for _, p := range s.Principals {
		best = max(best, q.namedBy(p, s.Deny))
	}
	return best
}

func (q *question) namedBy(p Principal, deny bool) grant {
	switch {
	case p.Kind == "*" && (deny || q.service == "" && !q.federated):
		return toRole
	case p.Kind == "Service":
		if q.service != "" && p.Value == q.service {
			return toSession
		}
	case p.Kind == "Federated":
		if q.federated && p.Value == q.Principal {
			return toSession
		}
	case p.Kind == "AWS" && q.service == "" && !q.federated:
		return q.namedByARN(p.Value)
	}
	return noGrant
}

func (q *question) namedByARN(value string) grant {
	switch {
	case value == "*":
		return toRole
	case q.account == "":
		return noGrant
	case value == q.Principal && q.role == "" && strings.Contains(value, ":role/"):
		return toRole
	case value == q.Principal:
		return toSession
	case q.role != "" && value == q.role:
		return toRole
	case value == q.account, value == "arn:aws:iam::"+q.account+":root":
		return toAccount
	}
	return noGrant
}
