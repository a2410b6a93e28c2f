package tasks

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
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
	m := migration{pair{x, pause}}
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
	primary, all, left, err := common(both, v.Text(typesInput.Name))
	if err != nil {
		return ops.Effect{}, err
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
		if !frozen {
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
			notes = append(notes, fmt.Sprintf("Left out, because one side lacks them: %s.", strings.Join(left, ", ")))
		}
		if b["source-status"] == synapse.ReadWrite {
			notes = append(notes, "The source is READ_WRITE: what users write meanwhile is for the next pass.")
		}
		if b["mode"] == modeInitial && b["source-status"] == synapse.ReadOnly {
			notes = append(notes, "The source is READ_ONLY, and this is a first copy: its users are shut out for as long as that takes.")
		}
	}
	if v.Bool("remain-read-only") {
		notes = append(notes, "The destination stays READ_ONLY afterwards; a later run without remain-read-only opens it.")
	}
	return notes
}

// A migrationBegin is the first checkpoint: what the run is, and goes on being,
// whatever the stacks say later.
type migrationBegin struct {
	Source      string   `json:"source"` // instance and version
	Destination string   `json:"destination"`
	Types       []string `json:"types"`
	AllTypes    []string `json:"all_types"`
	Frozen      bool     `json:"source_read_only"`
	Salt        string   `json:"salt"`
	Was         string   `json:"destination_was"` // status
}

// A migrationCheckpoint is one of three: how it began, what happened since, or that
// all is copied.
type migrationCheckpoint struct {
	Begin   *migrationBegin  `json:"begin,omitempty"`
	Records []migrate.Record `json:"records,omitempty"`
	Copied  bool             `json:"copied,omitempty"`
	Sign    bool             `json:"sign,omitempty"` // of a store that takes documents again
}

// A copying is one attempt's part of a migration.
type copying struct {
	migration
	step   *ops.Step
	both   [2]stackState
	begin  migrationBegin
	copied bool // all, by an earlier attempt
	old    int  // records of earlier attempts
	sched  *migrate.Scheduler
	noted  time.Time // in the heartbeat
	told   time.Time // in the log
	alarm  bool
}

func (m migration) perform(ctx context.Context, step *ops.Step) (ops.Done, error) {
	c := &copying{migration: m, step: step}
	if err := c.open(ctx); err != nil {
		return ops.Done{}, err
	}
	if !c.copied {
		if err := c.close(ctx); err != nil {
			return ops.Done{}, err
		}
		if err := c.copy(ctx); err != nil {
			return ops.Done{}, c.unfinished(ctx, err)
		}
	}
	return c.finish(ctx)
}

// open learns what the run is: from the stacks at its beginning, from its
// checkpoints after.
func (c *copying) open(ctx context.Context) (err error) {
	var records []migrate.Record
	for _, raw := range c.step.Checkpoints {
		var cp migrationCheckpoint
		if err := json.Unmarshal(raw, &cp); err != nil {
			return ops.Errorf(ops.Internal, "a checkpoint of %s cannot be read: %w", c.step.Effect.Label, err)
		}
		if cp.Begin != nil {
			c.begin = *cp.Begin
		}
		records = append(records, cp.Records...)
		c.copied = c.copied || cp.Copied
	}
	if c.both, err = c.read(ctx); err != nil {
		return c.later(fmt.Errorf("looking at the stacks: %w", err))
	}
	if len(c.step.Checkpoints) == 0 {
		if err := c.start(ctx); err != nil {
			return err
		}
	}
	if err := c.same(); err != nil {
		return err
	}
	v := c.step.Values
	c.sched = migrate.NewScheduler(migrate.Options{
		Types: c.begin.Types, AllTypes: c.begin.AllTypes, Salt: c.begin.Salt, Frozen: c.begin.Frozen, Full: v.Text("verify") == "full",
		Batch: v.Int(batchInput.Name), Backups: int(v.Int("backup-parallelism")), Restores: int(v.Int("restore-parallelism")),
	})
	for _, r := range records {
		c.sched.Replay(r)
	}
	c.old = len(records)
	return nil
}

