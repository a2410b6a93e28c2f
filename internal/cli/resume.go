package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

func (a *app) resumeCommand() *cobra.Command {
	var f runFlags
	var settle []string
	cmd := &cobra.Command{
		Use: "resume RUN", Short: "Go on with a run that failed or whose worker died",
		Long: "resume starts the next attempt of a run: what is journaled as done is not done again, and what\n" +
			"was begun without a word of how it ended is settled first. It attaches to a run that is running\nand prints the result of one that ended for good.",
		Args: oneRun, ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.again(cmd.Context(), args[0], &f, settle, ops.StartResume)
		},
	}
	a.registerShared(&f, cmd)
	settleFlags(cmd, &settle, &f.force)
	return cmd
}

func settleFlags(cmd *cobra.Command, settle *[]string, force *bool) {
	cmd.Flags().StringArrayVar(settle, "settle", nil, "what became of an effect that nothing can tell: `EFFECT=done` or EFFECT=not-done")
	cmd.Flags().BoolVar(force, "force", false, "kill a worker that is still there first")
}

func (a *app) settleCommand() *cobra.Command {
	var f runFlags
	var settle []string
	cmd := &cobra.Command{
		Use: "settle RUN", Short: "Finish the clean-up of a run that was canceled or lost; begin nothing new",
		Long: "settle starts an attempt that only finds out what became of the effects begun, does the task's\n" +
			"clean-up and ends the run. It is for a run that was canceled, or whose worker died and that nobody\nwants to go on with.",
		Args: oneRun, ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.again(cmd.Context(), args[0], &f, settle, ops.StartSettle)
		},
	}
	cmd.Flags().BoolVar(&f.detach, "detach", false, "start it and leave")
	a.registerGlass(cmd)
	cmd.Flags().DurationVar(&f.until, "until", 0, "leave after this `TIME`, with exit code 4")
	settleFlags(cmd, &settle, &f.force)
	return cmd
}

// again starts the next attempt of a run, to go on with it or to settle it, and
// follows it.
func (a *app) again(ctx context.Context, run string, f *runFlags, settle []string, kind ops.StartKind) error {
	a.mayChange()
	answers, err := a.answers(f)
	if err != nil {
		return err
	}
	if answers.Settle, err = settlements(settle); err != nil {
		return err
	}
	x, v, err := a.look(ctx, run)
	if err != nil {
		return err
	}
	if err := a.ownEnvironment(v.Request, a.p.Getenv(varContext)); err != nil {
		return err
	}
	if isStaged(v.Request) {
		if kind == ops.StartSettle {
			return a.settleStaged(ctx, x)
		}
		_, err := a.resumeStaged(ctx, x, v.Request, answers, f)
		return err
	}
	if err := areUnsettled(answers.Settle, v.Result); err != nil {
		return err
	}
	// Attaching, or telling how it ended, takes no token.
	if !attaches(v, f.force) {
		if err := a.starts(ctx, x, v.RunStatus); err != nil {
			return err
		}
		if task, err := tasks.Catalog().Task(v.Request.Task); err == nil {
			if values, err := task.Parse(v.Request.Inputs); err == nil { // else the worker says what is wrong
				x.l.Hold = a.hold(v.Request.Environment, task.LeaseFor(values), f.noWait)
			}
		}
	}
	start := x.l.Resume
	if kind == ops.StartSettle {
		start = x.l.Settle
	}
	started, err := start(ctx, x.ref, answers, f.force)
	if err != nil {
		return err
	}
	status, from := v.RunStatus, len(v.Starts)
	switch {
	case started:
		starts, err := x.st.Starts(ctx, x.ref)
		if err != nil {
			return err
		}
		from = starts[len(starts)-1].N
		a.say("%s  %s goes on with attempt %d", a.mark(status.Request.Environment), x.ref.Run, from)
	case status.State() == ops.StateEnded && f.detach:
		a.say("%s  %s ended already: %s. Nothing was started.", a.mark(status.Request.Environment), x.ref.Run, status.Result.Outcome)
		return a.leave(x.ref, string(ops.StateEnded), "How it ended: synops show ")
	case status.State() == ops.StateEnded:
		a.say("%s  %s ended already; this is how. Nothing was started.", a.mark(status.Request.Environment), x.ref.Run)
	default:
		a.say("%s  %s is running; attached, nothing was started.", a.mark(status.Request.Environment), x.ref.Run)
	}
	if f.detach {
		return a.detached(x.ref)
	}
	return a.follow(ctx, x.l, x.ref, follow{until: f.until, from: from})
}

// attaches tells whether going on with a run begins no worker: it has ended for
// good, or one works on it.
func attaches(v *launcher.View, force bool) bool {
	if v.State() == ops.StateEnded {
		return v.Result.Outcome.Final()
	}
	return !force && (v.Live == ops.AliveRunning || v.Live == ops.AliveProvisioning || v.Live == ops.AliveQueued)
}

// settlements reads --settle flags.
func settlements(flags []string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, flag := range flags {
		i := strings.LastIndexByte(flag, '=')
		if i <= 0 || flag[i+1:] != "done" && flag[i+1:] != "not-done" {
			return nil, &ops.Error{Code: ops.Invalid, Message: "--settle " + ops.Quote(flag) + " is not EFFECT=done or EFFECT=not-done.", Hint: "The result names the effect, such as job/1=done."}
		}
		out[flag[:i]] = flag[i+1:] == "done"
	}
	return out, nil
}

// areUnsettled refuses an answer about an effect that r does not tell as unsettled: it
// is misspelled, and would be passed over. Without a result nothing is known yet.
func areUnsettled(answers map[string]bool, r *ops.Result) error {
	if len(answers) == 0 || r == nil || r.Outcome.Final() {
		return nil
	}
	var open []string
	for _, e := range r.Effects {
		if e.Outcome == ops.EffectUnsettled {
			open = append(open, e.ID)
		}
	}
	if r.Counts[ops.EffectUnsettled] > len(open) {
		return nil // the result does not list all
	}
	for _, id := range slices.Sorted(maps.Keys(answers)) {
		if slices.Contains(open, id) {
			continue
		}
		hint := "Every effect of it is settled: leave --settle out."
		if near := ops.Nearest(id, open); near != "" {
			hint = "Did you mean " + near + "?"
		} else if len(open) > 0 {
			hint = "Unsettled is " + strings.Join(open[:min(len(open), 5)], ", ") + "."
		}
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("--settle names %s, which is no unsettled effect of %s.", ops.Quote(id), r.Run), Hint: hint}
	}
	return nil
}
