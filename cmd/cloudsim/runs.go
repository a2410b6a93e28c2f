package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// adminProject is where builds of lane admin run.
const adminProject = "synops-admin"

// noThrottle: the story is not about the service's pace.
func noThrottle(c *rehearsal.Config) error {
	c.NoThrottle = true
	return nil
}

// rehearseRuns is the story of a day's runs in dev's account: one task that was
// looked at first, a long list, a dev task that is aimed at prod, and what goes wrong
// with runs that are under way. What was done is asked of the service, not of synops.
func rehearseRuns(ctx context.Context, t *rehearsal.Story) error {
	t.Scene("Both accounts are stood up (cloudsim rehearse account shows how)")
	if err := quietly(t.Stage, func(t *rehearsal.Story) error {
		if err := t.StandUp(ctx, t.Stage.Dev, "plan", "admin"); err != nil {
			return err
		}
		_, err := t.Do(ctx, t.Stage.Administrator(t.Stage.Prod), 0, "bootstrap", "-e", "prod", "--yes")
		return err
	}); err != nil {
		return err
	}
	r := &runs{Story: t, dev: t.Stage.Dev}
	for _, scene := range []func(context.Context) error{r.lookedAt, r.longList, r.wrongAccount, r.canceled, r.killed, r.handedOver} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return nil
}

// quietly does what another story tells. It is told only where it fails.
func quietly(s *rehearsal.Stage, do func(*rehearsal.Story) error) error {
	var told strings.Builder
	if err := do(rehearsal.Tell(s, &told)); err != nil {
		return fmt.Errorf("standing up: %w\n%s", err, told.String())
	}
	return nil
}

// runs is the story and how far it is.
type runs struct {
	*rehearsal.Story
	dev *rehearsal.Environment
	job int // the last workflow run's ID
}

// job is a job of a workflow run of its own.
func (r *runs) asks(workflow string, reviewed bool) rehearsal.Actor {
	r.job++
	return r.Stage.Job(r.dev, rehearsal.Job{Workflow: workflow, Reviewed: reviewed, Run: r.job})
}

var digest = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// lookedAt: what the job without reviewers plans is what the job with them performs.
func (r *runs) lookedAt(ctx context.Context) error {
	const user = "3350396"
	r.Scene("an admin task: planned in the subnet, approved, performed as planned")
	task := []string{"remove-user", "users=" + user}
	planned, err := r.Do(ctx, r.asks("run-task.yml", false), 0, append([]string{"plan"}, task...)...)
	if err != nil {
		return err
	}
	plan := digest.FindString(planned.Stdout)
	if u, _ := r.dev.Synapse.User(user); plan == "" || u.UserName != "jdoe" {
		return fmt.Errorf("the plan names no digest, or changed the user, who is now %q", u.UserName)
	}
	r.Say("The job that plans may not perform; AWS says so:\n")
	if _, err := r.Do(ctx, r.asks("run-task.yml", false), 1, append([]string{"run"}, task...)...); err != nil {
		return err
	}
	if _, err := r.Do(ctx, r.asks("run-task.yml", true), 0, append(append([]string{"run"}, task...), "--plan", plan, "--confirm", "jdoe")...); err != nil {
		return err
	}
	if u, _ := r.dev.Synapse.User(user); u.UserName == "jdoe" {
		return errors.New("the service still knows the user that was removed")
	}
	return nil
}

