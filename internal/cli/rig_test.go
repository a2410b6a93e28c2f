package cli_test

import (
	"bytes"
	"context"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cli"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// A rig is one sandbox with an environments file and a store of its own, and
// synops run against them in this process.
type rig struct {
	t    *testing.T
	dir  string
	dev  *sandbox.Synapse
	vars map[string]string
	now  func() time.Time

	apart bool // commands are processes of their own, and die with their context
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), dev: sandbox.New(sandbox.Config{NoThrottle: true, Instance: "dev544", JobPolls: -1})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go func() { _ = r.dev.Serve(ctx, l) }()
	config := r.file("environments.yaml", string(environmentsFile("http://"+l.Addr().String(), "https://repo-prod.prod.sagebase.org")))
	r.vars = map[string]string{
		"GORACE": os.Getenv("GORACE"), "SANDBOX": "http://" + l.Addr().String(), "SYNOPS_CONFIG": config, "SYNAPSE_ADMIN_PAT": sandbox.AdminToken, "HOME": r.dir, "PATH": os.Getenv("PATH"), "TZ": "UTC",
		"XDG_STATE_HOME": filepath.Join(r.dir, "state"), "XDG_CACHE_HOME": filepath.Join(r.dir, "cache"),
	}
	return r
}

// file writes a file of the rig and returns its path.
func (r *rig) file(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// answer is how a command ended.
type answer struct {
	code           int
	stdout, stderr string
}

// synops runs a command line in this process; vars override the rig's variables.
func (r *rig) synops(vars map[string]string, args ...string) answer {
	r.t.Helper()
	return r.in(r.t.Context(), vars, args...)
}

// in is synops in a context that may end.
func (r *rig) in(ctx context.Context, vars map[string]string, args ...string) answer {
	r.t.Helper()
	var out, errs bytes.Buffer
	all := maps.Clone(r.vars)
	maps.Copy(all, vars)
	worker, err := exec.LookPath("synops")
	if err != nil {
		r.t.Fatal(err)
	}
	if r.apart {
		return r.process(ctx, worker, all, args)
	}
	code := cli.Main(ctx, args, cli.Process{
		In: strings.NewReader(""), Out: &out, Err: &errs, Width: 100, Host: "laptop", Command: []string{worker}, Now: r.now,
		Getenv: func(name string) string { return all[name] },
	})
	for line := range strings.Lines(out.String() + errs.String()) {
		if n := strings.Count(line, "synops "); n > 0 && strings.Count(line, " -e ") > n {
			r.t.Errorf("a command is shown that names its environment twice: %s", line)
		}
	}
	return answer{code, out.String(), errs.String()}
}

// process runs a command line as a process of its own, which is killed when ctx ends.
func (r *rig) process(ctx context.Context, program string, vars map[string]string, args []string) answer {
	r.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = environ(vars), &out, &errs, 10*time.Second
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	return answer{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// environ is variables for a real process.
func environ(vars map[string]string) []string {
	var env []string
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	return env
}
