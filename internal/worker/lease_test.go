package worker_test

import (
	"context"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// goneWorkers: whoever else holds a lease can provably not act any more.
func goneWorkers(c *worker.Config) {
	c.Gone = func(context.Context, ops.Lease) (bool, error) { return true, nil }
}

var other = ops.RunRef{Lane: ops.LaneAdmin, Run: "20261123T100000Z-light-lamps-0000"}

// held returns a rig whose lease another run holds.
func held(t *testing.T) *rig {
	r := newRig(t, 2)
	r.task.Lease = "lamps"
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	if _, _, err := r.store.AcquireLease(t.Context(), ops.Lease{Environment: "dev", Name: "lamps", RunRef: other, Attempt: 1, At: at}, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) holder() *ops.Lease {
	r.Helper()
	l, err := r.store.Lease(context.Background(), "dev", "lamps")
	if err != nil {
		r.Fatal(err)
	}
	return l
}

func TestLeaseHeldByAnother(t *testing.T) {
	for name, gone := range map[string]func(context.Context, ops.Lease) (bool, error){
		"which is alive":        func(context.Context, ops.Lease) (bool, error) { return false, nil },
		"which cannot be asked": func(context.Context, ops.Lease) (bool, error) { return true, errAsk },
		"which nobody can ask":  nil,
	} {
		bubble(t, name, func(t *testing.T) {
			r := held(t)
			r.config = func(c *worker.Config) { c.Gone = gone }
			res, err := r.work(ops.StartRun)
			if err != nil || res.Outcome != ops.RunRefused || res.Code != ops.Conflict {
				t.Fatalf("got %+v, %v", res, err)
			}
			contains(t, "message", res.Message, `guard "lease"`, string(other.Run), "since 2026-11-23T10:00:00Z")
			equal(t, "guard", res.Guard, worker.GuardLease)
			contains(t, "next", res.Next, "synops follow "+string(other.Run))
			equal(t, "times the token was read", r.opened, 0)
			if h := r.holder(); h == nil || h.Run != other.Run {
				t.Errorf("the lease is now held by %+v", h)
			}
		})
	}
}

func TestLeaseTakenOver(t *testing.T) {
	bubble(t, "from a run that is gone", func(t *testing.T) {
		r := held(t)
		r.config = goneWorkers
		r.onCall = func(string) { equal(t, "holder", r.holder().Run, run1) }
		r.ends(ops.StartRun, ops.Succeeded, "")
		contains(t, "log", r.out.String(), "its holder "+string(other.Run)+" is gone")
		if h := r.holder(); h != nil {
			t.Errorf("the lease is held by %+v after the end", h)
		}
	})
}

// TestLeaseOverAttempts: it is kept when an attempt dies or stops, and free at
// every end.
func TestLeaseOverAttempts(t *testing.T) {
	bubble(t, "dead", func(t *testing.T) {
		r := newRig(t, 5)
		r.task.Lease = "lamps"
		r.dies("/journal/", 3, false)
		if _, err := r.work(ops.StartRun); err == nil {
			t.Fatal("it did not die")
		}
		r.revive()
		if h := r.holder(); h == nil || h.Run != run1 || h.Attempt != 1 {
			t.Fatalf("the dead attempt's lease is %+v", h)
		}
		r.onCall = func(string) { equal(t, "holder's attempt", r.holder().Attempt, 2) }
		r.ends(ops.StartResume, ops.Succeeded, "")
		if h := r.holder(); h != nil {
			t.Errorf("the lease is held by %+v after the end", h)
		}
	})
	for name, c := range map[string]struct {
		want  ops.Outcome
		code  ops.Code
		spoil func(r *rig)
	}{
		"succeeded": {ops.Succeeded, "", func(*rig) {}},
		"failed":    {ops.RunFailed, ops.Denied, func(r *rig) { r.faults["l00001"] = []fault{fails} }},
		"refused":   {ops.RunRefused, ops.Denied, func(r *rig) { r.svc.status = "DOWN" }},
		"canceled":  {ops.RunCanceled, ops.Canceled, func(r *rig) { r.onCall = func(string) { r.cancel() } }},
		"unsettled": {ops.RunFailed, ops.Unsettled, func(r *rig) {
			r.settle = func(string) ops.Settling { return ops.SettlePerson }
			r.faults["l00001"] = []fault{lostAfter}
		}},
	} {
		bubble(t, name, func(t *testing.T) {
			r := newRig(t, 5)
			r.task.Lease = "lamps"
			c.spoil(r)
			r.ends(ops.StartRun, c.want, c.code)
			if keys := r.docs.keys("leases/"); len(keys) != 2 || !strings.HasSuffix(keys[1], ".released") {
				t.Errorf("the lease's documents are %q", keys)
			}
		})
	}
}
