package templates_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var update = flag.Bool("update", false, "write docs/separation.md anew")

// TestSeparationPage keeps docs/separation.md as the deployed policies answer.
func TestSeparationPage(t *testing.T) {
	unraced(t)
	t.Parallel()
	file := filepath.Join("..", "docs", "separation.md")
	want := page(dev().deploy(t, "classic"), prod().deploy(t, "classic"))
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale. If the change is meant: go test ./deploy -run TestSeparationPage -update, and read the difference.", file)
	}
}

func page(accounts ...*account) string {
	var b strings.Builder
	b.WriteString(`# Separation

Who may do what, as the policies of the two templates answer when they are deployed to a dev and a prod account. This page is
computed: ` + "`go test ./deploy -run TestSeparationPage -update`" + ` writes it, and a test fails when it is stale. Another takes every condition
out of every policy, one at a time, and fails unless an answer changes.

`)
	whoMayCome(&b, accounts)
	prod := accounts[len(accounts)-1]
	documentsTable(&b, prod)
	powersTable(&b, prod)
	boundaryTable(&b, prod)
	acrossAccounts(&b, accounts)
	b.WriteString("## Conditions that nothing shows alone\n\nTaking one of these away changes no answer, since another says the same. They are written all the same:\n\n")
	for _, r := range redundant {
		fmt.Fprintf(&b, "- `%s`: %s.\n", r.pattern, r.reason)
	}
	return b.String()
}

