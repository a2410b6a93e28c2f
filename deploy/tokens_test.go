package templates_test

import (
	"fmt"
	"strings"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

const claim = "token.actions.githubusercontent.com:"

// A repository is one that a workflow may run in.
type repository struct {
	name            string // for the table
	owner, repo     string
	ownerID, repoID string
	format          string // how GitHub writes its subjects
	isOpsOf         string // the environment it belongs to, "" none
}

// repositories are those that ask, in the order of the table.
func repositories(format string) []repository {
	return []repository{
		{"dev", owner, "synapse-ops-dev", ownerID, "710000001", format, "dev"},
		{"prod", owner, "synapse-ops-prod", ownerID, "710000002", format, "prod"},
		{"core", owner, core, ownerID, "710000000", format, ""},
		{"fork of prod", "mallory", "synapse-ops-prod", "666", "710000666", format, ""},
		{"same name elsewhere", "Sage-Bionetwork", "synapse-ops-prod", "667", "710000667", format, ""},
		{"stranger", "mallory", "anything", "666", "710000668", format, ""},
		{"prod, renamed", owner, "synapse-ops-prod-old", ownerID, "710000002", format, ""},
		{"prod, deleted and made anew", owner, "synapse-ops-prod", ownerID, "710000099", format, ""},
		{"prod, subjects in the other format", owner, "synapse-ops-prod", ownerID, "710000002", otherFormat(format), ""},
	}
}

func otherFormat(format string) string {
	if format == "classic" {
		return "immutable"
	}
	return "classic"
}

var refs = []string{"refs/heads/main", "refs/heads/feature", "refs/tags/v1.0.0", "refs/pull/7/merge"}

var environments = []string{"", "dev", "prod", "staging", "dev-schedule", "prod-schedule"}

// workflows are the files that hold the job: core's, at refs that are protected and
// not, and others'.
func workflows() []string {
	ours := owner + "/" + core + "/.github/workflows/"
	var out []string
	for _, file := range []string{"run-task", "follow", "cancel", "resume", "settle", "doctor", "deploy", "secret-put"} {
		out = append(out, ours+file+".yml@refs/heads/main", ours+file+".yml@refs/tags/v1.2.0")
	}
	for _, file := range []string{"run-task", "deploy"} {
		for _, ref := range []string{"refs/heads/feature", "refs/tags/v1/evil", "refs/tags/x1", "refs/pull/7/merge", "0123456789012345678901234567890123456789"} {
			out = append(out, ours+file+".yml@"+ref)
		}
	}
	return append(out,
		ours+"ci.yml@refs/heads/main",
		"mallory/"+core+"/.github/workflows/run-task.yml@refs/heads/main",
		owner+"/synapse-ops-prod/.github/workflows/run-task.yml@refs/heads/main",
	)
}

// A token is what GitHub says of a job.
type token struct {
	repository
	ref, environment, workflow string
}

func (k token) subject() string {
	name := k.owner + "/" + k.repo
	if k.format == "immutable" {
		name = k.owner + "@" + k.ownerID + "/" + k.repo + "@" + k.repoID
	}
	switch {
	case k.environment != "":
		return "repo:" + name + ":environment:" + k.environment
	case strings.HasPrefix(k.ref, "refs/pull/"):
		return "repo:" + name + ":pull_request"
	}
	return "repo:" + name + ":ref:" + k.ref
}

// context is what STS makes of the token's claims.
func (k token) context() map[string][]string {
	m := map[string][]string{
		claim + "aud": {"sts.amazonaws.com"}, claim + "sub": {k.subject()}, claim + "repository_id": {k.repoID}, claim + "ref": {k.ref},
		claim + "job_workflow_ref": {k.workflow}, claim + "repository": {k.owner + "/" + k.repo},
	}
	if k.environment != "" {
		m[claim+"environment"] = []string{k.environment}
	}
	return m
}

func (k token) String() string {
	return fmt.Sprintf("%s, %s, environment %q, %s", k.name, k.ref, k.environment, k.workflow)
}

// everyToken is each combination there is; at a ref that no trust admits, of fewer
// workflow files.
func everyToken(format string) []token {
	var out []token
	for _, r := range repositories(format) {
		for _, ref := range refs {
			for _, e := range environments {
				for _, w := range workflows() {
					if ref != "refs/heads/main" && !strings.HasSuffix(w, "/run-task.yml@refs/heads/main") && !strings.HasSuffix(w, "/deploy.yml@refs/heads/main") {
						continue
					}
					out = append(out, token{r, ref, e, w})
				}
			}
		}
	}
	return out
}

// githubRoles are those that a token may become.
var githubRoles = []string{"synops-observe", "synops-perform", "synops-schedule", "synops-deploy"}

// An assumption is one asking to become a role, whoever asks.
type assumption struct {
	who, role string
	request   policy.Request
	powerful  bool // the caller's own policies allow everything
}

func (s assumption) String() string { return s.who + " becomes " + s.role }

func (s assumption) decide(a *account) bool {
	p := policy.Policies{Resource: []*policy.Document{a.documents["trust "+s.role]}, SameAccount: true}
	if s.powerful {
		p.Identity = []*policy.Document{everything}
		p.SameAccount = strings.Contains(s.request.Principal, ":"+a.id+":")
	}
	s.request.Resource = a.roleARN(s.role)
	d, err := policy.Decide(s.request, p)
	if err != nil {
		panic(fmt.Sprintf("%v: %v", s, err))
	}
	return d.Allowed
}

func (a *account) withToken(k token, role string) assumption {
	return assumption{who: k.String(), role: role, request: policy.Request{Principal: a.provider(), Action: "sts:AssumeRoleWithWebIdentity", Context: k.context()}}
}

// best is the token that a role is made for.
func (a *account) best(format, role string) token {
	i := 0
	if a.environment == "prod" {
		i = 1
	}
	file, env := "run-task", a.environment
	switch role {
	case "synops-observe":
		env = ""
	case "synops-schedule":
		env += "-schedule"
	case "synops-deploy":
		file = "deploy"
	}
	return token{repositories(format)[i], "refs/heads/main", env, owner + "/" + core + "/.github/workflows/" + file + ".yml@refs/heads/main"}
}

// assumptions are all that is tried with the roles' trusts.
func (a *account) assumptions(format string) []assumption {
	var out []assumption
	for _, role := range githubRoles {
		for _, k := range everyToken(format) {
			out = append(out, a.withToken(k, role))
		}
		good := a.withToken(a.best(format, role), role)
		for _, key := range []string{"aud", "sub", "repository_id", "ref", "job_workflow_ref", "environment"} {
			without := good
			without.who = "the right token without " + key
			without.request.Context = a.best(format, role).context()
			delete(without.request.Context, claim+key)
			out = append(out, without)
		}
		elsewhere := good
		elsewhere.who, elsewhere.request.Context = "a token for another audience", a.best(format, role).context()
		elsewhere.request.Context[claim+"aud"] = []string{"sigstore"}
		provider := good
		provider.who, provider.request.Principal = "another provider's token", strings.Replace(a.provider(), "token.actions.githubusercontent.com", "evil.example", 1)
		out = append(out, elsewhere, provider)
	}
	return append(out, a.peopleAndServices()...)
}

// peopleAndServices ask for the roles that are not for GitHub.
func (a *account) peopleAndServices() []assumption {
	var out []assumption
	person := func(who, principal, role string, context map[string][]string) {
		out = append(out, assumption{who, role, policy.Request{Principal: principal, Action: "sts:AssumeRole", Context: context}, true})
	}
	mfa := map[string][]string{"aws:MultiFactorAuthPresent": {"true"}}
	for _, role := range ours() {
		person("administrators with MFA", a.session("administrators"), role, mfa)
		person("administrators without MFA", a.session("administrators"), role, map[string][]string{"aws:MultiFactorAuthPresent": {"false"}})
		person("administrators, MFA unknown", a.session("administrators"), role, nil)
		person("developers with MFA", a.session("developers"), role, mfa)
		person("another account's administrators", "arn:aws:sts::333333333333:assumed-role/administrators/x", role, mfa)
		for _, lane := range []string{"admin", "deploy"} {
			person("lane "+lane, a.session("synops-lane-"+lane), role, nil)
		}
		for _, service := range []string{"codebuild", "codepipeline", "cloudformation", "ec2"} {
			for _, source := range a.sources(service) {
				for _, account := range []string{a.id, "333333333333"} {
					out = append(out, assumption{fmt.Sprintf("%s for %s in %s", service, source, account), role,
						policy.Request{Service: service + ".amazonaws.com", Action: "sts:AssumeRole",
							Context: map[string][]string{"aws:SourceAccount": {account}, "aws:SourceArn": {strings.Replace(a.arn(service, source), a.id, account, 1)}}}, false})
				}
			}
		}
	}
	return out
}

// sources are what a service may act for.
func (a *account) sources(service string) []string {
	switch service {
	case "codebuild":
		return []string{"project/synops-plan", "project/synops-admin", "project/synops-deploy", "project/synops-migrate", "project/other"}
	case "codepipeline":
		return []string{"synops-plan", "synops-admin", "synops-deploy", "synops-migrate", "other"}
	case "cloudformation":
		return []string{"stack/synops-lane-admin/1", "stack/synops-bootstrap/1", "stack/other/1"}
	}
	return []string{"instance/i-1"}
}
