package rehearsal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A GitHub runs the ops repositories' workflows with act, on this machine. What act
// does not do is stood in for in a copy of core's workflows: a job that names an
// environment waits for a reviewer, and gets that environment's variable and claims.
// Everything else is as it is released.
type GitHub struct {
	s   *Stage
	act string
	dir string
}

// A Dispatch is one workflow run.
type Dispatch struct {
	Workflow string // file in the dashboard's .github/workflows
	Inputs   map[string]string
	Run      int // its ID
	Attempt  int // 0: 1
	// Vars replace the repository's variables, Env those of its jobs' processes.
	Vars, Env map[string]string
	// Claims is the repository that the jobs' tokens are of; nil: the dashboard's.
	Claims *Environment
	// Review is called when a job waits for a reviewer; nil, and nil from it, are yes.
	Review func(ctx context.Context) error
}

// GitHub makes the ops repositories of the dashboards, and builds act. Build has been
// called.
func (s *Stage) GitHub(ctx context.Context) (*GitHub, error) {
	g := &GitHub{s: s, dir: filepath.Join(s.Dir, "github"), act: filepath.Join(s.Dir, "bin", "act")}
	cmd := exec.CommandContext(ctx, "go", "build", "-modfile=tools/go.mod", "-o", g.act, "github.com/nektos/act")
	cmd.Dir, cmd.Env = filepath.Join(s.Dir, "release"), append(s.toolEnviron(), "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building act: %w\n%s", errors.Join(ctx.Err(), err), text)
	}
	for _, dir := range []string{"approvals", "released", "tools"} {
		if err := os.MkdirAll(filepath.Join(g.dir, dir), 0o700); err != nil {
			return nil, fmt.Errorf("making a folder: %w", err)
		}
	}
	if err := g.publish(); err != nil {
		return nil, err
	}
	for _, env := range s.Environments() {
		if err := g.repository(ctx, env); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// publish makes the release's files, and a gh that knows no other.
func (g *GitHub) publish() error {
	program, err := os.ReadFile(g.s.Synops)
	if err != nil {
		return fmt.Errorf("reading the program: %w", err)
	}
	name := "synops-linux-amd64"
	if runtime.GOARCH == "arm64" {
		name = "synops-linux-arm64"
	}
	sums := fmt.Sprintf("%x  %s\n", sha256.Sum256(program), name)
	at := filepath.Join(g.dir, "released")
	for file, data := range map[string][]byte{name: program, "checksums.txt": []byte(sums), "attestations.jsonl": []byte(sums)} {
		if err := os.WriteFile(filepath.Join(at, file), data, 0o600); err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
	}
	gh := fmt.Sprintf(ghScript, at, g.s.release(), owner+"/"+core)
	if err := os.WriteFile(filepath.Join(g.dir, "tools", "gh"), []byte(gh), 0o700); err != nil { //nolint:gosec // it is run
		return fmt.Errorf("publishing: %w", err)
	}
	return nil
}

// ghScript is as much of gh as the action uses: one release, and what is attested of
// it.
const ghScript = `#!/usr/bin/env bash
set -euo pipefail
at=%s tag=%s core=%s
case "$1 $2" in
"release download") [ "$3" = "$tag" ] && [ "$5" = "$core" ] && cp "$at"/* . ;;
"attestation verify")
  [[ " $* " == *" --signer-workflow $core/.github/workflows/release.yml --source-ref refs/tags/$tag "* ]] && sha256sum --check --status "${7}" ;;
*) echo "gh $*: not in this rehearsal" >&2; exit 1 ;;
esac
`

// repository makes an environment's ops repository of its dashboard.
func (g *GitHub) repository(ctx context.Context, env *Environment) error {
	at := g.checkout(env)
	if err := os.CopyFS(at, os.DirFS(filepath.Join(g.s.Dir, "release", "dashboards", filepath.Base(env.Repository)))); err != nil {
		return fmt.Errorf("making %s: %w", env.Repository, err)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"}, {"remote", "add", "origin", "https://github.com/" + env.Repository}, {"add", "--all"},
		{"-c", "user.name=rehearsal", "-c", "user.email=rehearsal@example.org", "commit", "--quiet", "--message=dashboard"},
	} {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir, cmd.Env = at, append(g.s.toolEnviron(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("making %s: git %s: %w\n%s", env.Repository, args[0], err, text)
		}
	}
	return nil
}

func (g *GitHub) checkout(env *Environment) string { return filepath.Join(g.dir, "ops-"+env.Name) }

// Dispatch runs a workflow of the environment's ops repository and returns its log.
// An exit code other than 0 is a workflow run that went red.
func (g *GitHub) Dispatch(ctx context.Context, env *Environment, d Dispatch, log io.Writer) (*Answer, error) {
	claims := d.Claims
	if claims == nil {
		claims = env
	}
	vars := g.s.Job(env, Job{Workflow: "run-task.yml"}).Vars
	maps.Copy(vars, d.Vars)
	role := vars["ROLE_TO_ASSUME"] // as the variables have it: the account that is asked
	coreAt, err := g.core(claims, role)
	if err != nil {
		return nil, err
	}
	event := filepath.Join(g.dir, fmt.Sprintf("event-%d.json", d.Run))
	data, err := json.Marshal(map[string]any{"inputs": d.Inputs})
	if err != nil {
		return nil, fmt.Errorf("writing the event: %w", err)
	}
	if err := os.WriteFile(event, data, 0o600); err != nil {
		return nil, fmt.Errorf("writing the event: %w", err)
	}
	args := []string{
		"workflow_dispatch", "-C", g.checkout(env), "-W", ".github/workflows/" + d.Workflow, "-e", event, "-P", "ubuntu-24.04=-self-hosted", "--no-cache-server",
		"--action-cache-path", filepath.Join(g.dir, "cache"), "--local-repository", owner + "/" + core + "@" + g.s.release() + "=" + coreAt, "-a", "octocat", "-s", "GITHUB_TOKEN=" + GitHubToken,
	}
	for _, name := range []string{"CONTEXT", "SYNAPSE_HOST", "VPC_ID", "SUBNETS", "SECURITY_GROUP_IDS", "SYNAPSE_DEPLOYMENT_ROLE", "ROLE_TO_ASSUME"} {
		args = append(args, "--var", name+"="+vars[name])
	}
	own := map[string]string{
		"GITHUB_RUN_ID": strconv.Itoa(d.Run), "GITHUB_RUN_ATTEMPT": strconv.Itoa(max(1, d.Attempt)), "APPROVALS": filepath.Join(g.dir, "approvals"),
		"GITHUB_REPOSITORY": vars["GITHUB_REPOSITORY"], "GITHUB_REPOSITORY_ID": env.RepositoryID, "ACTIONS_ID_TOKEN_REQUEST_URL": vars["ACTIONS_ID_TOKEN_REQUEST_URL"],
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED", "SYNOPS_CONFIG", "GITHUB_API_URL"} {
		own[name] = vars[name]
	}
	maps.Copy(own, d.Env)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		args = append(args, "--env", name+"="+own[name])
	}
	return g.run(ctx, d, args, log)
}

// run runs act, and has the reviewer decide when one is asked.
func (g *GitHub) run(ctx context.Context, d Dispatch, args []string, log io.Writer) (*Answer, error) {
	ctx, stop := context.WithTimeout(ctx, 4*time.Minute)
	defer stop()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, g.act, args...)
	cmd.Env = append(g.s.handedOn("USER", "LOGNAME", "LANG"), "HOME="+filepath.Join(g.s.Dir, "home"), "PATH="+filepath.Join(g.dir, "tools")+string(filepath.ListSeparator)+g.s.config.Getenv("PATH"))
	both := io.MultiWriter(&out, log) // one writer, so that no two write at once
	cmd.Stdout, cmd.Stderr = both, both
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("running act: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	asked, yes := g.approval(d, "asked"), g.approval(d, "yes")
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	var reviewErr error
	for {
		select {
		case err := <-ended:
			if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() < 0) {
				return nil, fmt.Errorf("running act: %w", err)
			}
			return &Answer{Code: cmd.ProcessState.ExitCode(), Stdout: out.String(), Took: time.Since(began)}, reviewErr
		case <-look.C:
			if _, err := os.Stat(asked); err != nil {
				continue
			}
			_ = os.Remove(asked) // asked once, told once
			if d.Review != nil {
				reviewErr = d.Review(ctx)
			}
			if err := os.WriteFile(yes, nil, 0o600); err != nil {
				return nil, fmt.Errorf("approving: %w", err)
			}
		}
	}
}

