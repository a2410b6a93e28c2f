package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	constants "github.com/Sage-Bionetworks/synapse-ops-core/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// standInMigrate is the variable by which a process of this test binary has the
// release's migrations be the task that it names.
const standInMigrate = "STAND_IN_MIGRATE"

// standInStages has the release's migrations be another task that destroys, where one
// is named: what is asked here is how stages are carried out, not what they do. It
// changes the catalog, so a test gives it to processes of their own.
func standInStages(name string) {
	task, err := tasks.Catalog().Task("release")
	if err != nil || name == "" {
		return
	}
	for i, user := range map[int]string{1: "3350396", 2: "3350400"} {
		task.Stages[i].Task, task.Stages[i].Inputs = ops.TaskName(name), map[string]string{"users": user}
	}
}

// newReleaseLane is a deploy lane whose commands carry out releases with stand-ins for
// the migrations, each in a process that dies with its context.
func newReleaseLane(t *testing.T) (l *lane, stages []ops.Stage) {
	t.Helper()
	l, sources := newDeployLane(t)
	jar := jarOf(t, "repo/RepositoryBuilderMain", "nlb/BindNetworkLoadBalancersMain")
	for _, branch := range []string{"release-543", "release-544", "develop"} {
		sources.Commit(stackBuilderSource, branch, map[string]string{"made.jar": jar})
	}
	l.rig.apart, l.rig.vars[standInMigrate] = true, "remove-user-2fa"
	l.bundle(l.line + " " + standInMigrate + "=remove-user-2fa") // a build may plan the whole
	task, err := tasks.Catalog().Task("release")
	if err != nil {
		t.Fatal(err)
	}
	return l, task.Stages
}

// timeline is what a staged run says of itself in JSON.
type timeline struct {
	Run, State string
	Stages     []struct{ Stage, State, Run string }
	Waits      *struct {
		Stage, Next, Answer string
		Plan                *ops.Plan
	}
}

func timelineOf(t *testing.T, got answer) (doc timeline) {
	t.Helper()
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
		t.Fatalf("%v: %s\n%s", err, got.stdout, got.stderr)
	}
	if len(doc.Stages) == 0 { // an error's document, whose words are wanted
		t.Fatalf("it is no timeline: %s\n%s", got.stdout, got.stderr)
	}
	return doc
}

var releaseArgs = []string{"run", "release", "instance=544", "repo-and-workers-version=544.0", "portal-version=544.0", "vpc-subnet-color=Green", "old-stacks=repo-dev-543-0", "-e", "dev", "--format", "json"}

var releaseRun = regexp.MustCompile(`20\d{6}T\d{6}Z-release-[0-9a-f]+`)

// TestRelease_LauncherKilled: a release's launcher is killed the moment each stage has
// begun, and the release resumed: every stage is carried out exactly once, each
// behind its own answer.
func TestRelease_LauncherKilled(t *testing.T) {
	l, stages := newReleaseLane(t)
	wantAnswer(t, l.synops(nil, append([]string{"run", "build-stack"}, buildStackArgs("543", "543.0")...)...), 0, "SUCCEEDED") // the old one

	args, run := releaseArgs, ""
	for i, stage := range stages {
		before := l.started()
		ctx, kill := context.WithCancel(t.Context())
		go func() { // dies as soon as the stage has been begun
			defer kill()
			look := time.NewTicker(5 * time.Millisecond)
			defer look.Stop()
			for ctx.Err() == nil && l.started() == before {
				<-look.C
			}
		}()
		got := l.in(ctx, nil, args...)
		kill()
		if run == "" {
			run = releaseRun.FindString(got.stderr + got.stdout)
		}
		// Resumed, the stage is attached to, or found done; then the next one stops.
		doc := timelineOf(t, l.synops(nil, "resume", run, "-e", "dev", "--format", "json"))
		for j, s := range doc.Stages {
			if done := s.State == "succeeded"; done != (j <= i) {
				t.Fatalf("after killing in %s: %+v\nthe killed one said\n%s%s", stage.Name, doc.Stages, got.stdout, got.stderr)
			}
		}
		if i+1 == len(stages) {
			if doc.Waits != nil {
				t.Errorf("it waits for %+v", doc.Waits)
			}
			break
		}
		if doc.Waits == nil || doc.Waits.Stage != stages[i+1].Name || doc.Waits.Plan == nil {
			t.Fatalf("after %s it waits for %+v", stage.Name, doc.Waits)
		}
		args = append(strings.Fields(doc.Waits.Next)[1:], "--format", "json") // as it says itself
	}
	for _, s := range timelineOf(t, l.synops(nil, "show", run, "-e", "dev", "--format", "json")).Stages {
		if n := l.runsOf(s.Run); n != 1 {
			t.Errorf("stage %s was started %d times", s.Stage, n)
		}
	}
	wantAnswer(t, l.synops(nil, "show", run, "-e", "dev"), 0, "5 of 5 stages done", "remove-old-stack")
	if status, _ := l.Dev.Stacks.Stack("repo-dev-543-0"); status != "" && status != "DELETE_COMPLETE" {
		t.Errorf("the old stack is %s", status)
	}
}

