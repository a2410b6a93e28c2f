package proof_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/local"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// A rig is a sandbox behind a gate, a store, and the environment in which synops
// processes are started against both.
type rig struct {
	t       testing.TB
	synapse *sandbox.Synapse
	gate    *gate
	store   *store.Store
	dir     string
	home    string
	token   string
	host    string
	lost    func(effect string) int // answers that did not reach who sent it; nil: none
	environ []string                // for every synops process, beside what it always gets
	conns   atomic.Int64            // to the service, open
}

const wait = 2 * time.Minute

func newRig(t testing.TB, c sandbox.Config) *rig {
	t.Helper()
	r := newRigIn(t, c, filepath.Join(t.TempDir(), "store"))
	return r
}

// newRigIn is newRig with the store in a folder that is there, or may be made.
func newRigIn(t testing.TB, c sandbox.Config, dir string) *rig {
	t.Helper()
	c.NoThrottle, c.Clients, c.Users, c.Entities = true, 10_000, 10_000, 10_000
	if c.Token == "" {
		c.Token = sandbox.AdminToken
	}
	r := &rig{t: t, synapse: sandbox.New(c), dir: dir, home: t.TempDir(), token: c.Token}
	r.gate = newGate(r.synapse)
	st, err := store.Open(t.Context(), dir)
	r.ok(err)
	r.store = st
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.ok(err)
	r.host = "http://" + l.Addr().String()
	server := &http.Server{Handler: r.gate, ReadHeaderTimeout: wait, ConnState: r.connected}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	r.ok(os.WriteFile(r.config(), fmt.Appendf(nil, `environments:
  dev:
    repository: Sage-Bionetworks/synapse-ops-dev
    synapse_hosts: [%q]
    token_source: env:SYNAPSE_ADMIN_PAT
    max_targets: 1000
`, r.host), 0o600))
	t.Cleanup(r.killLeftovers)
	return r
}

func (r *rig) config() string { return filepath.Join(r.home, "environments.yaml") }

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// killLeftovers ends the workers that a failed test left behind.
func (r *rig) killLeftovers() {
	found, _ := filepath.Glob(filepath.Join(r.dir, "*/runs/*/attempts/*.json"))
	for _, path := range found {
		var a ops.Attempt
		b, _ := os.ReadFile(path)
		if json.Unmarshal(b, &a) == nil {
			ctx, stop := context.WithTimeout(context.Background(), wait)
			_ = r.engine().Stop(ctx, ops.Execution{}, &a)
			stop()
		}
	}
	if r.t.Failed() {
		logs, _ := filepath.Glob(filepath.Join(r.dir, "*/runs/*/logs/*.log"))
		for _, path := range logs {
			b, _ := os.ReadFile(path)
			r.t.Logf("%s:\n%s", filepath.Base(path), b)
		}
	}
}

// engine asks about the processes that synops started.
func (r *rig) engine() *local.Engine {
	host, _ := os.Hostname()
	return local.New(local.Config{Host: host, LogFile: r.store.LogFile})
}

// command is a synops process that was not started yet.
func (r *rig) command(args ...string) *exec.Cmd {
	exe, err := os.Executable()
	r.ok(err)
	cmd := exec.Command(exe, args...)
	cmd.Env = []string{"HOME=" + r.home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + r.home, "SYNOPS_CONFIG=" + r.config(), "CONTEXT=dev", "SYNAPSE_ADMIN_PAT=" + r.token,
		"GORACE=atexit_sleep_ms=0"} // the race detector would linger a second at each end
	if dir := os.Getenv("GOCOVERDIR"); dir != "" {
		cmd.Env = append(cmd.Env, "GOCOVERDIR="+dir)
	}
	cmd.Env = append(cmd.Env, r.environ...)
	cmd.Args = append(cmd.Args, "--store", r.store.URL())
	return cmd
}

// An outcome is how a synops process ended.
type outcome struct {
	code     int
	out, err string
}

// synops runs a command to its end.
func (r *rig) synops(args ...string) outcome {
	r.t.Helper()
	return r.finish(r.command(args...))
}

func (r *rig) finish(cmd *exec.Cmd) outcome {
	r.t.Helper()
	return r.backgroundOf(cmd)()
}

// want runs a command and fails unless it ends with the code.
func (r *rig) want(code int, args ...string) outcome {
	r.t.Helper()
	o := r.synops(args...)
	if o.code != code {
		r.t.Fatalf("synops %s ended with %d, want %d\n%s%s", strings.Join(args, " "), o.code, code, o.out, o.err)
	}
	return o
}

