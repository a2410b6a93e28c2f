package render_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
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
