package tasks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
)

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
	c.jobs = jobs
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

// How long the log is silent: little at first, for whoever has just begun it watches.
const (
	tellSoon  = 15 * time.Second
	tellEvery = 5 * time.Minute
)

// tell says how far it is: in the heartbeat at each turn, in the log now and then.
func (c *copying) tell(now time.Time) {
	if now.Sub(c.noted) < time.Second {
		return
	}
	c.noted = now
	p := c.sched.Progress(now)
	alarm := c.away(&p)
	c.step.Progress(p.Done, p.Total, "types")
	c.step.Note(p.Brief())
	c.tellHeld(now)
	if p.Silent > 0 {
		alarm += " stalled"
	}
	if alarm != c.alarm || now.Sub(c.told) >= c.quiet {
		c.told, c.alarm = now, alarm
		c.quiet = min(max(2*c.quiet, tellSoon), tellEvery)
		c.step.Log("%s", p)
	}
}

// tellHeld says which types wait, so that nobody wonders why nothing is restored.
func (c *copying) tellHeld(now time.Time) {
	for _, h := range c.sched.Held(now) {
		if !slices.Contains(c.held, h) {
			c.held = append(c.held, h)
			if h.Sought {
				c.step.Log("%s waits: whether a restore of it runs is not known, and its job is looked for. Unless it is found, %s goes on at about %s, at the latest", h.Type, h.Type, h.Until.Format("15:04:05Z"))
				continue
			}
			c.step.Log("%s waits until %s: whether a restore of it runs is not known, and beside it no other may be begun", h.Type, h.Until.Format("15:04:05Z"))
		}
	}
}

// awayAfter is how long a stack may answer nothing before that is told: a call that
// fails is made again within seconds.
const awayAfter = time.Minute

// away notes which stacks do not answer, and returns their names; that one answers
// again is told once.
func (c *copying) away(p *migrate.Progress) string {
	names := ""
	for _, side := range []migrate.Side{migrate.Source, migrate.Destination} {
		if d := c.jobs.Away(side); d >= awayAfter {
			p.Away = append(p.Away, migrate.Absence{Side: side, For: d, Most: c.jobs.GivesUp()})
			names += " " + side.String()
		} else if strings.Contains(c.alarm, side.String()) {
			c.step.Log("the %s answers again", side)
		}
	}
	return names
}
