package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
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

// TestPermissions_Used: every action that a role is allowed is asked for by what we
// do, or it is listed with the reason.
func TestPermissions_Used(t *testing.T) {
	l := newLived(t)
	l.live()
	used := map[permission]bool{}
	for _, a := range l.stage.Cloud.Asked() {
		if name, ok := strings.CutPrefix(a.Principal, "arn:aws:iam::"+l.dev.Account+":role/"); ok && a.Allowed {
			used[permission{name, a.Statement, a.Action}] = true
		}
	}
	for _, p := range granted(t, l.stage.Cloud.Account("dev").IAM) {
		if !used[p] {
			fmt.Println("not used:",p)
		}
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

// live is what is done.
func (l *lived) live() {
	l.t.Helper()
	binary, err := bundled()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.story.StandUp(l.t.Context(), l.dev, "--binary", binary); err != nil {
		l.t.Fatal(err)
	}
	deploying := l.stage.Deployment(l.dev)
	runs := 0
	job := func(reviewed bool) rehearsal.Actor { // each of another workflow run: one asks for one thing
		runs++
		return l.stage.Job(l.dev, rehearsal.Job{Workflow: "run-task.yml", Reviewed: reviewed, Run: runs})
	}
	l.as(deploying, 0, "deploy", "--binary", binary, "--yes", "--parameter", "LogRetentionDays=731", "--parameter", "ComputeType=BUILD_GENERAL1_MEDIUM")
	l.as(deploying, 0, "deploy", "--check")
	l.as(l.stage.Job(l.dev, rehearsal.Job{Workflow: "doctor.yml"}), 0, "doctor")

	l.as(job(false), 0, "plan", "remove-user", "users=3350396")
	l.as(job(true), 0, "run", "remove-user", "users=3350396", "--confirm", "jdoe")
	for _, lane := range []string{"admin", "deploy", "migrate"} {
		run := l.runOf(l.as(job(true), 0, "run", "canary", "minutes=5", "--lane", lane, "--detach"))
		if lane == "deploy" {
			l.as(job(true), 0, "cancel", run, "--grace", "1ms")
		} else {
			l.as(job(false), 0, "cancel", run)
		}
	}
	l.as(job(true), 0, "freeze", "--reason", "a test")
	l.as(job(true), 0, "unfreeze")
	l.as(l.breakingGlass(), 0, "run", "decertify-user", "users=3350398", "--break-glass", "the pipeline is down")
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

var _ = fmt.Sprint
