package proof_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// job makes a command part of one job of a workflow run: its claim is then always
// the same.
func (r *rig) job(id int, args ...string) *exec.Cmd {
	cmd := r.command(args...)
	cmd.Env = append(cmd.Env, fmt.Sprint("GITHUB_RUN_ID=", id), "GITHUB_REPOSITORY_ID=1", "GITHUB_JOB=run")
	return cmd
}

// TestLaunchersOfOneClaim: however many ask at once for the same, one run comes of
// it, and one worker performs.
func TestLaunchersOfOneClaim(t *testing.T) {
	t.Parallel()
	b := bulks[0]
	for round := range scaled(2, 20) {
		r := newRig(t, sandbox.Config{})
		var ends []func() outcome
		for range 4 {
			ends = append(ends, r.backgroundOf(r.job(round, append(append([]string{"run", b.task}, b.args(3)...), "--rate", "0")...)))
		}
		for _, end := range ends {
			if o := end(); o.code != 0 {
				t.Errorf("a launcher ended with %d\n%s%s", o.code, o.out, o.err)
			}
		}
		ref := r.only()
		if sent := len(r.gate.all()); sent != 3 {
			t.Errorf("sent %d calls for 3 clients", sent)
		}
		r.intact(ref)
		// Another request under the same claim is refused.
		if o := r.finish(r.job(round, "run", b.task, "client-ids=100001")); o.code != 3 {
			t.Errorf("another request under the same claim ended with %d\n%s%s", o.code, o.out, o.err)
		}
	}
}

// TestLauncherKilledAnywhen kills launchers at moments spread over their life.
// Asking again attaches to the run or begins it; one worker performs.
func TestLauncherKilledAnywhen(t *testing.T) {
	t.Parallel()
	b := bulks[0]
	kills := scaled(12, 150)
	began := 0
	for i := range kills {
		r := newRig(t, sandbox.Config{})
		args := append(append([]string{"run", b.task}, b.args(3)...), "--rate", "0")
		cmd := r.job(i, append(args, "--detach")...)
		r.ok(cmd.Start())
		// A launcher lives some 30 ms; its documents come in the second half.
		<-time.After(5*time.Millisecond + time.Duration(i)*40*time.Millisecond/time.Duration(kills))
		r.ok(cmd.Process.Signal(syscall.SIGKILL))
		_ = cmd.Wait()
		if claims, _ := filepath.Glob(filepath.Join(r.dir, "admin/claims/*")); len(claims) > 0 {
			began++
		}
		if o := r.finish(r.job(i, args...)); o.code != 0 {
			t.Fatalf("asked again after %d: ended with %d\n%s%s", i, o.code, o.out, o.err)
		}
		ref := r.only()
		if sent := len(r.gate.all()); sent != 3 {
			t.Errorf("sent %d calls for 3 clients", sent)
		}
		if got := r.result(ref); got.Outcome != ops.Succeeded {
			t.Errorf("the run ended %s: %s", got.Outcome, got.Message)
		}
		r.intact(ref)
	}
	t.Logf("%d launchers killed, %d of them after their claim", kills, began)
}
