package render_test

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	templates "github.com/Sage-Bionetworks/synapse-ops-core/deploy"
)

// The rules for every workflow and action here, core's own and those of the
// dashboards. Neither GitHub's own checks nor actionlint's ask these before a
// workflow runs; by then it runs with a role of an account.

// A flow is one workflow or composite action, as written.
type flow struct {
	path string         // from the root
	doc  map[string]any // the whole file
}

// flows reads every workflow and action of the repository.
func flows(t *testing.T) []flow {
	t.Helper()
	var all []flow
	for _, pattern := range []string{".github/workflows/*.yml", ".github/workflows/*.yaml", ".github/actions/*/action.y*ml", "dashboards/*/.github/workflows/*.yml"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, parseFlow(t, filepath.ToSlash(name), string(data)))
		}
	}
	if len(all) < 40 {
		t.Fatalf("found %d workflows: the rules were asked of nothing", len(all))
	}
	return all
}

func parseFlow(t *testing.T, name, text string) flow {
	t.Helper()
	f := flow{path: name}
	if err := yaml.Unmarshal([]byte(text), &f.doc); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

func (f flow) action() bool    { return strings.HasPrefix(f.path, ".github/actions/") }
func (f flow) dashboard() bool { return strings.HasPrefix(f.path, "dashboards/") }

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }
func list(v any) []any            { l, _ := v.([]any); return l }

// jobs returns the workflow's jobs by ID; an action's steps are one job's.
func (f flow) jobs() map[string]map[string]any {
	jobs := map[string]map[string]any{}
	if f.action() {
		jobs["runs"] = object(f.doc["runs"])
		return jobs
	}
	for id, job := range object(f.doc["jobs"]) {
		jobs[id] = object(job)
	}
	return jobs
}

// uses lists what the file calls, by where it does.
func (f flow) uses() map[string]string {
	all := map[string]string{}
	for id, job := range f.jobs() {
		if u, ok := job["uses"].(string); ok {
			all["job "+id] = u
		}
		for i, step := range list(job["steps"]) {
			if u, ok := object(step)["uses"].(string); ok {
				all[fmt.Sprintf("job %s, step %d", id, i+1)] = u
			}
		}
	}
	return all
}

// called returns the file of ours that a "uses" names.
func called(uses, core string) (file string, ref string, ours bool) {
	name, ref, _ := strings.Cut(uses, "@")
	file, ours = strings.CutPrefix(name, core+"/")
	if ours && !strings.HasSuffix(file, ".yml") && !strings.HasSuffix(file, ".yaml") {
		file += "/action.yml"
	}
	return file, ref, ours
}

// privileged are the files that run with a role of an account, or in a job that
// does: what dashboards call, and what those call.
func privileged(all []flow, core string) map[string]bool {
	found := map[string]bool{}
	var walk func(f flow)
	walk = func(f flow) {
		for _, u := range f.uses() {
			file, _, ours := called(u, core)
			if !ours || found[file] {
				continue
			}
			found[file] = true
			for _, g := range all {
				if g.path == file {
					walk(g)
				}
			}
		}
	}
	for _, f := range all {
		if f.dashboard() {
			found[f.path] = true
			walk(f)
		}
	}
	return found
}

var pinned = regexp.MustCompile(`^[A-Za-z0-9_.-]+/[A-Za-z0-9_./-]+@[0-9a-f]{40}$`)

// foundIn returns every finding of every rule in a set of files.
func foundIn(all []flow, core, release string) []string {
	var out []string
	say := func(f flow, format string, args ...any) { out = append(out, f.path+": "+fmt.Sprintf(format, args...)) }
	secret := privileged(all, core)
	for _, f := range all {
		f.rules(say)
		f.callsOnly(say, core, release, secret[f.path])
		for id, job := range f.jobs() {
			if u, ok := job["uses"].(string); ok {
				f.contract(say, id, job, u, core, all)
			}
		}
	}
	slices.Sort(out)
	return out
}

type sayer = func(f flow, format string, args ...any)

