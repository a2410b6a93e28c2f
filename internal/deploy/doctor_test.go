package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	buildtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	pipetypes "github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
)

// patient is an account in which all is well until a test spoils one thing. Lane
// admin alone is deployed.
type patient struct {
	deploy.Stacks
	deploy.Roles
	deploy.Secrets
	bucket

	env      map[string]string
	vars     ops.Environment
	stacks   map[string]*types.Stack
	role     map[string]*iamtypes.Role
	secret   *secretsmanager.DescribeSecretOutput
	pipeline *pipetypes.PipelineDeclaration
	project  *buildtypes.Project
	group    *logtypes.LogGroup
	subnets  []deploy.Subnet
	points   []string
	skew     time.Duration
	denied   string            // what may not be asked
	version  string            // of this program
	github   map[string]string // answers by path
	lost     bool              // buckets keep no versions
}

func (p *patient) may(what string) error {
	if p.denied == what {
		return answer("AccessDenied", "not authorized")
	}
	return nil
}

func (p *patient) DescribeStacks(_ context.Context, in *cloudformation.DescribeStacksInput, _ ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error) {
	s := p.stacks[aws.ToString(in.StackName)]
	if s == nil {
		return nil, answer("ValidationError", "Stack with id x does not exist")
	}
	return &cloudformation.DescribeStacksOutput{Stacks: []types.Stack{*s}}, p.may("stacks")
}

func (p *patient) GetRole(_ context.Context, in *iam.GetRoleInput, _ ...func(*iam.Options)) (*iam.GetRoleOutput, error) {
	r := p.role[aws.ToString(in.RoleName)]
	if r == nil {
		return nil, answer("NoSuchEntity", "none")
	}
	return &iam.GetRoleOutput{Role: r}, p.may("roles")
}

func (p *patient) DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	return p.secret, p.may("secrets")
}

func (p *patient) GetBucketVersioning(context.Context, *s3.GetBucketVersioningInput, ...func(*s3.Options)) (*s3.GetBucketVersioningOutput, error) {
	out := &s3.GetBucketVersioningOutput{Status: s3types.BucketVersioningStatusEnabled}
	if p.lost {
		out.Status = ""
	}
	return out, nil
}

type patientPipelines struct {
	deploy.Pipelines
	deploy.Builds
	*patient
}

func (p patientPipelines) GetPipeline(context.Context, *codepipeline.GetPipelineInput, ...func(*codepipeline.Options)) (*codepipeline.GetPipelineOutput, error) {
	if p.pipeline == nil {
		return nil, answer("PipelineNotFoundException", "none")
	}
	return &codepipeline.GetPipelineOutput{Pipeline: p.pipeline}, nil
}

func (p patientPipelines) BatchGetProjects(context.Context, *codebuild.BatchGetProjectsInput, ...func(*codebuild.Options)) (*codebuild.BatchGetProjectsOutput, error) {
	out := &codebuild.BatchGetProjectsOutput{}
	if p.project != nil {
		out.Projects = []buildtypes.Project{*p.project}
	}
	return out, nil
}

func (p *patient) DescribeLogGroups(context.Context, *cloudwatchlogs.DescribeLogGroupsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DescribeLogGroupsOutput, error) {
	out := &cloudwatchlogs.DescribeLogGroupsOutput{LogGroups: []logtypes.LogGroup{{LogGroupName: aws.String("/synops/administrators")}}}
	if p.group != nil {
		out.LogGroups = append(out.LogGroups, *p.group)
	}
	return out, nil
}

func (p *patient) Subnets(context.Context, []string) ([]deploy.Subnet, error) {
	return p.subnets, awsauth.Explain("asking EC2", p.may("network"))
}

func (p *patient) Endpoints(context.Context, string) ([]string, error) {
	return p.points, awsauth.Explain("asking EC2", p.may("endpoints"))
}

func (p *patient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := p.github[r.URL.Path]
	if !ok || r.Header.Get("Authorization") != "Bearer gh" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	fmt.Fprint(w, body)
}

