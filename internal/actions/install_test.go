package actions_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
