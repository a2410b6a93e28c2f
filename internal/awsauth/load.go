// Package awsauth gets credentials for an AWS account, real or emulated: in GitHub
// Actions by exchanging the job's identity token for a role, elsewhere by the
// SDK's default chain. It says which account they belong to, reads secrets from
// Secrets Manager, and puts AWS's errors into our words.
//
// What is not here: what may be done with the credentials. Roles and policies
// decide that.
package awsauth

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Options says whose credentials are wanted.
type Options struct {
	Region string // such as us-east-1; "": as the SDK finds it
	// RoleARN is the role that an Actions job exchanges its identity token for. It is
	// not looked at outside Actions: there the default chain says who we are.
	RoleARN string
	// SessionName names the session in CloudTrail, such as the run's ID and attempt;
	// "": "synops". What AWS does not take in it is replaced by "-".
	SessionName string
	// Getenv looks up our own variables and AWS's for an endpoint and keys; nil: none is
	// set. What else the SDK reads (profiles, a build's container), it reads itself.
	Getenv func(string) string
	// Client sends the request for an identity token; nil: one that waits 10 s.
	Client *http.Client
}

func (o *Options) getenv(name string) string {
	if o.Getenv == nil {
		return ""
	}
	return o.Getenv(name)
}

// How long before their end credentials are renewed, and how long they are asked
// for: long role sessions buy nothing where an identity token can be had anew.
const (
	renewBefore = 5 * time.Minute
	sessionLife = time.Hour
)

// mostAttempts is how often a call is made that AWS throttles or a line drops.
const mostAttempts = 5

// Config is credentials and where to use them, for whoever hands them on without
// knowing the SDK.
type Config = aws.Config

// Load returns a configuration whose credentials are fetched at first use and
// renewed before they expire. AWS_ENDPOINT_URL sends all services elsewhere; plain
// http is taken for loopback only. The error is Invalid for options that make no
// sense; whether the credentials are any good, Identity tells.
func Load(ctx context.Context, o Options) (aws.Config, error) {
	opts := []func(*config.LoadOptions) error{config.WithRetryMaxAttempts(mostAttempts)}
	if o.Region != "" {
		opts = append(opts, config.WithRegion(o.Region))
	}
	if endpoint := o.getenv("AWS_ENDPOINT_URL"); endpoint != "" {
		if err := checkEndpoint("AWS_ENDPOINT_URL", endpoint); err != nil {
			return aws.Config{}, err
		}
		opts = append(opts, config.WithBaseEndpoint(endpoint))
	}
	// The chain's first source, asked here: what Getenv says counts, whoever calls.
	if id, key := o.getenv("AWS_ACCESS_KEY_ID"), o.getenv("AWS_SECRET_ACCESS_KEY"); id != "" && key != "" {
		opts = append(opts, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(id, key, o.getenv("AWS_SESSION_TOKEN"))))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return aws.Config{}, &ops.Error{Code: ops.Invalid, Message: "The AWS configuration of this machine cannot be read: " + oneLine(err) + ".", Hint: "Check AWS_PROFILE and the files under ~/.aws.", Err: err}
	}
	if o.RoleARN == "" || !InActions(o.Getenv) {
		return renewing(cfg), nil
	}
	if len(o.RoleARN) > mostRole || !rolePattern().MatchString(o.RoleARN) {
		return aws.Config{}, &ops.Error{Code: ops.Invalid, Message: ops.Quote(o.RoleARN) + " is not a role's ARN.", Hint: "It looks like arn:aws:iam::111111111111:role/synops-observe."}
	}
	token, err := newIDToken(&o)
	if err != nil {
		return aws.Config{}, err
	}
	// This client signs nothing: the token is the credential.
	anonymous := cfg.Copy()
	anonymous.Credentials = aws.AnonymousCredentials{}
	provider := stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(anonymous), o.RoleARN, token, func(w *stscreds.WebIdentityRoleOptions) {
		w.RoleSessionName = SessionName(o.SessionName)
		w.Duration = sessionLife
	})
	cfg.Credentials = aws.NewCredentialsCache(provider, func(c *aws.CredentialsCacheOptions) { c.ExpiryWindow = renewBefore })
	return renewing(cfg), nil
}

// renewing has credentials that AWS calls expired before their time is over fetched
// anew, and the call made again. Those that are given once and for all stay as they
// are.
func renewing(cfg aws.Config) aws.Config {
	cache, ok := cfg.Credentials.(*aws.CredentialsCache)
	if !ok || cache.IsCredentialsProvider(credentials.StaticCredentialsProvider{}) {
		return cfg
	}
	anew := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		if code := CodeOfAPI(err); code != "ExpiredToken" && code != "ExpiredTokenException" {
			return aws.UnknownTernary
		}
		cache.Invalidate()
		return aws.TrueTernary
	})
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = mostAttempts
			o.Retryables = append([]retry.IsErrorRetryable{anew}, o.Retryables...)
		})
	}
	return cfg
}

// InActions tells whether this is a GitHub Actions job that may ask for identity
// tokens.
func InActions(getenv func(string) string) bool {
	return getenv != nil && getenv(varTokenURL) != "" && getenv(varToken) != ""
}

// mostRole bounds what is handed to STS: 512 bytes of path and name, and what stands
// before them.
const mostRole = 550

var rolePattern = ops.Pattern(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$`)

var notInSession = ops.Pattern(`[^A-Za-z0-9_+=,.@-]+`)

// SessionName makes a name that STS takes: 2 to 64 of [\w+=,.@-].
func SessionName(s string) string {
	s = notInSession().ReplaceAllString(s, "-")
	if len(s) < 2 {
		return "synops"
	}
	return s[:min(len(s), 64)]
}

// checkEndpoint refuses to send credentials in the clear.
func checkEndpoint(name, endpoint string) error {
	if strings.HasPrefix(endpoint, "https://") || strings.HasPrefix(endpoint, "http://") && ops.Loopback(endpoint) {
		return nil
	}
	return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s %s is neither https nor on this machine.", name, ops.Quote(endpoint)), Hint: "Plain http is taken for 127.0.0.1 only, such as http://127.0.0.1:4566."}
}

// An Identity is who AWS says we are.
type Identity struct {
	Account string // 12 digits
	ARN     string // of the user, or of the assumed role's session
}

// Role is the name of the role whose session this is, "" for a user.
func (i Identity) Role() string {
	_, resource, _ := strings.Cut(i.ARN, ":assumed-role/")
	role, _, _ := strings.Cut(resource, "/")
	return role
}

// WhoAmI asks STS whose credentials cfg has. Denied: they are not taken, or there
// are none; Unavailable: STS cannot be reached.
func WhoAmI(ctx context.Context, cfg aws.Config) (Identity, error) {
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Identity{}, Explain("asking AWS who we are", err)
	}
	return Identity{Account: aws.ToString(out.Account), ARN: aws.ToString(out.Arn)}, nil
}

// Configured tells whether this process was given AWS credentials at all, without
// asking anybody: variables, files, a build's container or an Actions job.
func Configured(getenv func(string) string) bool {
	if InActions(getenv) && getenv("ROLE_TO_ASSUME") != "" {
		return true
	}
	for _, name := range []string{"config", "credentials"} {
		if home := getenv("HOME"); home != "" {
			if _, err := os.Stat(filepath.Join(home, ".aws", name)); err == nil {
				return true
			}
		}
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
		if getenv(name) != "" {
			return true
		}
	}
	return false
}
