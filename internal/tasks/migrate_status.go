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
	p := pair{x: x, pause: pause}
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
	step.Log("counting on both stacks, which takes some seconds, or a minute where they are busy")
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
	src, dst := spanned(marks[migrate.Source], primary), spanned(marks[migrate.Destination], primary)
	mode, err := modeOf(modeAuto, both[migrate.Source], src, dst)
	if err != nil {
		return ops.Done{}, err
	}
	after["types"], after["left-out"], after["types-that-reach-differently"] = len(primary), append([]string{}, left...), differ
	after["source-ids"], after["destination-ids"], after["mode"] = src, dst, mode
	return ops.Done{After: after, Message: said(both, mode, src, dst, differ, len(primary)) + "; the table is " + where}, nil
}

// said is the whole in a few sentences: what a migration would be now, who both are and
// how they are, and how far apart.
func said(both [2]stackState, mode string, src, dst int64, differ, types int) string {
	s, d := both[migrate.Source], both[migrate.Destination]
	article := "a"
	if mode == modeInitial {
		article = "an"
	}
	far := fmt.Sprintf("%d of %d types reach differently far", differ, types)
	if differ == 0 {
		far = fmt.Sprintf("all %d types reach equally far", types)
	}
	text := fmt.Sprintf("now a migration would be %s %s pass: the source is %v, %s, and its IDs span %d; the destination %v, %s, and its span %d; %s", article, mode,
		s, ops.Clip(s.status), src, d, ops.Clip(d.status), dst, far)
	if d.status != synapse.ReadWrite {
		text += ". " + closed(d)
	}
	if d.status == synapse.ReadOnly {
		text += "; a migration into it may be under way"
	}
	return text
}

// closed says what a destination that is not open means to its users.
func closed(d stackState) string {
	return fmt.Sprintf("The destination is %s: it answers its users with 503", ops.Clip(d.status))
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
		says := ""
		if d.message != "" {
			says = " It says: " + ops.Quote(d.message)
		}
		fmt.Fprintf(&b, "\n%s.%s\n", cell(closed(d)), cell(says))
	}
	if len(left) > 0 {
		fmt.Fprintf(&b, "\nLeft out: %s.\n", cell(strings.Join(left, ", ")))
	}
	fmt.Fprintln(&b, "\n| type | source from | to | destination from | to | |\n|---|--:|--:|--:|--:|---|")
	for _, t := range primary {
		s, d := marks[migrate.Source][t], marks[migrate.Destination][t]
		verdict := further(s, d)
		if s != d {
			differ++
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(t), reach(s), reach(d), verdict)
	}
	return b.Bytes(), differ
}

// further says how the destination's IDs lie to the source's; "" where both reach
// equally far.
func further(s, d migrate.Mark) string {
	switch {
	case s == d:
		return ""
	case !s.Any:
		return "differs: the source is empty"
	case !d.Any:
		return "differs: the destination is empty"
	case s.Max > d.Max:
		return fmt.Sprintf("differs: the source reaches %d further", s.Max-d.Max)
	case d.Max > s.Max:
		return fmt.Sprintf("differs: the destination reaches %d further", d.Max-s.Max)
	}
	return "differs: they begin differently"
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
