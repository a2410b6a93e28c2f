package render_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/render"
)

// Nothing of one environment may stand in another's dashboard: a value copied by
// mistake would be the way from one to the other.
func TestDashboardsNameNoOtherEnvironment(t *testing.T) {
	s, _ := committed(t)
	for i := range s.Environments {
		env := &s.Environments[i]
		if env.Repository == "" {
			continue
		}
		files, err := s.Dashboard(env)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			for _, word := range foreign(s, env) {
				if loc := word.FindStringIndex(string(f.Data)); loc != nil {
					t.Errorf("%s of %s holds %q", f.Path, env.Repository, around(f.Data, loc))
				}
				if word.MatchString(f.Path) {
					t.Errorf("%s of %s is named so", f.Path, env.Repository)
				}
			}
			own := regexp.MustCompile(`(?i)\b` + string(env.Name) + `\b`)
			if strings.HasSuffix(f.Path, ".yml") && !own.Match(f.Data) {
				t.Errorf("%s of %s does not say which environment it is for", f.Path, env.Repository)
			}
		}
	}
}

// foreign are what other environments than env have of their own.
func foreign(s *render.Source, env *ops.Environment) []*regexp.Regexp {
	var words []*regexp.Regexp
	add := func(text, own string) {
		if text != "" && text != own {
			words = append(words, regexp.MustCompile(`(?i)(^|[^a-z0-9])`+regexp.QuoteMeta(text)+`([^a-z0-9]|$)`))
		}
	}
	for _, other := range s.Environments {
		if other.Name == env.Name {
			continue
		}
		// The name alone, not as a part of another: a host of dev may be called repo-prod.
		words = append(words, regexp.MustCompile(`(?i)(^|[^a-z0-9-])`+regexp.QuoteMeta(string(other.Name))+`([^a-z0-9-]|$)`))
		add(other.Repository, "")
		add(path.Base(other.Repository), ".")
		add(other.Account, "")
		add(other.Region, env.Region)
		add(other.Stack, env.Stack)
		add(other.VPC, "")
		for _, h := range other.Hosts {
			name := strings.TrimPrefix(strings.TrimPrefix(h, "https://"), "http://")
			add(name, "")
			if _, domain, deep := strings.Cut(name, "."); deep && strings.Count(domain, ".") > 1 {
				add(domain, "") // prod.sagebase.org: whatever host of it
			}
		}
		for _, p := range other.Instances {
			add(p, "")
		}
	}
	return words
}

func around(text []byte, loc []int) string {
	return string(text[max(0, loc[0]-40):min(len(text), loc[1]+40)])
}

// TestForeignWordsAreFound keeps the test above able to fail.
func TestForeignWordsAreFound(t *testing.T) {
	s, _ := committed(t)
	dev := &s.Environments[slices.IndexFunc(s.Environments, func(e ops.Environment) bool { return e.Name == "dev" })]
	for _, text := range []string{"in prod.", "PROD", "synapse-ops-prod", "222222222222", "repo-prod.prod.sagebase.org", "https://other.prod.sagebase.org/repo", "environment: prod", "secrets.prod"} {
		if !slices.ContainsFunc(foreign(s, dev), func(r *regexp.Regexp) bool { return r.MatchString(text) }) {
			t.Errorf("%q would not be found in dev's dashboard", text)
		}
	}
	for _, text := range []string{"product", "reproduce", "us-east-1", "dev", "repo-prod:", "sagebase.org"} {
		if slices.ContainsFunc(foreign(s, dev), func(r *regexp.Regexp) bool { return r.MatchString(text) }) {
			t.Errorf("%q is not another environment's", text)
		}
	}
}

func TestTasksOfOtherEnvironmentsAndLanesAreNotOffered(t *testing.T) {
	s, env := sample(ops.Task{Name: "here", Summary: "S.", Lane: ops.LaneAdmin}, ops.Task{Name: "elsewhere", Summary: "S.", Lane: ops.LaneAdmin, Environments: []ops.EnvironmentName{"other"}},
		ops.Task{Name: "long", Summary: "S.", Lane: ops.LaneMigrate})
	env.Lanes = []ops.Lane{ops.LanePlan, ops.LaneAdmin}
	files := dashboard(t, s, env)
	for name, want := range map[string]bool{"here": true, "elsewhere": false, "long": false} {
		if _, there := files[".github/workflows/"+name+".yml"]; there != want {
			t.Errorf("%s is there: %t", name, there)
		}
	}
}
