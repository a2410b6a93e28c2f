package tasks

import (
	"context"
	"fmt"
	"slices"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// The input and the lease that all tasks about users share.
const (
	usersInput = "users"
	usersLease = "users"
)

// userTargets makes "user/3350396" of each ID.
var userTargets = listed(usersInput, "user")

func usersInputs() []ops.Input {
	return []ops.Input{{
		Name: usersInput, Kind: ops.KindUserID, List: true, Example: "3350396,3350397",
		Help: "Numeric IDs of the users (owner IDs, as in the address of a profile page), not user names.",
	}}
}

// accounts reads the users that a task is about, and says no to those that no task
// may touch. Safe for concurrent use.
type accounts struct {
	users

	turn chan struct{} // held while own is read: a lock that a canceled run need not wait for
	own  string        // the token's own user; "" until read
}

func newAccounts(s users) *accounts { return &accounts{users: s, turn: make(chan struct{}, 1)} }

// checkUsers refuses well-known principals, from the values alone.
func checkUsers(v ops.Values) error {
	for _, id := range v.List(usersInput) {
		if who, ok := synapse.WellKnown[id]; ok {
			return ops.Refuse("well-known-principal", "Leave it out of the list.",
				"user/%s is %s, which the service itself needs.", id, who)
		}
	}
	return nil
}

// bundle reads what mask asks for of one user, and always the profile: only that
// proves that the user exists. The own user, unknown users, groups and teams are
// refused.
func (a *accounts) bundle(ctx context.Context, v ops.Values, t ops.Target, mask int) (synapse.UserBundle, error) {
	id := t.Value
	if err := a.refuseOwn(ctx, v, id); err != nil {
		return synapse.UserBundle{}, err
	}
	b, err := a.UserBundle(ctx, id, mask|synapse.BundleProfile)
	switch ops.CodeOf(err) {
	case "":
	case ops.NotFound:
		return b, refuse("user-exists", ops.NotFound, "Check the ID on the person's profile page, and the environment.", "there is no %s.", t.Label)
	case ops.Invalid:
		return b, refuse("user-exists", ops.Invalid, "Only people can be named here: check the ID on the person's profile page.", "%s is a group or a team, not a person.", t.Label)
	default:
		return b, fmt.Errorf("reading %s: %w", t.Label, err)
	}
	if b.UserProfile == nil {
		return b, ops.Errorf(ops.Internal, "the service's answer about %s lacks the profile.", t.Label)
	}
	return b, nil
}

// refuseOwn refuses the token's own user: a run that removes its own account, or
// its own second factor, cuts off the branch it sits on. The first call looks at
// the whole list, so that a long one is refused before its first effect.
func (a *accounts) refuseOwn(ctx context.Context, v ops.Values, id string) error {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	found := false
	if a.own == "" {
		p, err := a.Self(ctx)
		if err != nil {
			return fmt.Errorf("reading the token's own user: %w", err)
		}
		if p.OwnerID == "" {
			return ops.Errorf(ops.Internal, "the service does not tell which user the token belongs to.")
		}
		a.own = p.OwnerID
		found = slices.Contains(v.List(usersInput), a.own)
	}
	if found || id == a.own {
		return ops.Refuse("own-user", "Leave it out of the list, or use another administrator's token.",
			"user/%s is the user that the token belongs to.", a.own)
	}
	return nil
}

// told refuses to guess a field that the service left out of its answer: it shows
// private fields to administrators only.
func told(field *bool, name string, t ops.Target) (bool, error) {
	if field == nil {
		return false, ops.Errorf(ops.Internal, "the service does not tell %s of %s.", name, t.Label)
	}
	return *field, nil
}

// lacking explains a 404 from a call about what was just read: releases
// without the call answer so.
func lacking(err error, call string, t ops.Target) error {
	if ops.CodeOf(err) != ops.NotFound {
		return err
	}
	return &ops.Error{
		Code: ops.NotFound, Err: err,
		Message: fmt.Sprintf("the service answered 404 to %s for %s, which exists.", call, t.Label),
		Hint:    "This release of the service may not have the call; compare its version.",
	}
}
