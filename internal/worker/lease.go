package worker

import (
	"context"
	"fmt"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// GuardLease names the guard that refuses while another run has the task's lease.
const GuardLease = "lease"

// acquire takes the task's lease for this run, from a holder only when that one
// can provably not act any more. It never waits.
func (a *attempt) acquire(ctx context.Context) error {
	name := a.order.task.LeaseFor(a.order.values)
	if name == "" {
		return nil
	}
	want := ops.Lease{Environment: a.req.Environment, Name: name, RunRef: a.ref, Attempt: a.n, At: now()}
	got, holder, err := a.w.c.Documents.AcquireLease(ctx, want, nil)
	if err == nil && holder != nil && a.w.c.Gone != nil {
		gone, goneErr := a.w.c.Gone(ctx, *holder)
		if goneErr == nil && gone {
			a.say("Lease %s: its holder %s is gone; taking it over.", name, holder.Run)
			got, holder, err = a.w.c.Documents.AcquireLease(ctx, want, holder)
		}
	}
	if err != nil {
		return fmt.Errorf("taking lease %s: %w", name, err)
	}
	if holder != nil {
		return &ops.Refusal{Guard: GuardLease, Code: ops.Conflict,
			Reason: fmt.Sprintf("lease %q is held by %s since %s.", name, holder.Run, holder.At.Format(time.RFC3339)),
			Remedy: fmt.Sprintf("Wait for it: synops follow %s.", holder.Run)}
	}
	a.lease = &got
	return nil
}
