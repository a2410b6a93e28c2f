package tasks

import (
	"context"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var decertifyUserTask = ops.Task{
	Name: "decertify-user", Version: 1,
	Title:   "Decertify users",
	Summary: "Takes the certification from users, who then may no longer upload data.",
	Details: "The record of the quiz that the person passed stays. While it is there the quiz cannot be taken again: " +
		"if the person should be able to, the certification must be revoked instead (PUT /repo/v1/user/ID/revokeCertification), which this task does not do.",
	Undo:     "By hand: no task certifies a user.",
	Inputs:   usersInputs(),
	Class:    ops.Changes,
	Lane:     ops.LaneAdmin,
	Noun:     "user",
	Plural:   "users",
	Deciding: []string{"certified"},
	Lease:    usersLease,

	TargetsInput: usersInput,
	TimeLimit:    8 * time.Hour,
}

func decertifyUser(s Service) ops.Procedure {
	a := newAccounts(s)
	p := change{
		targets: userTargets,
		read: func(ctx context.Context, v ops.Values, t ops.Target) (ops.State, error) {
			b, err := a.bundle(ctx, v, t, synapse.BundleCertified)
			if err != nil {
				return nil, err
			}
			certified, err := told(b.IsCertified, "the certification", t)
			return ops.State{"certified": certified}, err
		},
		want: func(ops.Values, ops.Target) ops.State { return ops.State{"certified": false} },
		set: func(ctx context.Context, _ ops.Values, t ops.Target) error {
			return a.SetCertified(ctx, t.Value, false)
		},
		settle: ops.SettleRead,
	}.procedure()
	p.Check = checkUsers
	p.Notes = func(ops.Values, []ops.Effect) []string {
		return []string{"The record of a passed quiz stays, so a decertified user cannot take the quiz again until it is revoked (PUT /repo/v1/user/ID/revokeCertification)."}
	}
	p.Undo = irreversible("no task certifies a user. An administrator can, with PUT /repo/v1/admin/user/ID/certificationStatus?isCertified=true.")
	return p
}
