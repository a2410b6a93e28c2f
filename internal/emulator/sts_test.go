package emulator_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

const (
	githubProvider = "arn:aws:iam::" + dev + ":oidc-provider/token.actions.githubusercontent.com"
	subject        = "repo:Sage-Bionetworks/synapse-ops-dev:environment:dev"
)

// github stores the provider and a role that trusts one repository's environment,
// by these further conditions.
func (w *world) github(account, role, conditions string) {
	w.t.Helper()
	_, err := w.Account(account).IAM.CreateProvider("https://token.actions.githubusercontent.com", []string{"sts.amazonaws.com"})
	w.must(err)
	_, err = w.Account(account).IAM.CreateRole(emulator.Role{
		Name:  role,
		Trust: trust(`"Federated":"arn:aws:iam::`+account+`:oidc-provider/token.actions.githubusercontent.com"`, "sts:AssumeRoleWithWebIdentity", conditions),
		Inline: map[string]string{
			"list": allows("*", "s3:ListBucket"),
		},
	})
	w.must(err)
}

const devConditions = `{"StringEquals":{
	"token.actions.githubusercontent.com:aud":"sts.amazonaws.com",
	"token.actions.githubusercontent.com:sub":"` + subject + `",
	"token.actions.githubusercontent.com:repository_id":"1234"}}`

func (w *world) token(changes map[string]any) string {
	w.t.Helper()
	claims := map[string]any{"aud": "sts.amazonaws.com", "sub": subject, "repository_id": "1234", "run_id": "77"}
	maps.Copy(claims, changes)
	text, err := w.issuer.Token(claims)
	w.must(err)
	return text
}

func (w *world) exchange(token string, change ...func(*sts.AssumeRoleWithWebIdentityInput)) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	in := &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String("arn:aws:iam::" + dev + ":role/perform"), RoleSessionName: aws.String("run-1"), WebIdentityToken: &token,
	}
	for _, f := range change {
		f(in)
	}
	return stsOf(w.nobody()).AssumeRoleWithWebIdentity(ctx, in)
}

func TestWebIdentity_Session(t *testing.T) {
	w := newWorld(t)
	w.github(dev, "perform", devConditions)
	w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "store-1"}))
	out, err := w.exchange(w.token(nil))
	if err != nil {
		t.Fatal(err)
	}
	k := out.Credentials
	conf := w.config(*k.AccessKeyId, *k.SecretAccessKey, *k.SessionToken)
	me, err := stsOf(conf).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	w.must(err)
	if want := "arn:aws:sts::" + dev + ":assumed-role/perform/run-1"; *me.Arn != want || *me.Account != dev {
		t.Errorf("identity %s in %s, want %s", *me.Arn, *me.Account, want)
	}
	if left := k.Expiration.Sub(w.clock.now()); left.Round(time.Second) != time.Hour {
		t.Errorf("the session lives for %v, want an hour", left)
	}
	if *out.SubjectFromWebIdentityToken != subject || *out.Provider != githubProvider {
		t.Errorf("subject %q, provider %q", *out.SubjectFromWebIdentityToken, *out.Provider)
	}
	c := s3Of(conf)
	if _, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("store-1")}); err != nil {
		t.Errorf("the role's own permission: %v", err)
	}
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("store-1"), Key: aws.String("k")})
	wantCode(t, err, "AccessDenied")
}

func TestWebIdentity_Refusals(t *testing.T) {
	w := newWorld(t)
	w.github(dev, "perform", devConditions)
	other := emulator.NewIssuer() // another key under the same name
	other.Now = w.clock.now
	forged, err := other.Token(map[string]any{"aud": "sts.amazonaws.com", "sub": subject, "repository_id": "1234"})
	w.must(err)
	good := w.token(nil)
	parts := strings.Split(good, ".")
	now := w.clock.now()
	for _, tc := range []struct {
		name, token, want string
	}{
		{"not a token", "abc", "InvalidIdentityToken"},
		{"another issuer's key", forged, "InvalidIdentityToken"},
		{"no signature", parts[0] + "." + parts[1] + ".", "InvalidIdentityToken"},
		{"algorithm none", "eyJhbGciOiJub25lIn0." + parts[1] + ".", "InvalidIdentityToken"},
		{"another audience", w.token(map[string]any{"aud": "https://github.com/Sage-Bionetworks"}), "InvalidIdentityToken"},
		{"another issuer", w.token(map[string]any{"iss": "https://example.org"}), "InvalidIdentityToken"},
		{"expired", w.token(map[string]any{"exp": now.Unix()}), "ExpiredTokenException"},
		{"not yet valid", w.token(map[string]any{"nbf": now.Add(time.Minute).Unix()}), "InvalidIdentityToken"},
		{"another subject", w.token(map[string]any{"sub": "repo:Sage-Bionetworks/synapse-ops-dev:ref:refs/heads/main"}), "AccessDenied"},
		{"a fork", w.token(map[string]any{"repository_id": "99"}), "AccessDenied"},
		{"no repository ID", w.token(map[string]any{"repository_id": ""}), "AccessDenied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := w.exchange(tc.token)
			wantCode(t, err, tc.want)
		})
	}
	if _, err := w.exchange(good); err != nil {
		t.Errorf("the token that all of them change: %v", err)
	}
}

