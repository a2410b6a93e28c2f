package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator/emulatortest"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// A lane is a rig whose environment dev is an emulated account, with lane admin
// deployed and this very program in its bundle.
type lane struct {
	*rig
	*emulatortest.World
	config string // the environments file in the bundle
	worker string // the program in it
	users  int    // how many were used up
	line   string // that a build of a deploy lane runs before the program
	bin    string // what a build of lane deploy finds first; a tool that has done its work is held while there is a file hold
}

// newLane acts as a job that passed the environment's reviewers. Its test goes on
// beside others: it waits more than it computes.
func newLane(t *testing.T) *lane {
	t.Helper()
	unraced(t)
	t.Parallel()
	r := newRig(t)
	host := r.vars["SANDBOX"]
	l := &lane{rig: r, World: emulatortest.New(t)}
	l.World.Lane("admin", host)
	file := fmt.Sprintf(`environments:
  dev:
    repository: Sage-Bionetworks/synapse-ops-dev
    synapse_hosts: [%q]
    account: %q
    region: us-east-1
    secret: /synapse/admin-pat
    lanes: [plan, admin]
`, host, emulatortest.Account)
	worker, err := exec.LookPath("synops")
	if err != nil {
		t.Fatal(err)
	}
	l.config, l.worker = file, worker
	l.bundle(":")
	if err := l.Dev.Secrets.Put("/synapse/admin-pat", sandbox.AdminToken); err != nil {
		t.Fatal(err)
	}
	r.vars["SYNOPS_CONFIG"] = r.file("account.yaml", file)
	r.vars["SYNAPSE_ADMIN_PAT"] = ""
	r.vars["AWS_ENDPOINT_URL"], r.vars["AWS_EC2_METADATA_DISABLED"] = l.URL, "true"
	l.become("synops-perform")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.Denials())
		}
	})
	return l
}

// become signs in as a session of the role.
func (l *lane) become(role string) {
	l.rig.t.Helper()
	k := l.Keys(role)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": k.AccessKeyID, "AWS_SECRET_ACCESS_KEY": k.SecretAccessKey, "AWS_SESSION_TOKEN": k.SessionToken} {
		l.vars[name] = value
	}
}

// asked lists the calls that the session of a role made since, in order.
func (l *lane) asked(role string, since int) (actions []string) {
	for _, a := range l.Cloud.Asked()[since:] {
		if strings.Contains(a.Principal, role) {
			actions = append(actions, a.Action)
		}
	}
	return actions
}

func wantAnswer(t *testing.T, got answer, code int, says ...string) {
	t.Helper()
	if got.code != code {
		t.Errorf("exit code %d, want %d", got.code, code)
	}
	for _, s := range says {
		if !strings.Contains(got.stdout+got.stderr, s) {
			t.Errorf("nothing says %q", s)
		}
	}
	if t.Failed() {
		t.Fatalf("stdout:\n%s\nstderr:\n%s", got.stdout, got.stderr)
	}
}

// TestPipeline_Run: a task runs in a build of the account, with the token that only
// the build can read, and its log and report come here.
func TestPipeline_Run(t *testing.T) {
	l := newLane(t)
	got := l.synops(nil, "run", "decertify-user", "users=3350396", "-e", "dev")
	wantAnswer(t, got, 0, "SUCCEEDED", "certified: true → false")
	if strings.Contains(got.stdout+got.stderr, "synops-heartbeat") || strings.Contains(got.stdout+got.stderr, "[Container]") {
		t.Errorf("lines that are not the worker's are printed:\n%s", got.stderr)
	}
	again := l.synops(nil, "runs", "-e", "dev", "--format", "json")
	wantAnswer(t, again, 0, "decertify-user", "succeeded")
}

