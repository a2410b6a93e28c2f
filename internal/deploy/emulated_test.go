package deploy_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	pipetypes "github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	templates "github.com/Sage-Bionetworks/synapse-ops-core/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

const devAccount = "111111111111"

// An emulated account is asked with the SDK, as its administrator or as its roles.
type emulated struct {
	t     *testing.T
	cloud *emulator.Cloud
	url   string
	env   ops.Environment
	said  []string
}

func newEmulated(t *testing.T) *emulated {
	t.Helper()
	settings := emulator.Defaults()
	settings.Rates, settings.LogDelay = nil, 0
	cloud := emulator.New(emulator.Config{Accounts: []emulator.AccountConfig{{ID: devAccount, Name: "dev", Region: "us-east-1"}}, Dir: t.TempDir(), Settings: &settings})
	srv := httptest.NewServer(cloud)
	cloud.SetURL(srv.URL)
	cloud.Account(devAccount).EC2.PutVPC(emulator.VPC{ID: "vpc-1", Default: "nat-1", SecurityGroups: []string{"sg-1"}, Subnets: []emulator.Subnet{{ID: "subnet-1", Zone: "us-east-1a"}},
		Endpoints: []string{"com.amazonaws.us-east-1.s3"}})
	t.Cleanup(func() { srv.Close(); cloud.Close() })
	return &emulated{t: t, cloud: cloud, url: srv.URL, env: ops.Environment{Name: "dev", Account: devAccount, Region: "us-east-1", Repository: "Sage-Bionetworks/synapse-ops-dev",
		Secret: "/synapse/admin-pat", Lanes: []ops.Lane{ops.LanePlan}, Hosts: []string{"https://repo-dev.dev.sagebase.org"}}}
}

// config acts as role, "" for the administrator.
func (e *emulated) config(role string) aws.Config {
	e.t.Helper()
	id, secret := e.cloud.AdminCredentials(devAccount)
	token := ""
	if role != "" {
		k, err := e.cloud.Account(devAccount).IAM.RoleCredentials(role, "test", time.Hour)
		if err != nil {
			e.t.Fatal(err)
		}
		id, secret, token = k.AccessKeyID, k.SecretAccessKey, k.SessionToken
	}
	return aws.Config{Region: "us-east-1", BaseEndpoint: &e.url, Credentials: credentials.NewStaticCredentialsProvider(id, secret, token)}
}