// TestWebIdentity_UnusableClaim: a claim that AWS does not offer as a key is absent,
// so that a condition on it never holds.
func TestWebIdentity_UnusableClaim(t *testing.T) {
	w := newWorld(t)
	w.github(dev, "perform", `{"StringEquals":{"token.actions.githubusercontent.com:sub":"`+subject+`"},"Null":{"token.actions.githubusercontent.com:environment":"false"}}`)
	_, err := w.exchange(w.token(nil))
	wantCode(t, err, "AccessDenied") // the claim is not in the token
	if _, err = w.exchange(w.token(map[string]any{"environment": "dev"})); err != nil {
		t.Errorf("with the claim: %v", err)
	}
}

func TestWebIdentity_ProviderOfAnotherAccount(t *testing.T) {
	w := newWorld(t)
	w.github(dev, "perform", devConditions)
	w.github(prod, "perform", devConditions)
	w.must(w.Account(prod).IAM.DeleteProvider("arn:aws:iam::" + prod + ":oidc-provider/token.actions.githubusercontent.com"))
	_, err := w.exchange(w.token(nil), func(in *sts.AssumeRoleWithWebIdentityInput) {
		in.RoleArn = aws.String("arn:aws:iam::" + prod + ":role/perform")
	})
	wantCode(t, err, "InvalidIdentityToken")
}

func TestWebIdentity_Parameters(t *testing.T) {
	w := newWorld(t)
	w.github(dev, "perform", devConditions)
	for _, tc := range []struct {
		name   string
		change func(*sts.AssumeRoleWithWebIdentityInput)
		want   string
	}{
		{"longer than the role allows", func(in *sts.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(3601) }, "ValidationError"},
		{"too short", func(in *sts.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(899) }, "ValidationError"},
		{"session name", func(in *sts.AssumeRoleWithWebIdentityInput) { in.RoleSessionName = aws.String("a b") }, "ValidationError"},
		{"no such role", func(in *sts.AssumeRoleWithWebIdentityInput) {
			in.RoleArn = aws.String("arn:aws:iam::" + dev + ":role/nobody")
		}, "AccessDenied"},
		{"no such account", func(in *sts.AssumeRoleWithWebIdentityInput) {
			in.RoleArn = aws.String("arn:aws:iam::333333333333:role/perform")
		}, "AccessDenied"},
		{"what is not modeled", func(in *sts.AssumeRoleWithWebIdentityInput) { in.ProviderId = aws.String("x.com") }, "NotModelled"},
		{"shorter", func(in *sts.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(900) }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := w.exchange(w.token(nil), tc.change)
			wantCode(t, err, tc.want)
		})
	}
}

// TestWebIdentity_SessionPolicy narrows the role.
func TestWebIdentity_SessionPolicy(t *testing.T) {
	w := newWorld(t)
	w.github(dev, "perform", devConditions)
	w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "store-1"}))
	out, err := w.exchange(w.token(nil), func(in *sts.AssumeRoleWithWebIdentityInput) {
		in.Policy = aws.String(allows("*", "s3:GetObject"))
	})
	w.must(err)
	k := out.Credentials
	_, err = s3Of(w.config(*k.AccessKeyId, *k.SecretAccessKey, *k.SessionToken)).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("store-1")})
	wantCode(t, err, "AccessDenied")
}

