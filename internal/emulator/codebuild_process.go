package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// searchPath is where builds look for programs.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is all that a build's commands begin with.
// https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
func (b *build) environment() []string {
	a, url := b.service.account, b.service.account.cloud.url()
	env := []string{
		"PATH=" + searchPath, "HOME=" + filepath.Join(b.dir(), "home"), "TMPDIR=" + filepath.Join(b.dir(), "tmp"),
		"AWS_REGION=" + a.Region, "AWS_DEFAULT_REGION=" + a.Region,
		"CODEBUILD_BUILD_ARN=" + b.arn, "CODEBUILD_BUILD_ID=" + b.id, "CODEBUILD_BUILD_NUMBER=" + fmt.Sprint(b.serial),
		"CODEBUILD_BUILD_IMAGE=" + b.project.Environment.Image,
		"CODEBUILD_INITIATOR=" + b.initiator, "CODEBUILD_LOG_PATH=" + b.project.logStream(b.uuid),
		"CODEBUILD_PROJECT_ARN=" + b.service.projectARN(b.project.Name), "CODEBUILD_START_TIME=" + fmt.Sprint(b.started.UnixMilli()),
		"CODEBUILD_SRC_DIR=" + filepath.Join(b.dir(), "src"),
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + url + credentialsPath + b.uuid, "AWS_CONTAINER_AUTHORIZATION_TOKEN=" + b.token,
		// Not of CodeBuild: what keeps the build inside of this machine.
		"AWS_ENDPOINT_URL=" + url, "AWS_EC2_METADATA_DISABLED=true",
	}
	for name, v := range b.spec.variables {
		if !slices.ContainsFunc(b.variables, func(o BuildVariable) bool { return o.Name == name }) {
			env = append(env, name+"="+v)
		}
	}
	for _, v := range b.variables {
		env = append(env, v.Name+"="+string(v.Value))
	}
	return env
}

// commands runs a phase's commands one by one, each with the environment and the
// folder that the one before left behind.
func (b *build) commands(ctx context.Context, shown string, p specPhase) error {
	err := b.sequence(ctx, p.commands)
	if ctx.Err() == nil {
		if after := b.sequence(ctx, p.finally); err == nil {
			err = after
		}
	}
	if len(p.commands) > 0 && ctx.Err() == nil && !errors.Is(err, errBuildStopped) {
		b.log("Phase complete: %s State: %s", shown, statusOf(err))
	}
	return err
}

func (b *build) sequence(ctx context.Context, commands []string) error {
	for _, command := range commands {
		b.mu.Lock()
		stopping := b.stopping
		b.mu.Unlock()
		if stopping {
			return errBuildStopped
		}
		if err := b.command(ctx, command); err != nil {
			return err
		}
	}
	return nil
}

// wrapper runs one command so that the next one begins where it ended. A command
// that replaces its shell, or exits, leaves things as they were.
const wrapper = `if [ -e "$1" ]; then . "$1"; cd "$(cat "$1.dir")" || exit 1; fi
export CODEBUILD_BUILD_SUCCEEDING=$3
eval "$2"
code=$?
export -p > "$1"; pwd > "$1.dir"
exit $code`

func (b *build) command(ctx context.Context, command string) error {
	b.log("Running command %s", command)
	if b.behaves.Command != nil {
		out := &lineWriter{put: b.put}
		err := b.behaves.Command(ctx, b.env, command, out)
		out.flush()
		return b.told(command, err)
	}
	argv := append(slices.Clone(b.behaves.Prefix), "/bin/sh", "-c", wrapper, "sh", filepath.Join(b.dir(), "state"), command, b.succeeding())
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = filepath.Join(b.dir(), "src"), b.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: b.holder.pid()}
	cmd.Cancel = func() error { b.holder.signal(syscall.SIGKILL); return nil }
	// What the command left in the background keeps the pipe open and goes on.
	cmd.WaitDelay = 100 * time.Millisecond
	out := &lineWriter{put: b.put}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	out.flush()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return b.told(command, err)
}

// told is how a command ended, in CodeBuild's words.
func (b *build) told(command string, err error) error {
	if err == nil {
		return nil
	}
	b.log("Command did not exit successfully %s %v", command, err)
	return failed("COMMAND_EXECUTION_ERROR", "Error while executing command: %s. Reason: %v", command, err)
}

// succeeding is what CODEBUILD_BUILD_SUCCEEDING is now.
func (b *build) succeeding() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.ContainsFunc(b.phases, func(p buildPhase) bool { return p.status == buildFailed }) {
		return "0"
	}
	return "1"
}

// A lineWriter hands on whole lines.
type lineWriter struct {
	put  func(...string)
	rest []byte
}

// Write never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	end := bytes.LastIndexByte(w.rest, '\n') + 1
	var lines []string
	for line := range strings.Lines(string(w.rest[:end])) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	if w.rest = w.rest[end:]; len(lines) > 0 {
		w.put(lines...)
	}
	return len(p), nil
}

func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.put(string(w.rest))
		w.rest = nil
	}
}

// A holder leads the process group of one build. It does nothing until its input
// ends, so that the group's number is nobody else's while the build goes on.
type holder struct {
	cmd *exec.Cmd
	in  io.Closer

	mu       sync.Mutex
	released bool
}

func newHolder() (*holder, error) {
	cmd := exec.Command("/bin/sh", "-c", "trap '' TERM; read nothing")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = []string{"PATH=" + searchPath}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("holding a build's processes: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("holding a build's processes: %w", err)
	}
	return &holder{cmd: cmd, in: in}, nil
}

func (h *holder) pid() int { return h.cmd.Process.Pid }

// signal reaches every process of the group. Once it was released it reaches
// nobody: the number may be somebody else's by then.
func (h *holder) signal(s syscall.Signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.released {
		_ = syscall.Kill(-h.pid(), s) // who has gone already needs none
	}
}

// release kills the group and gives up its number.
func (h *holder) release() {
	h.signal(syscall.SIGKILL)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.released = true
	_ = h.in.Close()
	_ = h.cmd.Wait() // it was killed: that is no news
}
