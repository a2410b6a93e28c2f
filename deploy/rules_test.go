package templates_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	templates "github.com/Sage-Bionetworks/synapse-ops-core/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
)

var sources = map[string][]byte{"bootstrap.yaml": templates.Bootstrap(), "lane.yaml": templates.Lane}

func TestTemplatesFitInACall(t *testing.T) {
	for name, source := range sources {
		if len(source) > 51_200 {
			t.Errorf("%s has %d bytes; CloudFormation takes 51,200 inline", name, len(source))
		}
	}
}

// TestLint asks cfn-lint where it is installed; the rules below need nothing.
func TestLint(t *testing.T) {
	unraced(t)
	if n := bytes.Count(slices.Concat(templates.Bootstrap(), templates.Lane), []byte("ignore_checks")); n != 1 {
		t.Errorf("cfn-lint is told to look away %d times, want once: at the minutes of the project", n)
	}
	lint, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Log("cfn-lint is not installed")
		return
	}
	t.Parallel()
	if out, err := exec.Command(lint, names(sources)...).CombinedOutput(); err != nil {
		t.Errorf("cfn-lint: %v\n%s", err, out)
	}
}

// TestLimits holds the number that cfn-lint is told not to look at, and others
// that only the services would tell.
func TestLimits(t *testing.T) {
	a := dev().deploy(t, "classic")
	for lane, want := range map[ops.Lane]int64{ops.LanePlan: 60, ops.LaneAdmin: 480, ops.LaneDeploy: 480, ops.LaneMigrate: 2160} {
		s := a.stacks["synops-lane-"+string(lane)]
		p := s.Resource("Project").Properties
		if p["TimeoutInMinutes"] != want || p["QueuedTimeoutInMinutes"] != int64(480) || p["AutoRetryLimit"] != int64(0) {
			t.Errorf("lane %s: a build may take %v minutes and wait %v and is retried %v times, want %d, 480 and 0", lane, p["TimeoutInMinutes"], p["QueuedTimeoutInMinutes"], p["AutoRetryLimit"], want)
		}
		for _, v := range list(p["Environment"].(map[string]any)["EnvironmentVariables"]) {
			if e := v.(map[string]any); e["Type"] != nil && e["Type"] != "PLAINTEXT" || len(e["Value"].(string)) == 0 {
				t.Errorf("lane %s: variable %v is not a plain value", lane, e)
			}
		}
	}
	for _, r := range everyResource(a) {
		if r.Type != "AWS::IAM::Role" {
			continue
		}
		if n := asJSON(t, r.Properties["AssumeRolePolicyDocument"]); n > 2048 {
			t.Errorf("the trust policy of %s has %d characters; IAM takes 2,048 unless asked for more", r.ID, n)
		}
		inline := 0
		for _, p := range list(r.Properties["Policies"]) {
			inline += asJSON(t, p.(map[string]any)["PolicyDocument"])
		}
		if inline > 10_240 {
			t.Errorf("the policies in %s have %d characters; IAM takes 10,240", r.ID, inline)
		}
	}
	for arn, doc := range a.attached {
		if n := asJSON(t, doc); n > 6144 {
			t.Errorf("%s has %d characters; IAM takes 6,144", arn, n)
		}
	}
	for _, doc := range a.buckets {
		if n := asJSON(t, doc); n > 20_480 {
			t.Errorf("a bucket's policy has %d characters; S3 takes 20,480", n)
		}
	}
}

func everyResource(a *account) []cfn.Resource {
	var out []cfn.Resource
	for _, name := range names(a.stacks) {
		out = append(out, a.stacks[name].Resources...)
	}
	return out
}

// identityDocuments returns every identity policy and boundary by where it is.
func identityDocuments(a *account) map[string]any {
	out := map[string]any{}
	for name, r := range a.roles {
		for i, doc := range r.inline {
			out[name+" "+string(rune('1'+i))] = doc
		}
	}
	for arn, doc := range a.attached {
		out[arn] = doc
	}
	return out
}

