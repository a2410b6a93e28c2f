package tasks

import (
	"context"
	"slices"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var removeUserTask = ops.Task{
	Name: "remove-user", Version: 1,
	Title:   "Remove users",
	Summary: "Redacts accounts for good: profile, e-mail addresses and aliases are erased.",
	Details: "For requests to be forgotten. The account keeps its ID, its content, its tokens and its second factor; " +
		"its name becomes the ID, its only e-mail gdpr-synapse+ID@sagebase.org, and nobody can log in with a password. " +
		"The whole bundle is filed privately before each redaction. An account already redacted is left alone.",
	Undo:     "Cannot be undone. The bundle filed before is all that is left.",
	Inputs:   usersInputs(),
	Class:    ops.Destroys,
	Lane:     ops.LaneAdmin,
	Noun:     "user",
	Plural:   "users",
	Deciding: []string{"userName", "redacted"},
	Personal: []string{"userName"},
	Lease:    usersLease,

	TargetsInput: usersInput,
	TimeLimit:    8 * time.Hour,
}

func removeUser(s Service) ops.Procedure {
	a := newAccounts(s)
	c := change{
		targets: userTargets,
		read: func(ctx context.Context, v ops.Values, t ops.Target) (ops.State, error) {
			b, err := a.bundle(ctx, v, t, synapse.BundleProfile)
			if err != nil {
				return nil, err
			}
			return redaction(b, t.Value), nil
		},
		want: func(_ ops.Values, t ops.Target) ops.State {
			return ops.State{"userName": t.Value, "redacted": true}
		},
		set: func(ctx context.Context, _ ops.Values, t ops.Target) error { return a.RedactUser(ctx, t.Value) },
		// The user name is personal, so the summary leaves it out.
		say: func(_, _ ops.State, nothing bool) string {
			if nothing {
				return "redacted is true already"
			}
			return "redacted: false → true (profile, e-mails and aliases are erased)"
		},
		settle: ops.SettleResend,
	}
	p := c.procedure()
	p.Check = checkUsers
	p.Plan = func(ctx context.Context, v ops.Values, t ops.Target) (ops.Effect, error) {
		b, err := a.bundle(ctx, v, t, synapse.BundleAll)
		if err != nil {
			return ops.Effect{}, err
		}
		before := redaction(b, t.Value)
		before["actMember"] = b.IsACTMember != nil && *b.IsACTMember
		e := c.effect(v, t, before)
		if !e.Nothing {
			e.Private = b.Raw
		}
		return e, nil
	}
	p.Notes = removeUserNotes
	p.Challenge = named(&removeUserTask, "userName")
	p.Undo = irreversible("a redacted account keeps nothing of what it was. What was read before each redaction is in the run's private documents, for 30 days.")
	return p
}

// redaction tells whether an account is redacted: its only address is then the
// one made from its ID. An account that merely lost its addresses is not.
func redaction(b synapse.UserBundle, id string) ops.State {
	return ops.State{
		"userName": b.UserProfile.UserName,
		"redacted": slices.Equal(b.UserProfile.Emails, []string{"gdpr-synapse+" + id + "@sagebase.org"}),
	}
}

func removeUserNotes(_ ops.Values, effects []ops.Effect) []string {
	notes := []string{"Tokens and second factors of removed users stay: the service does not revoke them with this call."}
	if n := count(effects, func(e ops.Effect) bool { return e.Before["actMember"] == true }); n > 0 {
		notes = append(notes, of(&removeUserTask, n, len(effects))+" belong to the Access and Compliance Team.")
	}
	return notes
}
