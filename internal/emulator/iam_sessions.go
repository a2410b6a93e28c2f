package emulator

import (
	"maps"
	"slices"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// MFACode is what every user's device shows. Its serial number is
// arn:aws:iam::ACCOUNT:mfa/NAME.
const MFACode = "314159"

// AdminCredentials returns new keys of the account's administrator, a user with
// every permission whom no trust policy made. A resource's own policy may still
// deny something: explicit denials bind administrators in AWS too.
func (c *Cloud) AdminCredentials(account string) (id, secret string) {
	k := c.keys.issue(c.Account(account).IAM.admin)
	return k.AccessKeyID, k.SecretAccessKey
}

// UserCredentials returns keys of a new user with these policies.
func (m *IAM) UserCredentials(name string, docs ...string) (Credentials, error) {
	var parsed []*policy.Document
	for _, d := range docs {
		p, err := m.parse(d)
		if err != nil {
			return Credentials{}, err
		}
		parsed = append(parsed, p)
	}
	return m.account.cloud.keys.issue(m.newUser(name, parsed)), nil
}

// RoleCredentials returns credentials of a session of the role, without asking its
// trust policy.
func (m *IAM) RoleCredentials(role, session string, d time.Duration) (Credentials, error) {
	who, err := m.session(role, session, d)
	if err != nil {
		return Credentials{}, err
	}
	return m.account.cloud.keys.issue(who), nil
}

// session returns a caller that is a session of the role from now on.
func (m *IAM) session(role, name string, d time.Duration) (*Caller, error) {
	r, ok := m.Role(role)
	if !ok {
		return nil, fault("NoSuchEntity", "The role with name %s cannot be found.", role)
	}
	return &Caller{
		Account: m.account, ARN: "arn:aws:sts::" + m.account.ID + ":assumed-role/" + r.Name + "/" + name,
		Role: r.Name, roleID: r.ID, Expires: m.account.cloud.now().Add(d),
	}, nil
}

// serviceSession returns a session of the role for an AWS service, such as
// codebuild.amazonaws.com, if the role trusts it under these condition keys.
func (m *IAM) serviceSession(roleARN, service, name string, d time.Duration, keys map[string][]string) (*Caller, error) {
	r, ok := m.roleOf(roleARN)
	if !ok {
		return nil, fault("NoSuchEntity", "The role with ARN %s cannot be found.", roleARN)
	}
	trust, err := m.parse(r.Trust)
	if err != nil {
		return nil, err
	}
	err = m.account.cloud.allow(&Caller{Service: service}, question{
		action: "sts:AssumeRole", resource: r.ARN, keys: keys, owner: m.account, policies: []*policy.Document{trust},
	}, queryDialect)
	if err != nil {
		return nil, err
	}
	return m.session(r.Name, name, d)
}

// policiesOf returns what bounds the caller, as stored now.
func (m *IAM) policiesOf(who *Caller) (identity, boundary []*policy.Document, err error) {
	if who.user != nil {
		return who.user.policies, nil, nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := m.roles[who.Role]
	if r == nil || r.ID != who.roleID {
		return nil, nil, &Fault{"InvalidClientTokenId", "The security token included in the request is invalid: its role is gone.", 403}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Inline)) {
		if identity, err = m.join(identity, r.Inline[name]); err != nil {
			return nil, nil, err
		}
	}
	for _, arn := range r.Attached {
		if identity, err = m.join(identity, m.policies[arn].Document); err != nil {
			return nil, nil, err
		}
	}
	if r.Boundary != "" {
		boundary, err = m.join(nil, m.policies[r.Boundary].Document)
	}
	return identity, boundary, err
}
