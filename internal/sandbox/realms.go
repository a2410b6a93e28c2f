package sandbox

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// A Realm is a realm as the service holds it.
type Realm struct {
	synapse.Realm
	Populated bool `json:"populated,omitempty"` // has users, so it cannot be deleted
}

func realmRoutes() []route {
	return []route{
		{method: "POST", pattern: "/repo/v1/admin/realm", scopes: modify, status: http.StatusCreated, isNew: true, body: true, handle: createRealm},
		{method: "DELETE", pattern: "/repo/v1/admin/realm/{id}", scopes: modify, isNew: true, handle: deleteRealm},
		{method: "GET", pattern: "/repo/v1/realm/list", isNew: true, handle: listRealms},
		{method: "GET", pattern: "/repo/v1/realm/principals", scopes: view, isNew: true, handle: ownRealmPrincipals},
		{method: "GET", pattern: "/repo/v1/realm/{id}", isNew: true, handle: getRealm},
		{method: "GET", pattern: "/repo/v1/realm/{id}/principals", isNew: true, handle: realmPrincipals},
	}
}

// Realms returns all realms, the default one first.
func (s *Synapse) Realms() []Realm {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.state.realms)
}

func (s *Synapse) realm(id string) int {
	return slices.IndexFunc(s.state.realms, func(r Realm) bool { return r.ID == id })
}

// realmName has no upper bound here: the service states none.
var realmName = regexp.MustCompile(`^[A-Za-z0-9._-]{3,}$`)

func createRealm(q *request) (any, error) {
	var in synapse.Realm
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	if err := q.caller.mustBeAdmin(); err != nil {
		return nil, err
	}
	if !realmName.MatchString(in.Name) {
		return nil, failed(http.StatusBadRequest, "Invalid realm name: '%s'", in.Name)
	}
	if len(in.IdentityProvider) == 0 {
		return nil, failed(http.StatusBadRequest, "identityProvider is required and must not be empty.")
	}
	for _, p := range in.IdentityProvider {
		if err := knownProvider(p); err != nil {
			return nil, err
		}
	}
	if err := q.s.realmTaken(in); err != nil {
		return nil, err
	}
	r := Realm{Realm: synapse.Realm{ID: strconv.Itoa(q.s.state.nextRealm), Name: in.Name, CreatedOn: stamp(time.Now()), IdentityProvider: in.IdentityProvider}}
	q.s.state.nextRealm++
	q.s.state.realms = append(q.s.state.realms, r)
	return r.Realm, nil
}

func knownProvider(p synapse.IdentityProvider) error {
	switch p.ConcreteType {
	case synapse.SynapseProviderType:
		return nil
	case synapse.OAuthProviderType:
		if slices.Contains(synapse.OAuthProviders, p.Provider) {
			return nil
		}
		return failed(http.StatusBadRequest, "No enum constant org.sagebionetworks.repo.model.oauth.OAuthProvider.%s", p.Provider)
	}
	return failed(http.StatusBadRequest, "Unknown concreteType: '%s'", p.ConcreteType)
}

// realmTaken is the database's constraint: one realm a name, one realm a provider.
func (s *Synapse) realmTaken(in synapse.Realm) error {
	status := s.faults.get().DuplicateRealm
	if status == 0 {
		status = http.StatusBadRequest
	}
	for _, r := range s.state.realms {
		if r.Name == in.Name {
			return failed(status, "Duplicate entry '%s' for key 'REALM.NAME'", in.Name)
		}
		for _, p := range in.IdentityProvider {
			if slices.Contains(r.IdentityProvider, p) {
				return failed(status, "Duplicate entry '%s' for key 'REALM_IDP.PROVIDER'", p.Provider)
			}
		}
	}
	return nil
}

// deleteRealm answers 200 to an unknown ID: the service seems not to look.
func deleteRealm(q *request) (any, error) {
	id, err := q.adminTarget()
	if err != nil {
		return nil, err
	}
	text := strconv.FormatInt(id, 10)
	if text == defaultRealm {
		return nil, failed(http.StatusBadRequest, "The default realm cannot be deleted.")
	}
	i := q.s.realm(text)
	if i < 0 {
		return nil, nil
	}
	if q.s.state.realms[i].Populated {
		return nil, failed(http.StatusInternalServerError, "Cannot delete or update a parent row: a foreign key constraint fails")
	}
	q.s.state.realms = slices.Delete(slices.Clone(q.s.state.realms), i, i+1)
	return nil, nil
}

func listRealms(q *request) (any, error) {
	ids := []string{}
	for _, r := range q.s.state.realms {
		ids = append(ids, r.ID)
	}
	return map[string]any{"realms": ids}, nil
}

func getRealm(q *request) (any, error) {
	if _, err := q.number("id"); err != nil {
		return nil, err
	}
	i := q.s.realm(q.vars["id"])
	if i < 0 {
		return nil, failed(http.StatusNotFound, "Realm %s does not exist.", q.vars["id"])
	}
	return q.s.state.realms[i].Realm, nil
}

func realmPrincipals(q *request) (any, error) {
	if _, err := getRealm(q); err != nil {
		return nil, err
	}
	return principalsOf(q.vars["id"]), nil
}

func ownRealmPrincipals(q *request) (any, error) { return principalsOf(defaultRealm), nil }

func principalsOf(realm string) map[string]string {
	if realm == defaultRealm {
		return map[string]string{"realmId": realm, "anonymousUser": synapse.AnonymousUser, "publicGroup": synapse.Public,
			"authenticatedUsers": synapse.AuthenticatedUsers, "administrativeGroup": synapse.Administrators}
	}
	return map[string]string{"realmId": realm, "anonymousUser": "35" + realm + "1", "publicGroup": "35" + realm + "2",
		"authenticatedUsers": "35" + realm + "3", "administrativeGroup": "35" + realm + "4"}
}
