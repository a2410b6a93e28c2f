package tasks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// The modes of a migration. Which one a run is shows in what it finds; to name one is
// to say what one believes.
const (
	modeAuto    = "auto"
	modeInitial = "initial" // the destination has less than half of the source's IDs
	modeNightly = "nightly" // users write to the source meanwhile
	modeFinal   = "final"   // the source is READ_ONLY: afterwards both are the same
)

var migrateTask = ops.Task{
	Name: "migrate", Version: 1,
	Title:   "Migrate one stack's data into another",
	Summary: "Copies the rows of one Synapse stack into another, and replaces what is there.",
	Details: "Ranges of rows at the destination are deleted and written anew until both stacks compare equal. The destination is set READ_ONLY first; " +
		"only when all is copied is it set READ_WRITE again, or left READ_ONLY where remain-read-only says so. The source's status is never changed: set it READ_ONLY before a final pass. " +
		"A run that was killed, or whose build ended, goes on where it was; jobs that the stacks have begun cannot be stopped from here.",
	Undo: "Cannot be undone: rows that the destination had are replaced.",
	Inputs: []ops.Input{
		sourceHost, destinationHost,
		{Name: "remain-read-only", Kind: ops.KindBoolean, Default: "false", Example: "false", Help: "Leave the destination READ_ONLY when all is copied."},
		{Name: "mode", Kind: ops.KindChoice, Choices: []string{modeAuto, modeInitial, modeNightly, modeFinal}, Default: modeAuto, Example: modeAuto,
			Help: "What kind of pass it is; auto finds out. Another one than is found is refused: initial fills a destination that has less than half, nightly copies while users write, final needs the source READ_ONLY."},
		batchInput,
		{Name: "backup-parallelism", Kind: ops.KindInteger, Default: "5", Example: "5", Least: 1, Most: 10, Help: "Backups on the source at once, at most."},
		{Name: "restore-parallelism", Kind: ops.KindInteger, Default: "4", Example: "4", Least: 1, Most: 10, Help: "Long jobs on the destination at once, at most: of one type never more than one."},
		typesInput,
		{Name: "verify", Kind: ops.KindChoice, Choices: []string{"standard", "full"}, Default: "standard", Example: "standard",
			Help: "standard compares what was repaired once more; full compares everything once more in the end."},
	},
	Class:  ops.Destroys,
	Lane:   ops.LaneMigrate,
	Noun:   "migration",
	Plural: "migrations",
	Deciding: []string{"source-instance", "source-version", "destination-instance", "destination-version", "mode", "types", "left-out",
		"source-ids", "destination-ids", "destination-after"},
	NoService: true,
	Exempt:    true,
	Lease:     "migration",
	TimeLimit: 72 * time.Hour,
	Schedule: &ops.Schedule{
		Cron: "27 21 * * 3-5", Zone: "America/Los_Angeles", Reason: "The next instance is kept close to the one that users write to, so that the final pass is short.",
		Inputs:  map[string]string{sourceHost.Name: "{nightly-source}", destinationHost.Name: "{nightly-destination}", "mode": modeNightly, "remain-read-only": "true"},
		Confirm: "{nightly-instance}", // another instance behind the same name is not migrated into
		Constants: []ops.Input{
			{Name: "nightly-source", Kind: ops.KindHost, Example: sourceHost.Example, Help: "The stack that is copied from every night."},
			{Name: "nightly-destination", Kind: ops.KindHost, Example: destinationHost.Example, Help: "The stack that is copied to."},
			{Name: "nightly-instance", Kind: ops.KindText, Pattern: `[^ ]+ [^ ]+`, Rule: "It is the answer that a plan asks for: instance and version.", Example: "545 545.0", Help: "Instance and version of the stack that is copied to."},
		},
	},
}

func migrateTo(x Migration, pause pause) ops.Procedure {
	m := migration{pair{x, pause, true}}
	return ops.Procedure{
		Targets: pairTarget,
		Guards:  m.guards(true),
		Plan:    m.plan,
		Notes:   m.notes,
		Challenge: func(_ ops.Values, effects []ops.Effect, _ int) string {
			if len(effects) == 0 {
				return ""
			}
			b := effects[0].Before
			return fmt.Sprint(b["destination-instance"], " ", b["destination-version"])
		},
		Perform: m.perform,
		Left:    m.left,
		Undo:    irreversible("the rows that the destination had are replaced. Migrate again to replace them once more."),
	}
}

type migration struct{ pair }

