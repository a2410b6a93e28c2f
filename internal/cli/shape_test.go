package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The documents of --format json, as the command line's users may rely on them.
// required fields are always there; others may be.
var shapes = map[string]struct{ required, optional []string }{
	"error": {required: []string{"outcome", "code", "message", "errors"}},
	"plan": {
		required: []string{"task", "environment", "inputs", "plan_digest", "effects", "notes"},
		optional: []string{"task_version", "host", "instance", "challenge", "effects_total", "summary", "list_digest"},
	},
	"result": {
		required: []string{"run", "task", "environment", "outcome", "message", "effects", "started", "ended"},
		optional: []string{"code", "guard", "plan_digest", "undo", "attempt", "effects_total", "effects_file", "counts", "artifacts", "notes", "changed", "unchanged", "next", "requester", "journal_entries", "journal_head"},
	},
	"state":   {required: []string{"run", "state"}},
	"running": {required: []string{"run", "task", "environment", "state", "lost", "engine", "requester", "attempt"}, optional: []string{"heartbeat", "cancel"}},
	"verify":  {required: []string{"run", "intact", "checked"}},
	"freeze":  {required: []string{"environment", "by", "reason", "at"}, optional: []string{"n"}},
	"any":     {},
}

var inner = map[string]struct{ required, optional []string }{
	"plan effects":   {required: []string{"id", "target", "summary"}, optional: []string{"before", "before_absent", "after", "settle", "nothing"}},
	"result effects": {required: []string{"id", "target", "summary", "outcome"}, optional: []string{"before", "after", "code", "message"}},
	"error errors":   {required: []string{"input", "value", "reason"}, optional: []string{"hint"}},
}

// decodeShape reads exactly one document of that shape. A list's shape is "list".
func decodeShape(shape string, data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("standard output is not JSON: %w\n%s", err, data)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("standard output has more than one document:\n%s", data)
	}
	fields, isObject := doc.(map[string]any)
	if shape == "list" {
		if _, ok := doc.([]any); !ok {
			return nil, fmt.Errorf("not a list:\n%s", data)
		}
		return doc, nil
	}
	s, known := shapes[shape]
	if !known || !isObject {
		return nil, fmt.Errorf("not an object of shape %s:\n%s", shape, data)
	}
	if shape == "any" {
		return doc, nil
	}
	if err := hasFields(fields, s.required, s.optional); err != nil {
		return nil, fmt.Errorf("%s: %w:\n%s", shape, err, data)
	}
	for key, in := range inner {
		of, name, _ := strings.Cut(key, " ")
		if of != shape {
			continue
		}
		list, ok := fields[name].([]any)
		if !ok {
			return nil, fmt.Errorf("%s of %s is not a list", name, shape)
		}
		for _, one := range list {
			if err := hasFields(one.(map[string]any), in.required, in.optional); err != nil {
				return nil, fmt.Errorf("%s: %w:\n%s", key, err, data)
			}
		}
	}
	for _, name := range []string{"started", "ended"} {
		if s, ok := fields[name].(string); ok {
			if _, err := time.Parse(time.RFC3339, s); err != nil {
				return nil, err
			}
		}
	}
	return doc, nil
}

func hasFields(got map[string]any, required, optional []string) error {
	for _, name := range required {
		if _, ok := got[name]; !ok {
			return fmt.Errorf("field %s is missing", name)
		}
	}
	for name := range got {
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			return fmt.Errorf("field %s is not documented", name)
		}
	}
	return nil
}

// fieldAt renders what is at a dotted path, "absent" for nothing; "count" is a
// list's length.
func fieldAt(doc any, path string) string {
	at := doc
	for _, name := range strings.Split(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			next, ok := v[name]
			if !ok {
				return "absent"
			}
			at = next
		case []any:
			if name == "count" {
				return strconv.Itoa(len(v))
			}
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(v) {
				return "absent"
			}
			at = v[i]
		default:
			return "absent"
		}
	}
	return fmt.Sprint(at)
}
