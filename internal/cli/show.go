package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
)

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show RUN", Short: "Say how a run is, or how it ended",
		Example: "  synops show 20261123T141502Z-remove-user-3f9c",
		Args:    oneRun, ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			x, v, err := a.look(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if isStaged(v.Request) {
				return a.showStaged(cmd.Context(), x, v.Request)
			}
			return a.show(cmd.Context(), v)
		},
	}
}

// show prints a run's state; of one that ended, its result.
func (a *app) show(ctx context.Context, v *launcher.View) error {
	if v.State() == ops.StateEnded {
		if v.Result.Outcome == ops.RunRefused {
			a.askAnew(ctx, v.RunRef, v.Result, "")
		}
		return a.print(v.Result, func(w io.Writer) error { return report.Status(w, v.RunStatus, false, a.style()) })
	}
	doc := struct {
		Run         ops.RunID           `json:"run"`
		Task        ops.TaskName        `json:"task"`
		Environment ops.EnvironmentName `json:"environment"`
		State       ops.RunState        `json:"state"`
		Lost        bool                `json:"lost"`
		Engine      ops.Liveness        `json:"engine"`
		Requester   string              `json:"requester"`
		Attempt     int                 `json:"attempt"`
		Heartbeat   *ops.Heartbeat      `json:"heartbeat,omitempty"`
		Cancel      *ops.CancelMarker   `json:"cancel,omitempty"`
	}{v.Run, v.Request.Task, v.Request.Environment, v.State(), v.Lost(), v.Live, v.Request.Requester, len(v.Starts), v.Heartbeat, v.Cancel}
	return a.print(doc, func(w io.Writer) error {
		err := report.Status(w, v.RunStatus, v.Lost(), a.style())
		if text := waitsFor(v.Live); err == nil && text != "" && a.bucket != nil {
			_, err = fmt.Fprintln(w, text)
		}
		return err
	})
}

// waitsFor says what a run waits for before its worker can say anything; "" once it
// can.
func waitsFor(state ops.Liveness) string {
	switch state {
	case ops.AliveQueued:
		return "queued: it waits for a build"
	case ops.AliveProvisioning:
		return "provisioning: its build gets a machine and the bundle, which takes a minute or more"
	}
	return ""
}

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify RUN", Short: "Check that a run's documents are as they were written",
		Long: "verify reads all documents of a run, asks no service, and names the first that was changed, left\nout, put elsewhere or cut. Exit code 1 when one was.",
		Args: oneRun, ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			v, err := x.st.Verify(cmd.Context(), x.ref)
			if err != nil {
				return err
			}
			if v.Broken != "" {
				return &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("%s is broken: %s", x.ref.Run, v.Broken), Hint: "Its report cannot be relied on beyond that place; ask who had access to the store."}
			}
			doc := struct {
				Run     ops.RunID `json:"run"`
				Intact  bool      `json:"intact"`
				Checked []string  `json:"checked"`
			}{x.ref.Run, true, v.Checked}
			return a.print(doc, func(w io.Writer) error {
				text := fmt.Sprintf("%s is intact.\n", x.ref.Run)
				for _, line := range v.Checked {
					text += "  " + report.Clean(line) + "\n"
				}
				_, err := io.WriteString(w, text)
				return err
			})
		},
	}
}
