package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

func (a *app) tasksCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tasks", Short: "List the tasks on offer", Args: noArgs,
		Example: "  synops tasks\n  synops tasks show remove-user",
		RunE: func(*cobra.Command, []string) error {
			c := tasks.Catalog()
			return a.print(c, func(w io.Writer) error { return report.Tasks(w, c, a.style()) })
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use: "show TASK", Short: "Say what a task does, its inputs and how to undo it", Args: oneTask, ValidArgsFunction: a.completeTaskName,
		Example: "  synops tasks show remove-user",
		RunE: func(_ *cobra.Command, args []string) error {
			task, err := tasks.Catalog().Task(ops.TaskName(args[0]))
			if err != nil {
				return err
			}
			return a.print(task, func(w io.Writer) error { return report.Task(w, task, a.style()) })
		},
	})
	return cmd
}

func oneTask(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s takes one task.", cmd.CommandPath()), Hint: "synops tasks lists all."}
	}
	return needTask(cmd, args)
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s takes no arguments, and %s is one.", cmd.CommandPath(), shown(args[0])), Hint: fmt.Sprintf("See %s --help.", cmd.CommandPath())}
	}
	return nil
}

// runsFilter says which runs are listed.
type runsFilter struct {
	task, outcome, requester, since string
	limit                           int
}

func (a *app) runsCommand() *cobra.Command {
	var f runsFilter
	cmd := &cobra.Command{
		Use: "runs", Short: "List runs, newest first", Args: noArgs,
		Example: "  synops runs --outcome failed --since 36h\n  synops runs -e prod --task remove-user --limit 10",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runs(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.task, "task", "", "only runs of this `TASK`")
	cmd.Flags().StringVar(&f.outcome, "outcome", "", "only runs with this `OUTCOME`: "+strings.Join(listed, ", "))
	cmd.Flags().StringVar(&f.requester, "requester", "", "only runs that this `PERSON` asked for")
	cmd.Flags().StringVar(&f.since, "since", "", "only runs since `WHEN`: a date, a time (RFC 3339), or an age such as 36h")
	cmd.Flags().IntVar(&f.limit, "limit", 50, "at most `N`")
	_ = cmd.RegisterFlagCompletionFunc("task", a.completeTaskName)
	_ = cmd.RegisterFlagCompletionFunc("outcome", cobra.FixedCompletions(listed, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) runs(ctx context.Context, f runsFilter) error {
	since, err := parseSince(f.since, time.Now())
	if err != nil {
		return err
	}
	if f.outcome != "" && !slices.Contains(listed, f.outcome) {
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("No run is listed as %s.", shown(f.outcome)), Hint: "--outcome is one of " + strings.Join(listed, ", ") + "."}
	}
	if f.task != "" {
		if _, err := tasks.Catalog().Task(ops.TaskName(f.task)); err != nil {
			return err
		}
	}
	if f.limit < 1 {
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("--limit %d lists nothing.", f.limit), Hint: "Give a positive number."}
	}
	if err := a.knownEnvironment(); err != nil {
		return err
	}
	st, err := a.open(ctx)
	if err != nil {
		return err
	}
	rows, err := a.collect(ctx, st, f, since)
	if err != nil {
		return err
	}
	return a.print(rows, func(w io.Writer) error { return report.Runs(w, rows, a.style()) })
}

// knownEnvironment tells whether -e, where it only narrows a listing, names one.
func (a *app) knownEnvironment() error {
	if a.environment == "" {
		return nil
	}
	file, err := a.environments()
	if err == nil {
		_, err = file.Environment(ops.EnvironmentName(a.environment))
	}
	return err
}

// queuedFor is how far back runs are looked for that no worker has begun. Nothing
// waits as long for a lane: a run takes 30 hours at most.
const queuedFor = 72 * time.Hour

// collect walks the index from the newest run back and reads only what passes. What
// is queued is asked for first: what begins meanwhile is in the index then.
func (a *app) collect(ctx context.Context, st *store.Store, f runsFilter, since time.Time) ([]report.Row, error) {
	queued, err := a.queuedRows(ctx, st, f, since)
	if err != nil {
		return nil, err
	}
	rows := []report.Row{}
	for e, err := range st.Index(ctx) {
		if err != nil {
			return nil, err
		}
		if e.Run.Time().Before(since) || len(rows) >= f.limit && !e.Run.Time().Equal(rows[len(rows)-1].Run.Time()) {
			break
		}
		if f.task != "" && e.Run.Task() != ops.TaskName(f.task) || f.requester != "" && e.Requester != f.requester ||
			a.environment != "" && string(e.Environment) != a.environment {
			continue
		}
		row := a.rowOf(ctx, st, e)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if f.outcome == "" || listedAs(row, f.outcome) {
			rows = append(rows, row)
		}
	}
	if f.task == "" || isStaged(&ops.Request{Task: ops.TaskName(f.task)}) {
		staged, err := a.wholeRows(ctx, st, f, since)
		if err != nil {
			return nil, err
		}
		rows = append(rows, staged...)
	}
	for _, row := range queued {
		if !slices.ContainsFunc(rows, func(r report.Row) bool { return r.Run == row.Run }) {
			rows = append(rows, row)
		}
	}
	// IDs tell the second; those of one second are put in order here.
	slices.SortStableFunc(rows, func(x, y report.Row) int { return y.Asked.Compare(x.Asked) })
	return rows[:min(len(rows), f.limit)], nil
}

// queuedRows are those of the runs that no worker has begun: the index has none of
// them.
func (a *app) queuedRows(ctx context.Context, st *store.Store, f runsFilter, since time.Time) ([]report.Row, error) {
	if longest := time.Now().Add(-queuedFor); since.Before(longest) {
		since = longest
	}
	refs, err := st.Queued(ctx, since)
	if err != nil {
		return nil, err
	}
	var rows []report.Row
	for _, ref := range refs {
		if f.task != "" && ref.Run.Task() != ops.TaskName(f.task) {
			continue
		}
		row := a.rowOf(ctx, st, ops.IndexEntry{Run: ref.Run, Lane: ref.Lane})
		if (a.environment == "" || row.Environment == "" || string(row.Environment) == a.environment) &&
			(f.requester == "" || row.Requester == f.requester) && (f.outcome == "" || listedAs(row, f.outcome)) {
			rows = append(rows, row)
		}
	}
	return rows, ctx.Err()
}

// listed are the words that the column OUTCOME shows.
var listed = []string{"succeeded", "refused", "failed", "canceled", "running", "queued", string(ops.StateWaiting), lost, unreadable}

const lost, unreadable = "lost", "unreadable"

// listedAs tells whether the column OUTCOME shows a run as word. One that is lost is
// shown as running or queued, too.
func listedAs(row report.Row, word string) bool {
	switch {
	case row.Problem != "":
		return word == unreadable
	case row.Outcome != "":
		return word == string(row.Outcome)
	}
	return word == string(row.State) || row.Lost && word == lost
}

// rowOf reads what a row shows. A run that cannot be read is listed too, with the
// reason: it must not hide the others.
func (a *app) rowOf(ctx context.Context, st *store.Store, e ops.IndexEntry) report.Row {
	ref := ops.RunRef{Lane: e.Lane, Run: e.Run}
	row := report.Row{Run: e.Run, Task: e.Run.Task(), Environment: e.Environment, Lane: e.Lane, Requester: e.Requester, Reason: e.Reason, Asked: e.Run.Time()}
	v, err := a.launcher(st, nil, nil).Look(ctx, ref)
	if err != nil {
		row.Problem = err.Error()
		return row
	}
	row.State, row.Lost, row.Asked = v.State(), v.Lost(), v.Starts[0].At
	row.Environment, row.Requester, row.Reason = v.Request.Environment, v.Request.Requester, v.Request.Reason
	if row.State == ops.StateEnded {
		row.Outcome = v.Result.Outcome
	}
	return row
}

// parseSince reads a date, a time or an age.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &ops.Error{Code: ops.Invalid, Message: "--since " + ops.Quote(s) + " is not a time.", Hint: "Write 2026-11-23, 2026-11-23T14:15:00Z or 36h."}
}

