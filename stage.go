package ops

import "strings"

// A Stage is one step of a task that is carried out by runs of others.
type Stage struct {
	Name string   `json:"name"` // lower-case words joined by hyphens
	Task TaskName `json:"task"`
	// Inputs are the stage's own. A name in braces stands for an input or a constant
	// of the whole: "{instance}".
	Inputs map[string]string `json:"inputs"`
	// Irreversible says what of the stage cannot be taken back; "" when nothing. The
	// whole stops before such a stage until its plan has an answer of its own.
	Irreversible string `json:"irreversible,omitempty"`
}

// Raw are the stage's inputs, as text to parse, where value tells what a name of
// the whole stands for. Those that stand for nothing are left out.
func (s *Stage) Raw(names []string, value func(name string) string) map[string]string {
	out := map[string]string{}
	for input, text := range s.Inputs {
		pairs := make([]string, 0, 2*len(names))
		for _, n := range names {
			pairs = append(pairs, "{"+n+"}", value(n))
		}
		// One pass: what a value holds is never taken for a name.
		if text = strings.NewReplacer(pairs...).Replace(text); strings.TrimSpace(text) != "" {
			out[input] = text
		}
	}
	return out
}
