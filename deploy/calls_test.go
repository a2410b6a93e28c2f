package templates_test

import (
	"fmt"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// A mode is what a caller brings along.
type mode string

const (
	asWritten mode = ""                       // its own policies
	anything  mode = "allowed anything"       // its own policies allow everything: the boundary is left
	unbounded mode = "without its boundary"   // and it has lost its boundary: others' policies are left
	outsider  mode = "not ours, all-powerful" // a role of the account with every permission
)

var everything = document(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{"Effect": "Allow", "Action": "*", "Resource": "*"}}})

// A call is one thing that a role tries.
type call struct {
	role             string
	mode             mode
	action, resource string
	context          map[string][]string
	note             string // what is particular about it
}

func (c call) String() string {
	s := fmt.Sprintf("%s %s %s", c.role, c.action, c.resource)
	for _, more := range []string{string(c.mode), c.note} {
		if more != "" {
			s += ", " + more
		}
	}
	return s
}

// decide judges a call by a role of one account on what may be another's.
func (c call) decide(from, in *account) bool {
	own, boundary := from.identity(c.role)
	if c.mode != asWritten {
		own = append(own[:len(own):len(own)], everything)
	}
	if c.mode == unbounded || c.mode == outsider {
		boundary = nil
	}
	p := policy.Policies{Identity: own, Boundary: boundary, SameAccount: from.id == in.id}
	if where := in.resourcePolicy(c.resource); where != "" {
		if d := in.documents[where]; strings.HasPrefix(where, "trust ") == strings.HasPrefix(c.action, "sts:") && d != nil {
			p.Resource = []*policy.Document{d}
		}
	}
	d, err := policy.Decide(policy.Request{Principal: from.session(c.role), Action: c.action, Resource: c.resource, Context: c.fullContext()}, p)
	if err != nil {
		panic(fmt.Sprintf("%v: %v", c, err))
	}
	return d.Allowed
}

// fullContext is what the services tell of an ordinary call, changed by what is
// particular about this one; a key without values is left out.
func (c call) fullContext() map[string][]string {
	context := map[string][]string{"aws:SecureTransport": {"true"}}
	if c.action == "s3:PutObject" {
		context["s3:ObjectCreationOperation"] = []string{"true"}
		context["s3:if-none-match"] = []string{"*"}
		if strings.Contains(c.resource, "/private/") {
			context["s3:RequestObjectTag/synops-retention"] = []string{"private"}
		}
	}
	for k, v := range c.context {
		context[k] = v
	}
	return context
}

// kinds are a run's documents and others of a lane, as docs/documents.md has them.
var kinds = []struct{ name, key string }{
	{"requests", "requests/0a1b.json"},
	{"claims", "claims/0a1b.json"},
	{"starts", "runs/RUN/starts/0001.json"},
	{"attempts", "runs/RUN/attempts/0001.json"},
	{"journal", "runs/RUN/journal/00000001.jsonl"},
	{"plan.json", "runs/RUN/plan.json"},
	{"results", "runs/RUN/results/0001.json"},
	{"artifacts", "runs/RUN/artifacts/effects-1.jsonl"},
	{"heartbeat.json", "runs/RUN/heartbeat.json"},
	{"cancel.json", "runs/RUN/cancel.json"},
	{"private", "runs/RUN/private/user-1"},
}

const run = "20261123T141502Z-remove-user-3f9c"

const scheduledRun = "20261123T141502Z-remove-user-scheduled-3f9c01"

// A stored is one key of a bucket.
type stored struct{ bucket, key, name string }

// storedThings are all that a role may want to read or write.
func (a *account) storedThings() []stored {
	var out []stored
	for _, lane := range ops.Lanes() {
		for _, k := range kinds {
			key := string(lane) + "/" + strings.ReplaceAll(k.key, "RUN", run)
			out = append(out, stored{"StoreBucket", key, string(lane) + " " + k.name})
		}
	}
	return append(out,
		stored{"StoreBucket", "leases/" + a.environment + "/users/00000001.json", "leases"},
		stored{"StoreBucket", "freezes/" + a.environment + "/00000001.json", "freezes"},
		stored{"StoreBucket", "index/20261123/" + run, "index"},
		stored{"BundleBucket", "bundle.zip", "bundle.zip"},
		stored{"BundleBucket", "current.json", "current.json"},
		stored{"ArtifactBucket", "synops-admin/Bundle/x", "handed over in lane admin"},
		stored{"CacheBucket", "tool/x", "cached tools"},
	)
}