func (a *app) leasesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "leases", Short: "Say which runs hold what", Args: noArgs,
		Long: "A task that must be alone with something, such as all users, holds a lease on it as long as its run\nlives. A run that finds it held is refused; it never waits.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.knownEnvironment(); err != nil {
				return err
			}
			st, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			leases, err := st.Leases(cmd.Context())
			if err != nil {
				return err
			}
			staged, err := a.wholeLeases(cmd.Context(), st)
			if err != nil {
				return err
			}
			leases = append(leases, staged...)
			leases = slices.DeleteFunc(leases, func(l ops.Lease) bool { return a.environment != "" && string(l.Environment) != a.environment })
			if leases == nil {
				leases = []ops.Lease{}
			}
			return a.print(leases, func(w io.Writer) error { return report.Leases(w, leases, a.style()) })
		},
	}
}

func (a *app) freezeCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "freeze", Short: "Have every run of an environment refused until unfreeze", Args: noArgs,
		Long:    "freeze stops runs that are asked for from now on. Those under way go on: cancel ends them.",
		Example: "  synops freeze -e prod --reason 'deployment under way'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if oneLine(reason) == "" {
				return &ops.Error{Code: ops.Invalid, Message: "No reason was given.", Hint: "Say why with --reason: whoever is refused will read it."}
			}
			if err := checkReason(reason); err != nil {
				return err
			}
			choice, err := a.chooseAny()
			if err != nil {
				return err
			}
			st, err := a.open(ctx)
			if err != nil {
				return err
			}
			f, err := st.Freeze(ctx, ops.Freeze{Environment: choice.Environment.Name, By: oneLine(a.p.requester()), Reason: oneLine(reason), At: time.Now().UTC().Truncate(time.Second)})
			if err != nil {
				return err
			}
			return a.print(f, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s is frozen since %s by %s: %s\nRuns that are under way go on. Lift it with: synops unfreeze -e %s%s\n",
					report.Marked(f.Environment, a.style()), f.At.Format(time.RFC3339), report.Clean(f.By), report.Clean(f.Reason), f.Environment, a.flagsBeside())
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`WHY`; required")
	return cmd
}

func (a *app) unfreezeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "unfreeze", Short: "Lift a freeze", Args: noArgs,
		Example: "  synops unfreeze -e prod",
		RunE: func(cmd *cobra.Command, _ []string) error {
			choice, err := a.chooseAny()
			if err != nil {
				return err
			}
			st, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			f, err := st.Unfreeze(cmd.Context(), choice.Environment.Name, oneLine(a.p.requester()), time.Now().UTC().Truncate(time.Second))
			if err != nil {
				return err
			}
			doc := map[string]any{"environment": choice.Environment.Name, "was_frozen": f != nil}
			return a.print(doc, func(w io.Writer) error {
				text := "was not frozen"
				if f != nil {
					text = "is free again: " + f.By + "'s freeze is lifted"
				}
				_, err := fmt.Fprintf(w, "%s %s.\n", report.Marked(choice.Environment.Name, a.style()), report.Clean(text))
				return err
			})
		},
	}
}
