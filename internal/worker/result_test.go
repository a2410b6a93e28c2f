package worker_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestResultLines: what a tired reader sees for each way a run can end.
func TestResultLines(t *testing.T) {
	var b strings.Builder
	for _, c := range []struct {
		name string
		do   func(r *rig)
	}{
		{"all done", func(*rig) {}},
		{"some already as wanted", func(r *rig) { r.on["l00002"] = true }},
		{"all already as wanted", func(r *rig) { r.on["l00001"], r.on["l00002"], r.on["l00003"] = true, true, true }},
		{"only read", func(r *rig) { r.task.Class = ops.Reads }},
		{"one failed", func(r *rig) { r.faults["l00002"] = []fault{fails} }},
		{"one failed, another input given", func(r *rig) {
			r.req.Inputs["room"] = "the attic"
			r.faults["l00002"] = []fault{fails}
		}},
		{"one not as planned", func(r *rig) { r.faults["l00002"] = []fault{refuses} }},
		{"none as planned", func(r *rig) {
			for _, lamp := range lamps(3) {
				r.faults[lamp] = []fault{refuses}
			}
		}},
		{"one done but reads otherwise", func(r *rig) { r.faults["l00002"] = []fault{brokenLamp} }},
		{"an answer lost, nothing can tell", func(r *rig) {
			r.settle = func(string) ops.Settling { return ops.SettlePerson }
			r.faults["l00002"] = []fault{lostAfter}
		}},
		{"the same in a canceled run", func(r *rig) {
			r.settle = func(string) ops.Settling { return ops.SettlePerson }
			r.faults["l00002"] = []fault{lostAfter}
			r.onCall = func(lamp string) {
				if lamp == "l00002" {
					r.cancel()
				}
			}
			r.latency = 6e9
		}},
		{"an answer lost, the read fails", func(r *rig) { r.faults["l00001"] = []fault{lostAfter}; blindAfter(r) }},
		{"canceled on the way", func(r *rig) { r.onCall = func(string) { r.cancel() } }},
		{"canceled when all was done", func(r *rig) {
			r.onCall = func(lamp string) {
				if lamp == "l00003" {
					r.cancel()
				}
			}
			r.inFlt = 1
		}},
		{"refused by a guard", func(r *rig) { r.svc.status = "READ_ONLY" }},
		{"the service does not answer", func(r *rig) { r.svc.versionErr = errAsk }},
		{"inputs that are wrong", func(r *rig) { r.req.Inputs["romm"] = "x" }},
		{"clean-up failed", func(r *rig) {
			r.alter = func(p *ops.Procedure) { p.CleanUp = func(context.Context, ops.Values) error { return errAsk } }
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 3)
			c.do(r)
			res, err := r.work(ops.StartRun)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			r.honest(res)
			fmt.Fprintf(&b, "# %s\n%s", c.name, lines(res))
		})
	}
	golden(t, "testdata/results.txt", b.String())
}

// TestResultLinesAfterADeadAttempt: a refusal before anything is settled must not
// tell an open effect as not reached.
func TestResultLinesAfterADeadAttempt(t *testing.T) {
	var b strings.Builder
	for _, c := range []struct {
		name string
		do   func(r *rig)
	}{
		{"frozen meanwhile", func(r *rig) {
			if _, err := r.store.Freeze(t.Context(), ops.Freeze{Environment: "dev", By: "ada", Reason: "deploying"}); err != nil {
				t.Fatal(err)
			}
		}},
		{"refused before the targets are known", func(r *rig) { r.env.RequireReason = true }},
		{"read-only meanwhile", func(r *rig) { r.svc.status = "READ_ONLY" }},
		{"canceled, and the service does not answer", func(r *rig) { r.cancel(); r.svc.versionErr = errAsk }},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 6)
			r.dies("/journal/", 3, false)
			if _, err := r.work(ops.StartRun); err == nil {
				t.Fatal("it did not die")
			}
			r.revive()
			c.do(r)
			calls := r.allCalls()
			res, err := r.work(ops.StartResume)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			r.honest(res)
			equal(t, "calls", r.allCalls(), calls)
			fmt.Fprintf(&b, "# %s\n%s", c.name, lines(res))
		})
	}
	golden(t, "testdata/results_after_death.txt", b.String())
}

func lines(res *ops.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", res.Outcome, res.Code)
	for _, l := range [][2]string{{"message", res.Message}, {"changed", res.Changed}, {"unchanged", res.Unchanged}, {"next", res.Next}, {"undo", res.Undo}} {
		if l[1] != "" {
			fmt.Fprintf(&b, "  %-9s  %s\n", l[0], l[1])
		}
	}
	for _, note := range res.Notes {
		fmt.Fprintf(&b, "  note       %s\n", note)
	}
	return b.String() + "\n"
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", file, diff)
	}
}
