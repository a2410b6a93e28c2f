package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
)

// Names of the process variables that commands about an account read.
const (
	varRole           = "ROLE_TO_ASSUME"
	varDeploymentRole = "SYNAPSE_DEPLOYMENT_ROLE"
	varGitHubAPI      = "GITHUB_API_URL"
)

// account signs in to the environment's account. role is the variable that names
// the role for a workflow's job, "" where no workflow's role will do; outside
// workflows the default chain says who we are.
func (a *app) account(ctx context.Context, env *ops.Environment, role string) (awsauth.Config, error) {
	o := awsauth.Options{Region: env.Region, SessionName: a.sessionName(), Getenv: a.p.Getenv}
	if role != "" {
		o.RoleARN = a.p.Getenv(role)
		if o.RoleARN == "" && awsauth.InActions(a.p.Getenv) {
			return awsauth.Config{}, &ops.Error{Code: ops.Invalid, Message: "The variable " + role + " is not set.", Hint: "Set it in the ops repository's settings; synops bootstrap prints its value."}
		}
	}
	return awsauth.Load(ctx, o)
}

// sessionName is what CloudTrail shows for what we do.
func (a *app) sessionName() string {
	if run := a.p.Getenv("GITHUB_RUN_ID"); run != "" {
		return "synops-" + run + "-" + a.p.Getenv("GITHUB_RUN_ATTEMPT")
	}
	return "synops-" + a.p.requester()
}

// deployer signs in and returns what changes the environment's account.
func (a *app) deployer(ctx context.Context, env *ops.Environment, role string) (*deploy.Deployer, error) {
	if env.Account == "" || env.Region == "" { // said before anybody is asked who we are
		return deploy.New(deploy.Config{Environment: env})
	}
	cfg, err := a.account(ctx, env, role)
	if err != nil {
		return nil, err
	}
	id, err := awsauth.WhoAmI(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return deploy.New(deploy.Config{Clients: deploy.Connect(cfg), Environment: env, Identity: id, Say: a.sayClean})
}

// sayClean is say for text that AWS had a part in.
func (a *app) sayClean(format string, args ...any) {
	a.say("%s", report.Clean(fmt.Sprintf(format, args...)))
}

// sayLines says lines, each made safe to print.
func (a *app) sayLines(lines []string) {
	for _, l := range lines {
		a.sayClean("%s", l)
	}
}

// printLines is sayLines for a result.
func printLines(w io.Writer, lines []string) error {
	for _, l := range lines {
		if _, err := fmt.Fprintln(w, report.Clean(l)); err != nil {
			return err
		}
	}
	return nil
}

// gitHub is GitHub's API as this process may ask it.
func (a *app) gitHub() *deploy.GitHub {
	g := &deploy.GitHub{URL: a.p.Getenv(varGitHubAPI)}
	if g.URL == "" {
		g.URL = "https://api.github.com"
	}
	for _, name := range []string{"GH_TOKEN", "GITHUB_TOKEN"} {
		if g.Token = a.p.Getenv(name); g.Token != "" {
			_ = a.secrets.Add(g.Token) // too short to be masked is too short to be a token
			break
		}
	}
	return g
}

// core is owner/name of the repository with the reusable workflows, "" if the
// environments file does not say.
func core(f *environments.File) string {
	if f.Owner == "" || f.Core == "" {
		return ""
	}
	return f.Owner + "/" + f.Core
}

// pairs reads --parameter flags.
func pairs(flags []string) (map[string]string, error) {
	out := map[string]string{}
	for _, flag := range flags {
		name, value, ok := strings.Cut(flag, "=")
		if _, twice := out[name]; !ok || name == "" || twice {
			return nil, &ops.Error{Code: ops.Invalid, Message: "--parameter " + shown(flag) + " is not NAME=VALUE, each name once.", Hint: "Such as --parameter LogRetentionDays=731."}
		}
		if ops.LooksSecret(value) {
			return nil, &ops.Error{Code: ops.Invalid, Message: "--parameter " + ops.Quote(name) + " looks like it holds an access token or a key.", Hint: "Secrets go in by synops secret put. If this was a real one, revoke it."}
		}
		out[name] = value
	}
	return out, nil
}

// confirm asks a person to type the environment's name, unless yes. Where nobody
// can be asked it refuses, by the guard confirm.
func (a *app) confirm(ctx context.Context, env ops.EnvironmentName, yes bool) error {
	if yes {
		return nil
	}
	f, ok := a.p.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return ops.Refuse("confirm", "Read what is said above, then add --yes.", "nobody can be asked here whether to go on in %s.", env)
	}
	fmt.Fprintf(a.err, "%s  Type %s to go on: ", a.mark(env), env)
	_ = a.err.Flush()
	return agreed(ctx, f, env)
}

// agreed reads a line and refuses unless it is the environment's name.
func agreed(ctx context.Context, in io.Reader, env ops.EnvironmentName) error {
	line := make(chan string, 1)
	go func() { // a read cannot be given up on; the process ends soon after
		text, _ := bufio.NewReader(in).ReadString('\n')
		line <- strings.TrimSpace(text)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case text := <-line:
		if text != string(env) {
			return ops.Refuse("confirm", "Nothing was changed.", "the answer was not %s.", env)
		}
		return nil
	}
}

// settled notes what a command about an account has not changed, for whoever reads
// of its failure.
func (a *app) settled(env ops.EnvironmentName) {
	a.trouble.Environment, a.trouble.Changed, a.trouble.Unchanged = env, "Nothing in the account.", "Everything is as it was."
}

// identity tells which account this process acts in, nil where it was given no
// credentials for any: then an environment that pins one is refused.
func (a *app) identity(env *ops.Environment) func(context.Context) (string, error) {
	if env.Account == "" || !awsauth.Configured(a.p.Getenv) {
		return nil
	}
	return func(ctx context.Context) (string, error) {
		s, err := a.signIn(ctx, env)
		if err != nil {
			return "", err
		}
		return s.account, nil
	}
}

// fetch reads a secret of the environment's account.
func (a *app) fetch(env *ops.Environment) func(context.Context, string) (string, error) {
	return func(ctx context.Context, name string) (string, error) {
		s, err := a.signIn(ctx, env)
		if err != nil {
			return "", err
		}
		return awsauth.Fetch(s.config)(ctx, name)
	}
}
