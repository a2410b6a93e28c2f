package cli_test

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// standInStages has the release's migrations be other tasks that destroy: what is
// asked here is how stages are carried out, not what they do.
func standInStages(t *testing.T) *ops.Task {
	t.Helper()
	task, err := tasks.Catalog().Task("release")
	if err != nil {
		t.Fatal(err)
	}
	was := slices.Clone(task.Stages) // the catalog's own are changed in place
	t.Cleanup(func() { copy(task.Stages, was) })
	for i, user := range map[int]string{1: "3350396", 2: "3350397"} {
		task.Stages[i].Task, task.Stages[i].Inputs = "remove-user-2fa", map[string]string{"users": user}
	}
	return task
}

// timeline is what a staged run says of itself in JSON.
type timeline struct {
	Run    string
	Stages []struct{ Stage, State, Run string }
	Waits  *struct {
		Stage, Next string
		Plan        *ops.Plan
	}
}

func timelineOf(t *testing.T, got answer) (doc timeline) {
	t.Helper()
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
		t.Fatalf("%v: %s\n%s", err, got.stdout, got.stderr)
	}
	return doc
}

var releaseArgs = []string{"run", "release", "instance=544", "repo-and-workers-version=544.0", "portal-version=544.0", "vpc-subnet-color=Green", "old-stacks=repo-dev-543-0", "-e", "dev", "--format", "json"}

// TestRelease carries releases out whose stages stand in for those of the catalog. No
// other test goes on meanwhile: the catalog is everybody's.
func TestRelease(t *testing.T) {
	unraced(t)
	task := standInStages(t)
	t.Run("KilledAtEveryStage", func(t *testing.T) { releaseKilled(t, task) })
	t.Run("Stops", releaseStops)
}

// releaseKilled: a release is left the moment each stage has begun,
// and resumed: every stage is carried out exactly once, each behind its own answer.
func releaseKilled(t *testing.T, task *ops.Task) {
	l, sources := newDeployLane(t)
	jar := jarOf(t, "repo/RepositoryBuilderMain", "nlb/BindNetworkLoadBalancersMain")
	sources.Commit(stackBuilderSource, "release-544", map[string]string{"made.jar": jar})
	sources.Commit(stackBuilderSource, "release-543", map[string]string{"made.jar": jar})
	sources.Commit(stackBuilderSource, "develop", map[string]string{"made.jar": jar})
	wantAnswer(t, l.synops(nil, append([]string{"run", "build-stack"}, buildStackArgs("543", "543.0")...)...), 0, "SUCCEEDED") // the old one

	args, run := releaseArgs, ""
	for i, stage := range task.Stages {
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
			run = regexp.MustCompile(`20\d{6}T\d{6}Z-release-[0-9a-f]+`).FindString(got.stderr + got.stdout)
		}
		// Resumed, the stage is attached to, or found done; then the next one stops.
		doc := timelineOf(t, l.synops(nil, "resume", run, "-e", "dev", "--format", "json"))
		for j, s := range doc.Stages {
			if done := s.State == "succeeded"; done != (j <= i) {
				t.Fatalf("after killing in %s: %+v\nthe killed one said\n%s%s", stage.Name, doc.Stages, got.stdout, got.stderr)
			}
		}
		if i+1 == len(task.Stages) {
			if doc.Waits != nil {
				t.Errorf("it waits for %+v", doc.Waits)
			}
			break
		}
		if doc.Waits == nil || doc.Waits.Stage != task.Stages[i+1].Name || doc.Waits.Plan == nil {
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

// releaseStops: before what cannot be taken back, at the stage named, and where
// an answer is wrong; a canceled one goes on no more.
func releaseStops(t *testing.T) {
	l, sources := newDeployLane(t)
	sources.Commit(stackBuilderSource, "release-544", map[string]string{"made.jar": jarOf(t, "repo/RepositoryBuilderMain")})
	text := slices.DeleteFunc(slices.Clone(releaseArgs), func(s string) bool { return s == "--format" || s == "json" })
	plan := l.synops(nil, append([]string{"plan"}, text[1:]...)...)
	wantAnswer(t, plan, 0, "stage/switch-load-balancers  runs bind-load-balancers; stops first: users are on the new instance", "Each stage is planned when it is reached")
	wantAnswer(t, l.synops(nil, append(text, "--until", "build-stagin")...), 2, "has no stage \"build-stagin\"", "build-staging, migrate")
	wantAnswer(t, l.synops(nil, append(text, "--plan", "sha256:"+strings.Repeat("0", 64))...), 3, "the plan now is")
	got := l.synops(nil, append(text, "--until", "build-staging")...)
	wantAnswer(t, got, 0, "1 of 5 stages done", "left after stage build-staging", "synops resume ")
	run := regexp.MustCompile(`20\d{6}T\d{6}Z-release-[0-9a-f]+`).FindString(got.stderr)
	wantAnswer(t, l.synops(nil, "resume", run, "-e", "dev"), 0, "It waits before stage migrate, which cannot be taken back: the destination's rows are replaced.", "--confirm jdoe")
	wantAnswer(t, l.synops(nil, "resume", run, "-e", "dev", "--confirm", "somebody"), 3, "a stage did not succeed", "another answer")
	wantAnswer(t, l.synops(nil, "cancel", run, "-e", "dev"), 0, "no further stage begins")
	wantAnswer(t, l.synops(nil, "resume", run, "-e", "dev", "--confirm", "jdoe"), 130, "was canceled by")
}

// A stage whose task is not there is said before anything is begun.
func TestRelease_NeedsItsStages(t *testing.T) {
	task := standInStages(t)
	task.Stages[2].Task = "no-such-task"
	r := newRig(t)
	wantAnswer(t, r.synops(nil, releaseArgs[:len(releaseArgs)-2]...), 2, "stage final-migration", `there is no task "no-such-task"`, "Nothing")
}