// TestPipeline_Plan: where the service answers in its subnet alone, a plan is made
// there, by whoever may start nothing else; it performs nothing and is listed
// nowhere.
func TestPipeline_Plan(t *testing.T) {
	l := newLane(t)
	l.World.Lane("plan", l.vars["SANDBOX"])
	l.become("synops-observe")
	before := l.audits()
	got := l.synops(nil, "plan", "remove-user", "users=3350396", "-e", "dev", "--format", "json")
	wantAnswer(t, got, 0, "planning in", "which changes nothing")
	var plan ops.Plan
	if err := json.Unmarshal([]byte(got.stdout), &plan); err != nil || plan.Challenge != "jdoe" || len(plan.Effects) != 1 || plan.Digest == "" {
		t.Fatalf("%v: %+v", err, plan)
	}
	if after := l.audits(); after != before {
		t.Errorf("the service changed: %s, was %s", after, before)
	}
	wantAnswer(t, l.synops(nil, "runs", "-e", "dev"), 0, "No runs")
	wantAnswer(t, l.synops(nil, "run", "decertify-user", "users=3350396", "-e", "dev"), 1, "AccessDenied")
	wantAnswer(t, l.synops(nil, "plan", "remove-user", "users=1", "-e", "dev"), 3, "guard")
	wantAnswer(t, l.synops(nil, "plan", "remove-user", "users=3350396", "-e", "dev"), 0, "synops run remove-user users=3350396 -e dev --plan "+string(plan.Digest))
	l.become("synops-perform")
	wantAnswer(t, l.synops(nil, "freeze", "-e", "dev", "--reason", "a test"), 0, "Lift it with: synops unfreeze -e dev\n")
	wantAnswer(t, l.synops(nil, "unfreeze", "-e", "dev"), 0)
	wantAnswer(t, l.synops(nil, "run", "remove-user", "users=3350396", "-e", "dev", "--plan", string(plan.Digest), "--confirm", "jdoe"), 0, "SUCCEEDED")
}

// audits is how the service sees the user that tests plan to remove.
func (l *lane) audits() string {
	l.rig.t.Helper()
	r, err := http.NewRequest(http.MethodGet, l.vars["SANDBOX"]+"/repo/v1/user/3350396/bundle?mask=0x8", nil)
	if err != nil {
		l.rig.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+sandbox.AdminToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		l.rig.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		l.rig.t.Fatalf("%s: %s, %v", resp.Status, b, err)
	}
	return string(b)
}

func runOf(t *testing.T, got answer) string {
	t.Helper()
	for line := range strings.Lines(got.stderr) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "run" {
			return f[1]
		}
	}
	t.Fatalf("no run is named in\n%s", got.stderr)
	return ""
}

// TestPipeline_Cancel: a worker that does not end within its grace has its build
// stopped, and another build settles the run.
func TestPipeline_Cancel(t *testing.T) {
	l := newLane(t)
	l.dev.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.Held, Path: "certificationStatus"}}})
	got := l.synops(nil, "run", "decertify-user", "users=3400001,3400003", "-e", "dev", "--detach")
	wantAnswer(t, got, 0)
	run := runOf(t, got)
	l.held()
	wantAnswer(t, l.synops(nil, "cancel", run, "-e", "dev", "--grace", "100ms"), 0, "The cancel is durable", "CANCELED")
	if n := len(l.asked("synops-perform", 0)); !slices.Contains(l.asked("synops-perform", 0), "codebuild:StopBuild") {
		t.Errorf("no build was stopped in %d calls", n)
	}
	wantAnswer(t, l.synops(nil, "show", run, "-e", "dev"), 0, "CANCELED", "(attempt 2)")
}

