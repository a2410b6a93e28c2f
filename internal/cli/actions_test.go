package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cli"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// A steps is a workflow run whose steps are performed one by one.
type steps struct {
	*lane
	vars    map[string]string
	outputs map[string]string
	summary string
}

// newSteps is workflow run 77 of dev's repository, in an account with lanes plan and
// admin.
func newSteps(t *testing.T) *steps {
	l := newLane(t)
	l.World.Lane("plan", l.rig.vars["SANDBOX"])
	return &steps{lane: l, vars: map[string]string{"GITHUB_RUN_ID": "77", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_REPOSITORY": "Sage-Bionetworks/synapse-ops-dev",
		"GITHUB_REPOSITORY_ID": "5678", "GITHUB_ACTOR": "grace", "GITHUB_SERVER_URL": "https://github.com", "CONTEXT": "dev", "SYNOPS_ENVIRONMENT": "dev"}}
}

// step performs one step as a session of role and reads what it left the runner.
func (s *steps) step(role, name string, more ...string) answer {
	s.T.Helper()
	s.become(role)
	dir := s.T.TempDir()
	vars := map[string]string{"GITHUB_OUTPUT": filepath.Join(dir, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary")}
	for k, v := range s.vars {
		vars[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		vars[more[i]] = more[i+1]
	}
	// Secrets that a job may have; the token is where only a build may read it.
	vars["GH_TOKEN"], vars["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "ghs_canary0123456789canary0123456789canary", "canary-of-the-runner-0123456789"
	if vars["SYNOPS_WEBHOOK"] == "" {
		vars["SYNOPS_WEBHOOK"] = "https://127.0.0.1:1/services/T0CANARY/B0CANARY/canary0123456789"
	}
	got := s.synops(vars, "actions", name)
	s.outputs = map[string]string{}
	output, _ := os.ReadFile(vars["GITHUB_OUTPUT"])
	for line := range strings.Lines(string(output)) {
		k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		s.outputs[k] = v
	}
	summary, _ := os.ReadFile(vars["GITHUB_STEP_SUMMARY"])
	s.summary = string(summary)
	s.tellsNothing(map[string]string{"standard output": got.stdout, "standard error": got.stderr, "an output": string(output), "the summary": s.summary},
		sandbox.AdminToken, vars["GH_TOKEN"], vars["ACTIONS_ID_TOKEN_REQUEST_TOKEN"], vars["SYNOPS_WEBHOOK"], s.rig.vars["AWS_SECRET_ACCESS_KEY"], s.rig.vars["AWS_SESSION_TOKEN"])
	return got
}

// tellsNothing wants none of the secrets in what was told, nor in a document or a log
// of the account.
func (s *steps) tellsNothing(told map[string]string, secrets ...string) {
	s.T.Helper()
	for _, bucket := range s.Dev.S3.Buckets() {
		for _, key := range s.Dev.S3.Keys(bucket, "") {
			if data, err := s.Dev.S3.Get(bucket, key, ""); err == nil {
				told[bucket+"/"+key] = string(data)
			}
		}
	}
	for _, group := range []string{"/synops/plan", "/synops/admin"} {
		for _, stream := range s.Dev.Logs.Streams(group) {
			told[group+" "+stream] = strings.Join(s.Dev.Logs.Lines(group, stream), "\n")
		}
	}
	if topic, ok := s.Dev.SNS.Topic(s.Resource("AlarmTopic")); ok {
		for _, m := range topic.Messages {
			told["the topic"] += m.Body + "\n"
		}
	}
	for where, text := range told {
		for _, secret := range secrets {
			if secret != "" && strings.Contains(text, secret) {
				s.T.Errorf("%s tells a secret that begins with %.6s", where, secret)
			}
		}
	}
}

func form(t *testing.T, pairs ...string) string {
	t.Helper()
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (s *steps) wantOutputs(pairs ...string) {
	s.T.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if s.outputs[pairs[i]] != pairs[i+1] {
			s.T.Errorf("output %s is %q, want %q", pairs[i], s.outputs[pairs[i]], pairs[i+1])
		}
	}
}

func (s *steps) wantSummary(parts ...string) {
	s.T.Helper()
	for _, p := range parts {
		if !strings.Contains(s.summary, p) {
			s.T.Errorf("the summary does not say %q:\n%s", p, s.summary)
		}
	}
}

// TestActions_Run goes the whole way of run-task.yml: plan, start bound to it, follow
// in two jobs, verdict; then every job run again.
func TestActions_Run(t *testing.T) {
	s := newSteps(t)
	h := newHook(t)
	task := []string{"SYNOPS_TASK", "remove-user", "SYNOPS_FORM", form(t, "users", "3350396", "mode", "perform", "confirm", "jdoe", "reason", "asked for", "watch", "all", "plan", "")}
	wantAnswer(t, s.step("synops-observe", "plan", task...), 0, "::group::Planning")
	digest, planRun := s.outputs["digest"], s.outputs["plan-run"]
	s.wantOutputs("go", "true")
	s.wantSummary("## remove-user in dev: the plan", "Confirm with**: `jdoe`", digest)
	bound := append([]string{"SYNOPS_PLAN", digest, "SYNOPS_PLAN_RUN", planRun}, task...)
	s.rig.dev.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.Held, Path: "/admin/redact"}}}) // it goes on for as long as is wanted
	wantAnswer(t, s.step("synops-perform", "start", bound...), 0, "started")
	run := s.outputs["run"]
	s.wantOutputs("watch", "all")
	s.wantSummary("remove-user in dev: started", run, "synops cancel "+run)

	wantAnswer(t, s.step("synops-observe", "follow", "SYNOPS_RUN", run, "SYNOPS_FOLLOW_FOR", "1ms"), 0, "goes on; this job's time is over")
	s.wantOutputs("ended", "false")
	cursor := s.outputs["cursor"]
	s.rig.dev.SetFaults(sandbox.Faults{})
	wantAnswer(t, s.step("synops-observe", "follow", "SYNOPS_RUN", run, "SYNOPS_CURSOR", cursor, "SYNOPS_FOLLOWED", "success"), 0, "ended: succeeded")
	s.wantOutputs("ended", "true")
	wantAnswer(t, s.step("synops-observe", "verdict", "SYNOPS_RUN", run, "SYNOPS_WEBHOOK", h.URL), 0, "SUCCEEDED")
	s.wantOutputs("state", "succeeded")
	s.wantSummary("remove-user in dev: succeeded", "**Took**", "grace, as GitHub declares", "[Build](https://us-east-1.console", "| done | user/3350396")
	s.wantTold(h, "dev "+run, "succeeded", "https://github.com/Sage-Bionetworks/synapse-ops-dev/actions/runs/77")

	if s.broke() != 0 {
		t.Error("the account tells of a build that went well")
	}

	// Run again, it attaches: nothing is planned to be done, nothing is started.
	again := s.step("synops-perform", "start", append(bound, "GITHUB_RUN_ATTEMPT", "2")...)
	wantAnswer(t, again, 0, "Nothing was started", "Run "+run+" ended succeeded", "fill in the form anew")
	s.wantOutputs("run", run)
	s.wantSummary("already started by this workflow run")
	wantAnswer(t, s.step("synops-observe", "on-cancel", task...), 0, "ended already; nothing to cancel")
}

