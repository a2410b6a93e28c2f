package proof_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// TestWorkerSurvivesItsLauncher: whatever ends the launcher's process group, the
// run goes on to its end.
func TestWorkerSurvivesItsLauncher(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			b := bulks[0]
			r := newRig(t, sandbox.Config{})
			held := r.gate.hold(2, beforeApplied)
			cmd := r.command(append(append([]string{"run", b.task}, b.args(6)...), "--rate", "0")...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as a terminal's session is
			end := r.backgroundOf(cmd)
			r.await("a call to be held", closed(held))
			ref := r.only()
			r.ok(syscall.Kill(-cmd.Process.Pid, s))
			o := end()
			if s != syscall.SIGKILL && (o.code != 4 || !strings.Contains(o.out, "synops follow "+string(ref.Run))) {
				t.Errorf("the launcher ended with %d and says\n%s%s", o.code, o.out, o.err)
			}
			r.gate.open()
			r.want(0, "follow", string(ref.Run))
			r.ok(b.done(r.synapse, 6))
			if got := r.result(ref); got.Attempt != 1 {
				t.Errorf("it took %d attempts", got.Attempt)
			}
		})
	}
}

// only returns the one run there is.
func (r *rig) only() ops.RunRef {
	r.t.Helper()
	names, err := os.ReadDir(r.dir + "/admin/runs")
	r.ok(err)
	if len(names) != 1 {
		r.t.Fatalf("there are %d runs", len(names))
	}
	return ops.RunRef{Lane: ops.LaneAdmin, Run: ops.RunID(names[0].Name())}
}

var effectLine = regexp.MustCompile(`(?m)^\S+Z  (?:done|unchanged) +(\S+)`)

// effectLines are the lines about effects, in order.
func effectLines(text string) []string { return effectLine.FindAllString(text, -1) }

// TestFollowers: any number of followers, come when they may, print the same lines
// from the first on, each once, also over a worker that was killed.
func TestFollowers(t *testing.T) {
	t.Parallel()
	b := bulks[0]
	n := scaled(12, 200)
	r := newRig(t, sandbox.Config{})
	var ends []func() outcome
	ref, a := r.bring(place{call: 3, moment: afterApplied}, append(append([]string{b.task}, b.args(n)...), "--rate", "0")...)
	for range 2 {
		ends = append(ends, r.background("follow", string(ref.Run)))
	}
	// The followers are there before the kill: each has printed the first line.
	r.kill(ref, a)
	r.gate.open()
	held := r.gate.hold(len(r.gate.all())+3, beforeApplied)
	ends = append(ends, r.background("resume", string(ref.Run)))
	r.await("attempt 2 to be held", closed(held))
	ends = append(ends, r.background("follow", string(ref.Run)))
	r.gate.open()
	var texts []string
	for i, end := range ends {
		o := end()
		// A follower may have found the run lost in between; it says how to go on.
		if o.code == 1 && i < 2 && strings.Contains(o.err, "synops resume") {
			continue
		}
		if o.code != 0 {
			t.Errorf("a follower ended with %d\n%s", o.code, o.err)
		}
		texts = append(texts, o.err)
	}
	texts = append(texts, r.want(0, "follow", string(ref.Run)).err)
	for _, text := range texts {
		from := 1
		if strings.Contains(text, "goes on with attempt 2") { // resume begins with its own attempt
			from = 2
		}
		if diff := cmp.Diff(effectLines(r.logs(ref, from, 2)), effectLines(text)); diff != "" {
			t.Errorf("a follower printed otherwise than the log has it (-log +printed):\n%s", diff)
		}
	}
}

// logs is what the attempts from one to another printed.
func (r *rig) logs(ref ops.RunRef, from, to int) string {
	var all strings.Builder
	for i := from; i <= to; i++ {
		b, err := os.ReadFile(r.store.LogFile(ref, i))
		r.ok(err)
		all.Write(b)
	}
	return all.String()
}

// TestFollowPrintsFromTheFirstLine also to one that comes when all is over, and
// while lines keep coming.
func TestFollowPrintsFromTheFirstLine(t *testing.T) {
	t.Parallel()
	b := bulks[0]
	n := scaled(30, 400)
	r := newRig(t, sandbox.Config{})
	ref, _ := r.bring(place{call: 1, moment: beforeApplied}, append(append([]string{b.task}, b.args(n)...), "--rate", "0")...)
	var wg sync.WaitGroup
	outs := make([]bytes.Buffer, 3)
	for i := range outs {
		cmd := r.command("follow", string(ref.Run))
		cmd.Stderr = &outs[i]
		r.ok(cmd.Start())
		wg.Go(func() { _ = cmd.Wait() })
	}
	r.gate.open()
	wg.Wait()
	log := r.logs(ref, 1, 1)
	if got := len(effectLines(log)); got != n {
		t.Fatalf("the log has %d of %d lines of effects", got, n)
	}
	for i := range outs {
		if diff := cmp.Diff(effectLines(log), effectLines(outs[i].String())); diff != "" {
			t.Errorf("follower %d printed otherwise than the log has it (-log +printed):\n%s", i, diff)
		}
		if first, _, _ := strings.Cut(log, "\n"); strings.Count(outs[i].String(), first) != 1 {
			t.Errorf("follower %d did not print the first line once", i)
		}
	}
}
