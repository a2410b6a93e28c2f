package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// TestInterrupt sends a real Ctrl-C to a follower: it says how to come back and
// leaves with 4; the run goes on to its end.
func TestInterrupt(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.dev.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.Held, Path: "certificationStatus", Skip: 1}}})
			cmd := exec.Command("synops", "run", "decertify-user", "users=3400001,3400003,3400005,3400007,3400009", "-e", "dev", "--rate", "0", "--format", format)
			cmd.Env = environ(r.vars)
			var out bytes.Buffer
			cmd.Stdout = &out
			errs, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(errs)
			run := ""
			for {
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatalf("it ended before it could be interrupted: %v", err)
				}
				if m := regexp.MustCompile(`^run +(\S+)`).FindStringSubmatch(line); m != nil {
					run = m[1]
				}
				if strings.Contains(line, "certified: true") {
					break
				}
			}
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			rest, _ := io.ReadAll(lines)
			if code := exitCodeOf(cmd.Wait()); code != 4 {
				t.Fatalf("exit code %d, want 4\n%s%s", code, out.String(), rest)
			}
			if format == "json" {
				doc, err := decodeShape("state", out.Bytes())
				if err != nil || fieldAt(doc, "state") != "running" || fieldAt(doc, "run") != run {
					t.Errorf("%v\n%s", err, out.String())
				}
			} else if !strings.Contains(out.String(), "synops follow "+run) || !strings.Contains(out.String(), "synops cancel "+run) {
				t.Errorf("it does not say how to come back:\n%s", out.String())
			}
			r.dev.SetFaults(sandbox.Faults{})
			got := r.synops(nil, "follow", run)
			if got.code != 0 || !strings.Contains(got.stdout, "5 done") {
				t.Errorf("the run did not go on: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
}

// TestSandboxServes: it tells where it listens, answers there, and Ctrl-C is a good
// end.
func TestSandboxServes(t *testing.T) {
	cmd := exec.Command("synops", "sandbox", "--listen", "127.0.0.1:0", "--second", "127.0.0.1:0", "--users", "5", "--no-throttle", "--format", "json")
	cmd.Env = []string{"HOME=" + t.TempDir()}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var where struct{ Host, Second string }
	if err := json.NewDecoder(out).Decode(&where); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{where.Host, where.Second} {
		resp, err := http.Get(host + "/sandbox")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(text), "5 users from 3400001 on") {
			t.Errorf("%s says:\n%s", host, text)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(out)
	if code := exitCodeOf(cmd.Wait()); code != 0 || strings.TrimSpace(string(rest)) != "" {
		t.Errorf("exit code %d, and on standard output: %s", code, rest)
	}
	if !strings.Contains(errs.String(), "listening on "+where.Host) || !strings.Contains(errs.String(), "second stack on "+where.Second) {
		t.Errorf("it does not tell where it listens:\n%s", errs.String())
	}
}

// TestInterruptedBeforeItBegan: nothing was started, and that is said.
func TestInterruptedBeforeItBegan(t *testing.T) {
	r := newRig(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, args := range [][]string{{"plan", "canary", "-e", "dev"}, {"run", "canary", "-e", "dev"}} {
		got := r.in(ctx, nil, args...)
		if got.code != 130 || !strings.Contains(got.stderr, "Interrupted.") || !strings.Contains(got.stderr, "Nothing: no run was started.") || strings.Contains(got.stderr, "context canceled") {
			t.Errorf("%v: exit code %d\n%s", args, got.code, got.stderr)
		}
		got = r.in(ctx, nil, append(args, "--format", "json")...)
		doc, err := decodeShape("error", []byte(got.stdout))
		if err != nil || got.code != 130 || fieldAt(doc, "outcome") != "canceled" || fieldAt(doc, "code") != "canceled" {
			t.Errorf("%v: exit code %d, %v\n%s", args, got.code, err, got.stdout)
		}
	}
	if r.dev.Total() != 0 {
		t.Errorf("the service was asked %d times", r.dev.Total())
	}
}