// TestActions_Refused: what a guard refuses is an annotation, an exit code and a
// summary, and nothing is started.
func TestActions_Refused(t *testing.T) {
	s := newSteps(t)
	ask := func(pairs ...string) []string {
		return []string{"SYNOPS_TASK", "remove-user", "SYNOPS_FORM", form(t, append([]string{"users", "3350396", "mode", "perform"}, pairs...)...)}
	}
	wantAnswer(t, s.step("synops-observe", "plan", ask()...), 3, "::error title=dev remove-user refused::", "gives no answer in confirm")
	s.wantSummary("refused", "Confirm with**: `jdoe`")
	s.wantOutputs("go", "")
	wantAnswer(t, s.step("synops-observe", "plan", ask("confirm", "yes")...), 3, "is not the one")
	wantAnswer(t, s.step("synops-observe", "plan", ask("plan", string(ops.DigestOf(nil)))...), 3, "guard plan")
	wantAnswer(t, s.step("synops-observe", "plan", ask("mode", "plan")...), 0)
	s.wantOutputs("go", "false")
	wantAnswer(t, s.step("synops-observe", "plan", ask("users", "x")...), 2, "::error title=dev remove-user invalid::")
	wantAnswer(t, s.step("synops-observe", "plan", ask("mode", "sudo")...), 2, "is not one of the choices")
	// Without a plan, with the wrong role, from elsewhere.
	wantAnswer(t, s.step("synops-perform", "start", ask("confirm", "jdoe")...), 3, "no plan was made")
	wantAnswer(t, s.step("synops-observe", "start", append(ask("confirm", "jdoe"), "SYNOPS_PLAN", string(ops.DigestOf(nil)), "SYNOPS_PLAN_RUN", "20261123T141502Z-remove-user-3f9c")...), 1, "AccessDenied")
	wantAnswer(t, s.step("synops-observe", "plan", append(ask(), "CONTEXT", "prod")...), 3, "CONTEXT says")
	wantAnswer(t, s.step("synops-observe", "plan", append(ask(), "GITHUB_REPOSITORY", "Sage-Bionetworks/synapse-ops-prod")...), 3, "environment-repository")
	wantAnswer(t, s.step("synops-observe", "on-cancel", ask()...), 0, "started nothing")
	wantAnswer(t, s.synops(nil, "runs", "-e", "dev"), 0, "No runs")
}