// TestPipeline_Waits: whoever follows or looks is told whether a run waits for a
// build or its build for a machine.
func TestPipeline_Waits(t *testing.T) {
	l := newLane(t)
	slow := emulator.Defaults().Builds
	slow.NeverBegins = true
	l.Dev.CodeBuild.Behave("synops-admin", slow)
	task := []string{"run", "verify-oauth-client", "client-ids=100001", "-e", "dev", "--until", "3s"}
	got := l.synops(nil, task...)
	wantAnswer(t, got, 4, "-- queued: it waits for a build --")
	wantAnswer(t, l.synops(nil, "show", runOf(t, got), "-e", "dev"), 0, "queued: it waits for a build")
	wantAnswer(t, l.synops(nil, "runs", "-e", "dev"), 0, runOf(t, got), "queued", "@laptop")
	wantAnswer(t, l.synops(nil, "runs", "-e", "dev", "--outcome", "succeeded"), 0, "No run")
	wantAnswer(t, l.synops(nil, "cancel", runOf(t, got), "-e", "dev", "--detach"), 0)

	slow.NeverBegins, slow.Provisioning = false, time.Hour
	l.Dev.CodeBuild.Behave("synops-admin", slow)
	got = l.synops(nil, append(task, "--detach")...)
	wantAnswer(t, got, 0)
	run := runOf(t, got)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for range 400 {
		if got = l.synops(nil, "show", run, "-e", "dev"); strings.Contains(got.stdout, "provisioning: its build gets a machine") {
			return
		}
		<-look.C
	}
	t.Errorf("it never is told to be provisioning:\n%s", got.stdout)
}

// held waits until the service holds a call.
func (l *lane) held() {
	t := l.rig.t
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for l.rig.dev.Held() == 0 {
		select {
		case <-ctx.Done():
			t.Fatal("no call is held")
		case <-look.C:
		}
	}
}

// TestPipeline_NotHere: on this machine an environment's account is reached by
// breaking the glass only: with its role, and a token from the account.
func TestPipeline_NotHere(t *testing.T) {
	l := newLane(t)
	task := []string{"run", "decertify-user", "users=3350396", "-e", "dev"}
	wantAnswer(t, l.synops(nil, append(task, "--engine", "local")...), 3, "guard break-glass", "names an account")
	wantAnswer(t, l.synops(nil, append(task, "--break-glass", "pipeline is down")...), 3, "synops-perform/test", "synops-break-glass first, with MFA")
	l.become("synops-break-glass")
	wantAnswer(t, l.synops(map[string]string{"SYNOPS_TOKEN_SOURCE": "env:SYNAPSE_ADMIN_PAT"}, append(task, "--break-glass", "pipeline is down")...), 3, "a token from env: is not taken")
	wantAnswer(t, l.synops(nil, append(task, "--break-glass", "pipeline is down", "--engine", "pipeline")...), 2)
	got := l.synops(nil, append(task, "--break-glass", "pipeline is down")...)
	wantAnswer(t, got, 0, "Breaking the glass", "SUCCEEDED")
	if n := len(l.asked("codepipeline", 0)); n > 0 {
		t.Errorf("%d calls to a pipeline", n)
	}
	wantAnswer(t, l.synops(nil, "show", runOf(t, got), "-e", "dev"), 0, "break-glass: pipeline is down")
}

// TestPipeline_Canary: a canary proves the lane that is chosen. One that may not read
// the administrator's token proves its own credentials, and no call carries a token.
func TestPipeline_Canary(t *testing.T) {
	l, _ := newDeployLane(t)
	wantAnswer(t, l.synops(nil, "run", "canary", "minutes=1", "-e", "dev"), 0, "token read, instance", "administrator")
	before := len(l.Cloud.Asked())
	wantAnswer(t, l.synops(nil, "run", "canary", "minutes=1", "-e", "dev", "--lane", "deploy"), 0,
		`minute 1 of 1: credentials of account "`+emulatortest.Account+`", instance`, "the administrator's token is not this lane's to read", "SUCCEEDED")
	if asked := l.asked("synops-lane-deploy", before); slices.Contains(asked, "secretsmanager:GetSecretValue") {
		t.Errorf("a secret was asked for: %v", asked)
	}
	wantAnswer(t, l.synops(nil, "run", "decertify-user", "users=3350396", "-e", "dev", "--lane", "deploy"), 2, "--lane and --no-hand-over are for the canary")
}
