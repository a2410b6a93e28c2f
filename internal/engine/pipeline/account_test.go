package pipeline_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	templates "github.com/Sage-Bionetworks/synapse-ops-core/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/enginetest"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/pipeline"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/s3"
)

// TestMain makes the test binary the bundle's program: "work --store URL -- RUN",
// as the lane's template calls it.
func TestMain(m *testing.M) {
	if len(os.Args) > 5 && os.Args[1] == "work" {
		if err := work(os.Args[3], os.Args[5]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// work plays a worker, with what a build has in its environment.
func work(url, run string) error {
	ctx := context.Background()
	cfg, err := awsauth.Load(ctx, awsauth.Options{Getenv: os.Getenv})
	if err != nil {
		return err
	}
	st := store.New(s3.New(cfg, strings.TrimPrefix(url, "s3://")))
	ref := ops.RunRef{Lane: ops.Lane(os.Getenv("SYNOPS_LANE")), Run: ops.RunID(run)}
	me := ops.Attempt{Host: "build", Build: os.Getenv("CODEBUILD_BUILD_ID"), Stream: os.Getenv("CODEBUILD_LOG_PATH")}
	if err := enginetest.Work(ctx, st, ref, me, os.Stdout); err != nil {
		return err
	}
	s, err := st.Status(ctx, ref)
	if err == nil && s.Result != nil && s.Result.Attempt == s.Starts[len(s.Starts)-1].N {
		fmt.Println(ops.LineEnded)
	}
	return err
}

const (
	account = "111111111111"
	region  = "us-east-1"
)

// A world is an account with the bootstrap and lane admin deployed, and a bundle
// whose program is this test's.
type world struct {
	*testing.T
	cloud *emulator.Cloud
	dev   *emulator.Account
	url   string
	store *store.Store // as the launcher's role has it
}

// newWorld deploys an account. change may alter how it behaves.
func newWorld(t *testing.T, change ...func(*emulator.Settings)) *world {
	t.Helper()
	s := emulator.Defaults()
	s.Stacks.Step, s.LogDelay = time.Millisecond, 50*time.Millisecond
	s.Builds.Provisioning, s.Builds.StopDelay = 20*time.Millisecond, 10*time.Millisecond
	s.Pipelines.VisibleAfter, s.Pipelines.Lag = 30*time.Millisecond, 10*time.Millisecond
	s.Rates = nil
	for _, f := range change {
		f(&s)
	}
	cloud := emulator.New(emulator.Config{Accounts: []emulator.AccountConfig{{ID: account, Name: "dev", Region: region}}, Dir: t.TempDir(), Settings: &s})
	server := httptest.NewServer(cloud)
	cloud.SetURL(server.URL)
	t.Cleanup(func() { server.Close(); cloud.Close() })
	w := &world{T: t, cloud: cloud, dev: cloud.Account(account), url: server.URL}
	w.deploy("synops-bootstrap", templates.Bootstrap, w.admin(), "", map[string]string{
		"Environment": "dev", "GitHubOrg": "Sage-Bionetworks", "OrgId": "1234", "OpsRepository": "synapse-ops-dev",
		"OpsRepositoryId": "5678", "CoreRepository": "synapse-ops-core", "SubjectFormat": "classic",
		"AdministratorRoleArn": "arn:aws:iam::" + account + ":user/administrator",
	})
	w.deploy("synops-lane-admin", templates.Lane, w.as("synops-deploy"), "arn:aws:iam::"+account+":role/synops-cloudformation", map[string]string{
		"Lane": "admin", "Environment": "dev", "SynapseHost": "http://127.0.0.1:1", "VpcId": "vpc-1",
		"SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1", "Architecture": "arm64",
	})
	exe, err := os.Executable()
	w.ok(err)
	w.bundle("#!/bin/sh\nexec " + ops.ShellQuote(exe) + " \"$@\"\n")
	w.store = store.New(s3.New(w.as("synops-perform"), w.dev.Stacks.Resource("synops-bootstrap", "StoreBucket")))
	return w
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// bundle publishes a program.
func (w *world) bundle(program string) string {
	w.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.CreateHeader(&zip.FileHeader{Name: "synops"})
	w.ok(err)
	_, err = f.Write([]byte(program))
	w.ok(err)
	w.ok(z.Close())
	version, err := w.dev.S3.Put(w.dev.Stacks.Resource("synops-bootstrap", "BundleBucket"), "bundle.zip", b.Bytes())
	w.ok(err)
	return version
}

func (w *world) config(k emulator.Credentials) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: &w.url, Credentials: credentials.NewStaticCredentialsProvider(k.AccessKeyID, k.SecretAccessKey, k.SessionToken),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 20 * time.Millisecond })
		},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}
}

