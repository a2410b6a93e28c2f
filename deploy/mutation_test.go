package templates_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// redundant are the conditions whose loss shows nowhere, because another one holds
// as well; each with the reason why it is written all the same.
var redundant = []struct{ pattern, reason string }{
	{"trust synops-*: #1 without StringEquals aws:SourceAccount",
		"aws:SourceArn holds the account as well; AWS advises to ask for both"},
	{"trust synops-*: #1 without Null job_workflow_ref",
		"an absent claim matches no StringLike; it is said beside the StringNotLike, which an absent claim passes"},
	{"trust synops-observe: #1 without Null environment",
		"a subject that names a branch is of a job without an environment; subjects can be customized"},
	{"trust synops-[pd]e*: #1 without Null environment",
		"an absent claim equals nothing; kept so that loosening the StringEquals does not admit it"},
	{"trust synops-[pd]e*: #1 without StringEquals environment",
		"the subject names the environment as well; subjects can be customized"},
	{"role synops-lane-* 2: LendInterfaces without StringEquals ec2:AuthorizedService",
		"the boundary asks for it as well"},
	{"policy synops-boundary: BuildStacks without ArnEquals aws:PrincipalArn",
		"the trust of synops-stack-builder names the lane as well"},
}

// TestEveryConditionCounts takes each condition of each deployed policy away, one
// at a time, and each Deny as a whole. What is then asked anew must be answered
// differently somewhere, or the condition guards nothing that these tests know of.
func TestEveryConditionCounts(t *testing.T) {
	unraced(t)
	t.Parallel()
	a := prod().deploy(t, "classic")
	asked := a.askEverything()
	used := make([]bool, len(redundant))
	for _, where := range names(a.documents) {
		for _, m := range mutants(a.documents[where]) {
			name := where + ": " + m.name
			i := slices.IndexFunc(redundant, func(r struct{ pattern, reason string }) bool {
				ok, err := path.Match(r.pattern, strings.ReplaceAll(name, "/", "-"))
				if err != nil {
					t.Fatal(err)
				}
				return ok
			})
			shows := asked.differs(where, a.with(where, m.document))
			switch {
			case !shows && i < 0:
				t.Errorf("nothing shows that this is gone: %s", name)
			case shows && i >= 0:
				t.Errorf("listed as redundant, and it is not: %s", name)
			}
			if i >= 0 {
				used[i] = true
			}
		}
	}
	for i, u := range used {
		if !u {
			t.Errorf("listed as redundant, and not there: %s", redundant[i].pattern)
		}
	}
}

// A mutant is a document with one thing taken away.
type mutant struct {
	name     string
	document *policy.Document
}

func mutants(d *policy.Document) []mutant {
	var out []mutant
	for i, s := range d.Statements {
		sid := s.Sid
		if sid == "" {
			sid = fmt.Sprintf("#%d", i+1)
		}
		for j, c := range s.Conditions {
			less := *d
			less.Statements = slices.Clone(d.Statements)
			less.Statements[i].Conditions = slices.Delete(slices.Clone(s.Conditions), j, j+1)
			key := strings.TrimPrefix(c.Key, claim)
			out = append(out, mutant{fmt.Sprintf("%s without %s %s", sid, c.Operator, key), &less})
		}
		if s.Deny {
			less := *d
			less.Statements = slices.Delete(slices.Clone(d.Statements), i, i+1)
			out = append(out, mutant{"no " + sid, &less})
		}
	}
	return out
}

// answers are what the account as it is written says to all questions.
type answers struct {
	account      *account
	assumptions  []assumption
	calls        []call
	publications []publication
	assumed      []bool
	called       []bool
	bears        []string // where the policy is of what each call is about
}

func (a *account) askEverything() *answers {
	s := &answers{account: a, assumptions: a.assumptions("classic"), calls: a.calls(), publications: a.publications()}
	for _, q := range s.assumptions {
		s.assumed = append(s.assumed, q.decide(a))
	}
	for _, c := range s.calls {
		s.called = append(s.called, c.decide(a, a))
		s.bears = append(s.bears, a.resourcePolicy(c.resource))
	}
	return s
}

// differs tells whether an account that is changed in one place answers any
// question that the place bears on in another way.
func (s *answers) differs(where string, changed *account) bool {
	kind, name, _ := strings.Cut(where, " ")
	for i, q := range s.assumptions {
		if kind == "trust" && q.role == name && q.decide(changed) != s.assumed[i] {
			return true
		}
	}
	role, _, _ := strings.Cut(name, " ")
	for i, c := range s.calls {
		bears := kind == "policy" || kind == "role" && c.role == role || s.bears[i] == where
		if bears && c.decide(changed, changed) != s.called[i] {
			return true
		}
	}
	for _, p := range s.publications {
		if kind == "topic" && p.decide(changed) != p.decide(s.account) {
			return true
		}
	}
	return false
}
