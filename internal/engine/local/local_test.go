package local_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/enginetest"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/local"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// TestMain makes the test binary the worker that the engine starts: "work RUN
// --store URL", as synops has it.
func TestMain(m *testing.M) {
	if len(os.Args) > 4 && os.Args[1] == "work" {
		if err := work(os.Args[2], os.Args[4]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func work(run, url string) error {
	ctx := context.Background()
	st, err := store.Open(ctx, url)
	if err != nil {
		return err
	}
	if os.Getenv("TOKEN_TO") != "" {
		return copyToken(os.Getenv("TOKEN_TO"))
	}
	ref, err := st.Find(ctx, ops.RunID(run))
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	return enginetest.Work(ctx, st, ref, ops.Attempt{Host: host, Process: local.Process(os.Getpid())}, os.Stdout)
}

// quickExit keeps the race detector from lingering a second at each worker's end.
const quickExit = "GORACE=atexit_sleep_ms=0"

// open returns an engine over a fresh store. Its workers are killed at the end.
func open(t *testing.T, change func(*local.Config)) (*local.Engine, *store.Store) {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	c := local.Config{Command: []string{exe}, Store: st.URL(), LogFile: st.LogFile, Host: host, Env: []string{"PATH=" + os.Getenv("PATH"), quickExit}}
	if change != nil {
		change(&c)
	}
	e := local.New(c)
	t.Cleanup(func() { killAll(e, st, dir) })
	return e, st
}

func killAll(e *local.Engine, st *store.Store, dir string) {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	runs, _ := filepath.Glob(filepath.Join(dir, "admin/runs/*"))
	for _, run := range runs {
		ref := ops.RunRef{Lane: ops.LaneAdmin, Run: ops.RunID(filepath.Base(run))}
		attempts, _ := st.Attempts(ctx, ref)
		for i := range attempts {
			_ = e.Stop(ctx, ops.Execution{}, &attempts[i])
		}
		if begun, _ := st.Execution(ctx, ref, 1); begun != nil {
			_ = e.Stop(ctx, *begun, nil)
		}
	}
}

func TestContract(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) *enginetest.Subject {
		e, st := open(t, nil)
		return &enginetest.Subject{
			Engine: e, Documents: st, Tells: []ops.Liveness{ops.AliveProvisioning},
			Kill: func(t *testing.T, a *ops.Attempt) {
				var pid int
				if _, err := fmt.Sscanf(a.Process, "%d/", &pid); err != nil || pid <= 1 {
					t.Fatalf("attempt %d names its process %q", a.N, a.Process)
				}
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				awaitGone(t, e, a)
			},
		}
	})
}

func awaitGone(t *testing.T, e *local.Engine, a *ops.Attempt) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-look.C {
		live, err := e.Liveness(t.Context(), ops.Execution{}, a)
		if err != nil {
			t.Fatal(err)
		}
		if live == ops.Gone {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the process is %s", live)
		}
	}
}

