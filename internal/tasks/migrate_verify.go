package tasks

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var migrateVerifyTask = ops.Task{
	Name: "migrate-verify", Version: 1,
	Title:   "Compare two stacks",
	Summary: "Compares the rows of two stacks by checksums, and tells which ranges differ.",
	Details: "Nothing is changed and no status is set. Every row of both stacks is read, which slows them for minutes. " +
		"Where the source is READ_ONLY a difference makes the run fail; while users write to it, differences are normal. " +
		"Checksums see a row's ID and its etag: types without an etag are compared by ID only, and secondary tables through their owners.",
	Undo:      "Nothing to undo: it only reads.",
	Inputs:    []ops.Input{sourceHost, destinationHost, typesInput, batchInput},
	Class:     ops.Reads,
	Lane:      ops.LaneMigrate,
	Noun:      "pair of stacks",
	Plural:    "pairs of stacks",
	Deciding:  []string{"source-instance", "destination-instance"},
	NoService: true,
	Exempt:    true,
	TimeLimit: 8 * time.Hour,
}

func migrateVerify(x Migration, pause pause) ops.Procedure {
	p := pair{x: x, pause: pause}
	return ops.Procedure{
		Targets: pairTarget,
		Guards:  p.guards(false),
		Plan: func(ctx context.Context, v ops.Values, t ops.Target) (ops.Effect, error) {
			both, err := p.read(ctx)
			if err != nil {
				return ops.Effect{}, err
			}
			primary, _, _, err := common(both, v.Text(typesInput.Name))
			return ops.Effect{Target: t, Summary: fmt.Sprintf("compared with its source: %d types", len(primary)), Settle: ops.SettleResend, Before: pairState(both), After: pairState(both)}, err
		},
		Perform: p.verify,
		Undo:    readsOnly,
	}
}

// forgetful keeps nothing: a comparison that ends early is made again.
type forgetful struct{}

func (forgetful) Save(context.Context, []migrate.Record) error { return nil }

func (p pair) verify(ctx context.Context, step *ops.Step) (ops.Done, error) {
	both, err := p.read(ctx)
	if err != nil {
		return ops.Done{}, err
	}
	v := step.Values
	primary, all, left, err := common(both, v.Text(typesInput.Name))
	if err != nil {
		return ops.Done{}, err
	}
	for _, t := range left {
		step.Log("not compared: %s", t)
	}
	d := both[migrate.Destination]
	if d.status == synapse.ReadOnly {
		step.Log("note: the destination is READ_ONLY: if a migration into it is under way, this slows it, and what differs now may soon be the same")
	}
	c := &copying{migration: migration{p}, step: step, both: both, begin: migrationBegin{
		Source: both[0].String(), Destination: both[1].String(), Types: primary, AllTypes: all, Frozen: both[migrate.Source].status == synapse.ReadOnly,
	}}
	c.sched = migrate.NewScheduler(migrate.Options{Types: primary, AllTypes: all, Batch: v.Int(batchInput.Name), Salt: rand.Text(), Frozen: c.begin.Frozen, NoRestore: true})
	if err := c.run(ctx, forgetful{}); err != nil {
		return ops.Done{}, err
	}
	r := c.sched.Report(time.Now())
	where, err := step.Artifact(ctx, "migrate-verify.md", verifyReport(c, r))
	if err != nil {
		return ops.Done{}, fmt.Errorf("keeping migrate-verify.md: %w", err)
	}
	names := r.Differing()
	if r.Unsure > 0 {
		return ops.Done{}, &ops.Error{
			Code: ops.Conflict, Message: fmt.Sprintf("%v. Of what was compared, %d of %d types differ. The report is %s.", r.Err(), len(names), len(primary), where),
			Hint: "Have the cause looked at on the stack that says so, then compare once more.",
		}
	}
	if len(names) > 0 && c.begin.Frozen {
		return ops.Done{}, &ops.Error{
			Code: ops.Conflict, Message: fmt.Sprintf("%d of %d types differ although the source is READ_ONLY: %s. The report is %s.", len(names), len(primary), migrate.Names(names), where),
			Hint: p.makeSame(v, d),
		}
	}
	verdict := "no type differs"
	if len(names) > 0 {
		verdict = fmt.Sprintf("%d of %d types differ, which is normal while users write: %s", len(names), len(primary), migrate.Names(names))
	}
	after := pairState(both)
	after["types"], after["types-that-differ"] = len(primary), names
	return ops.Done{After: after, Message: verdict + "; the report is " + where}, nil
}

// makeSame says how what differs is made the same.
func (p pair) makeSame(v ops.Values, d stackState) string {
	hosts := MigrationHosts(v)
	hint := "A final pass makes them the same: " +
		ops.Command(migrateTask.Name, p.x.Environment().Name, [2]string{sourceHost.Name, hosts[0]}, [2]string{destinationHost.Name, hosts[1]}, [2]string{"mode", modeFinal})
	if d.status == synapse.ReadOnly {
		hint = "If a migration into the destination is under way, compare once it has ended. " + hint
	}
	return hint
}
