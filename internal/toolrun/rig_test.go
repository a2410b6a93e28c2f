package toolrun_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/redact"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
)

// act is the variable that makes this test binary a tool, and says what it does.
const act = "TOOLRUN_ACT"

func TestMain(m *testing.M) {
	if what := os.Getenv(act); what != "" {
		os.Exit(behave(what, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// behave is a tool that does one thing wrong, or nothing.
func behave(what string, args []string) int {
	switch what {
	case "say":
		for _, a := range args {
			fmt.Printf("%q\n", a)
		}
	case "environment":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "fail":
		fmt.Println("about to fail")
		fmt.Fprintln(os.Stderr, "it failed")
		return 3
	case "hang": // and does not end when it is asked to
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("hanging")
		for { // a select without cases is a deadlock to Go
			time.Sleep(time.Hour)
		}
	case "obey":
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGTERM)
		fmt.Println("waiting")
		<-told
		fmt.Println("ending as asked")
		return 7
	case "flood":
		return flood(args[0])
	case "fork": // leaves a child in its group and one in a session of its own
		for _, session := range []bool{false, true} {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), act+"=hang")
			child.Stdout = os.Stdout
			child.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
			if child.Start() != nil {
				return 9
			}
			fmt.Println("child", child.Process.Pid)
		}
	case "leak":
		return leak()
	case "ask":
		return ask(args)
	}
	return 0
}

func flood(size string) int {
	n, _ := strconv.Atoi(size)
	w := bufio.NewWriterSize(os.Stdout, 1<<20)
	line := strings.Repeat("x", 99) + "\n"
	for i := 0; i < n; i += len(line) {
		if _, err := w.WriteString(line); err != nil {
			return 1
		}
	}
	fmt.Fprintln(w, "the last line")
	_ = w.Flush()
	return 0
}

// leak prints all that it was given, in several spellings, also one byte at a time.
func leak() int {
	k, _, err := keys(os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, secret := range []string{os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"), k["SecretAccessKey"], k["Token"]} {
		fmt.Println(secret)
		fmt.Println(base64.StdEncoding.EncodeToString([]byte(secret)))
		fmt.Printf("%s%s\n", strings.Repeat("y", 4090), secret) // across the end of a cut line
		for i := range len(secret) {
			_, _ = os.Stdout.WriteString(secret[i : i+1])
		}
		fmt.Println()
	}
	return 0
}

// keys asks for credentials as an SDK does.
func keys(token string) (map[string]string, int, error) {
	req, err := http.NewRequest(http.MethodGet, os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"), nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Authorization", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	var k map[string]string
	return k, resp.StatusCode, json.NewDecoder(resp.Body).Decode(&k)
}

// ask asks with a wrong token, and then for credentials so often as it is told,
// saying which key it got.
func ask(args []string) int {
	_, status, _ := keys("not the token")
	fmt.Println("with another token:", status)
	times, _ := strconv.Atoi(args[0])
	for range times {
		k, status, err := keys(os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"))
		fmt.Println("key:", status, k["AccessKeyId"], err)
	}
	return 0
}

// A rig is a runner, and what it said.
type rig struct {
	*testing.T
	*toolrun.Runner
	config toolrun.Config

	mu    sync.Mutex
	lines []string
	heard func(line string) // called with each; may be nil
}

func newRig(t *testing.T, change ...func(*toolrun.Config)) *rig {
	t.Helper()
	var secrets redact.Set
	c := toolrun.Config{
		Mask: secrets.Add, Masked: func(w io.Writer) io.WriteCloser { return secrets.Writer(w) },
		Env: []string{"PATH=" + os.Getenv("PATH"), "GORACE=" + os.Getenv("GORACE")}, Dir: t.TempDir(), Grace: 100 * time.Millisecond,
	}
	for _, f := range change {
		f(&c)
	}
	runner, err := toolrun.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{T: t, Runner: runner, config: c}
}

func (r *rig) say(format string, args ...any) {
	r.mu.Lock()
	line := fmt.Sprintf(format, args...)
	r.lines = append(r.lines, line)
	heard := r.heard
	r.mu.Unlock()
	if heard != nil {
		heard(line)
	}
}

func (r *rig) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

// program is this binary behaving as what.
func (r *rig) program(what string, args ...string) toolrun.Program {
	r.Helper()
	self, err := os.Executable()
	if err != nil {
		r.Fatal(err)
	}
	return toolrun.Program{Dir: r.TempDir(), Home: r.TempDir(), Argv: append([]string{self}, args...), Env: []string{act + "=" + what}}
}

func (r *rig) run(ctx context.Context, p toolrun.Program) (toolrun.Exit, error) {
	r.Helper()
	return r.Runner.Run(ctx, p, r.say)
}

func contains(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}
