package cli

import (
	"context"
	"errors"
	"fmt"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
)

// Launcher and worker of a run are the same release: what the one writes, the other
// must read as it was meant. A run is pinned to its bundle when it is asked for, so a
// deployment meanwhile changes nothing of it.

// pin is the version of the bundle that the attempts of a run are pinned to: what
// its newest start says, or else the current one, which must be of the release that
// the run was asked for with.
func (a *app) pin(ctx context.Context, env *ops.Environment, synops, pinned string) (string, error) {
	current, err := a.currentBundle(ctx, env)
	if err != nil {
		return "", err
	}
	if current == nil {
		return "", ops.Refuse("synops-version", "Deploy one first: synops deploy -e "+string(env.Name)+".", "no bundle is deployed in %s, so no build could run this.", env.Name)
	}
	if err := current.Allows(env.Name, synops); err != nil || pinned != "" {
		return pinned, err
	}
	return current.Pin(env.Name, synops)
}

// allowed refuses a release that may not run in the environment's account any more,
// also where it runs on this machine.
func (a *app) allowed(ctx context.Context, env *ops.Environment, synops string) error {
	current, err := a.currentBundle(ctx, env)
	if err != nil || current == nil {
		return err
	}
	return current.Allows(env.Name, synops)
}

func (a *app) currentBundle(ctx context.Context, env *ops.Environment) (*deploy.Current, error) {
	bucket, err := a.bundleBucket(ctx, env)
	if err != nil {
		return nil, err
	}
	s, err := a.signIn(ctx, env)
	if err != nil {
		return nil, err
	}
	current, err := deploy.ReadCurrent(ctx, deploy.Connect(s.config).Objects, bucket)
	if own, ok := errors.AsType[*ops.Error](err); ok && own.Code == ops.Denied {
		// S3 says so too of what is not there, to whoever may not list.
		own.Hint = fmt.Sprintf("No bundle was deployed yet (synops deploy -e %s), or this role may not read it (synops doctor -e %s tells).", env.Name, env.Name)
	}
	return current, err
}

// allowedInBuild asks, in a build, whether a release may still run. Where that
// cannot be told it may not.
func (a *app) allowedInBuild(env *ops.Environment) func(context.Context, string) error {
	return func(ctx context.Context, synops string) error {
		bucket := a.p.Getenv(varBundles)
		if bucket == "" {
			return ops.Refuse("synops-lowest", "The lane is older than its bundle: synops deploy -e "+string(env.Name)+".", "this build is not told where the lowest allowed version stands: %s is not set.", varBundles)
		}
		s, err := a.signIn(ctx, env)
		if err != nil {
			return err
		}
		current, err := deploy.ReadCurrent(ctx, deploy.Connect(s.config).Objects, bucket)
		if err != nil {
			return err
		}
		if current == nil {
			return ops.Refuse("synops-lowest", "Deploy it again: synops deploy -e "+string(env.Name)+".", "the bundle bucket of %s has no %s, which says what may run.", env.Name, deploy.CurrentKey)
		}
		return current.Allows(env.Name, synops)
	}
}
