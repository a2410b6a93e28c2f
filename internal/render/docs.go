package render

import (
	"fmt"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// taskPage is what a task's page tells.
type taskPage struct {
	*ops.Task
	Paragraphs []string
	Where      string
	Example    string // inputs of an example, as the command line takes them
	ExampleEnv ops.EnvironmentName
}

// docs renders docs/tasks: a page a task and an index.
func (s *Source) docs() ([]File, error) {
	files := make([]File, 0, len(s.Catalog)+1)
	for i := range s.Catalog {
		t := &s.Catalog[i]
		p := taskPage{Task: t, Where: where(t), Example: exampleOf(t), ExampleEnv: "dev"}
		for paragraph := range strings.SplitSeq(t.Details, "\n\n") {
			p.Paragraphs = append(p.Paragraphs, strings.TrimSpace(paragraph))
		}
		if !t.Offered(p.ExampleEnv) {
			p.ExampleEnv = t.Environments[0]
		}
		data, err := execute("task.md.tmpl", p)
		if err != nil {
			return nil, err
		}
		files = append(files, File{"docs/tasks/" + string(t.Name) + ".md", data})
	}
	index, err := execute("tasks.md.tmpl", s)
	return append(files, File{"docs/tasks/README.md", index}), err
}

func where(t *ops.Task) string {
	if len(t.Environments) == 0 {
		return "every environment"
	}
	names := make([]string, len(t.Environments))
	for i, e := range t.Environments {
		names[i] = "`" + string(e) + "`"
	}
	return strings.Join(names, ", ")
}

// exampleOf is the inputs that a task needs, each with its example, as the command
// line takes them.
func exampleOf(t *ops.Task) string {
	var b strings.Builder
	for i := range t.Inputs {
		in := &t.Inputs[i]
		if !in.Optional && in.Default == "" {
			b.WriteString(" " + ops.ShellQuote(in.Name+"="+in.Example))
		}
	}
	return b.String()
}

// Takes tells in words what an input takes.
func (p taskPage) Takes(in ops.Input) string {
	what := string(in.Kind)
	if in.List {
		what = "list of " + what
	}
	parts := []string{what}
	if in.Kind == ops.KindInteger && in.Most != 0 {
		parts = append(parts, fmt.Sprintf("from %d to %d", in.Least, in.Most))
	}
	if len(in.Choices) > 0 {
		choices := "one of `" + strings.Join(in.Choices, "`, `") + "`"
		if in.Open {
			choices += "; another passes with a warning"
		}
		parts = append(parts, choices)
	}
	if in.Rule != "" {
		parts = append(parts, strings.ToLower(in.Rule[:1])+strings.TrimSuffix(in.Rule[1:], "."))
	}
	return strings.Join(parts, ": ")
}

// Given tells whether an input must be given.
func (p taskPage) Given(in ops.Input) string {
	switch {
	case in.Default != "":
		return "`" + in.Default + "` unless given"
	case in.Optional:
		return "may be left out"
	}
	return "must be given"
}

// ClassWords tells what a task of its class may do and asks for.
func (p taskPage) ClassWords() string {
	switch p.Class {
	case ops.Reads:
		return "reads: it changes nothing on the service"
	case ops.Destroys:
		return "destroys: it asks for an answer that is taken from the plan"
	}
	return "changes"
}

// Limit tells the run's time limit.
func (p taskPage) Limit() string {
	if p.TimeLimit%time.Hour == 0 {
		return countOf(int(p.TimeLimit/time.Hour), "hour", "hours")
	}
	return countOf(int(p.TimeLimit/time.Minute), "minute", "minutes")
}

// Most tells how many targets one run may have, "" where the question does not
// arise.
func (p taskPage) Most() string {
	if p.TargetsInput == "" {
		return ""
	}
	return p.Count(p.MostTargets(nil))
}

// ScheduleInputs tells what a scheduled run is given, sorted.
func (p taskPage) ScheduleInputs() string {
	var parts []string
	for name, value := range p.Schedule.Inputs {
		parts = append(parts, "`"+name+"="+value+"`")
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return "no inputs but the defaults"
	}
	with := strings.Join(parts, ", ")
	if len(p.Schedule.Constants) > 0 {
		with += ", where a name in braces stands for the environment's constant"
	}
	return with
}

// Personals names the inputs that hold personal data.
func (p taskPage) Personals() string {
	var names []string
	for _, in := range p.Inputs {
		if in.Personal {
			names = append(names, "`"+in.Name+"`")
		}
	}
	return strings.Join(names, ", ")
}