// ours are the roles of an account, in the order of the tables.
func ours() []string {
	names := []string{"synops-observe", "synops-perform", "synops-schedule", "synops-deploy", "synops-break-glass", "synops-stack-builder", "synops-cloudformation"}
	for _, kind := range []string{"synops-lane-", "synops-pipeline-"} {
		for _, lane := range ops.Lanes() {
			names = append(names, kind+string(lane))
		}
	}
	return names
}

// calls are all that is tried, table and named expectations alike.
func (a *account) calls() []call {
	var out []call
	for _, role := range ours() {
		for _, m := range []mode{asWritten, anything, unbounded} {
			out = append(out, a.callsOf(role, m)...)
		}
	}
	for _, role := range []string{"developers", "administrators"} {
		out = append(out, a.callsOf(role, outsider)...)
	}
	for _, odd := range a.oddCalls() {
		out = append(out, odd.call)
	}
	return out
}

// callsOf are the ordinary calls of one role.
func (a *account) callsOf(role string, m mode) []call {
	var out []call
	try := func(action, resource string, more ...call) {
		c := call{role: role, mode: m, action: action, resource: resource}
		if len(more) > 0 {
			c.context, c.note = more[0].context, more[0].note
		}
		out = append(out, c)
	}
	for _, d := range a.storedThings() {
		at := a.object(d.bucket, d.key)
		try("s3:GetObject", at)
		try("s3:PutObject", at)
		try("s3:PutObject", at, overwriting)
		try("s3:DeleteObject", at)
	}
	for id := range secretNames {
		try("secretsmanager:GetSecretValue", a.secretARN(id))
		try("secretsmanager:PutSecretValue", a.secretARN(id))
	}
	for _, lane := range ops.Lanes() {
		try("codepipeline:StartPipelineExecution", a.arn("codepipeline", "synops-"+string(lane)))
		try("codebuild:StartBuild", a.arn("codebuild", "project/synops-"+string(lane)))
		try("codebuild:StopBuild", a.arn("codebuild", "project/synops-"+string(lane)))
		try("iam:PutRolePolicy", a.roleARN("synops-lane-"+string(lane)), call{context: map[string][]string{"iam:PermissionsBoundary": {a.boundaryARN()}}})
		try("cloudformation:CreateChangeSet", a.arn("cloudformation", "stack/synops-lane-"+string(lane)+"/1"),
			call{context: map[string][]string{"cloudformation:RoleArn": {a.roleARN("synops-cloudformation")}}})
	}
	try("cloudformation:CreateChangeSet", a.arn("cloudformation", "stack/synops-bootstrap/1"),
		call{context: map[string][]string{"cloudformation:RoleArn": {a.roleARN("synops-cloudformation")}}})
	try("cloudformation:DescribeStacks", a.arn("cloudformation", "stack/synops-bootstrap/1"))
	try("cloudformation:DescribeStacks", a.arn("cloudformation", "stack/repo-prod-544-0/1"))
	for _, name := range ours() {
		if name != role {
			try("sts:AssumeRole", a.roleARN(name))
		}
	}
	return out
}

var overwriting = call{note: "overwriting", context: map[string][]string{"s3:if-none-match": nil}}

func (a *account) arn(service, rest string) string {
	return "arn:aws:" + service + ":" + region + ":" + a.id + ":" + rest
}

func (a *account) boundaryARN() string { return "arn:aws:iam::" + a.id + ":policy/synops-boundary" }

// An oddCall is one that only a condition tells from an ordinary one.
type oddCall struct {
	call
	want bool
}

