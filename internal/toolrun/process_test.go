package toolrun_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
)

// Arguments arrive byte for byte, whatever a shell or a reader would make of them.
func TestRun_ArgumentsAreBytes(t *testing.T) {
	r := newRig(t)
	hostile := []string{"", " ", "a b", `"`, `'`, `\`, "$(id)", "`id`", "; rm -rf /", "*", "~", "-x", "--", "a=b", "a,b", "é\u202e", "\xff\xfe", "tab\there", "line\nend"}
	exit, err := r.run(t.Context(), r.program("say", hostile...))
	if err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	var want []string
	for _, a := range hostile {
		want = append(want, "| "+strconv.Quote(a))
	}
	if got := r.said(); got != strings.Join(want, "\n") {
		t.Errorf("it got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// Nothing of the worker's environment is the tool's.
func TestRun_EnvironmentIsMinimal(t *testing.T) {
	t.Setenv("SYNAPSE_ADMIN_PAT", "the-admin-token")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/the-lane's")
	r := newRig(t, func(c *toolrun.Config) { c.Region = "us-east-1" })
	if _, err := r.run(t.Context(), r.program("environment")); err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(r.said()) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), "=")
		names = append(names, name)
	}
	want := "PATH GORACE HOME TMPDIR AWS_EC2_METADATA_DISABLED SYNOPS_TOOL AWS_REGION AWS_DEFAULT_REGION TOOLRUN_ACT"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("it has the variables\n%s\nwant\n%s", got, want)
	}
}

func TestRun_Fails(t *testing.T) {
	r := newRig(t)
	exit, err := r.run(t.Context(), r.program("fail"))
	if err != nil {
		t.Fatal(err)
	}
	if exit.Code != 3 || exit.OK() || exit.String() != "ended with exit code 3" {
		t.Errorf("exit %+v", exit)
	}
	contains(t, "what was said", r.said(), "| about to fail\n| it failed")
}

func TestRun_NotThere(t *testing.T) {
	r := newRig(t)
	_, err := r.run(t.Context(), toolrun.Program{Dir: t.TempDir(), Home: t.TempDir(), Argv: []string{"no-such-program-here"}})
	if ops.CodeOf(err) != ops.Unavailable || !strings.Contains(err.Error(), "not on this machine") {
		t.Errorf("error %v", err)
	}
}

// endOnceSaid ends a context when the tool has said a word.
func endOnceSaid(r *rig, word string) context.Context {
	ctx, cancel := context.WithCancelCause(r.Context())
	r.heard = func(line string) {
		if strings.Contains(line, word) {
			cancel(errTold)
		}
	}
	return ctx
}

var errTold = errors.New("told to end")

func TestRun_IsAskedToEnd(t *testing.T) {
	r := newRig(t, func(c *toolrun.Config) { c.Grace = time.Minute })
	exit, err := r.run(endOnceSaid(r, "waiting"), r.program("obey"))
	if !errors.Is(err, errTold) || exit.Code != 7 {
		t.Errorf("exit %+v, error %v", exit, err)
	}
	contains(t, "what was said", r.said(), "SIGTERM", "| ending as asked")
}

func TestRun_HangsAndIsKilled(t *testing.T) {
	r := newRig(t)
	exit, err := r.run(endOnceSaid(r, "hanging"), r.program("hang"))
	if !errors.Is(err, errTold) || exit.Signal != "signal killed" {
		t.Errorf("exit %+v, error %v", exit, err)
	}
	contains(t, "what was said", r.said(), "did not end within 100ms; killing it")
}

// What a tool leaves behind is killed: children in its group, and those that left
// it, although they keep its output open and ignore SIGTERM.
func TestRun_ForksAndLeaves(t *testing.T) {
	r := newRig(t)
	exit, err := r.run(t.Context(), r.program("fork"))
	if err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	children := 0
	for line := range strings.Lines(r.said()) {
		var pid int
		if _, err := fmt.Sscanf(line, "| child %d", &pid); err != nil {
			continue
		}
		children++
		if runtime.GOOS == "linux" && alive(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	if children != 2 {
		t.Errorf("%d children were named:\n%s", children, r.said())
	}
	if runtime.GOOS == "linux" && exit.Stray == 0 {
		t.Error("nothing is told of what it left")
	}
}

// alive tells whether a process runs: one that is dead but not waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ") && syscall.Kill(pid, 0) == nil
}

// A flood is counted, not kept: memory stays flat and the end is shown. "just
// prove" sends 1 GiB.
func TestRun_Floods(t *testing.T) {
	size := 32 << 20
	if os.Getenv("SYNOPS_PROVE") != "" {
		size = 1 << 30
	}
	r := newRig(t, func(c *toolrun.Config) { c.Relay = 64 << 10 })
	if err := r.config.Mask("some-secret-to-look-for"); err != nil {
		t.Fatal(err)
	}
	before := memory()
	began := time.Now()
	exit, err := r.run(t.Context(), r.program("flood", strconv.Itoa(size)))
	if err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	grown := memory() - before
	t.Logf("%d MiB in %v, memory grew by %d KiB", size>>20, time.Since(began), grown>>10)
	if grown > 16<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
	lines := strings.Split(r.said(), "\n")
	if len(lines) > 1000 || lines[len(lines)-1] != "| the last line" {
		t.Errorf("%d lines were said, the last %q", len(lines), lines[len(lines)-1])
	}
	if all := int64(size/100 + 1); exit.Left < all-2000 || exit.Left > all {
		t.Errorf("%d of %d lines are told to be left out", exit.Left, all)
	}
}

func memory() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}

// A line without an end is cut, and what a terminal would obey is shown.
func TestRun_LongAndHostileLines(t *testing.T) {
	r := newRig(t)
	p := r.program("")
	p.Argv = []string{"sh", "-c", `printf 'x%.0s' $(seq 10000); printf '\nred \033[31m\r\n::error::no\n\0\377\n'`}
	if _, err := r.run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(r.said(), "\n")
	want := []string{"| " + strings.Repeat("x", 4096) + "… (10000 bytes)", `| red \x1b[31m`, "| ::error::no", "| \\x00\ufffd"}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("said %q", lines)
	}
}

// A tool that prints what it was given prints marks.
func TestRun_LeaksNothing(t *testing.T) {
	given := toolrun.Keys{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "the/secret+access/key0123456789", SessionToken: "the-session-token-0123456789", Expires: time.Now().Add(time.Hour)}
	var masked []string
	r := newRig(t, func(c *toolrun.Config) {
		c.Credentials = func(context.Context) (toolrun.Keys, error) { return given, nil }
		mask := c.Mask
		c.Mask = func(s string) error { masked = append(masked, s); return mask(s) }
	})
	p := r.program("leak")
	p.Credentials = true
	exit, err := r.run(t.Context(), p)
	if err != nil || !exit.OK() {
		t.Fatal(exit, err, r.said())
	}
	if len(masked) < 3 {
		t.Fatalf("only %d secrets are known", len(masked))
	}
	for _, secret := range masked {
		if strings.Contains(r.said(), secret) || strings.Contains(r.said(), secret[:len(secret)/2]) {
			t.Errorf("the secret that begins with %q is shown", secret[:3])
		}
	}
	contains(t, "what was said", r.said(), redactedMark)
}

const redactedMark = "[redacted]"

// Credentials are asked for each time anew: a tool outlives those it began with.
// One that cannot be given any ends by itself, and the reason is told.
func TestRun_OutlivesItsCredentials(t *testing.T) {
	var asked atomic.Int64
	r := newRig(t, func(c *toolrun.Config) {
		c.Credentials = func(context.Context) (toolrun.Keys, error) {
			n := asked.Add(1)
			if n == 3 {
				return toolrun.Keys{}, ops.Errorf(ops.Denied, "the role is gone")
			}
			return toolrun.Keys{AccessKeyID: fmt.Sprintf("ASIA%d", n), SecretAccessKey: fmt.Sprintf("secret-number-%d", n), SessionToken: fmt.Sprintf("session-number-%d", n), Expires: time.Now().Add(time.Minute)}, nil
		}
	})
	p := r.program("ask", "3")
	p.Credentials = true
	exit, err := r.run(t.Context(), p)
	if err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	contains(t, "what was said", r.said(), "with another token: 403", "key: 200 ASIA1 <nil>", "key: 200 ASIA2 <nil>", "key: 503  <nil>")
	if exit.Starved == nil || ops.CodeOf(exit.Starved) != ops.Denied {
		t.Errorf("starved: %v", exit.Starved)
	}
}

// The endpoint is the run's: it is gone with it.
func TestRun_EndpointEndsWithTheTool(t *testing.T) {
	r := newRig(t, func(c *toolrun.Config) {
		c.Credentials = func(context.Context) (toolrun.Keys, error) {
			return toolrun.Keys{AccessKeyID: "ASIA", SecretAccessKey: "0123456789", SessionToken: "0123456789"}, nil
		}
	})
	p := r.program("environment")
	p.Credentials = true
	if _, err := r.run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	_, url, _ := strings.Cut(r.said(), "AWS_CONTAINER_CREDENTIALS_FULL_URI=")
	url, _, _ = strings.Cut(url, "\n")
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("it was told to ask %q", url)
	}
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
	if _, status, err := keys("x"); err == nil {
		t.Errorf("it still answers: %d", status)
	}
	contains(t, "what was said", r.said(), "AWS_CONTAINER_AUTHORIZATION_TOKEN="+redactedMark)
}
