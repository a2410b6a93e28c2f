package tasks_test

import (
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

var newRealm = inputs{"name": "beta", "identity-provider": "NIH_RESEARCHER_AUTH_SERVICE"}

func TestCreateRealm(t *testing.T) {
	r := newRig(t, "create-realm", newRealm)
	e := r.one()
	equal(t, "ID", e.ID, "realm/beta")
	equal(t, "before", e.Before["exists"], any(false))
	equal(t, "settling", e.Settle, ops.SettleRead)
	done := r.done(e)
	equal(t, "undo", r.undo(done), "synops run delete-realm realms=14 -e dev")
	equal(t, "nothing to do the second time", r.one().Nothing, true)
	equal(t, "realms", len(r.sandbox.Realms()), 4)
}

func TestCreateRealmRefuses(t *testing.T) {
	cases := []struct{ name, realm, provider, guard, word string }{
		{"a taken name", "acme", "NIH_RESEARCHER_AUTH_SERVICE", "realm-name-free", "realm/12"},
		{"a taken name in other letters", "ACME", "NIH_RESEARCHER_AUTH_SERVICE", "realm-name-free", "ARCUS_BIOSCIENCES"},
		{"a taken provider", "beta", "SAGE_BIONETWORKS", "identity-provider-free", "realm/13"},
		{"a provider of the default realm", "beta", "ORCID", "identity-provider-free", "realm/1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			refusal := newRig(t, "create-realm", inputs{"name": c.realm, "identity-provider": c.provider}).refusedPlan()
			equal(t, "guard", refusal.Guard, c.guard)
			equal(t, "code", refusal.Code, ops.Conflict)
			contains(t, "reason", refusal.Reason, c.word)
		})
	}
}

func TestCreateRealmInputs(t *testing.T) {
	task, _ := parsed(t, "create-realm", newRealm)
	for _, name := range []string{"ab", "with space", "é-realm", strings.Repeat("a", 65)} {
		if _, err := task.Parse(inputs{"name": name, "identity-provider": "ORCID"}); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
	if _, err := task.Parse(inputs{"name": "beta", "identity-provider": "SYNAPSE"}); err == nil {
		t.Error("the provider SYNAPSE was accepted")
	}
}

// A lost answer is settled by looking, never by sending again.
func TestCreateRealmLostAnswer(t *testing.T) {
	for kind, happened := range map[sandbox.FaultKind]bool{sandbox.DropAfter: true, sandbox.DropBefore: false} {
		t.Run(string(kind), func(t *testing.T) {
			r := newRig(t, "create-realm", newRealm)
			e := r.one()
			r.sandbox.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: kind, Method: "POST"}}})
			_, err := r.perform(e)
			equal(t, "code", ops.CodeOf(err), ops.Unsettled)
			d, settled, err := r.p.Settle(t.Context(), r.v, e)
			if err != nil || settled != happened {
				t.Errorf("settled is %t (%v), want %t", settled, err, happened)
			}
			if happened {
				equal(t, "ID after", d.After["id"], any("14"))
			}
			equal(t, "writes", r.writes(), 1)
		})
	}
}

func TestVerifyOfCreateRealm(t *testing.T) {
	r := newRig(t, "create-realm", newRealm)
	_, err := r.p.Verify(t.Context(), r.v, r.one())
	contains(t, "reason", wantRefusal(t, err).Reason, "exists is false, not true")
}

// Without the ID that the service gave, undo says so instead of guessing.
func TestCreateRealmUndoWithoutID(t *testing.T) {
	r := newRig(t, "create-realm", newRealm)
	contains(t, "undo", r.undo(r.one()), "cannot be undone: ", `"beta"`, "delete-realm")
}

func TestDeleteRealm(t *testing.T) {
	r := newRig(t, "delete-realm", inputs{"realms": "12"})
	e := r.one()
	equal(t, "summary", e.Summary, "deletes realm acme with ARCUS_BIOSCIENCES")
	equal(t, "challenge", r.p.Challenge(r.v, []ops.Effect{e}, 1), "acme")
	equal(t, "challenge of many", r.p.Challenge(r.v, []ops.Effect{e, e}, 2), "2 realms")
	if _, settled, err := r.p.Settle(t.Context(), r.v, e); settled || err != nil {
		t.Errorf("before: settled is %t (%v), want false", settled, err)
	}
	done := r.done(e)
	equal(t, "realms", len(r.sandbox.Realms()), 2)
	contains(t, "undo", r.undo(done), "cannot be undone: ", "create-realm")
	if _, settled, err := r.p.Settle(t.Context(), r.v, e); !settled || err != nil {
		t.Errorf("after: settled is %t (%v), want true", settled, err)
	}
}

func TestDeleteRealmRefuses(t *testing.T) {
	for realm, guard := range map[string]string{"1": "default-realm", "99": "realm-exists"} {
		equal(t, "guard for realm "+realm, newRig(t, "delete-realm", inputs{"realms": realm}).refusedPlan().Guard, guard)
	}
}

// The service fails on a realm with users in a way that leaves open what
// happened: reading tells that nothing did.
func TestDeleteRealmWithUsers(t *testing.T) {
	r := newRig(t, "delete-realm", inputs{"realms": "13"})
	e := r.one()
	_, err := r.perform(e)
	equal(t, "code", ops.CodeOf(err), ops.Unsettled)
	if _, settled, err := r.p.Settle(t.Context(), r.v, e); settled || err != nil {
		t.Errorf("settled is %t (%v), want false", settled, err)
	}
	_, err = r.p.Verify(t.Context(), r.v, e)
	wantRefusal(t, err)
}

// A 404 to the deletion does not mean that the realm is gone.
func TestDeleteRealmOfAnOldBackend(t *testing.T) {
	r := newRig(t, "delete-realm", inputs{"realms": "12"})
	e := r.one()
	absent := &missingDelete{Service: r.service}
	r.p = bind(t, "delete-realm", absent)
	_, err := r.perform(e)
	equal(t, "code", ops.CodeOf(err), ops.NotFound)
	contains(t, "error", err.Error(), "realm/12, which exists")

	r.p = bind(t, "delete-realm", r.service)
	r.done(e)
	r.p = bind(t, "delete-realm", absent)
	d, err := r.perform(e)
	if err != nil || d.Outcome != ops.EffectUnchanged {
		t.Errorf("deleting what is gone gave %+v and %v, want it unchanged", d, err)
	}
}
