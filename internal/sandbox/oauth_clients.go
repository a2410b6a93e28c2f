package sandbox

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// An OAuthClient is a client as the service holds it.
type OAuthClient struct {
	synapse.OAuthClient
	// SectorDocument is what the sector identifier's document is like: "" when it
	// lists every redirect URI, "wrong" when it does not, "unreachable" when nobody
	// answers.
	SectorDocument string `json:"sector_document,omitempty"`
}

func oauthRoutes() []route {
	return []route{
		{method: "GET", pattern: "/auth/v1/oauth2/client/{id}", scopes: view, handle: getOAuthClient},
		{method: "PUT", pattern: "/repo/v1/admin/oauth2/client/{id}/verified", scopes: view | modify, handle: setVerified},
		{method: "PUT", pattern: "/auth/v1/oauth2/client/{id}/verificationPrecheck", scopes: view, body: true, handle: precheck},
	}
}

// OAuthClient returns a client as it stands, and whether there is one.
func (s *Synapse) OAuthClient(id string) (OAuthClient, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client(id)
}

// SetOAuthClient adds a client or replaces one, with a new etag.
func (s *Synapse) SetOAuthClient(c OAuthClient) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepClient(c)
}

func (s *Synapse) client(id string) (OAuthClient, bool) {
	if c, ok := s.state.clients[id]; ok {
		return c, true
	}
	n, ok := principal(id)
	i := n - firstClient
	if !ok || i < 0 || i >= int64(s.config.Clients) || strconv.FormatInt(n, 10) != id {
		return OAuthClient{}, false
	}
	return newClient(id, "Test Client "+id, owner, i%2 == 1), true
}

func newClient(id, name, createdBy string, verified bool) OAuthClient {
	return OAuthClient{OAuthClient: synapse.OAuthClient{
		ClientID: id, ClientName: name, Verified: verified, CreatedBy: createdBy,
		RedirectURIs: []string{"https://client" + id + ".example.org/callback"},
		ClientURI:    "https://client" + id + ".example.org", PolicyURI: "https://client" + id + ".example.org/policy",
		SectorIdentifier: "client" + id + ".example.org",
		CreatedOn:        seeded, ModifiedOn: seeded, Etag: etagOf("client"+id, 0),
	}}
}

func (s *Synapse) keepClient(c OAuthClient) OAuthClient {
	c.Etag, c.ModifiedOn = s.newEtag("client"+c.ClientID), stamp(time.Now())
	s.state.clients[c.ClientID] = c
	return c
}

func noClient(id string) *failure {
	return failed(http.StatusNotFound, "OAuth client (%s) does not exist", id)
}

// getOAuthClient hides all but the public fields from everybody but the owner and
// administrators: from ACT members too, who so never learn an etag.
func getOAuthClient(q *request) (any, error) {
	c, ok := q.s.client(q.vars["id"])
	if !ok {
		return nil, noClient(q.vars["id"])
	}
	full := c.OAuthClient
	if q.caller.admin || c.CreatedBy == strconv.FormatInt(q.caller.id, 10) {
		return full, nil
	}
	return synapse.OAuthClient{ClientID: full.ClientID, ClientName: full.ClientName, Verified: full.Verified,
		ClientURI: full.ClientURI, PolicyURI: full.PolicyURI, TosURI: full.TosURI}, nil
}

// setVerified compares the etag before it looks whether there is anything to do,
// so a change sent twice answers 412 the second time.
func setVerified(q *request) (any, error) {
	yes := true
	status, err := q.boolean("status", &yes)
	if err != nil {
		return nil, err
	}
	etag, ok := q.param("etag")
	if !ok || strings.TrimSpace(etag) == "" {
		return nil, missing("etag")
	}
	if err := q.caller.mustBeACT(); err != nil {
		return nil, err
	}
	id := q.vars["id"]
	c, ok := q.s.client(id)
	if !ok {
		return nil, noClient(id)
	}
	c = q.race(c)
	if etag != c.Etag {
		return nil, staleEtag(id)
	}
	if status == c.Verified {
		return c.OAuthClient, nil
	}
	if status {
		if err := c.checkSector(); err != nil {
			return nil, err
		}
	}
	c.Verified = status
	return q.s.keepClient(c).OAuthClient, nil
}

// race is somebody else's edit between the caller's read and write.
func (q *request) race(c OAuthClient) OAuthClient {
	f := q.hit(EtagRace)
	if f == nil {
		return c
	}
	if f.Verified != nil {
		c.Verified = *f.Verified
	}
	return q.s.keepClient(c)
}

func staleEtag(id string) *failure {
	return failed(http.StatusPreconditionFailed, "OAuth client %s was updated since you last fetched it. Retrieve it again and reapply the update.", id)
}

// checkSector reads the sector identifier's document, as the service does before a
// client becomes verified.
func (c *OAuthClient) checkSector() error {
	switch {
	case c.SectorIdentifierURI == "" || c.SectorDocument == "":
		return nil
	case c.SectorDocument == "unreachable":
		return failed(http.StatusServiceUnavailable, "The sector identifier document could not be read. Please try again later.")
	}
	return failed(http.StatusBadRequest, "Not all of the submitted redirect URIs are found in the list hosted at %s.", c.SectorIdentifierURI)
}

func precheck(q *request) (any, error) {
	var in synapse.OAuthClient
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	if q.caller.anonymous {
		return nil, failed(http.StatusForbidden, "Anonymous users may not do this.")
	}
	if in.ClientName == "" || len(in.RedirectURIs) == 0 || in.Etag == "" {
		return nil, failed(http.StatusBadRequest, "client_name, redirect_uris and etag are required.")
	}
	c, ok := q.s.client(q.vars["id"])
	if !ok {
		return nil, noClient(q.vars["id"])
	}
	if in.Etag != c.Etag {
		return nil, staleEtag(c.ClientID)
	}
	sector, err := sectorOf(in)
	if err != nil {
		return nil, err
	}
	return map[string]bool{"reverificationRequired": sector != c.SectorIdentifier}, nil
}

// sectorOf derives the sector identifier: the host of its URI, else of the
// redirect URI.
func sectorOf(c synapse.OAuthClient) (string, error) {
	from := c.SectorIdentifierURI
	if from == "" {
		from = c.RedirectURIs[0]
	}
	u, err := url.Parse(from)
	if err != nil || u.Host == "" {
		return "", failed(http.StatusBadRequest, "%s is not a valid URI.", from)
	}
	return u.Host, nil
}
