package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// OAuthClient returns an OAuth client. The service does not count this call.
func (c *Client) OAuthClient(ctx context.Context, id string) (synapse.OAuthClient, error) {
	var oc synapse.OAuthClient
	err := c.do(ctx, call{method: http.MethodGet, path: "/auth/v1/oauth2/client/{}", ids: []string{id}, into: &oc, need: []string{"client_id"}})
	return oc, err
}

// SetOAuthClientVerified sets whether a client is verified, if its etag is still
// the one given; else Conflict. As it compares, it is sent again when an answer is
// lost, and may then answer Conflict although it was this call that changed the
// client: read it again.
func (c *Client) SetOAuthClientVerified(ctx context.Context, id string, verified bool, etag string) (synapse.OAuthClient, error) {
	var oc synapse.OAuthClient
	err := c.do(ctx, call{
		method: http.MethodPut, path: "/repo/v1/admin/oauth2/client/{}/verified", ids: []string{id},
		query: url.Values{"status": {strconv.FormatBool(verified)}, "etag": {etag}},
		into:  &oc, need: []string{"client_id"}, class: resendable,
	})
	return oc, err
}