// longList: 500 users from a file.
func (r *runs) longList(ctx context.Context) error {
	r.Scene("a bulk of 500, at whatever pace the service of a rehearsal takes")
	var users []string
	for n := 3400001; len(users) < 500; n += 2 {
		users = append(users, strconv.Itoa(n))
	}
	if err := os.WriteFile(filepath.Join(r.Stage.Dir, "users.txt"), []byte(strings.Join(users, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	r.Brief = true // 500 lines
	_, err := r.Do(ctx, r.asks("run-task.yml", true), 0, "run", "decertify-user", "users=@users.txt", "--rate", "0", "--in-flight", "16")
	r.Brief = false
	if err != nil {
		return err
	}
	for _, id := range users {
		if u, _ := r.dev.Synapse.User(id); u.Certified {
			return fmt.Errorf("user %s is still certified", id)
		}
	}
	return nil
}

// wrongAccount: a job of dev asks for a run in prod. synops refuses as a courtesy;
// where it is told a lie, AWS does.
func (r *runs) wrongAccount(ctx context.Context) error {
	r.Scene("a reviewed job of dev's repository asks for a run in prod")
	intruder, prod := r.asks("run-task.yml", true), r.Stage.Prod
	task := []string{"run", "decertify-user", "users=3350397", "-e", "prod", "--reason", "none"}
	if _, err := r.Do(ctx, intruder, 3, task...); err != nil {
		return err
	}
	theirs := r.Stage.Job(prod, rehearsal.Job{Workflow: "run-task.yml", Reviewed: true}).Vars
	for _, name := range []string{"CONTEXT", "SYNAPSE_HOST", "ROLE_TO_ASSUME", "GITHUB_REPOSITORY"} {
		intruder.Vars[name] = theirs[name]
	}
	intruder.Who += ", with every variable of prod's"
	got, err := r.Do(ctx, intruder, 1, task...)
	if err != nil {
		return err
	}
	if n := prod.Synapse.Total(); n > 0 || !strings.Contains(got.Stderr, "AccessDenied") {
		return fmt.Errorf("prod's role was not what stopped it; prod's service was asked %d times", n)
	}
	return nil
}

// canceled: a run whose list was wrong is ended by whoever notices.
func (r *runs) canceled(ctx context.Context) error {
	r.Scene("a run with a wrong list is canceled")
	ids := clients(0, 20)
	run, err := r.underWay(ctx, "verify-oauth-client", "client-ids="+strings.Join(ids, ","))
	if err != nil {
		return err
	}
	if _, err := r.Do(ctx, r.asks("cancel.yml", false), 0, "cancel", run, "--reason", "wrong list", "--detach"); err != nil {
		return err
	}
	r.dev.Synapse.SetFaults(sandbox.Faults{})
	if _, err := r.Do(ctx, r.asks("run-task.yml", false), 130, "follow", run); err != nil {
		return err
	}
	began := r.verified(ids)
	if began == 0 || began == len(ids) {
		return fmt.Errorf("%d of %d clients are verified: nothing was canceled in the middle", began, len(ids))
	}
	r.Say("The service says that %d of %d clients are verified. Nothing goes on with a canceled run:\n", began, len(ids))
	if _, err := r.Do(ctx, r.asks("resume.yml", true), 130, "resume", run); err != nil {
		return err
	}
	if now := r.verified(ids); now != began {
		return fmt.Errorf("%d clients are verified now, %d when it was canceled", now, began)
	}
	return nil
}

// killed: a build dies without a word; the run is resumed, and nothing is done twice.
func (r *runs) killed(ctx context.Context) error {
	r.Scene("a build is killed in the middle; the run is resumed")
	ids := clients(20, 30)
	before := len(r.dev.Synapse.Calls())
	run, err := r.underWay(ctx, "verify-oauth-client", "client-ids="+strings.Join(ids, ","))
	if err != nil {
		return err
	}
	if n := r.Stage.Cloud.Account(r.dev.Account).CodeBuild.Kill(adminProject); n != 1 {
		return fmt.Errorf("%d builds were there to kill, not 1", n)
	}
	r.Say("── its machine is gone\n")
	if _, err := r.Do(ctx, r.asks("run-task.yml", false), 1, "follow", run); err != nil {
		return err
	}
	r.dev.Synapse.SetFaults(sandbox.Faults{})
	if _, err := r.Do(ctx, r.asks("resume.yml", true), 0, "resume", run); err != nil {
		return err
	}
	if n := r.verified(ids); n != len(ids) {
		return fmt.Errorf("%d of %d clients are verified", n, len(ids))
	}
	if id := twice(r.dev.Synapse.Calls()[before:]); id != "" {
		return fmt.Errorf("it was done twice: %s", id)
	}
	r.Say("The service took each change once.\n")
	return nil
}

// handedOver: builds that are short against what is to be done.
func (r *runs) handedOver(ctx context.Context) error {
	r.Scene("a task outlasts its builds: each hands over to the next before its time is up")
	ids := clients(0, 50)
	before := len(r.dev.Synapse.Calls())
	if err := r.shortBuilds(adminProject, "0.1"); err != nil {
		return err
	}
	r.changing(sandbox.Fault{Latency: sandbox.Duration(800 * time.Millisecond)})
	defer r.dev.Synapse.SetFaults(sandbox.Faults{})
	list := strings.Join(ids, ",")
	got, err := r.Do(ctx, r.asks("run-task.yml", true), 0, "run", "verify-oauth-client", "client-ids="+list, "verified=false", "--in-flight", "1")
	if err != nil {
		return err
	}
	builds := 1 + strings.Count(got.Stderr, "goes on --\n")
	switch id := twice(r.dev.Synapse.Calls()[before:]); {
	case builds < 5:
		return fmt.Errorf("it took %d builds, not five or more", builds)
	case strings.Contains(got.Stderr, "ended without a word"):
		return errors.New("a build did not hand over")
	case r.verified(ids) > 0:
		return fmt.Errorf("%d clients are still verified", r.verified(ids))
	case id != "":
		return fmt.Errorf("it was done twice: %s", id)
	}
	r.Say("It took %d builds, and the service took each change once.\n", builds)
	return nil
}

// clients are OAuth clients that are not verified at first.
func clients(from, n int) (ids []string) {
	for i := range n {
		ids = append(ids, strconv.Itoa(200001+2*(from+i)))
	}
	return ids
}

func (r *runs) verified(ids []string) (n int) {
	for _, id := range ids {
		if c, _ := r.dev.Synapse.OAuthClient(id); c.Verified {
			n++
		}
	}
	return n
}

// changing has a fault strike each change.
func (r *runs) changing(f sandbox.Fault) {
	f.Method, f.Path = "PUT", "/verified"
	r.dev.Synapse.SetFaults(sandbox.Faults{Active: []sandbox.Fault{f}})
}

// underWay starts a run and returns once two of its changes are made. The service
// holds the others until its faults are set anew.
func (r *runs) underWay(ctx context.Context, task ...string) (run string, err error) {
	r.changing(sandbox.Fault{Kind: sandbox.Held, Skip: 2})
	defer func() {
		if err != nil {
			r.dev.Synapse.SetFaults(sandbox.Faults{})
		}
	}()
	before := r.changes()
	if run, err = r.detached(ctx, task...); err != nil {
		return "", err
	}
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for began := time.Now(); r.changes() < before+2; {
		if time.Since(began) > time.Minute {
			return "", fmt.Errorf("nothing of %s was done within a minute", run)
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-look.C:
		}
	}
	shown, err := r.Do(ctx, r.asks("run-task.yml", false), 0, "show", run, "--format", "json")
	if err != nil {
		return "", err
	}
	var doc struct{ State, Engine string }
	if err := json.Unmarshal([]byte(shown.Stdout), &doc); err != nil || doc.State != "running" || doc.Engine != "running" {
		return "", fmt.Errorf("%s is not shown as running: %s", run, shown.Stdout)
	}
	return run, nil
}

// detached starts a run and returns its name.
func (r *runs) detached(ctx context.Context, task ...string) (string, error) {
	got, err := r.Do(ctx, r.asks("run-task.yml", true), 0, append(append([]string{"run"}, task...), "--detach")...)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(got.Stderr) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "run" {
			return f[1], nil
		}
	}
	return "", errors.New("what was started is not named")
}

// changes counts the changes that the service took.
func (r *runs) changes() (n int64) {
	for route, count := range r.dev.Synapse.Counts() {
		if strings.HasPrefix(route, "PUT ") {
			n += count
		}
	}
	return n
}

// twice names a change that was taken more than once; "" for none.
func twice(calls []sandbox.Call) string {
	taken := map[string]bool{}
	for _, c := range calls {
		if c.Method != "PUT" || c.Status == 0 || c.Status >= 300 {
			continue
		}
		if change := c.Method + " " + c.Path; taken[change] {
			return change
		} else {
			taken[change] = true
		}
	}
	return ""
}

// shortBuilds has builds of a lane believe that they get few seconds. The time
// that they are really given stays as it is: a machine may be slow.
func (r *runs) shortBuilds(project, minutes string) error {
	builds := r.Stage.Cloud.Account(r.dev.Account).CodeBuild
	p, ok := builds.Project(project)
	if !ok {
		return fmt.Errorf("there is no project %s", project)
	}
	vars := make([]emulator.BuildVariable, 0, len(p.Environment.EnvironmentVariables))
	told := false
	for _, v := range p.Environment.EnvironmentVariables {
		if v.Name == "SYNOPS_BUILD_MINUTES" {
			v.Value, told = emulator.Text(minutes), true
		}
		vars = append(vars, v)
	}
	if !told {
		return errors.New("builds are not told their time")
	}
	p.Environment.EnvironmentVariables = vars
	if err := builds.PutProject(p); err != nil {
		return fmt.Errorf("shortening builds: %w", err)
	}
	r.Say("Builds of %s are told that they get %s minutes.\n", project, minutes)
	return nil
}