// withoutResource are the actions that take none, so that "*" is all there is to
// write (Service Authorization Reference).
var withoutResource = []string{
	"cloudformation:DescribeStackDriftDetectionStatus", "cloudformation:ListStacks",
	"ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces", "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups",
	"ec2:DescribeSubnets", "ec2:DescribeVpcEndpoints", "ec2:DescribeVpcs",
}

// onlyBounds are further ones that the boundary, which grants nothing, has with "*".
var onlyBounds = []string{"cloudformation:DescribeStackEvents", "cloudformation:DescribeStacks", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:Describe*"}

// TestNoPolicyIsWide: no action "*" nor a service's whole in what grants, no
// resource "*" where the action takes one.
func TestNoPolicyIsWide(t *testing.T) {
	for where, tree := range identityDocuments(dev().deploy(t, "classic")) {
		bounds := strings.HasSuffix(where, "/synops-boundary")
		for _, s := range document(tree).Statements {
			for _, action := range s.Actions {
				if action == "*" || strings.Contains(action, "*") && !s.Deny && !bounds {
					t.Errorf("%s, %s: allows %s", where, s.Sid, action)
				}
				if slices.Contains(s.Resources, "*") && !slices.Contains(withoutResource, action) && !(bounds && slices.Contains(onlyBounds, action)) {
					t.Errorf("%s, %s: allows %s on everything, and it takes a resource", where, s.Sid, action)
				}
			}
			if s.Sid == "" {
				t.Errorf("%s: a statement has no name", where)
			}
		}
	}
}

// TestRolesAreBoundedAndConditioned: every trust has a condition, every role a
// boundary, and none a policy that AWS keeps.
func TestRolesAreBoundedAndConditioned(t *testing.T) {
	a := dev().deploy(t, "classic")
	for _, name := range names(a.roles) {
		r := a.roles[name]
		if !strings.HasSuffix(r.boundary, ":policy/synops-boundary") {
			t.Errorf("%s is bounded by %q", name, r.boundary)
		}
		for _, s := range document(r.trust).Statements {
			if len(s.Conditions) == 0 {
				t.Errorf("%s may be assumed without a condition", name)
			}
			for _, p := range s.Principals {
				if p.Value == "*" {
					t.Errorf("%s may be assumed by anyone", name)
				}
			}
		}
		for _, arn := range r.attached {
			if a.attached[arn] == nil {
				t.Errorf("%s has the policy %s, which is not written here", name, arn)
			}
		}
	}
	for _, word := range []string{"AdministratorAccess", "PowerUserAccess", ":aws:policy/", "iam::aws:"} {
		for name, source := range sources {
			if bytes.Contains(source, []byte(word)) {
				t.Errorf("%s names %s", name, word)
			}
		}
	}
}

// TestGitHubTrusts holds what IAM demands of a GitHub trust and what we do: all of
// audience, subject, repository ID, branch and workflow file, as one subject format.
func TestGitHubTrusts(t *testing.T) {
	for format, prefix := range map[string]string{"classic": "repo:Sage-Bionetworks/synapse-ops-dev:", "immutable": "repo:Sage-Bionetworks@1410000/synapse-ops-dev@710000001:"} {
		a := dev().deploy(t, format)
		for _, name := range []string{"synops-observe", "synops-perform", "synops-deploy"} {
			asked := map[string][]string{}
			for _, c := range document(a.roles[name].trust).Statements[0].Conditions {
				asked[c.Operator+" "+strings.TrimPrefix(c.Key, "token.actions.githubusercontent.com:")] = c.Values
			}
			for _, want := range []string{"StringEquals aud", "StringEquals sub", "StringEquals repository_id", "StringEquals ref", "StringLike job_workflow_ref"} {
				if len(asked[want]) == 0 {
					t.Errorf("%s (%s) does not ask %s", name, format, want)
				}
			}
			if sub := asked["StringEquals sub"]; len(sub) != 1 || !strings.HasPrefix(sub[0], prefix) || strings.Contains(sub[0], "*") {
				t.Errorf("%s (%s) admits the subjects %q", name, format, sub)
			}
			file := regexp.MustCompile(`^Sage-Bionetworks/synapse-ops-core/\.github/workflows/[a-z-]+\.yml@refs/(heads/main|tags/v\*)$`)
			for _, ref := range asked["StringLike job_workflow_ref"] {
				if !file.MatchString(ref) {
					t.Errorf("%s (%s) admits the workflow %s", name, format, ref)
				}
			}
		}
	}
}

// fixed are the types whose names others build on; the rest get generated names, so
// that replacing one never meets its own name.
var fixed = map[string]string{
	"AWS::IAM::Role":              "RoleName",
	"AWS::CodePipeline::Pipeline": "Name",
	"AWS::CodeBuild::Project":     "Name",
	"AWS::Logs::LogGroup":         "LogGroupName",
	"AWS::IAM::ManagedPolicy":     "ManagedPolicyName", // the boundary alone: roles' permissions name it
	"AWS::SecretsManager::Secret": "Name",              // environments files name secrets
}

var nameProperties = []string{"RoleName", "Name", "LogGroupName", "ManagedPolicyName", "BucketName", "TopicName", "AlarmName", "FilterName"} // a filter names the group it is for

func TestNames(t *testing.T) {
	for _, r := range everyResource(dev().deploy(t, "classic")) {
		for _, property := range nameProperties {
			v, given := r.Properties[property]
			switch {
			case given && fixed[r.Type] != property && r.Type != "AWS::Logs::MetricFilter":
				t.Errorf("%s of type %s has the fixed name %v", r.ID, r.Type, v)
			case given && r.Type == "AWS::IAM::ManagedPolicy" && v != "synops-boundary":
				t.Errorf("%s has the fixed name %v", r.ID, v)
			case !given && fixed[r.Type] == property && r.Type != "AWS::IAM::ManagedPolicy":
				t.Errorf("%s of type %s has no fixed name", r.ID, r.Type)
			}
		}
	}
}

// TestWhatHoldsThingsIsRetained: a stack that goes, or replaces, leaves data. One whose
// making fails leaves nothing: what it had made holds nothing yet, and its name would
// be in the way of the next.
func TestWhatHoldsThingsIsRetained(t *testing.T) {
	holds := []string{"AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::KMS::Key", "AWS::SecretsManager::Secret", "AWS::SecretsManager::ResourcePolicy", "AWS::Logs::LogGroup"}
	for _, r := range everyResource(dev().deploy(t, "classic")) {
		if slices.Contains(holds, r.Type) && (r.DeletionPolicy != cfn.RetainExceptOnCreate || r.UpdateReplacePolicy != "Retain") {
			t.Errorf("%s of type %s is not retained", r.ID, r.Type)
		}
	}
}

// neutral are the defaults that are the same wherever the system runs.
var neutral = map[string]string{
	"OidcProviderArn": "", "StackBuilderPolicyArns": "", "StackBuilderBoundaryArn": "", "AdminSecretName": "/synapse/admin-pat",
	"ComputeType": "BUILD_GENERAL1_SMALL", "LogRetentionDays": "365",
}

// TestParameters: no default that belongs to an environment, no secret handed over
// as a parameter, each one explained.
func TestParameters(t *testing.T) {
	for name, source := range sources {
		template, err := cfn.Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range template.Parameters {
			if want, known := neutral[p.Name]; p.HasDefault && (!known || want != p.Default) {
				t.Errorf("%s: parameter %s has the default %q", name, p.Name, p.Default)
			}
			if p.Description == "" {
				t.Errorf("%s: parameter %s is not explained", name, p.Name)
			}
			if regexp.MustCompile(`(?i)(token|password|pat|secret|key)$`).MatchString(p.Name) || p.NoEcho {
				t.Errorf("%s: parameter %s looks like a secret: those are put into Secrets Manager, never into a stack", name, p.Name)
			}
			if p.Type == "String" && p.Pattern == "" && len(p.Allowed) == 0 {
				t.Errorf("%s: parameter %s takes any text", name, p.Name)
			}
		}
	}
	account := regexp.MustCompile(`\b[0-9]{12}\b|vpc-[0-9a-f]{8}|subnet-[0-9a-f]{8}|sg-[0-9a-f]{8}|sagebase\.org`)
	for name, source := range sources {
		if found := account.Find(source); found != nil {
			t.Errorf("%s holds %s, which belongs to one account", name, found)
		}
	}
}

func TestBuckets(t *testing.T) {
	a := prod().deploy(t, "classic")
	for _, r := range everyResource(a) {
		if r.Type != "AWS::S3::Bucket" {
			continue
		}
		p := r.Properties
		public := p["PublicAccessBlockConfiguration"].(map[string]any)
		for _, k := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			if public[k] != true {
				t.Errorf("%s: %s is %v", r.ID, k, public[k])
			}
		}
		if p["VersioningConfiguration"].(map[string]any)["Status"] != "Enabled" || p["BucketEncryption"] == nil {
			t.Errorf("%s is not versioned or not encrypted", r.ID)
		}
		if a.buckets[r.ID] == nil {
			t.Errorf("%s has no policy", r.ID)
		}
	}
}

