package tasks_test

import (
	"encoding/json"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

func TestRemoveUser(t *testing.T) {
	r := newRig(t, "remove-user", inputs{"users": "3350396"})
	e := r.one()
	equal(t, "user name", e.Before["userName"], any("jdoe"))
	equal(t, "redacted before", e.Before["redacted"], any(false))
	equal(t, "redacted after", e.After["redacted"], any(true))
	equal(t, "user name after", e.After["userName"], any("3350396"))
	equal(t, "settling", e.Settle, ops.SettleResend)
	equal(t, "challenge", r.p.Challenge(r.v, []ops.Effect{e}, 1), "jdoe")
	equal(t, "user name as masked", e.Before.Masked(r.task.Personal, nil)["userName"], any("[personal]"))

	var bundle synapse.UserBundle
	if err := json.Unmarshal(e.Private, &bundle); err != nil {
		t.Fatalf("the private before-image: %v", err)
	}
	contains(t, "private before-image", string(e.Private), "jane.doe@example.org", "0000-0002-1825-0097", "verificationSubmission", "accounts.example.org")

	done := r.done(e)
	u, _ := r.sandbox.User("3350396")
	equal(t, "redacted", u.Redacted, true)
	contains(t, "undo", r.undo(done), "cannot be undone: ")
	again := r.one()
	equal(t, "nothing to do the second time", again.Nothing, true)
	equal(t, "challenge the second time", r.p.Challenge(r.v, []ops.Effect{again}, 1), "")
	equal(t, "private image the second time", len(again.Private), 0)

	// Resending is how an open intent is settled: it must do no harm.
	if _, err := r.perform(e); err != nil {
		t.Errorf("performing again: %v", err)
	}
}

func TestRemoveUsersIsConfirmedByCount(t *testing.T) {
	r := newRig(t, "remove-user", inputs{"users": "3350396,3350397,3350400"})
	effects := r.mustPlan()
	equal(t, "challenge", r.p.Challenge(r.v, effects, 3), "3 users")
	// Of a long list only the first are read.
	equal(t, "challenge of a summary plan", r.p.Challenge(r.v, effects, 312), "312 users")
	equal(t, "challenge of a summary plan of one read", r.p.Challenge(r.v, effects[:1], 312), "312 users")
	notes := strings.Join(r.p.Notes(r.v, effects), "\n")
	contains(t, "notes", notes, "1 of 3 users", "Access and Compliance Team")
}

// Whatever ends up in documents holds no personal data.
func TestRemoveUserHidesPeople(t *testing.T) {
	r := newRig(t, "remove-user", inputs{"users": "3350396"})
	e := r.one()
	e.Before, e.After = e.Before.Masked(r.task.Personal, nil), e.After.Masked(r.task.Personal, nil)
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"jdoe", "Jane", "Doe", "example.org", "Seattle"} {
		if strings.Contains(string(b), word) {
			t.Errorf("the masked effect holds %q: %s", word, b)
		}
	}
}

// An account without any address is not taken for a redacted one.
func TestRemoveUserWithoutAddresses(t *testing.T) {
	r := newRig(t, "remove-user", inputs{"users": "3350397"})
	u, _ := r.sandbox.User("3350397")
	u.Emails = nil
	r.sandbox.SetUser(u)
	equal(t, "redacted", r.one().Before["redacted"], any(false))
}
