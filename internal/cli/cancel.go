package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
)

func (a *app) cancelCommand() *cobra.Command {
	var reason string
	var grace time.Duration
	var detach bool
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "End a run: what is in hand is settled, nothing further begins",
		Long: "cancel writes a marker that no start, resume or new effect passes. Then it waits for the worker to\n" +
			"end the run; a worker that does not within --grace is killed, and another settles what it left.\nThe exit code is 0 once the cancel is durable and the run has ended.",
		Args: oneRun, ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkReason(reason); err != nil {
				return err
			}
			return a.cancel(cmd.Context(), args[0], oneLine(reason), grace, detach)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`WHY`, for the record")
	cmd.Flags().DurationVar(&grace, "grace", time.Minute, "`TIME` that the worker gets to end by itself")
	cmd.Flags().BoolVar(&detach, "detach", false, "leave once the cancel is durable")
	return cmd
}

func (a *app) cancel(ctx context.Context, run, reason string, grace time.Duration, detach bool) error {
	x, err := a.find(ctx, run)
	if err != nil {
		return err
	}
	status, err := x.st.Status(ctx, x.ref)
	if err != nil {
		return err
	}
	if err := a.ownEnvironment(status.Request, a.p.Getenv(varContext)); err != nil {
		return err
	}
	if isStaged(status.Request) {
		return a.cancelStaged(ctx, x, status.Request, reason, grace, detach)
	}
	// Whoever cannot start a worker may still say that the run must end.
	unable := a.starts(ctx, x, status)
	asked, err := x.l.Cancel(ctx, x.ref, oneLine(a.p.requester()), reason)
	if err != nil {
		return err
	}
	switch {
	case !asked:
		a.say("%s  %s ended already; nothing to cancel.", a.mark(status.Request.Environment), x.ref.Run)
	case detach || unable != nil:
		if unable != nil && !detach {
			a.say("No worker can be started from here to see to it: %v", unable)
		}
		return a.canceling(x.ref)
	default:
		a.say("%s  The cancel is durable: no new effect begins. Waiting for the worker to end what it has in hand.", a.mark(status.Request.Environment))
	}
	a.began(x.ref.Run)
	r, err := x.l.End(ctx, x.ref, launcher.Answers{By: oneLine(a.p.requester())}, grace, launcher.Follow{Log: a.err, From: len(status.Starts)})
	if err := a.ended(x.ref, r, err); exitCode(err) != exitCanceled {
		return err
	}
	return nil
}

// canceling says that the cancel is durable, and leaves.
func (a *app) canceling(ref ops.RunRef) error {
	return a.print(map[string]any{"run": ref.Run, "state": "canceling"}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "The cancel is durable: no new effect begins. See it end with: synops follow %s%s\n", ref.Run, a.flagsAgain())
		return err
	})
}