func (g *GitHub) approval(d Dispatch, what string) string {
	return filepath.Join(g.dir, "approvals", fmt.Sprintf("%d-%d.%s", d.Run, max(1, d.Attempt), what))
}

// core is a copy of core's workflows for jobs whose tokens are of claims' repository,
// in the account that observe is of.
func (g *GitHub) core(claims *Environment, observe string) (string, error) {
	at := filepath.Join(g.dir, "core-"+claims.Name+"-"+strings.NewReplacer(":", "-", "/", "-").Replace(observe))
	if _, err := os.Stat(at); err == nil {
		return at, nil
	}
	from := filepath.Join(g.s.Dir, "release", ".github")
	if err := os.CopyFS(filepath.Join(at, ".github"), os.DirFS(from)); err != nil {
		return "", fmt.Errorf("copying core's workflows: %w", err)
	}
	files, err := fs.Glob(os.DirFS(from), "workflows/*.yml")
	if err != nil {
		return "", fmt.Errorf("copying core's workflows: %w", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			return "", fmt.Errorf("copying core's workflows: %w", err)
		}
		stood := g.standIn(string(text), filepath.Base(file), claims, observe)
		if err := os.WriteFile(filepath.Join(at, ".github", file), []byte(stood), 0o600); err != nil {
			return "", fmt.Errorf("copying core's workflows: %w", err)
		}
	}
	return at, nil
}