func (e *emulated) as(role string) *deploy.Deployer {
	e.t.Helper()
	cfg := e.config(role)
	id, err := awsauth.WhoAmI(e.t.Context(), cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	d, err := deploy.New(deploy.Config{Clients: deploy.Connect(cfg), Environment: &e.env, Identity: id, Poll: 50 * time.Millisecond,
		Say: func(format string, args ...any) { e.said = append(e.said, fmt.Sprintf(format, args...)) }})
	if err != nil {
		e.t.Fatal(err)
	}
	return d
}

// apply brings a stack to what is wanted and returns what was done.
func (e *emulated) apply(d *deploy.Deployer, w deploy.Want) (*deploy.Prepared, error) {
	e.t.Helper()
	s, err := d.Stack(e.t.Context(), w)
	if err != nil {
		e.t.Fatal(err)
	}
	p, err := d.Prepare(e.t.Context(), s)
	if err != nil || p.Kind == deploy.Unchanged {
		return p, err
	}
	if err := d.Guard(e.t.Context(), p, false); err != nil {
		if discard := d.Discard(e.t.Context(), p); discard != nil {
			e.t.Fatal(discard)
		}
		return p, err
	}
	_, err = d.Execute(e.t.Context(), p)
	return p, err
}

func (e *emulated) bootstrap() {
	e.t.Helper()
	d := e.as("")
	known := d.BootstrapKnown(e.t.Context(), "Sage-Bionetworks/synapse-ops-core", nil)
	if _, err := e.apply(d, deploy.Want{Name: deploy.BootstrapStack, Template: templates.Bootstrap(), Known: known,
		Asked: map[string]string{"OrgId": "7", "OpsRepositoryId": "42", "SubjectFormat": "classic"}}); err != nil {
		e.t.Fatal(err)
	}
}

// lane is what lane plan is to be, asked for with some parameters.
func (e *emulated) lane(d *deploy.Deployer, asked map[string]string) deploy.Want {
	env := map[string]string{"VPC_ID": "vpc-1", "SUBNETS": "subnet-1", "SECURITY_GROUP_IDS": "sg-1"}
	return deploy.Want{Name: deploy.LaneStack("plan"), Lane: "plan", Template: templates.Lane, Role: "arn:aws:iam::" + devAccount + ":role/synops-cloudformation", Asked: asked,
		Known: d.LaneKnown("plan", "https://repo-dev.dev.sagebase.org", "amd64", func(n string) string { return env[n] })}
}

// TestEmulated_Rollout: all that the deployment role does, with that role's own
// permissions.
func TestEmulated_Rollout(t *testing.T) {
	t.Parallel()
	e := newEmulated(t)
	e.bootstrap()
	d := e.as(deploy.RoleDeploy)
	base, err := d.Outputs(t.Context(), deploy.BootstrapStack)
	if err != nil {
		t.Fatal(err)
	}

	bundle, err := d.Pack(binary("v1.0.0"), []byte("environments: {}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, upload := range []bool{true, false} {
		p, err := d.PlanBundle(t.Context(), base["BundleBucket"], bundle, "")
		if err != nil || p.Upload != upload {
			t.Fatalf("plan %+v, %v; want upload %t", p, err, upload)
		}
		if err := d.Publish(t.Context(), base["BundleBucket"], bundle, p); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []deploy.Kind{deploy.Create, deploy.Unchanged} {
		if p, err := e.apply(d, e.lane(d, nil)); err != nil || p.Kind != want {
			t.Fatalf("lane plan: %+v, %v; want %s", p, err, want)
		}
	}
	if p, err := e.apply(d, e.lane(d, map[string]string{"LogRetentionDays": "731"})); err != nil || p.Kind != deploy.Update || p.Changes[0].ID != "Logs" {
		t.Fatalf("a new value: %+v, %v", p, err)
	}

	check := func() string {
		var r deploy.Drift
		s, err := d.Stack(t.Context(), e.lane(d, nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.CheckStack(t.Context(), s, &r); err != nil {
			t.Fatal(err)
		}
		if err := d.CheckBundle(t.Context(), base["BundleBucket"], "v1.0.0", &r); err != nil {
			t.Fatal(err)
		}
		return strings.Join(append(r.Differences, r.Unknown...), "|")
	}
	if got := check(); got != "" {
		t.Errorf("as deployed: %s", got)
	}
	if err := e.cloud.Account(devAccount).Logs.SetRetention("/synops/plan", 1); err != nil {
		t.Fatal(err)
	}
	if got := check(); !strings.Contains(got, "Logs (AWS::Logs::LogGroup) was changed by hand: /RetentionInDays") {
		t.Errorf("changed by hand: %q", got)
	}
}

// TestEmulated_Guards: a retained thing, and a lane with an execution in progress.
func TestEmulated_Guards(t *testing.T) {
	t.Parallel()
	e := newEmulated(t)
	e.bootstrap()
	d := e.as(deploy.RoleDeploy)
	if _, err := e.apply(d, e.lane(d, nil)); err != nil {
		t.Fatal(err)
	}
	w := e.lane(d, nil)
	w.Template = bytes.ReplaceAll(w.Template, []byte(`LogGroupName: !Sub "/synops/${Lane}"`), []byte(`LogGroupName: !Sub "/synops/new-${Lane}"`))
	_, err := e.apply(d, w)
	if r := ops.Refused(err); r == nil || r.Guard != "retained" {
		t.Errorf("replacing the log group: %v, want a refusal", err)
	}

	bundle, err := d.Pack(binary("v1.0.0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	base, err := d.Outputs(t.Context(), deploy.BootstrapStack)
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.PlanBundle(t.Context(), base["BundleBucket"], bundle, "")
	if err == nil {
		err = d.Publish(t.Context(), base["BundleBucket"], bundle, p)
	}
	if err != nil {
		t.Fatal(err)
	}
	// The execution is in progress for as long as its build waits for a machine.
	held := emulator.Defaults().Builds
	held.NeverBegins = true
	e.cloud.Account(devAccount).CodeBuild.Behave("synops-plan", held)
	bigger := map[string]string{"ComputeType": "BUILD_GENERAL1_LARGE"}
	_, err = codepipeline.NewFromConfig(e.config("")).StartPipelineExecution(t.Context(), &codepipeline.StartPipelineExecutionInput{Name: aws.String("synops-plan"),
		Variables: []pipetypes.PipelineVariable{{Name: aws.String("RUN"), Value: aws.String("20261123T141502Z-canary-3f9c00")}, {Name: aws.String("REQUEST"), Value: aws.String(strings.Repeat("0", 64))}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.apply(d, e.lane(d, bigger))
	if r := ops.Refused(err); r == nil || r.Guard != "executions" {
		t.Errorf("changing the project under an execution: %v, want a refusal", err)
	}

	s, err := d.Stack(t.Context(), e.lane(d, bigger))
	if err != nil {
		t.Fatal(err)
	}
	change, err := d.Prepare(t.Context(), s)
	if err == nil {
		err = d.Guard(t.Context(), change, true)
	}
	if err == nil {
		_, err = d.Execute(t.Context(), change)
	}
	if err != nil {
		t.Errorf("interrupting it: %v", err)
	}
}

// TestEmulated_Failure: what failed first is told, the remnant is not built upon, and
// it is deleted when asked.
func TestEmulated_Failure(t *testing.T) {
	t.Parallel()
	e := newEmulated(t)
	e.bootstrap()
	d, admin := e.as(deploy.RoleDeploy), e.as("")
	logs := e.cloud.Account(devAccount).Logs
	if err := logs.CreateGroup("/synops/plan", 0); err != nil { // by somebody else
		t.Fatal(err)
	}
	_, err := e.apply(d, e.lane(d, nil))
	wantError(t, err, ops.Conflict, "It failed first at Logs (AWS::Logs::LogGroup)", "already exists", "serves nothing", "somebody's own")
	_, err = e.apply(d, e.lane(d, nil))
	wantError(t, err, ops.Conflict, "can only be deleted", "It failed first at Logs", "--recreate")

	role := e.lane(d, nil).Role
	_, err = d.Recreate(t.Context(), deploy.LaneStack("plan"), role)
	wantError(t, err, ops.Denied, "deleting the remnant")
	if there, err := admin.Recreate(t.Context(), deploy.LaneStack("plan"), role); err != nil || !there {
		t.Fatalf("deleting the remnant: %t, %v", there, err)
	}
	if err := logs.DeleteGroup("/synops/plan"); err != nil {
		t.Fatal(err)
	}
	if p, err := e.apply(d, e.lane(d, nil)); err != nil || p.Kind != deploy.Create {
		t.Errorf("once more: %+v, %v", p, err)
	}
}

// TestEmulated_Bootstrap: it is the administrator's, and nobody else's.
func TestEmulated_Bootstrap(t *testing.T) {
	t.Parallel()
	e := newEmulated(t)
	e.bootstrap()
	d := e.as(deploy.RoleDeploy)
	if r := ops.Refused(d.CheckAdministrator()); r == nil || r.Guard != "bootstrap-role" {
		t.Errorf("the deployment role: %v, want a refusal", r)
	}
	_, err := e.apply(d, deploy.Want{Name: deploy.BootstrapStack, Template: templates.Bootstrap(), Asked: map[string]string{"CoreRepository": "other"}})
	wantError(t, err, ops.Denied, "cloudformation:CreateChangeSet")
	if err := e.as("").CheckAdministrator(); err != nil {
		t.Errorf("the administrator: %v", err)
	}
	if p, err := e.apply(e.as(""), deploy.Want{Name: deploy.BootstrapStack, Template: templates.Bootstrap()}); err != nil || p.Kind != deploy.Unchanged {
		t.Errorf("bootstrap again: %+v, %v", p, err)
	}
}

// TestEmulated_Secret: the administrator puts it, the lane reads it, no other role does
// either.
func TestEmulated_Secret(t *testing.T) {
	t.Parallel()
	e := newEmulated(t)
	e.bootstrap()
	d := e.as(deploy.RoleDeploy)
	if _, err := e.apply(d, e.lane(d, nil)); err != nil {
		t.Fatal(err)
	}
	admin := e.as("")
	for _, value := range []string{"canary-value-one", "canary-value-two"} {
		put, err := admin.PutSecret(t.Context(), "/synapse/admin-pat", value, nil, true)
		if err != nil || put.Version == "" {
			t.Fatalf("put %+v, %v", put, err)
		}
		got, err := awsauth.Fetch(e.config("synops-lane-plan"))(t.Context(), "/synapse/admin-pat")
		if err != nil || got != value {
			t.Errorf("the lane reads %d bytes, %v; want the value just put", len(got), err)
		}
	}
	_, err := awsauth.Fetch(e.config(deploy.RoleDeploy))(t.Context(), "/synapse/admin-pat")
	wantError(t, err, ops.Denied, "reading the secret")
	_, err = awsauth.Fetch(e.config("synops-lane-plan"))(t.Context(), "/synops/none")
	if code := ops.CodeOf(err); code != ops.Denied && code != ops.NotFound {
		t.Errorf("a secret that is not there: %v", err)
	}
	_, err = d.PutSecret(t.Context(), "/synapse/admin-pat", "canary-value-three", nil, true)
	wantError(t, err, ops.Denied)
}

// TestEmulated_Doctor: the page of an account where all is deployed, as the role that
// looks.
func TestEmulated_Doctor(t *testing.T) {
	t.Parallel()
	e := newEmulated(t)
	e.bootstrap()
	d := e.as(deploy.RoleDeploy)
	if _, err := e.apply(d, e.lane(d, nil)); err != nil {
		t.Fatal(err)
	}
	found, err := e.as(deploy.RoleObserve).Doctor(t.Context(), deploy.Examination{Getenv: func(string) string { return "" }, Synops: "v1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		expected := f.About == "bundle" || strings.HasPrefix(f.About, "secret ") || strings.HasPrefix(f.About, "GitHub ") || f.About == "variables"
		if f.Status != deploy.Pass && !expected {
			t.Errorf("%s: %s %s", f.About, f.Status, f.Text)
		}
	}
}