// later makes of an error of an attempt that goes on from another's checkpoints one
// that leaves the run to be resumed.
func (c *copying) later(err error) error {
	if len(c.step.Checkpoints) == 0 || ops.Refused(err) != nil {
		return err
	}
	return &ops.Error{Code: ops.Unavailable, Message: err.Error(), Hint: ops.HintOf(err), Err: err}
}

// start fixes what the run is. The stacks must be those of the plan.
func (c *copying) start(ctx context.Context) error {
	planned := c.step.Effect.Before
	now := pairState(c.both)
	if differs := planned.Differs(now, []string{"source-instance", "source-version", "destination-instance", "destination-version"}); len(differs) > 0 {
		return refuse("as-planned", ops.Conflict, "Plan it again.", "the stacks are not as planned any more: %s.", strings.Join(differs, ", "))
	}
	primary, all, _, err := common(c.both, c.step.Values.Text(typesInput.Name))
	if err != nil {
		return err
	}
	c.begin = migrationBegin{
		Source: c.both[0].String(), Destination: c.both[1].String(), Types: primary, AllTypes: all, Salt: rand.Text(),
		Frozen: c.both[migrate.Source].status == synapse.ReadOnly, Was: c.both[migrate.Destination].status,
	}
	if planned["mode"] == modeFinal && !c.begin.Frozen {
		return refuse("source-status", ops.Conflict, "Set the source READ_ONLY and plan again.", "a final pass was planned, and the source is %s.", c.both[0].status)
	}
	return c.save(ctx, migrationCheckpoint{Begin: &c.begin})
}

// same refuses to go on with other stacks, or with a source whose rows may have
// changed since it was to be at rest.
func (c *copying) same() error {
	b := c.begin
	if s, d := c.both[migrate.Source].String(), c.both[migrate.Destination].String(); s != b.Source || d != b.Destination {
		return refuse("migration-pair", ops.Conflict, "Start a new run.", "the run belongs to %s and %s, and the hosts lead to %s and %s now.", b.Source, b.Destination, s, d)
	}
	if status := c.both[migrate.Source].status; b.Frozen && status != synapse.ReadOnly {
		return refuse("source-status", ops.Conflict, "Set the source READ_ONLY again and start a new run.", "the source was READ_ONLY when the run began and is %s: what it holds may have changed.", ops.Clip(status))
	}
	return nil
}

// close sets the destination READ_ONLY and reads that back: before, nothing is
// restored.
func (c *copying) close(ctx context.Context) error {
	if c.both[migrate.Destination].status != synapse.ReadOnly && c.restored() {
		c.step.Log("the destination was %s meanwhile: everything is compared again", c.both[migrate.Destination].status)
		c.sched.Distrust(time.Now())
	}
	return c.set(ctx, synapse.ReadOnly)
}

// restored tells whether a restore was ever begun.
func (c *copying) restored() bool {
	return c.sched.Report(time.Now()).Jobs[string(migrate.Restore)] > 0
}

// set sets the destination's status, unless it is so, and reads it back. A pending
// message is kept.
func (c *copying) set(ctx context.Context, status string) error {
	stack := c.x.Stack(migrate.Destination)
	var now synapse.StackStatus
	err := c.ask(ctx, func() (err error) { // set to the same again, it is the same
		if now, err = stack.StackStatus(ctx); err != nil || now.Status == status {
			return err
		}
		want := synapse.StackStatus{Status: status, CurrentMessage: stackMessages[status], PendingMaintenanceMessage: now.PendingMaintenanceMessage}
		_, lost := stack.SetStackStatus(ctx, want)
		if lost != nil && ops.CodeOf(lost) != ops.Unsettled {
			return lost
		}
		if now, err = stack.StackStatus(ctx); err == nil && lost != nil && now.Status != status {
			return &ops.Error{Code: ops.Unavailable, Message: ops.WithoutHint(lost), Err: lost} // it did not happen: asked again
		}
		return err
	})
	switch {
	case err != nil:
		return &ops.Error{Code: ops.Unavailable, Message: fmt.Sprintf("setting the destination %s: %v", status, err), Hint: "Resume the run once it answers.", Err: err}
	case now.Status != status:
		return &ops.Error{Code: ops.Unavailable, Message: fmt.Sprintf("the destination was set %s and reads back as %s.", status, ops.Quote(now.Status)), Hint: "Find out who changes it, then resume the run."}
	}
	c.step.Log("the destination is %s", status)
	return nil
}

