package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// workflows is the story of the dashboards: forms that are dispatched as an operator
// does, core's workflows that run them, and what has changed in the end.
type workflows struct {
	*runs
	gh  *rehearsal.GitHub
	log runLog // of the newest workflow run
}

// A runLog keeps what a workflow run prints, and does something once when it says
// what is waited for.
type runLog struct {
	mu   sync.Mutex
	text strings.Builder
	says string
	do   func() // nil: nothing is waited for
}

func (l *runLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if l.do != nil && strings.Contains(l.text.String(), l.says) {
		l.do()
		l.do = nil
	}
	return len(p), nil
}

func (l *runLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *runLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

// once has do be called when the next workflow run's log says something.
func (l *runLog) once(says string, do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.says, l.do = says, do
}

// rehearseWorkflows tells it.
func rehearseWorkflows(ctx context.Context, t *rehearsal.Story) error {
	t.Scene("Both accounts are stood up, the release is published, the dashboards are there")
	for _, env := range t.Stage.Environments() {
		leave, err := standUpWithin(ctx, t, env)
		defer leave()
		if err != nil {
			return err
		}
	}
	gh, err := t.Stage.GitHub(ctx)
	if err != nil {
		return err
	}
	w := &workflows{runs: &runs{Story: t, dev: t.Stage.Dev, job: 100}, gh: gh}
	for _, scene := range []func(context.Context) error{w.devForm, w.prodForm, w.movedOn, w.hostileForm, w.handOver, w.wrongDoor, w.cancelledRun} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return nil
}

// standUpWithin stands an account up whose service and builds are in a network of their
// own, where this machine has any. The caller calls leave.
func standUpWithin(ctx context.Context, t *rehearsal.Story, env *rehearsal.Environment) (leave func(), err error) {
	subnet, err := openSubnet(ctx, t.Stage, env)
	switch {
	case errors.Is(err, rehearsal.ErrNoSubnet):
		t.Say("!!! %s: service and builds share this machine's network: %v\n", env.Name, err)
		leave, err = func() {}, t.Stage.Expose(env)
	case err == nil:
		t.Say("%s: the service answers in a network of its own only. From here: ", env.Name)
		leave, err = subnet.Close, unreachable(ctx, t, env.Host)
	default:
		leave = func() {}
	}
	if err != nil {
		return leave, err
	}
	if err := quietly(t.Stage, func(t *rehearsal.Story) error { return t.StandUp(ctx, env, "plan", "admin") }); err != nil {
		return leave, fmt.Errorf("%s: %w", env.Name, err)
	}
	if subnet != nil {
		buildWithin(t.Stage, env, subnet)
	}
	return leave, nil
}

// dispatch runs a workflow and wants it green, or red. What the runner would show of
// it is told; act's own words are not.
func (w *workflows) dispatch(ctx context.Context, env *rehearsal.Environment, d rehearsal.Dispatch, green bool, says ...string) error {
	form, err := json.Marshal(d.Inputs)
	if err != nil {
		return fmt.Errorf("writing the form: %w", err)
	}
	w.Say("# %s, workflow run %d, attempt %d\n> %s %s", env.Repository, d.Run, max(1, d.Attempt), d.Workflow, form)
	w.log.reset()
	shown := &actLog{}
	got, err := w.gh.Dispatch(ctx, env, d, io.MultiWriter(&w.log, shown))
	for _, line := range shown.lines {
		w.Say("%s", line)
	}
	if err != nil {
		return err
	}
	color := "green"
	if got.Code != 0 {
		color = "red"
	}
	w.Say("(%s, %.1f s)\n", color, got.Took.Seconds())
	if (got.Code == 0) != green {
		return fmt.Errorf("workflow run %d is %s; its log:\n%s", d.Run, color, w.log.String())
	}
	for _, s := range says {
		if !strings.Contains(w.log.String(), s) {
			return fmt.Errorf("the log of workflow run %d does not say %q:\n%s", d.Run, s, w.log.String())
		}
	}
	return nil
}

// An actLog keeps what jobs print of act's output: its lines are marked with a bar.
type actLog struct {
	rest  string
	lines []string
}

var actLine = regexp.MustCompile(`^\[[^]]*/([a-z0-9-]+) *\] +(?:\||❗|🚧|❓|::)(.*)$`)

func (a *actLog) Write(p []byte) (int, error) {
	a.rest += string(p)
	for {
		line, rest, ok := strings.Cut(a.rest, "\n")
		if !ok {
			return len(p), nil
		}
		a.rest = rest
		if m := actLine.FindStringSubmatch(line); m != nil && strings.TrimSpace(m[2]) != "" {
			a.lines = append(a.lines, fmt.Sprintf("  %-10s %s", m[1], strings.TrimSpace(m[2])))
		}
	}
}

func (w *workflows) next() int { w.job++; return w.job }

var runID = regexp.MustCompile(`run  +(20[0-9]{6}T[0-9]{6}Z-[a-z0-9-]+)`)

// devForm: a form of dev, filled in and performed; run again, it attaches.
func (w *workflows) devForm(ctx context.Context) error {
	const user = "3350396"
	w.Scene("dev: a form is dispatched, and Synapse is changed")
	d := rehearsal.Dispatch{Workflow: "decertify-user.yml", Run: w.next(), Inputs: map[string]string{"users": user, "mode": "perform", "reason": "rehearsal", "watch": "all"}}
	if err := w.dispatch(ctx, w.dev, d, true, "SUCCEEDED", "certified: true → false"); err != nil {
		return err
	}
	if u, _ := w.dev.Synapse.User(user); u.Certified {
		return errors.New("the user is still certified")
	}
	w.Scene("dev: the same workflow run again starts nothing")
	before := w.changes()
	d.Attempt = 2
	if err := w.dispatch(ctx, w.dev, d, true, "Nothing was started", "ended succeeded", "fill in the form anew"); err != nil {
		return err
	}
	if n := w.changes() - before; n != 0 {
		return fmt.Errorf("the service took %d more changes", n)
	}
	return nil
}

// prodForm: in prod the plan is looked at before a reviewer says yes, and exactly it
// is performed.
func (w *workflows) prodForm(ctx context.Context) error {
	prod := w.Stage.Prod
	w.Scene("prod: planned, approved by a stand-in for the reviewers, performed as planned")
	looked := false
	d := rehearsal.Dispatch{Workflow: "verify-oauth-client.yml", Run: w.next(), Inputs: map[string]string{"client-ids": "100001", "mode": "perform", "reason": "rehearsal"},
		Review: func(context.Context) error {
			c, _ := prod.Synapse.OAuthClient("100001")
			if looked = !c.Verified; !looked {
				return errors.New("it was performed before the reviewer was asked")
			}
			if !digest.MatchString(w.log.String()) {
				return errors.New("the reviewer is shown no plan")
			}
			return nil
		}}
	if err := w.dispatch(ctx, prod, d, true, "SUCCEEDED", "PROD"); err != nil {
		return err
	}
	if c, _ := prod.Synapse.OAuthClient("100001"); !c.Verified || !looked {
		return fmt.Errorf("the client is verified: %t; a reviewer was asked: %t", c.Verified, looked)
	}
	return nil
}

// movedOn: what was approved is not what would be done now.
func (w *workflows) movedOn(ctx context.Context) error {
	prod := w.Stage.Prod
	w.Scene("prod: somebody else changes the client while the reviewer looks: refused")
	before := prod.Synapse.Total()
	d := rehearsal.Dispatch{Workflow: "verify-oauth-client.yml", Run: w.next(), Inputs: map[string]string{"client-ids": "100003", "mode": "perform", "reason": "rehearsal"},
		Review: func(context.Context) error {
			c, ok := prod.Synapse.OAuthClient("100003")
			if !ok || c.Verified {
				return fmt.Errorf("client 100003 is %+v", c)
			}
			c.Verified, c.Etag = true, "changed-meanwhile"
			prod.Synapse.SetOAuthClient(c)
			return nil
		}}
	if err := w.dispatch(ctx, prod, d, false, "not the approved", "verified was false and is true"); err != nil {
		return err
	}
	if before == prod.Synapse.Total() {
		return errors.New("prod's service was not asked at all")
	}
	return nil
}

// corpus is what a person may type that shells, YAML, JSON, Markdown and the runner
// take for something else.
var corpus = []string{
	`$(touch /tmp/synops-pwned)`, "`id`", `"; id; echo "`, `'; id; echo '`, `a,b`, `\n\"\\`, `%0A::error::x`, "::error::x", "##[error]x", `${{ secrets.GITHUB_TOKEN }}`, `${IFS}`, `* ? [a]`,
	`<script>alert(1)</script>`, `[x](javascript:alert(1))`, "line\nanother\r\n::set-output name=run::evil", "\t\u0000tab", "naïve 日本語 🚀", `{"a":"b"}`, `--confirm=x`, "||&&;|",
}

// hostileForm: the corpus goes through form, workflows and documents and comes out as
// it went in, and none of it is taken for anything.
func (w *workflows) hostileForm(ctx context.Context) error {
	w.Scene("dev: a hostile form is carried to the build byte for byte, or refused")
	job := map[string]any{"concreteType": "org.sagebionetworks.repo.model.RehearsalRequest", "texts": corpus}
	text, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("writing the form: %w", err)
	}
	d := rehearsal.Dispatch{Workflow: "run-admin-job.yml", Run: w.next(), Inputs: map[string]string{"job": string(text), "mode": "plan", "reason": strings.ReplaceAll(corpus[2]+corpus[0]+corpus[7], "\n", " ")}}
	if err := w.dispatch(ctx, w.dev, d, true, "starts RehearsalRequest"); err != nil {
		return err
	}
	planned := regexp.MustCompile(`Planning: (20[0-9]{6}T[0-9]{6}Z-run-admin-job-[0-9a-f]+)`).FindStringSubmatch(w.log.String())
	if planned == nil {
		return errors.New("no run that planned is named")
	}
	inputs, err := w.planned(planned[1])
	if err != nil {
		return err
	}
	var got struct{ Texts []string }
	if err := json.Unmarshal([]byte(inputs["job"]), &got); err != nil {
		return fmt.Errorf("reading what arrived: %w: %q", err, inputs)
	}
	for i, want := range corpus {
		if i >= len(got.Texts) || got.Texts[i] != want {
			return fmt.Errorf("of the corpus, %q did not arrive: %q", want, got.Texts)
		}
	}
	w.Say("%d texts arrived as they were sent.\n", len(corpus))
	d = rehearsal.Dispatch{Workflow: "decertify-user.yml", Run: w.next(), Inputs: map[string]string{"users": "3350396; $(id)\n::error::x 335\u202e0396", "mode": "plan"}}
	return w.dispatch(ctx, w.dev, d, false, "invisible or direction-changing characters")
}

