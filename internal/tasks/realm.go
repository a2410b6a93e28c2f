package tasks

import (
	"context"
	"fmt"
	"slices"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// realmsLease is held by the tasks about realms: a provider may be in one realm
// only, which is asked of all of them at once.
const realmsLease = "realms"

// allRealms reads every realm. One deleted between list and read is left out.
func allRealms(ctx context.Context, s realms) ([]synapse.Realm, error) {
	ids, err := s.Realms(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing realms: %w", err)
	}
	all := make([]synapse.Realm, 0, len(ids))
	for _, id := range ids {
		r, err := s.Realm(ctx, id)
		if ops.CodeOf(err) == ops.NotFound {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading realm/%s: %w", id, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// providers names the identity providers of a realm, sorted.
func providers(r synapse.Realm) []string {
	names := make([]string, 0, len(r.IdentityProvider))
	for _, p := range r.IdentityProvider {
		if p.ConcreteType == synapse.SynapseProviderType {
			names = append(names, synapse.SynapseProvider)
		} else {
			names = append(names, p.Provider)
		}
	}
	slices.Sort(names)
	return names
}
