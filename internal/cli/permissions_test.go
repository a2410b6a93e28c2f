package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
)

// A permission is one action that one statement of a role's policies allows.
type permission struct{ role, statement, action string }

func (p permission) String() string { return p.role + " " + p.statement + " " + p.action }

// An exception is what nothing here asks for, and why it is granted all the same.
type exception struct {
	// pattern is of ROLE STATEMENT ACTION, as path.Match takes it.
	pattern string
	// sometimes: it depends on what happens first whether it is asked for.
	sometimes bool
	reason    string
}

var exceptions = []exception{
	{"synops-break-glass Follow *", true, "an administrator follows a run in a build, when the workflows that would cannot be used"},
	{"synops-break-glass AskToEnd *", true, "and ends one"},
	{"synops-break-glass End *", true, "and ends one"},
	{"synops-observe AskToEnd *", true, "a job that was canceled cancels its run, whether or not anybody reviewed it"},
	{"synops-observe Follow codepipeline:GetPipelineExecution", true, "asked only while an execution has no build yet"},
	{"synops-observe End *", true, "a plan that does not end when it is asked to"},
	{"synops-perform Follow codepipeline:GetPipelineExecution", true, "asked only while an execution has no build yet"},
	{"synops-perform End codepipeline:StopPipelineExecution", true, "asked only where the execution goes on after its build was stopped"},
	{"synops-* TellTheTeam *", true, "a job tells the team how its run ended, where the workflow says so"},
	{"synops-deploy PutGitHubPat *", true, "a deployment brings GH_PAT of the ops repository into the account"},
	{"synops-schedule *", true, "what a workflow asks for that a schedule starts: as synops-perform does, for tasks that may be scheduled"},
	{"synops-cloudformation BoundedRoles iam:PutRolePermissionsBoundary", false, "a release whose template moves a role's boundary"},
	{"synops-cloudformation Engines codepipeline:*Pipeline", true, "a release whose template changes the pipeline, or takes a lane away"},
	{"synops-cloudformation Roles iam:Update*", false, "a release whose template changes a role's trust or description"},
	{"synops-lane-plan ReadHolders *", true, "read where another run is named as the holder of a lease"},
	{"synops-lane-* HandOver *", true, "a run longer than its build's time is handed over to the next build"},
	{"synops-lane-* SeeWhetherHoldersAreGone *", true, "asked before the lease of a run that ended without a word is taken over"},
	{"synops-lane-* MarkPersonal *", true, "tasks of this lane whose before-images are personal"},
	{"synops-lane-* FindBundle s3:GetBucketVersioning", false, "in AWS's own policy for a build whose source is a pipeline; nothing here shows that it is not asked for"},
	{"synops-lane-deploy BuildStacks *", true, "tools of lane deploy act as synops-stack-builder"},
	{"synops-lane-deploy Cache *", true, "tools that were built are kept"},
	{"synops-lane-deploy FindInCache *", true, "tools that were built are kept"},
	{"synops-lane-* Sources *", true, "private source repositories are read"},
	{"synops-lane-* SeeStacks *", true, "a plan of a deployment says how its stacks are"},
	{"synops-lane-* FindStacks *", true, "a plan of a deployment says how its stacks are"},
	{"synops-lane-* Secrets *", true, "a migration, and its plan, asks both stacks with their own credentials"},
	{"synops-pipeline-* FindBundle s3:GetBucketAcl", false, "in AWS's own policy for an S3 source; nothing here shows that it is not asked for"},
	{"synops-pipeline-* FindBundle s3:ListBucket", false, "in AWS's own policy for an S3 source; with it a missing bundle reads as missing and not as denied"},
	{"synops-pipeline-* PassOn s3:GetObject*", false, "in AWS's own policy for a pipeline's artifacts"},
	{"synops-pipeline-* TakeBundle s3:Get*Tagging", false, "in AWS's own policy for an S3 source"},
}

// TestPermissions_Used: every action that a role is allowed is asked for by what we
// do, or it is listed with the reason. docs/permissions.md says which is which.
func TestPermissions_Used(t *testing.T) {
	unraced(t)
	t.Parallel()
	l := newLived(t)
	l.live()
	asked := map[permission]bool{}
	for _, a := range l.stage.Cloud.Asked() {
		if name, ok := strings.CutPrefix(a.Principal, l.dev.Role("")); ok && a.Allowed {
			asked[permission{name, a.Statement, a.Action}] = true
		}
	}
	all := granted(t, l.stage.Cloud.Account("dev").IAM)
	if len(all) < 100 {
		t.Fatalf("%d permissions are granted: this looked at the wrong account", len(all))
	}
	reasons := map[permission]string{}
	for _, e := range exceptions {
		used := 0
		for _, p := range all {
			if ok, err := path.Match(e.pattern, p.String()); err != nil {
				t.Fatal(err)
			} else if ok && reasons[p] == "" {
				used++
				reasons[p] = e.reason
				if asked[p] && !e.sometimes {
					t.Errorf("%s is asked for, and listed as one that is not: take it off the list", p)
				}
			}
		}
		if used == 0 {
			t.Errorf("nothing is %q: take it off the list", e.pattern)
		}
	}
	for _, p := range all {
		if !asked[p] && reasons[p] == "" {
			t.Errorf("%s is granted, and nothing asked for it: take it out of the template, or list it with the reason", p)
		}
	}
	checkPage(t, permissionsPage(all, reasons))
}

