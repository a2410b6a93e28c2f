// Package local is the engine of one machine: it starts each attempt as a worker
// process of its own, which survives the terminal it was started from, and reads
// the worker's log from the store's folder.
//
// What is not here: what a worker does, and which environments may run locally.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Config is what the engine is given.
type Config struct {
	// Command begins the worker's argument vector, such as the path of synops; the
	// engine adds "work RUN --store URL" and nothing else of the run.
	Command []string
	// Env is the worker's environment: no secrets.
	Env []string
	// Store is the store's URL.
	Store string
	// LogFile tells where attempt n of a run logs.
	LogFile func(ref ops.RunRef, n int) string
	// Token is handed to the worker over a pipe, its file descriptor 3; nil: none.
	Token []byte
	// Host names this machine.
	Host string
}

// Engine starts, follows and stops detached worker processes.
type Engine struct{ c Config }

// New returns the engine.
func New(c Config) *Engine { return &Engine{c: c} }

var _ ops.Engine = (*Engine)(nil)

// Name returns "local".
func (e *Engine) Name() string { return "local" }

// Poll is short: looking at a file costs next to nothing.
func (e *Engine) Poll() time.Duration { return 5 * time.Millisecond }

// Start begins a worker in a session of its own, so that neither the end of the
// terminal nor Ctrl-C reaches it. Its execution is named like a process.
func (e *Engine) Start(ctx context.Context, s ops.Start) (ops.Execution, error) {
	if err := ctx.Err(); err != nil {
		return ops.Execution{}, err
	}
	log, err := e.openLog(ops.RunRef{Lane: s.Lane, Run: s.Run}, s.N)
	if err != nil {
		return ops.Execution{}, err
	}
	defer log.Close()
	args := append(append([]string{}, e.c.Command[1:]...), "work", string(s.Run), "--store", e.c.Store)
	cmd := exec.Command(e.c.Command[0], args...) // not CommandContext: it outlives us
	cmd.Env, cmd.Stdout, cmd.Stderr = e.c.Env, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	given, err := e.handToken(cmd)
	if err != nil {
		return ops.Execution{}, err
	}
	defer given()
	if err := cmd.Start(); err != nil {
		return ops.Execution{}, &ops.Error{Code: ops.Unavailable, Err: err, Message: fmt.Sprintf("the worker %s could not be started: %v.", ops.Quote(e.c.Command[0]), err),
			Hint: "Nothing was begun. Check that the program is still there and may be executed."}
	}
	id := child(cmd.Process.Pid)
	go func() { _ = cmd.Wait() }() // reap it, should it end before we do
	return ops.Execution{Engine: e.Name(), ID: id + "@" + e.c.Host}, nil
}

func (e *Engine) openLog(ref ops.RunRef, n int) (*os.File, error) {
	path := e.c.LogFile(ref, n)
	if path == "" {
		return nil, ops.Errorf(ops.Invalid, "the local engine logs beside its documents, and store %s is not a folder.", e.c.Store)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the log's folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return f, nil
}

// handToken arranges for cmd to find the token on file descriptor 3; given closes
// our end of it. The pipe holds all of the token before the process begins: a
// launcher that dies at any moment leaves a worker with the token or none at all.
func (e *Engine) handToken(cmd *exec.Cmd) (given func(), err error) {
	if e.c.Token == nil {
		return func() {}, nil
	}
	if len(e.c.Token) > pipeHolds {
		return nil, ops.Errorf(ops.Invalid, "a token of %d bytes cannot be handed to a worker: at most %d.", len(e.c.Token), pipeHolds)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making the token's pipe: %w", err)
	}
	_, err = w.Write(e.c.Token)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("filling the token's pipe: %w", err)
	}
	cmd.ExtraFiles = []*os.File{r}
	return func() { r.Close() }, nil
}

// pipeHolds is what every kernel takes into a pipe that nobody reads yet.
const pipeHolds = 16 << 10

// Liveness tells whether the worker's process is there: the same number begun at
// the same moment since the same start of this machine. Of a process of another
// machine, or one that this process cannot see, it is unknown.
func (e *Engine) Liveness(_ context.Context, exec ops.Execution, attempt *ops.Attempt) (ops.Liveness, error) {
	id, host := process(exec, attempt)
	if id == "" || host != e.c.Host {
		return ops.LivenessUnknown, nil
	}
	alive, err := running(id)
	switch {
	case errors.Is(err, errElsewhere):
		return ops.LivenessUnknown, nil
	case err != nil:
		return ops.LivenessUnknown, err
	case !alive:
		return ops.Gone, nil
	case attempt == nil:
		return ops.AliveProvisioning, nil
	}
	return ops.AliveRunning, nil
}

// process names the worker's process and its machine. What the worker says of
// itself comes first: of two processes begun for one attempt it is the one.
func process(exec ops.Execution, attempt *ops.Attempt) (id, host string) {
	if attempt != nil {
		return attempt.Process, attempt.Host
	}
	id, host, _ = strings.Cut(exec.ID, "@")
	return id, host
}

// Stop kills the worker and what it started, and returns once it is gone.
func (e *Engine) Stop(ctx context.Context, exec ops.Execution, attempt *ops.Attempt) error {
	id, host := process(exec, attempt)
	look := time.NewTicker(e.Poll())
	defer look.Stop()
	for {
		live, err := e.Liveness(ctx, exec, attempt)
		if err != nil || live == ops.Gone {
			return err
		}
		if live == ops.LivenessUnknown {
			return &ops.Error{Code: ops.Unavailable, Message: fmt.Sprintf("process %s is on host %s and cannot be stopped from here.", ops.Quote(id), ops.Quote(host)), Hint: "Stop it from there."}
		}
		pid, _, _ := parse(id)
		if err := kill(pid); err != nil {
			return fmt.Errorf("killing process %d: %w", pid, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// kill ends a worker's session; one begun by hand may not lead a group, and then
// ends alone.
func kill(pid int) error {
	err := syscall.Kill(-pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// logChunk bounds one reading of a log.
const logChunk = 256 << 10

// Log reads the attempt's log file from the cursor, a byte offset, on. What was
// printed is in the file: nothing is ever on its way.
func (e *Engine) Log(_ context.Context, ref ops.RunRef, n int, cursor string, _ bool) ([]byte, string, error) {
	offset := int64(0)
	if cursor != "" {
		var err error
		if offset, err = strconv.ParseInt(cursor, 10, 64); err != nil || offset < 0 {
			return nil, cursor, ops.Errorf(ops.Invalid, "%s is not a cursor of a local log.", ops.Quote(cursor))
		}
	}
	f, err := os.Open(e.c.LogFile(ref, n))
	if errors.Is(err, os.ErrNotExist) {
		return nil, cursor, nil
	}
	if err != nil {
		return nil, cursor, fmt.Errorf("opening the log: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, offset, logChunk))
	if err != nil {
		return nil, cursor, fmt.Errorf("reading the log: %w", err)
	}
	return text, strconv.FormatInt(offset+int64(len(text)), 10), nil
}
