package ops

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Shared is the section of a constants file for all tasks that declare a name.
const Shared = "shared"

// ConstantsFor are the task's constants in an environment, typed. The error is
// Invalid and lists everything that is missing or wrong for this task, a line each.
func (t *Task) ConstantsFor(env *Environment) (Values, error) { return t.constants(env, t.Constants) }

// constants are those of the task's that are declared, typed.
func (t *Task) constants(env *Environment, declared []Input) (Values, error) {
	raw, own := map[string]string{}, env.Constants[string(t.Name)]
	for _, c := range declared {
		if s, ok := env.Constants[Shared][c.Name]; ok {
			raw[c.Name] = s
		}
		if s, ok := own[c.Name]; ok {
			raw[c.Name] = s
		}
	}
	var names, wrong []string
	for _, c := range t.allConstants() {
		names = append(names, c.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if !slices.Contains(names, name) {
			wrong = append(wrong, fmt.Sprintf("%s: %s has no constant %s.%s", env.Name, t.Name, Quote(name), didYouMean(name, names)))
		}
	}
	v, err := (&Task{Name: t.Name, Inputs: declared}).Parse(raw)
	if several, ok := errors.AsType[*InputErrors](err); ok {
		for _, e := range several.Errors {
			line := fmt.Sprintf("%s: constant %s of %s: %s", env.Name, Quote(e.Input), t.Name, e.Reason)
			if e.Hint != "" {
				line += " " + e.Hint
			}
			wrong = append(wrong, line)
		}
	} else if err != nil {
		return Values{}, err
	}
	if len(wrong) > 0 {
		return Values{}, &Error{Code: Invalid, Message: strings.Join(wrong, "\n")}
	}
	return v, nil
}

// allConstants are those of the task's runs and those of its schedule alone.
func (t *Task) allConstants() []Input {
	if t.Schedule == nil {
		return t.Constants
	}
	return append(slices.Clip(t.Constants), t.Schedule.Constants...)
}

// CheckConstants tells everything that is wrong with an environment's constants:
// of each task offered there, and what belongs to none. The error is Invalid.
func (c Catalog) CheckConstants(env *Environment) error {
	var wrong []string
	tasks, shared := []string{Shared}, []string{}
	for i := range c {
		t := &c[i]
		all := t.allConstants()
		if len(all) == 0 {
			continue
		}
		tasks = append(tasks, string(t.Name))
		for _, in := range all {
			shared = append(shared, in.Name)
		}
		if !t.Offered(env.Name) {
			continue
		}
		_, err := t.ConstantsFor(env)
		if err == nil && t.Schedule != nil && (t.Scheduled(env) || t.Schedule.given(t.Name, env)) {
			_, err = t.ScheduleIn(env)
		}
		if err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	for _, section := range slices.Sorted(maps.Keys(env.Constants)) {
		if !slices.Contains(tasks, section) {
			wrong = append(wrong, fmt.Sprintf("%s: there is no task with constants called %s.%s", env.Name, Quote(section), didYouMean(section, tasks)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env.Constants[Shared])) {
		if !slices.Contains(shared, name) {
			wrong = append(wrong, fmt.Sprintf("%s: no task has the shared constant %s.%s", env.Name, Quote(name), didYouMean(name, shared)))
		}
	}
	if len(wrong) > 0 {
		return &Error{Code: Invalid, Message: strings.Join(wrong, "\n")}
	}
	return nil
}

func didYouMean(name string, names []string) string {
	if near := Nearest(name, names); near != "" {
		return fmt.Sprintf(" Did you mean %q?", near)
	}
	return ""
}
