package adminapi

import (
	"context"
	"net/http"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// Realms returns the IDs of all realms.
func (c *Client) Realms(ctx context.Context) ([]string, error) {
	var list struct {
		Realms []string `json:"realms"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/repo/v1/realm/list", into: &list, need: []string{"realms"}})
	return list.Realms, err
}

// Realm returns a realm.
func (c *Client) Realm(ctx context.Context, id string) (synapse.Realm, error) {
	var r synapse.Realm
	err := c.do(ctx, call{method: http.MethodGet, path: "/repo/v1/realm/{}", ids: []string{id}, into: &r, need: []string{"id", "name"}})
	return r, err
}

// CreateRealm creates a realm with its groups and team. It is sent once: a lost
// answer, or a 500 such as the one that a name already taken may give, is
// Unsettled.
func (c *Client) CreateRealm(ctx context.Context, r synapse.Realm) (synapse.Realm, error) {
	var made synapse.Realm
	err := c.do(ctx, call{
		method: http.MethodPost, path: "/repo/v1/admin/realm", body: r, into: &made, need: []string{"id"},
		class: once, may: "The realm may have been created.",
	})
	return made, err
}

// DeleteRealm deletes a realm. It is sent once: a lost answer, or a 500 such as
// the one that a realm with users may give, is Unsettled.
func (c *Client) DeleteRealm(ctx context.Context, id string) error {
	return c.do(ctx, call{
		method: http.MethodDelete, path: "/repo/v1/admin/realm/{}", ids: []string{id},
		class: once, may: "The realm may have been deleted.",
	})
}
