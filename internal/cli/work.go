package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// workCommand is what engines start. Its argument vector names the run and
// nothing else of it: everything is read from the documents.
func (a *app) workCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "work RUN", Short: "Perform the newest attempt of a run in this process", Args: oneRun, Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error { return a.work(cmd.Context(), args[0]) },
	}
	cmd.Flags().BoolVar(&a.planOnly, "plan-only", false, "plan it, and perform nothing")
	return cmd
}

// workMemory is what the collector tries to stay below, in bytes.
const workMemory = 48 << 20

func (a *app) work(ctx context.Context, run string) error {
	defer a.flush()
	// Builds are small. What a long list of targets leaves behind is collected
	// early, and the sooner the more there is: time is the service's, not ours.
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(workMemory)
	id, err := ops.ParseRunID(run)
	if err != nil {
		return err
	}
	st, err := a.open(ctx)
	if err != nil {
		return err
	}
	ref, err := a.toPerform(ctx, st, id)
	if err != nil {
		return err
	}
	choice, err := a.choose()
	if err != nil {
		return err
	}
	var clients []apiClient
	defer closeAll(&clients)
	r, err := a.worker(choice, st, &clients).Work(ctx, ref)
	switch {
	case errors.Is(err, worker.ErrDuplicate):
		return nil // the other one does the work
	case errors.Is(err, worker.ErrHandedOver):
		fmt.Fprintln(a.out, ops.LineEnded) // of this attempt's log
		return nil
	case errors.Is(err, worker.ErrFenced), errors.Is(err, worker.ErrStopped):
		return &ops.Error{Code: ops.Unavailable, Err: err, Message: err.Error() + "."}
	case err != nil:
		return err
	}
	if a.inBuild() != nil {
		fmt.Fprintln(a.out, ops.LineEnded) // whoever follows knows that there is no more
	}
	return &ended{r}
}
