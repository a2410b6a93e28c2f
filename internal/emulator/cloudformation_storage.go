package emulator

import (
	"encoding/json"
	"fmt"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

func storageTypes() map[string]*resourceType {
	return map[string]*resourceType{
		"AWS::S3::Bucket":                     bucketType(),
		"AWS::S3::BucketPolicy":               bucketPolicyType(),
		"AWS::SecretsManager::Secret":         secretType(),
		"AWS::SecretsManager::ResourcePolicy": secretPolicyType(),
	}
}

// bucketProperties are those of AWS::S3::Bucket. Lifecycle and ownership are kept
// as they are written.
type bucketProperties struct {
	BucketName                     string            `json:",omitempty"`
	VersioningConfiguration        *bucketVersioning `json:",omitempty"`
	BucketEncryption               *bucketEncryption `json:",omitempty"`
	PublicAccessBlockConfiguration *publicBlock      `json:",omitempty"`
	OwnershipControls              *ownershipRules   `json:",omitempty"`
	LifecycleConfiguration         json.RawMessage   `json:",omitempty"`
}

type bucketVersioning struct{ Status string }

type bucketEncryption struct {
	ServerSideEncryptionConfiguration []encryptionRule
}

type encryptionRule struct {
	ServerSideEncryptionByDefault struct{ SSEAlgorithm string }
}

type publicBlock struct {
	BlockPublicAcls, BlockPublicPolicy, IgnorePublicAcls, RestrictPublicBuckets Flag
}

type ownershipRules struct {
	Rules []struct{ ObjectOwnership string }
}

// configure writes the properties over a bucket's configuration.
func (p *bucketProperties) configure(b *Bucket) error {
	b.Versioned = p.VersioningConfiguration != nil && p.VersioningConfiguration.Status == "Enabled"
	if e := p.BucketEncryption; e != nil {
		if len(e.ServerSideEncryptionConfiguration) != 1 || e.ServerSideEncryptionConfiguration[0].ServerSideEncryptionByDefault.SSEAlgorithm != "AES256" {
			return notModeled("AWS::S3::Bucket", "an encryption other than AES256")
		}
		b.Encryption = "AES256"
	}
	if o := p.OwnershipControls; o != nil && (len(o.Rules) != 1 || o.Rules[0].ObjectOwnership != "BucketOwnerEnforced") {
		return notModeled("AWS::S3::Bucket", "an ownership other than BucketOwnerEnforced")
	}
	var block publicBlock
	if p.PublicAccessBlockConfiguration != nil {
		block = *p.PublicAccessBlockConfiguration
	}
	b.BlockPublicACLs, b.BlockPublicPolicy = bool(block.BlockPublicAcls), bool(block.BlockPublicPolicy)
	b.IgnorePublicACLs, b.RestrictPublicBuckets = bool(block.IgnorePublicAcls), bool(block.RestrictPublicBuckets)
	b.Lifecycle = string(p.LifecycleConfiguration)
	return nil
}

// bucketParts are the actions for the parts of a bucket's configuration.
func bucketParts(v verb, p *bucketProperties) []string {
	prefix := "s3:Put"
	if v == reads {
		prefix = "s3:Get"
	}
	var out []string
	for _, part := range []struct {
		name  string
		given bool
	}{
		{"BucketVersioning", p.VersioningConfiguration != nil},
		{"EncryptionConfiguration", p.BucketEncryption != nil},
		{"BucketPublicAccessBlock", p.PublicAccessBlockConfiguration != nil},
		{"BucketOwnershipControls", p.OwnershipControls != nil},
		{"LifecycleConfiguration", p.LifecycleConfiguration != nil},
	} {
		if part.given {
			out = append(out, prefix+part.name)
		}
	}
	return out
}

// bucketQuestions asks in the bucket's own policy as well.
func bucketQuestions(a *Account, bucket string, actions ...string) []question {
	q := all("arn:aws:s3:::"+bucket, actions...)
	b, ok := a.S3.Bucket(bucket)
	if !ok || b.Policy == "" {
		return q
	}
	doc, err := a.IAM.parse(b.Policy)
	for i := range q {
		if err == nil { // it was read when it was put
			q[i].policies = []*policy.Document{doc}
		}
		q[i].keys = map[string][]string{"aws:SecureTransport": {"true"}}
	}
	return q
}

func bucketType() *resourceType {
	return kind("AWS::S3::Bucket", kindOf[bucketProperties]{
		named: "BucketName", most: 63, lower: true, replace: []string{"BucketName"},
		asks: func(a *Account, v verb, physical string, old, new *bucketProperties) []question {
			switch v {
			case creates:
				return bucketQuestions(a, physical, append([]string{"s3:CreateBucket"}, bucketParts(v, new)...)...)
			case updates:
				return bucketQuestions(a, physical, bucketParts(v, new)...)
			case deletes:
				return bucketQuestions(a, physical, "s3:DeleteBucket")
			}
			p, _ := readBucket(a, physical)
			return bucketQuestions(a, physical, bucketParts(v, &p)...)
		},
		create: func(a *Account, physical string, p bucketProperties) (string, error) {
			b := Bucket{Name: physical}
			if err := p.configure(&b); err != nil {
				return "", err
			}
			return physical, a.S3.CreateBucket(b)
		},
		update: func(a *Account, physical string, _, p bucketProperties) error {
			var wrong error
			err := a.S3.UpdateBucket(physical, func(b *Bucket) { wrong = p.configure(b) })
			if wrong != nil {
				return wrong
			}
			return err
		},
		remove: func(a *Account, physical string, _ bucketProperties) error { return a.S3.DeleteBucket(physical) },
		read:   readBucket,
		attr: func(a *Account, physical, name string) (string, bool) {
			switch name {
			case "Arn":
				return "arn:aws:s3:::" + physical, true
			case "DomainName":
				return physical + ".s3.amazonaws.com", true
			}
			return "", false
		},
	})
}

func readBucket(a *Account, physical string) (bucketProperties, bool) {
	b, ok := a.S3.Bucket(physical)
	if !ok {
		return bucketProperties{}, false
	}
	p := bucketProperties{BucketName: b.Name, VersioningConfiguration: &bucketVersioning{"Suspended"}}
	if b.Versioned {
		p.VersioningConfiguration.Status = "Enabled"
	}
	rule := encryptionRule{}
	rule.ServerSideEncryptionByDefault.SSEAlgorithm = b.Encryption
	p.BucketEncryption = &bucketEncryption{[]encryptionRule{rule}}
	p.PublicAccessBlockConfiguration = &publicBlock{
		BlockPublicAcls: Flag(b.BlockPublicACLs), BlockPublicPolicy: Flag(b.BlockPublicPolicy),
		IgnorePublicAcls: Flag(b.IgnorePublicACLs), RestrictPublicBuckets: Flag(b.RestrictPublicBuckets),
	}
	p.OwnershipControls = &ownershipRules{[]struct{ ObjectOwnership string }{{"BucketOwnerEnforced"}}} // of every new bucket
	if b.Lifecycle != "" {
		p.LifecycleConfiguration = json.RawMessage(b.Lifecycle)
	}
	return p, true
}

type bucketPolicyProperties struct {
	Bucket         string   `json:",omitempty"`
	PolicyDocument document `json:",omitempty"`
}

func bucketPolicyType() *resourceType {
	put := func(a *Account, p bucketPolicyProperties) error {
		return a.S3.UpdateBucket(p.Bucket, func(b *Bucket) { b.Policy = string(p.PolicyDocument) })
	}
	return kind("AWS::S3::BucketPolicy", kindOf[bucketPolicyProperties]{
		replace: []string{"Bucket"},
		asks: func(a *Account, v verb, physical string, _, new *bucketPolicyProperties) []question {
			switch v {
			case creates:
				// The handler refuses to take the place of a policy that is there.
				return bucketQuestions(a, new.Bucket, "s3:GetBucketPolicy", "s3:PutBucketPolicy")
			case updates:
				return bucketQuestions(a, physical, "s3:GetBucketPolicy", "s3:PutBucketPolicy")
			case deletes:
				return bucketQuestions(a, physical, "s3:GetBucketPolicy", "s3:DeleteBucketPolicy")
			}
			return bucketQuestions(a, physical, "s3:GetBucketPolicy")
		},
		create: func(a *Account, _ string, p bucketPolicyProperties) (string, error) {
			if b, _ := a.S3.Bucket(p.Bucket); b.Policy != "" {
				return "", fault("AlreadyExists", "The bucket policy already exists on bucket %s.", p.Bucket)
			}
			return p.Bucket, put(a, p)
		},
		update: func(a *Account, _ string, _, p bucketPolicyProperties) error { return put(a, p) },
		remove: func(a *Account, _ string, p bucketPolicyProperties) error {
			p.PolicyDocument = ""
			return put(a, p)
		},
		read: func(a *Account, physical string) (bucketPolicyProperties, bool) {
			b, _ := a.S3.Bucket(physical)
			return bucketPolicyProperties{physical, document(b.Policy)}, b.Policy != ""
		},
		attr: func(*Account, string, string) (string, bool) { return "", false },
	})
}

type secretProperties struct {
	Name        string `json:",omitempty"`
	Description string `json:",omitempty"`
}

// secretQuestions asks in the secret's own policy as well.
func secretQuestions(a *Account, arn string, actions ...string) []question {
	q := all(arn, actions...)
	s, ok := a.Secrets.Secret(arn)
	if !ok || s.Policy == "" {
		return q
	}
	if doc, err := a.IAM.parse(s.Policy); err == nil { // it was read when it was put
		for i := range q {
			q[i].policies = []*policy.Document{doc}
		}
	}
	return q
}

func secretType() *resourceType {
	return kind("AWS::SecretsManager::Secret", kindOf[secretProperties]{
		named: "Name", most: 512, replace: []string{"Name"},
		asks: func(a *Account, v verb, physical string, _, _ *secretProperties) []question {
			switch v {
			case creates:
				// Its ARN gets six more characters, which nobody knows yet.
				return all(a.arn("secretsmanager", "secret:"+physical+"-??????"), "secretsmanager:CreateSecret")
			case updates:
				return secretQuestions(a, physical, "secretsmanager:UpdateSecret")
			case deletes:
				return secretQuestions(a, physical, "secretsmanager:DeleteSecret", "secretsmanager:DescribeSecret")
			}
			return secretQuestions(a, physical, "secretsmanager:DescribeSecret")
		},
		create: func(a *Account, physical string, p secretProperties) (string, error) {
			return a.Secrets.Create(physical, p.Description, nil)
		},
		update: func(a *Account, physical string, _, p secretProperties) error {
			return a.Secrets.Update(physical, func(s *Secret) { s.Description = p.Description })
		},
		remove: func(a *Account, physical string, _ secretProperties) error { return a.Secrets.Delete(physical) },
		read: func(a *Account, physical string) (secretProperties, bool) {
			s, ok := a.Secrets.Secret(physical)
			return secretProperties{Name: s.Name, Description: s.Description}, ok
		},
		attr: func(_ *Account, physical, name string) (string, bool) { return physical, name == "Id" },
	})
}

type secretPolicyProperties struct {
	SecretID          string   `json:"SecretId,omitempty"`
	ResourcePolicy    document `json:",omitempty"`
	BlockPublicPolicy Flag     `json:",omitempty"`
}

func secretPolicyType() *resourceType {
	put := func(a *Account, p secretPolicyProperties) error {
		return a.Secrets.Update(p.SecretID, func(s *Secret) { s.Policy = string(p.ResourcePolicy) })
	}
	return kind("AWS::SecretsManager::ResourcePolicy", kindOf[secretPolicyProperties]{
		replace: []string{"SecretId"},
		asks: func(a *Account, v verb, physical string, _, new *secretPolicyProperties) []question {
			secret := physical
			if new != nil {
				secret = new.SecretID
			}
			switch v {
			case creates, updates:
				q := secretQuestions(a, secret, "secretsmanager:PutResourcePolicy")
				for i := range q {
					q[i].keys = map[string][]string{"secretsmanager:BlockPublicPolicy": {fmt.Sprint(bool(new.BlockPublicPolicy))}}
				}
				return q
			case deletes:
				return secretQuestions(a, secret, "secretsmanager:DeleteResourcePolicy")
			}
			return secretQuestions(a, secret, "secretsmanager:GetResourcePolicy")
		},
		create: func(a *Account, _ string, p secretPolicyProperties) (string, error) { return p.SecretID, put(a, p) },
		update: func(a *Account, _ string, _, p secretPolicyProperties) error { return put(a, p) },
		remove: func(a *Account, _ string, p secretPolicyProperties) error {
			p.ResourcePolicy = ""
			return put(a, p)
		},
		read: func(a *Account, physical string) (secretPolicyProperties, bool) {
			s, _ := a.Secrets.Secret(physical)
			// What is blocked is asked when a policy is put, and not kept.
			return secretPolicyProperties{SecretID: s.ARN, ResourcePolicy: document(s.Policy), BlockPublicPolicy: true}, s.Policy != ""
		},
		attr: func(*Account, string, string) (string, bool) { return "", false },
	})
}
