package toolrun

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A Program is one command of a tool.
type Program struct {
	Dir  string
	Home string // its HOME and temporary folder; made if need be
	Argv []string
	Env  []string // beyond what every program gets
	// Credentials: it may ask for the runner's.
	Credentials bool
}

// An Exit is how a program ended.
type Exit struct {
	Code   int
	Signal string // by which it ended; "" when it ended itself
	Took   time.Duration
	Stray  int   // processes it left behind, which were killed
	Left   int64 // lines of its output that were left out
	// Starved is why it was given no credentials when it asked last; nil otherwise.
	Starved error
}

// OK tells whether the program says that all went well.
func (e Exit) OK() bool { return e.Code == 0 && e.Signal == "" }

func (e Exit) String() string {
	if e.Signal != "" {
		return "was ended by " + e.Signal
	}
	return fmt.Sprintf("ended with exit code %d", e.Code)
}

// Run runs a program to its end and relays what it prints. When ctx ends, the
// program's whole group is asked to end, and killed after the runner's grace; the
// error is then the context's, and the exit tells how it ended. Whatever it left
// running is killed before Run returns. Only a program that could not be started,
// or that was told to end, is an error: how it ended by itself is in the exit.
func (r *Runner) Run(ctx context.Context, p Program, say Say) (Exit, error) {
	if !p.Credentials || r.c.Credentials == nil {
		return r.run(ctx, p, say)
	}
	e, err := r.openEndpoint()
	if err != nil {
		return Exit{}, err
	}
	defer e.close()
	p.Env = append(append([]string{}, p.Env...), e.env()...)
	exit, err := r.run(ctx, p, say)
	exit.Starved = e.trouble()
	return exit, err
}

// markName is the variable that tells a program's processes, wherever they went.
const markName = "SYNOPS_TOOL"

func (r *Runner) environment(p Program, mark string) []string {
	env := append([]string{}, r.c.Env...)
	env = append(env, "HOME="+p.Home, "TMPDIR="+p.Home, "AWS_EC2_METADATA_DISABLED=true", markName+"="+mark)
	if r.c.Region != "" {
		env = append(env, "AWS_REGION="+r.c.Region, "AWS_DEFAULT_REGION="+r.c.Region)
	}
	return append(env, p.Env...)
}

func (r *Runner) run(ctx context.Context, p Program, say Say) (Exit, error) {
	if len(p.Argv) == 0 {
		return Exit{}, ops.Errorf(ops.Invalid, "there is no program to run.")
	}
	if err := ctx.Err(); err != nil {
		return Exit{}, err
	}
	if err := os.MkdirAll(p.Home, 0o700); err != nil {
		return Exit{}, err
	}
	if err := r.profile(p.Home); err != nil {
		return Exit{}, err
	}
	chance := make([]byte, 12)
	_, _ = rand.Read(chance) // never fails; see crypto/rand
	mark := hex.EncodeToString(chance)
	out, in, err := os.Pipe()
	if err != nil {
		return Exit{}, err
	}
	defer out.Close()
	cmd := exec.Command(p.Argv[0], p.Argv[1:]...) // not CommandContext: it knows the process, not its group
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.Dir, r.environment(p, mark), in, in
	cmd.SysProcAttr = groupAttr()
	began := time.Now()
	ended, started := make(chan error, 1), make(chan error, 1)
	go func() {
		// The kernel kills the program when the thread that began it ends: it must be
		// one that lives as long as we do.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		in.Close()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return Exit{}, notStarted(p, err)
	}
	rel := newRelay(say, r.c.Relay)
	relayed := make(chan struct{})
	go func() {
		defer close(relayed)
		masked := r.c.Masked(rel)
		_, _ = io.Copy(masked, out) // until its end, or until we close it
		_ = masked.Close()
		rel.close()
	}()
	waitErr, told := r.await(ctx, cmd.Process.Pid, ended, say)
	exit := Exit{Took: time.Since(began)}
	// Nothing of it may outlive it: not its group, nor who left the group.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	exit.Stray = killMarked(mark)
	r.drain(out, relayed)
	exit.Left = rel.left()
	return exitOf(exit, waitErr, told)
}

// profile gives a program the profile "default", which some ask for by name. It
// holds the region alone: credentials come from the endpoint.
func (r *Runner) profile(home string) error {
	if r.c.Region == "" {
		return nil
	}
	dir := filepath.Join(home, ".aws")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config"), []byte("[default]\nregion = "+r.c.Region+"\n"), 0o600)
}

func notStarted(p Program, err error) error {
	e := &ops.Error{Code: ops.Unavailable, Err: err, Message: fmt.Sprintf("the program %s could not be started: %v.", ops.Quote(p.Argv[0]), err)}
	if errors.Is(err, exec.ErrNotFound) {
		e.Hint = "It is not on this machine. Use an image that has it."
	}
	return e
}

// await waits for the program's end; told is ctx's error once it ended it.
func (r *Runner) await(ctx context.Context, group int, ended <-chan error, say Say) (err, told error) {
	select {
	case err := <-ended:
		return err, nil
	case <-ctx.Done():
	}
	told = context.Cause(ctx)
	say("asking the program to end (SIGTERM)")
	_ = syscall.Kill(-group, syscall.SIGTERM)
	grace := time.NewTimer(r.c.Grace)
	defer grace.Stop()
	select {
	case err := <-ended:
		return err, told
	case <-grace.C:
	}
	say("it did not end within %v; killing it", r.c.Grace)
	_ = syscall.Kill(-group, syscall.SIGKILL)
	return <-ended, told
}

// drainGrace is how long what was printed may take to arrive once everything that
// printed is gone. Only a process that we could not find keeps the pipe open.
const drainGrace = 5 * time.Second

func (r *Runner) drain(out *os.File, relayed <-chan struct{}) {
	t := time.NewTimer(drainGrace)
	defer t.Stop()
	select {
	case <-relayed:
		return
	case <-t.C:
	}
	out.Close()
	<-relayed
}

func exitOf(exit Exit, waitErr, told error) (Exit, error) {
	failed, ok := errors.AsType[*exec.ExitError](waitErr)
	switch {
	case ok:
		exit.Code = failed.ExitCode()
		if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			exit.Signal = "signal " + status.Signal().String()
		}
	case waitErr != nil && told == nil:
		return exit, fmt.Errorf("waiting for the program: %w", waitErr)
	}
	return exit, told
}
