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

// A migrationCheckpoint is one of four: how it began, what happened since, that an
// attempt had to wait, or that all is copied.
type migrationCheckpoint struct {
	Begin   *migrationBegin  `json:"begin,omitempty"`
	Records []migrate.Record `json:"records,omitempty"`
	Copied  bool             `json:"copied,omitempty"`
	Held    []migrate.Hold   `json:"held,omitempty"` // types that the attempt that ends here had to let wait
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
	noted  time.Time     // in the heartbeat
	told   time.Time     // in the log
	quiet  time.Duration // until it is told again
	alarm  string        // what was alarming when it was told
	jobs   MigrationJobs
	held   []migrate.Hold // so far in this attempt
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
	if status := c.both[migrate.Destination].status; status != synapse.ReadOnly && c.old > 0 {
		c.step.Log("the destination was %s meanwhile: everything is compared again", ops.Clip(status))
		c.sched.Distrust(time.Now())
		// Before it is closed again: a later attempt could not tell any more.
		if err := c.save(ctx, migrationCheckpoint{Records: c.sched.Records()}); err != nil {
			return err
		}
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

// unfinished is the error that ends the effect: one that a later attempt goes on from,
// or not. Where none does and nothing was restored the destination is put back as it
// was. Opened before a later one it would have everything compared again.
func (c *copying) unfinished(ctx context.Context, err error) error {
	lasting, cancel := migrate.Linger(ctx, 30*time.Second)
	defer cancel()
	stop := errors.Is(err, errEnding) || ctx.Err() != nil
	ends := c.step.Canceled() || !stop && final(err)
	switch put := !c.restored() && c.begin.Was != synapse.ReadOnly; {
	case put && ends:
		if back := c.set(lasting, c.begin.Was); back != nil {
			c.step.Log("note: %v", back)
		}
	case put:
		c.step.Log("nothing was restored yet; the destination stays READ_ONLY, so that what was compared still holds when the run goes on")
	}
	if where := c.report(lasting, "stopped"); where != "" && !stop {
		c.step.Log("the report is %s", where)
	}
	switch {
	case stop:
		c.step.Log("%s", c.sched.Progress(time.Now()))
		return c.waited(lasting, err)
	case final(err):
		return &ops.Error{Code: ops.Conflict, Message: err.Error() + ".", Err: err, Hint: "Look at the report, have the cause mended, and start a new run: it copies only what differs."}
	}
	e := &ops.Error{Code: ops.Unavailable, Message: err.Error(), Hint: ops.HintOf(err), Err: err}
	if e.Hint == "" {
		e.Hint = "Once the cause is mended, resume the run: it goes on where it was."
	}
	return e
}

// waited notes what an attempt that is told to end had to let wait: one that could do
// nothing else did bring the run further, for the next need not wait as long.
func (c *copying) waited(ctx context.Context, err error) error {
	if len(c.held) > 0 {
		if unsaved := c.save(ctx, migrationCheckpoint{Held: c.held}); unsaved != nil {
			return unsaved
		}
	}
	return &ops.Error{Code: ops.Canceled, Message: err.Error(), Err: err}
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
		return fmt.Errorf("the source is READ_ONLY, and yet the IDs of %d types reach differently far in the end: %s", len(differ), migrate.Names(differ))
	}
	return nil
}
