package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
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

// look finds a run and says how it is.
func (a *app) look(ctx context.Context, run string) (*existing, *launcher.View, error) {
	x, err := a.find(ctx, run)
	if err != nil {
		return nil, nil, err
	}
	v, err := x.l.Look(ctx, x.ref)
	if err != nil {
		return nil, nil, err
	}
	return x, v, nil
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
func (a *app) starts(ctx context.Context, x *existing, status *ops.RunStatus) error {
	choice, err := a.chooseFor(status.Request)
	if err != nil {
		return err
	}
	pinned := ""
	if n := len(status.Starts); n > 0 {
		pinned = status.Starts[n-1].Bundle
	}
	l, err := a.starter(ctx, x.st, choice, status.Request, pinned)
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
			x, v, err := a.look(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			a.trouble.Environment = v.Request.Environment
			if isStaged(v.Request) {
				return a.showStaged(cmd.Context(), x, v.Request)
			}
			a.say("%s  %s", a.mark(v.Request.Environment), x.ref.Run)
			return a.follow(cmd.Context(), x.l, x.ref, follow{until: until})
		},
	}
	cmd.Flags().DurationVar(&until, "until", 0, "leave after this `TIME`, such as 330m, with exit code 4, while it goes on")
	return cmd
}