// TestLivenessOfOthers: only what can be known is told. A number that another
// process has by now is gone; a process elsewhere is unknown.
func TestLivenessOfOthers(t *testing.T) {
	host, _ := os.Hostname()
	e, _ := open(t, nil)
	me := local.Process(os.Getpid())
	pid, began, machine := cut3(me)
	boot, _, _ := strings.Cut(machine, "/")
	for _, c := range []struct {
		name, process, host string
		want                ops.Liveness
	}{
		{"this one", me, host, ops.AliveRunning},
		{"its number, begun earlier", pid + "/1/" + machine, host, ops.Gone},
		{"before the machine was started anew", pid + "/" + began + "/another-start/1", host, ops.Gone},
		{"in another container of this machine", pid + "/" + began + "/" + boot + "/1", host, ops.LivenessUnknown},
		{"on another host", me, "elsewhere", ops.LivenessUnknown},
		{"not told", "", host, ops.LivenessUnknown},
	} {
		live, err := e.Liveness(t.Context(), ops.Execution{}, &ops.Attempt{N: 1, Host: c.host, Process: c.process})
		if err != nil || live != c.want {
			t.Errorf("%s: %s, %v, want %s", c.name, live, err, c.want)
		}
		if c.want == ops.LivenessUnknown {
			if err := e.Stop(t.Context(), ops.Execution{}, &ops.Attempt{N: 1, Host: c.host, Process: c.process}); ops.CodeOf(err) != ops.Unavailable {
				t.Errorf("%s: stopping it: %v", c.name, err)
			}
		}
	}
	for _, id := range []string{"", "nonsense", me + "@elsewhere"} {
		if live, err := e.Liveness(t.Context(), ops.Execution{Engine: "local", ID: id}, nil); live == ops.Gone || live == ops.AliveRunning {
			t.Errorf("execution %q is %s, %v", id, live, err)
		}
	}
	if live, err := e.Liveness(t.Context(), ops.Execution{}, &ops.Attempt{N: 1, Host: host, Process: "1/2/" + machine}); err == nil {
		t.Errorf("process 1 is %s: it must never be taken for a worker", live)
	}
}

// TestWorkerThatEndsAtOnce: a worker may be gone before its launcher could ask what
// it is called. It must read as gone all the same, not as unknown for ever.
func TestWorkerThatEndsAtOnce(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^$")
	cmd.Env = []string{quickExit}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for local.Process(cmd.Process.Pid) != "" {
		<-look.C
	}
	host, _ := os.Hostname()
	e, _ := open(t, nil)
	id := local.Child(cmd.Process.Pid)
	if live, err := e.Liveness(t.Context(), ops.Execution{Engine: "local", ID: id + "@" + host}, nil); err != nil || live != ops.Gone {
		t.Errorf("a child that ended before it was named is called %q and is %s, %v", id, live, err)
	}
}

func cut3(id string) (a, b, c string) {
	parts := strings.SplitN(id, "/", 3)
	return parts[0], parts[1], parts[2]
}

func copyToken(to string) error {
	b := make([]byte, 32<<10)
	f := os.NewFile(3, "token")
	if f == nil {
		return os.WriteFile(to, []byte("none"), 0o600)
	}
	n, _ := f.Read(b)
	more, err := f.Read(b[n:])
	if more != 0 || err == nil {
		return fmt.Errorf("the pipe was not closed behind the token")
	}
	return os.WriteFile(to, b[:n], 0o600)
}

// TestTokenGoesOverAPipe: the worker finds it on descriptor 3 and nowhere else.
func TestTokenGoesOverAPipe(t *testing.T) {
	const token = "a-token-of-this-test"
	to := filepath.Join(t.TempDir(), "got")
	e, _ := open(t, func(c *local.Config) {
		c.Token, c.Env = []byte(token), append(c.Env, "TOKEN_TO="+to)
	})
	begun, err := e.Start(t.Context(), ops.Start{N: 1, Run: "20261123T141502Z-remove-user-3f9c", Lane: ops.LaneAdmin})
	if err != nil {
		t.Fatal(err)
	}
	process, host, _ := strings.Cut(begun.ID, "@")
	awaitGone(t, e, &ops.Attempt{N: 1, Host: host, Process: process})
	got, err := os.ReadFile(to)
	if err != nil || string(got) != token {
		t.Errorf("the worker read %q, %v", got, err)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*local.Config)
		code   ops.Code
	}{
		"no program":      {func(c *local.Config) { c.Command = []string{"/nowhere/synops"} }, ops.Unavailable},
		"no folder":       {func(c *local.Config) { c.LogFile = func(ops.RunRef, int) string { return "" } }, ops.Invalid},
		"token too large": {func(c *local.Config) { c.Token = make([]byte, 1<<20) }, ops.Invalid},
	} {
		e, _ := open(t, c.change)
		if _, err := e.Start(t.Context(), ops.Start{N: 1, Run: "20261123T141502Z-remove-user-3f9c", Lane: ops.LaneAdmin}); ops.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}
