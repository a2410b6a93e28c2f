package sandbox

import (
	"fmt"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// Numbers of the seed.
const (
	adminUser     = 1
	publicGroup   = 273949
	anonymousUser = 273950
	opsAdmin      = 273960
	noFactor      = 273961
	actMember     = 3350400
	unsigned      = 3350401

	firstUser   = 3_400_001
	firstClient = 200_001
	firstEntity = 30_001
	firstJob    = 1001

	owner        = "3350396" // jdoe: of most clients and entities
	defaultRealm = "1"
	gridSessions = 42
	archivable   = 25_000

	// Team is a team's ID: a bundle of it answers 400.
	Team = 3360001
)

// seed puts the sandbox into its first state.
func (s *Synapse) seed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	both := view | modify
	s.tokens = map[string]token{
		AdminToken: {user: opsAdmin, scopes: both}, s.config.Token: {user: opsAdmin, scopes: both},
		SecondAdminToken: {user: opsAdmin, scopes: both}, ViewOnlyToken: {user: opsAdmin, scopes: view},
		ACTToken: {user: actMember, scopes: both}, UserToken: {user: 3350396, scopes: both},
		ExpiredToken:        {user: opsAdmin, scopes: both, expired: true},
		NoSecondFactorToken: {user: noFactor, scopes: both}, UnsignedToken: {user: unsigned, scopes: both},
	}
	if s.config.Token != AdminToken {
		delete(s.tokens, AdminToken)
	}
	s.state = state{
		users: seedUsers(), patches: map[int64]patch{}, quarantine: map[string]time.Time{},
		clients: seedClients(), entities: seedEntities(), dataTypes: map[int64]dataType{},
		features: map[string]feature{}, realms: seedRealms(), nextRealm: 14, jobs: map[string]*Job{},
		status: synapse.StackStatus{Status: synapse.ReadWrite, CurrentMessage: "Services are available for both read and write."},
	}
	for _, email := range []string{"bounce@example.org", "old@example.org"} {
		s.state.quarantine[email] = time.Now().Add(30 * 24 * time.Hour)
	}
}

func seedUsers() map[int64]User {
	m := map[int64]User{}
	for _, u := range []User{
		{ID: "1", UserName: "migrationAdmin", FirstName: "Built-in", LastName: "Administrator", Emails: []string{"admin@example.org"}, Admin: true, TwoFactor: true, Certified: true},
		{ID: "273950", UserName: "anonymous"},
		{ID: "273960", UserName: "ops-admin", FirstName: "Ops", LastName: "Admin", Emails: []string{"ops-admin@example.org"}, Admin: true, TwoFactor: true, Certified: true},
		{ID: "273961", UserName: "ops-no2fa", FirstName: "Ops", LastName: "Careless", Emails: []string{"ops-no2fa@example.org"}, Admin: true},
		{ID: "3350396", UserName: "jdoe", FirstName: "Jane", LastName: "Doe", Emails: []string{"jane.doe@example.org"}, OpenIDs: []string{"https://accounts.example.org/jdoe"},
			ORCID: "https://orcid.org/0000-0002-1825-0097", Company: "Example Org", Location: "Seattle", Summary: "Studies examples.",
			Certified: true, Verified: true, TwoFactor: true, Record: passed("3350396")},
		{ID: "3350397", UserName: "rroe", FirstName: "Richard", LastName: "Roe", Emails: []string{"richard.roe@example.org"}},
		{ID: "3350398", UserName: "asmith", FirstName: "Anna", LastName: "Smith", Emails: []string{"anna.smith@example.org"}, Disabled: true, Certified: true, Record: passed("3350398")},
		{ID: "3350400", UserName: "acurator", FirstName: "Ada", LastName: "Curator", Emails: []string{"acurator@example.org"}, ACT: true, TwoFactor: true},
		{ID: "3350401", UserName: "unsigned", FirstName: "Una", LastName: "Signed", Emails: []string{"una.signed@example.org"}, Unsigned: true},
	} {
		n, _ := principal(u.ID)
		m[n] = u
	}
	return m
}

