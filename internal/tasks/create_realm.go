package tasks

import (
	"context"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var createRealmTask = ops.Task{
	Name: "create-realm", Version: 1,
	Title:   "Create a realm",
	Summary: "Creates a realm with one identity provider.",
	Details: "The service also creates the realm's anonymous user, its two groups and its team of administrators, all named after it. " +
		"An identity provider belongs to one realm at most; one that is taken is refused. A realm of the same name and provider that is there already is left alone.",
	Undo: "delete-realm, as long as the realm has no users.",
	Inputs: []ops.Input{
		{
			Name: "name", Kind: ops.KindText, Pattern: `[A-Za-z0-9._-]{3,64}`, Rule: "A name has 3 to 64 letters, digits, dots, underscores or hyphens.",
			Example: "acme", Help: "The realm's name.",
		},
		{
			Name: "identity-provider", Kind: ops.KindChoice, Choices: synapse.OAuthProviders,
			Example: "ARCUS_BIOSCIENCES", Help: "The identity provider that its users log in with.",
		},
	},
	Class:     ops.Changes,
	Lane:      ops.LaneAdmin,
	Noun:      "realm",
	Plural:    "realms",
	Deciding:  []string{"exists"},
	Lease:     realmsLease,
	TimeLimit: 30 * time.Minute,
}

// realmCreation makes one realm.
type realmCreation struct{ realms }

func createRealm(s Service) ops.Procedure {
	c := realmCreation{s}
	return ops.Procedure{
		Targets: func(v ops.Values) []ops.Target {
			name := "realm/" + v.Text("name")
			return []ops.Target{{ID: name, Label: name, Value: v.Text("name")}}
		},
		Plan:    c.plan,
		Perform: c.perform,
		Settle: func(ctx context.Context, v ops.Values, _ ops.Effect) (ops.Done, bool, error) {
			r, err := c.find(ctx, v)
			if err != nil || r == nil {
				return ops.Done{}, false, err
			}
			return ops.Done{After: realmState(*r)}, true, nil
		},
		Verify: c.verify,
		Undo:   inverse(createRealmUndo),
	}
}

func (c realmCreation) plan(ctx context.Context, v ops.Values, t ops.Target) (ops.Effect, error) {
	e := ops.Effect{
		Target: t, Summary: "new realm with " + v.Text("identity-provider"), Settle: ops.SettleRead,
		Before: ops.State{"exists": false},
		After:  ops.State{"exists": true, "name": v.Text("name"), "providers": []string{v.Text("identity-provider")}},
	}
	r, err := c.find(ctx, v)
	if err != nil {
		return ops.Effect{}, err
	}
	if r != nil {
		e.Before, e.After = realmState(*r), realmState(*r)
		e.Nothing, e.Summary = true, "exists already with "+v.Text("identity-provider")
	}
	return e, nil
}

// find returns the realm as wanted, or nil when neither its name nor its provider
// is in use. Anything between the two is refused.
func (c realmCreation) find(ctx context.Context, v ops.Values) (*synapse.Realm, error) {
	all, err := allRealms(ctx, c)
	if err != nil {
		return nil, err
	}
	name, provider := v.Text("name"), v.Text("identity-provider")
	for i, r := range all {
		has := providers(r)
		switch {
		case r.Name == name && slices.Equal(has, []string{provider}):
			return &all[i], nil
		// Names are compared without case: the aliases made from them are.
		case strings.EqualFold(r.Name, name):
			return nil, refuse("realm-name-free", ops.Conflict, "Choose another name.",
				"realm %s (realm/%s) has that name, with %s.", ops.Quote(r.Name), r.ID, strings.Join(has, ", "))
		}
	}
	for _, r := range all {
		if slices.Contains(providers(r), provider) {
			return nil, refuse("identity-provider-free", ops.Conflict, "A provider belongs to one realm at most: choose another.",
				"%s already is in realm %s (realm/%s).", provider, ops.Quote(r.Name), r.ID)
		}
	}
	return nil, nil
}

func (c realmCreation) perform(ctx context.Context, step *ops.Step) (ops.Done, error) {
	r, err := c.CreateRealm(ctx, synapse.Realm{
		Name:             step.Values.Text("name"),
		IdentityProvider: []synapse.IdentityProvider{{ConcreteType: synapse.OAuthProviderType, Provider: step.Values.Text("identity-provider")}},
	})
	if err != nil {
		return ops.Done{}, err
	}
	return ops.Done{After: realmState(r), Message: "created as realm/" + r.ID}, nil
}

func (c realmCreation) verify(ctx context.Context, v ops.Values, e ops.Effect) (ops.State, error) {
	r, err := c.find(ctx, v)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return ops.State{"exists": false}, asWanted(ops.State{"exists": false}, ops.State{"exists": true}, e.Target)
	}
	return realmState(*r), nil
}

func realmState(r synapse.Realm) ops.State {
	return ops.State{"exists": true, "name": r.Name, "providers": providers(r), "id": r.ID}
}

// createRealmUndo names the realm by the ID that the service gave it, which is in
// the state after.
func createRealmUndo(v ops.Values, env ops.EnvironmentName, done []ops.Effect) string {
	if id, _ := done[0].After["id"].(string); id != "" {
		return ops.Command(deleteRealmTask.Name, env, [2]string{"realms", id})
	}
	return "cannot be undone: the ID of realm " + ops.Quote(v.Text("name")) + " is not at hand. delete-realm takes it."
}