// save makes a checkpoint durable. A store that takes none for a while must not end
// a copy of days: it is tried again, with a sign of its own, for what was given may
// be there or not.
func (c *copying) save(ctx context.Context, cp migrationCheckpoint) error {
	err := c.step.Save(ctx, cp)
	for try := 0; ops.CodeOf(err) == ops.Unavailable && try < saveTries; try++ {
		c.step.Log("the store took no checkpoint (%v); trying again", err)
		if c.pause(context.WithoutCancel(ctx), savePause) != nil {
			break
		}
		err = c.step.Save(ctx, migrationCheckpoint{Sign: true})
	}
	if err != nil {
		return fmt.Errorf("recording what was done: %w", err)
	}
	return nil
}

const (
	saveTries = 10
	savePause = 6 * time.Second
)

// copy runs the scheduler until all is copied and compared.
func (c *copying) copy(ctx context.Context) error {
	if c.old > 0 {
		c.step.Log("going on from %d records: %s", c.old, c.sched.Progress(time.Now()))
	}
	batch := migrate.NewBatch(func(ctx context.Context, records []migrate.Record) error {
		return c.save(ctx, migrationCheckpoint{Records: records})
	})
	err := c.run(ctx, batch)
	if flushed := batch.Flush(context.WithoutCancel(ctx)); flushed != nil {
		return flushed
	}
	if err == nil {
		err = c.sched.Report(time.Now()).Err()
	}
	return err
}

// run drives the scheduler on the two stacks.
func (c *copying) run(ctx context.Context, j migrate.Journal) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	jobs := c.x.Follow(giveUp)
	err := migrate.Run(ctx, c.sched, &ending{Executor: jobs, s: c.sched, asked: c.step.Ending}, j, c.tell)
	giveUp(nil)
	jobs.Close()
	return err
}

// errEnding: the run is to end here.
var errEnding = &ops.Error{Code: ops.Canceled, Message: "It was told to end."}

// ending begins nothing more once the run is to end, and keeps what may be
// somebody's data out of the record.
type ending struct {
	migrate.Executor
	s     *migrate.Scheduler
	asked <-chan struct{}
}

func (e *ending) Wait(ctx context.Context, until time.Time) []migrate.Event {
	events := e.Executor.Wait(ctx, until)
	for i := range events {
		for _, text := range []*string{&events[i].Failed, &events[i].Lost, &events[i].Refused} {
			if *text != "" {
				*text = quiet(*text)
			}
		}
	}
	select {
	case <-e.asked:
		e.s.Stop(errEnding)
	default:
	}
	return events
}

const tellEvery = 5 * time.Minute

// tell says how far it is: in the heartbeat at each turn, in the log now and then.
func (c *copying) tell(now time.Time) {
	if now.Sub(c.noted) < time.Second {
		return
	}
	c.noted = now
	p := c.sched.Progress(now)
	c.step.Progress(p.Done, p.Total, "types")
	c.step.Note(p.Brief())
	alarm := p.Silent > 0
	if alarm != c.alarm || now.Sub(c.told) >= tellEvery {
		c.told, c.alarm = now, alarm
		c.step.Log("%s", p)
	}
}

