package tasks_test

import (
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

func TestReenableUser(t *testing.T) {
	r := newRig(t, "reenable-user", inputs{"users": "3350398"})
	e := r.one()
	if e.Before != nil || e.BeforeAbsent == "" || e.Nothing {
		t.Errorf("the effect is %+v, but nothing can be read before", e)
	}
	equal(t, "settling", e.Settle, ops.SettleResend)
	done := r.done(e)
	u, _ := r.sandbox.User("3350398")
	equal(t, "disabled", u.Disabled, false)
	contains(t, "undo", r.undo(done), "cannot be undone: ")
	if _, err := r.perform(e); err != nil {
		t.Errorf("performing again: %v", err)
	}
}

func TestDecertifyUser(t *testing.T) {
	r := newRig(t, "decertify-user", inputs{"users": "3350396,3350397"})
	effects := r.mustPlan()
	equal(t, "summary", effects[0].Summary, "certified: true → false")
	equal(t, "nothing to do for one not certified", effects[1].Nothing, true)
	contains(t, "notes", strings.Join(r.p.Notes(r.v, effects), "\n"), "passed quiz", "revokeCertification")
	done := r.done(effects[0])
	u, _ := r.sandbox.User("3350396")
	equal(t, "certified", u.Certified, false)
	contains(t, "undo", r.undo(done), "cannot be undone: ", "isCertified=true")
	_, settled, err := r.p.Settle(t.Context(), r.v, effects[0])
	if !settled || err != nil {
		t.Errorf("settled is %t (%v), want true", settled, err)
	}
}

func TestRemoveUser2FA(t *testing.T) {
	r := newRig(t, "remove-user-2fa", inputs{"users": "3350396,3350397"})
	effects := r.mustPlan()
	equal(t, "summary", effects[0].Summary, "twoFactorAuthEnabled: true → false")
	equal(t, "nothing to do where it is off", effects[1].Nothing, true)
	equal(t, "challenge of two", r.p.Challenge(r.v, effects, 2), "2 users")
	equal(t, "challenge of one", r.p.Challenge(r.v, effects[:1], 1), "jdoe")
	if _, settled, err := r.p.Settle(t.Context(), r.v, effects[0]); settled || err != nil {
		t.Errorf("before: settled is %t (%v), want false", settled, err)
	}
	done := r.done(effects[0])
	u, _ := r.sandbox.User("3350396")
	equal(t, "second factor", u.TwoFactor, false)
	contains(t, "undo", r.undo(done), "cannot be undone: ")
}

func TestUnquarantineEmail(t *testing.T) {
	r := newRig(t, "unquarantine-email", inputs{"emails": "bounce@example.org, fine@example.org"})
	effects := r.mustPlan()
	equal(t, "ID", effects[1].ID, "email/2")
	equal(t, "label", effects[0].Label, "b***@example.org")
	equal(t, "before is absent with a reason", effects[0].BeforeAbsent != "", true)
	if !r.task.Input("emails").Personal {
		t.Error("the addresses are not marked as personal")
	}
	done := r.done(effects[0])
	now, _ := r.sandbox.Quarantined("bounce@example.org")
	equal(t, "quarantined", now, false)
	contains(t, "undo", r.undo(done), "cannot be undone: ")

	_, err := r.perform(effects[1])
	refusal := wantRefusal(t, err)
	equal(t, "code", refusal.Code, ops.NotFound)
	contains(t, "reason", refusal.Reason, "f***@example.org", "email/2", "never quarantined")
	if strings.Contains(err.Error(), "fine@") {
		t.Errorf("the error shows the address: %v", err)
	}
}
