package tasks

import (
	"context"
	"fmt"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var deleteRealmTask = ops.Task{
	Name: "delete-realm", Version: 1,
	Title:   "Delete realms",
	Summary: "Deletes realms.",
	Details: "The default realm cannot be deleted, and neither can one that still has users: the service refuses it. " +
		"The identity provider is free for another realm afterwards.",
	Undo: "Cannot be undone: a new realm of the same name gets another ID and other groups.",
	Inputs: []ops.Input{{
		Name: "realms", Kind: ops.KindRealmID, List: true, Example: "12", Help: "Numeric IDs of the realms.",
	}},
	Class:    ops.Destroys,
	Lane:     ops.LaneAdmin,
	Noun:     "realm",
	Plural:   "realms",
	Deciding: []string{"exists", "name"},
	Lease:    realmsLease,

	TargetsInput: "realms",
	TimeLimit:    30 * time.Minute,
}

// realmDeletion deletes realms.
type realmDeletion struct{ realms }

func deleteRealm(s Service) ops.Procedure {
	d := realmDeletion{s}
	return ops.Procedure{
		Targets: listed("realms", "realm"),
		Plan:    d.plan,
		Perform: d.perform,
		Settle: func(ctx context.Context, _ ops.Values, e ops.Effect) (ops.Done, bool, error) {
			now, err := d.state(ctx, e.Target)
			return ops.Done{After: now}, err == nil && now["exists"] == false, err
		},
		Verify: func(ctx context.Context, _ ops.Values, e ops.Effect) (ops.State, error) {
			now, err := d.state(ctx, e.Target)
			if err != nil {
				return nil, err
			}
			return now, asWanted(now, ops.State{"exists": false}, e.Target)
		},
		Challenge: named(&deleteRealmTask, "name"),
		Undo:      irreversible("a realm made anew has another ID, and other users, groups and team. create-realm makes one of the same name."),
	}
}

func (d realmDeletion) plan(ctx context.Context, _ ops.Values, t ops.Target) (ops.Effect, error) {
	before, err := d.state(ctx, t)
	if err != nil {
		return ops.Effect{}, err
	}
	if before["exists"] == false {
		return ops.Effect{}, refuse("realm-exists", ops.NotFound, "Check the ID, and the environment.", "there is no %s.", t.Label)
	}
	if before["name"] == synapse.DefaultRealm {
		return ops.Effect{}, ops.Refuse("default-realm", "Leave it out of the list.", "%s is the default realm (%s).", t.Label, synapse.DefaultRealm)
	}
	with, _ := before["providers"].([]string)
	return ops.Effect{
		Target: t, Settle: ops.SettleRead, Before: before, After: ops.State{"exists": false},
		Summary: fmt.Sprintf("deletes realm %s with %s", value(before["name"]), strings.Join(with, ", ")),
	}, nil
}

// perform deletes the realm. A 404 may mean that it is gone, or that this release
// of the service has no such call: only reading tells.
func (d realmDeletion) perform(ctx context.Context, step *ops.Step) (ops.Done, error) {
	t := step.Effect.Target
	err := d.DeleteRealm(ctx, t.Value)
	if ops.CodeOf(err) != ops.NotFound {
		return ops.Done{}, err
	}
	now, readErr := d.state(ctx, t)
	if readErr != nil {
		return ops.Done{}, readErr
	}
	if now["exists"] == false {
		return ops.Done{Outcome: ops.EffectUnchanged, After: now, Message: "it was gone already"}, nil
	}
	return ops.Done{}, lacking(err, "the deletion of a realm", t)
}

func (d realmDeletion) state(ctx context.Context, t ops.Target) (ops.State, error) {
	r, err := d.Realm(ctx, t.Value)
	switch ops.CodeOf(err) {
	case "":
		return ops.State{"exists": true, "name": r.Name, "providers": providers(r)}, nil
	case ops.NotFound:
		return ops.State{"exists": false}, nil
	}
	return nil, fmt.Errorf("reading %s: %w", t.Label, err)
}
