package tasks

import (
	"context"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var removeUser2FATask = ops.Task{
	Name: "remove-user-2fa", Version: 1,
	Title:   "Remove users' second factor",
	Summary: "Deletes the second factor (2FA) of users who lost their authenticator.",
	Details: "Check the person's identity outside the system first: whoever holds the password is in afterwards. " +
		"The service tells the person by e-mail. An administrator whose second factor is deleted cannot make administrative calls until a new one is enrolled.",
	Undo:     "Cannot be undone: the person enrolls a new second factor.",
	Inputs:   usersInputs(),
	Class:    ops.Destroys,
	Lane:     ops.LaneAdmin,
	Noun:     "user",
	Plural:   "users",
	Deciding: []string{"twoFactorAuthEnabled", "userName"},
	Personal: []string{"userName"},
	Lease:    usersLease,

	TargetsInput: usersInput,
	TimeLimit:    8 * time.Hour,
}

func removeUser2FA(s Service) ops.Procedure {
	a := newAccounts(s)
	p := change{
		targets: userTargets,
		read: func(ctx context.Context, v ops.Values, t ops.Target) (ops.State, error) {
			b, err := a.bundle(ctx, v, t, synapse.BundleProfile)
			if err != nil {
				return nil, err
			}
			on, err := told(b.UserProfile.TwoFactorAuthEnabled, "whether a second factor is on", t)
			return ops.State{"twoFactorAuthEnabled": on, "userName": b.UserProfile.UserName}, err
		},
		want: func(ops.Values, ops.Target) ops.State { return ops.State{"twoFactorAuthEnabled": false} },
		set: func(ctx context.Context, _ ops.Values, t ops.Target) error {
			return lacking(a.DeleteSecondFactor(ctx, t.Value), "the deletion of a second factor", t)
		},
		settle: ops.SettleRead,
	}.procedure()
	p.Check = checkUsers
	p.Notes = func(ops.Values, []ops.Effect) []string {
		return []string{"Each person's identity must have been checked outside the system."}
	}
	p.Challenge = named(&removeUser2FATask, "userName")
	p.Undo = irreversible("the secrets are gone; the person enrolls a new second factor after logging in.")
	return p
}
