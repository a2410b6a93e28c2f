package emulator

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Config says which accounts there are and how they behave.
type Config struct {
	Accounts []AccountConfig
	// Latency is what every call takes at least.
	Latency time.Duration
	// Issuers tells where the keys of an identity provider are served, by the
	// provider's URL without scheme, such as token.actions.githubusercontent.com:
	// a base URL on loopback that answers /.well-known/openid-configuration.
	Issuers map[string]string
	// Dir is for what builds write; it must exist when builds run.
	Dir string
	Log *slog.Logger // nil: nothing is logged
	// Now is the account's clock; nil: the machine's.
	Now func() time.Time
	// InsecureTransport makes plain http count as such. By default calls over
	// loopback http have aws:SecureTransport true, as if TLS ended before us.
	InsecureTransport bool
	// Settings are the documented behaviors; nil: Defaults().
	Settings *Settings
}

// AccountConfig is one account. It has one region: nothing of ours uses two.
type AccountConfig struct {
	ID     string // 12 digits
	Name   string // such as "dev"
	Region string // such as us-east-1
}

// A Cloud serves all services of all accounts on one address; who signed a call
// decides which account it is for. Safe for concurrent use.
type Cloud struct {
	config   Config
	settings Settings
	accounts []*Account
	services map[string]service // by the service's name in a signature's scope
	unsigned *http.ServeMux     // paths below /_cloud/, answered without a signature

	keys      keyring
	asked     ledger
	throttles throttles
	tokens    verifier
	transport *http.Transport // for what the cloud asks or tells others
	served    address

	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	working sync.WaitGroup
}

// An Account is one account's state, by service. Its methods act without asking
// for permission: they are for tests that arrange, and for services that call each
// other after they have asked.
type Account struct {
	ID     string
	Name   string
	Region string

	IAM        *IAM
	S3         *S3
	Secrets    *Secrets
	Logs       *Logs
	SNS        *SNS
	Events     *Events
	CloudWatch *CloudWatch
	EC2        *EC2
	CodeBuild  *CodeBuild
	Pipelines  *CodePipeline
	Stacks     *CloudFormation

	cloud *Cloud
}

// New returns a cloud with empty accounts. Close ends what works in its background.
func New(c Config) *Cloud {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	cloud := &Cloud{config: c, settings: Defaults(), unsigned: http.NewServeMux(), transport: &http.Transport{}}
	cloud.tokens.transport = cloud.transport
	if c.Settings != nil {
		cloud.settings = *c.Settings
	}
	cloud.ctx, cloud.stop = context.WithCancel(context.Background())
	for _, a := range c.Accounts {
		cloud.accounts = append(cloud.accounts, newAccount(cloud, a))
	}
	cloud.services = services()
	cloud.handleUnsigned(credentialsPath, cloud.serveBuildCredentials)
	return cloud
}

// services is every service that is modeled, by its name in a signature's scope.
func services() map[string]service {
	return map[string]service{
		"sts":            stsService(),
		"iam":            iamService(),
		"s3":             s3Service{},
		"secretsmanager": secretsService(),
		"logs":           logsService(),
		"sns":            snsService(),
		"events":         eventsService(),
		"monitoring":     cloudWatchService(),
		"ec2":            ec2Service(),
		"codebuild":      codeBuildService(),
		"codepipeline":   codePipelineService(),
		"cloudformation": cloudFormationService(),
	}
}

func newAccount(c *Cloud, conf AccountConfig) *Account {
	a := &Account{ID: conf.ID, Name: conf.Name, Region: conf.Region, cloud: c}
	a.IAM = newIAM(a)
	a.S3 = newS3(a)
	a.Secrets = newSecrets(a)
	a.Logs = newLogs(a)
	a.SNS = newSNS(a)
	a.Events = newEvents(a)
	a.CloudWatch = newCloudWatch(a)
	a.EC2 = newEC2(a)
	a.CodeBuild = newCodeBuild(a)
	a.Pipelines = newCodePipeline(a)
	a.Stacks = newCloudFormation(a)
	return a
}

// Account returns the account with this ID or name; nil when there is none.
func (c *Cloud) Account(id string) *Account {
	i := slices.IndexFunc(c.accounts, func(a *Account) bool { return a.ID == id || a.Name == id })
	if i < 0 {
		return nil
	}
	return c.accounts[i]
}

// Close ends all work in the background and returns when it has ended.
func (c *Cloud) Close() {
	c.stop()
	c.working.Wait()
	c.transport.CloseIdleConnections()
}

// background runs fn until it returns; fn must return soon after ctx has ended.
func (c *Cloud) background(fn func(ctx context.Context)) {
	c.working.Add(1)
	go func() {
		defer c.working.Done()
		fn(c.ctx)
	}()
}

// handleUnsigned answers a path below /_cloud/ without asking for a signature, as
// the credentials endpoint of a build does.
func (c *Cloud) handleUnsigned(pattern string, h http.HandlerFunc) { c.unsigned.HandleFunc(pattern, h) }

// now is the cloud's time, in UTC.
func (c *Cloud) now() time.Time { return c.config.Now().UTC() }

// wait passes d, or less when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// arn returns an ARN of this account and region.
func (a *Account) arn(service, resource string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, a.Region, a.ID, resource)
}
