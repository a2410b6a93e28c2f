package report

import (
	"fmt"
	"io"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Tasks writes the catalog, a line per task.
func Tasks(w io.Writer, catalog ops.Catalog, st Style) error {
	p := newPage(st)
	if len(catalog) == 0 {
		p.line("No tasks.")
		return p.to(w)
	}
	name := 0
	for i := range catalog {
		name = max(name, cells(Clean(string(catalog[i].Name))))
	}
	for i := range catalog {
		t := &catalog[i]
		class := pad(Clean(string(t.Class)), len(ops.Destroys))
		lead := p.paint(bold, pad(Clean(string(t.Name)), name)) + "  " + p.paint(classColor(t.Class), class) + "  "
		p.hang(lead, name+len(ops.Destroys)+4, Clean(t.Summary))
	}
	p.gap()
	p.next("synops tasks show TASK")
	return p.to(w)
}

func classColor(c ops.Class) string {
	switch c {
	case ops.Destroys:
		return red
	case ops.Changes:
		return yellow
	}
	return dim
}

// Task writes all an operator must know of one task, with a command to start
// from.
func Task(w io.Writer, t *ops.Task, st Style) error {
	p := newPage(st)
	p.line(p.paint(bold, Clean(string(t.Name))), "  ", Clean(t.Title))
	p.gap()
	p.hang("", 0, Clean(t.Summary))
	for paragraph := range strings.SplitSeq(t.Details, "\n\n") {
		if strings.TrimSpace(paragraph) != "" {
			p.gap()
			p.hang("", 0, Clean(paragraph))
		}
	}
	p.gap()
	p.line(p.paint(dim, pad("class", 12)), "  ", p.paint(classColor(t.Class), Clean(string(t.Class))))
	p.field("undo", 12, Clean(t.Undo))
	p.field("environments", 12, environments(t))
	p.field("lane", 12, Clean(string(t.Lane)))
	if t.TimeLimit > 0 {
		p.field("time limit", 12, length(t.TimeLimit))
	}
	if t.TargetsInput != "" {
		p.field("targets", 12, "at most "+Clean(t.Count(t.MostTargets(nil)))+" a run")
	}
	if t.Lease != "" {
		p.field("lease", 12, Clean(t.Lease))
	}
	p.inputs(t.Inputs)
	p.gap()
	p.line("  ", example(t))
	return p.to(w)
}

func environments(t *ops.Task) string {
	if len(t.Environments) == 0 {
		return "all"
	}
	names := make([]string, len(t.Environments))
	for i, e := range t.Environments {
		names[i] = Clean(string(e))
	}
	return strings.Join(names, ", ")
}

func (p *page) inputs(inputs []ops.Input) {
	if len(inputs) == 0 {
		return
	}
	p.gap()
	p.line("inputs")
	width := 0
	for i := range inputs {
		width = max(width, cells(Clean(inputs[i].Name)))
	}
	for i := range inputs {
		in := &inputs[i]
		p.hang("  "+p.paint(bold, pad(Clean(in.Name), width))+"  ", width+4, Clean(in.Help))
		p.hang(strings.Repeat(" ", width+4), width+4, Clean(inputRule(in)))
	}
}

// inputRule tells what is accepted.
func inputRule(in *ops.Input) string {
	kind := string(in.Kind)
	if in.List {
		kind = "list of " + kind + "s"
		if in.Kind == ops.KindChoice {
			kind = "list of choices"
		}
	}
	parts := []string{kind}
	if len(in.Choices) > 0 {
		parts = append(parts, "one of "+strings.Join(in.Choices, ", "))
	}
	if in.Open {
		parts = append(parts, "others pass with a warning")
	}
	if in.Rule != "" {
		parts = append(parts, strings.TrimSuffix(in.Rule, "."))
	}
	if in.Kind == ops.KindInteger && in.Most > 0 {
		parts = append(parts, fmt.Sprintf("%d to %d", in.Least, in.Most))
	}
	switch {
	case in.Default != "":
		parts = append(parts, "default "+in.Default)
	case in.Optional:
		parts = append(parts, "optional")
	default:
		parts = append(parts, "required")
	}
	if in.Personal {
		parts = append(parts, "personal: masked in documents")
	}
	return strings.Join(parts, "; ")
}

// example is a command with the required inputs' examples.
func example(t *ops.Task) string {
	s := "synops plan " + ops.ShellQuote(Clean(string(t.Name)))
	for i := range t.Inputs {
		in := &t.Inputs[i]
		if in.Optional || in.Default != "" {
			continue
		}
		value := in.Example
		if value == "" && len(in.Choices) > 0 {
			value = in.Choices[0]
		}
		if value == "" {
			value = "…"
		}
		s += " " + ops.ShellQuote(Clean(in.Name+"="+value))
	}
	env := "dev"
	if !t.Offered("dev") {
		env = string(t.Environments[0])
	}
	return s + " -e " + Clean(env)
}