// held has the service take two changes and hold the others until it is let go.
func (w *workflows) held() (letGo func()) {
	w.changing(sandbox.Fault{Kind: sandbox.Held, Skip: 2})
	return func() { w.dev.Synapse.SetFaults(sandbox.Faults{}) }
}

// planned is what a build read as the inputs of a plan that it made.
func (w *workflows) planned(run string) (map[string]string, error) {
	store := w.Stage.Cloud.Account(w.dev.Account).S3
	for _, bucket := range store.Buckets() {
		data, err := store.Get(bucket, "plan/runs/"+run+"/plan.json", "")
		if err != nil {
			continue
		}
		var plan struct{ Inputs map[string]string }
		if err := json.Unmarshal(data, &plan); err != nil {
			return nil, fmt.Errorf("reading the plan of %s: %w", run, err)
		}
		return plan.Inputs, nil
	}
	return nil, fmt.Errorf("no bucket has the plan of %s", run)
}

// handOver: jobs that may follow for seconds only hand over to each other.
func (w *workflows) handOver(ctx context.Context) error {
	w.Scene("dev: a run outlasts the job that follows it; the next goes on from there")
	ids := clients(0, 12)
	letGo := w.held()
	defer letGo()
	w.log.once("this job's time is over", letGo) // so the run outlasts it on any machine
	d := rehearsal.Dispatch{Workflow: "verify-oauth-client.yml", Run: w.next(), Env: map[string]string{"SYNOPS_FOLLOW_FOR": "2s"},
		Inputs: map[string]string{"client-ids": strings.Join(ids, ","), "mode": "perform", "watch": "all"}}
	if err := w.dispatch(ctx, w.dev, d, true, "this job's time is over", "SUCCEEDED"); err != nil {
		return err
	}
	log := w.log.String()
	for _, id := range ids {
		if n := len(regexp.MustCompile(`Z  done +oauth-client/`+id+` `).FindAllString(log, -1)); n != 1 {
			return fmt.Errorf("the jobs' logs tell %d times of client %s, not once", n, id)
		}
	}
	w.Say("%d jobs followed it.\n", strings.Count(log, "this job's time is over")+1)
	return nil
}

