package emulator_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// TestIAM_GitHubTrust: a trust in GitHub must say whose, in a way that IAM looks at.
func TestIAM_GitHubTrust(t *testing.T) {
	const p = "token.actions.githubusercontent.com:"
	w := newWorld(t)
	for i, tc := range []struct {
		conditions string
		want       string
	}{
		{"", "MalformedPolicyDocument"},
		{`{"StringEquals":{"` + p + `aud":"sts.amazonaws.com"}}`, "MalformedPolicyDocument"},
		{`{"StringEquals":{"` + p + `repository_id":"1234"}}`, "MalformedPolicyDocument"},
		{`{"StringLike":{"` + p + `sub":"*"}}`, "MalformedPolicyDocument"},
		{`{"StringNotEquals":{"` + p + `sub":"repo:a/b:ref:refs/heads/main"}}`, "MalformedPolicyDocument"},
		{`{"StringLike":{"` + p + `sub":"repo:*"}}`, ""}, // the net has holes, and so has IAM's
		{`{"StringEquals":{"` + p + `job_workflow_ref":"a/b/.github/workflows/c.yml@refs/heads/main"}}`, ""},
	} {
		_, err := w.Account(dev).IAM.CreateRole(emulator.Role{
			Name: fmt.Sprint("r", i), Trust: trust(`"Federated":"`+githubProvider+`"`, "sts:AssumeRoleWithWebIdentity", tc.conditions),
		})
		if got := codeOf2(err); got != tc.want && (tc.want != "" || err != nil) {
			t.Errorf("%s: %v, want %q", tc.conditions, err, tc.want)
		}
	}
}

func TestIAM_Refusals(t *testing.T) {
	ec2 := trust(`"Service":"ec2.amazonaws.com"`, "sts:AssumeRole", "")
	w := newWorld(t)
	m := w.Account(dev).IAM
	w.role(dev, "taken", allows("*", "s3:*"))
	long := trust(`"AWS":["arn:aws:iam::`+dev+`:role/`+strings.Repeat("x", 60)+strings.Repeat(`","arn:aws:iam::`+dev+`:role/`+strings.Repeat("x", 60), 25)+`"]`, "sts:AssumeRole", "")
	for name, tc := range map[string]struct {
		role emulator.Role
		want string
	}{
		"name taken, but for case": {emulator.Role{Name: "Taken", Trust: ec2}, "EntityAlreadyExists"},
		"name":                     {emulator.Role{Name: "a b", Trust: ec2}, "ValidationError"},
		"no trust":                 {emulator.Role{Name: "r"}, "MalformedPolicyDocument"},
		"13 hours":                 {emulator.Role{Name: "r", Trust: ec2, MaxSession: 13 * time.Hour}, "ValidationError"},
		"no such policy":           {emulator.Role{Name: "r", Trust: ec2, Attached: []string{"arn:aws:iam::aws:policy/AdministratorAccess"}}, "NoSuchEntity"},
		"no such boundary":         {emulator.Role{Name: "r", Trust: ec2, Boundary: "arn:aws:iam::" + dev + ":policy/b"}, "NoSuchEntity"},
		"an unknown operator": {emulator.Role{Name: "r", Trust: ec2, Inline: map[string]string{
			"p": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringAlmost":{"aws:SourceIp":"x"}}}]}`,
		}}, "MalformedPolicyDocument"},
		"trust too long":    {emulator.Role{Name: "r", Trust: long}, "LimitExceeded"},
		"policies too long": {emulator.Role{Name: "r", Trust: ec2, Inline: map[string]string{"p": allows("arn:aws:s3:::"+strings.Repeat("x", 10240), "s3:*")}}, "LimitExceeded"},
	} {
		if _, err := m.CreateRole(tc.role); codeOf2(err) != tc.want && !strings.Contains(fmt.Sprint(err), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	arn, err := m.PutPolicy("used", "", allows("*", "s3:*"))
	w.must(err)
	w.must(m.UpdateRole("taken", func(r *emulator.Role) { r.Boundary = arn }))
	if err := m.DeletePolicy(arn); codeOf2(err) != "DeleteConflict" {
		t.Errorf("deleting a boundary in use: %v", err)
	}
	if _, err := m.PutPolicy("long", "", allows("arn:aws:s3:::"+strings.Repeat("x", 6144), "s3:*")); codeOf2(err) != "LimitExceeded" {
		t.Errorf("a managed policy that is too long: %v", err)
	}
}

// TestIAM_Reading is what a doctor reads of a role.
func TestIAM_Reading(t *testing.T) {
	w := newWorld(t)
	m := w.Account(dev).IAM
	boundary, err := m.PutPolicy("synops-boundary", "what no role may pass", allows("*", "s3:*"))
	w.must(err)
	_, err = m.CreateRole(emulator.Role{
		Name: "r", Description: "reads", MaxSession: 2 * time.Hour, Boundary: boundary, Attached: []string{boundary},
		Trust:  trust(`"Service":"codebuild.amazonaws.com"`, "sts:AssumeRole", ""),
		Inline: map[string]string{"own": allows("*", "s3:GetObject")}, Tags: map[string]string{"lane": "plan"},
	})
	w.must(err)
	c := iamOf(w.admin(dev))
	got, err := c.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("r")})
	w.must(err)
	r := got.Role
	if doc, _ := url.QueryUnescape(*r.AssumeRolePolicyDocument); !strings.Contains(doc, "codebuild.amazonaws.com") ||
		*r.MaxSessionDuration != 7200 || *r.PermissionsBoundary.PermissionsBoundaryArn != boundary || *r.Tags[0].Value != "plan" {
		t.Errorf("role %+v", r)
	}
	names, err := c.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: aws.String("r")})
	w.must(err)
	own, err := c.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: aws.String("r"), PolicyName: &names.PolicyNames[0]})
	w.must(err)
	if doc, _ := url.QueryUnescape(*own.PolicyDocument); doc != allows("*", "s3:GetObject") {
		t.Errorf("policy %q", doc)
	}
	attached, err := c.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: aws.String("r")})
	w.must(err)
	p, err := c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: attached.AttachedPolicies[0].PolicyArn})
	w.must(err)
	v, err := c.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: p.Policy.Arn, VersionId: p.Policy.DefaultVersionId})
	w.must(err)
	if doc, _ := url.QueryUnescape(*v.PolicyVersion.Document); doc != allows("*", "s3:*") {
		t.Errorf("managed policy %q", doc)
	}
	w.github(dev, "g", devConditions)
	list, err := c.ListOpenIDConnectProviders(ctx, &iam.ListOpenIDConnectProvidersInput{})
	w.must(err)
	idp, err := c.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: list.OpenIDConnectProviderList[0].Arn})
	w.must(err)
	if *idp.Url != "token.actions.githubusercontent.com" || idp.ClientIDList[0] != "sts.amazonaws.com" {
		t.Errorf("provider %+v", idp)
	}
	_, err = c.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("nobody")})
	wantCode(t, err, "NoSuchEntity")
}
