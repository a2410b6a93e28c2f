package rehearsal

import (
	"encoding/json"
	"net/http"
)

// GitHubToken is what GitHub's API takes here.
const GitHubToken = "ghp_rehearsal0123456789rehearsal0123456"

// organizationID is the owner's.
const organizationID = 77

// gitHub answers what synops asks of GitHub's API about the ops repositories and
// core: protected as docs/setup.md has them. Without the token, and of anything
// else, nothing is shown.
func gitHub(envs []*Environment) http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern string, v any) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v) // the caller has gone; nobody is left to tell
		})
	}
	rules := []map[string]any{{"type": "pull_request", "parameters": map[string]int{"required_approving_review_count": 1}}, {"type": "non_fast_forward"}, {"type": "deletion"}}
	answer("/user", map[string]string{"login": "synops-bot"})
	answer("/repos/"+owner+"/"+core+"/rules/branches/main", rules)
	answer("/repos/"+owner+"/"+core+"/rulesets", []any{map[string]any{"id": 1, "target": "tag", "enforcement": "active"}})
	answer("/repos/"+owner+"/"+core+"/rulesets/1", map[string]any{
		"conditions": map[string]any{"ref_name": map[string]any{"include": []string{"refs/tags/v*"}}},
		"rules":      []map[string]string{{"type": "creation"}, {"type": "update"}, {"type": "deletion"}},
	})
	for _, env := range envs {
		at := "/repos/" + env.Repository
		answer(at, map[string]any{"id": json.Number(env.RepositoryID), "owner": map[string]int{"id": organizationID}, "created_at": "2021-03-01T00:00:00Z"})
		answer(at+"/rules/branches/main", rules)
		answer(at+"/environments/"+env.Name, map[string]any{
			"protection_rules":         []any{map[string]any{"type": "required_reviewers", "prevent_self_review": true, "reviewers": []any{map[string]string{"type": "Team"}}}},
			"deployment_branch_policy": map[string]bool{"protected_branches": true},
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if given := r.Header.Get("Authorization"); given != "Bearer "+GitHubToken {
			status := http.StatusNotFound // as it answers who may not know
			if given != "" {
				status = http.StatusUnauthorized
			}
			w.WriteHeader(status)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
