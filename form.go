package ops

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// What a form asks besides a task's inputs: these fields are no input's.
const (
	FieldMode    = "mode"    // plan or perform; not of a task that only reads
	FieldConfirm = "confirm" // the answer to the plan's challenge; nor this
	FieldPlan    = "plan"    // the digest of the plan that was agreed to; nor this
	FieldReason  = "reason"
	FieldWatch   = "watch" // all or start
	FieldMore    = "more"  // a JSON object of inputs that the form has no field for
)

// Reserved lists the names of fields that are no input's: see Input.Field.
func Reserved() []string {
	return []string{FieldMode, FieldConfirm, FieldPlan, FieldReason, FieldWatch, FieldMore}
}

// MostFields is how many fields GitHub shows in a form.
const MostFields = 25

// Unchosen is what a choice in a form says until one is made. GitHub chooses the
// first of a list by itself, and a box that is not ticked reads as false: neither
// was meant by anybody.
const Unchosen = "(choose)"

// The modes, and what of a run is followed.
const (
	ModePlan    = "plan"
	ModePerform = "perform"
	WatchAll    = "all"
	WatchStart  = "start"
)

// AskingFields lists what the task's form asks besides its inputs, in order.
func (t *Task) AskingFields() []string {
	if t.Class == Reads {
		return []string{FieldReason, FieldWatch}
	}
	return []string{FieldMode, FieldPlan, FieldConfirm, FieldReason, FieldWatch}
}

// FormInputs tells which inputs have a field of their own in the task's form, and
// which are given in the field FieldMore: those that are too many, the required
// ones last, and every open choice, because a list in a form takes nothing that it
// does not show. more lists open choices too, though they have a field.
func (t *Task) FormInputs() (fields, more []Input) {
	room := MostFields - len(t.AskingFields())
	open := slices.ContainsFunc(t.Inputs, func(in Input) bool { return in.openList() })
	if open || len(t.Inputs) > room {
		room--
	}
	order := slices.Clone(t.Inputs)
	slices.SortStableFunc(order, func(a, b Input) int { return a.spareable() - b.spareable() })
	shown := map[string]bool{}
	for _, in := range order[:min(room, len(order))] {
		shown[in.Name] = true
	}
	for _, in := range t.Inputs {
		if shown[in.Name] {
			fields = append(fields, in)
		}
		if !shown[in.Name] || in.openList() {
			more = append(more, in)
		}
	}
	return fields, more
}

// openList tells whether a form shows the input as a list that does not hold every
// value it takes.
func (in *Input) openList() bool { return in.Kind == KindChoice && in.Open && !in.List }

// spareable is 0 for an input that must be given, 1 for any other.
func (in *Input) spareable() int {
	if in.Optional || in.Default != "" {
		return 1
	}
	return 0
}

// A Form is a task's form as it was filled in.
type Form struct {
	Inputs  map[string]string // what was given, for Parse
	Mode    string            // ModePlan unless perform was chosen; ModePerform for a task that reads
	Confirm string
	Plan    string
	Reason  string
	Watch   string // WatchAll unless start was chosen
}

// ReadForm reads a form as GitHub's toJSON(inputs) writes it: strings, and numbers
// and booleans as such. Fields left blank are not given. The error is
// *InputErrors, for what is wrong with the form itself; Parse has not been asked.
func (t *Task) ReadForm(text string) (Form, error) {
	wrong := func(reason, hint string) error {
		return &InputErrors{Task: t.Name, Errors: []InputError{{Input: "form", Value: shownValue(text), Reason: reason, Hint: hint}}}
	}
	if !utf8.ValidString(text) {
		return Form{}, wrong("it is not valid UTF-8.", "")
	}
	given, errs, err := fieldsOf(text)
	if err != nil {
		return Form{}, wrong(fmt.Sprintf("it is not a JSON object: %v.", err), `A form looks like {"users":"3350396","mode":"plan"}.`)
	}
	f := Form{Inputs: map[string]string{}, Mode: given[FieldMode], Confirm: given[FieldConfirm], Plan: given[FieldPlan], Reason: given[FieldReason], Watch: given[FieldWatch]}
	for name, value := range given {
		if slices.Contains(Reserved(), name) {
			continue
		}
		in := t.ofField(name)
		if in != nil && in.listed() && value == Unchosen {
			continue
		}
		if in != nil {
			name = in.Name
		}
		f.Inputs[name] = value
	}
	errs = append(errs, t.readMore(&f, given[FieldMore])...)
	errs = append(errs, f.settle(t)...)
	if len(errs) > 0 {
		return Form{}, &InputErrors{Task: t.Name, Errors: errs}
	}
	return f, nil
}

