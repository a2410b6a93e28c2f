package emulator

import (
	"encoding/base32"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// IAM holds an account's roles, policies and identity providers.
type IAM struct {
	account *Account
	admin   *Caller

	mu        sync.RWMutex
	roles     map[string]*Role          // by name
	policies  map[string]*ManagedPolicy // by ARN
	providers map[string]*Provider      // by ARN
	parsed    sync.Map                  // document text to *policy.Document
}

// A Role is an IAM role as it is stored.
type Role struct {
	Name        string
	ARN         string
	ID          string // AROA…, another one when a role is made again
	Description string
	Trust       string            // trust policy, JSON
	Inline      map[string]string // inline policies, JSON, by name
	Attached    []string          // ARNs of managed policies
	Boundary    string            // ARN of a managed policy; "" none
	MaxSession  time.Duration     // 1 to 12 h; 0 when made: 1 h
	Tags        map[string]string
	Created     time.Time
}

// A ManagedPolicy is a customer managed policy, its default version.
type ManagedPolicy struct {
	Name        string
	ARN         string
	Description string
	Document    string
	Version     int
	Created     time.Time
}

// A Provider is an OpenID Connect identity provider.
type Provider struct {
	ARN       string
	URL       string // without scheme, such as token.actions.githubusercontent.com
	Audiences []string
	Created   time.Time
}

// A user has lasting keys and whatever its policies allow.
type user struct {
	policies []*policy.Document
	mfa      string // code of its device; "" has none
}

func newIAM(a *Account) *IAM {
	m := &IAM{account: a, roles: map[string]*Role{}, policies: map[string]*ManagedPolicy{}, providers: map[string]*Provider{}}
	everything, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`))
	if err != nil {
		panic(err) // ours, and constant
	}
	m.admin = m.newUser("administrator", []*policy.Document{everything})
	return m
}

func (m *IAM) newUser(name string, docs []*policy.Document) *Caller {
	return &Caller{
		Account: m.account, ARN: "arn:aws:iam::" + m.account.ID + ":user/" + name,
		user: &user{policies: docs, mfa: MFACode},
	}
}

func (m *IAM) join(docs []*policy.Document, text string) ([]*policy.Document, error) {
	d, err := m.parse(text)
	return append(docs, d), err
}

// parse reads a policy document once; it may be called under the lock.
func (m *IAM) parse(text string) (*policy.Document, error) {
	if d, ok := m.parsed.Load(text); ok {
		return d.(*policy.Document), nil
	}
	d, err := policy.Parse([]byte(text))
	if err != nil {
		return nil, fault("MalformedPolicyDocument", "%v", err)
	}
	m.parsed.Store(text, d)
	return d, nil
}

// Role returns the role of that name.
func (m *IAM) Role(name string) (Role, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := m.roles[name]
	if r == nil {
		return Role{}, false
	}
	return r.clone(), true
}

// Roles returns all roles, by name.
func (m *IAM) Roles() []Role {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []Role
	for _, name := range slices.Sorted(maps.Keys(m.roles)) {
		out = append(out, m.roles[name].clone())
	}
	return out
}

func (r *Role) clone() Role {
	c := *r
	c.Inline, c.Attached, c.Tags = maps.Clone(r.Inline), slices.Clone(r.Attached), maps.Clone(r.Tags)
	return c
}

var roleName = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)

// CreateRole stores a new role and returns it with its ARN and ID. It refuses what
// IAM refuses: documents that cannot be read, policies that are not there, a trust
// in GitHub for everybody.
func (m *IAM) CreateRole(r Role) (Role, error) {
	r.ARN = "arn:aws:iam::" + m.account.ID + ":role/" + r.Name
	r.ID = "AROA" + base32.StdEncoding.EncodeToString(random(10))
	r.Created = m.account.cloud.now()
	if r.MaxSession == 0 {
		r.MaxSession = time.Hour
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !roleName.MatchString(r.Name) {
		return Role{}, fault("ValidationError", "The role name %q is not valid.", r.Name)
	}
	for name := range m.roles { // names differ in more than case
		if strings.EqualFold(name, r.Name) {
			return Role{}, &Fault{"EntityAlreadyExists", fmt.Sprintf("Role with name %s already exists.", r.Name), http.StatusConflict}
		}
	}
	if err := m.check(&r); err != nil {
		return Role{}, err
	}
	c := r.clone()
	m.roles[r.Name] = &c
	return r, nil
}

// UpdateRole changes a stored role; its name, ARN and ID stay.
func (m *IAM) UpdateRole(name string, change func(*Role)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.roles[name]
	if old == nil {
		return noSuch("role", name)
	}
	r := old.clone()
	change(&r)
	r.Name, r.ARN, r.ID, r.Created = old.Name, old.ARN, old.ID, old.Created
	if err := m.check(&r); err != nil {
		return err
	}
	m.roles[name] = &r
	return nil
}

// DeleteRole removes a role with its policies. Its sessions may do nothing more.
func (m *IAM) DeleteRole(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.roles[name] == nil {
		return noSuch("role", name)
	}
	delete(m.roles, name)
	return nil
}

func noSuch(what, name string) *Fault {
	return &Fault{"NoSuchEntity", fmt.Sprintf("The %s with name %s cannot be found.", what, name), http.StatusNotFound}
}

// check is called under the lock.
func (m *IAM) check(r *Role) error {
	if r.MaxSession < time.Hour || r.MaxSession > 12*time.Hour {
		return fault("ValidationError", "MaxSessionDuration %v is not between 1 and 12 hours.", r.MaxSession)
	}
	trust, err := m.parse(r.Trust)
	if err != nil {
		return err
	}
	if err := checkTrust(trust); err != nil {
		return err
	}
	if n := length(r.Trust); n > m.account.cloud.settings.TrustLength {
		return &Fault{"LimitExceeded", fmt.Sprintf("Cannot exceed quota for ACLSizePerRole: %d (the policy of %s has %d).", m.account.cloud.settings.TrustLength, r.Name, n), http.StatusConflict}
	}
	return m.checkPolicies(r)
}

// checkPolicies asks for sizes and for what is referred to. It is called under the
// lock. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
func (m *IAM) checkPolicies(r *Role) error {
	inline := 0
	for name, doc := range r.Inline {
		if _, err := m.parse(doc); err != nil {
			return fmt.Errorf("policy %s: %w", name, err)
		}
		inline += length(doc)
	}
	if inline > 10240 {
		return &Fault{"LimitExceeded", fmt.Sprintf("Maximum policy size of 10240 bytes exceeded for role %s (%d)", r.Name, inline), http.StatusConflict}
	}
	if len(r.Attached) > 10 {
		return &Fault{"LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10", http.StatusConflict}
	}
	for _, arn := range r.Attached {
		if m.policies[arn] == nil {
			return &Fault{"NoSuchEntity", fmt.Sprintf("Policy %s does not exist or is not attachable.", arn), http.StatusNotFound}
		}
	}
	if r.Boundary != "" && m.policies[r.Boundary] == nil {
		return &Fault{"NoSuchEntity", fmt.Sprintf("Policy %s does not exist or is not attachable.", r.Boundary), http.StatusNotFound}
	}
	return nil
}

// length counts a document's characters as IAM's quotas do, without white space.
func length(doc string) int {
	n := 0
	for _, r := range doc {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

const githubIssuer = "token.actions.githubusercontent.com"

// checkTrust refuses a trust in GitHub that names neither a subject nor a workflow:
// every repository of the world would match. IAM words it so; several public
// reports quote the message.
func checkTrust(d *policy.Document) error {
	for _, s := range d.Statements {
		if s.Deny || !trustsGitHub(s) {
			continue
		}
		if !slices.ContainsFunc(s.Conditions, narrows) {
			return fault("MalformedPolicyDocument", "Missing required condition for %s: a condition on %s:sub or %s:job_workflow_ref that is not a wildcard", githubIssuer, githubIssuer, githubIssuer)
		}
	}
	return nil
}

func trustsGitHub(s policy.Statement) bool {
	return slices.ContainsFunc(s.Principals, func(p policy.Principal) bool {
		return p.Kind == "Federated" && strings.HasSuffix(p.Value, "oidc-provider/"+githubIssuer)
	})
}

func narrows(c policy.Condition) bool {
	op := strings.TrimPrefix(c.Operator, "ForAnyValue:")
	if !slices.Contains([]string{"StringEquals", "StringLike", "StringEqualsIgnoreCase"}, op) {
		return false
	}
	name, _ := strings.CutPrefix(strings.ToLower(c.Key), githubIssuer+":")
	return (name == "sub" || name == "job_workflow_ref") && !slices.Contains(c.Values, "*")
}

// roleOf returns the role with that ARN.
func (m *IAM) roleOf(arn string) (Role, bool) {
	r, ok := m.Role(arn[strings.LastIndexByte(arn, '/')+1:])
	return r, ok && r.ARN == arn
}