func seedClients() map[string]OAuthClient {
	portal := newClient("100001", "Portal of Example Org", owner, false)
	portal.SectorIdentifierURI = "https://client100001.example.org/sector.json"
	wrong := newClient("100003", "Badly Declared Client", owner, false)
	wrong.SectorIdentifierURI, wrong.SectorDocument = "https://client100003.example.org/sector.json", "wrong"
	return map[string]OAuthClient{
		"100001": portal,
		"100002": newClient("100002", "Verified Client", "3350397", true),
		"100003": wrong,
	}
}

func seedEntities() map[int64]Entity {
	return map[int64]Entity{
		123: {ID: "syn123", Owner: owner, Public: []string{"READ", "DOWNLOAD"}},
		124: {ID: "syn124", Owner: owner, Public: []string{"READ"}},
		125: {ID: "syn125", Owner: owner, Benefactor: "syn123"},
		126: {ID: "syn126", Owner: owner, Trashed: true},
		127: {ID: "syn127", Owner: owner},
	}
}

func seedRealms() []Realm {
	provider := func(names ...string) []synapse.IdentityProvider {
		var all []synapse.IdentityProvider
		for _, n := range names {
			p := synapse.IdentityProvider{ConcreteType: synapse.OAuthProviderType, Provider: n}
			if n == synapse.SynapseProvider {
				p = synapse.IdentityProvider{ConcreteType: synapse.SynapseProviderType}
			}
			all = append(all, p)
		}
		return all
	}
	return []Realm{
		{Realm: synapse.Realm{ID: defaultRealm, Name: synapse.DefaultRealm, CreatedOn: seeded, IdentityProvider: provider(synapse.SynapseProvider, "GOOGLE_OAUTH_2_0", "ORCID")}, Populated: true},
		{Realm: synapse.Realm{ID: "12", Name: "acme", CreatedOn: seeded, IdentityProvider: provider("ARCUS_BIOSCIENCES")}},
		{Realm: synapse.Realm{ID: "13", Name: "full", CreatedOn: seeded, IdentityProvider: provider("SAGE_BIONETWORKS")}, Populated: true},
	}
}

// Describe tells people what is in the sandbox, in plain text.
func (s *Synapse) Describe() string {
	c := s.config
	head := fmt.Sprintf("An in-memory Synapse: stack %s, instance %s, version %s.\n\n", c.Stack, c.Instance, c.Version)
	extra := fmt.Sprintf("\nBesides: %d users from %d on, %d OAuth clients from %d on, %d entities from syn%d on.\n", c.Users, firstUser, c.Clients, firstClient, c.Entities, firstEntity)
	return head + seedText + extra
}

const seedText = `Users
  3350396  jdoe       certified, verified, second factor; owns the clients and entities
  3350397  rroe       not certified, no second factor
  3350398  asmith     disabled for inactivity; certified
  3350400  acurator   member of the Access and Compliance Team
  273960   ops-admin  administrator, the admin token's own user
  273961   ops-no2fa  administrator without a second factor: turned away
  1        the built-in administrator
  3360001  a team, not a person
OAuth clients
  100001   Portal of Example Org   not verified
  100002   Verified Client         verified
  100003   Badly Declared Client   cannot be verified: wrong sector identifier document
Entities
  syn123   its ACL lets the public read and download
  syn124   its ACL lets the public read only
  syn125   inherits the ACL of syn123
  syn126   in the trash
  syn127   its ACL gives the public nothing
Realms
  1 SYNAPSE (default) · 12 acme (empty) · 13 full (has users)
  free identity provider: NIH_RESEARCHER_AUTH_SERVICE
Quarantined e-mails
  bounce@example.org · old@example.org
Also: every feature on, 42 grid sessions, 25,000 files to archive.
`
