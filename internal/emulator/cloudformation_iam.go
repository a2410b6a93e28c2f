package emulator

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// roleProperties are those of AWS::IAM::Role.
type roleProperties struct {
	RoleName                 string         `json:",omitempty"`
	Description              string         `json:",omitempty"`
	AssumeRolePolicyDocument document       `json:",omitempty"`
	ManagedPolicyArns        []string       `json:",omitempty"`
	MaxSessionDuration       Number         `json:",omitempty"`
	PermissionsBoundary      string         `json:",omitempty"`
	Policies                 []inlinePolicy `json:",omitempty"`
	Tags                     []Tag          `json:",omitempty"`
}

type inlinePolicy struct {
	PolicyName     string
	PolicyDocument document
}

func iamTypes() map[string]*resourceType {
	return map[string]*resourceType{
		"AWS::IAM::Role": kind("AWS::IAM::Role", kindOf[roleProperties]{
			iam: true, named: "RoleName", most: 64, replace: []string{"RoleName"},
			asks: askRole, create: createRole, update: updateRole, read: readRole,
			remove: func(a *Account, physical string, _ roleProperties) error { return a.IAM.DeleteRole(physical) },
			attr:   roleAttribute,
			normal: func(p *roleProperties) {
				slices.SortFunc(p.Policies, func(a, b inlinePolicy) int { return strings.Compare(a.PolicyName, b.PolicyName) })
				slices.SortFunc(p.Tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
			},
		}),
		"AWS::IAM::ManagedPolicy": managedPolicyType(),
		"AWS::IAM::OIDCProvider":  providerType(),
	}
}

func (p *roleProperties) role(name string) Role {
	r := Role{
		Name: name, Description: p.Description, Trust: string(p.AssumeRolePolicyDocument), Attached: slices.Clone(p.ManagedPolicyArns),
		Boundary: p.PermissionsBoundary, MaxSession: time.Duration(p.MaxSessionDuration) * time.Second,
		Inline: map[string]string{}, Tags: map[string]string{},
	}
	for _, one := range p.Policies {
		r.Inline[one.PolicyName] = string(one.PolicyDocument)
	}
	for _, t := range p.Tags {
		r.Tags[t.Key] = string(t.Value)
	}
	return r
}

// askRole asks what each call asks that the type's handlers make. The boundary is a
// condition key of those that give a role something.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
func askRole(a *Account, v verb, physical string, old, new *roleProperties) []question {
	arn := "arn:aws:iam::" + a.ID + ":role/" + physical
	bounded := func(action, boundary string) question {
		q := ask("iam:"+action, arn)
		if boundary != "" {
			q.keys = map[string][]string{"iam:PermissionsBoundary": {boundary}}
		}
		return q
	}
	switch v {
	case reads:
		// GetRolePolicy is asked for a role that may have one.
		return all(arn, "iam:GetRole", "iam:ListRolePolicies", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies")
	case creates:
		q := []question{bounded("CreateRole", new.PermissionsBoundary)}
		q = append(q, repeat(bounded("PutRolePolicy", new.PermissionsBoundary), len(new.Policies))...)
		q = append(q, repeat(bounded("AttachRolePolicy", new.PermissionsBoundary), len(new.ManagedPolicyArns))...)
		return append(q, repeat(ask("iam:TagRole", arn), len(new.Tags))...)
	case deletes:
		q := all(arn, "iam:GetRole", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies")
		q = append(q, repeat(bounded("DeleteRolePolicy", old.PermissionsBoundary), len(old.Policies))...)
		q = append(q, repeat(bounded("DetachRolePolicy", old.PermissionsBoundary), len(old.ManagedPolicyArns))...)
		return append(q, ask("iam:DeleteRole", arn))
	}
	return askRoleUpdate(arn, bounded, old, new)
}

func askRoleUpdate(arn string, bounded func(string, string) question, old, new *roleProperties) []question {
	q := []question{ask("iam:GetRole", arn)}
	if old.AssumeRolePolicyDocument != new.AssumeRolePolicyDocument {
		q = append(q, ask("iam:UpdateAssumeRolePolicy", arn))
	}
	if old.MaxSessionDuration != new.MaxSessionDuration {
		q = append(q, ask("iam:UpdateRole", arn))
	}
	if old.Description != new.Description {
		q = append(q, ask("iam:UpdateRoleDescription", arn))
	}
	if old.PermissionsBoundary != new.PermissionsBoundary {
		action := "PutRolePermissionsBoundary"
		if new.PermissionsBoundary == "" {
			action = "DeleteRolePermissionsBoundary"
		}
		q = append(q, bounded(action, new.PermissionsBoundary))
	}
	put, gone := changed(inline(old.Policies), inline(new.Policies))
	q = append(q, repeat(bounded("PutRolePolicy", new.PermissionsBoundary), put)...)
	q = append(q, repeat(bounded("DeleteRolePolicy", new.PermissionsBoundary), gone)...)
	put, gone = changed(members(old.ManagedPolicyArns), members(new.ManagedPolicyArns))
	q = append(q, repeat(bounded("AttachRolePolicy", new.PermissionsBoundary), put)...)
	return append(q, repeat(bounded("DetachRolePolicy", new.PermissionsBoundary), gone)...)
}

func inline(policies []inlinePolicy) map[string]string {
	m := map[string]string{}
	for _, p := range policies {
		m[p.PolicyName] = string(p.PolicyDocument)
	}
	return m
}

func members(names []string) map[string]string {
	m := map[string]string{}
	for _, n := range names {
		m[n] = ""
	}
	return m
}

// changed counts what is put and what is gone from one to the other.
func changed(old, new map[string]string) (put, gone int) {
	for k, v := range new {
		if was, ok := old[k]; !ok || was != v {
			put++
		}
	}
	for k := range old {
		if _, ok := new[k]; !ok {
			gone++
		}
	}
	return put, gone
}

func repeat(q question, times int) []question { return slices.Repeat([]question{q}, times) }

func createRole(a *Account, physical string, p roleProperties) (string, error) {
	r, err := a.IAM.CreateRole(p.role(physical))
	return r.Name, err
}

func updateRole(a *Account, physical string, _, p roleProperties) error {
	return a.IAM.UpdateRole(physical, func(r *Role) {
		want := p.role(physical)
		if want.MaxSession == 0 {
			want.MaxSession = time.Hour
		}
		*r = want
	})
}

func readRole(a *Account, physical string) (roleProperties, bool) {
	r, ok := a.IAM.Role(physical)
	if !ok {
		return roleProperties{}, false
	}
	p := roleProperties{
		RoleName: r.Name, Description: r.Description, ManagedPolicyArns: r.Attached, PermissionsBoundary: r.Boundary,
		MaxSessionDuration: Number(r.MaxSession / time.Second), AssumeRolePolicyDocument: document(r.Trust),
	}
	for _, name := range slices.Sorted(maps.Keys(r.Inline)) {
		p.Policies = append(p.Policies, inlinePolicy{name, document(r.Inline[name])})
	}
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		p.Tags = append(p.Tags, Tag{key, Text(r.Tags[key])})
	}
	return p, true
}

func roleAttribute(a *Account, physical, name string) (string, bool) {
	r, ok := a.IAM.Role(physical)
	switch name {
	case "Arn":
		return r.ARN, ok
	case "RoleId":
		return r.ID, ok
	}
	return "", false
}

type managedPolicyProperties struct {
	ManagedPolicyName string   `json:",omitempty"`
	Description       string   `json:",omitempty"`
	PolicyDocument    document `json:",omitempty"`
}

func managedPolicyType() *resourceType {
	return kind("AWS::IAM::ManagedPolicy", kindOf[managedPolicyProperties]{
		iam: true, named: "ManagedPolicyName", most: 128, replace: []string{"ManagedPolicyName", "Description"},
		asks: func(a *Account, v verb, physical string, _, _ *managedPolicyProperties) []question {
			arn := physical
			if !strings.HasPrefix(arn, "arn:") {
				arn = "arn:aws:iam::" + a.ID + ":policy/" + physical
			}
			switch v {
			case creates:
				return all(arn, "iam:CreatePolicy")
			case updates:
				return all(arn, "iam:ListPolicyVersions", "iam:CreatePolicyVersion", "iam:DeletePolicyVersion")
			case deletes:
				return all(arn, "iam:ListEntitiesForPolicy", "iam:ListPolicyVersions", "iam:DeletePolicy")
			}
			return all(arn, "iam:GetPolicy", "iam:GetPolicyVersion")
		},
		create: func(a *Account, physical string, p managedPolicyProperties) (string, error) {
			if _, taken := a.IAM.ManagedPolicy("arn:aws:iam::" + a.ID + ":policy/" + physical); taken {
				return "", fault("EntityAlreadyExists", "A policy called %s already exists.", physical)
			}
			return a.IAM.PutPolicy(physical, p.Description, string(p.PolicyDocument))
		},
		update: func(a *Account, physical string, _, p managedPolicyProperties) error {
			_, err := a.IAM.PutPolicy(lastPart(physical), p.Description, string(p.PolicyDocument))
			return err
		},
		remove: func(a *Account, physical string, _ managedPolicyProperties) error {
			return a.IAM.DeletePolicy(physical)
		},
		read: func(a *Account, physical string) (managedPolicyProperties, bool) {
			p, ok := a.IAM.ManagedPolicy(physical)
			return managedPolicyProperties{p.Name, p.Description, document(p.Document)}, ok
		},
		attr: func(_ *Account, physical, name string) (string, bool) { return physical, name == "PolicyArn" },
	})
}

// lastPart is what follows the last slash.
func lastPart(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

type providerProperties struct {
	URL            string   `json:"Url,omitempty"`
	ClientIDList   []string `json:"ClientIdList,omitempty"`
	ThumbprintList []string `json:",omitempty"`
}

func providerType() *resourceType {
	return kind("AWS::IAM::OIDCProvider", kindOf[providerProperties]{
		replace: []string{"Url"},
		asks: func(a *Account, v verb, physical string, _, new *providerProperties) []question {
			arn := physical
			if v == creates {
				arn = "arn:aws:iam::" + a.ID + ":oidc-provider/" + strings.TrimPrefix(new.URL, "https://")
			}
			switch v {
			case creates:
				return all(arn, "iam:CreateOpenIDConnectProvider")
			case updates:
				return all(arn, "iam:AddClientIDToOpenIDConnectProvider", "iam:RemoveClientIDFromOpenIDConnectProvider")
			case deletes:
				return all(arn, "iam:DeleteOpenIDConnectProvider")
			}
			return all(arn, "iam:GetOpenIDConnectProvider")
		},
		create: func(a *Account, _ string, p providerProperties) (string, error) {
			return a.IAM.CreateProvider(p.URL, p.ClientIDList)
		},
		update: func(a *Account, physical string, _, p providerProperties) error {
			return a.IAM.UpdateProvider(physical, p.ClientIDList)
		},
		remove: func(a *Account, physical string, _ providerProperties) error { return a.IAM.DeleteProvider(physical) },
		read: func(a *Account, physical string) (providerProperties, bool) {
			p, ok := a.IAM.Provider(physical)
			return providerProperties{URL: "https://" + p.URL, ClientIDList: p.Audiences}, ok
		},
		attr: func(_ *Account, physical, name string) (string, bool) { return physical, name == "Arn" },
	})
}
