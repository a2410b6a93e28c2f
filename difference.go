package ops

import (
	"fmt"
	"maps"
	"slices"
)

// Difference names what differs between an earlier plan and this one, a sentence
// each and at most eleven, for a refusal. An earlier plan that is nil yields a
// general sentence.
func (p *Plan) Difference(task *Task, earlier *Plan) []string {
	if earlier == nil {
		return []string{"The plan is not the one approved, and the one approved is not at hand to compare."}
	}
	var out []string
	if earlier.Environment != p.Environment || earlier.Task != p.Task || earlier.Version != p.Version {
		out = append(out, fmt.Sprintf("The approved plan was for %s (version %d) in %s.", earlier.Task, earlier.Version, earlier.Environment))
	}
	if earlier.Host != p.Host {
		out = append(out, fmt.Sprintf("It was for host %s and is for %s.", Quote(earlier.Host), Quote(p.Host)))
	}
	out = append(out, inputDifferences(earlier.Inputs, p.Inputs)...)
	if earlier.EffectsTotal != p.EffectsTotal {
		out = append(out, fmt.Sprintf("It was for %s and is for %s.", task.Count(earlier.EffectsTotal), task.Count(p.EffectsTotal)))
	}
	if !p.Summary || !earlier.Summary { // the states in a summary plan bind nothing
		out = append(out, effectDifferences(task, earlier.Effects, p.Effects)...)
	}
	if len(out) == 0 && earlier.ListDigest != p.ListDigest {
		out = append(out, "The list of targets is another one.")
	}
	if len(out) == 0 {
		out = append(out, "A personal field differs, which no document shows.")
	}
	const most = 10
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("and %d more differences.", len(out)-most))
	}
	return out
}

func inputDifferences(was, is map[string]string) []string {
	all := maps.Clone(is)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, was)
	given := func(m map[string]string, name string) string {
		if v, ok := m[name]; ok {
			return Quote(v)
		}
		return "not given"
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if a, b := given(was, name), given(is, name); a != b || was[name] != is[name] {
			out = append(out, fmt.Sprintf("Input %s was %s and is %s.", name, a, b))
		}
	}
	return out
}

func effectDifferences(task *Task, was, is []Effect) []string {
	old := map[string]*Effect{}
	for i := range was {
		old[was[i].ID] = &was[i]
	}
	var out []string
	for i := range is {
		o := old[is[i].ID]
		delete(old, is[i].ID)
		if o == nil {
			out = append(out, is[i].Label+" was not in it.")
			continue
		}
		out = append(out, o.differences(task, &is[i])...)
	}
	for _, id := range slices.Sorted(maps.Keys(old)) {
		out = append(out, old[id].Label+" is gone from it.")
	}
	if len(out) == 0 && !slices.EqualFunc(was, is, func(a, b Effect) bool { return a.ID == b.ID }) {
		out = append(out, "The targets are in another order.")
	}
	return out
}

// differences compares two plans of one target. Personal fields are masked in the
// earlier: the digest alone compares them.
func (e *Effect) differences(task *Task, is *Effect) []string {
	var out []string
	if e.Label != is.Label {
		out = append(out, fmt.Sprintf("%s was shown as %s.", is.Label, e.Label))
	}
	for _, f := range e.Before.Differs(is.Before, task.Deciding) {
		if !slices.Contains(task.Personal, f) {
			out = append(out, fmt.Sprintf("%s: %s was %s and is %s.", is.Label, f, e.Before.show(f), is.Before.show(f)))
		}
	}
	for _, f := range e.After.Differs(is.After, task.Deciding) {
		if !slices.Contains(task.Personal, f) {
			out = append(out, fmt.Sprintf("%s: %s was to become %s and is to become %s.", is.Label, f, e.After.show(f), is.After.show(f)))
		}
	}
	return out
}

// show renders a field for a message. It came from the service: it is quoted and
// bounded as all text from outside.
func (s State) show(field string) string {
	v, ok := s[field]
	if !ok {
		return "absent"
	}
	if text, ok := v.(string); ok {
		return Quote(text)
	}
	b, err := CanonicalJSON(v)
	if err != nil {
		return "unreadable"
	}
	return visible(string(b))
}
