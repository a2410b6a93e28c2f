package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

const (
	role    = "arn:aws:iam::111111111111:role/r"
	session = "arn:aws:sts::111111111111:assumed-role/r/me"
	object  = "arn:aws:s3:::b/k"
)

func parse(t *testing.T, statements ...string) []*policy.Document {
	t.Helper()
	d, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return []*policy.Document{d}
}

func identity(effect, action, resource string) string {
	return fmt.Sprintf(`{"Effect":%q,"Action":%q,"Resource":%q}`, effect, action, resource)
}

func attached(effect, principal, action, resource string) string {
	return fmt.Sprintf(`{"Effect":%q,"Principal":{"AWS":%q},"Action":%q,"Resource":%q}`, effect, principal, action, resource)
}

func wantDecision(t *testing.T, r policy.Request, p policy.Policies, want bool) {
	t.Helper()
	d, err := policy.Decide(r, p)
	if err != nil {
		t.Fatal(err)
	}
	if d.Allowed != want || d.Reason == "" {
		t.Errorf("allowed is %v because %s (%s), want %v", d.Allowed, d.Reason, d.Statement, want)
	}
}

// TestDecide combines kinds of documents; each row has a rule of its own.
func TestDecide(t *testing.T) {
	allow, deny := identity("Allow", "s3:GetObject", "*"), identity("Deny", "s3:GetObject", "*")
	other := identity("Allow", "s3:PutObject", "*")
	toRole, toSession := attached("Allow", role, "s3:GetObject", object), attached("Allow", session, "s3:GetObject", object)
	toRoot := attached("Allow", "arn:aws:iam::111111111111:root", "s3:GetObject", object)
	for _, c := range []struct {
		name                                   string
		identity, boundary, session, resources []string
		sameAccount, want                      bool
	}{
		{"nothing", nil, nil, nil, nil, true, false},
		{"identity", []string{allow}, nil, nil, nil, true, true},
		{"another action", []string{other}, nil, nil, nil, true, false},
		{"identity denies itself", []string{allow, deny}, nil, nil, nil, true, false},
		{"within the boundary", []string{allow}, []string{allow}, nil, nil, true, true},
		{"outside of the boundary", []string{allow}, []string{other}, nil, nil, true, false},
		{"boundary alone grants nothing", nil, []string{allow}, nil, nil, true, false},
		{"boundary denies", []string{allow}, []string{allow, deny}, nil, nil, true, false},
		{"outside of the session policy", []string{allow}, nil, []string{other}, nil, true, false},
		{"session policy denies", []string{allow}, nil, []string{allow, deny}, nil, true, false},
		{"resource names the role", nil, nil, nil, []string{toRole}, true, true},
		{"resource names the role, outside of the boundary", nil, []string{other}, nil, []string{toRole}, true, false},
		{"resource names the session, outside of the boundary", nil, []string{other}, nil, []string{toSession}, true, true},
		{"resource names the session, the boundary denies", nil, []string{deny, other}, nil, []string{toSession}, true, false},
		{"resource names the account alone", nil, nil, nil, []string{toRoot}, true, false},
		{"resource denies the account", []string{allow}, nil, nil, []string{strings.Replace(toRoot, "Allow", "Deny", 1)}, true, false},
		{"resource denies another role", []string{allow}, nil, nil, []string{attached("Deny", role+"2", "s3:GetObject", object)}, true, true},
		{"across accounts, identity alone", []string{allow}, nil, nil, nil, false, false},
		{"across accounts, resource alone", nil, nil, nil, []string{toSession}, false, false},
		{"across accounts, both", []string{allow}, nil, nil, []string{toRoot}, false, true},
		{"across accounts, outside of the boundary", []string{allow}, []string{other}, nil, []string{toRoot}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := policy.Policies{SameAccount: c.sameAccount}
			for _, of := range []struct {
				to         *[]*policy.Document
				statements []string
			}{{&p.Identity, c.identity}, {&p.Boundary, c.boundary}, {&p.Session, c.session}, {&p.Resource, c.resources}} {
				if of.statements != nil {
					*of.to = parse(t, of.statements...)
				}
			}
			wantDecision(t, policy.Request{Principal: session, Action: "s3:GetObject", Resource: object}, p, c.want)
		})
	}
}