// TestActions_Moved: the run is bound to the plan that was looked at, and refused,
// naming what differs, when the target is not as it was.
func TestActions_Moved(t *testing.T) {
	s := newSteps(t)
	task := []string{"SYNOPS_TASK", "verify-oauth-client", "SYNOPS_FORM", form(t, "client-ids", "100001", "mode", "perform")}
	wantAnswer(t, s.step("synops-observe", "plan", task...), 0)
	bound := append([]string{"SYNOPS_PLAN", s.outputs["digest"], "SYNOPS_PLAN_RUN", s.outputs["plan-run"]}, task...)
	s.become("synops-perform")
	wantAnswer(t, s.synops(nil, "run", "verify-oauth-client", "client-ids=100001", "-e", "dev"), 0)
	s.rig.dev.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.Held, Path: "100001"}}})
	wantAnswer(t, s.step("synops-perform", "start", bound...), 0)
	run := s.outputs["run"]
	wantAnswer(t, s.step("synops-observe", "verdict", "SYNOPS_RUN", run), 0, "still running; it goes on")
	s.wantOutputs("state", "running")
	s.rig.dev.SetFaults(sandbox.Faults{})
	wantAnswer(t, s.step("synops-observe", "follow", "SYNOPS_RUN", run), 0, "ended: refused")
	wantAnswer(t, s.step("synops-observe", "verdict", "SYNOPS_RUN", run), 3, "not the approved", "verified")
	s.wantSummary("verify-oauth-client in dev: refused")
	s.breaks()
}