// rules are asked of one file alone.
func (f flow) rules(say sayer) {
	if !f.action() {
		if p, there := f.doc["permissions"]; !there || p == nil || len(object(p)) > 0 || fmt.Sprintf("%T", p) == "string" {
			say(f, `permissions at the top are not {}: what no job asks for, none should have`)
		}
		if _, there := f.doc["concurrency"]; there {
			say(f, "it has a concurrency group: the lease is the lock, and a group would cancel who waits")
		}
		triggers := object(f.doc["on"])
		if _, there := triggers["pull_request_target"]; there {
			say(f, "pull_request_target runs what a stranger sends with our permissions")
		}
		if _, there := triggers["workflow_run"]; there {
			say(f, "workflow_run runs after what a stranger sent, with our permissions")
		}
	}
	f.readsWhatItDeclares(say)
	for id, job := range f.jobs() {
		if _, there := job["concurrency"]; there {
			say(f, "job %s has a concurrency group: the lease is the lock", id)
		}
		if _, there := job["timeout-minutes"]; !there && !f.action() && job["uses"] == nil {
			say(f, "job %s has no timeout-minutes, so it may hang for six hours", id)
		}
		if job["secrets"] == "inherit" {
			say(f, "job %s hands all secrets on: name those that are needed", id)
		}
		for i, step := range list(job["steps"]) {
			s := object(step)
			where := fmt.Sprintf("job %s, step %d", id, i+1)
			if run, _ := s["run"].(string); strings.Contains(run, "${{") {
				say(f, "%s: an expression in run is shell before the shell reads it; hand it over in env", where)
			}
			if script, _ := object(s["with"])["script"].(string); strings.Contains(script, "${{") {
				say(f, "%s: an expression in a script is code; hand it over in env", where)
			}
		}
	}
}

// readsWhatItDeclares finds what a file that others call declares and does not read:
// a secret that is handed over for nothing, an input that does nothing.
func (f flow) readsWhatItDeclares(say sayer) {
	declared := map[string]map[string]any{"inputs": object(f.doc["inputs"])}
	if !f.action() {
		call := object(object(f.doc["on"])["workflow_call"])
		declared = map[string]map[string]any{"inputs": object(call["inputs"]), "secrets": object(call["secrets"])}
	}
	read := map[string]bool{}
	for _, job := range f.jobs() {
		for _, name := range reads.FindAllString(fmt.Sprint(job), -1) {
			read[name] = true
		}
	}
	for kind, names := range declared {
		for name := range names {
			if !read[kind+"."+name] {
				say(f, "it declares %s.%s and reads it nowhere", kind, name)
			}
		}
	}
}

var reads = regexp.MustCompile(`\b(?:inputs|secrets)\.[A-Za-z0-9_-]+`)

// callsOnly asks whom the file calls.
func (f flow) callsOnly(say sayer, core, release string, secret bool) {
	for _, tag := range f.tags(core) {
		if tag != release {
			say(f, "a step fetches %s, and the release is %s", tag, release)
		}
	}
	for where, u := range f.uses() {
		_, ref, ours := called(u, core)
		switch {
		case ours && ref != release:
			say(f, "%s calls %s, and the release is %s", where, u, release)
		case ours:
		case strings.HasPrefix(u, "./"):
			if secret {
				say(f, "%s calls %s, which in a called workflow is the caller's file: name it in full, %s/…@%s", where, u, core, release)
			}
		case secret:
			say(f, "%s calls %s of somebody else, where a role can be taken", where, u)
		case !pinned.MatchString(u):
			say(f, "%s calls %s, which is not pinned by a full commit", where, u)
		}
	}
}

// tags lists the literal tags that steps hand to actions of ours, which fetch by them.
func (f flow) tags(core string) []string {
	var all []string
	for _, job := range f.jobs() {
		for _, step := range list(job["steps"]) {
			s := object(step)
			u, _ := s["uses"].(string)
			if _, _, ours := called(u, core); ours {
				if tag, there := object(s["with"])["tag"]; there {
					all = append(all, fmt.Sprint(tag))
				}
			}
		}
	}
	return all
}

// contract compares what a job hands over with what the called workflow declares.
func (f flow) contract(say sayer, id string, job map[string]any, uses, core string, all []flow) {
	file, _, ours := called(uses, core)
	if !ours {
		return
	}
	i := slices.IndexFunc(all, func(g flow) bool { return g.path == file })
	if i < 0 {
		say(f, "job %s calls %s, which is not there", id, file)
		return
	}
	to := all[i]
	call, callable := object(to.doc["on"])["workflow_call"]
	if !callable {
		say(f, "job %s calls %s, which cannot be called", id, file)
		return
	}
	given := object(job["with"])
	declared := object(object(call)["inputs"])
	for name, value := range given {
		in, known := declared[name]
		switch text, isText := value.(string); {
		case !known:
			say(f, "job %s hands over %s, which %s does not take", id, name, file)
		case isText && strings.Contains(text, "${{"):
		case !fits(value, object(in)["type"]):
			say(f, "job %s hands over %s: %v, and %s takes a %v", id, name, value, file, object(in)["type"])
		}
	}
	f.needed(say, id, "input", declared, given, file)
	secrets := object(object(call)["secrets"])
	handed := object(job["secrets"])
	for name, value := range handed {
		if _, known := secrets[name]; !known {
			say(f, "job %s hands over the secret %s, which %s does not take", id, name, file)
		}
		if text, _ := value.(string); f.dashboard() && text != "${{ secrets."+name+" }}" {
			say(f, "job %s hands over the secret %s as %s, not as itself", id, name, text)
		}
	}
	f.needed(say, id, "secret", secrets, handed, file)
	f.permits(say, id, job, to)
}

