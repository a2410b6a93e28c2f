package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

func (x *doctor) gitHubEnvironment(ctx context.Context) {
	repository, about := x.c.Environment.Repository, "GitHub environment "+x.env()
	settings := fmt.Sprintf("Set it in the settings of %s, under Environments.", repository)
	if x.GitHub == nil || x.GitHub.Token == "" {
		x.add(CannotTell, about, "Set GH_TOKEN to a token that may read "+repository+".", "no token for GitHub is at hand")
		return
	}
	p, err := x.GitHub.environment(ctx, repository, x.env())
	switch {
	case err != nil:
		x.untold(about, notShown(err), "")
	case !p.reviewed():
		x.fail(about, settings, "asks no reviewers: whoever may start a workflow starts runs")
	case p.byOneself():
		x.fail(about, settings, "takes a yes from whoever started the run: nobody else need have looked")
	case p.Bypass:
		x.fail(about, settings, "lets the repository's administrators pass without a yes")
	case p.Branches == nil:
		x.fail(about, settings, "takes every branch: whoever may push one runs what it says")
	default:
		x.pass(about, "asks reviewers and takes certain branches only")
	}
}

// scheduleSuffix ends the name of GitHub's environment for jobs of schedules.
const scheduleSuffix = "-schedule"

// gitHubSchedule looks at the environment of schedules, where one is enabled. It
// asks nobody: who may come in is what counts.
func (x *doctor) gitHubSchedule(ctx context.Context) {
	enabled := false
	for _, on := range x.c.Environment.Schedules {
		enabled = enabled || on
	}
	if !enabled || x.GitHub == nil || x.GitHub.Token == "" {
		return // without a token the line before says so
	}
	repository, name := x.c.Environment.Repository, x.env()+scheduleSuffix
	about, settings := "GitHub environment "+name, fmt.Sprintf("Set it in the settings of %s, under Environments.", repository)
	p, err := x.GitHub.environment(ctx, repository, name)
	switch {
	case err != nil:
		x.untold(about, notShown(err), "")
	case p.Branches == nil:
		x.fail(about, settings, "takes every branch: whoever may push one starts what a schedule starts")
	default:
		x.pass(about, "takes certain branches only")
	}
}

func (x *doctor) gitHubBranch(ctx context.Context) {
	about := "GitHub branch rules"
	if x.GitHub == nil || x.GitHub.Token == "" || x.Core == "" {
		x.add(CannotTell, about, "Set GH_TOKEN to a token that may read the core repository.", "no token for GitHub is at hand")
		return
	}
	for _, repository := range []string{x.Core, x.c.Environment.Repository} {
		rules, err := x.GitHub.branchRules(ctx, repository, "main")
		about := about + " of " + repository
		if err != nil {
			x.untold(about, notShown(err), "")
			continue
		}
		var missing []string
		for _, want := range []string{"pull_request", "non_fast_forward", "deletion"} {
			if !slices.Contains(rules.kinds, want) {
				missing = append(missing, want)
			}
		}
		switch {
		case len(missing) > 0:
			x.fail(about, "Add them in the settings of "+repository+", under Rules.", "main is not protected by %s", strings.Join(missing, ", "))
		case rules.approvals == 0:
			x.fail(about, "Require an approval in the settings of "+repository+", under Rules.", "pull requests to main need no approving review: whoever may push a branch changes what runs")
		default:
			x.pass(about, "main changes by reviewed pull requests only")
		}
	}
}

// gitHubTags looks at core's tags: the roles' trust takes workflows at a release's.
func (x *doctor) gitHubTags(ctx context.Context) {
	if x.GitHub == nil || x.GitHub.Token == "" || x.Core == "" {
		return // the line before says so
	}
	about := "GitHub tag rules of " + x.Core
	kinds, err := x.GitHub.tagRules(ctx, x.Core)
	if err != nil {
		x.untold(about, notShown(err), "")
		return
	}
	var missing []string
	for _, want := range []string{"creation", "update", "deletion"} {
		if !slices.Contains(kinds, want) {
			missing = append(missing, want)
		}
	}
	if len(missing) > 0 {
		x.fail(about, "Add a ruleset for tags v* in the settings of "+x.Core+", under Rules.", "tags v* are not protected from %s: whoever may push one becomes what the roles trust", strings.Join(missing, ", "))
		return
	}
	x.pass(about, "tags v* are made by maintainers, never moved or deleted")
}

// notShown: GitHub says "not found" also of what a token may not see.
func notShown(err error) error {
	if ops.CodeOf(err) == ops.NotFound {
		return &ops.Error{Code: ops.Unavailable, Message: message(err), Hint: "Ask with a token that may read it."}
	}
	return err
}