// wrongDoor: dev's dashboard is given all of prod's variables and says that it is
// prod's repository. Its tokens are still dev's.
func (w *workflows) wrongDoor(ctx context.Context) error {
	prod := w.Stage.Prod
	w.Scene("dev's tokens in prod: AWS refuses them, whatever the workflow says")
	before := prod.Synapse.Total()
	inputs := map[string]string{"users": "3350397", "mode": "perform", "reason": "rehearsal"}
	theirs := w.Stage.Job(prod, rehearsal.Job{Workflow: "run-task.yml"}).Vars
	if err := w.dispatch(ctx, w.dev, rehearsal.Dispatch{Workflow: "decertify-user.yml", Run: w.next(), Inputs: inputs,
		Vars: map[string]string{"CONTEXT": "prod", "SYNAPSE_HOST": theirs["SYNAPSE_HOST"], "ROLE_TO_ASSUME": theirs["ROLE_TO_ASSUME"]}}, false, "CONTEXT says"); err != nil {
		return err
	}
	if err := w.dispatch(ctx, prod, rehearsal.Dispatch{Workflow: "decertify-user.yml", Run: w.next(), Inputs: inputs, Claims: w.dev}, false, "AccessDenied"); err != nil {
		return err
	}
	if n := prod.Synapse.Total() - before; n != 0 {
		return fmt.Errorf("prod's service was asked %d times", n)
	}
	return nil
}