func (a *account) oddCalls() []oddCall {
	at := func(key string) string { return a.object("StoreBucket", key) }
	with := func(pairs ...string) map[string][]string {
		m := map[string][]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = nil
			if pairs[i+1] != "" {
				m[pairs[i]] = []string{pairs[i+1]}
			}
		}
		return m
	}
	plain := with("aws:SecureTransport", "false")
	out := []oddCall{
		{call{"synops-observe", asWritten, "s3:GetObject", at("plan/requests/0a1b.json"), plain, "over plain HTTP"}, false},
		{call{"synops-observe", asWritten, "s3:GetObject", a.object("BundleBucket", "current.json"), plain, "over plain HTTP"}, false},
		{call{"synops-lane-admin", asWritten, "s3:GetObject", a.object("ArtifactBucket", "synops-admin/Bundle/x"), plain, "over plain HTTP"}, false},
		{call{"synops-lane-deploy", asWritten, "s3:GetObject", a.object("CacheBucket", "tool/x"), plain, "over plain HTTP"}, false},
		{call{"synops-lane-admin", asWritten, "s3:PutObject", at("admin/runs/" + run + "/artifacts/big"), with("s3:if-none-match", "", "s3:ObjectCreationOperation", "false"), "a part of an upload"}, true},
		{call{"synops-lane-admin", asWritten, "s3:PutObject", at("admin/runs/" + run + "/private/user-1"), with("s3:RequestObjectTag/synops-retention", ""), "not marked"}, false},
		{call{"synops-lane-admin", asWritten, "s3:PutObject", at("admin/runs/" + run + "/private/user-1"), with("s3:RequestObjectTag/synops-retention", "other"), "marked otherwise"}, false},
		{call{"synops-observe", asWritten, "s3:PutObject", at("admin/runs/" + run + "/artifacts/cancel.json"), nil, "a cancel marker in disguise"}, false},
		{call{"synops-observe", asWritten, "s3:PutObject", at("plan/runs/" + run + "/journal/starts/0001.json"), nil, "a start in disguise"}, false},
		{call{"synops-lane-admin", asWritten, "s3:PutObjectTagging", at("admin/claims/0a1b.json"), nil, "marking a claim for deletion"}, false},
		{call{"synops-lane-admin", asWritten, "s3:PutObjectTagging", at("admin/runs/" + run + "/private/user-1"), nil, ""}, true},
		{call{"synops-lane-admin", asWritten, "s3:PutObject", at("leases/other/users/00000001.json"), nil, "another environment's lease"}, false},
		{call{"synops-perform", asWritten, "s3:PutObject", at("freezes/other/00000001.json"), nil, "another environment's freeze"}, false},
		{call{"synops-schedule", asWritten, "s3:PutObject", at("admin/runs/" + scheduledRun + "/starts/0001.json"), nil, "a run that is named as scheduled"}, true},
		{call{"synops-schedule", asWritten, "s3:PutObject", at("admin/runs/" + run + "/starts/0001.json"), nil, "a run that is not named as scheduled"}, false},
		{call{"synops-schedule", asWritten, "s3:PutObject", at("admin/runs/" + scheduledRun + "/journal/00000001.jsonl"), nil, ""}, false},
		{call{"synops-schedule", asWritten, "s3:PutObject", at("freezes/" + a.environment + "/00000001.json"), nil, ""}, false},
		{call{"synops-deploy", asWritten, "cloudformation:CreateChangeSet", a.arn("cloudformation", "stack/synops-lane-admin/1"), with("cloudformation:RoleArn", ""), "with its own permissions"}, false},
		{call{"synops-deploy", asWritten, "cloudformation:CreateChangeSet", a.arn("cloudformation", "stack/synops-lane-admin/1"), with("cloudformation:RoleArn", a.roleARN("administrators")), "with another role's"}, false},
		{call{"synops-deploy", asWritten, "iam:PassRole", a.roleARN("synops-cloudformation"), with("iam:PassedToService", "cloudformation.amazonaws.com"), ""}, true},
		{call{"synops-deploy", asWritten, "iam:PassRole", a.roleARN("synops-cloudformation"), with("iam:PassedToService", "codebuild.amazonaws.com"), "to another service"}, false},
		{call{"synops-deploy", asWritten, "iam:PassRole", a.roleARN("synops-lane-admin"), with("iam:PassedToService", "codebuild.amazonaws.com"), ""}, false},
		{call{"synops-cloudformation", asWritten, "iam:CreateRole", a.roleARN("synops-lane-admin"), with("iam:PermissionsBoundary", ""), "without a boundary"}, false},
		{call{"synops-cloudformation", asWritten, "iam:CreateRole", a.roleARN("synops-lane-admin"), with("iam:PermissionsBoundary", "arn:aws:iam::"+a.id+":policy/wide"), "with another boundary"}, false},
		{call{"synops-cloudformation", asWritten, "iam:CreateRole", a.roleARN("synops-observe"), with("iam:PermissionsBoundary", a.boundaryARN()), "a role of the bootstrap"}, false},
		{call{"synops-cloudformation", anything, "iam:CreateRole", a.roleARN("somebody"), with("iam:PermissionsBoundary", ""), "a role that is not a lane's"}, false},
		{call{"synops-cloudformation", anything, "iam:DeleteRolePermissionsBoundary", a.roleARN("synops-observe"), nil, ""}, false},
		{call{"synops-cloudformation", asWritten, "iam:DeleteRolePermissionsBoundary", a.roleARN("synops-lane-admin"), nil, ""}, false},
		{call{"synops-cloudformation", asWritten, "iam:AttachRolePolicy", a.roleARN("synops-lane-admin"), nil, ""}, false},
		{call{"synops-cloudformation", asWritten, "iam:PassRole", a.roleARN("synops-lane-admin"), with("iam:PassedToService", "codebuild.amazonaws.com"), ""}, true},
		{call{"synops-cloudformation", asWritten, "iam:PassRole", a.roleARN("synops-lane-admin"), with("iam:PassedToService", "ec2.amazonaws.com"), "to another service"}, false},
	}
	for _, lane := range ops.Lanes() {
		out = append(out, a.networkCalls("synops-lane-"+string(lane))...)
	}
	return out
}

