package cli

import (
	"context"
	"fmt"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate/remote"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/secret"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// bindMigration reads both stacks' credentials and ties a task to the two stacks that
// its request names.
func (a *app) bindMigration(ctx context.Context, env *ops.Environment, req *ops.Request, used *[]apiClient) (*worker.Bound, error) {
	task, err := tasks.Catalog().Task(req.Task)
	if err != nil {
		return nil, err
	}
	values, err := task.Parse(req.Inputs)
	if err != nil {
		return nil, err
	}
	p := &stackPair{env: env, hosts: tasks.MigrationHosts(values), usersHost: req.Host}
	reader := &secret.Reader{Getenv: a.p.Getenv, OpenFD: a.p.OpenFD, Fetch: a.fetch(env), Loopback: ops.Loopback(p.hosts[0]) && ops.Loopback(p.hosts[1])}
	for side, source := range credentialSources(env) {
		read, err := a.credential(env, migrate.Side(side), source, reader)
		if err != nil {
			return nil, err
		}
		if _, err := read(ctx); err != nil { // a missing one is refused before anything is asked
			return nil, err
		}
		if p.stacks[side], err = a.migrationClient(p.hosts[side], read); err != nil {
			return nil, err
		}
		*used = append(*used, p.stacks[side])
	}
	if p.users, err = a.migrationClient(p.usersHost, noCredential); err != nil {
		return nil, err
	}
	*used = append(*used, p.users)
	procedure, err := tasks.BindMigration(req.Task, p)
	return &worker.Bound{Procedure: procedure, InFlight: func() int { return 1 }}, err
}

func (a *app) migrationClient(host string, read func(context.Context) (adminapi.Credential, error)) (*adminapi.Migration, error) {
	return adminapi.NewMigration(adminapi.Config{Host: host, UserAgent: "synops/" + version(), Mask: a.secrets.String}, read)
}

// noCredential is for a stack that is only asked which it is.
func noCredential(context.Context) (adminapi.Credential, error) {
	return adminapi.Credential{}, ops.Errorf(ops.Denied, "nothing that needs a credential is asked of the stack that users are on.")
}

// credentialSources tell where each stack's credential is kept, the source's first.
func credentialSources(env *ops.Environment) [2]string {
	sources := [2]string{env.MigrationSource, env.MigrationDestination}
	for side, name := range [2]string{deploy.MigrationSource, deploy.MigrationDestination} {
		if sources[side] == "" && env.Account != "" {
			sources[side] = secret.SchemeManager + ":" + name
		}
	}
	return sources
}

// credential returns a function that reads a stack's credential anew at each call,
// having it masked in every stream first.
func (a *app) credential(env *ops.Environment, side migrate.Side, source string, reader *secret.Reader) (func(context.Context) (adminapi.Credential, error), error) {
	if source == "" {
		return nil, ops.Refuse("migration-credential", fmt.Sprintf("Name its source in the environments file: migration_%s: file:PATH.", side),
			"%s does not say where the credential of a migration's %s is kept.", env.Name, side)
	}
	src, err := secret.ParseSource(source)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (adminapi.Credential, error) {
		s, err := reader.Read(ctx, src)
		if err != nil {
			return adminapi.Credential{}, fmt.Errorf("the credential of the migration's %s: %w", side, err)
		}
		k, err := splitCredential(s.Reveal())
		if err != nil {
			return k, ops.Refuse("migration-credential", "Put it anew: synops secret put.", "the credential of the migration's %s, from %s: %v", side, src, err)
		}
		for _, part := range []string{s.Reveal(), k.Secret} {
			if err := a.secrets.Add(part); err != nil {
				return k, fmt.Errorf("masking the credential of %s: %w", src, err)
			}
		}
		return k, nil
	}, nil
}

// splitCredential reads KEY:SECRET, as Basic authentication writes it.
func splitCredential(text string) (adminapi.Credential, error) {
	key, value, found := strings.Cut(text, ":")
	if !found || key == "" || value == "" {
		return adminapi.Credential{}, ops.Errorf(ops.Invalid, "it is not the service's key and its secret with a colon between them.")
	}
	return adminapi.Credential{Key: key, Secret: value}, nil
}

// A stackPair is what tasks ask of two stacks.
type stackPair struct {
	env       *ops.Environment
	hosts     [2]string
	stacks    [2]*adminapi.Migration
	usersHost string
	users     *adminapi.Migration // asked only which it is
}

func (p *stackPair) Environment() *ops.Environment { return p.env }

func (p *stackPair) Host(side migrate.Side) string { return p.hosts[side] }

func (p *stackPair) Stack(side migrate.Side) tasks.MigrationStack { return p.stacks[side] }

func (p *stackPair) Users(ctx context.Context) (string, synapse.Version, error) {
	v, err := p.users.Version(ctx)
	return p.usersHost, v, err
}

func (p *stackPair) Follow(giveUp context.CancelCauseFunc) tasks.MigrationJobs {
	return remote.New(p.stacks[migrate.Source], p.stacks[migrate.Destination], giveUp)
}

// checkMigration asks the environment's hosts whether one of them accepts a
// migration's credential: which of them is the source, or the destination, changes
// from week to week. Unavailable: none does, which proves nothing either, for the
// stack that will may not be there yet.
func (a *app) checkMigration(ctx context.Context, env *ops.Environment, value string) error {
	k, err := splitCredential(value)
	if err != nil {
		return err
	}
	if err := a.secrets.Add(k.Secret); err != nil {
		return err
	}
	var last error
	for _, host := range env.Hosts {
		c, err := a.migrationClient(host, func(context.Context) (adminapi.Credential, error) { return k, nil })
		if err != nil {
			return err
		}
		if _, err = c.Version(ctx); err == nil {
			_, err = c.PrimaryTypes(ctx)
		}
		c.Close()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return err
		}
		last = &ops.Error{Code: ops.Unavailable, Message: fmt.Sprintf("none of the hosts accepts it; %s: %v", host, err), Err: err}
	}
	return last
}
