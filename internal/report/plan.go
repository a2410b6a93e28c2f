package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A PlanView is a plan and what a person needs around it.
type PlanView struct {
	*ops.Plan
	// Command starts the run, such as ops.Command returns; the plan's digest and
	// challenge are added to it. "": the plan is shown without a command.
	Command string
	// Reads: the task changes nothing, whatever its effects are called.
	Reads bool
}

// Plan writes what would be changed, the targets that need nothing, notes, digest
// and challenge, and the command that performs exactly this plan.
func Plan(w io.Writer, v PlanView, st Style) error {
	p := newPage(st)
	p.title(v.Environment, bold, "plan", fmt.Sprintf("%s in %s: %s", Clean(string(v.Task)), Clean(string(v.Environment)), planCount(v)))
	p.gap()
	host := v.Host
	if v.Instance != "" {
		host += " (instance " + v.Instance + ")"
	}
	p.field("host", 6, Clean(host))
	for i, name := range slices.Sorted(maps.Keys(v.Inputs)) {
		label := ""
		if i == 0 {
			label = "inputs"
		}
		p.field(label, 6, Clean(name+"="+shorten(v.Inputs[name])))
	}
	p.effects(v.Plan)
	p.notes(v.Notes)
	p.confirmation(v)
	return p.to(w)
}

// shorten cuts a long value: the effects name the targets.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + fmt.Sprintf("… (%s bytes)", number(int64(len(s))))
}

func planCount(p PlanView) string {
	if p.Reads {
		return "reads only, changes nothing"
	}
	nothing := 0
	for _, e := range p.Effects {
		if e.Nothing {
			nothing++
		}
	}
	total := max(p.EffectsTotal, len(p.Effects))
	switch {
	case p.Summary:
		return fmt.Sprintf("%s targets, the first %d read", number(int64(total)), len(p.Effects))
	case nothing == total:
		return "nothing to do"
	case nothing == 0:
		return plural(total, "change")
	}
	return fmt.Sprintf("%s, %d already as wanted", plural(total-nothing, "change"), nothing)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(int64(n)) + " " + noun + "s"
}

// effects writes a line for each change, then the unchanged targets together.
func (p *page) effects(plan *ops.Plan) {
	var changes, same []ops.Effect
	for _, e := range plan.Effects {
		if e.Nothing {
			same = append(same, e)
		} else {
			changes = append(changes, e)
		}
	}
	if len(changes) > 0 {
		p.gap()
	}
	shown := changes[:min(len(changes), mostLines)]
	width := 0
	for _, e := range shown {
		width = max(width, cells(Clean(e.Label)))
	}
	width = min(width, p.Width/2)
	for _, e := range shown {
		p.hang("  "+pad(Clean(e.Label), width)+"  ", width+4, Clean(e.Summary))
	}
	if more := len(changes) - len(shown); more > 0 {
		p.line(fmt.Sprintf("  … and %s more (--format json lists all)", number(int64(more))))
	}
	if plan.Summary {
		p.line(fmt.Sprintf("  … and %s more, each planned when it is reached", number(int64(plan.EffectsTotal-len(plan.Effects)))))
	}
	p.unchanged(same)
	p.unread(changes)
}

func (p *page) unchanged(same []ops.Effect) {
	if len(same) == 0 {
		return
	}
	labels := make([]string, 0, mostLines)
	for _, e := range same[:min(len(same), mostLines)] {
		labels = append(labels, Clean(e.Label))
	}
	text := strings.Join(labels, ", ")
	if more := len(same) - len(labels); more > 0 {
		text += fmt.Sprintf(" … and %s more", number(int64(more)))
	}
	p.gap()
	p.line(fmt.Sprintf("already as wanted (%s)", number(int64(len(same)))))
	p.hang("  ", 2, text)
}

// unread says of which targets the state before is not known, and why.
func (p *page) unread(changes []ops.Effect) {
	count := map[string]int{}
	var reasons []string
	for _, e := range changes {
		if e.BeforeAbsent == "" {
			continue
		}
		if count[e.BeforeAbsent] == 0 {
			reasons = append(reasons, e.BeforeAbsent)
		}
		count[e.BeforeAbsent]++
	}
	if len(reasons) == 0 {
		return
	}
	p.gap()
	for _, reason := range reasons[:min(len(reasons), 5)] {
		p.hang("state before unknown ("+number(int64(count[reason]))+"): ", 2, Clean(reason))
	}
}

func (p *page) notes(notes []string) {
	if len(notes) == 0 {
		return
	}
	p.gap()
	p.line("notes")
	for _, n := range notes[:min(len(notes), mostLines)] {
		p.hang("  - ", 4, Clean(n))
	}
	if more := len(notes) - mostLines; more > 0 {
		p.line(fmt.Sprintf("  … and %s more", number(int64(more))))
	}
}

// confirmation writes digest, challenge and the command.
func (p *page) confirmation(v PlanView) {
	p.gap()
	p.field("digest", 7, string(v.Digest))
	if v.ListDigest != "" {
		p.field("list", 7, string(v.ListDigest))
	}
	if v.Challenge != "" {
		p.line(p.paint(dim, pad("confirm", 7)), "  ", p.paint(bold, Clean(v.Challenge)))
	}
	if v.Command == "" {
		return
	}
	if !v.Summary && !slices.ContainsFunc(v.Effects, func(e ops.Effect) bool { return !e.Nothing }) {
		p.gap()
		p.line("Nothing has been changed, and nothing needs to be.")
		return
	}
	command := v.Command + " --plan " + string(v.Digest)
	if v.Challenge != "" {
		command += " --confirm " + quoteAlways(v.Challenge)
	}
	p.gap()
	p.line("Nothing has been changed. To do exactly this:")
	if Clean(command) != command {
		// What would be shown is not what must be typed.
		p.line("  (give the same arguments, with --plan and --confirm as above: some cannot be shown)")
		return
	}
	p.line("  ", command)
}

// quoteAlways quotes s for a shell even where it need not be: an answer stands
// out as one word.
func quoteAlways(s string) string {
	if q := ops.ShellQuote(s); q != s {
		return q
	}
	return "'" + s + "'"
}