// TestActions_Personal: what is personal in a form is masked before a step prints it,
// and is in no output, summary or log.
func TestActions_Personal(t *testing.T) {
	s := newSteps(t)
	const email = "jane.doe+canary@example.org"
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte(`{"inputs":{"emails":"`+email+`, other@example.org"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	got := s.step("synops-observe", "mask", "SYNOPS_TASK", "unquarantine-email", "GITHUB_EVENT_PATH", event)
	wantAnswer(t, got, 0, "::add-mask::"+email+"\n", "::add-mask::other@example.org\n", "3 personal values")
	got = s.step("synops-observe", "plan", "SYNOPS_TASK", "unquarantine-email", "SYNOPS_FORM", form(t, "emails", email, "mode", "plan"))
	wantAnswer(t, got, 0)
	if all := got.stdout + got.stderr + s.summary; strings.Contains(all, "jane.doe") || !strings.Contains(all, "j***@example.org") {
		t.Errorf("an address is told:\n%s", all)
	}
}

// TestActions_Scheduled: a schedule starts what the catalog declares when it is its
// time on the zone's clocks and nobody has the lease. Otherwise it starts nothing,
// says why, and is not red.
func TestActions_Scheduled(t *testing.T) {
	s := newSteps(t)
	s.config = strings.Replace(s.config, "    lanes:", "    schedules: {archive-files: true}\n    lanes:", 1)
	s.bundle(":")
	s.rig.vars["SYNOPS_CONFIG"] = s.rig.file("account.yaml", s.config)
	at := func(clock string) func() time.Time {
		when, err := time.Parse(time.RFC3339, clock)
		if err != nil {
			t.Fatal(err)
		}
		return func() time.Time { return when }
	}
	tuesday, before := at("2026-11-24T08:18:00Z"), at("2026-11-24T07:18:00Z")
	task := []string{"SYNOPS_TASK", "archive-files", "SYNOPS_SCHEDULE", "true"}

	s.now = before
	wantAnswer(t, s.step("synops-schedule", "start", task...), 0, "::notice title=dev archive-files not its time::", "It is Monday 23:18 in America/Los_Angeles", "Nothing was started")
	s.wantOutputs("run", "", "watch", "start", "skipped", "not-its-time")
	s.wantSummary("archive-files in dev: not its time")
	// Run again it is not its time either.
	wantAnswer(t, s.step("synops-schedule", "start", append(task, "GITHUB_RUN_ATTEMPT", "2")...), 0, "::notice")
	wantAnswer(t, s.synops(nil, "runs", "-e", "dev"), 0, "No runs")

	s.now = tuesday
	s.rig.dev.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.Held, Path: "/admin/asynchronous/job"}}})
	s.become("synops-perform")
	got := s.synops(nil, "run", "archive-files", "limit=10", "-e", "dev", "--detach")
	wantAnswer(t, got, 0)
	holder := runOf(t, got)
	s.held()
	wantAnswer(t, s.step("synops-schedule", "start", task...), 0, "::warning title=dev archive-files refused::", "held by "+holder, "asks again at its next time")
	s.wantOutputs("run", "", "watch", "start", "skipped", "lease")
	s.wantSummary("archive-files in dev: refused", holder)
	s.rig.dev.SetFaults(sandbox.Faults{})
	s.become("synops-perform")
	wantAnswer(t, s.synops(nil, "follow", holder, "-e", "dev"), 0)

	task = append(task, "GITHUB_RUN_ID", "78")
	wantAnswer(t, s.step("synops-schedule", "start", task...), 0, "started")
	run := s.outputs["run"]
	if !ops.RunID(run).Scheduled() || s.outputs["skipped"] != "" {
		t.Fatalf("the outputs are %v", s.outputs)
	}
	s.now = nil
	wantAnswer(t, s.step("synops-observe", "follow", "SYNOPS_RUN", run), 0, "ended: succeeded")
	wantAnswer(t, s.step("synops-observe", "verdict", "SYNOPS_RUN", run), 0)
	// Run again when its time is over, it attaches.
	s.now = before
	wantAnswer(t, s.step("synops-schedule", "start", append(task, "GITHUB_RUN_ATTEMPT", "2")...), 0, "Nothing was started", "Run "+run+" ended succeeded")
	s.wantOutputs("run", run, "skipped", "")
}

// The lease that was free before the start may be another's when the worker asks.
func TestYielded(t *testing.T) {
	scheduled, asked := ops.NewScheduledRunID("archive-files", time.Now(), "3f9c01"), ops.NewRunID("archive-files", time.Now(), "3f9c01")
	for _, c := range []struct {
		result ops.Result
		want   bool
	}{
		{ops.Result{Run: scheduled, Outcome: ops.RunRefused, Guard: worker.GuardLease}, true},
		{ops.Result{Run: scheduled, Outcome: ops.RunRefused, Guard: "schedule"}, false},
		{ops.Result{Run: scheduled, Outcome: ops.RunFailed, Guard: worker.GuardLease}, false},
		{ops.Result{Run: asked, Outcome: ops.RunRefused, Guard: worker.GuardLease}, false},
	} {
		if got := cli.Yielded(&c.result); got != c.want {
			t.Errorf("%+v: %t", c.result, got)
		}
	}
}
