package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/local"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// TestScripts runs synops as an operator does. Each script has a store, an
// environments file and two stacks of its own, dev and prod:
//
//	exits CODE ARG...      run synops and want this exit code
//	json SHAPE [PATH=V]... stdout is exactly one document of that shape, with these values
//	grab VAR REGEXP        set VAR to the first group's last match in the output
//	state PATH REGEXP      what dev's sandbox says of PATH
//	faults JSON            what goes wrong with dev's sandbox
//	status STATUS          set dev's stack status from outside
//	calls N                dev was asked at most so often since the script began
//	killworker RUN         kill -9 the worker of a run
//	journaled RUN KIND N   wait until the run's journal has so many entries of that kind
//	waitfor FILE           wait until the store has it
//	undo [ARG]...          run the command that the report names for undoing
//	screen NAME            what was printed is as in testdata/screens
//	worker RUN             nothing but the run's name is in its worker's arguments and environment
//	environments FILE DEV PROD [TOKEN SOURCE]  write another environments file
//	flip FILE              change one byte in the middle of a file
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"), UpdateScripts: *update, RequireUniqueNames: true, Setup: setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": cmdExits, "json": cmdJSON, "grab": cmdGrab, "state": cmdState, "faults": cmdFaults, "status": cmdStatus,
			"calls": cmdCalls, "waitfor": cmdWaitFor, "journaled": cmdJournaled, "undo": cmdUndo, "worker": cmdWorker, "screen": cmdScreen, "environments": cmdEnvironments, "killworker": cmdKillWorker, "flip": cmdFlip,
		},
	})
}

type devKey struct{}

func setupScript(env *testscript.Env) error {
	ctx, stop := context.WithCancel(context.Background())
	env.Defer(stop)
	dev, prod := sandbox.NewPair(sandbox.Config{NoThrottle: true, JobPolls: -1})
	env.Values[devKey{}] = dev
	hosts := map[string]string{}
	for name, s := range map[string]*sandbox.Synapse{"DEV": dev, "PROD": prod} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		go func() { _ = s.Serve(ctx, l) }()
		hosts[name] = "http://" + l.Addr().String()
		env.Setenv(name, hosts[name])
	}
	config := filepath.Join(env.WorkDir, "environments.yaml")
	if err := os.WriteFile(config, environmentsFile(hosts["DEV"], hosts["PROD"]), 0o600); err != nil {
		return err
	}
	state := filepath.Join(env.WorkDir, "state")
	for name, value := range map[string]string{
		"GORACE": os.Getenv("GORACE"), "SYNOPS_CONFIG": config, "SYNAPSE_ADMIN_PAT": sandbox.AdminToken, "HOME": env.WorkDir, "USER": "tester", "TZ": "UTC",
		"XDG_STATE_HOME": state, "XDG_CACHE_HOME": filepath.Join(env.WorkDir, "cache"), "STORE": filepath.Join(state, "synops"),
	} {
		env.Setenv(name, value)
	}
	return nil
}

// environmentsFile has dev and prod on two stacks, and a prod that wants reasons.
func environmentsFile(dev, prod string) []byte {
	return fmt.Appendf(nil, `environments:
  dev:
    repository: Sage-Bionetworks/synapse-ops-dev
    synapse_hosts: [%q]
    instances: ["dev*"]
  prod:
    repository: Sage-Bionetworks/synapse-ops-prod
    synapse_hosts: [%q, "https://repo-staging.prod.sagebase.org"]
    instances: ["[0-9]*"]
    require_reason: true
`, dev, prod)
}

// exitCodeOf returns how a program ended; -1 when a signal ended it.
func exitCodeOf(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return 0
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	got := exitCodeOf(ts.Exec("synops", args[1:]...))
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	for _, stream := range []string{"stdout", "stderr"} {
		if problem := unfitOutput(ts.ReadFile(stream)); problem != "" {
			ts.Fatalf("%s %s", stream, problem)
		}
	}
}

// mostOutput bounds what one command may print here.
const mostOutput = 256 << 10

// unfitOutput tells what is wrong with an output whatever it says: "" for nothing.
func unfitOutput(text string) string {
	switch {
	case len(text) > mostOutput:
		return fmt.Sprintf("has %d bytes", len(text))
	case !utf8.ValidString(text):
		return "is not UTF-8"
	case strings.Contains(text, sandbox.AdminToken) && !strings.Contains(text, "export SYNAPSE_ADMIN_PAT="):
		return "shows the token"
	}
	for _, r := range text {
		if r == '\n' || r == '\t' {
			continue
		}
		if r < ' ' || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200b {
			return fmt.Sprintf("holds the character %U", r)
		}
	}
	return ""
}

func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	doc, err := decodeShape(args[0], []byte(ts.ReadFile("stdout")))
	ts.Check(err)
	for _, check := range args[1:] {
		path, want, ok := strings.Cut(check, "=")
		got := fieldAt(doc, path)
		if !ok || neg != (got != want) {
			ts.Fatalf("%s is %s, want %s", path, got, want)
		}
	}
}

func cmdGrab(ts *testscript.TestScript, _ bool, args []string) {
	all := regexp.MustCompile("(?m)"+args[1]).FindAllStringSubmatch(ts.ReadFile("stdout")+ts.ReadFile("stderr"), -1)
	if all == nil {
		ts.Fatalf("nothing matches %s", args[1])
	}
	ts.Setenv(args[0], all[len(all)-1][1])
}

