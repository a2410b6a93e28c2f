package rehearsal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An Actor is who gives commands: a name for people, and the variables of the
// process. Vars may be changed.
type Actor struct {
	Who  string
	Vars map[string]string
}

// vars are what every process has that works with this stage.
func (s *Stage) vars(env *Environment) map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL": s.URL, "AWS_REGION": Region, "AWS_DEFAULT_REGION": Region, "AWS_EC2_METADATA_DISABLED": "true",
		"GITHUB_API_URL": s.GitHubURL, "SYNOPS_CONFIG": s.EnvironmentsFile(),
		"SYNAPSE_HOST": env.Host, "VPC_ID": env.VPC.ID, "SUBNETS": env.subnets(), "SECURITY_GROUP_IDS": strings.Join(env.VPC.SecurityGroups, ","),
	}
}

func (e *Environment) subnets() string {
	var ids []string
	for _, n := range e.VPC.Subnets {
		ids = append(ids, n.ID)
	}
	return strings.Join(ids, ",")
}

// Role is the ARN of one of the account's roles.
func (e *Environment) Role(name string) string { return "arn:aws:iam::" + e.Account + ":role/" + name }

// Administrator is the account's administrator at a terminal, with GitHub's token.
func (s *Stage) Administrator(env *Environment) Actor {
	vars := s.vars(env)
	vars["AWS_ACCESS_KEY_ID"], vars["AWS_SECRET_ACCESS_KEY"] = s.Cloud.AdminCredentials(env.Account)
	vars["GH_TOKEN"] = GitHubToken
	return Actor{"administrator of " + env.Name, vars}
}

// A Job is what GitHub says of one of a workflow's jobs.
type Job struct {
	Workflow string // file of core's workflow that the job is of, such as run-task.yml
	Ref      string // of that file; "": refs/heads/main
	Reviewed bool   // the job names the GitHub environment, whose reviewers have said yes
	Run      int    // the workflow run's ID; 0: 1
}

// Job is a job of a workflow in the environment's ops repository, with that
// repository's variables and a token of its own. ROLE_TO_ASSUME is what a job sees:
// the GitHub environment's where it names one, else the repository's.
func (s *Stage) Job(env *Environment, j Job) Actor {
	ref, run := j.Ref, strconv.Itoa(max(1, j.Run))
	if ref == "" {
		ref = "refs/heads/main"
	}
	subject, role, who := "ref:refs/heads/main", "synops-observe", ""
	claims := map[string]any{
		"repository": env.Repository, "repository_id": env.RepositoryID, "repository_owner_id": strconv.Itoa(organizationID), "ref": "refs/heads/main",
		"run_id": run, "job_workflow_ref": owner + "/" + core + "/.github/workflows/" + j.Workflow + "@" + ref,
	}
	if j.Reviewed {
		subject, role, who = "environment:"+env.Name, "synops-perform", ", after its reviewers' yes"
		claims["environment"] = env.Name
	}
	claims["sub"] = "repo:" + env.Repository + ":" + subject
	vars := s.vars(env)
	maps.Copy(vars, map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL": s.IssuerURL + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": s.Issuer.Job(claims),
		"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": env.Repository, "GITHUB_REPOSITORY_ID": env.RepositoryID, "GITHUB_ACTOR": "octocat",
		"GITHUB_RUN_ID": run, "GITHUB_RUN_ATTEMPT": "1", "GITHUB_JOB": "synops", "GH_TOKEN": GitHubToken, "CONTEXT": env.Name,
		"ROLE_TO_ASSUME": env.Role(role), "SYNAPSE_DEPLOYMENT_ROLE": env.Role("synops-deploy"),
	})
	return Actor{fmt.Sprintf("job of %s in synapse-ops-%s%s", j.Workflow, env.Name, who), vars}
}

// Environ is the actor's process environment, as NAME=VALUE, sorted.
func (s *Stage) Environ(a Actor) []string {
	env := append(s.handedOn("PATH", "USER", "LOGNAME", "LANG", "TERM"), "HOME="+filepath.Join(s.Dir, "home"), "TMPDIR="+filepath.Join(s.Dir, "tmp"), "TZ=UTC")
	for name, value := range a.Vars {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// A Command is one call of synops.
type Command struct {
	Actor Actor
	Args  []string
	Stdin string
	// Progress gets standard error as it is printed, Result standard output once the
	// command has ended: so they are in the order in which a person reads them. nil:
	// nobody.
	Progress, Result io.Writer
}

// An Answer is how a command ended.
type Answer struct {
	Code           int
	Stdout, Stderr string
	Took           time.Duration
}

// Run runs synops. The error is for a command that did not run to an exit code of
// its own: any code is an answer. When ctx ends it is interrupted, as by Ctrl-C.
func (s *Stage) Run(ctx context.Context, c Command) (*Answer, error) {
	if s.Synops == "" {
		return nil, errors.New("synops was not built: call Build first")
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, s.Synops, c.Args...)
	cmd.Env, cmd.Dir, cmd.Stdin = s.Environ(c.Actor), s.Dir, strings.NewReader(c.Stdin)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if c.Progress != nil {
		cmd.Stderr = io.MultiWriter(&errs, c.Progress)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 20 * time.Second
	began := time.Now()
	err := cmd.Run()
	if c.Result != nil {
		_, _ = c.Result.Write(out.Bytes()) // it is in the answer too
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("running synops %s: %w", strings.Join(c.Args, " "), err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() < 0) {
		return nil, fmt.Errorf("running synops %s: %w", strings.Join(c.Args, " "), err)
	}
	return &Answer{cmd.ProcessState.ExitCode(), out.String(), errs.String(), time.Since(began)}, nil
}
