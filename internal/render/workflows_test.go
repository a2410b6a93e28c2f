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

	templates "github.com/Sage-Bionetworks/synapse-ops-core/deploy"
)

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