func control(ts *testscript.TestScript, method, path, body string) string {
	req, err := http.NewRequest(method, ts.Getenv("DEV")+"/sandbox/"+path, strings.NewReader(body))
	ts.Check(err)
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	ts.Check(err)
	if method != http.MethodGet && resp.StatusCode != http.StatusOK {
		ts.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, b.String())
	}
	return b.String()
}

func cmdState(ts *testscript.TestScript, neg bool, args []string) {
	got := control(ts, http.MethodGet, "state/"+args[0], "")
	if regexp.MustCompile(args[1]).MatchString(got) == neg {
		ts.Fatalf("%s is %s", args[0], got)
	}
}

func cmdFaults(ts *testscript.TestScript, _ bool, args []string) {
	control(ts, http.MethodPut, "faults", args[0])
}

func cmdStatus(ts *testscript.TestScript, _ bool, args []string) {
	control(ts, http.MethodPut, "state/status", fmt.Sprintf(`{"status":%q,"currentMessage":"set by the test"}`, args[0]))
}

func cmdCalls(ts *testscript.TestScript, _ bool, args []string) {
	most, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	if n := ts.Value(devKey{}).(*sandbox.Synapse).Total(); n > most {
		ts.Fatalf("dev was asked %d times, want at most %d", n, most)
	}
}

// runFolder is where a run's documents are.
func runFolder(ts *testscript.TestScript, run string) string {
	return filepath.Join(ts.Getenv("STORE"), "admin", "runs", run)
}

// workerPID is the process of a run's newest attempt.
func workerPID(ts *testscript.TestScript, run string) string {
	var a ops.Attempt
	names, err := filepath.Glob(filepath.Join(runFolder(ts, run), "attempts", "*.json"))
	ts.Check(err)
	if len(names) == 0 {
		ts.Fatalf("%s has no attempt", run)
	}
	data, err := os.ReadFile(names[len(names)-1])
	ts.Check(err)
	ts.Check(json.Unmarshal(data, &a))
	pid, _, _ := strings.Cut(a.Process, "/")
	return pid
}

func cmdKillWorker(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := strconv.Atoi(workerPID(ts, args[0]))
	ts.Check(err)
	id := local.Process(pid)
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
	waitUntil(ts, "the worker's end", func() bool { return local.Process(pid) != id })
}

func cmdFlip(ts *testscript.TestScript, _ bool, args []string) {
	names, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(names) == 0 {
		ts.Fatalf("no file is %s", args[0])
	}
	data, err := os.ReadFile(names[0])
	ts.Check(err)
	i := bytes.LastIndexByte(data, 'e')
	data[i] = 'f'
	ts.Check(os.Chmod(names[0], 0o600))
	ts.Check(os.WriteFile(names[0], data, 0o600))
}

// cmdWaitFor waits until a document is there: how far a run is.
func cmdWaitFor(ts *testscript.TestScript, _ bool, args []string) {
	file := filepath.Join(ts.Getenv("STORE"), args[0])
	waitUntil(ts, args[0], func() bool { _, err := os.Stat(file); return err == nil })
}

// cmdJournaled waits until a run is so far.
func cmdJournaled(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[2])
	ts.Check(err)
	waitUntil(ts, fmt.Sprintf("%q in the journal of %s", args[1:], args[0]), func() bool {
		n := 0
		docs, _ := filepath.Glob(filepath.Join(runFolder(ts, args[0]), "journal", "*.jsonl"))
		for _, doc := range docs {
			data, _ := os.ReadFile(doc)
			n += bytes.Count(data, []byte(`"kind":"`+args[1]+`"`))
		}
		return n >= want
	})
}

// waitUntil looks again until what another process does has happened.
func waitUntil(ts *testscript.TestScript, what string, happened func() bool) {
	late := time.After(20 * time.Second)
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !happened() {
		select {
		case <-look.C:
		case <-late:
			ts.Fatalf("waited in vain for %s", what)
		}
	}
}

func cmdEnvironments(ts *testscript.TestScript, _ bool, args []string) {
	text := string(environmentsFile(args[1], args[2]))
	if len(args) > 3 {
		text = strings.Replace(text, "  dev:\n", fmt.Sprintf("  dev:\n    token_source: %q\n", args[3]), 1)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// cmdUndo runs the command that the last report names for undoing, as a shell
// would read it.
func cmdUndo(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(`(?m)^undo +(synops run .*)$`).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("the report names no command to undo it")
	}
	ts.Check(ts.Exec("sh", "-c", m[1]+" "+strings.Join(args, " ")))
}

// cmdWorker looks at a run's worker from outside.
func cmdWorker(ts *testscript.TestScript, _ bool, args []string) {
	proc := "/proc/" + workerPID(ts, args[0])
	argv, err := os.ReadFile(proc + "/cmdline")
	ts.Check(err)
	words := strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00")
	if want := []string{"work", args[0], "--store", "file://" + ts.Getenv("STORE")}; !slices.Equal(words[1:], want) {
		ts.Fatalf("its arguments are %q, want %q", words[1:], want)
	}
	env, err := os.ReadFile(proc + "/environ")
	ts.Check(err)
	for _, secret := range []string{sandbox.AdminToken, "SYNAPSE_ADMIN_PAT", "unheard", "3350396"} {
		if bytes.Contains(env, []byte(secret)) {
			ts.Fatalf("its environment holds %q", secret)
		}
	}
}
