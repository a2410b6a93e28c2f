package cli_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cli"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// A stackPair is two simulated stacks over HTTP, users on the source, and synops run
// in an environment that lists both.
type stackPair struct {
	*rig
	stacks *sim.Stacks
	pair   *sim.Pair
	hosts  [2]string
}

// newStackPair serves a pair in which time passes speed times as fast.
func newStackPair(t *testing.T, c sim.Config, speed float64) *stackPair {
	t.Helper()
	p, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	m := &stackPair{rig: &rig{t: t, dir: t.TempDir()}, pair: p, stacks: sim.NewStacks(p, time.Now, speed)}
	for side := range m.hosts {
		m.hosts[side] = m.serve(m.stacks.Handler(sim.Side(side)))
	}
	m.vars = map[string]string{
		"GORACE": os.Getenv("GORACE"), "CONTEXT": "dev", "SYNAPSE_HOST": m.hosts[0], "HOME": m.dir, "PATH": os.Getenv("PATH"), "TZ": "UTC",
		"XDG_STATE_HOME": filepath.Join(m.dir, "state"), "XDG_CACHE_HOME": filepath.Join(m.dir, "cache"),
		"SYNOPS_CONFIG": m.config(m.hosts[:]...),
	}
	return m
}

// serve serves a stack until the test ends.
func (m *stackPair) serve(h http.Handler) string {
	m.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	m.t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
	return "http://" + l.Addr().String()
}

// config writes an environments file with these hosts.
func (m *stackPair) config(hosts ...string) string {
	m.t.Helper()
	m.file("source", sim.Key+":"+sim.SourceSecret)
	m.file("destination", sim.Key+":"+sim.DestinationSecret)
	return m.file("environments.yaml", fmt.Sprintf(`environments:
  dev:
    repository: Sage-Bionetworks/synapse-ops-dev
    synapse_hosts: [%s]
    instances: ["54*"]
    migration_source: file:%s/source
    migration_destination: file:%s/destination
`, strings.Join(hosts, ", "), m.dir, m.dir))
}

// named are the two inputs that every task of lane migrate has.
func (m *stackPair) named(task string, more ...string) []string {
	return append([]string{task, "source-host=" + m.hosts[0], "destination-host=" + m.hosts[1]}, more...)
}

func TestMigrateStatus(t *testing.T) {
	t.Parallel()
	m := newStackPair(t, sim.Config{Seed: 1, Profile: "R", Situation: "nightly", Scale: 1000, Types: []string{"TEAM", "CHANGE"}}, 50)
	told := m.synops(nil, append([]string{"run"}, m.named("migrate-status")...)...)
	wantAnswer(t, told, 0, "SUCCEEDED", "is instance 543, version 543.0, READ_WRITE", "destination: ", "is instance 544", "nothing was changed", "types reach differently far", "migrate-status.md")
	if all := told.stdout + told.stderr; strings.Contains(all, sim.SourceSecret) || strings.Contains(all, sim.DestinationSecret) {
		t.Errorf("a secret was printed:\n%s", all)
	}
	table, err := filepath.Glob(filepath.Join(m.dir, "state", "synops", "migrate", "runs", "*", "artifacts", "migrate-status.md"))
	if err != nil || len(table) != 1 {
		t.Fatalf("the tables kept are %v (%v)", table, err)
	}
	text, err := os.ReadFile(table[0])
	if err != nil || !strings.Contains(string(text), "| CHANGE |") || !strings.Contains(string(text), "differs") {
		t.Errorf("the table is (%v)\n%s", err, text)
	}
	m.stacks.Look(func(p *sim.Pair) {
		if v := p.Violations(); len(v) > 0 || p.StackStatus(sim.Destination) != "READ_WRITE" {
			t.Errorf("the destination is %s; broken: %v", p.StackStatus(sim.Destination), v)
		}
	})
}

// TestMigrationCredential: what is put is tried on the stacks, and what is no pair of
// key and secret is never put.
func TestMigrationCredential(t *testing.T) {
	t.Parallel()
	m := newStackPair(t, sim.Config{Seed: 1, Profile: "R", Situation: "nightly", Scale: 1000, Types: []string{"TEAM"}}, 50)
	env := &ops.Environment{Name: "dev", Hosts: m.hosts[:]}
	for value, want := range map[string]ops.Code{
		sim.Key + ":" + sim.SourceSecret: "", sim.Key + ":" + sim.DestinationSecret: "",
		sim.Key + ":another one": ops.Unavailable, sim.SourceSecret: ops.Invalid, ":" + sim.SourceSecret: ops.Invalid,
	} {
		if err := cli.CheckMigration(t.Context(), env, value); ops.CodeOf(err) != want || err != nil && strings.Contains(err.Error(), sim.SourceSecret) {
			t.Errorf("of %q it says %v, want %q", value, err, want)
		}
	}
}

