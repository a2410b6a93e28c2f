package tasks

import (
	"context"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var reenableUserTask = ops.Task{
	Name: "reenable-user", Version: 1,
	Title:   "Re-enable users",
	Summary: "Re-enables accounts that were disabled for inactivity.",
	Details: "Marks each account as enabled and seen now. Tokens, personal access tokens and identity bindings that were dropped " +
		"when the account was disabled do not come back: the person logs in and makes new ones. " +
		"The service has no read of this status, so nothing can be shown before or checked after, and an account that was never disabled is accepted too.",
	Undo:     "Cannot be undone by a task; the service disables inactive accounts by itself.",
	Inputs:   usersInputs(),
	Class:    ops.Changes,
	Lane:     ops.LaneAdmin,
	Noun:     "user",
	Plural:   "users",
	Deciding: []string{"disabled"},
	Lease:    usersLease,

	TargetsInput: usersInput,
	TimeLimit:    8 * time.Hour,
}

func reenableUser(s Service) ops.Procedure {
	a := newAccounts(s)
	return ops.Procedure{
		Targets: userTargets,
		Check:   checkUsers,
		Plan: func(ctx context.Context, v ops.Values, t ops.Target) (ops.Effect, error) {
			if _, err := a.bundle(ctx, v, t, synapse.BundleProfile); err != nil {
				return ops.Effect{}, err
			}
			return ops.Effect{
				Target: t, Summary: "disabled → false, last seen → now",
				BeforeAbsent: "the service has no read of an account's status",
				After:        ops.State{"disabled": false}, Settle: ops.SettleResend,
			}, nil
		},
		Perform: func(ctx context.Context, step *ops.Step) (ops.Done, error) {
			t := step.Effect.Target
			return ops.Done{}, lacking(a.ResetUserStatus(ctx, t.Value), "the reset of a user's status", t)
		},
		Notes: func(ops.Values, []ops.Effect) []string {
			return []string{"Tokens and identity bindings that were dropped when an account was disabled are not restored."}
		},
		Undo: irreversible("no call disables an account; the service does so by itself after about a year without activity."),
	}
}
