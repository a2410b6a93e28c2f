package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A workflow is one file of a dashboard: a form or a schedule, and one job that
// calls core.
type workflow struct {
	File    string   // its name in .github/workflows
	Name    string   // as the Actions tab lists it
	RunName string   // as GitHub evaluates it
	About   string   // a comment's text, one line
	Crons   []string // instead of a form
	Fields  []field
	Uses    string // core's workflow at the release
	With    [][2]string
	Form    bool // hands the form over
	Secrets []secret

	task *ops.Task // whose form it is, or nil
}

// A field is one input of a form.
type field struct {
	Name, Description string
	Type              string // as GitHub calls it
	Default           string // as YAML writes it; "" for none
	Required          bool
	Options           []string
}

type secret struct{ Name, From string }

// Limits of GitHub's forms, and of what a person reads beside a field.
const (
	mostDescription = 400
	mostForm        = 65_535
)

const webhook = "SYNOPS_WEBHOOK"

// workflows returns the environment's workflows: tasks in the catalog's order, then
// schedules, then what is done about runs and the account.
func (s *Source) workflows(env *ops.Environment) ([]*workflow, error) {
	if err := s.schedulesExist(env); err != nil {
		return nil, err
	}
	var all []*workflow
	for _, t := range s.offered(env) {
		all = append(all, s.taskForm(env, t))
	}
	for _, t := range s.offered(env) {
		if t.Scheduled(env) {
			w, err := s.scheduled(env, t)
			if err != nil {
				return nil, err
			}
			all = append(all, w)
		}
	}
	all = append(all, s.callers(env)...)
	seen := map[string]bool{}
	for _, w := range all {
		if seen[w.File] {
			return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("Two workflows of %s would be the file %s.", env.Name, w.File), Hint: "Give the task another name."}
		}
		seen[w.File] = true
		if err := w.check(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// schedulesExist refuses a schedule that is enabled and that there is none of: whoever
// enabled it believes that it runs.
func (s *Source) schedulesExist(env *ops.Environment) error {
	offered := s.offered(env)
	for _, name := range slices.Sorted(maps.Keys(env.Schedules)) {
		if !env.Schedules[name] || slices.ContainsFunc(offered, func(t *ops.Task) bool { return t.Name == name && t.Schedule != nil }) {
			continue
		}
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("The schedule of %s is enabled in %s, and no task of that name that is offered there declares one.", ops.Quote(string(name)), env.Name),
			Hint: "Take it out of the environments file, or declare the task's schedule."}
	}
	return nil
}

func (s *Source) taskForm(env *ops.Environment, t *ops.Task) *workflow {
	w := s.calling(env, "run-task")
	w.File, w.Name, w.About, w.task = string(t.Name)+".yml", "Task: "+string(t.Name), t.Summary, t
	w.RunName = mark(env.Name) + " " + string(t.Name)
	if t.Class != ops.Reads {
		w.RunName += " ${{ inputs.mode == 'perform' && 'perform' || 'plan' }}"
	}
	w.RunName += requester
	w.With, w.Secrets = append(w.With, [2]string{"task", string(t.Name)}), []secret{{webhook, webhook}}
	fields, more := t.FormInputs()
	for i := range fields {
		w.Fields = append(w.Fields, inputField(&fields[i], env))
	}
	if len(more) > 0 {
		w.Fields = append(w.Fields, moreField(more))
	}
	for _, name := range t.AskingFields() {
		f := askingField(name, env)
		if name == ops.FieldMode && t.Class == ops.Destroys {
			f.Description += " " + t.Undo
		}
		w.Fields = append(w.Fields, f)
	}
	return w
}

// scheduled is the workflow that starts a task by itself. It hands no form over:
// core's catalog says what exactly is run, whoever changes this file.
func (s *Source) scheduled(env *ops.Environment, t *ops.Task) (*workflow, error) {
	crons, err := t.Schedule.Crons()
	if err != nil {
		return nil, err
	}
	if _, err := t.ScheduleIn(env); err != nil { // it would be refused each time it is due
		return nil, err
	}
	w := s.calling(env, "run-task")
	w.File, w.Name, w.Crons, w.Form = "scheduled-"+string(t.Name)+".yml", "Schedule: "+string(t.Name), crons, false
	w.About = t.Schedule.Reason + " Inputs and answer are those that core declares."
	if zone := t.Schedule.Zone; zone != "" {
		w.About += " UTC covers each offset of " + zone + "; what is not due on its clocks ends at once."
	}
	w.RunName = mark(env.Name) + " " + string(t.Name) + " by its schedule"
	w.With, w.Secrets = append(w.With, [2]string{"task", string(t.Name)}, [2]string{"schedule", "true"}), []secret{{webhook, webhook}}
	return w, nil
}

// requester ends a run's name. GitHub's name of who pressed the button is no secret,
// and no more is told of a person.
const requester = " by ${{ github.actor }}"

// calling is a workflow that calls one of core's.
func (s *Source) calling(env *ops.Environment, name string) *workflow {
	return &workflow{
		Uses: fmt.Sprintf("%s/.github/workflows/%s.yml@%s", s.Core, name, s.Release),
		With: [][2]string{{"environment", string(env.Name)}}, Form: true,
	}
}

// inputField is a task's input as an environment's form shows it: of hosts, its own.
func inputField(in *ops.Input, env *ops.Environment) field {
	f := field{Name: in.Field(), Description: describe(in), Type: "string", Required: !in.Optional && in.Default == ""}
	if in.Default != "" {
		f.Default = quoted(in.Default)
	}
	switch {
	case in.List:
	case in.Kind == ops.KindChoice:
		f.Type, f.Options = "choice", in.Choices
	case in.Kind == ops.KindHost:
		f.Type, f.Options = "choice", slices.Clone(env.Hosts)
	case in.Kind == ops.KindBoolean && in.Default != "":
		f.Type, f.Default = "boolean", in.Default
	case in.Kind == ops.KindBoolean:
		f.Type, f.Options = "choice", []string{"true", "false"}
	case in.Kind == ops.KindInteger:
		f.Type = "number"
		f.Default = in.Default
	}
	if f.Type == "choice" && in.Default == "" {
		f.Options = append([]string{ops.Unchosen}, f.Options...)
		f.Default = quoted(ops.Unchosen)
	}
	return f
}

// describe is an input's help and, where the form itself does not tell, what it
// takes.
func describe(in *ops.Input) string {
	parts := []string{in.Help}
	switch {
	case in.List:
		parts = append(parts, "Separated by commas or blanks.")
	case in.Kind == ops.KindInteger && in.Most != 0:
		parts = append(parts, fmt.Sprintf("From %d to %d.", in.Least, in.Most))
	case in.Kind == ops.KindJSON:
		parts = append(parts, "A JSON object.")
	}
	if in.Rule != "" {
		parts = append(parts, in.Rule)
	}
	if in.Example != "" && in.Kind != ops.KindChoice && in.Kind != ops.KindBoolean && in.Kind != ops.KindHost && in.Example != in.Default {
		parts = append(parts, "For example "+in.Example)
	}
	if in.Personal {
		parts = append(parts, "Personal: GitHub shows it to whoever may read this repository.")
	}
	return strings.Join(parts, " ")
}

// moreField takes the inputs that have no field of their own.
func moreField(more []ops.Input) field {
	names := make([]string, len(more))
	for i, in := range more {
		names[i] = in.Name
	}
	example := more[0].Example
	if example == "" {
		example = "…"
	}
	object, err := ops.CanonicalJSON(map[string]string{more[0].Name: example})
	if err != nil {
		object = []byte(`{"name":"value"}`)
	}
	return field{Name: ops.FieldMore, Type: "string",
		Description: fmt.Sprintf("Mostly blank: a JSON object of what the fields above do not take (%s), such as %s", strings.Join(names, ", "), object)}
}

// askingField is a field that every task's form has.
func askingField(name string, env *ops.Environment) field {
	switch name {
	case ops.FieldMode:
		return field{Name: name, Type: "choice", Options: []string{ops.ModePlan, ops.ModePerform}, Default: quoted(ops.ModePlan),
			Description: fmt.Sprintf("plan says what would change in %s and changes nothing; perform does it.", mark(env.Name))}
	case ops.FieldPlan:
		return field{Name: name, Type: "string", Description: "For perform: the digest of the plan that was agreed to, sha256:… Blank: the plan that this run makes first."}
	case ops.FieldConfirm:
		return field{Name: name, Type: "string", Description: "For perform: the answer that the plan asks for, taken from its summary. Never yes, never a real name or an e-mail address."}
	case ops.FieldReason:
		return field{Name: name, Type: "string", Required: env.RequireReason, Description: "Why, for the record, such as a ticket's number. Never personal data."}
	}
	return field{Name: ops.FieldWatch, Type: "choice", Options: []string{ops.WatchAll, ops.WatchStart}, Default: quoted(ops.WatchAll),
		Description: "all follows the run to its end; start leaves once it has begun. The run goes on either way."}
}

// check tells what GitHub would not take, or would take for more than text.
func (w *workflow) check() error {
	wrong := func(format string, args ...any) error {
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("The workflow %s cannot be rendered: ", w.File) + fmt.Sprintf(format, args...), Hint: "Change the catalog, then render again."}
	}
	if len(w.Fields) > ops.MostFields {
		return wrong("its form has %d fields, and GitHub takes %d.", len(w.Fields), ops.MostFields)
	}
	texts := append([]string{w.About, w.Name}, w.Crons...)
	size := 0
	for _, f := range w.Fields {
		if n := len([]rune(f.Description)); n > mostDescription {
			return wrong("the help of %s has %d characters, more than %d.", f.Name, n, mostDescription)
		}
		texts = append(append(texts, f.Name, f.Description, f.Default), f.Options...)
		size += len(f.Default)
	}
	if size > mostForm {
		return wrong("its defaults have %d characters, and GitHub takes %d in all.", size, mostForm)
	}
	for _, text := range texts {
		if strings.Contains(text, "${{") {
			return wrong("%s holds ${{, which GitHub evaluates.", ops.Quote(text))
		}
		if strings.ContainsFunc(text, unicode.IsControl) {
			return wrong("%s holds a line end or another control character.", ops.Quote(text))
		}
	}
	return nil
}
