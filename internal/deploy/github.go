package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// GitHub asks GitHub's API a few questions. Nothing is changed.
type GitHub struct {
	URL    string       // base, such as https://api.github.com
	Token  string       // "": asks as anybody may
	Client *http.Client // nil: one that waits 10 s
}

// mostAnswer bounds an answer.
const mostAnswer = 4 << 20

// get asks for a path and decodes the answer. Unavailable: GitHub does not answer;
// Denied: the token is not taken; NotFound: there is none, or the token may not see
// it, which GitHub does not tell apart.
func (g *GitHub) get(ctx context.Context, path string, into any) error {
	if !strings.HasPrefix(g.URL, "https://") && !ops.Loopback(g.URL) {
		return &ops.Error{Code: ops.Invalid, Message: "GITHUB_API_URL is neither https nor on this machine.", Hint: "Unset it, or set it to https://api.github.com."}
	}
	hreq, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(g.URL, "/")+path, nil)
	if err != nil {
		return &ops.Error{Code: ops.Invalid, Message: "GITHUB_API_URL is not a URL.", Hint: "Unset it, or set it to https://api.github.com."}
	}
	hreq.Header.Set("Accept", "application/vnd.github+json")
	hreq.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	if g.Token != "" {
		hreq.Header.Set("Authorization", "Bearer "+g.Token)
	}
	client := http.Client{Timeout: 10 * time.Second}
	if g.Client != nil {
		client = *g.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token goes nowhere else
	resp, err := client.Do(hreq)
	if err != nil {
		return &ops.Error{Code: ops.Unavailable, Message: "GitHub cannot be reached from here.", Err: err}
	}
	defer resp.Body.Close()
	if err := gitHubStatus(resp.StatusCode); err != nil {
		return err
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, mostAnswer)).Decode(into); err != nil {
		return &ops.Error{Code: ops.Unavailable, Message: "GitHub's answer cannot be read.", Err: err}
	}
	return nil
}

func gitHubStatus(status int) error {
	switch status {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		return &ops.Error{Code: ops.Denied, Message: "GitHub does not take the token.", Hint: "Make a new one and see that it was copied whole."}
	case http.StatusForbidden, http.StatusNotFound:
		return &ops.Error{Code: ops.NotFound, Message: fmt.Sprintf("GitHub shows nothing there to this token (status %d).", status)}
	}
	return &ops.Error{Code: ops.Unavailable, Message: fmt.Sprintf("GitHub answers with status %d.", status), Hint: "Try again later."}
}

// Check tells whether the token is one of GitHub's: Denied when it is not,
// Unavailable when GitHub does not answer.
func (g *GitHub) Check(ctx context.Context) error {
	var user struct {
		Login string `json:"login"`
	}
	err := g.get(ctx, "/user", &user)
	if ops.CodeOf(err) == ops.NotFound { // a token of another kind has no user and may be right
		return &ops.Error{Code: ops.Unavailable, Message: "GitHub does not say whose token it is."}
	}
	return err
}

// A Repository is what GitHub says of one.
type Repository struct {
	ID    int64 `json:"id"`
	Owner struct {
		ID int64 `json:"id"`
	} `json:"owner"`
	Created time.Time `json:"created_at"`
}

// Repository asks for owner/name.
func (g *GitHub) Repository(ctx context.Context, name string) (*Repository, error) {
	var r Repository
	if err := g.get(ctx, "/repos/"+escaped(name), &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// escaped keeps a name from being another path.
func escaped(name string) string {
	owner, repository, _ := strings.Cut(name, "/")
	return url.PathEscape(owner) + "/" + url.PathEscape(repository)
}

// protection is what stands before a GitHub environment.
type protection struct {
	Rules []struct {
		Type       string            `json:"type"`
		Reviewers  []json.RawMessage `json:"reviewers"`
		NotOneself *bool             `json:"prevent_self_review"`
	} `json:"protection_rules"`
	Bypass   bool             `json:"can_admins_bypass"`
	Branches *json.RawMessage `json:"deployment_branch_policy"`
}

// byOneself tells whether who starts a job may say yes to it.
func (p *protection) byOneself() bool {
	for _, r := range p.Rules {
		if r.NotOneself != nil && !*r.NotOneself {
			return true
		}
	}
	return false
}

// reviewed tells whether somebody must agree before a job goes on.
func (p *protection) reviewed() bool {
	for _, r := range p.Rules {
		if r.Type == "required_reviewers" && len(r.Reviewers) > 0 {
			return true
		}
	}
	return false
}

func (g *GitHub) environment(ctx context.Context, repository, name string) (*protection, error) {
	var p protection
	if err := g.get(ctx, "/repos/"+escaped(repository)+"/environments/"+url.PathEscape(name), &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// branchRules are the rules that hold for a branch.
type branchRules struct {
	kinds     []string
	approvals int // how many approving reviews a pull request needs
}

func (g *GitHub) branchRules(ctx context.Context, repository, branch string) (*branchRules, error) {
	var rules []struct {
		Type       string `json:"type"`
		Parameters struct {
			Approvals int `json:"required_approving_review_count"`
		} `json:"parameters"`
	}
	if err := g.get(ctx, "/repos/"+escaped(repository)+"/rules/branches/"+url.PathEscape(branch), &rules); err != nil {
		return nil, err
	}
	out := &branchRules{}
	for _, r := range rules { // of several rule sets the strictest holds
		out.kinds, out.approvals = append(out.kinds, r.Type), max(out.approvals, r.Parameters.Approvals)
	}
	return out, nil
}

// tagRules lists the kinds of rules that hold for a repository's tags "v…".
func (g *GitHub) tagRules(ctx context.Context, repository string) ([]string, error) {
	var sets []struct {
		ID          int64  `json:"id"`
		Target      string `json:"target"`
		Enforcement string `json:"enforcement"`
	}
	at := "/repos/" + escaped(repository) + "/rulesets"
	if err := g.get(ctx, at+"?per_page=100", &sets); err != nil {
		return nil, err
	}
	var kinds []string
	for _, set := range sets {
		if set.Target != "tag" || set.Enforcement != "active" {
			continue
		}
		var one struct {
			Conditions struct {
				Names struct {
					Include []string `json:"include"`
					Exclude []string `json:"exclude"`
				} `json:"ref_name"`
			} `json:"conditions"`
			Rules []struct {
				Type string `json:"type"`
			} `json:"rules"`
		}
		if err := g.get(ctx, fmt.Sprintf("%s/%d", at, set.ID), &one); err != nil {
			return nil, err
		}
		names := one.Conditions.Names
		if len(names.Exclude) > 0 || !slices.Contains(names.Include, "~ALL") && !slices.Contains(names.Include, "refs/tags/v*") {
			continue
		}
		for _, r := range one.Rules {
			kinds = append(kinds, r.Type)
		}
	}
	return kinds, nil
}
