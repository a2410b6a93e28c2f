package emulator_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// TestAuthorize_TypedDenials: each service says no in its own code, and nothing
// is left open to a role without permissions.
func TestAuthorize_TypedDenials(t *testing.T) {
	w := newWorld(t)
	w.role(dev, "powerless", allows("*", "ec2:DescribeVpcs"))
	w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "store-1"}))
	topic, err := w.Account(dev).SNS.CreateTopic("alarms")
	w.must(err)
	c := w.as(dev, "powerless")
	for _, tc := range []struct {
		name, want string
		do         func() error
	}{
		{"s3", "AccessDenied", func() error {
			_, err := s3Of(c).GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("store-1"), Key: aws.String("k")})
			return err
		}},
		{"secretsmanager", "AccessDeniedException", func() error {
			_, err := secretsOf(c).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("nothing")})
			return err
		}},
		{"logs", "AccessDeniedException", func() error {
			_, err := logsOf(c).GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("s")})
			return err
		}},
		{"iam", "AccessDenied", func() error {
			_, err := iamOf(c).GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("powerless")})
			return err
		}},
		{"sns", "AuthorizationError", func() error {
			_, err := snsOf(c).Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String("m")})
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) { wantCode(t, tc.do(), tc.want) })
	}
}

// TestAuthorize_Boundary: an administrator's policy within a boundary is the boundary.
func TestAuthorize_Boundary(t *testing.T) {
	w := newWorld(t)
	m := w.Account(dev).IAM
	boundary, err := m.PutPolicy("synops-boundary", "", allows("arn:aws:s3:::store-1/*", "s3:GetObject"))
	w.must(err)
	w.role(dev, "r", allows("*", "*"))
	w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "store-1"}))
	_, err = w.Account(dev).S3.Put("store-1", "k", []byte("x"))
	w.must(err)
	c := s3Of(w.as(dev, "r"))
	put := func() error {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("store-1"), Key: aws.String("n")})
		return err
	}
	wantCode(t, put(), "")
	w.must(m.UpdateRole("r", func(r *emulator.Role) { r.Boundary = boundary }))
	wantCode(t, put(), "AccessDenied")
	if _, err := get(c, "k"); err != nil {
		t.Errorf("what the boundary admits: %v", err)
	}
}

// TestAuthorize_CrossAccount: a role of dev that may do everything reaches nothing
// of prod that prod does not give it.
func TestAuthorize_CrossAccount(t *testing.T) {
	w := newWorld(t)
	w.role(dev, "all", allows("*", "*"))
	w.role(dev, "none", allows("*", "ec2:DescribeVpcs"))
	for _, b := range []emulator.Bucket{
		{Name: "closed"},
		{Name: "given", Policy: bucketPolicy("given", "Allow", `{"AWS":"arn:aws:iam::`+dev+`:root"}`, "s3:PutObject", "")},
	} {
		w.must(w.Account(prod).S3.CreateBucket(b))
	}
	arn, err := w.Account(prod).Secrets.Create("admin-pat", "", aws.String("hidden"))
	w.must(err)
	put := func(role, bucket string) error {
		_, err := s3Of(w.as(dev, role)).PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k")})
		return err
	}
	wantCode(t, put("all", "closed"), "AccessDenied")
	wantCode(t, put("none", "given"), "AccessDenied")
	wantCode(t, put("all", "given"), "")
	_, err = secretsOf(w.as(dev, "all")).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	wantCode(t, err, "AccessDeniedException")
	_, err = secretsOf(w.as(dev, "all")).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("admin-pat")})
	wantCode(t, err, "ResourceNotFoundException") // by name it is one of dev's, which dev has not
}

// TestAuthorize_Asked: every question is on record, by role, with its answer.
func TestAuthorize_Asked(t *testing.T) {
	w := newWorld(t)
	w.role(dev, "r", `{"Version":"2012-10-17","Statement":[{"Sid":"Read","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::store-1/*"}]}`)
	w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "store-1"}))
	_, err := w.Account(dev).S3.Put("store-1", "k", nil)
	w.must(err)
	c := s3Of(w.as(dev, "r"))
	for range 2 {
		_, err = get(c, "k")
		w.must(err)
	}
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("store-1"), Key: aws.String("k")})
	wantCode(t, err, "AccessDenied")
	got := slices.DeleteFunc(w.Asked(), func(a emulator.Ask) bool { return !strings.HasPrefix(a.Action, "s3:") })
	role := "arn:aws:iam::" + dev + ":role/r"
	want := []emulator.Ask{
		{Account: dev, Principal: role, Action: "s3:GetObject", Resource: "arn:aws:s3:::store-1/k", Allowed: true, Statement: "Read", Times: 2},
		{Account: dev, Principal: role, Action: "s3:DeleteObject", Resource: "arn:aws:s3:::store-1/k", Times: 1},
	}
	for i := range got {
		got[i].Reason = ""
	}
	if !slices.Equal(got, want) {
		t.Errorf("asked %+v,\nwant %+v", got, want)
	}
}

// TestAuthorize_NotModeled: what is not modeled is refused by name, not ignored.
func TestAuthorize_NotModeled(t *testing.T) {
	w := newWorld(t)
	w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "store-1"}))
	c := w.admin(dev)
	for name, do := range map[string]func() error{
		`"DeleteSecret"`: func() error {
			_, err := secretsOf(c).DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("s")})
			return err
		},
		`"KmsKeyId"`: func() error {
			_, err := secretsOf(c).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("s"), KmsKeyId: aws.String("k")})
			return err
		},
		`"ListRoles"`: func() error { _, err := iamOf(c).ListRoles(ctx, &iam.ListRolesInput{}); return err },
		`"MessageStructure"`: func() error {
			_, err := snsOf(c).Publish(ctx, &sns.PublishInput{TopicArn: aws.String("arn:aws:sns:us-east-1:111111111111:t"), Message: aws.String("m"), MessageStructure: aws.String("json")})
			return err
		},
		"x-amz-acl": func() error {
			_, err := s3Of(c).PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("store-1"), Key: aws.String("k"), ACL: types.ObjectCannedACLPrivate})
			return err
		},
		"uploads": func() error {
			_, err := s3Of(c).CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String("store-1"), Key: aws.String("k")})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := do()
			wantCode(t, err, "NotModelled")
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v does not name %s", err, name)
			}
		})
	}
}

// bucketPolicy is a bucket's policy with one statement about its objects.
func bucketPolicy(bucket, effect, principal, action, condition string) string {
	s := `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Principal":` + principal + `,"Action":"` + action + `","Resource":"arn:aws:s3:::` + bucket + `/*"`
	if condition != "" {
		s += `,"Condition":` + condition
	}
	return s + `}]}`
}
