package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// Self returns the profile of the token's own user.
func (c *Client) Self(ctx context.Context) (synapse.UserProfile, error) {
	var p synapse.UserProfile
	err := c.do(ctx, call{method: http.MethodGet, path: "/repo/v1/userProfile", into: &p, need: []string{"ownerId"}, personal: true})
	return p, err
}

// UserBundle returns the parts of a user that mask (synapse.Bundle…) asks for.
// NotFound: no such user; Invalid: a group or a team.
func (c *Client) UserBundle(ctx context.Context, id string, mask int) (synapse.UserBundle, error) {
	var b synapse.UserBundle
	err := c.do(ctx, call{
		method: http.MethodGet, path: "/repo/v1/user/{}/bundle", ids: []string{id},
		query: url.Values{"mask": {strconv.Itoa(mask)}},
		into:  &b, need: []string{"userId"}, raw: &b.Raw, personal: true,
	})
	return b, err
}

// RedactUser empties an account for ever. Unavailable, after a 500, may mean that
// there is no such user.
func (c *Client) RedactUser(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/repo/v1/admin/redact/user/{}", ids: []string{id}, class: resendable})
}

// SetCertified sets a user's certification. Decertifying an unknown user succeeds
// and does nothing.
func (c *Client) SetCertified(ctx context.Context, id string, certified bool) error {
	return c.do(ctx, call{
		method: http.MethodPut, path: "/repo/v1/admin/user/{}/certificationStatus", ids: []string{id},
		query: url.Values{"isCertified": {strconv.FormatBool(certified)}}, class: resendable,
	})
}

// ResetUserStatus re-enables an account that was disabled for inactivity.
func (c *Client) ResetUserStatus(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodPut, path: "/repo/v1/admin/resetuserstatus/{}", ids: []string{id}, class: resendable})
}

// DeleteSecondFactor turns a user's two-factor authentication off.
func (c *Client) DeleteSecondFactor(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/repo/v1/admin/user/{}/2fa", ids: []string{id}, class: resendable})
}

// ExpireQuarantine lets mail to an address go out again. NotFound: it was never
// quarantined.
func (c *Client) ExpireQuarantine(ctx context.Context, email string) error {
	body := struct {
		Email string `json:"email"`
	}{email}
	return c.do(ctx, call{method: http.MethodPost, path: "/repo/v1/admin/emailQuarantine/expire", body: body, class: resendable, personal: true})
}