// TestMigrationGuards: what would migrate the wrong stacks, or with the wrong
// credential, is refused before a job is started.
func TestMigrationGuards(t *testing.T) {
	t.Parallel()
	m := newStackPair(t, sim.Config{Seed: 1, Profile: "R", Situation: "nightly", Scale: 1000, Types: []string{"TEAM"}}, 50)
	twin := m.serve(m.stacks.Handler(sim.Source)) // the same instance under another name
	silent := m.serve(http.NotFoundHandler())
	listed := m.config(append(m.hosts[:], twin, silent)...)
	refused := func(name, config, source, destination string, words ...string) {
		t.Helper()
		got := m.synops(map[string]string{"SYNOPS_CONFIG": config}, "run", "migrate-status", "source-host="+source, "destination-host="+destination)
		if got.code == 0 {
			t.Errorf("%s: it ran", name)
		}
		for _, w := range words {
			if !strings.Contains(got.stdout+got.stderr, w) {
				t.Errorf("%s: the answer lacks %q:\n%s%s", name, w, got.stdout, got.stderr)
			}
		}
	}
	refused("a host of no environment", listed, m.hosts[0], "https://repo-prod.prod.sagebase.org", "environment-host", "which is not a host of dev")
	refused("the same host twice", listed, m.hosts[0], m.hosts[0], "migration-pair", "the same stack")
	refused("the same instance twice", listed, m.hosts[0], twin, "migration-pair", "the same stack")
	refused("a host that is no stack", listed, m.hosts[0], silent, "asking guard migration-pair", "which instance answers at "+silent)
	refused("credentials exchanged", listed, m.hosts[1], m.hosts[0], "migration-credential", "401")
	m.file("destination", sim.Key+sim.DestinationSecret)
	refused("a credential that is none", listed, m.hosts[0], m.hosts[1], "migration-credential", "colon between them")
	m.stacks.Look(func(p *sim.Pair) {
		if n := len(p.Ran()); n > 0 {
			t.Errorf("%d jobs were started", n)
		}
	})
}

// answer is what the challenge asks for.
const answer544 = "544 544.0"

// sound fails the test where a rule was broken, the destination is not as wanted, or,
// where both are to be the same, rows are wrong.
func (m *stackPair) sound(status string, same bool) {
	m.t.Helper()
	m.stacks.Look(func(p *sim.Pair) {
		s := p.Summary()
		if got := p.StackStatus(sim.Destination); got != status {
			m.t.Errorf("the destination is %s, want %s", got, status)
		}
		if v := p.Violations(); len(v) > 0 || same != (s.Wrong == 0) {
			m.t.Errorf("%d rows are wrong; broken rules: %v", s.Wrong, v)
		}
	})
}

// process is synops as a process of its own, on the host where workers are.
func (m *stackPair) process(args ...string) answer {
	m.t.Helper()
	cmd := exec.Command("synops", args...)
	cmd.Env = environ(m.vars)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	return answer{exitCodeOf(cmd.Run()), out.String(), errs.String()}
}

