package actions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// outputName is what an output may be called.
var outputName = ops.Pattern(`^[a-z][a-z0-9-]*$`)

// SetOutput appends an output of the step to the file that GITHUB_OUTPUT names; ""
// is none, and nothing is written. A value is one line: what would end it is an
// error, since the next line could name another output.
func SetOutput(file, name, value string) error {
	switch {
	case file == "":
		return nil
	case !outputName().MatchString(name) || strings.ContainsAny(value, "\r\n") || !utf8.ValidString(value):
		return ops.Errorf(ops.Internal, "the output %s=%s is not one line.", ops.Quote(name), ops.Quote(value))
	}
	return appendTo(file, []byte(name+"="+value+"\n"))
}

// MostSummary is how much a step's summary may hold: above 1 MiB GitHub takes none
// of it.
const MostSummary = 1 << 20

// Summarize appends page to the step's summary, the file that GITHUB_STEP_SUMMARY
// names; "" is none. What would make the summary too large is left out, and said.
func Summarize(file string, page []byte) error {
	if file == "" {
		return nil
	}
	var there int64
	if info, err := os.Stat(file); err == nil {
		there = info.Size()
	}
	const left = "\n\n_The rest is left out: a summary holds 1 MiB._\n"
	room := MostSummary - int(there) - len(left) - 1
	if room < 0 {
		return nil // that was said
	}
	if len(page) > room {
		whole := page[:bytes.LastIndexByte(page[:room], '\n')+1]
		page = append(slices.Clip(whole), left...)
	}
	return appendTo(file, append(slices.Clip(page), '\n'))
}

func appendTo(file string, data []byte) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing for the runner: %w", err)
	}
	_, err = f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("writing for the runner: %w", err)
	}
	return nil
}

// Dispatched reads the fields that the workflow was dispatched with from the event's
// file, which GITHUB_EVENT_PATH names. There are none for another event, and where
// the file cannot be read or understood. It is for masking: nothing is decided by it.
func Dispatched(file string) map[string]string {
	out := map[string]string{}
	data, err := os.ReadFile(file)
	if err != nil {
		return out
	}
	var event struct {
		Inputs map[string]json.RawMessage `json:"inputs"`
	}
	if json.Unmarshal(data, &event) != nil {
		return out
	}
	for name, raw := range event.Inputs {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			out[name] = s
		}
	}
	return out
}

// inJSON is s as it stands between the quotes of a JSON string.
func inJSON(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always can be
	text := strings.TrimSuffix(b.String(), "\n")
	return text[1 : len(text)-1]
}

// Personal returns the values of a task's personal inputs among fields: whole, and
// each of a list.
func Personal(task *ops.Task, fields map[string]string) []string {
	var out []string
	for _, in := range task.Inputs {
		value := strings.TrimSpace(fields[in.Name])
		if !in.Personal || value == "" {
			continue
		}
		out = append(out, value)
		if in.List {
			out = append(out, strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })...)
		}
	}
	return out
}

// ReadFields reads the form of a workflow that is about no task: a flat JSON object
// whose values are strings, numbers or booleans, and whose names are all known. Blank
// fields are left out. The error is Invalid.
func ReadFields(form string, known ...string) (map[string]string, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(form), &raw); err != nil || raw == nil || !utf8.ValidString(form) {
		return nil, &ops.Error{Code: ops.Invalid, Message: "The form is not a JSON object.", Hint: `It looks like {"run":"20261123T141502Z-remove-user-3f9c1a"}.`}
	}
	fields := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		var s string
		value := raw[name]
		switch {
		case !slices.Contains(known, name):
			return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("The form has no field %s.", ops.Quote(name)), Hint: "Its fields are " + strings.Join(known, ", ") + "."}
		case value[0] == '"':
			if err := json.Unmarshal(value, &s); err != nil {
				return nil, ops.Errorf(ops.Invalid, "the form's field %s is not text.", name)
			}
		case value[0] == '{' || value[0] == '[':
			return nil, ops.Errorf(ops.Invalid, "the form's field %s is not text.", name)
		case string(value) != "null":
			s = string(value)
		}
		if s = strings.TrimSpace(s); s != "" {
			fields[name] = s
		}
	}
	return fields, nil
}
