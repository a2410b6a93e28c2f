package tasks

import (
	"context"
	"fmt"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var unquarantineEmailTask = ops.Task{
	Name: "unquarantine-email", Version: 1,
	Title:   "Lift the quarantine of e-mail addresses",
	Summary: "Lets the service send mail again to addresses it had quarantined.",
	Details: "The service quarantines an address after bounces or complaints. Make sure that the cause is gone, or it comes back. " +
		"The service has no read of the quarantine, so nothing can be shown before or checked after; an address that was never quarantined is refused when its turn comes.",
	Undo: "Cannot be undone by a task; the service quarantines an address again by itself when mail bounces.",
	Inputs: []ops.Input{{
		Name: "emails", Kind: ops.KindEmail, List: true, Personal: true, Example: "jane@example.org",
		Help: "The quarantined addresses.",
	}},
	Class:    ops.Changes,
	Lane:     ops.LaneAdmin,
	Noun:     "e-mail address",
	Plural:   "e-mail addresses",
	Deciding: []string{"quarantined"},
	Exempt:   true,

	TargetsInput: "emails",
	TimeLimit:    8 * time.Hour,
}

func unquarantineEmail(s Service) ops.Procedure {
	var service emails = s
	return ops.Procedure{
		Targets: emailTargets,
		Plan: func(_ context.Context, _ ops.Values, t ops.Target) (ops.Effect, error) {
			return ops.Effect{
				Target: t, Summary: "quarantined → false",
				BeforeAbsent: "the service has no read of quarantined addresses",
				After:        ops.State{"quarantined": false}, Settle: ops.SettleResend,
			}, nil
		},
		Perform: func(ctx context.Context, step *ops.Step) (ops.Done, error) {
			t := step.Effect.Target
			err := service.ExpireQuarantine(ctx, t.Value)
			if ops.CodeOf(err) == ops.NotFound {
				err = refuse("email-quarantined", ops.NotFound, "Check its spelling, and the environment.", "the address %s (%s) was never quarantined.", t.Label, t.ID)
			}
			return ops.Done{}, err
		},
		Undo: irreversible("no call quarantines an address; the service does so by itself when mail to it bounces."),
	}
}

// emailTargets names each address by its place in the list: IDs are in documents
// that must hold no personal data.
func emailTargets(v ops.Values) []ops.Target {
	list := v.List("emails")
	targets := make([]ops.Target, len(list))
	for i, email := range list {
		targets[i] = ops.Target{ID: fmt.Sprintf("email/%d", i+1), Label: ops.MaskEmail(email), Value: email}
	}
	return targets
}
