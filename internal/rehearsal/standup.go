package rehearsal

import (
	"context"
	"slices"
	"strings"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// A secret is put from a file that a person has for the moment.
type secretFile struct {
	name, file, value string
	unchecked         bool // nobody can tell from here whether it works
}

func secretsOf(env *Environment) []secretFile {
	return []secretFile{
		{"/synapse/admin-pat", "admin-token.txt", env.Token, env.hidden},
		{"/synops/migration/source", "source.txt", migration.Key + ":" + migration.SourceSecret, true},
		{"/synops/migration/destination", "destination.txt", migration.Key + ":" + migration.DestinationSecret, true},
		{"/synops/gh-pat", "gh-token.txt", GitHubToken, false},
	}
}

// StandUp makes an account what runs need: Prepare, then bundle and lanes, all or
// those named, by a job that passed its reviewers.
func (t *Story) StandUp(ctx context.Context, env *Environment, lanes ...string) error {
	if err := t.Prepare(ctx, env); err != nil {
		return err
	}
	which := "every lane"
	if len(lanes) > 0 {
		which = "the lanes " + strings.Join(lanes, " and ")
	}
	t.Scene("%s: a reviewed job deploys the bundle and %s", env.Name, which)
	_, err := t.Do(ctx, t.Stage.Deployment(env), 0, slices.Concat([]string{"deploy"}, lanes, []string{"-e", env.Name, "--yes"})...)
	return err
}

// Prepare makes an account what deployments need: the bootstrap and the secrets, by
// its administrator.
func (t *Story) Prepare(ctx context.Context, env *Environment) error {
	administrator := t.Stage.Administrator(env)
	t.Scene("%s: an administrator makes what the account needs once", env.Name)
	if _, err := t.Do(ctx, administrator, 0, "bootstrap", "-e", env.Name, "--yes"); err != nil {
		return err
	}
	t.Scene("%s: the secrets that runs use, each checked where it can be", env.Name)
	for _, s := range secretsOf(env) {
		args := []string{"secret", "put", s.name, "-e", env.Name}
		if s.unchecked {
			args = append(args, "--unchecked")
		}
		if _, err := t.DoWith(ctx, administrator, s.file, s.value+"\n", 0, args...); err != nil {
			return err
		}
	}
	return nil
}

// Deployment is the job that deploys.
func (s *Stage) Deployment(env *Environment) Actor {
	return s.Job(env, Job{Workflow: "deploy.yml", Reviewed: true})
}
