package templates_test

import (
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// TestWhoMayComeIn asks every combination of repository, branch, environment and
// workflow file for every role of both accounts.
func TestWhoMayComeIn(t *testing.T) {
	unraced(t)
	t.Parallel()
	for _, format := range []string{"classic", "immutable"} {
		for _, a := range []*account{dev().deploy(t, format), prod().deploy(t, format)} {
			for _, role := range githubRoles {
				for _, k := range everyToken(format) {
					if got, want := a.withToken(k, role).decide(a), admits(a, role, k); got != want {
						t.Errorf("%s, %s: %s of %s: %v, want %v", format, k, role, a.environment, got, want)
					}
				}
			}
		}
	}
}

// admits says in other words than the templates who may become what.
func admits(a *account, role string, k token) bool {
	file, ref, _ := strings.Cut(strings.TrimPrefix(k.workflow, owner+"/"+core+"/.github/workflows/"), "@")
	files := map[string]string{
		"synops-observe":  "run-task.yml follow.yml cancel.yml resume.yml settle.yml doctor.yml",
		"synops-perform":  "run-task.yml resume.yml settle.yml",
		"synops-schedule": "run-task.yml",
		"synops-deploy":   "deploy.yml secret-put.yml",
	}
	env := a.environment
	switch role {
	case "synops-observe":
		env = ""
	case "synops-schedule":
		env += "-schedule"
	}
	return k.isOpsOf == a.environment && k.ref == "refs/heads/main" && k.environment == env &&
		(ref == "refs/heads/main" || ref == "refs/tags/v1.2.0") && strings.Contains(" "+files[role]+" ", " "+file+" ")
}

// TestPeopleAndServices holds who becomes the roles that are not for GitHub.
func TestPeopleAndServices(t *testing.T) {
	a := prod().deploy(t, "classic")
	want := map[string]bool{
		"administrators with MFA becomes synops-break-glass":                                         true,
		"lane deploy becomes synops-stack-builder":                                                   true,
		"cloudformation for stack/synops-lane-admin/1 in 222222222222 becomes synops-cloudformation": true,
	}
	for _, lane := range ops.Lanes() {
		want["codebuild for project/synops-"+string(lane)+" in 222222222222 becomes synops-lane-"+string(lane)] = true
		want["codepipeline for synops-"+string(lane)+" in 222222222222 becomes synops-pipeline-"+string(lane)] = true
	}
	for _, s := range a.peopleAndServices() {
		if got := s.decide(a); got != want[s.String()] {
			t.Errorf("%s: %v, want %v", s, got, want[s.String()])
		}
	}
}

// TestDevReachesProdNowhere: whatever a role of one account is allowed at home, and
// even with every permission there is.
func TestDevReachesProdNowhere(t *testing.T) {
	unraced(t)
	t.Parallel()
	for _, pair := range [][2]*account{{dev().deploy(t, "classic"), prod().deploy(t, "classic")}, {prod().deploy(t, "classic"), dev().deploy(t, "classic")}} {
		from, in := pair[0], pair[1]
		for _, c := range in.calls() {
			if c.decide(from, in) {
				t.Errorf("%s reaches %s: %s", from.environment, in.environment, c)
			}
		}
	}
}

// TestLaunchersRecordNothing: who asks for runs cannot write what runs did, nor
// start effects without a reviewer.
func TestLaunchersRecordNothing(t *testing.T) {
	a := prod().deploy(t, "classic")
	forbidden := []string{"attempts", "journal", "plan.json", "results", "artifacts", "heartbeat.json", "private"}
	for _, role := range []string{"synops-observe", "synops-perform", "synops-schedule", "synops-deploy"} {
		for _, d := range a.storedThings() {
			lane, kind, _ := strings.Cut(d.name, " ")
			record := lane == "leases" || lane == "index"
			for _, f := range forbidden {
				record = record || kind == f
			}
			c := call{role: role, action: "s3:PutObject", resource: a.object(d.bucket, d.key)}
			if record && c.decide(a, a) {
				t.Error(c)
			}
			// Deploying writes the lanes' roles, so nothing is gained by binding it further.
			if c.mode = anything; record && role != "synops-deploy" && c.decide(a, a) {
				t.Error(c)
			}
			c.mode = asWritten
			if c.action = "s3:GetObject"; kind == "private" && c.decide(a, a) {
				t.Error(c)
			}
			if role == "synops-observe" && lane != "plan" && kind != "cancel.json" {
				if c.action = "s3:PutObject"; c.decide(a, a) {
					t.Error(c)
				}
			}
		}
	}
	for _, lane := range ops.Lanes() {
		for role, may := range map[string]bool{"synops-observe": lane == ops.LanePlan, "synops-perform": lane != ops.LanePlan, "synops-schedule": lane != ops.LanePlan, "synops-deploy": false, "synops-break-glass": false} {
			c := call{role: role, action: "codepipeline:StartPipelineExecution", resource: a.arn("codepipeline", "synops-"+string(lane))}
			if c.decide(a, a) != may {
				t.Errorf("%s: want %v", c, may)
			}
		}
	}
}

// TestLanesKeepToThemselves: a lane writes its own runs, and no other lane's
// document even with every permission; nobody overwrites, nobody deletes.
func TestLanesKeepToThemselves(t *testing.T) {
	a := prod().deploy(t, "classic")
	for _, own := range ops.Lanes() {
		role := "synops-lane-" + string(own)
		for _, d := range a.storedThings() {
			if d.bucket != "StoreBucket" {
				continue
			}
			lane, kind, _ := strings.Cut(d.name, " ")
			mine := lane == string(own)
			want := mine && kind != "requests" && kind != "claims" || lane == "index" || lane == "leases" && own != ops.LanePlan
			put := call{role: role, action: "s3:PutObject", resource: a.object(d.bucket, d.key)}
			if put.decide(a, a) != want {
				t.Errorf("%s: want %v", put, want)
			}
			put.context, put.note = overwriting.context, overwriting.note
			if put.decide(a, a) != (mine && kind == "heartbeat.json") {
				t.Error(put)
			}
			for _, m := range []mode{anything, unbounded} {
				put := call{role: role, mode: m, action: "s3:PutObject", resource: a.object(d.bucket, d.key)}
				if kind != "" && !mine && put.decide(a, a) {
					t.Error(put)
				}
				put.action = "s3:DeleteObject"
				if put.decide(a, a) {
					t.Error(put)
				}
			}
			get := call{role: role, action: "s3:GetObject", resource: a.object(d.bucket, d.key)}
			if kind == "private" && get.decide(a, a) != mine {
				t.Error(get)
			}
		}
	}
}

// readers are who reads each secret.
var readers = map[string][]string{
	"AdminPat":             {"synops-lane-plan", "synops-lane-admin", "synops-break-glass"},
	"MigrationSource":      {"synops-lane-plan", "synops-lane-migrate"},
	"MigrationDestination": {"synops-lane-plan", "synops-lane-migrate"},
	"GitHubPat":            {"synops-lane-plan", "synops-lane-deploy"},
}

func TestSecrets(t *testing.T) {
	a := prod().deploy(t, "classic")
	for id, who := range readers {
		for _, role := range append(ours(), "developers", "administrators") {
			modes := []mode{asWritten, anything, unbounded}
			if a.roles[role] == nil {
				modes = []mode{outsider}
			}
			for _, m := range modes {
				get := call{role: role, mode: m, action: "secretsmanager:GetSecretValue", resource: a.secretARN(id)}
				want := false
				for _, w := range who {
					want = want || w == role
				}
				if get.decide(a, a) != want {
					t.Errorf("%s: want %v", get, want)
				}
				put := call{role: role, mode: m, action: "secretsmanager:PutSecretValue", resource: a.secretARN(id)}
				// The repository's own secret is put by its workflow, as what deploys.
				if may := role == "administrators" || id == "GitHubPat" && role == "synops-deploy"; put.decide(a, a) != may {
					t.Error(put)
				}
			}
		}
	}
}

// TestOddCalls holds what only a condition tells from an ordinary call.
func TestOddCalls(t *testing.T) {
	a := prod().deploy(t, "classic")
	for _, c := range a.oddCalls() {
		if got := c.decide(a, a); got != c.want {
			t.Errorf("%s: %v, want %v", c, got, c.want)
		}
	}
}

// TestTopic: rules and alarms of ours tell the team, and no others.
func TestTopic(t *testing.T) {
	a := prod().deploy(t, "classic")
	for _, p := range a.publications() {
		if got := p.decide(a); got != p.want {
			t.Errorf("%s publishes for %s: %v, want %v", p.service, p.source, got, p.want)
		}
	}
}

// TestBoundaryLeavesWhatRolesNeed: what a role's own policies allow is within the
// boundary, or it would be a permission in name alone.
func TestBoundaryLeavesWhatRolesNeed(t *testing.T) {
	a := prod().deploy(t, "classic")
	for _, name := range ours() {
		own, boundary := a.identity(name)
		for _, d := range own {
			for _, s := range d.Statements {
				for _, c := range samples(name, &s) {
					c.boundary = boundary
					c.check(t, a)
				}
			}
		}
	}
}

// A sample is one call that a statement allows.
type sample struct {
	call
	sid      string
	boundary []*policy.Document
}

// samples are a statement's actions on its resources, as far as they fit together,
// in the context that its conditions ask for.
func samples(role string, s *policy.Statement) []sample {
	if s.Deny {
		return nil
	}
	context := map[string][]string{}
	for _, c := range s.Conditions {
		context[c.Key] = c.Values[:1]
	}
	var out []sample
	for _, action := range s.Actions {
		service, _, _ := strings.Cut(action, ":")
		for _, resource := range s.Resources {
			if resource == "*" || strings.HasPrefix(resource, "arn:aws:"+service+":") {
				out = append(out, sample{call{role: role, action: action, resource: resource, context: context}, s.Sid, nil})
			}
		}
	}
	return out
}

func (s sample) check(t *testing.T, a *account) {
	t.Helper()
	r := policy.Request{Principal: a.session(s.role), Action: s.action, Resource: s.resource, Context: s.context}
	if r.Resource != "*" {
		r.Resource = strings.NewReplacer("??????", "a1B2c3", "*", "x").Replace(s.resource)
	}
	d, err := policy.Decide(r, policy.Policies{Identity: []*policy.Document{everything}, Boundary: s.boundary, SameAccount: true})
	if err != nil {
		t.Fatal(err)
	}
	if !d.Allowed {
		t.Errorf("%s, %s: the boundary does not leave %s on %s", s.role, s.sid, s.action, s.resource)
	}
}