// TestLifecycle: what decides for ever, such as a claim or a fence, is never
// deleted; what is personal goes after 30 days.
func TestLifecycle(t *testing.T) {
	store := prod().deploy(t, "classic").stacks["synops-bootstrap"].Resource("StoreBucket")
	private := false
	for _, v := range list(store.Properties["LifecycleConfiguration"].(map[string]any)["Rules"]) {
		r := v.(map[string]any)
		prefix, _ := r["Prefix"].(string)
		_, expires := r["ExpirationInDays"]
		_, forgets := r["NoncurrentVersionExpiration"]
		tagged := len(list(r["TagFilters"])) > 0
		if expires && !tagged {
			t.Errorf("rule %v deletes whatever is under %q", r["Id"], prefix)
		}
		if (forgets || r["Transitions"] != nil) && !tagged && !strings.HasSuffix(prefix, "/runs/") {
			t.Errorf("rule %v reaches beyond the documents of runs", r["Id"])
		}
		private = private || tagged && r["ExpirationInDays"] == int64(30) && forgets
	}
	if !private {
		t.Error("no rule deletes private documents after 30 days")
	}
}

// TestLanes: what starts builds, and what builds run.
func TestLanes(t *testing.T) {
	for _, lane := range ops.Lanes() {
		s := prod().deploy(t, "classic").stacks["synops-lane-"+string(lane)]
		checkPipeline(t, lane, s.Resource("Pipeline").Properties)
		checkProject(t, lane, s.Resource("Project").Properties)
		if days := s.Resource("Logs").Properties["RetentionInDays"]; days != "365" {
			t.Errorf("lane %s keeps logs for %v days", lane, days)
		}
	}
}