// TestRelease_WaitsToPlan: planning a stage takes its lease, which the run that a killed
// launcher had plan it may still have. Whoever goes on waits for that one.
func TestRelease_WaitsToPlan(t *testing.T) {
	l, _ := newReleaseLane(t)
	wantAnswer(t, l.synops(nil, append([]string{"run", "build-stack"}, buildStackArgs("543", "543.0")...)...), 0, "SUCCEEDED") // the old one
	holder := l.heldRun()
	got := l.synops(nil, append(slices.Clone(releaseArgs), "--no-wait")...)
	wantAnswer(t, got, 3, "planning stage migrate", "is held by "+holder, "Nothing was started. Leave out --no-wait to wait for it")
	l.rig.dev.SetFaults(sandbox.Faults{})
	wantAnswer(t, l.synops(nil, "follow", holder, "-e", "dev"), 0, "SUCCEEDED")
	doc := timelineOf(t, l.synops(nil, "resume", releaseRun.FindString(got.stderr+got.stdout), "-e", "dev", "--format", "json"))
	if doc.Waits == nil || doc.Waits.Stage != "migrate" || doc.Waits.Plan == nil {
		t.Errorf("it waits for %+v", doc.Waits)
	}
}

// TestRelease_PlansAgain: the lease may be taken between a launcher's look at it and the
// worker that is to plan, which then is refused. It is planned again once it is free.
func TestRelease_PlansAgain(t *testing.T) {
	l, _ := newReleaseLane(t)
	wantAnswer(t, l.synops(nil, append([]string{"run", "build-stack"}, buildStackArgs("543", "543.0")...)...), 0, "SUCCEEDED") // the old one
	var taken, freed atomic.Bool
	account := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".StartPipelineExecution") && strings.Contains(peek(r), "synops-admin") && taken.CompareAndSwap(false, true) {
			l.heldRun()
		}
		l.Cloud.ServeHTTP(w, r)
	}))
	defer account.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		look := time.NewTicker(50 * time.Millisecond)
		defer look.Stop()
		for ctx.Err() == nil {
			<-look.C
			if taken.Load() && strings.Contains(l.in(ctx, nil, "runs", "-e", "dev", "--format", "json").stdout, `"refused"`) {
				freed.Store(true)
				l.rig.dev.SetFaults(sandbox.Faults{})
				return
			}
		}
	}()
	got := l.synops(map[string]string{"AWS_ENDPOINT_URL": account.URL}, releaseArgs...)
	if doc := timelineOf(t, got); doc.Waits == nil || doc.Waits.Stage != "migrate" || doc.Waits.Plan == nil {
		t.Errorf("it waits for %+v", doc.Waits)
	}
	if !freed.Load() {
		t.Errorf("no run was refused before:\n%s", got.stderr)
	}
	wantAnswer(t, got, 0, "Planning stage migrate again.")
}