// TestDecideAssume: a role's trust policy must always allow, and where it admits
// the account, the identity's too.
func TestDecideAssume(t *testing.T) {
	may := identity("Allow", "sts:AssumeRole", role)
	trust := func(principal string) string {
		return fmt.Sprintf(`{"Effect":"Allow","Principal":{%s},"Action":["sts:AssumeRole","sts:AssumeRoleWithWebIdentity"]}`, principal)
	}
	const user, provider = "arn:aws:iam::111111111111:user/u", "arn:aws:iam::111111111111:oidc-provider/token.example"
	for _, c := range []struct {
		name               string
		principal, service string
		identity, trust    string
		sameAccount, want  bool
	}{
		{"identity alone", user, "", may, trust(`"AWS":"arn:aws:iam::111111111111:user/other"`), true, false},
		{"trust names the user", user, "", "", trust(`"AWS":"` + user + `"`), true, true},
		{"trust names the account, nothing else", user, "", "", trust(`"AWS":"111111111111"`), true, false},
		{"trust names the account, identity allows", user, "", may, trust(`"AWS":"111111111111"`), true, true},
		{"another account's user", "arn:aws:iam::222222222222:user/u", "", may, trust(`"AWS":"111111111111"`), false, false},
		{"service", "", "codebuild.amazonaws.com", "", trust(`"Service":"codebuild.amazonaws.com"`), true, true},
		{"another service", "", "ec2.amazonaws.com", "", trust(`"Service":"codebuild.amazonaws.com"`), true, false},
		{"service where a star is for accounts", "", "ec2.amazonaws.com", "", trust(`"AWS":"*"`), true, false},
		{"provider", provider, "", "", trust(`"Federated":"` + provider + `"`), true, true},
		{"another provider", provider + "2", "", "", trust(`"Federated":"` + provider + `"`), true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := policy.Policies{Resource: parse(t, c.trust), SameAccount: c.sameAccount}
			if c.identity != "" {
				p.Identity = parse(t, c.identity)
			}
			action := "sts:AssumeRole"
			if c.principal != "" && strings.Contains(c.principal, "provider") {
				action = "sts:AssumeRoleWithWebIdentity"
			}
			wantDecision(t, policy.Request{Principal: c.principal, Service: c.service, Action: action, Resource: role}, p, c.want)
		})
	}
}

