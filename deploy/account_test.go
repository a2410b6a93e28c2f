package templates_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	templates "github.com/Sage-Bionetworks/synapse-ops-core/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

const region = "us-east-1"

// An account is what the templates make of one: resources with names made up, and
// every policy as it is deployed, still as a tree so that a test may change it.
type account struct {
	id, environment string
	repository      string
	repositoryID    string
	roles           map[string]*role // by name
	buckets         map[string]any   // policy by the bucket's logical ID
	secrets         map[string]any   // policy by the secret's logical ID
	topic           any              // the topic's policy
	attached        map[string]any   // other managed policies by ARN
	stacks          map[string]*cfn.Stack
	documents       map[string]*policy.Document // all of the above, read
	whose           map[string]string           // what resourcePolicy told
}

type role struct {
	name     string
	trust    any
	inline   []any
	attached []string
	boundary string
}

func dev() *account {
	return &account{id: "111111111111", environment: "dev", repository: "synapse-ops-dev", repositoryID: "710000001"}
}

func prod() *account {
	return &account{id: "222222222222", environment: "prod", repository: "synapse-ops-prod", repositoryID: "710000002"}
}

const (
	owner, ownerID = "Sage-Bionetworks", "1410000"
	core           = "synapse-ops-core"
)

func (a *account) bootstrapParameters(format string) map[string]string {
	return map[string]string{
		"Environment": a.environment, "GitHubOrg": owner, "OrgId": ownerID, "OpsRepository": a.repository, "OpsRepositoryId": a.repositoryID,
		"CoreRepository": core, "SubjectFormat": format, "AdministratorRoleArn": a.roleARN("administrators"),
	}
}

func (a *account) laneParameters(lane ops.Lane) map[string]string {
	return map[string]string{
		"Lane": string(lane), "Environment": a.environment, "SynapseHost": "https://repo-" + a.environment + ".sagebase.org", "Architecture": "arm64",
		"VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1",
	}
}

func (a *account) roleARN(name string) string { return "arn:aws:iam::" + a.id + ":role/" + name }

// session is who calls when a role is used.
func (a *account) session(name string) string {
	return "arn:aws:sts::" + a.id + ":assumed-role/" + name + "/session"
}

func (a *account) bucket(id string) string { return strings.ToLower(id) + "-" + a.id }

func (a *account) object(id, key string) string { return "arn:aws:s3:::" + a.bucket(id) + "/" + key }

func (a *account) secretARN(id string) string {
	return "arn:aws:secretsmanager:" + region + ":" + a.id + ":secret:" + secretNames[id] + "-a1B2c3"
}

var secretNames = map[string]string{
	"AdminPat": "/synapse/admin-pat", "MigrationSource": "/synops/migration/source",
	"MigrationDestination": "/synops/migration/destination", "GitHubPat": "/synops/gh-pat",
}

// deploy resolves both templates for the account, the lane's once for each lane.
func (a *account) deploy(t testing.TB, format string) *account {
	t.Helper()
	a.roles, a.buckets, a.secrets = map[string]*role{}, map[string]any{}, map[string]any{}
	a.attached, a.stacks = map[string]any{}, map[string]*cfn.Stack{}
	exports := map[string]string{}
	a.add(t, "synops-bootstrap", templates.Bootstrap(), a.bootstrapParameters(format), exports)
	for _, lane := range ops.Lanes() {
		a.add(t, "synops-lane-"+string(lane), templates.Lane, a.laneParameters(lane), exports)
	}
	a.read()
	return a
}