// peek reads a call's body and leaves it there.
func peek(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return string(body)
}

// TestRelease_WorkersKilled: a whole release, whose migrations copy one simulated
// stack into another. In each stage the worker is killed in the midst of its work, and
// the release resumed until that stage is done: a worker's death is told, what it did
// is found out, and the next stage begins no sooner. Whoever follows it is
// told after some seconds, in which more of its log may come; to be told in each stage
// is proven on demand, else the launcher dies with the worker.
func TestRelease_WorkersKilled(t *testing.T) {
	l, stages, m := newPairLane(t)
	wantAnswer(t, l.synops(nil, append([]string{"run", "build-stack"}, buildStackArgs("543", "543.0")...)...), 0, "SUCCEEDED") // the old one
	args, run := releaseArgs, ""
	for i, stage := range stages {
		ctx, leave := context.WithCancel(t.Context())
		killed := l.killWorkerOf(ctx, stage, leave)
		got := l.in(ctx, nil, args...)
		leave()
		if n := <-killed; n != 1 {
			t.Fatalf("%d workers of %s were killed; it said\n%s%s", n, stage.Name, got.stdout, got.stderr)
		}
		if proving {
			wantAnswer(t, got, 1, "The worker of stage "+stage.Name, "is gone and left no result", "synops resume ")
		}
		if run == "" {
			run = releaseRun.FindString(got.stderr)
		}
		wantAnswer(t, l.synops(nil, "show", run, "-e", "dev"), 0, "running (lost?)", "the worker of stage "+stage.Name+" is gone", "synops resume "+run)
		var doc timeline
		for tries := 0; ; tries++ {
			args = []string{"resume", run, "-e", "dev", "--format", "json"}
			if doc.Waits != nil && doc.Waits.Stage == stage.Name { // a second run of it has an answer of its own
				args = append(args, "--plan", string(doc.Waits.Plan.Digest), "--confirm", doc.Waits.Answer)
			}
			again := l.synops(nil, args...)
			doc = timelineOf(t, again)
			if doc.Stages[i].State == "succeeded" {
				break
			}
			if i+1 < len(stages) && doc.Stages[i+1].Run != "" || tries == 3 {
				t.Fatalf("stage %s, resumed: %+v\n%s", stage.Name, doc.Stages, again.stderr)
			}
		}
		switch stage.Name {
		case "migrate":
			m.sound("READ_ONLY", true)
		case "final-migration":
			m.sound("READ_WRITE", true)
		}
		if i+1 < len(stages) {
			if doc.Waits == nil || doc.Waits.Stage != stages[i+1].Name {
				t.Fatalf("after %s it waits for %+v", stage.Name, doc.Waits)
			}
			args = []string{"resume", run, "-e", "dev", "--plan", string(doc.Waits.Plan.Digest), "--confirm", doc.Waits.Answer, "--format", "json"}
		}
	}
	wantAnswer(t, l.synops(nil, "show", run, "-e", "dev"), 0, "5 of 5 stages done")
	wantAnswer(t, l.synops(nil, "runs", "-e", "dev", "--task", "release", "--outcome", "succeeded"), 0, run)
}

// proving is whether what takes minutes is proven too.
var proving = os.Getenv("SYNOPS_PROVE") != ""

