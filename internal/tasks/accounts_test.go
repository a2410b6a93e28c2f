package tasks_test

import (
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var aboutUsers = []ops.TaskName{"remove-user", "reenable-user", "decertify-user", "remove-user-2fa"}

func TestUserTasksRefuse(t *testing.T) {
	type row struct {
		name, users, guard, word string
		code                     ops.Code
	}
	cases := []row{
		{"the token's own user", "273960", "own-user", "user/273960", ops.Denied},
		{"the own user later in the list", "3350396,273960", "own-user", "user/273960", ops.Denied},
		{"an unknown user", "999", "user-exists", "there is no user/999", ops.NotFound},
		{"a team", "3360001", "user-exists", "user/3360001 is a group or a team", ops.Invalid},
	}
	for id, who := range synapse.WellKnown {
		cases = append(cases, row{"well-known " + id, "3350396," + id, "well-known-principal", who, ops.Denied})
	}
	for _, name := range aboutUsers {
		for _, c := range cases {
			t.Run(string(name)+"/"+c.name, func(t *testing.T) {
				r := newRig(t, name, inputs{"users": c.users})
				refusal := r.refusedPlan()
				equal(t, "guard", refusal.Guard, c.guard)
				equal(t, "code", ops.CodeOf(refusal), c.code)
				contains(t, "reason", refusal.Reason, c.word)
			})
		}
	}
}

// The own user is found in the whole list at the first target: a list too long to
// plan in full must not be refused halfway.
func TestOwnUserIsFoundAtTheFirstTarget(t *testing.T) {
	r := newRig(t, "decertify-user", inputs{"users": "3350396,3350397,273960"})
	_, err := r.p.Plan(t.Context(), r.v, r.p.Targets(r.v)[0])
	equal(t, "guard", wantRefusal(t, err).Guard, "own-user")
	_, err = r.p.Plan(t.Context(), r.v, r.p.Targets(r.v)[2])
	equal(t, "guard at its own turn", wantRefusal(t, err).Guard, "own-user")
}

// The token's own user is asked for once, not once a target.
func TestOwnUserIsReadOnce(t *testing.T) {
	r := newRig(t, "reenable-user", inputs{"users": "3350396,3350397,3350398"})
	r.mustPlan()
	equal(t, "reads of the own profile", r.sandbox.Counts()["GET /repo/v1/userProfile"], int64(1))
	equal(t, "calls", len(r.paths()), 4)
}

// A read that fails stops the plan; it is no refusal, for nothing is known.
func TestUserTasksStopWhenAReadFails(t *testing.T) {
	for _, name := range aboutUsers {
		for _, path := range []string{"/userProfile", "/bundle"} {
			t.Run(string(name)+path, func(t *testing.T) {
				r := newRig(t, name, inputs{"users": "3350396"})
				r.sandbox.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.BadToken, Path: path}}})
				_, err := r.plan()
				equal(t, "code", ops.CodeOf(err), ops.Denied)
				if ops.Refused(err) != nil {
					t.Errorf("a failed read was told as the refusal %v", err)
				}
				contains(t, "error", err.Error(), "reading ")
			})
		}
	}
}

// A release without the call answers 404; the person must not look for the user.
func TestOldBackendIsNamed(t *testing.T) {
	for _, name := range []ops.TaskName{"reenable-user", "remove-user-2fa"} {
		r := newRig(t, name, inputs{"users": "3350396"})
		e := r.one()
		r.sandbox.SetFaults(sandbox.Faults{OldBackend: true})
		_, err := r.perform(e)
		equal(t, "code", ops.CodeOf(err), ops.NotFound)
		contains(t, "error", err.Error(), "user/3350396, which exists", "release")
	}
}