func TestAssumeRole_SecondFactor(t *testing.T) {
	w := newWorld(t)
	_, err := w.Account(dev).IAM.CreateRole(emulator.Role{
		Name:  "break-glass",
		Trust: trust(`"AWS":"arn:aws:iam::`+dev+`:root"`, "sts:AssumeRole", `{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`),
	})
	w.must(err)
	assume := func(serial, code string) error {
		in := &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + dev + ":role/break-glass"), RoleSessionName: aws.String("me")}
		if serial != "" {
			in.SerialNumber, in.TokenCode = &serial, &code
		}
		_, err := stsOf(w.admin(dev)).AssumeRole(ctx, in)
		return err
	}
	device := "arn:aws:iam::" + dev + ":mfa/administrator"
	wantCode(t, assume("", ""), "AccessDenied")
	wantCode(t, assume(device, "000000"), "AccessDenied")
	wantCode(t, assume("arn:aws:iam::"+dev+":mfa/other", emulator.MFACode), "AccessDenied")
	wantCode(t, assume(device, emulator.MFACode), "")
}

// TestAssumeRole_Chaining: a role that assumes another gets an hour at most.
func TestAssumeRole_Chaining(t *testing.T) {
	w := newWorld(t)
	w.role(dev, "deploy", allows("arn:aws:iam::"+dev+":role/stack-builder", "sts:AssumeRole"))
	w.role(dev, "plan", allows("*", "s3:*"))
	_, err := w.Account(dev).IAM.CreateRole(emulator.Role{
		Name: "stack-builder", MaxSession: 8 * time.Hour,
		Trust: trust(`"AWS":"arn:aws:iam::`+dev+`:root"`, "sts:AssumeRole", ""),
	})
	w.must(err)
	assume := func(role string, seconds int32) error {
		in := &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + dev + ":role/stack-builder"), RoleSessionName: aws.String("run-1")}
		if seconds > 0 {
			in.DurationSeconds = &seconds
		}
		_, err := stsOf(w.as(dev, role)).AssumeRole(ctx, in)
		return err
	}
	wantCode(t, assume("deploy", 0), "")
	wantCode(t, assume("deploy", 3601), "ValidationError")
	wantCode(t, assume("plan", 0), "AccessDenied")
}

// TestAssumeRole_CrossAccount needs both sides.
func TestAssumeRole_CrossAccount(t *testing.T) {
	w := newWorld(t)
	_, err := w.Account(prod).IAM.CreateRole(emulator.Role{
		Name: "open", Trust: trust(`"AWS":"arn:aws:iam::`+dev+`:role/reach"`, "sts:AssumeRole", ""),
	})
	w.must(err)
	w.role(dev, "reach", allows("arn:aws:iam::"+prod+":role/open", "sts:AssumeRole"))
	w.role(dev, "other", allows("*", "sts:AssumeRole"))
	for role, want := range map[string]string{"reach": "", "other": "AccessDenied"} {
		_, err := stsOf(w.as(dev, role)).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + prod + ":role/open"), RoleSessionName: aws.String("xx")})
		wantCode(t, err, want)
	}
}

// TestAssumeRole_IsTold: a rule on CloudTrail's event sees who became the role.
func TestAssumeRole_IsTold(t *testing.T) {
	w := newWorld(t)
	topic := w.topic("events.amazonaws.com")
	r, err := w.Account(dev).IAM.CreateRole(emulator.Role{Name: "break-glass", Trust: trust(`"AWS":"arn:aws:iam::`+dev+`:root"`, "sts:AssumeRole", "")})
	w.must(err)
	_, err = w.Account(dev).Events.PutRule(emulator.Rule{
		Name:    "used",
		Pattern: `{"source":["aws.sts"],"detail":{"eventName":["AssumeRole"],"requestParameters":{"roleArn":["` + r.ARN + `"]}}}`,
		Targets: []emulator.RuleTarget{{ID: "t", ARN: topic, Paths: map[string]string{"who": "$.detail.userIdentity.arn"}, Template: `"<who>"`}},
	})
	w.must(err)
	_, err = stsOf(w.admin(dev)).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &r.ARN, RoleSessionName: aws.String("me")})
	w.must(err)
	got, _ := w.Account(dev).SNS.Topic(topic)
	if len(got.Messages) != 1 || got.Messages[0].Body != "arn:aws:iam::"+dev+":user/administrator" {
		t.Errorf("told %+v", got.Messages)
	}
}