func TestDecidePatterns(t *testing.T) {
	for _, c := range []struct {
		action, resource string
		ask, on          string
		want             bool
	}{
		{"s3:Get*", "*", "s3:GetObject", object, true},
		{"S3:getobject", "*", "s3:GetObject", object, false}, // a service is written in lower case
		{"s3:getobject", "*", "s3:GetObject", object, true},
		{"s3:GetObject?", "*", "s3:GetObject", object, false},
		{"s3:?etObject", "*", "s3:GetObject", object, true},
		{"*", "*", "s3:GetObject", object, true},
		{"s3:GetObject", "arn:aws:s3:::b/*", "s3:GetObject", object, true},
		{"s3:GetObject", "arn:aws:s3:::b/*", "s3:GetObject", "arn:aws:s3:::b", false},
		{"s3:GetObject", "arn:aws:s3:::b/*/end", "s3:GetObject", "arn:aws:s3:::b/a/b/c/end", true},
		{"s3:GetObject", "arn:aws:s3:::b/*/end", "s3:GetObject", "arn:aws:s3:::b/end", false},
		{"s3:GetObject", "arn:aws:s3:::B/*", "s3:GetObject", object, false},
		{"logs:PutLogEvents", "arn:aws:logs:*:1*:log-group:/a:*", "logs:PutLogEvents", "arn:aws:logs:us-east-1:111111111111:log-group:/a:log-stream:x", true},
		{"logs:PutLogEvents", "arn:aws:logs:*:log-group:/a:*", "logs:PutLogEvents", "arn:aws:logs:us-east-1:111111111111:log-group:/a:log-stream:x", false},
		{"ec2:DescribeSubnets", "*", "ec2:DescribeSubnets", "*", true},
		{"ec2:DescribeSubnets", "arn:aws:ec2:us-east-1:111111111111:*", "ec2:DescribeSubnets", "*", false},
	} {
		t.Run(c.action+" "+c.resource+" "+c.on, func(t *testing.T) {
			d, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[` + identity("Allow", c.action, c.resource) + `]}`))
			if err != nil {
				if c.want {
					t.Fatal(err)
				}
				return
			}
			wantDecision(t, policy.Request{Principal: session, Action: c.ask, Resource: c.on},
				policy.Policies{Identity: []*policy.Document{d}, SameAccount: true}, c.want)
		})
	}
}

func TestDecideNotResource(t *testing.T) {
	p := policy.Policies{SameAccount: true, Identity: parse(t, identity("Allow", "s3:PutObject", "*"),
		`{"Effect":"Deny","Action":"s3:PutObject","NotResource":["arn:aws:s3:::b/*/beat","arn:aws:s3:::b/x"]}`)}
	for key, want := range map[string]bool{"b/a/beat": true, "b/x": true, "b/a/beat2": false, "b/y": false, "c/x": false} {
		wantDecision(t, policy.Request{Principal: session, Action: "s3:PutObject", Resource: "arn:aws:s3:::" + key}, p, want)
	}
}

func TestDecideConditions(t *testing.T) {
	for _, c := range []struct {
		condition string
		context   map[string][]string
		want      bool
	}{
		{`{"StringEquals":{"s3:prefix":["a","b"]}}`, ctx("s3:prefix", "b"), true},
		{`{"StringEquals":{"s3:prefix":"a"}}`, ctx("s3:prefix", "A"), false},
		{`{"StringEquals":{"s3:prefix":"a*"}}`, ctx("s3:prefix", "ab"), false},
		{`{"StringEquals":{"s3:prefix":"a"}}`, nil, false},
		{`{"StringEquals":{"S3:Prefix":"a"}}`, ctx("s3:prefix", "a"), true},
		{`{"StringEqualsIfExists":{"s3:prefix":"a"}}`, nil, true},
		{`{"StringEqualsIfExists":{"s3:prefix":"a"}}`, ctx("s3:prefix", "b"), false},
		{`{"StringNotEquals":{"s3:prefix":["a","b"]}}`, ctx("s3:prefix", "b"), false},
		{`{"StringNotEquals":{"s3:prefix":"a"}}`, nil, true},
		{`{"StringEqualsIgnoreCase":{"s3:prefix":"a"}}`, ctx("s3:prefix", "A"), true},
		{`{"StringLike":{"s3:prefix":"a*z"}}`, ctx("s3:prefix", "abz"), true},
		{`{"StringLike":{"s3:prefix":"*"}}`, nil, false},
		{`{"StringNotLike":{"s3:prefix":"a*"}}`, ctx("s3:prefix", "ab"), false},
		{`{"StringNotLike":{"s3:prefix":"a*"}}`, ctx("s3:prefix", "b"), true},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/r"}}`, nil, true},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam:*:role/r"}}`, nil, false},
		{`{"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::b"}}`, ctx("aws:SourceArn", "arn:aws:s3:::b"), true},
		{`{"ArnNotEquals":{"aws:PrincipalArn":"` + role + `"}}`, nil, false},
		{`{"ArnNotLike":{"aws:PrincipalArn":"` + role + `2"}}`, nil, true},
		{`{"StringEquals":{"aws:PrincipalAccount":"111111111111"}}`, nil, true},
		{`{"Null":{"s3:prefix":"true"}}`, nil, true},
		{`{"Null":{"s3:prefix":"false"}}`, nil, false},
		{`{"Null":{"s3:prefix":"false"}}`, ctx("s3:prefix", "a"), true},
		{`{"Null":{"s3:prefix":"true"}}`, map[string][]string{"s3:prefix": {}}, true},
		{`{"Bool":{"aws:SecureTransport":"false"}}`, ctx("aws:SecureTransport", "false"), true},
		{`{"Bool":{"aws:SecureTransport":"false"}}`, nil, false},
		{`{"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}`, nil, true},
		{`{"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}}`, ctx("aws:MultiFactorAuthAge", "900"), true},
		{`{"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}}`, ctx("aws:MultiFactorAuthAge", "3600"), false},
		{`{"NumericLessThanEquals":{"aws:MultiFactorAuthAge":"3600"}}`, ctx("aws:MultiFactorAuthAge", "3600"), true},
		{`{"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}}`, ctx("aws:MultiFactorAuthAge", ""), false},
		{`{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, ctx("aws:SourceIp", "10.2.3.4"), true},
		{`{"IpAddress":{"aws:SourceIp":"10.0.0.1"}}`, ctx("aws:SourceIp", "10.0.0.2"), false},
		{`{"ForAnyValue:StringEquals":{"s3:prefix":"b"}}`, ctx("s3:prefix", "a", "b"), true},
		{`{"ForAnyValue:StringEquals":{"s3:prefix":"b"}}`, nil, false},
		{`{"ForAnyValue:StringNotEquals":{"s3:prefix":"b"}}`, nil, false},
		{`{"StringEquals":{"s3:prefix":"a"},"Null":{"s3:delimiter":"true"}}`, ctx("s3:prefix", "a"), true},
		{`{"StringEquals":{"s3:prefix":"a","s3:delimiter":"/"}}`, ctx("s3:prefix", "a"), false},
	} {
		t.Run(c.condition, func(t *testing.T) {
			docs := parse(t, `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":`+c.condition+`}`)
			wantDecision(t, policy.Request{Principal: session, Action: "s3:GetObject", Resource: object, Context: c.context},
				policy.Policies{Identity: docs, SameAccount: true}, c.want)
		})
	}
}

