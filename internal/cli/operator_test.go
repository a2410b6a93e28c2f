package cli_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// A block is one fenced part of the operators' page, and how a test brings about what
// it is for.
type block struct {
	line     int
	how      map[string]string // of "<!-- test: as=ROLE run=STATE plan=TASK,INPUT exit=CODE -->" above it
	commands []string
}

// operatorsBlocks reads the page. A command without its "$ " would go unseen, so
// there are none.
func operatorsBlocks(t *testing.T) []block {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "operator.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	how, within := map[string]string{}, false
	for i, line := range strings.Split(string(data), "\n") {
		switch {
		case strings.HasPrefix(line, "<!-- test:"):
			for _, word := range strings.Fields(strings.TrimSuffix(strings.TrimPrefix(line, "<!-- test:"), "-->")) {
				name, value, _ := strings.Cut(word, "=")
				how[name] = value
			}
		case !within && strings.HasPrefix(line, "```"):
			if within = true; line != "```console" {
				t.Errorf("line %d begins a block that is not of commands: %s", i+1, line)
			}
			out = append(out, block{line: i + 1, how: how})
			how = map[string]string{}
		case line == "```":
			within = false
		case within && strings.HasPrefix(line, "$ "):
			b := &out[len(out)-1]
			b.commands = append(b.commands, line[2:])
		case within:
			t.Errorf("line %d of a block is no command: %s", i+1, line)
		}
	}
	return out
}

// TestOperatorsPage runs every command of docs/operator.md as a shell does, on an
// emulated account, and wants each to end as the page has it.
func TestOperatorsPage(t *testing.T) {
	l := newLane(t)
	l.World.Lane("plan", l.vars["SANDBOX"])
	l.file("users.txt", "3400301\n3400303\n")
	ran := 0
	for _, b := range operatorsBlocks(t) {
		stand := l.prepare(b.how)
		for _, command := range b.commands {
			words := stand.Replace(command)
			cmd := exec.CommandContext(t.Context(), "bash", "-c", words)
			cmd.Dir, cmd.Env = l.dir, environ(l.vars)
			out, err := cmd.CombinedOutput()
			if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != cmp.Or(b.how["exit"], "0") {
				t.Fatalf("docs/operator.md:%d: %s: %v\n%s", b.line, words, err, out)
			}
			ran++
		}
		l.rig.dev.SetFaults(sandbox.Faults{})
	}
	if ran < 17 {
		t.Errorf("%d commands were run: the page says that it has more", ran)
	}
}

// prepare brings about what a block is for, becomes who gives it, and returns what
// stands for its words in capitals.
func (l *lane) prepare(how map[string]string) *strings.Replacer {
	l.rig.t.Helper()
	l.become("synops-perform")
	run, effect, digest := "", "", ""
	switch how["run"] {
	case "slow":
		run = l.slowRun()
	case "killed":
		run = l.killedRun()
	case "canceled": // and its worker died before it could settle
		run = l.heldRun()
		wantAnswer(l.rig.t, l.synops(nil, "cancel", run, "-e", "dev", "--detach"), 0)
		l.kill()
	case "unsettled":
		l.rig.dev.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.DropAfter, Path: "/admin/asynchronous/job", Method: "POST"}}})
		got := l.synops(nil, "run", "archive-files", "limit=10", "-e", "dev", "--format", "json")
		wantAnswer(l.rig.t, got, 1, "unsettled")
		l.rig.dev.SetFaults(sandbox.Faults{})
		run, effect = runOf(l.rig.t, got), "archival-job"
	case "newest":
		run = l.newest()
	}
	if task := how["plan"]; task != "" {
		l.become("synops-observe")
		got := l.synops(nil, append([]string{"plan", "-e", "dev"}, strings.Split(task, ",")...)...)
		wantAnswer(l.rig.t, got, 0)
		digest = regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(got.stdout)
		l.become("synops-perform")
	}
	if role := how["as"]; role != "" {
		l.become(role)
	}
	return strings.NewReplacer("RUN", run, "EFFECT", effect, "DIGEST", digest)
}

// certification is the change that the runs below make.
const certification = "PUT /repo/v1/admin/user/{id}/certificationStatus"

// slowRun starts a run of some seconds and returns it once something is done.
func (l *lane) slowRun() string {
	l.rig.t.Helper()
	before := l.rig.dev.Counts()[certification]
	run := l.decertify(sandbox.Fault{Path: "certificationStatus", Latency: sandbox.Duration(200 * time.Millisecond)})
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	ctx, stop := context.WithTimeout(l.rig.t.Context(), time.Minute)
	defer stop()
	for l.rig.dev.Counts()[certification] <= before {
		select {
		case <-ctx.Done():
			l.rig.t.Fatalf("nothing was done: %v", l.rig.dev.Counts())
		case <-look.C:
		}
	}
	return run
}

// heldRun starts a run that has changed one user and gets no further.
func (l *lane) heldRun() string {
	l.rig.t.Helper()
	run := l.decertify(sandbox.Fault{Kind: sandbox.Held, Path: "certificationStatus", Skip: 1})
	l.held()
	return run
}

// killedRun is a run whose worker died in the midst of it.
func (l *lane) killedRun() string {
	l.rig.t.Helper()
	run := l.heldRun()
	l.kill()
	return run
}

// kill has the worker of lane admin die; the service is well from then on.
func (l *lane) kill() {
	l.Dev.CodeBuild.Kill("synops-admin")
	l.rig.dev.SetFaults(sandbox.Faults{})
}

// decertify starts a run over users that no other takes.
func (l *lane) decertify(fault sandbox.Fault) string {
	t := l.rig.t
	t.Helper()
	l.rig.dev.SetFaults(sandbox.Faults{Active: []sandbox.Fault{fault}})
	var users []string
	for range 20 {
		l.users++
		users = append(users, fmt.Sprint(3400001+2*l.users))
	}
	got := l.synops(nil, "run", "decertify-user", "users="+strings.Join(users, ","), "-e", "dev", "--rate", "0", "--detach")
	wantAnswer(t, got, 0)
	return runOf(t, got)
}

func (l *lane) newest() string {
	l.rig.t.Helper()
	got := l.synops(nil, "runs", "-e", "dev", "--format", "json", "--limit", "1")
	var doc []struct{ Run string }
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || len(doc) != 1 {
		l.rig.t.Fatalf("%v: %s %s", err, got.stdout, got.stderr)
	}
	return doc[0].Run
}
