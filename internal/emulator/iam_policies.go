package emulator

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// ManagedPolicy returns the policy with that ARN.
func (m *IAM) ManagedPolicy(arn string) (ManagedPolicy, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p := m.policies[arn]
	if p == nil {
		return ManagedPolicy{}, false
	}
	return *p, true
}

// PutPolicy stores a managed policy, as a new version when it is there already,
// and returns its ARN.
func (m *IAM) PutPolicy(name, description, document string) (string, error) {
	if _, err := m.parse(document); err != nil {
		return "", err
	}
	if n := length(document); n > 6144 {
		return "", &Fault{"LimitExceeded", fmt.Sprintf("Cannot exceed quota for PolicySize: 6144 (%s has %d)", name, n), http.StatusConflict}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	arn := "arn:aws:iam::" + m.account.ID + ":policy/" + name
	p := m.policies[arn]
	if p == nil {
		p = &ManagedPolicy{Name: name, ARN: arn, Created: m.account.cloud.now()}
		m.policies[arn] = p
	}
	p.Description, p.Document, p.Version = description, document, p.Version+1
	return arn, nil
}

// DeletePolicy removes a managed policy that no role uses.
func (m *IAM) DeletePolicy(arn string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.policies[arn] == nil {
		return noSuch("policy", arn)
	}
	for _, r := range m.roles {
		if r.Boundary == arn || slices.Contains(r.Attached, arn) {
			return &Fault{"DeleteConflict", "Cannot delete a policy attached to entities.", http.StatusConflict}
		}
	}
	delete(m.policies, arn)
	return nil
}

// Provider returns the identity provider with that ARN.
func (m *IAM) Provider(arn string) (Provider, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p := m.providers[arn]
	if p == nil {
		return Provider{}, false
	}
	return *p, true
}

// CreateProvider stores an identity provider, by its URL, and returns its ARN.
func (m *IAM) CreateProvider(url string, audiences []string) (string, error) {
	bare, ok := strings.CutPrefix(url, "https://")
	if !ok || len(audiences) == 0 {
		return "", fault("ValidationError", "The provider's URL %q must begin with https:// and have an audience.", url)
	}
	arn := "arn:aws:iam::" + m.account.ID + ":oidc-provider/" + bare
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.providers[arn] != nil {
		return "", &Fault{"EntityAlreadyExists", fmt.Sprintf("Provider with url %s already exists.", url), http.StatusConflict}
	}
	m.providers[arn] = &Provider{ARN: arn, URL: bare, Audiences: slices.Clone(audiences), Created: m.account.cloud.now()}
	return arn, nil
}

// UpdateProvider replaces a provider's audiences.
func (m *IAM) UpdateProvider(arn string, audiences []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.providers[arn] == nil {
		return noSuch("provider", arn)
	}
	p := *m.providers[arn]
	p.Audiences = slices.Clone(audiences)
	m.providers[arn] = &p
	return nil
}

// DeleteProvider removes an identity provider.
func (m *IAM) DeleteProvider(arn string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.providers[arn] == nil {
		return noSuch("provider", arn)
	}
	delete(m.providers, arn)
	return nil
}

// Providers returns the ARNs of all identity providers, sorted.
func (m *IAM) Providers() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Sorted(maps.Keys(m.providers))
}
