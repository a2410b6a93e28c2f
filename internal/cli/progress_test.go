package cli_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cli"
)

// screenOf returns what a terminal shows of text: a line is drawn anew after "\r",
// and rubbed out by the sequence for it.
func screenOf(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if at := strings.LastIndex(line, "\r\x1b[K"); at >= 0 {
			line = line[at+len("\r\x1b[K"):]
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

func beat(phase string, done, total int64) ops.Heartbeat {
	return ops.Heartbeat{Attempt: 1, Phase: phase, Progress: ops.Progress{Done: done, Total: total, Unit: "users"}}
}

// TestProgressOnATerminal: what the run does stands below its log, with the rate of
// what was counted and the time that is left at that rate, until it ends.
func TestProgressOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := cli.NewProgress(cli.Process{Out: &out, Err: &out, Terminal: true, Width: 80}, ops.NewRunID("decertify-user", time.Now(), "3f9c"))
		step := func(want string) {
			t.Helper()
			if got := screenOf(out.String()); got != want {
				t.Fatalf("the screen shows\n%s\nwant\n%s", got, want)
			}
		}
		time.Sleep(20 * time.Second)
		p.Heartbeat(beat("planning", 0, 0))
		step("planning… 20s")
		_, _ = p.Write([]byte("note: one\n"))
		step("note: one\nplanning… 20s")

		// Targets that are read are not yet changed.
		p.Heartbeat(beat("planning", 10, 100))
		step("note: one\nplanning [#----------------]  10% 10/100 users")
		time.Sleep(10 * time.Second)
		p.Heartbeat(beat("planning", 60, 100))
		step("note: one\nplanning [##########-------]  60% 60/100 users, 5.0/s, 8s left")
		time.Sleep(10 * time.Second)

		p.Heartbeat(beat("performing", 10, 100))
		step("note: one\n[#------------------]  10% 10/100 users")
		time.Sleep(10 * time.Second)
		p.Heartbeat(beat("performing", 60, 100))
		step("note: one\n[###########--------]  60% 60/100 users, 5.0/s, 8s left")

		// A line that has not ended yet keeps the bar away: it would tear it.
		_, _ = p.Write([]byte("done  user/"))
		step("note: one\ndone  user/")
		p.Heartbeat(beat("performing", 60, 100))
		step("note: one\ndone  user/")
		_, _ = p.Write([]byte("7\n"))
		step("note: one\ndone  user/7\n[###########--------]  60% 60/100 users, 5.0/s, 8s left")
		p.Clear()
		step("note: one\ndone  user/7\n")
	})
}

// TestProgressElsewhere: where there is no terminal there are lines only.
func TestProgressElsewhere(t *testing.T) {
	var out bytes.Buffer
	p := cli.NewProgress(cli.Process{Out: &out, Err: &out, Width: 80}, "20261123T141502Z-decertify-user-3f9c")
	p.Heartbeat(beat("performing", 10, 100))
	_, _ = p.Write([]byte("done\n"))
	p.Heartbeat(beat("performing", 20, 100))
	p.Clear()
	if out.String() != "done\n" {
		t.Errorf("it prints %q", out.String())
	}
}