// killed kills the run's worker once it has recorded something of its jobs.
func (m *stackPair) killed(run string) {
	m.t.Helper()
	dir := filepath.Join(m.dir, "state", "synops", "migrate", "runs", run)
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	late := time.After(time.Minute)
	for {
		docs, err := filepath.Glob(filepath.Join(dir, "journal", "*.jsonl"))
		if err != nil {
			m.t.Fatal(err)
		}
		if len(docs) >= 3 { // the intent; how it began; first records, of jobs that only read
			break
		}
		select {
		case <-look.C:
		case <-late:
			m.t.Fatalf("the worker recorded nothing: %v", docs)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "attempts", "0001.json"))
	if err != nil {
		m.t.Fatal(err)
	}
	var a ops.Attempt
	if err := json.Unmarshal(text, &a); err != nil {
		m.t.Fatal(err)
	}
	pid, _, _ := strings.Cut(a.Process, "/")
	n, err := strconv.Atoi(pid)
	if err != nil {
		m.t.Fatalf("the worker is %q: %v", a.Process, err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		m.t.Fatal(err)
	}
}

// TestMigrate: a final pass from plan to report, its worker killed on the way, and
// compared before and after.
func TestMigrate(t *testing.T) {
	unraced(t)
	t.Parallel()
	m := newStackPair(t, sim.Config{Seed: 1, Profile: "R", Situation: "final", Scale: 1000, Types: []string{"TEAM"}}, 400)
	verify := append([]string{"run"}, m.named("migrate-verify", "batch-size=500")...)
	wantAnswer(t, m.synops(nil, verify...), 1, "types differ although the source is READ_ONLY", "mode=final", "migrate-verify.md")
	args := m.named("migrate", "batch-size=500", "mode=final")
	wantAnswer(t, m.synops(nil, append([]string{"run"}, args...)...), 3, "challenge")
	m.sound("READ_WRITE", false)
	planned := m.synops(nil, append([]string{"plan"}, args...)...)
	wantAnswer(t, planned, 0, "final pass", "544 544.0", "instance 543", "READ_WRITE afterwards", "to within 5 percent")
	begun := m.synops(nil, append(append([]string{"run"}, args...), "--confirm", answer544, "--detach")...)
	wantAnswer(t, begun, 0)
	m.killed(runOf(t, begun))
	m.stacks.Look(func(p *sim.Pair) {
		if got := p.StackStatus(sim.Destination); got != "READ_ONLY" {
			t.Errorf("when its worker is killed the destination is %s", got)
		}
	})
	done := m.process("resume", runOf(t, begun))
	wantAnswer(t, done, 0, "SUCCEEDED", "going on from", "the destination is READ_WRITE", "migration-", ".svg")
	m.sound("READ_WRITE", true)
	wantAnswer(t, m.synops(nil, verify...), 0, "SUCCEEDED", "no type differs")
}

// TestMigrateIsCanceled while it copies: what it leaves behind is said first, with the
// command that opens the destination; nothing goes on with the run.
func TestMigrateIsCanceled(t *testing.T) {
	unraced(t)
	t.Parallel()
	m := newStackPair(t, sim.Config{Seed: 1, Profile: "R", Situation: "initial", Scale: 1000, Types: []string{"TEAM", "PRINCIPAL"}}, 400)
	begun := m.synops(nil, append(append([]string{"run"}, m.named("migrate", "batch-size=10")...), "--confirm", answer544, "--detach")...)
	wantAnswer(t, begun, 0)
	run := runOf(t, begun)
	m.restores()
	left := "The destination " + strings.TrimPrefix(m.hosts[1], "http://") + " is READ_ONLY: it answers its users with 503."
	command := "synops run migrate source-host=" + m.hosts[0] + " destination-host=" + m.hosts[1] + " -e dev"
	canceled := m.process("cancel", run, "--reason", "the wrong night")
	wantAnswer(t, canceled, 0, "The cancel is durable", "CANCELED  migrate in dev", `Reason: "the wrong night".`)
	m.sound("READ_ONLY", false)
	var r ops.Result
	if err := json.Unmarshal([]byte(m.synops(nil, "follow", run, "--format", "json").stdout), &r); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(r.Message, left) || !strings.Contains(r.Message, command) || r.Outcome != ops.RunCanceled || r.Changed != "A part was changed." {
		t.Errorf("the result is %+v", r)
	}
	wantAnswer(t, m.synops(nil, "follow", run), 130, "CANCELED", "is READ_ONLY", "Ask anew")
	wantAnswer(t, m.synops(nil, "verify", run), 0)
	started := len(m.ran())
	wantAnswer(t, m.synops(nil, "resume", run), 130, "ended already; this is how. Nothing was started.")
	wantAnswer(t, m.synops(nil, "leases"), 0, "No leases are held.")
	if now := len(m.ran()); now != started {
		t.Errorf("%d jobs were done after the end", now-started)
	}
	wantAnswer(t, m.synops(nil, append([]string{"plan"}, strings.Fields(command)[2:]...)...), 0, "which is READ_WRITE afterwards", answer544)
}

// restores waits until a restore was done.
func (m *stackPair) restores() {
	m.t.Helper()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	late := time.After(time.Minute)
	for !slices.ContainsFunc(m.ran(), func(r sim.Ran) bool { return r.Kind == sim.Restore }) {
		select {
		case <-look.C:
		case <-late:
			m.t.Fatal("nothing was restored")
		}
	}
}

// ran lists the jobs that were done.
func (m *stackPair) ran() (out []sim.Ran) {
	m.stacks.Look(func(p *sim.Pair) { out = slices.Clone(p.Ran()) })
	return out
}
