package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/local"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Show the main job on this machine: tasks, a refusal, a killed worker and its resume", Args: noArgs,
		Long: "demo starts two in-memory Synapse stacks, dev and prod, in a folder that is removed afterwards, and\nruns the commands it prints as an operator would.",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context()) },
	}
}

// A demo is two sandbox stacks and a folder, and the commands run against them.
type demo struct {
	a         *app
	dir       string
	dev, prod string // base URLs
	stack     *sandbox.Synapse
	store     *store.Store
}

// mostDemo bounds the whole of it.
const mostDemo = 2 * time.Minute

func (a *app) demo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, mostDemo)
	defer cancel()
	dir, err := os.MkdirTemp("", "synops-demo-")
	if err != nil {
		return fmt.Errorf("making the demo's folder: %w", err)
	}
	defer os.RemoveAll(dir)
	d := &demo{a: a, dir: dir}
	if err := d.stacks(ctx); err != nil {
		return err
	}
	if d.store, err = store.Open(ctx, filepath.Join(dir, "state", "synops")); err != nil {
		return err
	}
	for _, act := range []func(context.Context) error{d.allowList, d.publish, d.remove, d.refused, d.killed, d.lookBack} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	d.say("\nThat was the main job on one machine. The sandbox and its documents are gone again.")
	return nil
}

// stacks starts dev and prod and writes the environments file that tells them
// apart.
func (d *demo) stacks(ctx context.Context) error {
	dev, prod := sandbox.NewPair(sandbox.Config{NoThrottle: true})
	d.stack = dev
	for _, s := range []struct {
		synapse *sandbox.Synapse
		url     *string
	}{{dev, &d.dev}, {prod, &d.prod}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listening on loopback: %w", err)
		}
		*s.url = "http://" + l.Addr().String()
		go func() { _ = s.synapse.Serve(ctx, l) }()
	}
	file := fmt.Sprintf("environments:\n  dev:\n    repository: Sage-Bionetworks/synapse-ops-dev\n    synapse_hosts: [%q]\n    instances: [\"dev*\"]\n"+
		"  prod:\n    repository: Sage-Bionetworks/synapse-ops-prod\n    synapse_hosts: [%q]\n    instances: [\"[0-9]*\"]\n", d.dev, d.prod)
	return os.WriteFile(d.config(), []byte(file), 0o600)
}

func (d *demo) config() string { return filepath.Join(d.dir, "environments.yaml") }

func (d *demo) allowList(ctx context.Context) error {
	d.scene("Allow-list an OAuth client")
	_, err := d.command(ctx, exitSucceeded, nil, "run", "verify-oauth-client", "client-ids=100001", "-e", "dev")
	return err
}

func (d *demo) publish(ctx context.Context) error {
	d.scene("Open a data set to the public")
	_, err := d.command(ctx, exitSucceeded, nil, "run", "publish-dataset", "entities=syn124", "-e", "dev", "--reason", "data release 12")
	return err
}

var digestInText = ops.Pattern(`sha256:[0-9a-f]{64}`)

func (d *demo) remove(ctx context.Context) error {
	d.scene("Plan the removal of a user: nothing is changed yet")
	plan, err := d.command(ctx, exitSucceeded, nil, "plan", "remove-user", "users=3350397", "-e", "dev")
	if err != nil {
		return err
	}
	d.scene("Remove the user, bound to that plan and confirmed with the answer it asks for")
	_, err = d.command(ctx, exitSucceeded, nil, "run", "remove-user", "users=3350397", "-e", "dev", "--plan", digestInText().FindString(plan), "--confirm", "rroe")
	return err
}

func (d *demo) refused(ctx context.Context) error {
	d.scene("A dev request aimed at prod's host is refused before anything is asked")
	_, err := d.command(ctx, exitRefused, []string{varHost + "=" + d.prod}, "run", "remove-user", "users=3350396", "-e", "dev", "--confirm", "jdoe")
	return err
}

