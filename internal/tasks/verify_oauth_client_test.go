package tasks_test

import (
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/google/go-cmp/cmp"
)

func TestVerifyOAuthClient(t *testing.T) {
	r := newRig(t, "verify-oauth-client", inputs{"client-ids": "100001 100002"})
	effects := r.mustPlan()
	equal(t, "ID", effects[0].ID, "oauth-client/100001")
	equal(t, "summary", effects[0].Summary, "verified: false → true")
	equal(t, "settling", effects[0].Settle, ops.SettleRead)
	equal(t, "etag shown", effects[0].Before["etag"] != "", true)
	equal(t, "nothing to do for a verified client", effects[1].Nothing, true)
	equal(t, "summary", effects[1].Summary, "verified is true already")
	equal(t, "writes of a plan", r.writes(), 0)

	done := r.done(effects[0])
	c, _ := r.sandbox.OAuthClient("100001")
	equal(t, "verified", c.Verified, true)
	equal(t, "state after", done.After["verified"], any(true))
	equal(t, "undo", r.undo(done, effects[1]), "synops run verify-oauth-client client-ids=100001 verified=false -e dev")
}

func TestVerifyOAuthClientTakesOffTheList(t *testing.T) {
	r := newRig(t, "verify-oauth-client", inputs{"client-ids": "100002", "verified": "false"})
	e := r.one()
	equal(t, "summary", e.Summary, "verified: true → false")
	equal(t, "undo", r.undo(r.done(e)), "synops run verify-oauth-client client-ids=100002 verified=true -e dev")
}

func TestVerifyOAuthClientRefusals(t *testing.T) {
	r := newRig(t, "verify-oauth-client", inputs{"client-ids": "99"})
	refusal := r.refusedPlan()
	equal(t, "guard", refusal.Guard, "oauth-client-exists")
	equal(t, "code", refusal.Code, ops.NotFound)

	// The service hides the etag from whoever is neither owner nor administrator.
	r = newRig(t, "verify-oauth-client", inputs{"client-ids": "100002"})
	r.sandbox.AddToken(sandbox.AdminToken, "3350396")
	equal(t, "guard", r.refusedPlan().Guard, "oauth-client-etag")
}

func TestVerifyOAuthClientStaleEtag(t *testing.T) {
	yes := true
	cases := []struct {
		name  string
		fault sandbox.Fault
		done  bool
	}{
		{"somebody else's edit", sandbox.Fault{Kind: sandbox.EtagRace}, false},
		{"as wanted already", sandbox.Fault{Kind: sandbox.EtagRace, Verified: &yes}, true},
		// The client resends a compare-and-set, and then finds its own etag.
		{"our own lost answer", sandbox.Fault{Kind: sandbox.DropAfter, Method: "PUT", Count: 1}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "verify-oauth-client", inputs{"client-ids": "100001"})
			e := r.one()
			r.sandbox.SetFaults(sandbox.Faults{Active: []sandbox.Fault{c.fault}})
			d, err := r.perform(e)
			if c.done {
				if err != nil || d.After["verified"] != true {
					t.Errorf("performing gave %+v and %v, want it done", d, err)
				}
				return
			}
			refusal := wantRefusal(t, err)
			equal(t, "code", refusal.Code, ops.Conflict)
			contains(t, "reason", refusal.Reason, "oauth-client/100001", "etag was")
			client, _ := r.sandbox.OAuthClient("100001")
			equal(t, "verified", client.Verified, false)
		})
	}
}

func TestVerifyOAuthClientSettles(t *testing.T) {
	r := newRig(t, "verify-oauth-client", inputs{"client-ids": "100001"})
	e := r.one()
	if _, settled, err := r.p.Settle(t.Context(), r.v, e); settled || err != nil {
		t.Errorf("before: settled is %t (%v), want false", settled, err)
	}
	want := r.done(e).After
	d, settled, err := r.p.Settle(t.Context(), r.v, e)
	if !settled || err != nil {
		t.Errorf("after: settled is %t (%v), want true", settled, err)
	}
	if diff := cmp.Diff(want, d.After); diff != "" {
		t.Error(diff)
	}
}

// What the service rejects is said in its words, and nothing is changed.
func TestVerifyOAuthClientBadSectorDocument(t *testing.T) {
	r := newRig(t, "verify-oauth-client", inputs{"client-ids": "100003"})
	_, err := r.perform(r.one())
	equal(t, "code", ops.CodeOf(err), ops.Invalid)
}

func TestVerifyFindsWhatDidNotStick(t *testing.T) {
	r := newRig(t, "verify-oauth-client", inputs{"client-ids": "100001"})
	_, err := r.p.Verify(t.Context(), r.v, r.one())
	refusal := wantRefusal(t, err)
	equal(t, "code", refusal.Code, ops.Conflict)
	contains(t, "reason", refusal.Reason, "oauth-client/100001", "verified is false, not true")
}
