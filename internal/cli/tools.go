package cli

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun/account"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// What tools of lane deploy act as, where their sources' token is, and what says
// where built tools are kept and sources come from.
const (
	builderRole      = "synops-stack-builder"
	sourcesSecret    = "/synops/gh-pat" //nolint:gosec // a secret's name
	varCache         = "SYNOPS_CACHE"
	varSourcesServer = "GITHUB_SERVER_URL"
)

// toolEnviron lists the variables that tools and their builds get: what programs
// need to run at all, never a secret.
var toolEnviron = []string{"PATH", "LANG", "LC_ALL", "TZ", "JAVA_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "AWS_ENDPOINT_URL"}

// bindTools ties a task that asks the account, and not the service, to the
// environment's account.
func (a *app) bindTools(ctx context.Context, env *ops.Environment, st *store.Store, task ops.TaskName) (*worker.Bound, error) {
	if env.Account == "" || env.Region == "" {
		return nil, ops.Refuse("account", "Name account and region in the environments file, or choose an environment that does.",
			"%s works on an AWS account, and %s names none.", task, env.Name)
	}
	s, err := a.signIn(ctx, env)
	if err != nil {
		return nil, err
	}
	bucket, err := a.cacheBucket(ctx, env)
	if err != nil {
		return nil, err
	}
	in := account.New(s.config, bucket, "arn:aws:iam::"+env.Account+":role/"+builderRole, awsauth.SessionName(a.sessionName()))
	c := toolrun.Config{
		Server: a.p.Getenv(varSourcesServer), Region: env.Region, Dir: filepath.Join(a.p.cacheDir(), "tools"), Env: a.p.only(toolEnviron),
		Token:       func(ctx context.Context) (string, error) { return awsauth.Fetch(s.config)(ctx, sourcesSecret) },
		Credentials: in.Keys, Mask: a.secrets.Add,
		Masked: func(w io.Writer) io.WriteCloser { return a.secrets.Writer(w) },
	}
	if bucket != "" {
		c.Cache = in
	}
	runner, err := toolrun.New(c)
	if err != nil {
		return nil, err
	}
	p, err := tasks.BindTools(task, toolbox{runner, in, env, st})
	return &worker.Bound{Procedure: p, InFlight: func() int { return 1 }}, err
}

// cacheBucket keeps built tools; "" for a build whose lane has none, because it only
// plans.
func (a *app) cacheBucket(ctx context.Context, env *ops.Environment) (string, error) {
	if place := a.p.Getenv(varCache); place != "" {
		bucket, ok := strings.CutPrefix(place, s3Scheme)
		if !ok || bucket == "" {
			return "", &ops.Error{Code: ops.Invalid, Message: varCache + " " + ops.Quote(place) + " names no bucket.", Hint: "It is s3:// and a bucket's name."}
		}
		return bucket, nil
	}
	if a.inBuild() != nil {
		return "", nil
	}
	b, err := a.buckets(ctx, env)
	if err != nil {
		return "", err
	}
	return b.Cache, nil
}

// A toolbox is what tasks ask of tools, an account, and what ran there before.
type toolbox struct {
	*toolrun.Runner
	*account.Account
	env *ops.Environment
	st  *store.Store // nil where a plan alone is made, without documents
}

// Constants are those of the task in this environment.
func (t toolbox) Constants(task *ops.Task) (ops.Values, error) { return task.ConstantsFor(t.env) }

// How far back the last run of a tool is looked for.
const (
	lastWithin = 180 * 24 * time.Hour
	lastAmong  = 2000
)

// Last is how the task last succeeded for a target, nil when it did not. What cannot
// be read is passed over: it is told for comparison only.
func (t toolbox) Last(ctx context.Context, task ops.TaskName, target string) (*tasks.Earlier, error) {
	if t.st == nil {
		return nil, nil
	}
	seen := 0
	for e, err := range t.st.Index(ctx) {
		if seen++; seen > lastAmong || err == nil && time.Since(e.Run.Time()) > lastWithin {
			break
		}
		if err != nil || e.Environment != t.env.Name || e.Run.Task() != task {
			continue
		}
		results, err := t.st.Results(ctx, ops.RunRef{Lane: e.Lane, Run: e.Run})
		if err != nil || len(results) == 0 || results[len(results)-1].Outcome != ops.Succeeded {
			continue
		}
		for _, effect := range results[len(results)-1].Effects {
			if effect.ID == target && effect.Outcome == ops.EffectDone {
				return &tasks.Earlier{Run: e.Run, After: effect.After}, nil
			}
		}
	}
	return nil, ctx.Err()
}
