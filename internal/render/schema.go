package render

import (
	"encoding/json"
	"fmt"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// SchemaPath is where the schema of the catalog's inputs is kept.
const SchemaPath = "schema/tasks.json"

// A node is a part of a JSON Schema (2020-12), its keys in the order they are
// written.
type node struct {
	Schema      string          `json:"$schema,omitempty"`
	Ref         string          `json:"$ref,omitempty"`
	Title       string          `json:"title,omitempty"`
	Description string          `json:"description,omitempty"`
	Type        string          `json:"type,omitempty"`
	Const       string          `json:"const,omitempty"`
	Enum        []string        `json:"enum,omitempty"`
	Pattern     string          `json:"pattern,omitempty"`
	MinLength   int             `json:"minLength,omitempty"`
	MaxLength   int64           `json:"maxLength,omitempty"`
	Default     string          `json:"default,omitempty"`
	Examples    []string        `json:"examples,omitempty"`
	Required    []string        `json:"required,omitempty"`
	Properties  map[string]node `json:"properties,omitempty"`
	Additional  *bool           `json:"additionalProperties,omitempty"`
	OneOf       []node          `json:"oneOf,omitempty"`
	Defs        map[string]node `json:"$defs,omitempty"`

	// What JSON Schema has no word for.
	Version int       `json:"x-version,omitempty"`
	Class   ops.Class `json:"x-class,omitempty"`
	Lane    ops.Lane  `json:"x-lane,omitempty"`
	Kind    ops.Kind  `json:"x-kind,omitempty"`
	List    bool      `json:"x-list,omitempty"`
	Private bool      `json:"x-personal,omitempty"`
}

// schema describes a task's name with its inputs, as SYNOPS_INPUTS and a request
// hold them: strings all.
func (s *Source) schema() (File, error) {
	root := node{
		Schema: "https://json-schema.org/draft/2020-12/schema", Title: "Tasks of synops and their inputs",
		Description: "Rendered by synops render. Inputs are strings, as forms and SYNOPS_INPUTS give them; lists are separated by commas, blanks or line ends. " +
			"synops trims values and checks more than a schema can say: each task's $defs entry is what its inputs look like, not a promise that they are accepted.",
		Type: "object", Required: []string{"task", "inputs"}, Defs: map[string]node{},
	}
	for i := range s.Catalog {
		t := &s.Catalog[i]
		name := string(t.Name)
		if strings.ContainsAny(name, "~/%") {
			return File{}, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("The task's name %s cannot be referred to in a schema.", ops.Quote(name)), Hint: "Name it with lower-case words joined by hyphens."}
		}
		root.OneOf = append(root.OneOf, node{Properties: map[string]node{"task": {Const: name}, "inputs": {Ref: "#/$defs/" + name}}})
		root.Defs[name] = inputsNode(t)
	}
	data, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return File{}, fmt.Errorf("writing the schema: %w", err)
	}
	return File{SchemaPath, append(data, '\n')}, nil
}

func inputsNode(t *ops.Task) node {
	closed := false
	n := node{Title: t.Title, Description: t.Summary, Type: "object", Properties: map[string]node{}, Additional: &closed, Version: t.Version, Class: t.Class, Lane: t.Lane}
	for i := range t.Inputs {
		in := &t.Inputs[i]
		n.Properties[in.Name] = inputNode(in)
		if !in.Optional && in.Default == "" {
			n.Required = append(n.Required, in.Name)
		}
	}
	return n
}

// kindPatterns are what values of a kind look like.
var kindPatterns = map[ops.Kind]string{
	ops.KindInteger:     `-?[0-9]{1,19}`,
	ops.KindBoolean:     `true|false`,
	ops.KindUserID:      `[1-9][0-9]{0,18}`,
	ops.KindOAuthClient: `[1-9][0-9]{0,18}`,
	ops.KindRealmID:     `[1-9][0-9]{0,18}`,
	ops.KindEntityID:    `(?:[Ss][Yy][Nn])?[1-9][0-9]{0,17}`,
	ops.KindHost:        `https?://[A-Za-z0-9.\[\]:-]+/?`,
	ops.KindEmail:       `[^@\s,]+@[^@\s,]+\.[^@\s,]+`,
	ops.KindJSON:        `\{[\s\S]*\}`,
}

func inputNode(in *ops.Input) node {
	n := node{Description: in.Help, Type: "string", Default: in.Default, Kind: in.Kind, List: in.List, Private: in.Personal}
	if in.Rule != "" {
		n.Description += " " + in.Rule
	}
	if in.Kind == ops.KindInteger && in.Most != 0 {
		n.Description += fmt.Sprintf(" From %d to %d.", in.Least, in.Most)
	}
	if in.Example != "" {
		n.Examples = []string{in.Example}
	}
	if !in.Optional && in.Default == "" {
		n.MinLength = 1
	}
	one := kindPatterns[in.Kind]
	switch {
	case in.Kind == ops.KindChoice && !in.Open:
		if !in.List {
			n.Enum = in.Choices
			return n
		}
		one = strings.Join(in.Choices, "|")
	case in.Pattern != "":
		one = in.Pattern
	}
	if in.Kind == ops.KindText && !in.List {
		n.MaxLength = in.Most
		if n.MaxLength == 0 {
			n.MaxLength = 1000
		}
	}
	switch {
	case one == "":
	case in.List:
		n.Pattern = `^[\s,]*(?:` + one + `)(?:[\s,]+(?:` + one + `))*[\s,]*$`
	default:
		n.Pattern = `^(?:` + one + `)$`
	}
	return n
}