// trust is a policy as the bootstrap writes it, as IAM answers it.
func trust(edit func(string) string, subject, environment string) *string {
	doc := `{"Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111111111111:oidc-provider/token.actions.githubusercontent.com"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{
"token.actions.githubusercontent.com:aud":"sts.amazonaws.com",
"token.actions.githubusercontent.com:sub":"repo:Sage-Bionetworks/synapse-ops-dev:` + subject + `",` + environment + `
"token.actions.githubusercontent.com:repository_id":"42",
"token.actions.githubusercontent.com:ref":"refs/heads/main"},
"StringLike":{"token.actions.githubusercontent.com:job_workflow_ref":["Sage-Bionetworks/synapse-ops-core/.github/workflows/run-task.yml@refs/heads/main"]}}}]}`
	return aws.String(url.QueryEscape(edit(doc)))
}

func asIs(s string) string { return s }

func newPatient() *patient {
	days := func(n int) *time.Time { return aws.Time(time.Now().Add(-time.Duration(n) * 24 * time.Hour)) }
	p := &patient{env: map[string]string{}, role: map[string]*iamtypes.Role{}, version: "v1.4.0",
		vars: ops.Environment{Name: "dev", Account: "111111111111", Region: "us-east-1", Secret: "/synapse/admin-pat", Lanes: []ops.Lane{ops.LaneAdmin},
			Repository: "Sage-Bionetworks/synapse-ops-dev", Hosts: []string{"https://repo-dev.dev.sagebase.org"}}}
	for name, value := range map[string]string{"CONTEXT": "dev", "SYNAPSE_HOST": "https://repo-dev.dev.sagebase.org", "ROLE_TO_ASSUME": "arn:aws:iam::111111111111:role/synops-observe",
		"SYNAPSE_DEPLOYMENT_ROLE": "arn:aws:iam::111111111111:role/synops-deploy", "VPC_ID": "vpc-0a1b2c3d", "SUBNETS": "subnet-0a1b2c3d, subnet-1a1b2c3d", "SECURITY_GROUP_IDS": "sg-0a1b2c3d",
		"SYNOPS_STORE": "s3://store-1", "SYNOPS_BUNDLE_BUCKET": "bundles-1"} {
		p.env[name] = value
	}
	output := func(k, v string) types.Output {
		return types.Output{OutputKey: aws.String(k), OutputValue: aws.String(v)}
	}
	value := func(k, v string) types.Parameter {
		return types.Parameter{ParameterKey: aws.String(k), ParameterValue: aws.String(v)}
	}
	p.stacks = map[string]*types.Stack{
		"synops-bootstrap":  {StackName: aws.String("synops-bootstrap"), StackStatus: types.StackStatusUpdateComplete, Outputs: []types.Output{output("StoreBucket", "store-1"), output("BundleBucket", "bundles-1")}},
		"synops-lane-admin": {StackName: aws.String("synops-lane-admin"), StackStatus: types.StackStatusCreateComplete, Parameters: []types.Parameter{value("VpcId", "vpc-0a1b2c3d"), value("SubnetIds", "subnet-0a1b2c3d,subnet-1a1b2c3d")}},
	}
	for _, name := range []string{"observe", "perform", "schedule", "deploy", "break-glass", "stack-builder", "cloudformation", "lane-admin", "pipeline-admin"} {
		r := &iamtypes.Role{PermissionsBoundary: &iamtypes.AttachedPermissionsBoundary{PermissionsBoundaryArn: aws.String("arn:aws:iam::111111111111:policy/synops-boundary")}}
		r.AssumeRolePolicyDocument = trust(asIs, "environment:dev", `"token.actions.githubusercontent.com:environment":"dev",`)
		switch name {
		case "observe":
			r.AssumeRolePolicyDocument = trust(asIs, "ref:refs/heads/main", "")
		case "schedule":
			r.AssumeRolePolicyDocument = trust(asIs, "environment:dev-schedule", `"token.actions.githubusercontent.com:environment":"dev-schedule",`)
		}
		p.role["synops-"+name] = r
	}
	p.secret = &secretsmanager.DescribeSecretOutput{CreatedDate: days(400), LastChangedDate: days(200), LastAccessedDate: days(1), VersionIdsToStages: map[string][]string{"1": {"AWSCURRENT"}}}
	p.pipeline = &pipetypes.PipelineDeclaration{PipelineType: pipetypes.PipelineTypeV2, ExecutionMode: pipetypes.ExecutionModeParallel,
		Stages: []pipetypes.StageDeclaration{{Actions: []pipetypes.ActionDeclaration{{ActionTypeId: &pipetypes.ActionTypeId{Category: pipetypes.ActionCategorySource}, Configuration: map[string]string{"PollForSourceChanges": "false"}}}}}}
	p.project = &buildtypes.Project{TimeoutInMinutes: aws.Int32(480), Environment: &buildtypes.ProjectEnvironment{}}
	p.group = &logtypes.LogGroup{LogGroupName: aws.String("/synops/admin"), RetentionInDays: aws.Int32(365)}
	p.subnets = []deploy.Subnet{{ID: "subnet-0a1b2c3d", VPC: "vpc-0a1b2c3d", Way: "nat-1"}, {ID: "subnet-1a1b2c3d", VPC: "vpc-0a1b2c3d", Way: "tgw-1"}}
	p.held = map[string][]byte{"current.json": fmt.Appendf(nil, `{"version_id":"v1","digest":"sha256:00","commit":"0123456789abcdef","lowest_allowed":"v1.2.0","synops":"v1.4.0","built":%q}`, days(3).Format(time.RFC3339))}
	rules := `[{"type":"pull_request","parameters":{"required_approving_review_count":1}},{"type":"non_fast_forward"},{"type":"deletion"}]`
	p.github = map[string]string{
		"/repos/Sage-Bionetworks/synapse-ops-dev/environments/dev":     `{"protection_rules":[{"type":"required_reviewers","prevent_self_review":true,"reviewers":[{}]}],"can_admins_bypass":false,"deployment_branch_policy":{"protected_branches":true}}`,
		"/repos/Sage-Bionetworks/synapse-ops-core/rulesets":            `[{"id":1,"target":"branch","enforcement":"active"},{"id":2,"target":"tag","enforcement":"active"},{"id":3,"target":"tag","enforcement":"evaluate"}]`,
		"/repos/Sage-Bionetworks/synapse-ops-core/rulesets/2":          `{"conditions":{"ref_name":{"include":["refs/tags/v*"],"exclude":[]}},"rules":[{"type":"creation"},{"type":"update"},{"type":"deletion"}]}`,
		"/repos/Sage-Bionetworks/synapse-ops-core/rules/branches/main": rules, "/repos/Sage-Bionetworks/synapse-ops-dev/rules/branches/main": rules,
	}
	return p
}

