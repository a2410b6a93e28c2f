package policy_test

import (
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

func TestParse(t *testing.T) {
	d, err := policy.Parse([]byte(`{"Version":"2012-10-17","Id":"x","Statement":{"Sid":"A1","Effect":"Deny","Principal":{"AWS":["*","111111111111"]},
		"Action":"s3:*","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],"Condition":{"Bool":{"aws:SecureTransport":false},"Null":{"s3:if-none-match":["true"]}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	s := d.Statements[0]
	if !s.Deny || s.Sid != "A1" || len(s.Principals) != 2 || len(s.Resources) != 2 || len(s.Conditions) != 2 || s.Conditions[0].Values[0] != "false" {
		t.Errorf("read %+v", s)
	}
}

// TestParseRefuses: what is not known must never read as something harmless.
func TestParseRefuses(t *testing.T) {
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[` + s + `]}` }
	condition := func(s string) string {
		return statement(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":` + s + `}`)
	}
	for _, c := range []struct{ name, doc, want string }{
		{"not JSON", `{`, "EOF"},
		{"trailing text", statement(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`) + `{}`, "follows"},
		{"old version", `{"Version":"2008-10-17","Statement":[]}`, "Version"},
		{"no version", `{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`, "Version"},
		{"no statements", statement(``), "no statements"},
		{"element twice in another case", statement(`{"Effect":"Deny","effect":"Allow","Action":"s3:GetObject","Resource":"*"}`), "twice"},
		{"element in another case", statement(`{"effect":"Allow","Action":"s3:GetObject","Resource":"*"}`), "not known"},
		{"NotAction", statement(`{"Effect":"Allow","NotAction":"s3:GetObject","Resource":"*"}`), "NotAction"},
		{"NotResource", statement(`{"Effect":"Allow","Action":"s3:GetObject","NotResource":"*"}`), "NotResource"},
		{"both", statement(`{"Effect":"Deny","Action":"s3:GetObject","Resource":"*","NotResource":"*"}`), "both"},
		{"NotPrincipal", statement(`{"Effect":"Deny","NotPrincipal":"*","Action":"s3:GetObject","Resource":"*"}`), "NotPrincipal"},
		{"effect", statement(`{"Effect":"allow","Action":"s3:GetObject","Resource":"*"}`), "Effect"},
		{"no action", statement(`{"Effect":"Allow","Resource":"*"}`), "no Action"},
		{"empty actions", statement(`{"Effect":"Allow","Action":[],"Resource":"*"}`), "empty"},
		{"no resource", statement(`{"Effect":"Allow","Action":"s3:GetObject"}`), "no Resource"},
		{"trust with resource", statement(`{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole","Resource":"*"}`), "no Resource"},
		{"variable", statement(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}/*"}`), "form"},
		{"short ARN", statement(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:b"}`), "form"},
		{"wildcard service", statement(`{"Effect":"Allow","Action":"s*:GetObject","Resource":"*"}`), "form"},
		{"principal kind", statement(`{"Effect":"Allow","Principal":{"CanonicalUser":"x"},"Action":"s3:GetObject","Resource":"*"}`), "CanonicalUser"},
		{"principal with wildcard", statement(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:role/x*"},"Action":"s3:GetObject","Resource":"*"}`), "form"},
		{"same Sid", statement(`{"Sid":"A","Effect":"Allow","Action":"s3:GetObject","Resource":"*"},{"Sid":"A","Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`), "another one"},
		{"operator", condition(`{"StringEqual":{"s3:prefix":"a"}}`), "operator"},
		{"ForAllValues", condition(`{"ForAllValues:StringEquals":{"s3:prefix":"a"}}`), "operator"},
		{"NullIfExists", condition(`{"NullIfExists":{"s3:prefix":"true"}}`), "operator"},
		{"negated IfExists", condition(`{"StringNotEqualsIfExists":{"s3:prefix":"true"}}`), "twice"},
		{"key", condition(`{"StringEquals":{"aws:PrincipleArn":"a"}}`), "key"},
		{"same key in another case", condition(`{"StringEquals":{"s3:prefix":"a","s3:Prefix":"b"}}`), "twice"},
		{"value variable", condition(`{"StringEquals":{"s3:prefix":"${aws:username}"}}`), "variables"},
		{"no values", condition(`{"StringEquals":{"s3:prefix":[]}}`), "no values"},
		{"value object", condition(`{"StringEquals":{"s3:prefix":{}}}`), "neither"},
		{"bool", condition(`{"Bool":{"aws:SecureTransport":"yes"}}`), "neither true nor false"},
		{"null", condition(`{"Null":{"s3:prefix":"1"}}`), "neither true nor false"},
		{"number", condition(`{"NumericLessThan":{"aws:MultiFactorAuthAge":"soon"}}`), "compares"},
		{"address", condition(`{"IpAddress":{"aws:SourceIp":"here"}}`), "compares"},
		{"empty", condition(`{}`), "Condition"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := policy.Parse([]byte(c.doc)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", err, c.want)
			}
		})
	}
}