func (f flow) needed(say sayer, id, what string, declared, given map[string]any, file string) {
	for name, d := range declared {
		if _, there := given[name]; object(d)["required"] == true && !there {
			say(f, "job %s does not hand over the %s %s, which %s needs", id, what, name, file)
		}
	}
}

// fits tells whether a literal is of the type declared.
func fits(value, kind any) bool {
	switch value.(type) {
	case bool:
		return kind == "boolean"
	case string:
		return kind == "string"
	}
	return kind == "number"
}

// permits compares what a calling job may with what the called one's jobs want: a
// called workflow can only have less, and more is for nobody.
func (f flow) permits(say sayer, id string, job map[string]any, to flow) {
	wanted := map[string]any{}
	for called, j := range to.jobs() {
		p, there := j["permissions"]
		if !there {
			say(to, "job %s does not say its permissions, so it takes its caller's", called)
		}
		for scope, level := range object(p) {
			if wanted[scope] != "write" {
				wanted[scope] = level
			}
		}
	}
	if has := object(job["permissions"]); !maps.Equal(has, wanted) {
		say(f, "job %s may %v, and the jobs of %s want %v", id, has, to.path, wanted)
	}
}

func TestWorkflowsKeepTheRules(t *testing.T) {
	s, _ := committed(t)
	for _, finding := range foundIn(flows(t), s.Core, s.Release) {
		t.Error(finding)
	}
}

// Roles of the accounts trust core's workflows by their files: one that is renamed
// here and not there can start nothing, and one that only the templates name is a
// door without a house.
func TestRolesTrustTheWorkflowsThereAre(t *testing.T) {
	s, _ := committed(t)
	trusted := map[string]bool{}
	for _, m := range regexp.MustCompile(`/(\.github/workflows/[A-Za-z0-9_.-]+)@`).FindAllStringSubmatch(string(templates.Bootstrap()), -1) {
		trusted[m[1]] = true
	}
	used := map[string]bool{}
	all := flows(t)
	secret := privileged(all, s.Core)
	for _, f := range all {
		if secret[f.path] && !f.dashboard() && f.takesRoles() {
			used[f.path] = true
		}
	}
	for _, file := range slices.Sorted(maps.Keys(used)) {
		if !trusted[file] {
			t.Errorf("no role trusts %s, whose jobs take roles", file)
		}
	}
	for _, file := range slices.Sorted(maps.Keys(trusted)) {
		if !used[file] {
			t.Errorf("a role trusts %s, no job of which dashboards start", file)
		}
	}
}

// takesRoles tells whether a job with steps of its own may ask for GitHub's token,
// which names this file.
func (f flow) takesRoles() bool {
	for _, job := range f.jobs() {
		if object(job["permissions"])["id-token"] == "write" && len(list(job["steps"])) > 0 {
			return true
		}
	}
	return false
}

// Only what is called with these hands over a secret, and no other is read.
func TestDashboardsReadTwoSecretsOnly(t *testing.T) {
	for _, f := range flows(t) {
		if !f.dashboard() {
			continue
		}
		for id, job := range f.jobs() {
			for name := range object(job["secrets"]) {
				if name != "SYNOPS_WEBHOOK" && (name != "GH_PAT" || path.Base(f.path) != "secret-put.yml") {
					t.Errorf("%s: job %s hands over %s", f.path, id, name)
				}
			}
		}
	}
}

// Whoever sets a repository up finds every variable and secret that workflows read.
func TestSettingsAreTold(t *testing.T) {
	setting := regexp.MustCompile(`\b(?:vars|secrets)\.([A-Za-z0-9_]+)`)
	read := map[string]bool{}
	for _, f := range flows(t) {
		for _, m := range setting.FindAllStringSubmatch(fmt.Sprint(f.doc), -1) {
			read[m[1]] = true
		}
	}
	if !read["CONTEXT"] || !read["GH_PAT"] {
		t.Fatalf("found %v only", read)
	}
	for _, page := range []string{"docs/setup-github.md", "dashboards/synapse-ops-dev/README.md", "dashboards/synapse-ops-prod/README.md"} {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(read)) {
			if !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("%s does not tell of %s", page, name)
			}
		}
	}
}