// whoMayCome tells which workflows become which role: all that are admitted, and
// how many were asked.
func whoMayCome(b *strings.Builder, accounts []*account) {
	tokens := everyToken("classic")
	fmt.Fprintf(b, "## Which workflow becomes which role\n\n%d combinations of repository, ref, environment and workflow file were tried with every role. Admitted are:\n\n", len(tokens))
	b.WriteString("| repository | ref | environment of the job | workflow file of core | role |\n|---|---|---|---|---|\n")
	for _, a := range accounts {
		for _, role := range githubRoles {
			for _, k := range tokens {
				if a.withToken(k, role).decide(a) {
					env := k.environment
					if env == "" {
						env = "none"
					}
					fmt.Fprintf(b, "| %s | %s | %s | `%s` | %s in %s |\n", k.name, k.ref, env, strings.TrimPrefix(k.workflow, owner+"/"+core+"/.github/workflows/"), role, a.environment)
				}
			}
		}
	}
	b.WriteString("\nThe same, counted by who asks:\n\n| repository |")
	for _, a := range accounts {
		for _, role := range githubRoles {
			fmt.Fprintf(b, " %s, %s |", a.environment, strings.TrimPrefix(role, "synops-"))
		}
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(accounts)*len(githubRoles)) + "\n")
	for _, r := range repositories("classic") {
		fmt.Fprintf(b, "| %s |", r.name)
		for _, a := range accounts {
			for _, role := range githubRoles {
				n, of := 0, 0
				for _, k := range tokens {
					if k.name == r.name {
						of++
						if a.withToken(k, role).decide(a) {
							n++
						}
					}
				}
				fmt.Fprintf(b, " %d of %d |", n, of)
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\nThe other roles:\n\n| who | role |\n|---|---|\n")
	for _, s := range accounts[len(accounts)-1].peopleAndServices() {
		if s.decide(accounts[len(accounts)-1]) {
			fmt.Fprintf(b, "| %s | %s |\n", s.who, s.role)
		}
	}
	b.WriteString("\n")
}

// columns heads a table by role and calls row for each line.
func columns(b *strings.Builder, what string, roles []string) {
	fmt.Fprintf(b, "| %s |", what)
	for _, role := range roles {
		fmt.Fprintf(b, " %s |", strings.TrimPrefix(role, "synops-"))
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(roles)) + "\n")
}

func documentsTable(b *strings.Builder, a *account) {
	b.WriteString("## Documents\n\n**r** reads, **c** creates, **o** overwrites, **d** deletes. The account is prod; in dev it is the same.\n\n")
	storedTable(b, a, asWritten)
}

func storedTable(b *strings.Builder, a *account, m mode) {
	columns(b, "document", ours())
	for _, d := range a.storedThings() {
		fmt.Fprintf(b, "| %s |", d.name)
		for _, role := range ours() {
			fmt.Fprintf(b, " %s |", a.letters(role, m, d))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// letters says in short what a role may do with a stored thing.
func (a *account) letters(role string, m mode, d stored) string {
	s := ""
	c := call{role: role, mode: m, resource: a.object(d.bucket, d.key)}
	for _, try := range []struct {
		letter, action string
		context        map[string][]string
	}{{"r", "s3:GetObject", nil}, {"c", "s3:PutObject", nil}, {"o", "s3:PutObject", overwriting.context}, {"d", "s3:DeleteObject", nil}} {
		c.action, c.context = try.action, try.context
		if c.decide(a, a) {
			s += try.letter
		}
	}
	return s
}

func powersTable(b *strings.Builder, a *account) {
	b.WriteString("## Secrets, pipelines and stacks\n\n")
	type row struct {
		name string
		call call
	}
	var rows []row
	for _, id := range names(secretNames) {
		rows = append(rows, row{"reads secret `" + secretNames[id] + "`", call{action: "secretsmanager:GetSecretValue", resource: a.secretARN(id)}})
	}
	rows = append(rows, row{"writes any of them", call{action: "secretsmanager:PutSecretValue", resource: a.secretARN("AdminPat")}})
	for _, lane := range ops.Lanes() {
		rows = append(rows, row{"starts pipeline `synops-" + string(lane) + "`", call{action: "codepipeline:StartPipelineExecution", resource: a.arn("codepipeline", "synops-"+string(lane))}})
	}
	via := map[string][]string{"cloudformation:RoleArn": {a.roleARN("synops-cloudformation")}}
	rows = append(rows,
		row{"starts a build of `synops-admin` without its pipeline", call{action: "codebuild:StartBuild", resource: a.arn("codebuild", "project/synops-admin")}},
		row{"stops a build of `synops-admin`", call{action: "codebuild:StopBuild", resource: a.arn("codebuild", "project/synops-admin")}},
		row{"changes a lane's stack", call{action: "cloudformation:CreateChangeSet", resource: a.arn("cloudformation", "stack/synops-lane-admin/1"), context: via}},
		row{"changes the bootstrap's stack", call{action: "cloudformation:CreateChangeSet", resource: a.arn("cloudformation", "stack/synops-bootstrap/1"), context: via}},
		row{"writes a lane's role", call{action: "iam:PutRolePolicy", resource: a.roleARN("synops-lane-admin"), context: map[string][]string{"iam:PermissionsBoundary": {a.boundaryARN()}}}},
		row{"sees stacks that are not ours", call{action: "cloudformation:DescribeStacks", resource: a.arn("cloudformation", "stack/repo-prod-544-0/1")}},
		row{"becomes `synops-stack-builder`", call{action: "sts:AssumeRole", resource: a.roleARN("synops-stack-builder")}},
	)
	columns(b, "power", ours())
	for _, r := range rows {
		fmt.Fprintf(b, "| %s |", r.name)
		for _, role := range ours() {
			r.call.role = role
			yes := ""
			if role != "synops-stack-builder" || r.call.action != "sts:AssumeRole" {
				if r.call.decide(a, a) {
					yes = "yes"
				}
			}
			fmt.Fprintf(b, " %s |", yes)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n`pipeline-LANE` starts builds of its own lane: that is what it is for. `stack-builder` may do besides what the account's own policies give it, and never touches any of the above.\n\n")
}

func boundaryTable(b *strings.Builder, a *account) {
	b.WriteString("## With every permission there is\n\nThe documents again, were each role's own policies to allow everything: what the boundary and the buckets' policies leave.\n\n")
	storedTable(b, a, anything)
}

func acrossAccounts(b *strings.Builder, accounts []*account) {
	asked, allowed := 0, 0
	for _, from := range accounts {
		for _, in := range accounts {
			if from == in {
				continue
			}
			for _, c := range in.calls() {
				asked++
				if c.decide(from, in) {
					allowed++
				}
			}
		}
	}
	fmt.Fprintf(b, "## From one account into the other\n\n%d calls by roles of one account on things of the other were tried, as written, with every permission and without a boundary: %d are allowed.\n\n", asked, allowed)
}
