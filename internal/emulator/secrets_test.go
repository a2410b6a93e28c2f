package emulator_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

func value(c *secretsmanager.Client, id string, change ...func(*secretsmanager.GetSecretValueInput)) (string, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: &id}
	for _, f := range change {
		f(in)
	}
	out, err := c.GetSecretValue(ctx, in)
	if err != nil {
		return "", err
	}
	return *out.SecretString, nil
}

func stage(name string) func(*secretsmanager.GetSecretValueInput) {
	return func(in *secretsmanager.GetSecretValueInput) { in.VersionStage = &name }
}

// TestSecrets_Rotation puts a value aside, looks at it, and moves it to the front:
// the way a secret is replaced only once it is known to work.
func TestSecrets_Rotation(t *testing.T) {
	w := newWorld(t)
	c := secretsOf(w.admin(dev))
	made, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("/synapse/admin-pat"), SecretString: aws.String("old")})
	w.must(err)
	if !strings.HasPrefix(*made.ARN, "arn:aws:secretsmanager:us-east-1:111111111111:secret:/synapse/admin-pat-") || len(*made.ARN) != len("arn:aws:secretsmanager:us-east-1:111111111111:secret:/synapse/admin-pat-")+6 {
		t.Errorf("ARN %s", *made.ARN)
	}
	pending, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: made.ARN, SecretString: aws.String("new"), VersionStages: []string{"AWSPENDING"}})
	w.must(err)
	if got, err := value(c, "/synapse/admin-pat"); got != "old" || err != nil {
		t.Errorf("while the new one is pending: %q, %v", got, err)
	}
	if got, err := value(c, *made.ARN, stage("AWSPENDING")); got != "new" || err != nil {
		t.Errorf("pending: %q, %v", got, err)
	}
	move := &secretsmanager.UpdateSecretVersionStageInput{SecretId: made.ARN, VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: pending.VersionId}
	_, err = c.UpdateSecretVersionStage(ctx, move)
	wantCode(t, err, "InvalidParameterException") // from where must be said
	move.RemoveFromVersionId = made.VersionId
	_, err = c.UpdateSecretVersionStage(ctx, move)
	w.must(err)
	if got, err := value(c, *made.ARN); got != "new" || err != nil {
		t.Errorf("current: %q, %v", got, err)
	}
	if got, err := value(c, *made.ARN, stage("AWSPREVIOUS")); got != "old" || err != nil {
		t.Errorf("previous: %q, %v", got, err)
	}
	about, err := c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: made.ARN})
	w.must(err)
	stages := about.VersionIdsToStages[*pending.VersionId]
	if !slices.Contains(stages, "AWSCURRENT") || about.LastChangedDate == nil || about.LastAccessedDate == nil {
		t.Errorf("described as %+v", about)
	}
	if got := w.Account(dev).Secrets.Value("/synapse/admin-pat"); got != "new" {
		t.Errorf("the account holds %q", got)
	}
}

// TestSecrets_Token: a put that is sent again is one version; the same token with
// another value is refused.
func TestSecrets_Token(t *testing.T) {
	w := newWorld(t)
	c := secretsOf(w.admin(dev))
	_, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("s")})
	w.must(err)
	_, err = value(c, "s")
	wantCode(t, err, "ResourceNotFoundException") // no value yet
	in := &secretsmanager.PutSecretValueInput{SecretId: aws.String("s"), SecretString: aws.String("a"), ClientRequestToken: aws.String(strings.Repeat("t", 32))}
	for range 2 {
		_, err = c.PutSecretValue(ctx, in)
		w.must(err)
	}
	list, err := c.ListSecretVersionIds(ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("s"), IncludeDeprecated: aws.Bool(true)})
	w.must(err)
	if len(list.Versions) != 1 {
		t.Errorf("%d versions of one put", len(list.Versions))
	}
	in.SecretString = aws.String("b")
	_, err = c.PutSecretValue(ctx, in)
	wantCode(t, err, "ResourceExistsException")
	in.SecretString = aws.String(strings.Repeat("x", 65537))
	_, err = c.PutSecretValue(ctx, in)
	wantCode(t, err, "InvalidParameterException")
	_, err = c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("s")})
	wantCode(t, err, "ResourceExistsException")
}

// TestSecrets_ResourcePolicy: the secret's own policy admits one role, and keeps
// all but one from writing, whatever their own policies say.
func TestSecrets_ResourcePolicy(t *testing.T) {
	w := newWorld(t)
	admin := secretsOf(w.admin(dev))
	_, err := admin.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("pat"), SecretString: aws.String("v")})
	w.must(err)
	w.role(dev, "lane", allows("*", "ec2:DescribeVpcs"))
	w.role(dev, "rotate", allows("*", "secretsmanager:PutSecretValue"))
	w.role(dev, "strong", allows("*", "secretsmanager:*"))
	put := func(role string) error {
		_, err := secretsOf(w.as(dev, role)).PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("pat"), SecretString: aws.String(role)})
		return err
	}
	wantCode(t, put("strong"), "")
	p := `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + dev + `:role/lane"},"Action":"secretsmanager:GetSecretValue","Resource":"*"},
		{"Effect":"Deny","Principal":"*","Action":["secretsmanager:PutSecretValue","secretsmanager:PutResourcePolicy"],"Resource":"*","Condition":{"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::` + dev + `:role/rotate"}}}]}`
	_, err = admin.PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{SecretId: aws.String("pat"), ResourcePolicy: &p, BlockPublicPolicy: aws.Bool(true)})
	w.must(err)
	if got, err := value(secretsOf(w.as(dev, "lane")), "pat"); got != "strong" || err != nil {
		t.Errorf("whom the policy admits reads %q, %v", got, err)
	}
	wantCode(t, put("strong"), "AccessDeniedException")
	wantCode(t, put("lane"), "AccessDeniedException")
	wantCode(t, put("rotate"), "")
	back, err := admin.GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: aws.String("pat")})
	w.must(err)
	if *back.ResourcePolicy != p {
		t.Errorf("policy read back: %s", *back.ResourcePolicy)
	}
}

func TestSecrets_PolicyRefusals(t *testing.T) {
	w := newWorld(t)
	c := secretsOf(w.admin(dev))
	_, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("s")})
	w.must(err)
	for p, want := range map[string]string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`: "PublicPolicyException",
		`{"Version":"2012-10-17"}`: "MalformedPolicyDocumentException",
		`nonsense`:                 "MalformedPolicyDocumentException",
	} {
		_, err := c.PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{SecretId: aws.String("s"), ResourcePolicy: &p, BlockPublicPolicy: aws.Bool(true)})
		wantCode(t, err, want)
	}
}

// TestSecrets_StageIsACondition: a role may be held to the current value.
func TestSecrets_StageIsACondition(t *testing.T) {
	w := newWorld(t)
	arn, err := w.Account(dev).Secrets.Create("pat", "", aws.String("one"))
	w.must(err)
	w.must(w.Account(dev).Secrets.Put("pat", "two"))
	w.role(dev, "lane", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"`+arn+`","Condition":{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}}]}`)
	c := secretsOf(w.as(dev, "lane"))
	if got, err := value(c, "pat"); got != "two" || err != nil {
		t.Errorf("current: %q, %v", got, err)
	}
	_, err = value(c, "pat", stage("AWSPREVIOUS"))
	wantCode(t, err, "AccessDeniedException")
}