func (w *world) admin() aws.Config {
	id, secret := w.cloud.AdminCredentials(account)
	return w.config(emulator.Credentials{AccessKeyID: id, SecretAccessKey: secret})
}

// as acts as a session of the role, with what the template lets it do.
func (w *world) as(role string) aws.Config {
	w.Helper()
	k, err := w.dev.IAM.RoleCredentials(role, "test", time.Hour)
	w.ok(err)
	return w.config(k)
}

func (w *world) deploy(name string, template []byte, as aws.Config, role string, parameters map[string]string) {
	w.Helper()
	ctx, c := w.Context(), cloudformation.NewFromConfig(as)
	in := &cloudformation.CreateChangeSetInput{
		StackName: &name, ChangeSetName: aws.String("first"), ChangeSetType: cftypes.ChangeSetTypeCreate, TemplateBody: aws.String(string(template)),
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
	w.ok(sets.Wait(ctx, &cloudformation.DescribeChangeSetInput{StackName: &name, ChangeSetName: aws.String("first")}, 20*time.Second))
	_, err = c.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: &name, ChangeSetName: aws.String("first")})
	w.ok(err)
	stacks := cloudformation.NewStackCreateCompleteWaiter(c, func(o *cloudformation.StackCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Millisecond, 5*time.Millisecond
	})
	w.ok(stacks.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: &name}, 20*time.Second))
}

// find is what cli hands to the engine.
func (w *world) find(ctx context.Context, ref ops.RunRef, n int) (ops.Execution, *ops.Attempt, error) {
	var exec ops.Execution
	x, err := w.store.Execution(ctx, ref, n)
	if err != nil {
		return exec, nil, err
	}
	if x != nil {
		exec = *x
	}
	attempts, err := w.store.Attempts(ctx, ref)
	i := slices.IndexFunc(attempts, func(a ops.Attempt) bool { return a.N == n })
	if err != nil || i < 0 {
		return exec, nil, err
	}
	return exec, &attempts[i], nil
}

// quick asks often enough for a test.
func quick() pipeline.Pace {
	return pipeline.Pace{Result: 20 * time.Millisecond, LogLeast: 20 * time.Millisecond, LogMost: 100 * time.Millisecond, Build: 10 * time.Millisecond, LogLag: 300 * time.Millisecond}
}

// engine acts as the launcher's role.
func (w *world) engine(change ...func(*pipeline.Config)) *pipeline.Engine {
	w.Helper()
	c := pipeline.Config{Clients: pipeline.Connect(w.as("synops-perform")), Find: w.find, Pace: quick()}
	for _, f := range change {
		f(&c)
	}
	return pipeline.New(c)
}

// kill ends a build as a machine that fails does.
func (w *world) kill(a *ops.Attempt) {
	w.Helper()
	c := codebuild.NewFromConfig(w.admin())
	_, err := c.StopBuild(w.Context(), &codebuild.StopBuildInput{Id: &a.Build})
	w.ok(err)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for range look.C {
		out, err := c.BatchGetBuilds(w.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{a.Build}})
		w.ok(err)
		if out.Builds[0].BuildComplete {
			return
		}
	}
}

// denials are the questions that were answered no, for who reads a failure.
func (w *world) denials() string {
	var b strings.Builder
	for _, a := range w.cloud.Asked() {
		if !a.Allowed {
			fmt.Fprintf(&b, "%s may not %s on %s: %s\n", a.Principal, a.Action, a.Resource, a.Reason)
		}
	}
	return b.String()
}