// killed kills a worker in the middle of a bulk and goes on with its run.
func (d *demo) killed(ctx context.Context) error {
	d.scene("Kill a worker in the middle of 24 users, and go on with its run")
	d.stack.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Path: "certificationStatus", Latency: sandbox.Duration(80 * time.Millisecond)}}})
	var users []string
	for i := range 24 {
		users = append(users, fmt.Sprint(3400001+i))
	}
	out, err := d.command(ctx, exitSucceeded, nil, "run", "decertify-user", "users="+strings.Join(users, ","), "-e", "dev", "--detach")
	if err != nil {
		return err
	}
	run, err := ops.ParseRunID(regexp.MustCompile(`[0-9]{8}T[0-9]{6}Z-[a-z0-9-]+`).FindString(out))
	if err != nil {
		return err
	}
	ref, err := d.store.Find(ctx, run)
	if err != nil {
		return err
	}
	if err := d.killOnce(ctx, ref, 5); err != nil {
		return err
	}
	if _, err := d.command(ctx, exitSucceeded, nil, "show", string(run)); err != nil {
		return err
	}
	if _, err := d.command(ctx, exitSucceeded, nil, "resume", string(run)); err != nil {
		return err
	}
	_, err = d.command(ctx, exitSucceeded, nil, "verify", string(run))
	return err
}

// killOnce kills the run's worker once so many effects were performed.
func (d *demo) killOnce(ctx context.Context, ref ops.RunRef, performed int64) error {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for d.performed() < performed {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the worker: %w", ctx.Err())
		case <-poll.C:
		}
	}
	attempts, err := d.store.Attempts(ctx, ref)
	if err != nil || len(attempts) == 0 {
		return fmt.Errorf("looking for the worker: %w", errors.Join(err, ctx.Err()))
	}
	pid, _, _ := strings.Cut(attempts[0].Process, "/")
	d.say("$ kill -9 %s", pid)
	engine := local.New(local.Config{Host: d.a.p.Host})
	return engine.Stop(ctx, ops.Execution{}, &attempts[0])
}

// performed counts the changes the sandbox answered.
func (d *demo) performed() int64 {
	n := int64(0)
	for route, count := range d.stack.Counts() {
		if strings.Contains(route, "certificationStatus") {
			n += count
		}
	}
	return n
}

func (d *demo) lookBack(ctx context.Context) error {
	d.scene("Look back")
	_, err := d.command(ctx, exitSucceeded, nil, "runs", "-e", "dev")
	return err
}

// say prints on standard output: here the commands are the result.
func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.a.out, format+"\n", args...) }

func (d *demo) scene(title string) {
	bold, plain := "", ""
	if d.a.p.Color {
		bold, plain = "\x1b[1m", "\x1b[0m"
	}
	d.say("\n%s── %s%s\n", bold, title, plain)
}

// command runs synops as an operator would, prints command and output, and
// returns the output. Another exit code than the wanted one is an error.
func (d *demo) command(ctx context.Context, want int, extra []string, args ...string) (string, error) {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = ops.ShellQuote(arg)
		if len(arg) > 80 && strings.HasPrefix(arg, "users=") {
			words[i] = arg[:30] + "…"
		}
	}
	d.say("$ %s", strings.Join(append(append(append([]string{}, extra...), "synops"), words...), " "))
	d.a.flush()
	cmd := exec.CommandContext(ctx, d.a.p.Command[0], append(append([]string{}, d.a.p.Command[1:]...), args...)...)
	cmd.Env = append(d.a.p.environ("XDG_STATE_HOME="+filepath.Join(d.dir, "state"), "XDG_CACHE_HOME="+filepath.Join(d.dir, "cache"),
		varConfig+"="+d.config(), "SYNAPSE_ADMIN_PAT="+sandbox.AdminToken), extra...)
	var out bytes.Buffer
	both := io.MultiWriter(&out, d.a.out)
	cmd.Stdout, cmd.Stderr = both, both
	err := cmd.Run()
	d.a.flush()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return "", fmt.Errorf("running synops: %w", err)
	} else if ok && exit.ExitCode() < 0 {
		return "", fmt.Errorf("running synops: %w", err)
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		return "", ops.Errorf(ops.Internal, "synops %s ended with exit code %d, not %d.", args[0], code, want)
	} else if code != 0 {
		d.say("(exit code %d)", code)
	}
	return out.String(), nil
}
