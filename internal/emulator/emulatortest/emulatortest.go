// Package emulatortest stands an emulated account up from our own templates, for
// tests of what runs in one: with the roles, policies, buckets, pipelines and
// projects that a real one has.
//
// What is not here: tests of the account itself, and how synops deploys one.
package emulatortest

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	templates "github.com/Sage-Bionetworks/synapse-ops-core/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// The account that New makes.
const (
	Account = "111111111111"
	Region  = "us-east-1"
)

const bootstrap = "synops-bootstrap"

// A World is one account, environment dev, with the bootstrap deployed.
type World struct {
	T     testing.TB
	Cloud *emulator.Cloud
	Dev   *emulator.Account
	URL   string

	carrier http.RoundTripper // takes what is asked by Config; nil: the network does
}

// New serves an account that is quick but otherwise behaves as documented, and
// deploys the bootstrap. change may alter how it behaves.
func New(t testing.TB, change ...func(*emulator.Settings)) *World {
	t.Helper()
	w := empty(t, change)
	server := httptest.NewServer(w.Cloud)
	t.Cleanup(server.Close)
	w.at(server.URL)
	return w
}

// NewUnserved is New for tests whose time is not the machine's (testing/synctest),
// and so without a network: Config asks the account in this process, and builds'
// commands must be done there (emulator.Builds.Command).
func NewUnserved(t testing.TB, change ...func(*emulator.Settings)) *World {
	t.Helper()
	w := empty(t, change)
	w.carrier = Carrier(w.Cloud)
	w.at("http://127.0.0.1:1") // loopback, as a served one is
	return w
}

// empty is an account without anything in it.
func empty(t testing.TB, change []func(*emulator.Settings)) *World {
	s := emulator.Defaults()
	s.Stacks.Step, s.LogDelay = time.Millisecond, 50*time.Millisecond
	s.Builds.Provisioning, s.Builds.StopDelay = 20*time.Millisecond, 10*time.Millisecond
	s.Pipelines.VisibleAfter, s.Pipelines.Lag = 30*time.Millisecond, 10*time.Millisecond
	s.Rates = nil
	for _, f := range change {
		f(&s)
	}
	cloud := emulator.New(emulator.Config{Accounts: []emulator.AccountConfig{{ID: Account, Name: "dev", Region: Region}}, Dir: t.TempDir(), Settings: &s})
	t.Cleanup(cloud.Close)
	return &World{T: t, Cloud: cloud, Dev: cloud.Account(Account)}
}

// at tells where the account is asked, and deploys the bootstrap.
func (w *World) at(url string) {
	w.URL = url
	w.Cloud.SetURL(url)
	w.stack(bootstrap, templates.Bootstrap(), w.Admin(), "", map[string]string{
		"Environment": "dev", "GitHubOrg": "Sage-Bionetworks", "OrgId": "1234", "OpsRepository": "synapse-ops-dev",
		"OpsRepositoryId": "5678", "CoreRepository": "synapse-ops-core", "SubjectFormat": "classic",
		"AdministratorRoleArn": "arn:aws:iam::" + Account + ":user/administrator",
	})
}

func (w *World) ok(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Lane deploys a lane as the role does that deploys, for a service at host.
func (w *World) Lane(lane, host string) {
	w.T.Helper()
	w.stack("synops-lane-"+lane, templates.Lane, w.As("synops-deploy"), "arn:aws:iam::"+Account+":role/synops-cloudformation", map[string]string{
		"Lane": lane, "Environment": "dev", "SynapseHost": host, "VpcId": "vpc-1",
		"SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1", "Architecture": "arm64",
	})
}

// Resource is the physical name of one of the bootstrap's resources.
func (w *World) Resource(logical string) string { return w.Dev.Stacks.Resource(bootstrap, logical) }

// Bundle publishes files, by name, as the bundle that builds run, of the release that
// tests are, and returns its version.
func (w *World) Bundle(files map[string]string) string {
	w.T.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		f, err := z.Create(name)
		w.ok(err)
		_, err = f.Write([]byte(text))
		w.ok(err)
	}
	w.ok(z.Close())
	version, err := w.Dev.S3.Put(w.Resource("BundleBucket"), "bundle.zip", b.Bytes())
	w.ok(err)
	w.Current(version, "devel", "devel")
	return version
}