func ctx(key string, values ...string) map[string][]string { return map[string][]string{key: values} }

// TestDecideRefuses: what the question holds must be known as well.
func TestDecideRefuses(t *testing.T) {
	mine, theirs := parse(t, identity("Allow", "s3:*", "*")), parse(t, attached("Allow", role, "s3:GetObject", object))
	many := parse(t, `{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"s3:prefix":"a"}}}`)
	for _, c := range []struct {
		name string
		r    policy.Request
		p    policy.Policies
	}{
		{"action pattern", policy.Request{Principal: session, Action: "s3:*", Resource: object}, policy.Policies{Identity: mine}},
		{"no action", policy.Request{Principal: session, Resource: object}, policy.Policies{Identity: mine}},
		{"resource", policy.Request{Principal: session, Action: "s3:GetObject", Resource: "b/k"}, policy.Policies{Identity: mine}},
		{"principal", policy.Request{Principal: "r", Action: "s3:GetObject", Resource: object}, policy.Policies{Identity: mine}},
		{"identity policy with principals", policy.Request{Principal: session, Action: "s3:GetObject", Resource: object}, policy.Policies{Identity: theirs}},
		{"resource policy without", policy.Request{Principal: session, Action: "s3:GetObject", Resource: object}, policy.Policies{Resource: mine}},
		{"missing document", policy.Request{Principal: session, Action: "s3:GetObject", Resource: object}, policy.Policies{Identity: []*policy.Document{nil}}},
		{"several values for one", policy.Request{Principal: session, Action: "s3:GetObject", Resource: object, Context: ctx("s3:prefix", "a", "b")}, policy.Policies{Identity: many}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d, err := policy.Decide(c.r, c.p); err == nil || d.Allowed {
				t.Errorf("got %+v without an error", d)
			}
		})
	}
}