// permissionsPage is docs/permissions.md.
func permissionsPage(all []permission, reasons map[permission]string) string {
	var b strings.Builder
	b.WriteString(`# Permissions

Every action that a role of ours is allowed, and what shows that it is needed. *Shown* means that a test deploys an emulated account, does in it what we do, and that
the role asked for it there. The rest has its reason. A permission that is neither makes the test fail, and so does one that is listed without need. This page is
computed: ` + "`go test ./internal/cli -run TestPermissions -update`" + ` writes it. Who may use what on which documents is in [separation.md](separation.md).
`)
	role := ""
	for _, p := range all {
		if p.role != role {
			role = p.role
			fmt.Fprintf(&b, "\n## %s\n\n| statement | action | needed |\n|---|---|---|\n", role)
		}
		why := reasons[p]
		if why == "" {
			why = "*shown*"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", p.statement, p.action, why)
	}
	return b.String()
}

// checkPage keeps the page as it is computed.
func checkPage(t *testing.T, want string) {
	t.Helper()
	file := filepath.Join("..", "..", "docs", "permissions.md")
	if *update && !t.Failed() {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale. If the change is meant: go test ./internal/cli -run TestPermissions -update", file)
	}
}

// granted lists what the account's roles are allowed, but for what their boundary
// takes away.
func granted(t *testing.T, iam *emulator.IAM) []permission {
	t.Helper()
	var out []permission
	for _, r := range iam.Roles() {
		var texts []string
		for _, text := range r.Inline {
			texts = append(texts, text)
		}
		for _, arn := range r.Attached {
			p, ok := iam.ManagedPolicy(arn)
			if !ok {
				t.Fatalf("%s has a policy that is not there: %s", r.Name, arn)
			}
			texts = append(texts, p.Document)
		}
		for _, text := range texts {
			d, err := policy.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range d.Statements {
				for _, action := range s.Actions {
					if !s.Deny {
						out = append(out, permission{r.Name, s.Sid, action})
					}
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b permission) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// A lived is an account in which all is done that we do in one.
type lived struct {
	t     *testing.T
	stage *rehearsal.Stage
	dev   *rehearsal.Environment
	story *rehearsal.Story
	told  bytes.Buffer
	runs  int
}

func newLived(t *testing.T) *lived {
	t.Helper()
	settings := emulator.Defaults()
	settings.Stacks.Step, settings.LogDelay, settings.Rates = time.Millisecond, 50*time.Millisecond, nil
	settings.Builds.Provisioning, settings.Builds.StopDelay = 20*time.Millisecond, 10*time.Millisecond
	settings.Pipelines.VisibleAfter, settings.Pipelines.Lag = 30*time.Millisecond, 10*time.Millisecond
	stage, err := rehearsal.Open(t.Context(), rehearsal.Config{Dir: t.TempDir(), Settings: &settings, Getenv: os.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stage.Close)
	if stage.Synops, err = exec.LookPath("synops"); err != nil {
		t.Fatal(err)
	}
	l := &lived{t: t, stage: stage, dev: stage.Dev}
	l.story = rehearsal.Tell(stage, &l.told)
	t.Cleanup(func() {
		if t.Failed() {
			told := l.told.Bytes()
			t.Logf("it ended with\n%s", told[max(0, len(told)-4000):])
			for _, a := range stage.Cloud.Asked() {
				if !a.Allowed {
					t.Logf("%s may not %s on %s: %s", a.Principal, a.Action, a.Resource, a.Reason)
				}
			}
		}
	})
	return l
}

// as runs a command and wants an exit code.
func (l *lived) as(a rehearsal.Actor, want int, args ...string) *rehearsal.Answer {
	l.t.Helper()
	got, err := l.story.Do(l.t.Context(), a, want, append(args, "-e", "dev")...)
	if err != nil {
		l.t.Fatal(err)
	}
	return got
}

// job is a job of a workflow run of its own: each asks for one thing.
func (l *lived) job(reviewed bool) rehearsal.Actor {
	l.runs++
	return l.stage.Job(l.dev, rehearsal.Job{Workflow: "run-task.yml", Reviewed: reviewed, Run: l.runs})
}

// live is what is done.
func (l *lived) live() {
	l.t.Helper()
	binary, err := bundled()
	if err != nil {
		l.t.Fatal(err)
	}
	l.deployments(binary)
	l.as(l.stage.Job(l.dev, rehearsal.Job{Workflow: "doctor.yml"}), 1, "doctor") // of what was changed by hand
	l.plansAndRuns()
	l.lanes()
	l.canceled(binary)
	l.byHand()
}

// deployments are made, fail and are made again, change, drift, and are left.
func (l *lived) deployments(binary string) {
	l.t.Helper()
	check := func(err error) {
		l.t.Helper()
		if err != nil {
			l.t.Fatal(err)
		}
	}
	account, deploying := l.stage.Cloud.Account("dev"), l.stage.Deployment(l.dev)
	check(l.story.Prepare(l.t.Context(), l.dev))
	deploy := func(want int, args ...string) {
		l.as(deploying, want, append([]string{"deploy", "--binary", binary}, args...)...)
	}
	deploy(0, "plan", "--yes")
	// The pipeline is made last: all else is there when it cannot be, and is undone.
	claimed, _ := account.Pipelines.Pipeline("synops-plan")
	claimed.Name = "synops-migrate"
	check(account.Pipelines.CreatePipeline(claimed))
	deploy(1, "--yes")
	check(account.Pipelines.DeletePipeline(claimed.Name))
	deploy(1, "--yes", "--recreate") // a workflow's job may not
	l.as(l.stage.Administrator(l.dev), 0, "deploy", "--binary", binary, "--yes", "--recreate")
	deploy(0, "--yes", "--parameter", "LogRetentionDays=731", "--parameter", "ComputeType=BUILD_GENERAL1_MEDIUM")
	deploy(3, "--parameter", "LogRetentionDays=365") // nobody can be asked, and nothing is left lying about
	check(account.Logs.SetRetention("/synops/plan", 1))
	deploy(1, "--check")
}

func (l *lived) plansAndRuns() {
	l.as(l.job(false), 0, "plan", "remove-user", "users=3350396")
	l.as(l.job(true), 0, "run", "remove-user", "users=3350396", "--confirm", "jdoe")
	l.as(l.job(true), 0, "freeze", "--reason", "a test")
	l.as(l.job(true), 0, "unfreeze")
}

// lanes has something run in those that may not read the token.
func (l *lived) lanes() {
	for _, lane := range []string{"deploy", "migrate"} {
		l.as(l.job(true), 0, "run", "canary", "minutes=1", "--lane", lane)
	}
}

// canceled is a run that a deployment would have interrupted, and that does not end
// by itself when it is asked to.
func (l *lived) canceled(binary string) {
	users := make([]string, 400)
	for i := range users {
		users[i] = fmt.Sprint(3350400 + i)
	}
	run := l.runOf(l.as(l.job(true), 0, "run", "decertify-user", "users="+strings.Join(users, ","), "--rate", "60", "--detach"))
	l.until(run, "running")
	l.as(l.stage.Deployment(l.dev), 3, "deploy", "admin", "--binary", binary, "--parameter", "ComputeType=BUILD_GENERAL1_LARGE")
	l.as(l.job(true), 0, "cancel", run, "--grace", "1ms")
}

// byHand is what an administrator does when the pipeline cannot be used.
func (l *lived) byHand() {
	l.as(l.breakingGlass(), 0, "run", "remove-user", "users=3350397", "--confirm", "rroe", "--break-glass", "the pipeline is down")
}

// until waits until a run is in a state.
func (l *lived) until(run, state string) {
	l.t.Helper()
	for range 300 {
		got := l.as(l.job(false), 0, "show", run, "--format", "json")
		if strings.Contains(got.Stdout, `"state":"`+state+`"`) || strings.Contains(got.Stdout, `"state": "`+state+`"`) {
			return
		}
	}
	l.t.Fatalf("run %s never was %s", run, state)
}

func (l *lived) runOf(got *rehearsal.Answer) string {
	l.t.Helper()
	m := regexp.MustCompile(`(?m)^run\s+(\S+)$`).FindStringSubmatch(got.Stderr)
	if m == nil {
		l.t.Fatalf("no run is named in\n%s", got.Stderr)
	}
	return m[1]
}

// breakingGlass is the administrator after taking the role.
func (l *lived) breakingGlass() rehearsal.Actor {
	l.t.Helper()
	k, err := l.stage.Cloud.Account("dev").IAM.RoleCredentials("synops-break-glass", "test", time.Hour)
	if err != nil {
		l.t.Fatal(err)
	}
	a := l.stage.Administrator(l.dev)
	a.Vars["AWS_ACCESS_KEY_ID"], a.Vars["AWS_SECRET_ACCESS_KEY"], a.Vars["AWS_SESSION_TOKEN"] = k.AccessKeyID, k.SecretAccessKey, k.SessionToken
	return a
}