func (a *account) add(t testing.TB, name string, source []byte, parameters, exports map[string]string) {
	t.Helper()
	template, err := cfn.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]cfn.Resource{}
	s := &cfn.Stack{}
	s.Outputs, err = template.Walk(cfn.Environment{
		Account: a.id, Region: region, StackName: name, Parameters: parameters,
		StackID:  "arn:aws:cloudformation:" + region + ":" + a.id + ":stack/" + name + "/1",
		Physical: func(id string) (string, error) { return a.physical(made[id]) },
		Attr:     func(id, attr string) (string, error) { return a.attr(made[id], attr) },
		Import: func(name string) (string, error) {
			if v, ok := exports[name]; ok {
				return v, nil
			}
			return "", fmt.Errorf("nothing exports %s", name)
		},
	}, func(r cfn.Resource) error {
		made[r.ID] = r
		s.Resources = append(s.Resources, r)
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, o := range s.Outputs {
		if o.Export != "" {
			exports[o.Export] = o.Value
		}
	}
	a.stacks[name] = s
	a.collect(s)
}

func (a *account) physical(r cfn.Resource) (string, error) {
	switch r.Type {
	case "AWS::S3::Bucket":
		return a.bucket(r.ID), nil
	case "AWS::SecretsManager::Secret":
		return a.secretARN(r.ID), nil
	case "AWS::IAM::ManagedPolicy":
		name, _ := r.Properties["ManagedPolicyName"].(string)
		if name == "" {
			name = "synops-bootstrap-" + r.ID
		}
		return "arn:aws:iam::" + a.id + ":policy/" + name, nil
	case "AWS::SNS::Topic":
		return "arn:aws:sns:" + region + ":" + a.id + ":" + r.ID, nil
	case "AWS::CodePipeline::Pipeline", "AWS::CodeBuild::Project":
		return r.Properties["Name"].(string), nil
	case "AWS::Logs::LogGroup":
		return r.Properties["LogGroupName"].(string), nil
	}
	return "", fmt.Errorf("what is %s of type %s called?", r.ID, r.Type)
}

func (a *account) attr(r cfn.Resource, attr string) (string, error) {
	switch r.Type + "." + attr {
	case "AWS::S3::Bucket.Arn":
		return "arn:aws:s3:::" + a.bucket(r.ID), nil
	case "AWS::IAM::Role.Arn":
		return a.roleARN(r.Properties["RoleName"].(string)), nil
	case "AWS::IAM::OIDCProvider.Arn":
		return a.provider(), nil
	}
	return "", fmt.Errorf("what is %s of %s?", attr, r.Type)
}

func (a *account) provider() string {
	return "arn:aws:iam::" + a.id + ":oidc-provider/token.actions.githubusercontent.com"
}

// collect files a stack's policies by whom they bear on.
func (a *account) collect(s *cfn.Stack) {
	for _, r := range s.Resources {
		p := r.Properties
		switch r.Type {
		case "AWS::IAM::Role":
			one := &role{name: p["RoleName"].(string), trust: p["AssumeRolePolicyDocument"], boundary: p["PermissionsBoundary"].(string)}
			for _, v := range list(p["Policies"]) {
				one.inline = append(one.inline, v.(map[string]any)["PolicyDocument"])
			}
			for _, v := range list(p["ManagedPolicyArns"]) {
				one.attached = append(one.attached, v.(string))
			}
			a.roles[one.name] = one
		case "AWS::IAM::ManagedPolicy":
			arn, _ := a.physical(r)
			a.attached[arn] = p["PolicyDocument"]
		case "AWS::S3::BucketPolicy":
			a.buckets[strings.TrimSuffix(r.ID, "Policy")+"Bucket"] = p["PolicyDocument"]
		case "AWS::SecretsManager::ResourcePolicy":
			a.secrets[strings.TrimSuffix(r.ID, "Policy")] = p["ResourcePolicy"]
		case "AWS::SNS::TopicPolicy":
			a.topic = p["PolicyDocument"]
		}
	}
}

func list(v any) []any { l, _ := v.([]any); return l }

// document reads a policy as it is deployed. It panics where the policy cannot be
// read: no test goes on from there.
func document(tree any) *policy.Document {
	data, err := json.Marshal(tree)
	if err != nil {
		panic(err)
	}
	d, err := policy.Parse(data)
	if err != nil {
		panic(fmt.Sprintf("%v: %s", err, data))
	}
	return d
}

// read makes documents of the trees, each under a name that says what it bears on:
// "trust ROLE", "role ROLE N", "policy NAME", "bucket ID", "secret ID", "topic".
func (a *account) read() {
	a.documents, a.whose = map[string]*policy.Document{"topic": document(a.topic)}, map[string]string{}
	for name, r := range a.roles {
		a.documents["trust "+name] = document(r.trust)
		for i, tree := range r.inline {
			a.documents[fmt.Sprintf("role %s %d", name, i+1)] = document(tree)
		}
	}
	for arn, tree := range a.attached {
		a.documents["policy "+arn[strings.LastIndex(arn, "/")+1:]] = document(tree)
	}
	for id, tree := range a.buckets {
		a.documents["bucket "+id] = document(tree)
	}
	for id, tree := range a.secrets {
		a.documents["secret "+id] = document(tree)
	}
}

// with returns the account with another document in one place.
func (a *account) with(where string, d *policy.Document) *account {
	b := *a
	b.documents = maps.Clone(a.documents)
	b.documents[where] = d
	return &b
}

// identity returns a role's own policies and its boundary; a role that is not ours
// has neither.
func (a *account) identity(name string) (own, boundary []*policy.Document) {
	r := a.roles[name]
	if r == nil {
		return nil, nil
	}
	for i := range r.inline {
		own = append(own, a.documents[fmt.Sprintf("role %s %d", name, i+1)])
	}
	for _, arn := range r.attached {
		own = append(own, a.documents["policy "+arn[strings.LastIndex(arn, "/")+1:]])
	}
	return own, []*policy.Document{a.documents["policy synops-boundary"]}
}

// resourcePolicy returns where the policy of what an ARN names is, "" for none.
func (a *account) resourcePolicy(arn string) string {
	where, known := a.whose[arn]
	if !known {
		where = a.findPolicy(arn)
		a.whose[arn] = where
	}
	return where
}

func (a *account) findPolicy(arn string) string {
	for id := range a.buckets {
		if b := "arn:aws:s3:::" + a.bucket(id); arn == b || strings.HasPrefix(arn, b+"/") {
			return "bucket " + id
		}
	}
	for id := range a.secrets {
		if arn == a.secretARN(id) {
			return "secret " + id
		}
	}
	if name, ok := strings.CutPrefix(arn, a.roleARN("")); ok && a.roles[name] != nil {
		return "trust " + name
	}
	return ""
}

// asJSON is a policy's length as IAM counts it: without blanks.
func asJSON(t testing.TB, tree any) int {
	t.Helper()
	data, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return len(data)
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
