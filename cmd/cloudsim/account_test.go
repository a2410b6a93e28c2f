package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
)

// acted tells a story with a script for synops, and returns the commands that were
// given.
func acted(t *testing.T, tell func(context.Context, *rehearsal.Story) error, script string) (string, error) {
	t.Helper()
	s, err := rehearsal.Open(t.Context(), rehearsal.Config{Dir: t.TempDir(), Getenv: os.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Synops = filepath.Join(s.Dir, "synops")
	text := "#!/bin/sh\necho \"$CONTEXT $GITHUB_REPOSITORY: $*\" >>given\ncat >/dev/null\n" + script
	if err := os.WriteFile(s.Synops, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	told := tell(t.Context(), rehearsal.Tell(s, io.Discard))
	given, err := os.ReadFile(filepath.Join(s.Dir, "given"))
	if err != nil {
		t.Fatal(err)
	}
	return string(given), told
}

// asTold is a synops that does what the story has it do: nothing changes in a
// deployment that nobody was asked about, and dev gets nowhere in prod.
const asTold = `
case "$GITHUB_REPOSITORY$ROLE_TO_ASSUME" in *-dev*222222222222*) exit 3;; esac
lied=$(grep -c 'synapse-ops-prod: deploy -e prod --yes' given)
case "$*" in deploy*--yes) [ "$lied" -lt 2 ] || { echo AccessDenied >&2; exit 1; };; deploy*) for i in 1 2 3 4; do echo "lane: no change"; done;; esac
`

func TestRehearseAccount(t *testing.T) {
	given, err := acted(t, rehearseAccount, asTold)
	if err != nil {
		t.Fatalf("%v after\n%s", err, given)
	}
	for _, want := range []string{
		" : bootstrap -e dev --yes", " : secret put /synapse/admin-pat -e prod", "dev Sage-Bionetworks/synapse-ops-dev: deploy -e dev --yes",
		"prod Sage-Bionetworks/synapse-ops-prod: deploy -e prod", "prod Sage-Bionetworks/synapse-ops-dev: deploy -e prod --yes",
		"dev Sage-Bionetworks/synapse-ops-dev: doctor -e dev", "prod Sage-Bionetworks/synapse-ops-prod: doctor -e prod",
	} {
		if !strings.Contains(given, want+"\n") {
			t.Errorf("nobody gave %q:\n%s", want, given)
		}
	}
}

// TestRehearseAccount_Otherwise: a story that does not go as told fails, whatever it
// is that went otherwise.
func TestRehearseAccount_Otherwise(t *testing.T) {
	for name, script := range map[string]string{
		"the bootstrap fails":          `case "$1" in bootstrap) exit 1;; esac` + asTold,
		"a secret is not taken":        `case "$1" in secret) exit 3;; esac` + asTold,
		"the second deployment writes": strings.Replace(asTold, "1 2 3 4", "1 2 3", 1),
		"prod lets dev in":             strings.Replace(asTold, "exit 3", "exit 0", 1),
		"prod fails for dev otherwise": strings.Replace(asTold, "AccessDenied", "Throttled", 1),
		"the doctor finds something":   `case "$*" in "doctor -e prod") exit 1;; esac` + asTold,
	} {
		if given, err := acted(t, rehearseAccount, script); err == nil {
			t.Errorf("%s: the story ended well after\n%s", name, given)
		}
	}
}

// TestRehearse_Fails: what cannot be built is exit code 1, told.
func TestRehearse_Fails(t *testing.T) {
	t.Chdir(t.TempDir())
	err := process{[]string{"rehearse", "account"}, io.Discard, io.Discard, os.Getenv}.run(t.Context())
	if exitCode(err) != 1 || !strings.Contains(err.Error(), "no checkout") {
		t.Errorf("ended with %v", err)
	}
}
