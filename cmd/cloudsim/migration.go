package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// migrateProject is where builds of lane migrate run.
const migrateProject = "synops-migrate"

// mostAgain is how many jobs may be done twice for one killed build: eight on each
// stack, and those begun while the document with their IDs is being written, which on
// a slow machine is a second's.
const mostAgain = 16 + 2*15

// pairSpeed is how fast time passes for the two stacks.
const pairSpeed = 60

// pairOfStacks: they hold two types, so that nothing is restored before one of them is
// compared whole.
func pairOfStacks(c *rehearsal.Config) error {
	c.Migration = &migration.Config{Seed: 1, Profile: "E", Situation: "final", Scale: 1000, Types: []string{"NODE", "CHANGE"}}
	c.Speed = pairSpeed
	return nil
}

// rehearseMigration is the story of one migration.
func rehearseMigration(ctx context.Context, t *rehearsal.Story) error {
	t.Scene("dev's account is stood up (cloudsim rehearse account shows how)")
	if err := quietly(t.Stage, func(t *rehearsal.Story) error { return t.StandUp(ctx, t.Stage.Dev, "plan", "migrate") }); err != nil {
		return err
	}
	return (&runs{Story: t, dev: t.Stage.Dev}).migrated(ctx)
}

// migrated: a final pass between two simulated stacks goes on over several builds, one
// of which dies. What became of it is asked of the stacks.
func (r *runs) migrated(ctx context.Context) error {
	r.Scene("a migration outlasts its builds, and one of them is killed")
	pair := r.dev.Pair
	if err := r.shortBuilds(migrateProject, "0.25"); err != nil {
		return err
	}
	run, err := r.detached(ctx, "migrate", "source-host="+pair.Source, "destination-host="+pair.Destination, "batch-size=50", "--confirm", "dev602 dev602.0")
	if err != nil {
		return err
	}
	if err := r.killAmidst(ctx); err != nil {
		return err
	}
	r.Say("── its machine is gone, with jobs under way on both stacks\n")
	followed, err := r.Do(ctx, r.asks("run-task.yml", false), 1, "follow", run)
	if err != nil {
		return err
	}
	resumed, err := r.goOn(ctx, run)
	if err != nil {
		return err
	}
	builds := 2 + strings.Count(followed.Stderr+resumed, "goes on --\n")
	var s migration.Summary
	var status string
	pair.Stacks.Look(func(p *migration.Pair) { s, status = p.Summary(), p.StackStatus(migration.Destination) })
	switch {
	case builds < 3:
		return fmt.Errorf("it took %d builds, not three or more", builds)
	case s.Wrong > 0:
		return fmt.Errorf("%d rows are wrong: %q", s.Wrong, s.WrongAre)
	case len(s.Violations) > 0:
		return fmt.Errorf("rules were broken: %q", s.Violations)
	case s.Copied == 0:
		return errors.New("nothing was copied")
	case s.Repeated > mostAgain:
		return fmt.Errorf("%d jobs did again what had been done, at most %d can have been in flight", s.Repeated, mostAgain)
	case status != "READ_WRITE":
		return fmt.Errorf("the destination is %s", status)
	}
	r.Say("It took %d builds. %d rows were copied, none is wrong, no rule was broken, and %d jobs did again what had been done.\n", builds, s.Copied, s.Repeated)
	return nil
}

// killAmidst kills the migration's build while it compares, and not when a restore may
// just have been asked for: one whose ID was not noted would hold its type for minutes,
// over many builds.
func (r *runs) killAmidst(ctx context.Context) error {
	builds := r.Stage.Cloud.Account(r.dev.Account).CodeBuild
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for began := time.Now(); time.Since(began) < 2*time.Minute; {
		killed := 0
		r.dev.Pair.Stacks.Look(func(p *migration.Pair) { // nothing is accepted meanwhile
			const few, half, lately, before = 28, 55, 0.5 * pairSpeed, 2 * pairSpeed
			sums, sum := p.Asked(migration.Checksum)
			restores, restore := p.Asked(migration.Restore)
			if sums >= few && p.Now()-sum < lately && (restores == 0 && sums < half || restores > 0 && p.Now()-restore > before) {
				killed = builds.Kill(migrateProject)
			}
		})
		if killed > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
	return errors.New("for two minutes there was no build to kill that compares")
}

// goOn resumes a run until it has ended well, and returns what that said. A build of
// seconds may be over before it has done anything, where the machine is slow: then it
// does not hand over, and the run is resumed once more.
func (r *runs) goOn(ctx context.Context, run string) (said string, err error) {
	const most = 4
	for range most {
		got, err := r.Do(ctx, r.asks("resume.yml", true), 0, "resume", run)
		if got != nil {
			said += got.Stderr
		}
		if _, other := errors.AsType[*rehearsal.UnexpectedCode](err); !other || !strings.Contains(got.Stdout, "no further") {
			return said, err
		}
	}
	return said, fmt.Errorf("%d resumes brought the run no further", most)
}