// examine returns the doctor's findings, a line each.
func (p *patient) examine(t *testing.T, actions bool) []deploy.Finding {
	t.Helper()
	pipes := patientPipelines{patient: p}
	d, err := deploy.New(deploy.Config{Environment: &p.vars, Identity: awsauth.Identity{Account: "111111111111", ARN: "arn:aws:sts::111111111111:assumed-role/synops-observe/x"},
		Clients: deploy.Clients{Stacks: p, Roles: p, Secrets: p, Objects: p, Pipelines: pipes, Builds: pipes, Logs: p, Network: p,
			Clock: func(context.Context) (time.Time, error) {
				return time.Now().Add(p.skew), awsauth.Explain("asking for the time", p.may("clock"))
			}}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(p)
	defer srv.Close()
	got, err := d.Doctor(t.Context(), deploy.Examination{Getenv: func(n string) string { return p.env[n] }, Host: p.vars.Hosts[0], Core: "Sage-Bionetworks/synapse-ops-core",
		Synops: p.version, Actions: actions, GitHub: &deploy.GitHub{URL: srv.URL, Token: p.env["GH_TOKEN"]}})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func page(findings []deploy.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%-11s  %s: %s\n", f.Status, f.About, f.Text)
		if f.Remedy != "" {
			fmt.Fprintf(&b, "%-11s  → %s\n", "", f.Remedy)
		}
	}
	return b.String()
}

func TestDoctor_Well(t *testing.T) {
	p := newPatient()
	p.env["GH_TOKEN"] = "gh"
	found := p.examine(t, true)
	for _, f := range found {
		if f.Status != deploy.Pass {
			t.Errorf("%s: %s is %s", f.About, f.Text, f.Status)
		}
	}
	golden(t, "doctor_well.txt", page(found))
}

// TestDoctor_BucketsUntold: variables that may be absent fail nothing.
func TestDoctor_BucketsUntold(t *testing.T) {
	p := newPatient()
	delete(p.env, "SYNOPS_STORE")
	delete(p.env, "SYNOPS_BUNDLE_BUCKET")
	found := page(p.examine(t, true))
	for _, name := range []string{"SYNOPS_STORE", "SYNOPS_BUNDLE_BUCKET"} {
		if !strings.Contains(found, "pass         variable "+name+": not set: each start asks the stack instead") {
			t.Errorf("of %s:\n%s", name, found)
		}
	}
}

// TestDoctor_Nothing: an account in which nothing is deployed.
func TestDoctor_Nothing(t *testing.T) {
	p := newPatient()
	p.env, p.stacks, p.role, p.pipeline, p.project, p.group, p.held = nil, nil, nil, nil, nil, nil, nil
	p.secret = &secretsmanager.DescribeSecretOutput{}
	golden(t, "doctor_nothing.txt", page(p.examine(t, false)))
}

func TestDoctor_Spoiled(t *testing.T) {
	replace := func(old, new string) func(*patient) {
		return func(p *patient) {
			edit := func(s string) string {
				out := strings.ReplaceAll(s, old, new)
				if out == s {
					panic(old + " is not in the policy")
				}
				return out
			}
			p.role["synops-perform"].AssumeRolePolicyDocument = trust(edit, "environment:dev", `"token.actions.githubusercontent.com:environment":"dev",`)
		}
	}
	old := func(n int) *time.Time { return aws.Time(time.Now().Add(-time.Duration(n) * 24 * time.Hour)) }
	const claim = `"token.actions.githubusercontent.com:`
	tests := []struct {
		name   string
		spoil  func(*patient)
		status deploy.Status
		about  string
		says   string
	}{
		{"no lane", func(p *patient) { delete(p.stacks, "synops-lane-admin") }, deploy.Fail, "lane admin", "is not deployed"},
		{"broken lane", func(p *patient) { p.stacks["synops-lane-admin"].StackStatus = types.StackStatusRollbackComplete }, deploy.Fail, "lane admin", "ROLLBACK_COMPLETE"},
		{"clock", func(p *patient) { p.skew = 2 * time.Minute }, deploy.Fail, "clock", "2m0s off"},
		{"clock not asked", func(p *patient) { p.denied = "clock" }, deploy.CannotTell, "clock", "AccessDenied"},
		{"a schedule's environment takes every branch", func(p *patient) {
			p.vars.Schedules = map[ops.TaskName]bool{"canary": true}
			p.github["/repos/Sage-Bionetworks/synapse-ops-dev/environments/dev-schedule"] = `{"protection_rules":[],"deployment_branch_policy":null}`
		}, deploy.Fail, "GitHub environment dev-schedule", "takes every branch"},
		{"context", func(p *patient) { p.env["CONTEXT"] = "prod" }, deploy.Fail, "variable CONTEXT", `is "prod", want dev`},
		{"host", func(p *patient) { p.env["SYNAPSE_HOST"] = "https://repo-prod.prod.sagebase.org" }, deploy.Fail, "variable SYNAPSE_HOST", "not one of"},
		{"role of another account", func(p *patient) { p.env["ROLE_TO_ASSUME"] = "arn:aws:iam::222222222222:role/synops-observe" }, deploy.Fail, "variable ROLE_TO_ASSUME", "account 111111111111"},
		{"deployment role", func(p *patient) { p.env["SYNAPSE_DEPLOYMENT_ROLE"] = "arn:aws:iam::111111111111:role/Administrator" }, deploy.Fail, "variable SYNAPSE_DEPLOYMENT_ROLE", "synops-deploy"},
		{"subnets", func(p *patient) { p.env["SUBNETS"] = "subnet-0a1b2c3d;x" }, deploy.Fail, "variable SUBNETS", "no ID"},
		{"unset", func(p *patient) { delete(p.env, "VPC_ID") }, deploy.Fail, "variables", "not set: VPC_ID"},
		{"another store", func(p *patient) { p.env["SYNOPS_STORE"] = "s3://bundles-1" }, deploy.Fail, "variable SYNOPS_STORE", `is "s3://bundles-1", want s3://store-1`},
		{"another bundle bucket", func(p *patient) { p.env["SYNOPS_BUNDLE_BUCKET"] = "s3://bundles-1" }, deploy.Fail, "variable SYNOPS_BUNDLE_BUCKET", `is "s3://bundles-1", want bundles-1`},
		{"no bootstrap", func(p *patient) { delete(p.stacks, "synops-bootstrap") }, deploy.Fail, "bootstrap", "is not there"},
		{"no versions", func(p *patient) { p.lost = true }, deploy.Fail, "StoreBucket", "keeps no versions"},
		{"no role", func(p *patient) { delete(p.role, "synops-lane-admin") }, deploy.Fail, "roles", "not there: synops-lane-admin"},
		{"no boundary", func(p *patient) { p.role["synops-deploy"].PermissionsBoundary = nil }, deploy.Fail, "role synops-deploy", "no permissions boundary"},
		{"other boundary", func(p *patient) {
			p.role["synops-deploy"].PermissionsBoundary.PermissionsBoundaryArn = aws.String("arn:aws:iam::aws:policy/AdministratorAccess")
		}, deploy.Fail, "role synops-deploy", "AdministratorAccess instead of"},
		{"roles not asked", func(p *patient) { p.denied = "roles" }, deploy.CannotTell, "role synops-observe", "AccessDenied"},
		{"audience", replace(claim+`aud":"sts.amazonaws.com",`, ""), deploy.Fail, "trust synops-perform", "audience"},
		{"any subject", replace("repo:Sage-Bionetworks/synapse-ops-dev:environment:dev", "repo:*"), deploy.Fail, "trust synops-perform", "not of Sage-Bionetworks/synapse-ops-dev"},
		{"a longer name", replace("synapse-ops-dev:environment:dev", "synapse-ops-dev-fork:environment:dev"), deploy.Fail, "trust synops-perform", "not of"},
		{"a longer owner", replace("repo:Sage-Bionetworks/", "repo:Sage-Bionetworks-x/"), deploy.Fail, "trust synops-perform", "not of"},
		{"subject by pattern", replace(`"Condition":{"StringEquals"`, `"Condition":{"StringLike"`), deploy.Fail, "trust synops-perform", "audience"},
		{"repository ID", replace(claim+`repository_id":"42",`, ""), deploy.Fail, "trust synops-perform", "repository's ID"},
		{"environment", replace(claim+`environment":"dev",`, ""), deploy.Fail, "trust synops-perform", "GitHub's environment dev"},
		{"branch", replace(`"refs/heads/main"}`, `"refs/heads/x"}`), deploy.Fail, "trust synops-perform", "branch main"},
		{"workflow", replace("job_workflow_ref", "workflow"), deploy.Fail, "trust synops-perform", "workflow files"},
		{"any workflow", replace(`["Sage-Bionetworks/synapse-ops-core/.github/workflows/run-task.yml@refs/heads/main"]`, `"*"`), deploy.Fail, "trust synops-perform", "not core's"},
		{"another's workflow", replace("synapse-ops-core/.github", "synapse-ops-corex/.github"), deploy.Fail, "trust synops-perform", "not core's"},
		{"somebody else", replace(`"Federated":"arn:aws:iam::111111111111:oidc-provider/token.actions.githubusercontent.com"`, `"AWS":"*"`), deploy.Fail, "trust synops-perform", "somebody else"},
		{"nobody", replace(`"Allow"`, `"Deny"`), deploy.Fail, "trust synops-perform", "nobody in"},
		{"secret empty", func(p *patient) { p.secret.VersionIdsToStages = nil }, deploy.Fail, "secret /synapse/admin-pat", "no value yet"},
		{"secret unused", func(p *patient) { p.secret.LastAccessedDate = old(160); p.secret.LastChangedDate = old(170) }, deploy.Fail, "secret /synapse/admin-pat", "160 days ago; a token dies 180 days"},
		{"secret deleted", func(p *patient) { p.secret.DeletedDate = old(-7) }, deploy.Fail, "secret /synapse/admin-pat", "to be deleted"},
		{"secrets not asked", func(p *patient) { p.denied = "secrets" }, deploy.CannotTell, "secret /synapse/admin-pat", "AccessDenied"},
		{"superseded", func(p *patient) { p.pipeline.ExecutionMode = pipetypes.ExecutionModeSuperseded }, deploy.Fail, "pipeline synops-admin", "want V2 PARALLEL"},
		{"polling", func(p *patient) { p.pipeline.Stages[0].Actions[0].Configuration = nil }, deploy.Fail, "pipeline synops-admin", "polls"},
		{"no pipeline", func(p *patient) { p.pipeline = nil }, deploy.Fail, "pipeline synops-admin", "is not there"},
		{"minutes", func(p *patient) { p.project.TimeoutInMinutes = aws.Int32(60) }, deploy.Fail, "project synops-admin", "60 minutes, want 480"},
		{"privileged", func(p *patient) { p.project.Environment.PrivilegedMode = aws.Bool(true) }, deploy.Fail, "project synops-admin", "privileged"},
		{"retries", func(p *patient) { p.project.AutoRetryLimit = aws.Int32(1) }, deploy.Fail, "project synops-admin", "retries"},
		{"for ever", func(p *patient) { p.group.RetentionInDays = nil }, deploy.Fail, "log /synops/admin", "for ever"},
		{"a day", func(p *patient) { p.group.RetentionInDays = aws.Int32(1) }, deploy.Fail, "log /synops/admin", "days is 1, want 90"},
		{"no log", func(p *patient) { p.group = nil }, deploy.Fail, "log /synops/admin", "is not there"},
		{"internet gateway", func(p *patient) { p.subnets[0].Way = "igw-1" }, deploy.Fail, "subnet subnet-0a1b2c3d", "no public address"},
		{"nowhere", func(p *patient) {
			p.subnets[1].Way, p.points = "", []string{"com.amazonaws.us-east-1.s3", "com.amazonaws.us-east-1.logs"}
		}, deploy.Fail, "subnet subnet-1a1b2c3d", "no endpoint for sts, secretsmanager, codebuild, codepipeline"},
		{"endpoints not asked", func(p *patient) { p.subnets[1].Way, p.denied = "", "endpoints" }, deploy.CannotTell, "subnet subnet-1a1b2c3d", "leads nowhere"},
		{"another VPC", func(p *patient) { p.subnets[0].VPC = "vpc-9" }, deploy.Fail, "subnet subnet-0a1b2c3d", "is of vpc-9"},
		{"no subnet", func(p *patient) { p.subnets = p.subnets[:1] }, deploy.Fail, "subnet subnet-1a1b2c3d", "is not there"},
		{"network pinned", func(p *patient) { p.vars.VPC = "vpc-ffffffff" }, deploy.Fail, "network", "pins vpc-ffffffff"},
		{"network not asked", func(p *patient) { p.denied = "network" }, deploy.CannotTell, "subnets", "AccessDenied"},
		{"bundle skew", func(p *patient) { p.version = "v1.3.0" }, deploy.Fail, "bundle", "launcher and worker differ"},
		{"below the lowest", func(p *patient) { p.version = "v1.1.0" }, deploy.Fail, "bundle", "below the lowest allowed, v1.2.0"},
		{"no bundle", func(p *patient) { p.held = nil }, deploy.Fail, "bundle", "none was published"},
		{"old bundle", func(p *patient) {
			p.held["current.json"] = []byte(`{"version_id":"v1","synops":"v1.4.0","lowest_allowed":"v1.2.0","built":"2020-01-01T00:00:00Z"}`)
		}, deploy.Fail, "bundle", "older than 180 days"},
		{"no reviewers", func(p *patient) {
			p.github["/repos/Sage-Bionetworks/synapse-ops-dev/environments/dev"] = `{"protection_rules":[{"type":"wait_timer"}],"deployment_branch_policy":{}}`
		}, deploy.Fail, "GitHub environment dev", "asks no reviewers"},
		{"any branch", func(p *patient) {
			p.github["/repos/Sage-Bionetworks/synapse-ops-dev/environments/dev"] = `{"protection_rules":[{"type":"required_reviewers","reviewers":[{}]}],"deployment_branch_policy":null}`
		}, deploy.Fail, "GitHub environment dev", "every branch"},
		{"unprotected", func(p *patient) {
			p.github["/repos/Sage-Bionetworks/synapse-ops-core/rules/branches/main"] = `[{"type":"deletion"}]`
		}, deploy.Fail, "GitHub branch rules of Sage-Bionetworks/synapse-ops-core", "pull_request, non_fast_forward"},
		{"unreviewed", func(p *patient) {
			p.github["/repos/Sage-Bionetworks/synapse-ops-core/rules/branches/main"] = `[{"type":"pull_request","parameters":{"required_approving_review_count":0}},{"type":"non_fast_forward"},{"type":"deletion"}]`
		}, deploy.Fail, "GitHub branch rules of Sage-Bionetworks/synapse-ops-core", "no approving review"},
		{"reviewed by oneself", func(p *patient) {
			p.github["/repos/Sage-Bionetworks/synapse-ops-dev/environments/dev"] = `{"protection_rules":[{"type":"required_reviewers","prevent_self_review":false,"reviewers":[{}]}],"deployment_branch_policy":{}}`
		}, deploy.Fail, "GitHub environment dev", "from whoever started"},
		{"administrators pass", func(p *patient) {
			p.github["/repos/Sage-Bionetworks/synapse-ops-dev/environments/dev"] = `{"protection_rules":[{"type":"required_reviewers","prevent_self_review":true,"reviewers":[{}]}],"can_admins_bypass":true,"deployment_branch_policy":{}}`
		}, deploy.Fail, "GitHub environment dev", "administrators pass without"},
		{"tags only tried out", func(p *patient) {
			p.github["/repos/Sage-Bionetworks/synapse-ops-core/rulesets"] = `[{"id":2,"target":"tag","enforcement":"evaluate"}]`
		}, deploy.Fail, "GitHub tag rules of Sage-Bionetworks/synapse-ops-core", "creation, update, deletion"},
		{"tags can be moved", func(p *patient) {
			p.github["/repos/Sage-Bionetworks/synapse-ops-core/rulesets/2"] = `{"conditions":{"ref_name":{"include":["~ALL"]}},"rules":[{"type":"creation"},{"type":"deletion"}]}`
		}, deploy.Fail, "GitHub tag rules of Sage-Bionetworks/synapse-ops-core", "not protected from update"},
		{"other tags", func(p *patient) {
			p.github["/repos/Sage-Bionetworks/synapse-ops-core/rulesets/2"] = `{"conditions":{"ref_name":{"include":["refs/tags/x*"]}},"rules":[{"type":"creation"},{"type":"update"},{"type":"deletion"}]}`
		}, deploy.Fail, "GitHub tag rules of Sage-Bionetworks/synapse-ops-core", "creation, update, deletion"},
		{"tags but some", func(p *patient) {
			p.github["/repos/Sage-Bionetworks/synapse-ops-core/rulesets/2"] = `{"conditions":{"ref_name":{"include":["~ALL"],"exclude":["refs/tags/v9*"]}},"rules":[{"type":"creation"},{"type":"update"},{"type":"deletion"}]}`
		}, deploy.Fail, "GitHub tag rules of Sage-Bionetworks/synapse-ops-core", "creation, update, deletion"},
		{"tags not shown", func(p *patient) {
			delete(p.github, "/repos/Sage-Bionetworks/synapse-ops-core/rulesets/2")
		}, deploy.CannotTell, "GitHub tag rules of Sage-Bionetworks/synapse-ops-core", "shows nothing"},
		{"not shown", func(p *patient) { p.github = nil }, deploy.CannotTell, "GitHub environment dev", "shows nothing"},
		{"no token", func(p *patient) { delete(p.env, "GH_TOKEN") }, deploy.CannotTell, "GitHub environment dev", "no token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPatient()
			p.env["GH_TOKEN"] = "gh"
			tt.spoil(p)
			for _, f := range p.examine(t, true) {
				if f.About == tt.about && f.Status == tt.status && strings.Contains(f.Text, tt.says) {
					if f.Remedy == "" {
						t.Errorf("%s: no remedy", f.About)
					}
					return
				}
			}
			t.Errorf("no finding %s about %s says %q:\n%s", tt.status, tt.about, tt.says, page(p.examine(t, true)))
		})
	}
}

func TestDoctor_Canceled(t *testing.T) {
	p := newPatient()
	d, err := deploy.New(deploy.Config{Environment: &p.vars, Identity: awsauth.Identity{Account: "111111111111"}, Clients: deploy.Clients{Clock: func(ctx context.Context) (time.Time, error) { return time.Time{}, ctx.Err() }}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := d.Doctor(ctx, deploy.Examination{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that it was canceled", err)
	}
}