// start starts a run and leaves it.
func (r *rig) start(args ...string) ops.RunRef {
	r.t.Helper()
	o := r.want(0, append(append([]string{"run"}, args...), "--detach", "--format", "json")...)
	var doc struct{ Run ops.RunID }
	r.ok(json.Unmarshal([]byte(o.out), &doc))
	ref := ops.RunRef{Lane: ops.LaneAdmin, Run: doc.Run}
	return ref
}

// result is the newest result, nil while there is none.
func (r *rig) result(ref ops.RunRef) *ops.Result {
	s, err := r.store.Status(context.Background(), ref)
	r.ok(err)
	return s.Result
}

// runPath is where one of a run's documents is.
func (r *rig) runPath(ref ops.RunRef, name string) string {
	return filepath.Join(r.dir, string(ref.Lane), "runs", string(ref.Run), name)
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// docs counts a run's journal documents; 0 while there is no run.
func (r *rig) docs() int {
	found, _ := filepath.Glob(filepath.Join(r.dir, "*/runs/*/journal/*.jsonl"))
	return len(found)
}

// await waits until something holds.
func (r *rig) await(what string, holds func() bool) {
	r.t.Helper()
	look := time.NewTicker(100 * time.Microsecond)
	defer look.Stop()
	for deadline := time.Now().Add(wait); !holds(); <-look.C {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %v for %s", wait, what)
		}
	}
}

// attempt waits for attempt n to begin.
func (r *rig) attempt(ref ops.RunRef, n int) *ops.Attempt {
	r.t.Helper()
	path := r.runPath(ref, fmt.Sprintf("attempts/%04d.json", n))
	r.await(fmt.Sprintf("attempt %d", n), func() bool { return there(path) })
	b, err := os.ReadFile(path)
	r.ok(err)
	var a ops.Attempt
	r.ok(json.Unmarshal(b, &a))
	return &a
}

func pidOf(a *ops.Attempt) int {
	pid, _, _ := strings.Cut(a.Process, "/")
	n, _ := strconv.Atoi(pid)
	return n
}

// kill kills a run's worker, wherever it is, and waits until it is gone and what it
// had sent has arrived.
func (r *rig) kill(ref ops.RunRef, a *ops.Attempt) {
	r.t.Helper()
	r.signal(pidOf(a), syscall.SIGKILL)
	r.gone(a)
	// What it sent may still be on its way. Connections are accepted in order: once one
	// more was served, the service knows all that the worker ever made.
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := c.Get(r.host)
	r.ok(err)
	r.ok(answer.Body.Close())
	r.await("what the worker sent to be served", func() bool { return r.conns.Load() == 0 })
}

// connected counts the connections to the service.
func (r *rig) connected(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		r.conns.Add(1)
	case http.StateClosed:
		r.conns.Add(-1)
	default: // open still
	}
}

func (r *rig) signal(pid int, s syscall.Signal) {
	r.t.Helper()
	if pid <= 1 {
		r.t.Fatalf("%d is no worker", pid)
	}
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		r.t.Fatal(err)
	}
}

func (r *rig) gone(a *ops.Attempt) {
	r.t.Helper()
	r.await("the worker to be gone", func() bool {
		live, err := r.engine().Liveness(context.Background(), ops.Execution{}, a)
		r.ok(err)
		return live == ops.Gone
	})
}

// entries reads a run's journal, whose chain must hold, with the document of each.
func (r *rig) entries(ref ops.RunRef) (all []ops.Entry, docs []int) {
	r.t.Helper()
	s, err := r.store.Status(context.Background(), ref)
	r.ok(err)
	chain, doc := ops.NewChain(s.Starts[0].Request), 0
	for data, err := range r.store.Journal(context.Background(), ref, 0) {
		r.ok(err)
		doc++
		r.ok(chain.Decode(data, func(e ops.Entry) error {
			all, docs = append(all, e), append(docs, doc)
			return nil
		}))
	}
	return all, docs
}

// intact fails unless the run's documents verify.
func (r *rig) intact(ref ops.RunRef) {
	r.t.Helper()
	v, err := r.store.Verify(context.Background(), ref)
	r.ok(err)
	if v.Broken != "" {
		r.t.Errorf("verify: %s", v.Broken)
	}
}
