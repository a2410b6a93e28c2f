package emulator

import (
	"encoding/base32"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// Secrets holds an account's secrets.
type Secrets struct {
	account *Account

	mu      sync.Mutex
	secrets map[string]*Secret // by name
}

// A Secret is a secret with its versions.
type Secret struct {
	Name        string
	ARN         string // ends in six random characters
	Description string
	Policy      string // resource policy, JSON; "" none
	Tags        map[string]string
	Created     time.Time
	Changed     time.Time
	Accessed    time.Time // a day, as the service keeps it
	Versions    map[string]*SecretVersion
}

// A SecretVersion is one value. The stages say which is which: AWSCURRENT,
// AWSPREVIOUS, AWSPENDING.
type SecretVersion struct {
	ID      string
	Text    *string
	Binary  []byte
	Stages  []string
	Created time.Time
}

const (
	stageCurrent  = "AWSCURRENT"
	stagePrevious = "AWSPREVIOUS"
	mostSecret    = 65536 // bytes
)

func newSecrets(a *Account) *Secrets { return &Secrets{account: a, secrets: map[string]*Secret{}} }

// Create stores a new secret and returns its ARN. With a value it has a version of
// stage AWSCURRENT.
func (s *Secrets) Create(name, description string, value *string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets[name] != nil {
		return "", fault("ResourceExistsException", "The operation failed because the secret %s already exists.", name)
	}
	now := s.account.cloud.now()
	secret := &Secret{
		Name: name, ARN: s.account.arn("secretsmanager", "secret:"+name+"-"+suffix()), Description: description,
		Created: now, Changed: now, Versions: map[string]*SecretVersion{}, Tags: map[string]string{},
	}
	if value != nil {
		v := &SecretVersion{ID: requestID(), Text: value, Created: now}
		secret.Versions[v.ID] = v
		secret.move(stageCurrent, v)
	}
	s.secrets[name] = secret
	return secret.ARN, nil
}

// suffix is the six characters the service adds to a secret's name in its ARN.
func suffix() string { return base32.StdEncoding.EncodeToString(random(5))[:6] }

// Put stores a value as the new AWSCURRENT.
func (s *Secrets) Put(name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret := s.find(name)
	if secret == nil {
		return noSecret()
	}
	v := &SecretVersion{ID: requestID(), Text: &value, Created: s.account.cloud.now()}
	secret.Versions[v.ID] = v
	secret.Changed = v.Created
	secret.move(stageCurrent, v)
	return nil
}

// Update changes a secret's description, policy or tags; all else stays.
func (s *Secrets) Update(name string, change func(*Secret)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret := s.find(name)
	if secret == nil {
		return noSecret()
	}
	c := *secret
	c.Tags = maps.Clone(secret.Tags)
	change(&c)
	if c.Policy != "" {
		if _, err := policy.Parse([]byte(c.Policy)); err != nil {
			return fault("MalformedPolicyDocumentException", "%v", err)
		}
	}
	secret.Description, secret.Policy, secret.Tags = c.Description, c.Policy, c.Tags
	return nil
}

// Delete removes a secret at once, without the service's window for second thoughts.
func (s *Secrets) Delete(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret := s.find(name)
	if secret == nil {
		return noSecret()
	}
	delete(s.secrets, secret.Name)
	return nil
}

// Secret returns a secret by name or ARN. Its versions must not be changed.
func (s *Secrets) Secret(id string) (Secret, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret := s.find(id)
	if secret == nil {
		return Secret{}, false
	}
	c := *secret
	c.Tags, c.Versions = maps.Clone(secret.Tags), maps.Clone(secret.Versions)
	return c, true
}

// Value returns the text that has the stage AWSCURRENT; "" when none has.
func (s *Secrets) Value(name string) string {
	secret, ok := s.Secret(name)
	if !ok {
		return ""
	}
	if v := secret.staged(stageCurrent); v != nil && v.Text != nil {
		return *v.Text
	}
	return ""
}

// find returns a secret by name, ARN, or ARN without its six characters. It is
// called under the lock.
func (s *Secrets) find(id string) *Secret {
	for _, secret := range s.secrets {
		if id == secret.Name || id == secret.ARN || id == secret.ARN[:len(secret.ARN)-7] {
			return secret
		}
	}
	return nil
}

func noSecret() *Fault {
	return fault("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

// staged returns the version that has the stage; nil when none has.
func (s *Secret) staged(stage string) *SecretVersion {
	for _, v := range s.Versions {
		if slices.Contains(v.Stages, stage) {
			return v
		}
	}
	return nil
}

// move gives the stage to a version, taking it from the one that had it: which
// becomes AWSPREVIOUS when the stage is AWSCURRENT. It is called under the lock.
func (s *Secret) move(stage string, to *SecretVersion) {
	from := s.staged(stage)
	if from == to {
		return
	}
	if from != nil {
		s.unstage(stage, from)
		if stage == stageCurrent {
			if previous := s.staged(stagePrevious); previous != nil {
				s.unstage(stagePrevious, previous)
			}
			s.stage(stagePrevious, from)
		}
	}
	s.stage(stage, to)
}

// Versions are replaced, not changed: Secret hands them out.
func (s *Secret) stage(stage string, v *SecretVersion) {
	c := *s.Versions[v.ID]
	if !slices.Contains(c.Stages, stage) {
		c.Stages = append(slices.Clone(c.Stages), stage)
	}
	s.Versions[v.ID] = &c
}

func (s *Secret) unstage(stage string, v *SecretVersion) {
	c := *s.Versions[v.ID]
	c.Stages = slices.DeleteFunc(slices.Clone(c.Stages), func(x string) bool { return x == stage })
	s.Versions[v.ID] = &c
}

// locate returns the secret that a call names, and whose it is: another account's
// when the ARN says so.
func (c *call) locate(id string) (*Secrets, Secret, error) {
	owner := c.account
	if parts := strings.SplitN(id, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		if owner = c.cloud.Account(parts[4]); owner == nil {
			return nil, Secret{}, noSecret()
		}
	}
	secret, ok := owner.Secrets.Secret(id)
	if !ok || owner != c.account && id != secret.ARN { // across accounts the full ARN is needed
		return owner.Secrets, Secret{}, noSecret()
	}
	return owner.Secrets, secret, nil
}

// secret returns the secret that a call names if the caller may do action to it.
func (c *call) secret(action, id string, keys map[string][]string) (*Secrets, Secret, error) {
	owner, secret, err := c.locate(id)
	arn := secret.ARN
	if err != nil && owner != nil { // asked all the same, so that a stranger learns nothing
		arn = owner.account.arn("secretsmanager", "secret:"+strings.TrimPrefix(id, owner.account.arn("secretsmanager", "secret:")))
	}
	if owner == nil {
		return nil, secret, err
	}
	var doc *policy.Document
	if secret.Policy != "" {
		var perr error
		if doc, perr = policy.Parse([]byte(secret.Policy)); perr != nil {
			return nil, secret, fmt.Errorf("reading the policy of %s: %w", secret.Name, perr)
		}
	}
	denied := c.allow(question{action: action, resource: arn, keys: keys, owner: owner.account, policies: []*policy.Document{doc}})
	if denied != nil {
		return nil, secret, denied
	}
	return owner, secret, err
}
