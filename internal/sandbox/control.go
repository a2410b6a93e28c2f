package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// controls tells whether a request is for the switches, not for the service.
func controls(r *http.Request) bool {
	return r.URL.Path == "/sandbox" || strings.HasPrefix(r.URL.Path, "/sandbox/")
}

// control answers /sandbox/…, without a token: the sandbox listens on loopback and
// holds nothing worth one. These calls are not in the log.
func (s *Synapse) control(w http.ResponseWriter, r *http.Request) {
	v, status, err := s.controlled(r)
	if err != nil {
		v = map[string]string{"error": err.Error()}
	}
	if text, ok := v.(string); ok {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, text)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func (s *Synapse) controlled(r *http.Request) (any, int, error) {
	what, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/sandbox"), "/"), "/")
	switch r.Method + " " + what {
	case "GET ":
		return s.Describe(), http.StatusOK, nil
	case "GET faults":
		return s.faults.get(), http.StatusOK, nil
	case "PUT faults":
		return s.putFaults(r)
	case "DELETE faults":
		s.SetFaults(Faults{})
		return Faults{}, http.StatusOK, nil
	case "GET calls":
		since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
		return map[string]any{"total": s.Total(), "calls": s.calls.since(since)}, http.StatusOK, nil
	case "GET counts":
		return map[string]any{"total": s.Total(), "most_in_flight": s.MostInFlight(), "routes": s.Counts()}, http.StatusOK, nil
	case "GET state":
		return s.getState(rest)
	case "PUT state":
		return s.putState(r, rest)
	case "POST reset":
		s.Reset()
		return map[string]bool{"reset": true}, http.StatusOK, nil
	}
	return nil, http.StatusNotFound, errors.New("no such switch: " + r.Method + " " + r.URL.Path)
}

func (s *Synapse) putFaults(r *http.Request) (any, int, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, mostBody))
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	f, err := decodeFaults(b)
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	s.SetFaults(f)
	return f, http.StatusOK, nil
}

// getState returns one thing of the state as the process itself sees it.
func (s *Synapse) getState(path string) (any, int, error) {
	kind, id, _ := strings.Cut(path, "/")
	var v any
	found := true
	switch kind {
	case "users":
		v, found = s.User(id)
	case "oauth-clients":
		v, found = s.OAuthClient(id)
	case "entities":
		e, ok := s.Entity(id)
		v, found = map[string]any{"entity": e, "exists": ok, "open_data": s.IsOpenData(id)}, true
	case "features":
		v = synapse.FeatureStatus{Feature: id, Enabled: s.Feature(id)}
	case "quarantine":
		now, known := s.Quarantined(id)
		v = map[string]bool{"quarantined": now, "known": known}
	case "realms":
		v = s.Realms()
	case "jobs":
		v = s.Jobs()
	case "status":
		v = s.StackStatus()
	case "backfills":
		v = s.Backfills()
	default:
		found = false
	}
	if !found {
		return nil, http.StatusNotFound, errors.New("there is no " + path)
	}
	return v, http.StatusOK, nil
}

// putState sets the stack's status from outside, as an administrator elsewhere
// would.
func (s *Synapse) putState(r *http.Request, path string) (any, int, error) {
	if path != "status" {
		return nil, http.StatusNotFound, errors.New("only the status can be put, not " + path)
	}
	var status synapse.StackStatus
	if err := json.NewDecoder(io.LimitReader(r.Body, mostBody)).Decode(&status); err != nil {
		return nil, http.StatusBadRequest, err
	}
	switch status.Status {
	case synapse.ReadWrite, synapse.ReadOnly, synapse.Down:
		s.SetStackStatus(status)
		return status, http.StatusOK, nil
	}
	return nil, http.StatusBadRequest, errors.New("status must be READ_WRITE, READ_ONLY or DOWN")
}