// unfinished is the error that ends the effect: one that a resume goes on from, or
// not. Where nothing was restored the destination is put back as it was.
func (c *copying) unfinished(ctx context.Context, err error) error {
	lasting, cancel := migrate.Linger(ctx, 30*time.Second)
	defer cancel()
	if !c.restored() && c.begin.Was != synapse.ReadOnly {
		if back := c.set(lasting, c.begin.Was); back != nil {
			c.step.Log("note: %v", back)
		}
	}
	stop := errors.Is(err, errEnding) || ctx.Err() != nil
	if where := c.report(lasting, "stopped"); where != "" && !stop {
		c.step.Log("the report is %s", where)
	}
	switch {
	case stop:
		return fmt.Errorf("%s: %w", c.sched.Progress(time.Now()), err)
	case final(err):
		return &ops.Error{Code: ops.Conflict, Message: err.Error() + ".", Err: err, Hint: "Look at the report, have the cause mended, and start a new run: it copies only what differs."}
	}
	e := &ops.Error{Code: ops.Unavailable, Message: err.Error(), Hint: ops.HintOf(err), Err: err}
	if e.Hint == "" {
		e.Hint = "Once the cause is mended, resume the run: it goes on where it was."
	}
	return e
}

// final tells whether the scheduler itself ended it: it would so again.
func final(err error) bool {
	_, ours := errors.AsType[*ops.Error](err)
	_, refused := errors.AsType[*ops.Refusal](err)
	return !ours && !refused && !errors.Is(err, context.Canceled)
}

// finish compares how far both reach once more, sets the status that was asked for,
// and reports.
func (c *copying) finish(ctx context.Context) (ops.Done, error) {
	if !c.copied {
		if c.begin.Frozen {
			if err := c.compare(ctx); err != nil {
				return ops.Done{}, c.unfinished(ctx, err)
			}
		}
		// Once users are let in, nothing may be compared, and repaired, again.
		if err := c.save(ctx, migrationCheckpoint{Copied: true}); err != nil {
			return ops.Done{}, err
		}
	}
	status := afterwards(c.step.Values)
	if err := c.set(ctx, status); err != nil {
		return ops.Done{}, err
	}
	r := c.sched.Report(time.Now())
	after := ops.State{"destination-after": status, "rows": r.Copied(), "jobs": r.Jobs, "types-that-differ": r.Differs}
	message := fmt.Sprintf("%s; %s", r.Summary(), "the destination is "+status)
	if where := c.report(ctx, ""); where != "" {
		message += "; the report is " + where
	}
	return ops.Done{After: after, Message: message}, nil
}

// compare takes the marks of a source at rest once more: they must be the
// destination's.
func (c *copying) compare(ctx context.Context) error {
	marks, err := c.counts(ctx, c.begin.AllTypes)
	if err != nil {
		return &ops.Error{Code: ops.Unavailable, Message: "all is copied, but counting once more failed: " + err.Error(), Err: err, Hint: "Resume the run."}
	}
	var differ []string
	for _, t := range c.begin.Types {
		if marks[migrate.Source][t] != marks[migrate.Destination][t] {
			differ = append(differ, t)
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("the source is READ_ONLY, and yet the IDs of %d types reach differently far in the end: %s", len(differ), strings.Join(differ, ", "))
	}
	return nil
}

// left tells whether the destination is closed: people must know that first.
func (m migration) left(ctx context.Context, v ops.Values) string {
	name := hostName(v.Text(destinationHost.Name))
	s, err := m.x.Stack(migrate.Destination).StackStatus(ctx)
	switch {
	case err != nil:
		return fmt.Sprintf("Whether the destination %s is READ_ONLY could not be asked (%v).", name, err)
	case s.Status == synapse.ReadWrite:
		return ""
	}
	leave := "It is opened by a run of migrate that copies all, without remain-read-only; resume this run if it can be, or start another."
	if v.Bool("remain-read-only") {
		leave = "remain-read-only asked for that. To open it, run migrate again without: it copies what changed since and then sets it READ_WRITE."
	}
	return fmt.Sprintf("The destination %s is %s: it answers its users with 503. %s", name, ops.Clip(s.Status), leave)
}