func checkPipeline(t *testing.T, lane ops.Lane, p map[string]any) {
	t.Helper()
	if p["PipelineType"] != "V2" || p["ExecutionMode"] != "PARALLEL" || p["Name"] != "synops-"+string(lane) {
		t.Errorf("pipeline %v is %v in mode %v", p["Name"], p["PipelineType"], p["ExecutionMode"])
	}
	declared := map[string]bool{}
	for _, v := range list(p["Variables"]) {
		name := v.(map[string]any)["Name"].(string)
		declared[name] = true
		if !regexp.MustCompile(`^[A-Za-z0-9@_-]{1,128}$`).MatchString(name) || v.(map[string]any)["DefaultValue"] != nil {
			t.Errorf("variable %v is misnamed or has a default", v)
		}
	}
	stages := list(p["Stages"])
	source := list(stages[0].(map[string]any)["Actions"])[0].(map[string]any)["Configuration"].(map[string]any)
	if source["PollForSourceChanges"] != "false" || source["S3ObjectKey"] != "bundle.zip" {
		t.Errorf("the source stage is %v", source)
	}
	for _, stage := range stages {
		if s := stage.(map[string]any); s["OnFailure"] != nil {
			t.Errorf("stage %v does something by itself when it fails", s["Name"])
		}
	}
	variables := list(stages[1].(map[string]any)["Actions"])[0].(map[string]any)["Configuration"].(map[string]any)["EnvironmentVariables"].(string)
	// CodePipeline takes 1,000 characters, before or after the variables are put in:
	// run IDs are at most 100 long, digests and execution IDs 64.
	if n := len(variables) + 100 + 64 + 64; n > 1000 {
		t.Errorf("the build's variables may come to %d characters", n)
	}
	used := regexp.MustCompile(`#\{variables\.([^}]*)\}`).FindAllStringSubmatch(variables, -1)
	for _, u := range used {
		if !declared[u[1]] {
			t.Errorf("#{variables.%s} is not declared", u[1])
		}
	}
	if len(used) != len(declared) {
		t.Errorf("%d variables are declared and %d used", len(declared), len(used))
	}
}