// newPairLane is a deploy lane for releases whose migrations are real ones, between
// two simulated stacks.
func newPairLane(t *testing.T) (*lane, []ops.Stage, *stackPair) {
	t.Helper()
	l, stages := newReleaseLane(t)
	delete(l.rig.vars, standInMigrate)
	m := newStackPair(t, sim.Config{Seed: 1, Profile: "R", Situation: "final", Scale: 1000, Types: []string{"TEAM"}}, 400)
	dev, _ := constants.Of("dev")
	own := strings.NewReplacer("https://repo-prod.dev.sagebase.org", m.hosts[0], "https://repo-staging.dev.sagebase.org", m.hosts[1], "\n", "\n      ").Replace("\n" + string(dev))
	host := l.rig.vars["SANDBOX"]
	l.config = strings.Replace(l.config, fmt.Sprintf("[%q]", host), fmt.Sprintf("[%q, %q, %q]", host, m.hosts[0], m.hosts[1]), 1) + "    constants:" + own + "\n"
	l.rig.vars["SYNOPS_CONFIG"], l.rig.vars["SYNAPSE_HOST"] = l.file("pair.yaml", l.config), host
	l.World.Lane("migrate", host)
	for name, secret := range map[string]string{deploy.MigrationSource: sim.SourceSecret, deploy.MigrationDestination: sim.DestinationSecret} {
		if err := l.Dev.Secrets.Put(name, sim.Key+":"+secret); err != nil {
			t.Fatal(err)
		}
	}
	l.bundle(l.line)
	return l, stages, m
}

// killWorkerOf has the worker of the stage killed once it is in the midst of its work,
// and tells how many were. It gives up when ctx ends.
func (l *lane) killWorkerOf(ctx context.Context, stage ops.Stage, leave func()) <-chan int {
	hold, held := filepath.Join(l.bin, "hold"), filepath.Join(l.bin, "held")
	project, there := "synops-deploy", func() bool { _, err := os.Stat(held); return err == nil }
	switch before := len(l.Cloud.Asked()); stage.Name {
	case "migrate", "final-migration":
		project = "synops-migrate"
		n := l.journaled("migrate")
		there = func() bool { return l.journaled("migrate") > n }
	case "remove-old-stack":
		there = func() bool {
			return slices.ContainsFunc(l.Cloud.Asked()[before:], func(c emulator.Ask) bool { return c.Action == "cloudformation:DeleteStack" })
		}
	default:
		_ = os.Remove(held)
		if err := os.WriteFile(hold, nil, 0o600); err != nil {
			l.rig.t.Fatal(err)
		}
	}
	killed := make(chan int, 1)
	go func() {
		look := time.NewTicker(5 * time.Millisecond)
		defer look.Stop()
		for !there() && ctx.Err() == nil {
			<-look.C
		}
		n := 0
		if ctx.Err() == nil {
			n = l.Dev.CodeBuild.Kill(project)
		}
		if !proving {
			leave()
		}
		_ = os.Remove(hold)
		killed <- n
	}()
	return killed
}

// journaled counts what runs of a lane have written to their journals.
func (l *lane) journaled(lane string) int {
	n := 0
	for _, key := range l.Dev.S3.Keys(l.Resource("StoreBucket"), "") {
		if strings.HasPrefix(key, lane+"/runs/") && strings.Contains(key, "/journal/") {
			n++
		}
	}
	return n
}

// started counts the runs that pipelines other than lane plan's were asked to begin.
func (l *lane) started() int {
	n := 0
	for _, a := range l.Cloud.Asked() {
		if a.Action == "codepipeline:StartPipelineExecution" && !strings.HasSuffix(a.Resource, "synops-plan") {
			n++
		}
	}
	return n
}

// runsOf counts the starts of a run.
func (l *lane) runsOf(run string) int {
	n := 0
	for _, key := range l.Dev.S3.Keys(l.Resource("StoreBucket"), "") {
		if strings.Contains(key, "/runs/"+run+"/starts/") && strings.HasSuffix(key, ".json") {
			n++
		}
	}
	return n
}

