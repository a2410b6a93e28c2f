package tasks

import (
	"context"
	"fmt"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var exportIDsTask = ops.Task{
	Name: "export-ids", Version: 1,
	Title:   "Export the ID generator",
	Summary: "Writes ids.sql, a script that seeds a new ID generator database.",
	Details: "Reads the highest number of every type of ID. The script is kept as an artifact of the run, ready for a SQL client. " +
		"Numbers handed out after the export are not in it: export while nothing is written.",
	Undo:      "Nothing to undo: it only reads.",
	Inputs:    []ops.Input{},
	Class:     ops.Reads,
	Lane:      ops.LaneAdmin,
	Noun:      "export",
	Plural:    "exports",
	Deciding:  []string{"exported"},
	Exempt:    true,
	TimeLimit: 30 * time.Minute,
}

func exportIDs(s Service) ops.Procedure {
	var service ids = s
	return ops.Procedure{
		Targets: single("id-generator"),
		Plan: func(_ context.Context, _ ops.Values, t ops.Target) (ops.Effect, error) {
			return ops.Effect{
				Target: t, Summary: "exported as ids.sql", Settle: ops.SettleResend,
				BeforeAbsent: "nothing is changed", After: ops.State{"exported": true},
			}, nil
		},
		Perform: func(ctx context.Context, step *ops.Step) (ops.Done, error) {
			script, err := service.ExportIDs(ctx)
			if err != nil {
				return ops.Done{}, fmt.Errorf("exporting IDs: %w", err)
			}
			if strings.TrimSpace(script) == "" {
				return ops.Done{}, ops.Errorf(ops.Internal, "the service answered with an empty script.")
			}
			where, err := step.Artifact(ctx, "ids.sql", []byte(script))
			if err != nil {
				return ops.Done{}, fmt.Errorf("keeping ids.sql: %w", err)
			}
			return ops.Done{
				After:   ops.State{"exported": true, "bytes": len(script)},
				Message: fmt.Sprintf("ids.sql (%d bytes) is %s", len(script), where),
			}, nil
		},
		Undo: readsOnly,
	}
}
