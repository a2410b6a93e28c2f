package adminapi

import (
	"context"
	"net/http"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

const featurePath = "/repo/v1/admin/feature/{}/status"

// Feature returns a feature switch, up to a minute old. Invalid: no such feature.
func (c *Client) Feature(ctx context.Context, name string) (synapse.FeatureStatus, error) {
	var s synapse.FeatureStatus
	err := c.do(ctx, call{method: http.MethodGet, path: featurePath, ids: []string{name}, into: &s, need: []string{"enabled"}})
	return s, err
}

// SetFeature sets a feature switch.
func (c *Client) SetFeature(ctx context.Context, name string, enabled bool) (synapse.FeatureStatus, error) {
	var s synapse.FeatureStatus
	body := struct {
		Enabled bool `json:"enabled"`
	}{enabled}
	err := c.do(ctx, call{method: http.MethodPost, path: featurePath, ids: []string{name}, body: body, into: &s, need: []string{"enabled"}, class: resendable})
	return s, err
}