// cancelledRun: a workflow run that is canceled takes its run with it. act ends a
// job's process otherwise than GitHub, so the step is run directly.
func (w *workflows) cancelledRun(ctx context.Context) error {
	w.Scene("dev: the workflow run is canceled; its last job, on a fresh runner, cancels what it started")
	ids := clients(12, 30)
	letGo := w.held()
	defer letGo()
	d := rehearsal.Dispatch{Workflow: "verify-oauth-client.yml", Run: w.next(), Inputs: map[string]string{"client-ids": strings.Join(ids, ","), "mode": "perform", "watch": "start"}}
	if err := w.dispatch(ctx, w.dev, d, true, "still running"); err != nil {
		return err
	}
	started := runID.FindStringSubmatch(w.log.String())
	if started == nil {
		return errors.New("what was started is not named")
	}
	job := w.Stage.Job(w.dev, rehearsal.Job{Workflow: "run-task.yml", Run: d.Run})
	job.Vars["SYNOPS_ENVIRONMENT"], job.Vars["SYNOPS_TASK"] = w.dev.Name, "verify-oauth-client"
	got, err := w.Do(ctx, job, 0, "actions", "on-cancel")
	if err != nil {
		return err
	}
	if !strings.Contains(got.Stdout, "The cancel of "+started[1]+" is durable") {
		return fmt.Errorf("it canceled something else than %s", started[1])
	}
	letGo()
	w.Brief = true
	_, err = w.Do(ctx, w.Stage.Job(w.dev, rehearsal.Job{Workflow: "follow.yml"}), 130, "follow", started[1])
	if n := w.verified(ids); err == nil && n == len(ids) {
		err = errors.New("nothing was canceled")
	}
	return err
}

// dashboards has the checkout released as what its workflows call.
func dashboards(c *rehearsal.Config) error {
	text, err := os.ReadFile(".github/workflows/run-task.yml")
	if err != nil {
		return fmt.Errorf("reading core's workflows, from the root of a checkout: %w", err)
	}
	m := regexp.MustCompile(`/actions/synops@(v[0-9.]+)\n`).FindSubmatch(text)
	if m == nil {
		return errors.New("core's workflows call no release")
	}
	c.Release = string(m[1])
	return hidden(c, "dev", "prod")
}
