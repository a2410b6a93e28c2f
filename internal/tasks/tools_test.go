package tasks_test

import (
	"archive/zip"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// writeJar writes the jar that a build of the tools makes.
func writeJar(t testing.TB, dir string) {
	t.Helper()
	jar, classes := tasks.ToolClasses()
	file := filepath.Join(dir, filepath.FromSlash(jar))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for _, c := range slices.Compact(slices.Sorted(slices.Values(classes))) {
		if _, err := z.Create(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// inputsOf are inputs as an operator gives them, for the golden files.
func inputsOf(name ops.TaskName, task *ops.Task) inputs {
	raw := examplesOf(task)
	maps.Copy(raw, map[ops.TaskName]inputs{
		"bind-load-balancers": {"repo-live": "544-0", "portal-live": "544-0", "repo-staging": "545-0", "portal-staging": "none"},
		"build-stack":         {"instance": "544", "repo-and-workers-version": "544.0", "repo-beanstalk-version": "2", "portal-version": "544.0-4-gd18c3167f2", "portal-beanstalk-version": "1", "vpc-subnet-color": "Green"},
	}[name])
	return raw
}

// TestTools_Golden holds what every tool is given, byte for byte, in dev and prod.
// The files were compared with the fact sheet's tables; TestTools_Tables asks again.
func TestTools_Golden(t *testing.T) {
	for _, name := range tasks.ToolTasks() {
		for _, env := range []ops.EnvironmentName{"dev", "prod"} {
			task, err := tasks.Catalog().Task(name)
			if err != nil {
				t.Fatal(err)
			}
			if !task.Offered(env) {
				continue
			}
			t.Run(string(name)+"/"+string(env), func(t *testing.T) {
				r := newToolRig(t, env, name, inputsOf(name, task))
				if name == "remove-dev-stacks" {
					r.set("repo-dev-jmhill-0", "CREATE_COMPLETE")
					r.stacks[0].Parameters["TimeToLive"] = "2026-11-01"
				}
				if _, err := r.perform(r.one()); err != nil {
					t.Fatal(err)
				}
				src := r.asked[0]
				got := fmt.Sprintf("source %s at %s\n%s", src.Repository, src.Ref, shown(r.ran))
				for _, build := range r.built[0].Build {
					got = "build " + toolrun.ShowArgv(build) + "\n" + got
				}
				golden(t, filepath.Join("testdata", "tools", string(name)+"."+string(env)+".txt"), got)
			})
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s: %s", file, d)
	}
}

// properties are what a planned tool would be given, by name.
func properties(e ops.Effect) map[string]string { return e.After["properties"].(map[string]string) }

// TestTools_Tables: the tables of the fact sheet, written down a second time.
func TestTools_Tables(t *testing.T) {
	all := `repo.rds.storage.type gp3; tables.rds.storage.type gp3; repo.rds.iops -1; tables.rds.iops -1; repo.rds.multi.az true; tables.rds.instance.count 1;
		docs.deploy false; docs.source dev.release.rest.doc.sagebase.org; docs.destination rest-docs.synapse.org/rest; beanstalk.number.workers 0;
		instance 544; vpc.subnet.color Green; beanstalk.version.repo 544.0; beanstalk.version.workers 544.0; beanstalk.version.portal 544.0-4-gd18c3167f2;
		beanstalk.number.repo 2; beanstalk.number.portal 1; beanstalk.image.version.amazonlinux 5.5.0; deployment.target BEANSTALK;`
	for env, table := range map[ops.EnvironmentName]string{
		"prod": all + `stack prod; beanstalk.instance.type m6g.large; beanstalk.instance.memory 4096; repo.rds.instance.class db.r6g.2xlarge;
			repo.rds.allocated.storage 512; repo.rds.max.allocated.storage 1280; tables.rds.instance.class db.r6g.4xlarge; tables.rds.allocated.storage 3072; tables.rds.max.allocated.storage 4096;
			beanstalk.min.instances.repo 6; beanstalk.max.instances.repo 12; beanstalk.min.instances.workers 8; beanstalk.max.instances.workers 12; beanstalk.min.instances.portal 3; beanstalk.max.instances.portal 8;
			beanstalk.ssl.arn.repo arn:aws:acm:us-east-1:222222222222:certificate/placeholder-repo; beanstalk.ssl.arn.workers arn:aws:acm:us-east-1:222222222222:certificate/placeholder-repo;
			beanstalk.ssl.arn.portal arn:aws:acm:us-east-1:222222222222:certificate/placeholder-portal; route.53.hosted.zone.repo prod.sagebase.org; route.53.hosted.zone.workers prod.sagebase.org; route.53.hosted.zone.portal synapse.org;
			enable.rds.enhanced.monitoring true; cloudfront.keypair PLACEHOLDERKEYPROD; doi.datacite.enabled true; repositoryservice.endpoint.prod https://repo-prod.prod.sagebase.org/repo/v1; vpc.ops.export.prefix us-east-1-synapse-ops-vpc-v2`,
		"dev": all + `stack dev; beanstalk.instance.type t4g.large; repo.rds.instance.class db.t4g.medium; repo.rds.allocated.storage 128; repo.rds.max.allocated.storage 256;
			tables.rds.instance.class db.t4g.large; tables.rds.allocated.storage 256; tables.rds.max.allocated.storage 512;
			beanstalk.min.instances.repo 2; beanstalk.max.instances.repo 4; beanstalk.min.instances.workers 2; beanstalk.max.instances.workers 4; beanstalk.min.instances.portal 2; beanstalk.max.instances.portal 2;
			beanstalk.ssl.arn.portal arn:aws:acm:us-east-1:111111111111:certificate/placeholder-portal-dev; route.53.hosted.zone.repo dev.sagebase.org; route.53.hosted.zone.workers dev.sagebase.org; route.53.hosted.zone.portal dev.sagebase.org;
			enable.rds.enhanced.monitoring false; cloudfront.keypair PLACEHOLDERKEYDEV; repo.time.to.live.hours 0`,
	} {
		want := map[string]string{}
		for pair := range strings.SplitSeq(table, ";") {
			if f := strings.Fields(pair); len(f) == 2 {
				want[f[0]] = f[1]
			}
		}
		task, _ := tasks.Catalog().Task("build-stack")
		got := properties(newToolRig(t, env, "build-stack", inputsOf("build-stack", task)).one())
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", env, d)
		}
	}
}

func TestTools_Bindings(t *testing.T) {
	raw := inputs{"repo-live": "544-0", "portal-live": "544-1", "repo-staging": "545-0", "portal-staging": "none"}
	for env, want := range map[ops.EnvironmentName]string{
		"dev":  "repo.prod.dev.sagebase.org->repo-dev-544-0,portal.prod.dev.sagebase.org->portal-dev-544-1,repo.staging.dev.sagebase.org->repo-dev-545-0,portal.staging.dev.sagebase.org->none",
		"prod": "repoprod.prod.sagebase.org->repo-prod-544-0,www.synapse.org->portal-prod-544-1,repostaging.prod.sagebase.org->repo-prod-545-0,staging.synapse.org->none,repotst.prod.sagebase.org->none,tst.synapse.org->none",
	} {
		r := newToolRig(t, env, "bind-load-balancers", raw)
		e := r.one()
		equal(t, "bindings in "+string(env), properties(e)["bind.record.to.stack.csv"], want)
		equal(t, "challenge", r.p.Challenge(r.v, []ops.Effect{e}, 1), "544-1")
	}
	raw["repo-test"] = "546-0"
	_, err := newToolRig(t, "dev", "bind-load-balancers", raw).plan()
	contains(t, "refusal", wantRefusal(t, err).Reason, "no public name for repo-test")
}

// What is given reaches the program as one argument, byte for byte, or is refused
// before anything is asked.
func TestTools_HostileInputs(t *testing.T) {
	const hostile = `a b";$(id)|` + "`x`" + `'\ -Dx=y, é*~`
	for _, name := range tasks.ToolTasks() {
		task, _ := tasks.Catalog().Task(name)
		for _, in := range task.Inputs {
			raw := examplesOf(task)
			raw[in.Name] = hostile
			v, err := task.Parse(raw)
			if err != nil {
				continue
			}
			if in.Name == "source-ref" {
				p, _ := tasks.BindTools(name, nil)
				if err := p.Check(v); ops.CodeOf(err) != ops.Invalid {
					t.Errorf("%s: ref %q: %v", name, hostile, err)
				}
				continue
			}
			r := newToolRig(t, "dev", name, raw)
			if _, err := r.perform(r.one()); err != nil {
				t.Fatal(err)
			}
			found := slices.ContainsFunc(r.ran[0].Argv, func(a string) bool {
				return strings.HasPrefix(a, "-Dorg.sagebionetworks.") && strings.HasSuffix(a, "="+hostile)
			})
			if !found {
				t.Errorf("%s: %s is not one argument of %q", name, in.Name, r.ran[0].Argv)
			}
		}
	}
}

// Each environment's constants are whole, and are its own.
func TestConstants_Embedded(t *testing.T) {
	f, err := environments.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []ops.EnvironmentName{"dev", "prod"} {
		env, _ := f.Environment(name)
		if err := tasks.Catalog().CheckConstants(env); err != nil {
			t.Error(err)
		}
		equal(t, "stack of "+string(name), env.Constants[ops.Shared]["stack"], string(name))
	}
}

func TestConstants_AreChecked(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(all map[string]map[string]string)
		says   string
	}{
		{"missing", func(m map[string]map[string]string) { delete(m["build-stack"], "cloudfront-keypair") }, `constant "cloudfront-keypair" of build-stack: it is required`},
		{"misspelled", func(m map[string]map[string]string) { m["build-stack"]["cloudfront-keypiar"] = "x" }, `no constant "cloudfront-keypiar". Did you mean "cloudfront-keypair"?`},
		{"wrong type", func(m map[string]map[string]string) { m["build-stack"]["beanstalk-min-instances-repo"] = "two" }, `"two" is not a whole number`},
		{"wrong form", func(m map[string]map[string]string) { m["build-cdn"]["certificate-arn"] = "abc" }, "It is a certificate's ARN"},
		{"unknown task", func(m map[string]map[string]string) { m["build-stacks"] = nil }, `no task with constants called "build-stacks". Did you mean "build-stack"?`},
		{"unknown shared", func(m map[string]map[string]string) { m["shared"]["stak"] = "dev" }, `shared constant "stak". Did you mean "stack"?`},
		{"a secret", func(m map[string]map[string]string) {
			m["build-etl-stack"]["glue-db"] = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
		}, "looks like an access token"},
		{"none at all", func(m map[string]map[string]string) { clear(m) }, "is required and was not given"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := *newToolbox(t, "dev").env
			all := map[string]map[string]string{}
			for section, values := range env.Constants {
				all[section] = maps.Clone(values)
			}
			c.change(all)
			env.Constants = all
			err := tasks.Catalog().CheckConstants(&env)
			if ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

// The input replaces the constant, and the plan's digest binds what comes of it.
func TestTools_PlanBindsCommitAndProperties(t *testing.T) {
	seal := func(r *toolRig) ops.Digest {
		e := r.one()
		p := &ops.Plan{Task: r.task.Name, Version: 1, Environment: "dev", Effects: []ops.Effect{e}, EffectsTotal: 1}
		p.Seal(r.task, r.v.Canonical())
		return p.Digest
	}
	base := seal(newToolRig(t, "dev", "build-etl-stack", nil))
	again := newToolRig(t, "dev", "build-etl-stack", nil)
	again.set("dev-warehouse", "UPDATE_COMPLETE") // how the stacks are decides nothing
	equal(t, "digest", seal(again), base)
	other := newToolRig(t, "dev", "build-etl-stack", nil)
	constants := map[string]map[string]string{}
	maps.Copy(constants, other.env.Constants)
	constants["build-etl-stack"] = map[string]string{"glue-db": "other"}
	env := *other.env
	env.Constants, other.env = constants, &env
	if seal(other) == base {
		t.Error("another constant is the same plan")
	}
	given := newToolRig(t, "dev", "build-etl-stack", inputs{"glue-db": "mine", "source-ref": "v1.2"})
	equal(t, "glue-db", properties(given.one())["synapse.datawarehouse.glue.database.name"], "mine")
	equal(t, "source", given.asked[0].Ref, "v1.2")
}

func TestTools_PlanTellsLastRunAndStacks(t *testing.T) {
	r := newToolRig(t, "dev", "build-etl-stack", inputs{"glue-db": "new"})
	r.set("dev-warehouse", "UPDATE_ROLLBACK_COMPLETE")
	r.set("elsewhere", "CREATE_COMPLETE")
	r.last = &tasks.Earlier{Run: "20261116T100000Z-build-etl-stack-abcd", After: ops.State{"commit": standInCommit, "properties": map[string]any{"stack": "dev", "old": "x", "synapse.datawarehouse.glue.database.name": "was"}}}
	notes := strings.Join(r.p.Notes(r.v, []ops.Effect{r.one()}), "\n")
	contains(t, "notes", notes, `property synapse.datawarehouse.glue.database.name="new".`, "last run: 20261116T100000Z-build-etl-stack-abcd",
		`differs old: "x" → not set.`, `differs synapse.datawarehouse.glue.database.name: "was" → "new".`, "stack dev-warehouse: UPDATE_ROLLBACK_COMPLETE since 2026-11-23")
	if strings.Contains(notes, "elsewhere") || strings.Contains(notes, "differs stack") {
		t.Errorf("notes are\n%s", notes)
	}
}

// The account's own sign-in is used where it has one.
func TestTools_Discovery(t *testing.T) {
	r := newToolRig(t, "dev", "build-stack", examplesOf(mustTask(t, "build-stack")))
	r.set("synapse-dev-global-resources", "CREATE_COMPLETE")
	r.stacks[0].Outputs["CognitoUserPoolId"] = "us-east-1_abc"
	equal(t, "discovery document", properties(r.one())["oauth2.sagebio.discoveryDocument"], "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_abc/.well-known/openid-configuration")
}

func mustTask(t *testing.T, name ops.TaskName) *ops.Task {
	t.Helper()
	task, err := tasks.Catalog().Task(name)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func newBuild(t *testing.T) *toolRig {
	return newToolRig(t, "dev", "build-stack", examplesOf(mustTask(t, "build-stack")))
}

func TestTools_TellsStacksTouched(t *testing.T) {
	r := newBuild(t)
	r.set("repo-dev-544-0", "UPDATE_COMPLETE")
	r.set("untouched", "CREATE_COMPLETE")
	r.does = func(_ context.Context, b *toolbox) (toolrun.Exit, error) {
		b.set("repo-dev-544-0", "UPDATE_IN_PROGRESS") // and returns before CloudFormation is done
		b.set("dev-544-shared-resources", "CREATE_COMPLETE")
		return toolrun.Exit{Took: 90 * time.Second}, nil
	}
	r.wait = func() { r.set("repo-dev-544-0", "UPDATE_COMPLETE") }
	done, err := r.perform(r.one())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "message", done.Message, "ended well after 1m30s. Stack dev-544-shared-resources is CREATE_COMPLETE. Stack repo-dev-544-0 is UPDATE_COMPLETE.")
	equal(t, "checkpoints", len(r.saved), 1)
}

func TestTools_FailsWithTheFirstEvent(t *testing.T) {
	r := newBuild(t)
	r.events = map[string][]toolrun.StackEvent{"arn:repo-dev-544-0": {
		{Resource: "Queue", Type: "AWS::SQS::Queue", State: "CREATE_FAILED", Reason: "Resource creation cancelled"},
		{Resource: "Database", Type: "AWS::RDS::DBInstance", State: "CREATE_FAILED", Reason: "no capacity"},
	}}
	r.does = func(_ context.Context, b *toolbox) (toolrun.Exit, error) {
		b.set("repo-dev-544-0", "ROLLBACK_COMPLETE")
		return toolrun.Exit{Code: 1, Took: time.Minute, Starved: errors.New("the role is gone")}, nil
	}
	_, err := r.perform(r.one())
	contains(t, "error", fmt.Sprint(err), "the tool ended with exit code 1 after 1m0s", "repo-dev-544-0 is ROLLBACK_COMPLETE; first to fail: Database (AWS::RDS::DBInstance) CREATE_FAILED: \"no capacity\"", "in vain: the role is gone")
	if strings.Contains(err.Error(), "Queue") {
		t.Error("an echo is named")
	}
}

// A tool that says all is well over a stack that was put back is not believed.
func TestTools_RolledBackIsNoSuccess(t *testing.T) {
	r := newBuild(t)
	r.does = func(_ context.Context, b *toolbox) (toolrun.Exit, error) {
		b.set("repo-dev-544-0", "UPDATE_ROLLBACK_COMPLETE")
		return toolrun.Exit{}, nil
	}
	_, err := r.perform(r.one())
	equal(t, "code", ops.CodeOf(err), ops.Conflict)
	contains(t, "error", fmt.Sprint(err), "but it did not")
}

func TestTools_WaitsForCloudFormation(t *testing.T) {
	r := newBuild(t)
	r.set("repo-dev-544-0", "UPDATE_IN_PROGRESS")
	e := r.one()
	looks := 0
	r.wait = func() {
		if looks++; looks == 3 {
			r.set("repo-dev-544-0", "UPDATE_COMPLETE")
		}
		if len(r.ran) > 0 {
			t.Error("it ran meanwhile")
		}
	}
	if _, err := r.perform(e); err != nil || looks != 3 {
		t.Errorf("after %d looks: %v", looks, err)
	}
}

func TestTools_LacksItsClass(t *testing.T) {
	r := newToolRig(t, "dev", "build-etl-jobs", nil)
	r.missing = true
	if _, err := r.perform(r.one()); err == nil {
		t.Error("a jar that is not there is run")
	}
	equal(t, "runs", len(r.ran), 0)
}

// Told to end, a tool says what it leaves; what became of it is read from the
// stacks, and a run that changed none of them did not happen.
func TestTools_ToldToEnd(t *testing.T) {
	r := newBuild(t)
	e := r.one()
	if _, happened, err := r.p.Settle(t.Context(), r.v, e); happened || err != nil {
		t.Errorf("it happened: %t, %v", happened, err)
	}
	r.does = func(_ context.Context, b *toolbox) (toolrun.Exit, error) {
		b.set("repo-dev-544-0", "CREATE_IN_PROGRESS")
		return toolrun.Exit{Signal: "signal terminated"}, context.Canceled
	}
	_, err := r.perform(e)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	contains(t, "error", err.Error(), "was ended by signal terminated", "repo-dev-544-0 is CREATE_IN_PROGRESS")
	done, happened, err := r.p.Settle(t.Context(), r.v, e)
	if !happened || err != nil || done.Outcome != ops.EffectFailed {
		t.Errorf("%+v %t %v", done, happened, err)
	}
	contains(t, "message", done.Message, "repo-dev-544-0 is CREATE_IN_PROGRESS", "running the task again goes on")
}

// A later attempt goes on from the plan that was agreed to, as a journal keeps it.
func TestTools_RunsAgainAfterACrash(t *testing.T) {
	r := newBuild(t)
	e := r.one()
	b, err := ops.CanonicalJSON(e.After)
	if err != nil {
		t.Fatal(err)
	}
	e.After = jsonState(t, b)
	if _, err := r.p.Perform(t.Context(), r.step(e, r.v, `{"began":"2026-11-23T10:00:00Z"}`)); err != nil {
		t.Fatal(err)
	}
	first := newBuild(t)
	if _, err := first.perform(first.one()); err != nil {
		t.Fatal(err)
	}
	equal(t, "arguments", shown(r.ran), shown(first.ran))
	contains(t, "log", strings.Join(r.logs, "\n"), "comes to the same end")
}

func TestRemoveDevStacks(t *testing.T) {
	r := newToolRig(t, "dev", "remove-dev-stacks", nil)
	for _, s := range []string{"old", "protected", "building", "forever"} {
		r.set(s, "CREATE_COMPLETE")
	}
	r.set("building", "UPDATE_IN_PROGRESS")
	for i := range r.stacks {
		r.stacks[i].Parameters["TimeToLive"] = "2026-11-01"
	}
	r.stacks[1].Protected, r.stacks[3].Parameters = true, nil
	e := r.one()
	equal(t, "candidates", fmt.Sprint(e.After["candidates"]), "[old]")
	equal(t, "challenge", r.p.Challenge(r.v, []ops.Effect{e}, 1), "1 stack")
	r.stacks = r.stacks[1:]
	if !r.one().Nothing {
		t.Error("without candidates there is something to do")
	}
}
