package tasks_test

import (
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

func TestSetStackStatus(t *testing.T) {
	r := newRig(t, "set-stack-status", inputs{"status": "DOWN", "message": "Back at 18:00 UTC."})
	before := r.sandbox.StackStatus()
	before.PendingMaintenanceMessage = "Maintenance on Sunday."
	r.sandbox.SetStackStatus(before)
	e := r.one()
	contains(t, "summary", e.Summary, "status: READ_WRITE → DOWN", `→ "Back at 18:00 UTC."`)
	equal(t, "challenge", r.p.Challenge(r.v, []ops.Effect{e}, 1), "DOWN")
	contains(t, "note", r.p.Notes(r.v, []ops.Effect{e})[0], "503")

	// Set between plan and run: it must be kept as well as an older one.
	before.PendingMaintenanceMessage = "Maintenance on Monday."
	r.sandbox.SetStackStatus(before)
	done := r.done(e)
	equal(t, "stack status", r.sandbox.StackStatus(), synapse.StackStatus{
		Status: "DOWN", CurrentMessage: "Back at 18:00 UTC.", PendingMaintenanceMessage: "Maintenance on Monday.",
	})
	equal(t, "undo", r.undo(done), "synops run set-stack-status status=READ_WRITE 'message=Services are available for both read and write.' -e dev")
	equal(t, "nothing to do the second time", r.one().Nothing, true)
	d, settled, err := r.p.Settle(t.Context(), r.v, e)
	if !settled || err != nil || d.After["status"] != "DOWN" {
		t.Errorf("settling gave %+v, %t and %v, want it done", d, settled, err)
	}
}

func TestSetStackStatusMessagesAndChallenges(t *testing.T) {
	cases := []struct{ from, to, message, challenge string }{
		{synapse.ReadWrite, synapse.ReadOnly, "Only read services are available during migration.", synapse.ReadOnly},
		{synapse.ReadWrite, synapse.Down, "Synapse is down for maintenance.", synapse.Down},
		{synapse.ReadOnly, synapse.ReadWrite, "Services are available for both read and write.", ""},
		{synapse.Down, synapse.ReadOnly, "Only read services are available during migration.", ""},
		{synapse.ReadWrite, synapse.ReadWrite, "Services are available for both read and write.", ""},
	}
	for _, c := range cases {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			r := newRig(t, "set-stack-status", inputs{"status": c.to})
			r.sandbox.SetStackStatus(synapse.StackStatus{Status: c.from})
			e := r.one()
			equal(t, "challenge", r.p.Challenge(r.v, []ops.Effect{e}, 1), c.challenge)
			done := r.done(e)
			equal(t, "message", r.sandbox.StackStatus().CurrentMessage, c.message)
			equal(t, "undo", r.undo(done), "synops run set-stack-status status="+c.from+" -e dev")
		})
	}
}

// There is no etag: what somebody else set since the plan must not be undone.
func TestSetStackStatusFindsAnotherState(t *testing.T) {
	r := newRig(t, "set-stack-status", inputs{"status": "READ_ONLY"})
	e := r.one()
	r.sandbox.SetStackStatus(synapse.StackStatus{Status: synapse.Down, CurrentMessage: "Fire."})
	_, err := r.perform(e)
	refusal := wantRefusal(t, err)
	equal(t, "code", refusal.Code, ops.Conflict)
	contains(t, "reason", refusal.Reason, "status was READ_WRITE and is DOWN", `and is "Fire."`)
	equal(t, "writes", r.writes(), 0)
}

// Set as wanted by somebody else, or by our own write whose answer was lost.
func TestSetStackStatusFindsItAsWanted(t *testing.T) {
	r := newRig(t, "set-stack-status", inputs{"status": "READ_ONLY"})
	e := r.one()
	r.done(e)
	if _, err := r.perform(e); err != nil {
		t.Errorf("performing again: %v", err)
	}
	equal(t, "writes", r.writes(), 1)
}

func TestSetStackStatusStopsWhenItCannotRead(t *testing.T) {
	r := newRig(t, "set-stack-status", inputs{"status": "READ_ONLY"})
	e := r.one()
	r.sandbox.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.BadToken, Path: "/repo/v1/status"}}})
	_, err := r.perform(e)
	contains(t, "error", err.Error(), "reading the stack's status: ")
	equal(t, "writes", r.writes(), 0)
}
