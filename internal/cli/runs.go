package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// a run that is there: its store, its place, and a launcher to look at it.
type existing struct {
	st  *store.Store
	ref ops.RunRef
	l   *launcher.Launcher
}

// find opens the store and finds the run that is named, which must be in the
// environment that -e names, if it does.
func (a *app) find(ctx context.Context, run string) (*existing, error) {
	id, err := ops.ParseRunID(run)
	if err != nil {
		return nil, err
	}
	st, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	ref, err := st.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	x := &existing{st: st, ref: ref, l: a.launcher(st, nil, nil)}
	if a.environment == "" {
		return x, nil
	}
	status, err := st.Status(ctx, ref)
	if err != nil {
		return nil, err
	}
	return x, a.ownEnvironment(status.Request, "")
}

// ownEnvironment refuses a run of another environment than -e or CONTEXT says.
func (a *app) ownEnvironment(req *ops.Request, processContext string) error {
	a.trouble.Environment = req.Environment
	for _, said := range [][2]string{{"-e", a.environment}, {"CONTEXT", processContext}} {
		if said[1] != "" && said[1] != string(req.Environment) {
			return ops.Refuse("environment-context", "Name the run's own environment, or none.", "the run is in %s and %s says %s.", req.Environment, said[0], ops.Quote(said[1]))
		}
	}
	return nil
}

// starts has x start workers in the run's own environment, and refuses where the
// process is not for it: starting an attempt is as serious as starting the run.
func (a *app) starts(ctx context.Context, x *existing, req *ops.Request) error {
	choice, err := a.chooseFor(req)
	if err != nil {
		return err
	}
	l, err := a.starter(ctx, x.st, choice)
	if err == nil {
		x.l = l
	}
	return err
}

// chooseFor settles environment and host of an existing request: its own, and
// nothing that the process environment contradicts.
func (a *app) chooseFor(req *ops.Request) (*environments.Choice, error) {
	p := a.processEnvironment()
	if err := a.ownEnvironment(req, p.Context); err != nil {
		return nil, err
	}
	file, err := a.environments()
	if err != nil {
		return nil, err
	}
	if p.Host == "" {
		p.Host = req.Host
	}
	choice, err := file.Choose(req.Environment, p)
	if err == nil && choice.Host != req.Host {
		return nil, ops.Refuse("environment-host", "Unset SYNAPSE_HOST, or set it to the run's own host.", "the run is for %s and SYNAPSE_HOST says %s.", req.Host, choice.Host)
	}
	return choice, err
}

func oneRun(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s takes one run ID.", cmd.CommandPath()), Hint: "synops runs lists them."}
	}
	return nil
}

func (a *app) followCommand() *cobra.Command {
	var until time.Duration
	cmd := &cobra.Command{
		Use: "follow RUN", Short: "Print a run's log from the first line until it ends",
		Long: "follow prints what the run's worker says, and its report once it ends. It changes nothing: any\n" +
			"number may follow one run, and Ctrl-C leaves it going. The exit code is the run's: 0, 1, 2, 3\nor 130; 4 when it was left.",
		Example: "  synops follow 20261123T141502Z-remove-user-3f9c",
		Args:    oneRun, ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkUntil(until); err != nil {
				return err
			}
			x, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			v, err := x.l.Look(cmd.Context(), x.ref)
			if err != nil {
				return err
			}
			a.trouble.Environment = v.Request.Environment
			a.say("%s  %s", a.mark(v.Request.Environment), x.ref.Run)
			return a.follow(cmd.Context(), x.l, x.ref, follow{until: until})
		},
	}
	cmd.Flags().DurationVar(&until, "until", 0, "leave after this `TIME`, such as 330m, with exit code 4, while it goes on")
	return cmd
}

func (a *app) resumeCommand() *cobra.Command {
	var f runFlags
	var force bool
	var settle []string
	cmd := &cobra.Command{
		Use: "resume RUN", Short: "Go on with a run that failed or whose worker died",
		Long: "resume starts the next attempt of a run: what is journaled as done is not done again, and what\n" +
			"was begun without a word of how it ended is settled first. It attaches to a run that is running\nand prints the result of one that ended for good.",
		Args: oneRun, ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.again(cmd.Context(), args[0], &f, settle, force, (*launcher.Launcher).Resume)
		},
	}
	f.registerShared(cmd)
	settleFlags(cmd, &settle, &force)
	return cmd
}

func settleFlags(cmd *cobra.Command, settle *[]string, force *bool) {
	cmd.Flags().StringArrayVar(settle, "settle", nil, "what became of an effect that nothing can tell: `EFFECT=done` or EFFECT=not-done")
	cmd.Flags().BoolVar(force, "force", false, "kill a worker that is still there first")
}

func (a *app) settleCommand() *cobra.Command {
	var f runFlags
	var force bool
	var settle []string
	cmd := &cobra.Command{
		Use: "settle RUN", Short: "Finish the clean-up of a run that was canceled or lost; begin nothing new",
		Long: "settle starts an attempt that only finds out what became of the effects begun, does the task's\n" +
			"clean-up and ends the run. It is for a run that was canceled, or whose worker died and that nobody\nwants to go on with.",
		Args: oneRun, ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.again(cmd.Context(), args[0], &f, settle, force, (*launcher.Launcher).Settle)
		},
	}
	cmd.Flags().BoolVar(&f.detach, "detach", false, "start it and leave")
	cmd.Flags().DurationVar(&f.until, "until", 0, "leave after this `TIME`, with exit code 4")
	settleFlags(cmd, &settle, &force)
	return cmd
}

// again starts the next attempt of a run in the given way and follows it.
func (a *app) again(ctx context.Context, run string, f *runFlags, settle []string, force bool,
	start func(*launcher.Launcher, context.Context, ops.RunRef, launcher.Answers, bool) (bool, error)) error {
	a.mayChange()
	answers, err := a.answers(f)
	if err != nil {
		return err
	}
	if answers.Settle, err = settlements(settle); err != nil {
		return err
	}
	x, err := a.find(ctx, run)
	if err != nil {
		return err
	}
	v, err := x.l.Look(ctx, x.ref)
	if err != nil {
		return err
	}
	if err := a.ownEnvironment(v.Request, a.p.Getenv(varContext)); err != nil {
		return err
	}
	// Attaching, or telling how it ended, takes no token.
	if !attaches(v, force) {
		if err := a.starts(ctx, x, v.Request); err != nil {
			return err
		}
	}
	started, err := start(x.l, ctx, x.ref, answers, force)
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
	// Whoever cannot start a worker may still say that the run must end.
	unable := a.starts(ctx, x, status.Request)
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

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show RUN", Short: "Say how a run is, or how it ended",
		Example: "  synops show 20261123T141502Z-remove-user-3f9c",
		Args:    oneRun, ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			v, err := x.l.Look(cmd.Context(), x.ref)
			if err != nil {
				return err
			}
			return a.show(v)
		},
	}
}

// show prints a run's state; of one that ended, its result.
func (a *app) show(v *launcher.View) error {
	if v.State() == ops.StateEnded {
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
	return a.print(doc, func(w io.Writer) error { return report.Status(w, v.RunStatus, v.Lost(), a.style()) })
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
