package tasks_test

import (
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

func TestExportIDs(t *testing.T) {
	r := newRig(t, "export-ids", inputs{})
	e := r.one()
	equal(t, "calls of a plan", len(r.paths()), 0)
	d, err := r.perform(e)
	if err != nil {
		t.Fatal(err)
	}
	script := r.artifacts["ids.sql"]
	// Real line ends: a SQL client must take it as it is.
	if !strings.HasPrefix(script, "# ACCESS_APPROVAL_ID\nCREATE TABLE") || strings.Contains(script, `\n`) {
		t.Errorf("ids.sql begins %.80q", script)
	}
	contains(t, "message", d.Message, "ids.sql", "file:///run/artifacts/ids.sql")
	equal(t, "bytes", d.After["bytes"], any(len(script)))
	contains(t, "undo", r.undo(e), "nothing to undo: ")
}

func TestExportIDsNeedsAnAdministrator(t *testing.T) {
	r := newRig(t, "export-ids", inputs{})
	r.sandbox.AddToken(sandbox.AdminToken, "3350396")
	_, err := r.perform(r.one())
	equal(t, "code", ops.CodeOf(err), ops.Denied)
	equal(t, "artifacts", len(r.artifacts), 0)
}

func TestBackfillGridSessions(t *testing.T) {
	r := newRig(t, "backfill-grid-sessions", inputs{})
	e := r.one()
	d, err := r.perform(e)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "sessions", d.After["sessions"], any(int64(42)))
	contains(t, "message", d.Message, "42 grid sessions")
	equal(t, "backfills", r.sandbox.Backfills(), 1)
	contains(t, "undo", r.undo(e), "cannot be undone: ")
}
