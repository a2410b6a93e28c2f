package sandbox

import (
	"net/http"
	"slices"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// feature is a switch that has been set, and how it read before.
type feature struct {
	enabled, before bool
	staleUntil      time.Time
}

func featureRoutes() []route {
	return []route{
		{method: "GET", pattern: "/repo/v1/admin/feature/{name}/status", scopes: view, handle: getFeature},
		{method: "POST", pattern: "/repo/v1/admin/feature/{name}/status", scopes: view | modify, body: true, handle: setFeature},
	}
}

// Feature tells how a switch is set: one never set is enabled.
func (s *Synapse) Feature(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.feature(name)
}

func (s *Synapse) feature(name string) bool {
	f, set := s.state.features[name]
	return !set || f.enabled
}

func (q *request) featureName() (string, error) {
	name := q.vars["name"]
	if !slices.Contains(synapse.Features, name) {
		return "", failed(http.StatusBadRequest, "No enum constant org.sagebionetworks.repo.model.feature.Feature.%s", name)
	}
	return name, nil
}

// getFeature reads as servers with a cache do: for a while, what was before.
func getFeature(q *request) (any, error) {
	name, err := q.featureName()
	if err != nil {
		return nil, err
	}
	if err := q.caller.mustBeAdmin(); err != nil {
		return nil, err
	}
	enabled := q.s.feature(name)
	if f, set := q.s.state.features[name]; set && time.Now().Before(f.staleUntil) {
		enabled = f.before
	}
	return synapse.FeatureStatus{Feature: name, Enabled: enabled}, nil
}

func setFeature(q *request) (any, error) {
	name, err := q.featureName()
	if err != nil {
		return nil, err
	}
	var in struct {
		Enabled *bool `json:"enabled"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	if err := q.caller.mustBeAdmin(); err != nil {
		return nil, err
	}
	if in.Enabled == nil {
		return nil, failed(http.StatusBadRequest, "enabled is required.")
	}
	q.s.state.features[name] = feature{enabled: *in.Enabled, before: q.s.feature(name), staleUntil: time.Now().Add(q.s.config.FeatureCache)}
	return synapse.FeatureStatus{Feature: name, Enabled: *in.Enabled}, nil
}
