package main

import (
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// TestRehearseRuns_Otherwise: the story of runs fails where synops does otherwise
// than told, and where it only says that it did.
func TestRehearseRuns_Otherwise(t *testing.T) {
	const plan = `case "$ROLE_TO_ASSUME $1" in *observe\ plan) echo sha256:$(printf %064d 7);; *observe\ run) exit 1;; esac`
	for name, c := range map[string]struct{ script, says string }{
		"an account is not stood up":     {`case "$1" in deploy) echo why; exit 1;; esac`, "standing up: synops deploy plan admin -e dev --yes ended with exit code 1"},
		"the plan has no digest":         {`:`, "the plan names no digest"},
		"the job that plans may perform": {strings.ReplaceAll(plan, "exit 1", "exit 0"), "ended with exit code 0, not 1"},
		"the user is there as before":    {plan, "still knows the user"},
		"the approved plan is not taken": {plan + `; case "$*" in *--plan*) exit 3;; esac`, "ended with exit code 3, not 0"},
	} {
		given, err := acted(t, rehearseRuns, c.script)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: ended with %v after\n%s", name, err, given)
		}
	}
}

func TestTwice(t *testing.T) {
	put := func(path string, status int) sandbox.Call {
		return sandbox.Call{Method: "PUT", Path: path, Status: status}
	}
	for want, calls := range map[string][]sandbox.Call{
		"PUT /a": {put("/a", 200), put("/b", 200), put("/a", 200)},
		"":       {put("/a", 200), put("/b", 200), put("/c", 412), put("/c", 200), put("/d", 0), put("/d", 200), {Method: "GET", Path: "/a", Status: 200}, {Method: "GET", Path: "/a", Status: 200}},
	} {
		if got := twice(calls); got != want {
			t.Errorf("twice is %q, want %q", got, want)
		}
	}
}