// networkCalls are what CodeBuild does with a lane's role to put a build into the
// network, and what it must not.
func (a *account) networkCalls(role string) []oddCall {
	var out []oddCall
	eni := a.arn("ec2", "network-interface/eni-1")
	for _, m := range []mode{asWritten, anything} {
		for _, vpc := range []string{"vpc-1", "vpc-2"} {
			here := map[string][]string{"ec2:Vpc": {a.arn("ec2", "vpc/"+vpc)}, "ec2:AuthorizedService": {"codebuild.amazonaws.com"}}
			want := vpc == "vpc-1" || m == anything // the boundary knows no network
			out = append(out,
				oddCall{call{role, m, "ec2:CreateNetworkInterface", a.arn("ec2", "subnet/subnet-9"), here, "in " + vpc}, want},
				oddCall{call{role, m, "ec2:CreateNetworkInterfacePermission", eni, here, "in " + vpc}, want})
		}
		lent := map[string][]string{"ec2:Vpc": {a.arn("ec2", "vpc/vpc-1")}}
		out = append(out, oddCall{call{role, m, "ec2:CreateNetworkInterfacePermission", eni, lent, "to somebody"}, false})
	}
	return out
}

// A publication is one message for the team, sent by a service.
type publication struct {
	service, source string
	want            bool
}

func (a *account) publications() []publication {
	return []publication{
		{"events", a.arn("events", "rule/synops-lane-admin-BuildBroke-1"), true},
		{"events", a.arn("events", "rule/other"), false},
		{"events", strings.Replace(a.arn("events", "rule/synops-x"), a.id, "333333333333", 1), false},
		{"cloudwatch", a.arn("cloudwatch", "alarm:synops-lane-admin-HeartbeatLost-1"), true},
		{"cloudwatch", a.arn("cloudwatch", "alarm:other"), false},
		{"lambda", a.arn("events", "rule/synops-x"), false},
	}
}

func (p publication) decide(a *account) bool {
	d, err := policy.Decide(
		policy.Request{Service: p.service + ".amazonaws.com", Action: "sns:Publish", Resource: a.arn("sns", "AlarmTopic"), Context: map[string][]string{"aws:SourceArn": {p.source}}},
		policy.Policies{Resource: []*policy.Document{a.documents["topic"]}, SameAccount: true})
	if err != nil {
		panic(err)
	}
	return d.Allowed
}