// TestRelease_Stops: before what cannot be taken back, at the stage named, and where
// an answer is wrong. One release at a time: it has a lease, and is listed, until all
// is done or it is canceled; a canceled one goes on no more.
func TestRelease_Stops(t *testing.T) {
	l, _ := newReleaseLane(t)
	text := slices.DeleteFunc(slices.Clone(releaseArgs), func(s string) bool { return s == "--format" || s == "json" })
	plan := l.synops(nil, append([]string{"plan"}, text[1:]...)...)
	wantAnswer(t, plan, 0, "stage/switch-load-balancers  runs bind-load-balancers; stops first: users are on the new instance", "Each stage is planned when it is reached")
	wantAnswer(t, l.synops(nil, append(text, "--until", "build-stagin")...), 2, "has no stage \"build-stagin\"", "build-staging, migrate")
	wantAnswer(t, l.synops(nil, append(text, "--plan", "sha256:"+strings.Repeat("0", 64))...), 3, "the plan now is")
	wantAnswer(t, l.synops(nil, "leases", "-e", "dev"), 0, "No leases are held.")
	got := l.synops(nil, append(text, "--until", "build-staging")...)
	wantAnswer(t, got, 0, "1 of 5 stages done", "left after stage build-staging", "synops resume ")
	run := releaseRun.FindString(got.stderr)

	wantAnswer(t, l.synops(nil, "leases", "-e", "dev"), 0, "release  dev", run)
	wantAnswer(t, l.synops(nil, text...), 3, `lease "release"`, "(guard lease)", "is held by "+run, "synops resume "+run, "synops cancel "+run, "Nothing: no run was started")
	for flag, listed := range map[string]bool{"--task=release": true, "--outcome=waiting": true, "--outcome=succeeded": false, "--requester=nobody": false} {
		got := l.synops(nil, "runs", "-e", "dev", flag)
		if wantAnswer(t, got, 0); strings.Contains(got.stdout, run) != listed {
			t.Errorf("runs %s:\n%s", flag, got.stdout)
		}
	}
	wantAnswer(t, l.synops(nil, "show", run, "-e", "dev"), 0, "1 of 5 stages done", "no stage is under way", "synops resume "+run)
	wantAnswer(t, l.synops(nil, "settle", run, "-e", "dev"), 2, "is carried out by its stages' runs", "synops cancel "+run)

	wantAnswer(t, l.synops(nil, "resume", run, "-e", "dev"), 0, "It waits before stage migrate, which cannot be taken back: the destination's rows are replaced.", "--confirm jdoe")
	wantAnswer(t, l.synops(nil, "resume", run, "-e", "dev", "--confirm", "jdoe"), 0, "It waits before stage migrate") // an answer to no plan
	plans := timelineOf(t, l.synops(nil, "resume", run, "-e", "dev", "--format", "json")).Waits.Plan.Digest
	wantAnswer(t, l.synops(nil, "resume", run, "-e", "dev", "--confirm", "somebody", "--plan", string(plans)), 3, "a stage did not succeed", "another answer")
	wantAnswer(t, l.synops(nil, "cancel", run, "-e", "dev"), 0, "no further stage begins", "1 of 5 stages done, canceled")
	wantAnswer(t, l.synops(nil, "resume", run, "-e", "dev", "--confirm", "jdoe"), 130, "was canceled by")
	wantAnswer(t, l.synops(nil, "runs", "-e", "dev", "--outcome", "canceled"), 0, run)
	wantAnswer(t, l.synops(nil, "leases", "-e", "dev"), 0, "No leases are held.")
	again := l.synops(nil, append(text, "--until", "build-staging")...)
	wantAnswer(t, again, 0, "1 of 5 stages done")
	wantAnswer(t, l.synops(nil, "runs", "-e", "dev", "--task", "release"), 0, run, releaseRun.FindString(again.stderr))
}