// Field is what the input is called in a form: its name, unless the form itself asks
// something of that name.
func (in *Input) Field() string {
	if slices.Contains(Reserved(), in.Name) {
		return "input-" + in.Name
	}
	return in.Name
}

// ofField is the input that a form's field is for, nil for none.
func (t *Task) ofField(name string) *Input {
	for i := range t.Inputs {
		if t.Inputs[i].Field() == name {
			return &t.Inputs[i]
		}
	}
	return nil
}

// listed tells whether a form shows the input as a list to choose from.
func (in *Input) listed() bool {
	return !in.List && (in.Kind == KindChoice || in.Kind == KindBoolean || in.Kind == KindHost)
}

// fieldsOf reads a flat JSON object; blank strings and nulls are left out. Arrays and
// objects are errors of their fields.
func fieldsOf(text string) (map[string]string, []InputError, error) {
	if half, found := halfCharacter(text); found {
		// The decoder would put U+FFFD for it: another text than was meant.
		return nil, nil, fmt.Errorf("it has half a character, %s", half)
	}
	object, err := canonicalObject(text)
	if err != nil {
		return nil, nil, err
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &raw); err != nil {
		return nil, nil, err
	}
	given := map[string]string{}
	var errs []InputError
	for name, value := range raw {
		var s string
		switch {
		case value[0] == '"':
			if err := json.Unmarshal(value, &s); err != nil {
				return nil, nil, err
			}
		case value[0] == '{' || value[0] == '[':
			errs = append(errs, InputError{Input: Clip(name), Value: shownValue(string(value)), Reason: "its value is not text.", Hint: "Put it in quotes."})
		case string(value) != "null":
			s = string(value) // a number or a boolean, as it was written
		}
		if strings.TrimSpace(s) != "" {
			given[name] = s
		}
	}
	slices.SortFunc(errs, func(a, b InputError) int { return strings.Compare(a.Input, b.Input) })
	return given, errs, nil
}

// halfCharacter returns the first escape in a JSON text that is one half of a
// surrogate pair without the other.
func halfCharacter(s string) (string, bool) {
	unit := func(at string) rune {
		if len(at) < 6 || at[:2] != `\u` {
			return -1
		}
		n, err := strconv.ParseUint(at[2:6], 16, 16)
		if err != nil {
			return -1
		}
		return rune(n)
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		switch r := unit(s[i:]); {
		case !utf16.IsSurrogate(r):
			i++ // whatever is escaped: a backslash begins no escape of its own
		case utf16.DecodeRune(r, unit(s[i+6:])) == utf8.RuneError:
			return s[i : i+6], true
		default:
			i += 11
		}
	}
	return "", false
}

// readMore adds the inputs of the field FieldMore to the form's.
func (t *Task) readMore(f *Form, text string) []InputError {
	if text == "" {
		return nil
	}
	more, errs, err := fieldsOf(text)
	if err != nil {
		return []InputError{{Input: FieldMore, Value: shownValue(text), Reason: fmt.Sprintf("it is not a JSON object of inputs: %v.", err), Hint: `It looks like {"name":"value"}.`}}
	}
	for _, in := range t.Inputs {
		value, ok := more[in.Name]
		if _, twice := f.Inputs[in.Name]; ok && twice {
			errs = append(errs, InputError{Input: in.Name, Value: shownValue(value), Reason: "it is given both in its own field and in " + FieldMore + ".", Hint: "Leave one of them out."})
		}
	}
	for name, value := range more {
		f.Inputs[name] = value // Parse says which are no inputs
	}
	return errs
}

// settle fills in what was left blank and tells what is neither.
func (f *Form) settle(t *Task) []InputError {
	var errs []InputError
	choose := func(field, first, second string, value *string) {
		switch *value {
		case "":
			*value = first
		case first, second:
		default:
			errs = append(errs, InputError{Input: field, Value: shownValue(*value), Reason: quoteValue(*value) + " is not one of the choices.", Hint: fmt.Sprintf("It is %s or %s.", first, second)})
		}
	}
	if t.Class == Reads {
		f.Mode = ModePerform
	} else {
		choose(FieldMode, ModePlan, ModePerform, &f.Mode)
	}
	choose(FieldWatch, WatchAll, WatchStart, &f.Watch)
	return errs
}
