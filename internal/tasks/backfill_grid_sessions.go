package tasks

import (
	"context"
	"fmt"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var backfillGridSessionsTask = ops.Task{
	Name: "backfill-grid-sessions", Version: 1,
	Title:   "Backfill grid sessions",
	Summary: "Sends a change message for every grid session again.",
	Details: "Meant for the source stack before a migration. It may take minutes. Repeating it does no harm but sends all messages once more, " +
		"so a run whose answer was lost asks a person instead of trying again.",
	Undo:      "Cannot be undone: messages that were sent are sent.",
	Inputs:    []ops.Input{},
	Class:     ops.Changes,
	Lane:      ops.LaneAdmin,
	Noun:      "backfill",
	Plural:    "backfills",
	Deciding:  []string{"sent"},
	Exempt:    true,
	TimeLimit: 30 * time.Minute,
}

func backfillGridSessions(s Service) ops.Procedure {
	var service grids = s
	return ops.Procedure{
		Targets: single("grid-sessions"),
		Plan: func(_ context.Context, _ ops.Values, t ops.Target) (ops.Effect, error) {
			return ops.Effect{
				Target: t, Summary: "sends a change message for every grid session", Settle: ops.SettlePerson,
				BeforeAbsent: "the service does not tell how many grid sessions there are",
				After:        ops.State{"sent": true},
			}, nil
		},
		Perform: func(ctx context.Context, _ *ops.Step) (ops.Done, error) {
			n, err := service.BackfillGridSessions(ctx)
			if err != nil {
				return ops.Done{}, fmt.Errorf("sending the messages: %w", err)
			}
			return ops.Done{
				After:   ops.State{"sent": true, "sessions": n},
				Message: fmt.Sprintf("messages were sent for %d grid sessions", n),
			}, nil
		},
		Undo: irreversible("the messages are sent. Sending them once more does no harm."),
	}
}