// standIn writes into each job of a workflow what GitHub gives it: its identity, and
// where it names an environment, the wait for a reviewer and that environment's role.
func (g *GitHub) standIn(text, file string, claims *Environment, observe string) string {
	head, jobs, ok := strings.Cut(text, "\njobs:\n")
	if !ok {
		return text
	}
	var out strings.Builder
	out.WriteString(head + "\njobs:\n")
	for _, job := range splitJobs(jobs) {
		reviewed := strings.Contains(job, "\n    environment: ")
		role := observe
		if reviewed {
			role = strings.Replace(observe, "synops-observe", "synops-perform", 1)
		}
		token := g.s.Job(claims, Job{Workflow: file, Ref: "refs/tags/" + g.s.release(), Reviewed: reviewed}).Vars["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
		job = strings.ReplaceAll(job, "${{ vars.ROLE_TO_ASSUME }}", role)
		job = strings.Replace(job, "    runs-on: ubuntu-24.04\n", "    runs-on: ubuntu-24.04\n    env:\n      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "+token+"\n", 1)
		if reviewed {
			job = strings.Replace(job, "    steps:\n", "    steps:\n"+reviewStep, 1)
		}
		out.WriteString(job)
	}
	return out.String()
}

const reviewStep = `    - name: a reviewer of GitHub's environment
      run: touch "$APPROVALS/$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT.asked"; until [ -e "$APPROVALS/$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT.yes" ]; do sleep 0.05; done
`

// splitJobs cuts a workflow's jobs apart: each begins with its name, two columns in.
func splitJobs(text string) (jobs []string) {
	for line := range strings.Lines(text) {
		name := strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") && !strings.HasPrefix(line, "  #")
		if name || len(jobs) == 0 {
			jobs = append(jobs, "")
		}
		jobs[len(jobs)-1] += line
	}
	return jobs
}
