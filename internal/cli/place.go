package cli

import (
	"context"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/s3"
)

// varStore says where documents are kept when --store does not.
const varStore = "SYNOPS_STORE"

// What engines are called, on the command line too.
const (
	engineLocal    = "local"
	enginePipeline = "pipeline"
)

const s3Scheme = "s3://"

// A signIn is this process in an account.
type signIn struct {
	config  awsauth.Config
	account string
	buckets *deploy.Buckets // nil until they were asked for
}

// signIn signs in for the environment, once. Whether it is the right account is
// asked by who uses it.
func (a *app) signIn(ctx context.Context, env *ops.Environment) (*signIn, error) {
	a.signing.Lock() // a token may be read by several calls at once
	defer a.signing.Unlock()
	if s := a.signedIn[env.Name]; s != nil {
		return s, nil
	}
	cfg, err := a.account(ctx, env, varRole)
	if err != nil {
		return nil, err
	}
	s := &signIn{config: cfg}
	if s.account, err = awsauth.Account(ctx, cfg); err != nil {
		return nil, err
	}
	if a.signedIn == nil {
		a.signedIn = map[ops.EnvironmentName]*signIn{}
	}
	a.signedIn[env.Name] = s
	return s, nil
}

// named is the environment that -e or CONTEXT names; nil for none, or one that the
// environments file does not have: who needs one says so.
func (a *app) named() *ops.Environment {
	file, err := a.environments()
	if err != nil || a.said() == "" {
		return nil
	}
	env, err := file.Environment(a.said())
	if err != nil {
		return nil
	}
	return env
}

// remote tells whether an environment's documents are in its account.
func (a *app) remote(env *ops.Environment) bool {
	return env != nil && env.Account != "" && (a.engine != engineLocal || a.breakGlass != "")
}

// open opens the store that --store or SYNOPS_STORE names, or else the
// environment's: in its account, where it names one, or the XDG state folder.
func (a *app) open(ctx context.Context) (*store.Store, error) {
	env, place := a.named(), a.store
	if a.engine == enginePipeline && env != nil {
		if err := environments.RequirePipeline(env); err != nil {
			return nil, err
		}
	}
	if place == "" {
		place = a.p.Getenv(varStore)
	}
	if place == "" && a.remote(env) {
		b, err := a.buckets(ctx, env)
		if err != nil {
			return nil, err
		}
		place = s3Scheme + b.Store
	}
	if bucket, ok := strings.CutPrefix(place, s3Scheme); ok {
		return a.openBucket(ctx, env, bucket)
	}
	if place == "" {
		place = a.p.stateDir()
	}
	return store.Open(ctx, place)
}

// inAccount signs in to the environment's account. It is a Refusal to be signed in
// to another one.
func (a *app) inAccount(ctx context.Context, env *ops.Environment) (*signIn, error) {
	s, err := a.signIn(ctx, env)
	if err != nil {
		return nil, err
	}
	if s.account != env.Account {
		return nil, ops.Refuse("environment-account", "Sign in to "+string(env.Name)+"'s account, or name the environment that is meant.",
			"this is account %s and %s is account %s.", ops.Quote(s.account), env.Name, env.Account)
	}
	return s, nil
}

// buckets are those of the environment's account, as its bootstrap tells.
func (a *app) buckets(ctx context.Context, env *ops.Environment) (*deploy.Buckets, error) {
	s, err := a.inAccount(ctx, env)
	if err != nil {
		return nil, err
	}
	if s.buckets != nil {
		return s.buckets, nil
	}
	b, err := deploy.FindBuckets(ctx, deploy.Connect(s.config).Stacks)
	if err != nil {
		return nil, err
	}
	s.buckets = &b
	return s.buckets, nil
}

// bundleBucket is where the environment's bundles are: as SYNOPS_BUNDLE_BUCKET says,
// which spares a launch the question, or as the bootstrap tells.
func (a *app) bundleBucket(ctx context.Context, env *ops.Environment) (string, error) {
	if bucket := a.p.Getenv(varBundles); bucket != "" {
		_, err := a.inAccount(ctx, env)
		return bucket, err
	}
	b, err := a.buckets(ctx, env)
	if err != nil {
		return "", err
	}
	return b.Bundle, nil
}

// openBucket opens a store in S3, in the environment's account where one is named.
func (a *app) openBucket(ctx context.Context, env *ops.Environment, bucket string) (*store.Store, error) {
	if bucket == "" || strings.ContainsAny(bucket, "/?#@: ") {
		return nil, &ops.Error{Code: ops.Invalid, Message: "the store " + ops.Quote(s3Scheme+bucket) + " names no bucket.", Hint: "It is s3:// and a bucket's name, nothing behind it."}
	}
	cfg, err := a.bucketConfig(ctx, env)
	if err != nil {
		return nil, err
	}
	a.bucket = &cfg
	return store.New(s3.New(cfg, bucket)), nil
}

func (a *app) bucketConfig(ctx context.Context, env *ops.Environment) (awsauth.Config, error) {
	if env == nil || env.Account == "" {
		return a.account(ctx, &ops.Environment{}, "")
	}
	s, err := a.signIn(ctx, env)
	if err != nil {
		return awsauth.Config{}, err
	}
	return s.config, nil
}

// engineOf is the engine that runs of an environment happen on. On this machine an
// environment's account is reached by breaking the glass only.
func (a *app) engineOf(env *ops.Environment) (string, error) {
	switch {
	case a.breakGlass != "" && a.engine == enginePipeline:
		return "", &ops.Error{Code: ops.Invalid, Message: "--break-glass runs on this machine, and --engine says pipeline.", Hint: "Leave out one of the two."}
	case a.breakGlass != "" && env.Account == "":
		return "", &ops.Error{Code: ops.Invalid, Message: "--break-glass is for an environment that names an account, and " + string(env.Name) + " names none.", Hint: "Leave it out."}
	case a.engine == enginePipeline, a.engine == "" && env.Account != "" && a.breakGlass == "":
		return enginePipeline, environments.RequirePipeline(env)
	case env.Account != "" && a.breakGlass == "":
		return "", ops.Refuse("break-glass", "Leave out --engine. If the pipeline cannot be used: --break-glass REASON, which tells the team.",
			"%s names an account, so its runs happen there and not on this machine.", env.Name)
	}
	return engineLocal, nil
}