// plan reads both stacks, and writes to neither. Counts move while users write: they
// bind the plan within countTolerance.
func (m migration) plan(ctx context.Context, v ops.Values, t ops.Target) (ops.Effect, error) {
	both, err := m.read(ctx)
	if err != nil {
		return ops.Effect{}, err
	}
	asked := v.Text(typesInput.Name)
	primary, all, left, err := common(both, asked)
	if err != nil {
		return ops.Effect{}, err
	}
	if asked != "all" && slices.Contains(primary, migrate.Change) {
		if whole, _, _, err := common(both, "all"); err != nil || len(primary) < len(whole) {
			return ops.Effect{}, ops.Refuse("migration-types", "Leave types at all, or leave "+migrate.Change+" out.",
				"%s goes after every other type: its rows tell of objects that must be there. It is not copied with %d of %d types.", migrate.Change, len(primary), len(whole))
		}
	}
	marks, err := m.counts(ctx, all)
	if err != nil {
		return ops.Effect{}, err
	}
	src, dst := spanned(marks[migrate.Source], primary), spanned(marks[migrate.Destination], primary)
	mode, err := modeOf(v.Text("mode"), both[migrate.Source], src, dst)
	if err != nil {
		return ops.Effect{}, err
	}
	before := pairState(both)
	before["mode"], before["source-ids"], before["destination-ids"] = mode, about(src), about(dst)
	before["types"], before["left-out"] = primary, left
	after := ops.State{"destination-after": afterwards(v)}
	return ops.Effect{
		Target: t, Before: before, After: after, Settle: ops.SettleResume,
		Summary: fmt.Sprintf("%s pass: %d types of instance %s (%s) replace those of instance %s (%s), which is %s afterwards",
			mode, len(primary), both[0].instance, both[0].version, both[1].instance, both[1].version, afterwards(v)),
	}, nil
}

func afterwards(v ops.Values) string {
	if v.Bool("remain-read-only") {
		return synapse.ReadOnly
	}
	return synapse.ReadWrite
}

// modeOf is which pass it is. One that was named must be it.
func modeOf(asked string, source stackState, src, dst int64) (string, error) {
	const guard = "migration-mode"
	frozen, fresh := source.status == synapse.ReadOnly, dst < src/2
	is := modeNightly
	switch {
	case fresh:
		is = modeInitial
	case frozen:
		is = modeFinal
	}
	if asked == modeAuto || asked == is {
		return is, nil
	}
	found := fmt.Sprintf("the source is %s with about %d IDs, and the destination has about %d", ops.Clip(source.status), about(src), about(dst))
	switch asked {
	case modeFinal:
		if !fresh {
			return "", ops.Refuse(guard, "Set the source READ_ONLY first (set-stack-status), so that nothing is written to it meanwhile.", "a final pass was asked for, but %s.", found)
		}
		return "", ops.Refuse(guard, "Users would be shut out for all of a first copy: run it with mode=initial before the source is closed.", "a final pass was asked for, but %s.", found)
	case modeInitial:
		return "", ops.Refuse(guard, "Look whether these are the stacks that you mean; then use mode=auto.", "a first copy was asked for, but %s.", found)
	}
	return "", ops.Refuse(guard, "Look whether these are the stacks that you mean; then use mode=auto.", "a nightly pass was asked for, but %s.", found)
}

func (m migration) notes(v ops.Values, effects []ops.Effect) []string {
	notes := []string{fmt.Sprintf("The counts of IDs bind the plan to within %d percent: users may write meanwhile.", countTolerance)}
	for _, e := range effects {
		b := e.Before
		if left, _ := b["left-out"].([]string); len(left) > 0 {
			notes = append(notes, fmt.Sprintf("Left out: %s.", strings.Join(left, ", ")))
		}
		if b["source-status"] == synapse.ReadWrite {
			notes = append(notes, "The source is READ_WRITE: what users write meanwhile is for the next pass.")
		}
		if b["mode"] == modeInitial && b["source-status"] == synapse.ReadOnly {
			notes = append(notes, "The source is READ_ONLY, and this is a first copy: its users are shut out for as long as that takes.")
		}
		if types := v.Text(typesInput.Name); types != "all" && b["destination-status"] == synapse.ReadOnly && afterwards(v) == synapse.ReadWrite {
			notes = append(notes, fmt.Sprintf("The destination is READ_ONLY and is opened afterwards, whatever its other types hold: this run looks at %s alone.", types))
		}
	}
	if v.Bool("remain-read-only") {
		notes = append(notes, "The destination stays READ_ONLY afterwards; a later run without remain-read-only opens it.")
	}
	return notes
}

// left tells whether the destination is closed: people must know that first.
func (m migration) left(ctx context.Context, v ops.Values, resumes bool) string {
	name := hostName(v.Text(destinationHost.Name))
	s, err := m.x.Stack(migrate.Destination).StackStatus(ctx)
	switch {
	case err != nil:
		return fmt.Sprintf("Whether the destination %s is READ_ONLY could not be asked (%v).", name, err)
	case s.Status == synapse.ReadWrite:
		return ""
	}
	leave := m.leave(v)
	switch {
	case resumes && v.Bool("remain-read-only"):
		leave = "Resume this run; remain-read-only has it stay so afterwards."
	case resumes:
		leave = "Resume this run: once all is copied it opens it."
	}
	return fmt.Sprintf("The destination %s is %s: it answers its users with 503. %s", name, ops.Clip(s.Status), leave)
}

// leave says how a destination that is closed is opened, by whoever has no more than
// the task's form: set-stack-status sets the stack that users are on, and no other.
func (p pair) leave(v ops.Values) string {
	hosts := MigrationHosts(v)
	inputs := [][2]string{{sourceHost.Name, hosts[0]}, {destinationHost.Name, hosts[1]}}
	if types := v.Text(typesInput.Name); types != "all" {
		inputs = append(inputs, [2]string{typesInput.Name, types})
	}
	why := ""
	if v.Bool("remain-read-only") {
		why = "remain-read-only asked for that. "
	}
	return why + "A run without remain-read-only compares both stacks, copies what differs, and opens it: " + ops.Command(migrateTask.Name, p.x.Environment().Name, inputs...) + ", or the form with the same hosts."
}