// Current says which version of the bundle runs, of which release it is, and which is
// the lowest allowed.
func (w *World) Current(version, synops, lowest string) {
	w.T.Helper()
	doc := fmt.Sprintf(`{"version_id":%q,"synops":%q,"lowest_allowed":%q,"digest":"","commit":"","built":"2026-11-23T00:00:00Z"}`, version, synops, lowest)
	_, err := w.Dev.S3.Put(w.Resource("BundleBucket"), "current.json", []byte(doc))
	w.ok(err)
}

// Config acts with the keys. What fails for a moment is asked again at once.
func (w *World) Config(k emulator.Credentials) aws.Config {
	c := aws.Config{
		Region: Region, BaseEndpoint: &w.URL, Credentials: credentials.NewStaticCredentialsProvider(k.AccessKeyID, k.SecretAccessKey, k.SessionToken),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 20 * time.Millisecond })
		},
		// As the SDK's own configuration has them.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}
	if w.carrier != nil {
		c.HTTPClient = &http.Client{Transport: w.carrier}
	}
	return c
}

// Admin acts as the account's administrator.
func (w *World) Admin() aws.Config {
	id, secret := w.Cloud.AdminCredentials(Account)
	return w.Config(emulator.Credentials{AccessKeyID: id, SecretAccessKey: secret})
}

// Keys are those of a session of the role, with what the templates let it do.
func (w *World) Keys(role string) emulator.Credentials {
	w.T.Helper()
	k, err := w.Dev.IAM.RoleCredentials(role, "test", time.Hour)
	w.ok(err)
	return k
}

// As acts as a session of the role.
func (w *World) As(role string) aws.Config { w.T.Helper(); return w.Config(w.Keys(role)) }

// Denials are the questions that were answered no, a line each, for who reads a
// failure.
func (w *World) Denials() string {
	var b strings.Builder
	for _, a := range w.Cloud.Asked() {
		if !a.Allowed {
			fmt.Fprintf(&b, "%s may not %s on %s: %s\n", a.Principal, a.Action, a.Resource, a.Reason)
		}
	}
	return b.String()
}

// stack creates a stack and waits for it.
func (w *World) stack(name string, template []byte, as aws.Config, role string, parameters map[string]string) {
	w.T.Helper()
	ctx, set, c := context.Background(), aws.String("first"), cloudformation.NewFromConfig(as)
	in := &cloudformation.CreateChangeSetInput{
		StackName: &name, ChangeSetName: set, ChangeSetType: cftypes.ChangeSetTypeCreate, TemplateBody: aws.String(string(template)),
		Capabilities: []cftypes.Capability{cftypes.CapabilityCapabilityNamedIam},
	}
	if role != "" {
		in.RoleARN = &role
	}
	for k, v := range parameters {
		in.Parameters = append(in.Parameters, cftypes.Parameter{ParameterKey: &k, ParameterValue: &v})
	}
	_, err := c.CreateChangeSet(ctx, in)
	w.ok(err)
	sets := cloudformation.NewChangeSetCreateCompleteWaiter(c, func(o *cloudformation.ChangeSetCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Millisecond
	})
	w.ok(sets.Wait(ctx, &cloudformation.DescribeChangeSetInput{StackName: &name, ChangeSetName: set}, 20*time.Second))
	_, err = c.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: &name, ChangeSetName: set})
	w.ok(err)
	stacks := cloudformation.NewStackCreateCompleteWaiter(c, func(o *cloudformation.StackCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Millisecond
	})
	w.ok(stacks.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: &name}, 20*time.Second))
}
