package adminapi

import (
	"context"
	"net/http"
	"net/url"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// EntityPermissions returns what the token's user may do with an entity, and
// whether its data is open. NotFound: unknown, or in the trash.
func (c *Client) EntityPermissions(ctx context.Context, id string) (synapse.EntityPermissions, error) {
	var p synapse.EntityPermissions
	err := c.do(ctx, call{method: http.MethodGet, path: "/repo/v1/entity/{}/permissions", ids: []string{id}, into: &p, need: []string{"isEntityOpenData"}})
	return p, err
}

// EntityACL returns an entity's own access control list. NotFound: it inherits
// one, or is not there.
func (c *Client) EntityACL(ctx context.Context, id string) (synapse.ACL, error) {
	var a synapse.ACL
	err := c.do(ctx, call{method: http.MethodGet, path: "/repo/v1/entity/{}/acl", ids: []string{id}, into: &a, need: []string{"resourceAccess"}})
	return a, err
}

// SetDataType sets an entity's data type. The service does not check that the
// entity exists.
func (c *Client) SetDataType(ctx context.Context, id string, t synapse.DataType) (synapse.DataTypeResponse, error) {
	var d synapse.DataTypeResponse
	err := c.do(ctx, call{
		method: http.MethodPut, path: "/repo/v1/entity/{}/datatype", ids: []string{id},
		query: url.Values{"type": {string(t)}}, into: &d, need: []string{"dataType"}, class: resendable,
	})
	return d, err
}