func checkProject(t *testing.T, lane ops.Lane, p map[string]any) {
	t.Helper()
	env := p["Environment"].(map[string]any)
	if env["PrivilegedMode"] != false {
		t.Errorf("lane %s builds privileged", lane)
	}
	spec := p["Source"].(map[string]any)["BuildSpec"].(string)
	work := "work"
	if lane == ops.LanePlan {
		work = "work --plan-only"
	}
	if want := `./synops ` + work + ` --store "$SYNOPS_STORE" -- "$SYNOPS_RUN"`; !strings.Contains(spec, want+"\n") || strings.Count(spec, "$") != 2 {
		t.Errorf("lane %s runs:\n%s\nwant %s and nothing else that a shell expands", lane, spec, want)
	}
	got := map[string]any{}
	for _, v := range list(env["EnvironmentVariables"]) {
		got[v.(map[string]any)["Name"].(string)] = v.(map[string]any)["Value"]
	}
	want := []string{"CONTEXT", "SYNAPSE_HOST", "SYNOPS_ACCOUNT", "SYNOPS_BUILD_MINUTES", "SYNOPS_BUNDLE_BUCKET", "SYNOPS_LANE", "SYNOPS_STORE"}
	switch lane {
	case ops.LanePlan, ops.LaneAdmin:
		want = append(want, "SYNOPS_TOKEN_SOURCE")
	case ops.LaneDeploy:
		want = slices.Insert(want, 5, "SYNOPS_CACHE")
	}
	if !slices.Equal(names(got), want) || got["CONTEXT"] != "prod" || got["SYNOPS_STORE"] != "s3://storebucket-222222222222" {
		t.Errorf("lane %s: builds get %v", lane, got)
	}
	// Without it a worker would not know when to hand its run over.
	if got["SYNOPS_BUILD_MINUTES"] != fmt.Sprint(p["TimeoutInMinutes"]) {
		t.Errorf("lane %s: builds may take %v minutes and are told %v", lane, p["TimeoutInMinutes"], got["SYNOPS_BUILD_MINUTES"])
	}
	if vpc := p["VpcConfig"].(map[string]any); vpc["VpcId"] != "vpc-1" || len(list(vpc["Subnets"])) != 2 {
		t.Errorf("lane %s builds in %v", lane, vpc)
	}
}
