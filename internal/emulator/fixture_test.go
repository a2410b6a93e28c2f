package emulator_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	dev    = "111111111111"
	prod   = "222222222222"
	region = "us-east-1"
)

// A clock is the accounts' time; it stands still unless told.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// A world is two accounts and an issuer on loopback.
type world struct {
	*emulator.Cloud
	t      *testing.T
	url    string
	issuer *emulator.Issuer
	clock  *clock
	client *http.Client
}

// newWorld begins at this machine's time, for the SDK signs with it. change may
// alter the settings.
func newWorld(t *testing.T, change ...func(*emulator.Config)) *world {
	t.Helper()
	issuer := emulator.NewIssuer()
	idp := httptest.NewServer(issuer)
	c := &clock{at: time.Now()}
	settings := emulator.Defaults()
	conf := emulator.Config{
		Accounts: []emulator.AccountConfig{{ID: dev, Name: "dev", Region: region}, {ID: prod, Name: "prod", Region: region}},
		Issuers:  map[string]string{"token.actions.githubusercontent.com": idp.URL},
		Now:      c.now, Settings: &settings,
	}
	for _, f := range change {
		f(&conf)
	}
	issuer.Now = c.now
	cloud := emulator.New(conf)
	server := httptest.NewServer(cloud)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
		cloud.Close()
		idp.Close()
	})
	return &world{Cloud: cloud, t: t, url: server.URL, issuer: issuer, clock: c, client: &http.Client{Transport: transport}}
}

// must ends the test on an error.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) config(id, secret, token string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: &w.url, HTTPClient: w.client,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
		// As the SDK's own configuration has them.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}
}

// admin acts as the account's administrator.
func (w *world) admin(account string) aws.Config {
	id, secret := w.AdminCredentials(account)
	return w.config(id, secret, "")
}

// as acts as a session of the role.
func (w *world) as(account, role string) aws.Config {
	w.t.Helper()
	k, err := w.Account(account).IAM.RoleCredentials(role, "test", time.Hour)
	w.must(err)
	return w.config(k.AccessKeyID, k.SecretAccessKey, k.SessionToken)
}

// nobody acts without credentials.
func (w *world) nobody() aws.Config {
	c := w.config("", "", "")
	c.Credentials = aws.AnonymousCredentials{}
	return c
}

// role stores a role that EC2 may assume, with one inline policy.
func (w *world) role(account, name, policy string) emulator.Role {
	w.t.Helper()
	r, err := w.Account(account).IAM.CreateRole(emulator.Role{
		Name: name, Trust: trust(`"Service":"ec2.amazonaws.com"`, "sts:AssumeRole", ""), Inline: map[string]string{"p": policy},
	})
	w.must(err)
	return r
}

// trust is a role's trust policy with one statement.
func trust(principal, action, condition string) string {
	s := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{` + principal + `},"Action":"` + action + `"`
	if condition != "" {
		s += `,"Condition":` + condition
	}
	return s + `}]}`
}

// allows is an identity policy with one statement.
func allows(resource string, actions ...string) string {
	list := ""
	for i, a := range actions {
		if i > 0 {
			list += ","
		}
		list += `"` + a + `"`
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + list + `],"Resource":"` + resource + `"}]}`
}

func s3Of(c aws.Config) *s3.Client {
	return s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true })
}

func secretsOf(c aws.Config) *secretsmanager.Client { return secretsmanager.NewFromConfig(c) }
func logsOf(c aws.Config) *cloudwatchlogs.Client    { return cloudwatchlogs.NewFromConfig(c) }
func stsOf(c aws.Config) *sts.Client                { return sts.NewFromConfig(c) }
func iamOf(c aws.Config) *iam.Client                { return iam.NewFromConfig(c) }
func snsOf(c aws.Config) *sns.Client                { return sns.NewFromConfig(c) }
func eventsOf(c aws.Config) *eventbridge.Client     { return eventbridge.NewFromConfig(c) }

// codeOf is the code the SDK reads out of an error; "" for none.
func codeOf(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return "no API error: " + err.Error()
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if got := codeOf(err); got != want {
		t.Errorf("code %q (%v), want %q", got, err, want)
	}
}

var ctx = context.Background()
