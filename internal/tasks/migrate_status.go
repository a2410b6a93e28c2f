package tasks

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var migrateStatusTask = ops.Task{
	Name: "migrate-status", Version: 1,
	Title:   "Look at two stacks before a migration",
	Summary: "Tells how two stacks are: instance, version, status, types, and how far their IDs reach.",
	Details: "Nothing is changed. The table of types is kept as an artifact of the run. " +
		"The service counts no rows: what is compared here is the lowest and the highest ID of each type. To compare rows use migrate-verify.",
	Undo:      "Nothing to undo: it only reads.",
	Inputs:    []ops.Input{sourceHost, destinationHost},
	Class:     ops.Reads,
	Lane:      ops.LaneMigrate,
	Noun:      "pair of stacks",
	Plural:    "pairs of stacks",
	Deciding:  []string{"source-instance", "destination-instance"},
	NoService: true,
	Exempt:    true,
	TimeLimit: time.Hour,
}

func migrateStatus(x Migration, pause pause) ops.Procedure {
	p := pair{x, pause}
	return ops.Procedure{
		Targets: pairTarget,
		Guards:  p.guards(false),
		Plan: func(ctx context.Context, _ ops.Values, t ops.Target) (ops.Effect, error) {
			both, err := p.identity(ctx)
			return ops.Effect{Target: t, Summary: "told how it and its source are", Settle: ops.SettleResend, Before: pairState(both), After: pairState(both)}, err
		},
		Perform: p.status,
		Undo:    readsOnly,
	}
}

// pairState is what two stacks say of themselves.
func pairState(both [2]stackState) ops.State {
	s, d := both[migrate.Source], both[migrate.Destination]
	return ops.State{
		"source-instance": s.instance, "source-version": s.version, "source-status": s.status,
		"destination-instance": d.instance, "destination-version": d.version, "destination-status": d.status,
	}
}

func (p pair) status(ctx context.Context, step *ops.Step) (ops.Done, error) {
	both, err := p.read(ctx)
	if err != nil {
		return ops.Done{}, err
	}
	primary, all, left, err := common(both, "all")
	if err != nil {
		return ops.Done{}, err
	}
	for side, s := range both {
		step.Log("%s: %s is instance %s, version %s, %s, with %d types, %d of them primary", migrate.Side(side), hostName(s.host), s.instance, s.version, s.status, len(s.types), len(s.primary))
	}
	for _, t := range left {
		step.Log("left out of a migration: %s", ops.Clip(t))
	}
	step.Log("counting on both stacks, which takes some seconds")
	marks, err := p.counts(ctx, all)
	if err != nil {
		return ops.Done{}, err
	}
	table, differ := statusTable(both, primary, left, marks)
	where, err := step.Artifact(ctx, "migrate-status.md", table)
	if err != nil {
		return ops.Done{}, fmt.Errorf("keeping migrate-status.md: %w", err)
	}
	after := pairState(both)
	after["types"], after["left-out"], after["types-that-reach-differently"] = len(primary), left, differ
	after["source-ids"], after["destination-ids"] = spanned(marks[migrate.Source], primary), spanned(marks[migrate.Destination], primary)
	return ops.Done{After: after, Message: fmt.Sprintf("%d of %d types reach differently far; the table is %s", differ, len(primary), where)}, nil
}

// statusTable tells what two stacks have, a line per type, as Markdown, and how many
// types differ in how far their IDs reach.
func statusTable(both [2]stackState, primary, left []string, marks [2]map[string]migrate.Mark) (table []byte, differ int) {
	var b bytes.Buffer
	fmt.Fprintln(&b, "# Two stacks")
	fmt.Fprintln(&b, "\n| | host | instance | version | status | types | primary |\n|---|---|---|---|---|---|---|")
	for side, s := range both {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %d | %d |\n", migrate.Side(side), hostName(s.host), cell(s.instance), cell(s.version), cell(s.status), len(s.types), len(s.primary))
	}
	if d := both[migrate.Destination]; d.status != synapse.ReadWrite {
		fmt.Fprintf(&b, "\nThe destination is %s: it answers its users with 503. It says: %s\n", cell(d.status), cell(ops.Quote(d.message)))
	}
	if len(left) > 0 {
		fmt.Fprintf(&b, "\nLeft out: %s.\n", cell(strings.Join(left, ", ")))
	}
	fmt.Fprintln(&b, "\n| type | source from | to | destination from | to | |\n|---|--:|--:|--:|--:|---|")
	for _, t := range primary {
		s, d := marks[migrate.Source][t], marks[migrate.Destination][t]
		verdict := ""
		if s != d {
			verdict = "differs"
			differ++
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(t), reach(s), reach(d), verdict)
	}
	return b.Bytes(), differ
}

// reach is two cells.
func reach(m migrate.Mark) string {
	if !m.Any {
		return "empty |"
	}
	return fmt.Sprintf("%d | %d", m.Min, m.Max)
}

// cell is text that a table's cell may have.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", "`", "'", "\n", " ", "\r", " ").Replace(s)
}
