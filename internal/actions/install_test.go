package actions_test

import (
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// gh stands for GitHub's: one release, in the folder it is told, and what is attested
// of it.
const gh = `#!/usr/bin/env bash
case "$1 $2" in
"release download") [ "$3" = v1.2.3 ] && cp "$RELEASE"/* . ;;
"attestation verify") [[ "$*" == *"--bundle attestations.jsonl --signer-workflow Sage-Bionetworks/synapse-ops-core/.github/workflows/release.yml --source-ref refs/tags/v1.2.3" ]] && grep -q attested attestations.jsonl ;;
*) exit 1 ;;
esac
`

// TestInstall: the action takes a release's program only with its checksum and its
// attestation; anything else ends the job, and nothing is on the PATH.
func TestInstall(t *testing.T) {
	const program = "#!/bin/sh\necho v1.2.3\n"
	name := "synops-linux-" + runtime.GOARCH
	good := fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(program)), name)
	for _, c := range []struct{ title, tag, sums, attested, says string }{
		{"as released", "v1.2.3", good, "attested", ""},
		{"another program", "v1.2.3", strings.Repeat("0", 64) + "  " + name + "\n", "attested", "checksum"},
		{"no checksum", "v1.2.3", strings.Repeat("0", 64) + "  other\n", "attested", "0 times"},
		{"two checksums", "v1.2.3", good + good, "attested", "2 times"},
		{"not attested", "v1.2.3", good, "", "Nothing attests"},
		{"no such release", "v1.2.4", good, "attested", "cannot be downloaded"},
		{"no tag", "main", good, "attested", "not a release's"},
	} {
		t.Run(c.title, func(t *testing.T) {
			dir := t.TempDir()
			release, tools, path := filepath.Join(dir, "release"), filepath.Join(dir, "tools"), filepath.Join(dir, "path")
			for file, text := range map[string]string{filepath.Join(release, name): program, filepath.Join(release, "checksums.txt"): c.sums, filepath.Join(release, "attestations.jsonl"): c.attested, filepath.Join(tools, "gh"): gh, path: ""} {
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o700); err != nil { //nolint:gosec // it is run
					t.Fatal(err)
				}
			}
			cmd := exec.Command("bash", "../../.github/actions/synops/install.sh")
			cmd.Env = []string{"PATH=" + tools + ":" + os.Getenv("PATH"), "RELEASE=" + release, "SYNOPS_TAG=" + c.tag, "RUNNER_TEMP=" + dir, "GITHUB_PATH=" + path}
			out, err := cmd.CombinedOutput()
			added, _ := os.ReadFile(path)
			if c.says == "" {
				if err != nil || len(added) == 0 || !strings.Contains(string(out), "v1.2.3") {
					t.Errorf("%v, %q, %s", err, added, out)
				}
				return
			}
			if err == nil || len(added) > 0 || !strings.Contains(string(out), "::error") || !strings.Contains(string(out), c.says) {
				t.Errorf("%v, %q, wants %q: %s", err, added, c.says, out)
			}
		})
	}
}

// TestInstall_TakesWhatIsReleased: the programs that the action asks a release for are
// those that GoReleaser is told to make, by its names, and no other.
func TestInstall_TakesWhatIsReleased(t *testing.T) {
	release, err := os.ReadFile("../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("../../.github/actions/synops/install.sh")
	if err != nil {
		t.Fatal(err)
	}
	list := func(key string) []string {
		m := regexp.MustCompile(`(?m)^  ` + key + `: \[(.*)\]$`).FindSubmatch(release)
		if m == nil {
			t.Fatalf("no %s in .goreleaser.yaml", key)
		}
		return strings.Split(string(m[1]), ", ")
	}
	for _, line := range []string{"- formats: [binary]\n  name_template: \"synops-{{ .Os }}-{{ .Arch }}\"", "name_template: checksums.txt\n  algorithm: sha256"} {
		if !strings.Contains(string(release), line) {
			t.Errorf("the release names its files otherwise than %q", line)
		}
	}
	var made, taken []string
	for _, system := range list("goos") {
		for _, architecture := range list("goarch") {
			made = append(made, system+"-"+architecture)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^  "[A-Z].*"\) own=(\S+) ;;$`).FindAllSubmatch(script, -1) {
		taken = append(taken, string(m[1]))
	}
	slices.Sort(made)
	slices.Sort(taken)
	if len(made) != 4 || !slices.Equal(made, taken) {
		t.Errorf("released for %v, taken for %v", made, taken)
	}
}

// sourceProgram is quickly built for any machine.
const sourceProgram = "package main\n\nfunc main() { println(\"built\") }\n"

// TestInstall_FromSource: where a setting says that there are no releases, the tag is
// cloned and built, for the runner and for builds, and tells that tag as its version.
// A tag that is not there ends the job, and no release is asked for in its place.
func TestInstall_FromSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := filepath.Join(dir, "server", "Sage-Bionetworks", "synapse-ops-core")
	for name, text := range map[string]string{"go.mod": "module github.com/Sage-Bionetworks/synapse-ops-core\n\ngo 1.26\n", "cmd/synops/main.go": sourceProgram} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(source, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(source, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plain := append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GOWORK=off", "GOTOOLCHAIN=local")
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "a release"}, {"tag", "v1.2.3"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env = source, plain
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	path, vars := filepath.Join(dir, "path"), filepath.Join(dir, "vars")
	install := func(tag string) (string, error) {
		cmd := exec.Command("bash", "../../.github/actions/synops/install.sh")
		cmd.Env = append(plain, "SYNOPS_FROM_SOURCE=true", "SYNOPS_BUNDLE=true", "SYNOPS_TAG="+tag, "RUNNER_TEMP="+dir, "GITHUB_SERVER_URL=file://"+filepath.Join(dir, "server"), "GITHUB_PATH="+path, "GITHUB_ENV="+vars)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := install("v1.2.4"); err == nil || !strings.Contains(out, "::error title=synops v1.2.4::The tag cannot be cloned.") {
		t.Errorf("a tag that is not there: %v\n%s", err, out)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("something is on the PATH although it failed")
	}
	out, err := install("v1.2.3")
	if err != nil || !strings.HasSuffix(out, "built\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	added, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(strings.TrimSpace(string(added)), "synops")); err != nil {
		t.Error(err)
	}
	set, err := os.ReadFile(vars)
	if err != nil {
		t.Fatal(err)
	}
	folder, _ := strings.CutPrefix(strings.TrimSpace(string(set)), "SYNOPS_BINARIES=")
	for _, machine := range []string{"arm64", "amd64"} {
		info, err := buildinfo.ReadFile(filepath.Join(folder, "synops-linux-"+machine))
		if err != nil || info.Main.Version != "v1.2.3" || !slices.Contains(info.Settings, debug.BuildSetting{Key: "GOARCH", Value: machine}) {
			t.Errorf("the program for %s: %v, %+v", machine, err, info)
		}
	}
}