// TestWorkflowRulesFind breaks each rule once.
func TestWorkflowRulesFind(t *testing.T) {
	const target = "name: t\non: {workflow_call: {inputs: {environment: {type: string, required: true}, schedule: {type: boolean}}, secrets: {A: {required: true}, B: {required: false}}}}\n" +
		"permissions: {}\njobs:\n  go: {runs-on: x, timeout-minutes: 1, permissions: {id-token: write, contents: read}, env: {X: \"${{ inputs.environment }}${{ inputs.schedule }}${{ secrets.A }}${{ secrets.B }}\"}, steps: [{run: \"true\"}]}\n"
	caller := func(job string) string {
		return "on: {workflow_dispatch: {}}\npermissions: {}\njobs:\n  run:\n    permissions: {id-token: write, contents: read}\n    uses: o/core/.github/workflows/t.yml@v1\n" + job
	}
	const good = "    with: {environment: dev}\n    secrets: {A: \"${{ secrets.A }}\"}\n"
	steps := func(step string) string {
		return "on: {push: {}}\npermissions: {}\njobs: {x: {runs-on: x, timeout-minutes: 1, permissions: {}, steps: [" + step + "]}}\n"
	}
	const d = "dashboards/d/.github/workflows/c.yml"
	for _, c := range []struct{ name, path, text, says string }{
		{"nothing", d, caller(good), ""},
		{"a boolean", d, caller("    with: {environment: dev, schedule: true}\n    secrets: {A: \"${{ secrets.A }}\"}\n"), ""},
		{"an unknown input", d, caller("    with: {environment: dev, other: x}\n    secrets: {A: \"${{ secrets.A }}\"}\n"), "hands over other"},
		{"an input of another type", d, caller("    with: {environment: dev, schedule: \"true\"}\n    secrets: {A: \"${{ secrets.A }}\"}\n"), "takes a boolean"},
		{"a missing input", d, caller("    secrets: {A: \"${{ secrets.A }}\"}\n"), "does not hand over the input environment"},
		{"a missing secret", d, caller("    with: {environment: dev}\n"), "does not hand over the secret A"},
		{"an unknown secret", d, caller("    with: {environment: dev}\n    secrets: {A: \"${{ secrets.A }}\", C: \"${{ secrets.C }}\"}\n"), "the secret C, which"},
		{"a secret by another name", d, caller("    with: {environment: dev}\n    secrets: {A: \"${{ secrets.GH_PAT }}\"}\n"), "not as itself"},
		{"all secrets", d, caller("    with: {environment: dev}\n    secrets: inherit\n"), "hands all secrets on"},
		{"too few permissions", d, strings.Replace(caller(good), "contents: read", "contents: none", 1), "the jobs of .github/workflows/t.yml want"},
		{"too many permissions", d, strings.Replace(caller(good), "contents: read", "contents: read, actions: write", 1), "the jobs of .github/workflows/t.yml want"},
		{"permissions at the top", d, strings.Replace(caller(good), "permissions: {}", "permissions: {contents: read}", 1), "permissions at the top"},
		{"all permissions", d, strings.Replace(caller(good), "permissions: {}", "permissions: read-all", 1), "permissions at the top"},
		{"no permissions", d, strings.Replace(caller(good), "permissions: {}\n", "", 1), "permissions at the top"},
		{"another release", d, strings.Replace(caller(good), "@v1", "@main", 1), "the release is v1"},
		{"no such workflow", d, strings.Replace(caller(good), "/t.yml", "/u.yml", 1), "u.yml, which is not there"},
		{"concurrency", d, strings.Replace(caller(good), "permissions: {}\n", "permissions: {}\nconcurrency: x\n", 1), "concurrency group"},
		{"concurrency of a job", d, caller(good + "    concurrency: x\n"), "job run has a concurrency group"},
		{"somebody's action in a dashboard", d, steps("{uses: actions/checkout@08eba0b27e820071cde6df949e0beb9ba4906955}"), "where a role can be taken"},
		{"somebody's action, pinned", ".github/workflows/ci.yml", steps("{uses: actions/checkout@08eba0b27e820071cde6df949e0beb9ba4906955}"), ""},
		{"somebody's action by a tag", ".github/workflows/ci.yml", steps("{uses: actions/checkout@v5}"), "not pinned"},
		{"an action here", ".github/workflows/ci.yml", steps("{uses: ./.github/actions/x}"), ""},
		{"an input in a shell", ".github/workflows/ci.yml", steps(`{run: "echo ${{ inputs.x }}"}`), "an expression in run"},
		{"an input in a script", ".github/workflows/ci.yml", steps(`{uses: actions/github-script@08eba0b27e820071cde6df949e0beb9ba4906955, with: {script: "x(${{ github.event.issue.title }})"}}`), "an expression in a script"},
		{"pull_request_target", ".github/workflows/ci.yml", strings.Replace(steps(`{run: "true"}`), "push", "pull_request_target", 1), "pull_request_target"},
		{"no time limit", ".github/workflows/ci.yml", strings.Replace(steps(`{run: "true"}`), "timeout-minutes: 1, ", "", 1), "no timeout-minutes"},
		{"an action's shell", ".github/actions/x/action.yml", "runs: {using: composite, steps: [{run: \"echo ${{ inputs.x }}\", shell: bash}]}\n", "an expression in run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(foundIn([]flow{parseFlow(t, ".github/workflows/t.yml", target), parseFlow(t, c.path, c.text)}, "o/core", "v1"), "\n")
			if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
				t.Errorf("found %q, want %q", got, c.says)
			}
		})
	}
	t.Run("what a called workflow calls", func(t *testing.T) {
		for called, says := range map[string]string{
			"./.github/actions/x": "name it in full", "actions/checkout@08eba0b27e820071cde6df949e0beb9ba4906955": "where a role can be taken", "o/core/.github/actions/x@v0": "the release is v1",
		} {
			text := strings.Replace(target, `{run: "true"}`, "{uses: "+called+"}", 1)
			got := strings.Join(foundIn([]flow{parseFlow(t, ".github/workflows/t.yml", text), parseFlow(t, d, caller(good))}, "o/core", "v1"), "\n")
			if !strings.Contains(got, says) {
				t.Errorf("%s: found %q, want %q", called, got, says)
			}
		}
		tagged := strings.Replace(target, `{run: "true"}`, "{uses: o/core/.github/actions/x@v1, with: {tag: v0}}", 1)
		if got := strings.Join(foundIn([]flow{parseFlow(t, ".github/workflows/t.yml", tagged)}, "o/core", "v1"), "\n"); !strings.Contains(got, "a step fetches v0") {
			t.Errorf("another release's program: found %q", got)
		}
		action := parseFlow(t, ".github/actions/x/action.yml", "runs: {using: composite, steps: [{uses: actions/cache@08eba0b27e820071cde6df949e0beb9ba4906955}]}\n")
		text := strings.Replace(target, `{run: "true"}`, "{uses: o/core/.github/actions/x@v1}", 1)
		got := strings.Join(foundIn([]flow{parseFlow(t, ".github/workflows/t.yml", text), parseFlow(t, d, caller(good)), action}, "o/core", "v1"), "\n")
		if !strings.Contains(got, ".github/actions/x/action.yml: job runs, step 1 calls actions/cache") {
			t.Errorf("an action called by a called workflow: found %q", got)
		}
	})
	t.Run("what is declared and not read", func(t *testing.T) {
		for _, name := range []string{"inputs.schedule", "secrets.B"} {
			text := strings.Replace(target, "${{ "+name+" }}", "", 1)
			if got := foundIn([]flow{parseFlow(t, ".github/workflows/t.yml", text)}, "o/core", "v1"); len(got) != 1 || !strings.Contains(got[0], "declares "+name+" and reads it nowhere") {
				t.Errorf("found %q", got)
			}
		}
		action := parseFlow(t, ".github/actions/x/action.yml", "inputs: {tag: {required: true}}\nruns: {using: composite, steps: [{run: \"true\", env: {T: \"${{ inputs.tags }}\"}}]}\n")
		if got := foundIn([]flow{action}, "o/core", "v1"); len(got) != 1 || !strings.Contains(got[0], "declares inputs.tag and reads it nowhere") {
			t.Errorf("found %q", got)
		}
	})
	t.Run("a job that does not say its permissions", func(t *testing.T) {
		text := strings.Replace(target, "permissions: {id-token: write, contents: read}, ", "", 1)
		got := strings.Join(foundIn([]flow{parseFlow(t, ".github/workflows/t.yml", text), parseFlow(t, d, caller(good))}, "o/core", "v1"), "\n")
		if !strings.Contains(got, "does not say its permissions") {
			t.Errorf("found %q", got)
		}
	})
}