// TestRelease_Actions: a release from GitHub's forms: planned, reviewed, stopped
// before each stage that cannot be taken back, gone on with by the form Resume with
// that stage's own plan and answer, and canceled. Summaries are its timeline.
func TestRelease_Actions(t *testing.T) {
	l, stages := newReleaseLane(t)
	s := &steps{lane: l, vars: map[string]string{"GITHUB_RUN_ID": "77", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_REPOSITORY": "Sage-Bionetworks/synapse-ops-dev",
		"GITHUB_REPOSITORY_ID": "5678", "GITHUB_ACTOR": "grace", "GITHUB_SERVER_URL": "https://github.com", "CONTEXT": "dev", "SYNOPS_ENVIRONMENT": "dev"}}
	task := []string{"SYNOPS_TASK", "release", "SYNOPS_FORM", form(t, "instance", "544", "repo-and-workers-version", "544.0", "portal-version", "544.0",
		"vpc-subnet-color", "Green", "old-stacks", "repo-dev-543-0", "mode", "perform", "reason", "weekly")}
	wantAnswer(t, s.step("synops-observe", "plan", task...), 0)
	s.wantSummary("## release in dev: the plan", "stops first: users are on the new instance")
	s.wantOutputs("go", "true")
	bound := append([]string{"SYNOPS_PLAN", s.outputs["digest"], "SYNOPS_PLAN_RUN", s.outputs["plan-run"]}, task...)
	got := s.step("synops-perform", "start", bound...)
	wantAnswer(t, got, 0, "::notice title=dev release waits::1 of 5 stages done, waits before migrate")
	s.wantOutputs("run", "", "watch", "start")
	s.wantSummary("## release in dev: 1 of 5 stages done, waits before migrate", "| build-staging | succeeded |", "`Run: resume`", "- **confirm**: `jdoe`", "weekly", "grace")
	told, run := s.summary, releaseRun.FindString(s.summary)
	wantAnswer(t, s.step("synops-perform", "start", append(bound, "GITHUB_RUN_ATTEMPT", "2")...), 0, "Nothing was started")
	s.wantSummary("1 of 5 stages done", "It stands still", "`Run: resume`")

	for i, stage := range stages[1:3] {
		plan, confirm := summaryField(t, told, "plan"), summaryField(t, told, "confirm")
		answered := []string{"SYNOPS_FORM", form(t, "run", run, "plan", plan, "confirm", confirm, "reason", "looked at it"), "GITHUB_RUN_ID", fmt.Sprint(90 + i)}
		wantAnswer(t, s.step("synops-perform", "resume", answered...), 0, "waits before "+stages[i+2].Name)
		s.wantSummary(fmt.Sprintf("%d of 5 stages done, waits before %s", i+2, stages[i+2].Name), "| "+stage.Name+" | succeeded |", "looked at it")
		told = s.summary
		wantAnswer(t, s.step("synops-perform", "resume", append(answered, "GITHUB_RUN_ATTEMPT", "2")...), 0, "Nothing was started")
	}
	wantAnswer(t, s.step("synops-perform", "settle", "SYNOPS_FORM", form(t, "run", run), "GITHUB_RUN_ID", "98"), 2, "is carried out by its stages' runs")
	wantAnswer(t, s.step("synops-observe", "on-cancel", task...), 0, "no further stage begins")
	s.wantSummary("3 of 5 stages done, canceled")
	wantAnswer(t, s.step("synops-observe", "cancel", "SYNOPS_FORM", form(t, "run", run)), 0)
	wantAnswer(t, s.step("synops-perform", "resume", "SYNOPS_FORM", form(t, "run", run), "GITHUB_RUN_ID", "99"), 130, "was canceled by")
}

// summaryField is what a summary says to fill in, "" where it does not.
func summaryField(t *testing.T, summary, name string) string {
	t.Helper()
	if m := regexp.MustCompile("(?m)^- \\*\\*" + name + "\\*\\*: `([^`]+)`$").FindStringSubmatch(summary); m != nil {
		return m[1]
	}
	return ""
}

// A stage whose task is not there is said before anything is begun.
func TestRelease_NeedsItsStages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apart = true
	wantAnswer(t, r.synops(map[string]string{standInMigrate: "no-such-task"}, releaseArgs[:len(releaseArgs)-2]...), 2, "stage migrate", `there is no task "no-such-task"`, "Nothing")
}
