package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// The roles that the bootstrap makes.
const (
	RoleObserve        = "synops-observe"
	RolePerform        = "synops-perform"
	RoleSchedule       = "synops-schedule"
	RoleDeploy         = "synops-deploy"
	roleBreakGlass     = "synops-break-glass"
	roleStackBuilder   = "synops-stack-builder"
	RoleCloudFormation = "synops-cloudformation"
	boundary           = "synops-boundary"
)

func (x *doctor) role(ctx context.Context, name string) (*iamtypes.Role, error) {
	out, err := x.c.Clients.Roles.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(name)})
	if err != nil {
		return nil, awsauth.Explain("looking at role "+name, err)
	}
	return out.Role, nil
}

// roles looks for every role and its boundary. Those that are well share a line, and
// so do those that one remedy makes.
func (x *doctor) roles(ctx context.Context) {
	count, well := 0, 0
	look := func(remedy string, names ...string) {
		var missing []string
		for _, name := range names {
			count++
			r, err := x.role(ctx, name)
			switch {
			case ops.CodeOf(err) == ops.NotFound:
				missing = append(missing, name)
			case err != nil:
				x.untold("role "+name, err, "")
			case r.PermissionsBoundary == nil:
				x.fail("role "+name, remedy, "has no permissions boundary")
			case name != roleStackBuilder && !strings.HasSuffix(aws.ToString(r.PermissionsBoundary.PermissionsBoundaryArn), ":policy/"+boundary):
				x.fail("role "+name, remedy, "has the boundary %s instead of %s", shown(aws.ToString(r.PermissionsBoundary.PermissionsBoundaryArn)), boundary)
			default:
				well++
			}
		}
		if missing != nil {
			x.fail("roles", remedy, "not there: %s", strings.Join(missing, ", "))
		}
	}
	look(x.bootstrapRemedy(), RoleObserve, RolePerform, RoleSchedule, RoleDeploy, roleBreakGlass, roleStackBuilder, RoleCloudFormation)
	for _, l := range x.lanesHere() {
		if s, err := x.find(ctx, LaneStack(l)); err == nil && footingOf(s) == create {
			continue // its absence is told as one
		}
		look(x.deployRemedy(l), "synops-lane-"+string(l), "synops-pipeline-"+string(l))
	}
	if well > 0 {
		x.pass("roles", "%d of %d are there, within their boundary", well, count)
	}
}

// claim is the prefix of what GitHub's token says, in trust policies.
const claim = "token.actions.githubusercontent.com:"

// trust looks at who may become the roles that GitHub takes: whatever else the
// policies say, these conditions must stand in every statement that lets a token in.
func (x *doctor) trust(ctx context.Context) {
	for _, name := range []string{RoleObserve, RolePerform, RoleSchedule, RoleDeploy} {
		about := "trust " + name
		r, err := x.role(ctx, name)
		if ops.CodeOf(err) == ops.NotFound {
			continue // told already
		}
		if err != nil {
			x.untold(about, err, "")
			continue
		}
		environment := ""
		switch name {
		case RoleObserve:
		case RoleSchedule:
			environment = x.env() + scheduleSuffix
		default:
			environment = x.env()
		}
		if wrong := untrusty(aws.ToString(r.AssumeRolePolicyDocument), x.c.Environment.Repository, x.Core, environment); wrong != "" {
			x.fail(about, x.bootstrapRemedy(), "%s", wrong)
			continue
		}
		text := "tokens of " + x.c.Environment.Repository + " at main"
		if environment != "" {
			text += " that passed GitHub's environment " + environment
		}
		x.pass(about, "%s, nobody else's", text)
	}
}

type trustStatement struct {
	Effect    string
	Principal json.RawMessage
	Condition map[string]map[string]json.RawMessage
}

// untrusty says what a trust policy lacks, "" for nothing. core is "" where it is not
// known.
func untrusty(document, repository, core, environment string) string {
	if plain, err := url.QueryUnescape(document); err == nil {
		document = plain // IAM answers it so
	}
	var doc struct{ Statement []trustStatement }
	if err := json.Unmarshal([]byte(document), &doc); err != nil {
		return "its policy cannot be read"
	}
	federated := 0
	for _, s := range doc.Statement {
		if s.Effect != "Allow" {
			continue
		}
		if !strings.Contains(string(s.Principal), `"Federated"`) {
			return "lets in somebody else than GitHub: " + shown(string(s.Principal))
		}
		federated++
		if wrong := s.lacks(repository, core, environment); wrong != "" {
			return wrong
		}
	}
	if federated == 0 {
		return "lets nobody in"
	}
	return ""
}

// values are what a positive operator wants of a claim, by exact comparison or by
// pattern; absent: the claim is not asked.
func (s *trustStatement) values(name string, operators ...string) []string {
	var out []string
	for _, op := range operators {
		raw, ok := s.Condition[op][claim+name]
		if !ok {
			continue
		}
		var one string
		var many []string
		if json.Unmarshal(raw, &one) == nil {
			many = []string{one}
		} else if json.Unmarshal(raw, &many) != nil {
			many = nil
		}
		out = append(out, many...)
	}
	return out
}

func (s *trustStatement) lacks(repository, core, environment string) string {
	owner, name, _ := strings.Cut(repository, "/")
	subjects, workflows := s.values("sub", "StringEquals"), s.values("job_workflow_ref", "StringEquals", "StringLike")
	ours := func(sub string) bool {
		// classic repo:OWNER/NAME:…, immutable repo:OWNER@ID/NAME@ID:…
		rest, ok := strings.CutPrefix(sub, "repo:"+owner)
		o, n, slash := strings.Cut(rest, "/")
		after, named := strings.CutPrefix(n, name)
		return ok && slash && (o == "" || o[0] == '@') && named && (strings.HasPrefix(after, ":") || strings.HasPrefix(after, "@"))
	}
	switch {
	case !slices.Equal(s.values("aud", "StringEquals"), []string{"sts.amazonaws.com"}):
		return "does not ask for the audience sts.amazonaws.com"
	case len(subjects) == 0:
		return "does not ask for a subject by exact comparison"
	case slices.ContainsFunc(subjects, func(s string) bool { return !ours(s) }):
		return fmt.Sprintf("takes subjects that are not of %s", repository)
	case len(s.values("repository_id", "StringEquals")) != 1:
		return "does not ask for the repository's ID: another of the same name would get in"
	case !slices.Equal(s.values("ref", "StringEquals"), []string{"refs/heads/main"}):
		return "does not ask for the branch main"
	case len(workflows) == 0:
		return "does not ask for the workflow files of core"
	case core != "" && slices.ContainsFunc(workflows, func(w string) bool { return !strings.HasPrefix(w, core+"/.github/workflows/") }):
		return "takes workflow files that are not core's, " + core
	case environment != "" && !slices.Equal(s.values("environment", "StringEquals"), []string{environment}):
		return "does not ask for GitHub's environment " + environment + ", so its reviewers need not be asked"
	}
	return ""
}
