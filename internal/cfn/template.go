// Package cfn reads CloudFormation templates and resolves them against parameters
// and an account: the emulator deploys what it returns, and the tests of the
// templates ask it what a deployment would hold.
//
// It knows the functions, sections and pseudo parameters that our templates use
// and takes nothing else: what it does not understand is an error with its line,
// never passed over. What is not here: resource types and their properties, which
// are the reader's affair, and anything that reaches an account.
package cfn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A Template is a template that was read and whose references all lead somewhere.
// It is never changed; safe for concurrent use.
type Template struct {
	Description string
	Parameters  []Parameter // by name
	// Types holds every resource's type by logical ID, whatever its condition.
	Types map[string]string

	mappings   map[string]any
	conditions map[string]any
	resources  map[string]*resource
	outputs    map[string]*output
}

// A Parameter is one declared value of a template.
type Parameter struct {
	Name        string
	Type        string
	Description string
	Default     string
	HasDefault  bool
	NoEcho      bool
	Allowed     []string // empty: any
	Pattern     string   // "": any; matched against the whole value
	Words       string   // ConstraintDescription: the rule in words
	MinLength   int
	MaxLength   int // 0: any
}

type resource struct {
	id, kind   string
	condition  string
	depends    []string
	deletion   string
	replace    string
	metadata   any
	properties map[string]any
}

type output struct {
	description string
	condition   string
	value       any
	export      any // nil: not exported
}

// sections are the parts of a template that are taken.
var sections = []string{"AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Resources", "Outputs"}

// Parse reads a template. The error is Invalid and names the line of the first
// thing that is wrong.
func Parse(data []byte) (*Template, error) {
	root, err := readYAML(data)
	if err != nil {
		return nil, err
	}
	top, ok := root.(map[string]any)
	if !ok {
		return nil, invalid("the template is not a mapping of sections.")
	}
	if err := onlyKeys("the template", top, sections); err != nil {
		return nil, err
	}
	if v := top["AWSTemplateFormatVersion"]; v != nil && v != "2010-09-09" {
		return nil, invalid("AWSTemplateFormatVersion is %v; the only one there is is 2010-09-09.", v)
	}
	t := &Template{Types: map[string]string{}, resources: map[string]*resource{}, outputs: map[string]*output{}}
	t.Description, _ = top["Description"].(string)
	for _, read := range []func(map[string]any) error{t.readParameters, t.readMappings, t.readConditions, t.readResources, t.readOutputs} {
		if err := read(top); err != nil {
			return nil, err
		}
	}
	return t, t.check()
}

// section returns a section's entries; an absent one has none.
func section(top map[string]any, name string) (map[string]any, error) {
	v, ok := top[name]
	if !ok {
		return nil, nil
	}
	m, ok := v.(map[string]any)
	if !ok || len(m) == 0 {
		return nil, invalid("section %s is not a mapping of names. Leave it out if it is empty.", name)
	}
	for id := range m {
		if !alphanumeric(id) {
			return nil, invalid("%s: the name %s is not letters and digits alone.", name, ops.Quote(id))
		}
	}
	return m, nil
}

func (t *Template) readMappings(top map[string]any) error {
	m, err := section(top, "Mappings")
	t.mappings = m
	for _, name := range slices.Sorted(maps.Keys(m)) {
		rows, ok := m[name].(map[string]any)
		if !ok {
			return invalid("mapping %s is not two levels of names.", name)
		}
		for key, row := range rows {
			if _, ok := row.(map[string]any); !ok {
				return invalid("mapping %s, %s: not two levels of names.", name, ops.Quote(key))
			}
		}
	}
	return err
}

func (t *Template) readConditions(top map[string]any) error {
	m, err := section(top, "Conditions")
	t.conditions = m
	return err
}

var resourceKeys = []string{"Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"}

func (t *Template) readResources(top map[string]any) error {
	m, err := section(top, "Resources")
	if err != nil {
		return err
	}
	if len(m) == 0 {
		return invalid("the template has no resources.")
	}
	for _, id := range slices.Sorted(maps.Keys(m)) {
		r, err := readResource(id, m[id])
		if err != nil {
			return err
		}
		t.resources[id], t.Types[id] = r, r.kind
	}
	return nil
}

func readResource(id string, v any) (*resource, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("resource %s is not a mapping.", id)
	}
	what := "resource " + id
	if err := onlyKeys(what, m, resourceKeys); err != nil {
		return nil, err
	}
	r := &resource{id: id, metadata: m["Metadata"]}
	for _, f := range []struct {
		key string
		to  *string
	}{{"Type", &r.kind}, {"Condition", &r.condition}, {"DeletionPolicy", &r.deletion}, {"UpdateReplacePolicy", &r.replace}} {
		if err := plainText(what, m, f.key, f.to); err != nil {
			return nil, err
		}
	}
	if !strings.HasPrefix(r.kind, "AWS::") {
		return nil, invalid("%s: its type %s is not one of AWS.", what, ops.Quote(r.kind))
	}
	for _, p := range []string{r.deletion, r.replace} {
		// RetainExceptOnCreate is a policy for deletion alone.
		if p != "" && p != "Retain" && p != "Delete" && (p != RetainExceptOnCreate || p == r.replace) {
			return nil, invalid("%s: policy %s is not known: Retain and Delete are, and for deletion "+RetainExceptOnCreate+".", what, ops.Quote(p))
		}
	}
	if p, ok := m["Properties"]; ok {
		if r.properties, ok = p.(map[string]any); !ok {
			return nil, invalid("%s: its properties are not a mapping.", what)
		}
	}
	var err error
	r.depends, err = names(what, m["DependsOn"])
	return r, err
}

// RetainExceptOnCreate is Retain for whatever outlived the operation that made it:
// where making a stack fails, what was made is not left to be in the next one's way.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
const RetainExceptOnCreate = "RetainExceptOnCreate"

// names returns one name or a list of them.
func names(what string, v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		out := make([]string, 0, len(v))
		for _, one := range v {
			s, ok := one.(string)
			if !ok {
				return nil, invalid("%s: DependsOn holds something that is not a name.", what)
			}
			out = append(out, s)
		}
		return out, nil
	}
	return nil, invalid("%s: DependsOn is neither a name nor a list of names.", what)
}

func (t *Template) readOutputs(top map[string]any) error {
	m, err := section(top, "Outputs")
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(m)) {
		what := "output " + id
		o, ok := m[id].(map[string]any)
		if !ok {
			return invalid("%s is not a mapping.", what)
		}
		if err := onlyKeys(what, o, []string{"Description", "Value", "Export", "Condition"}); err != nil {
			return err
		}
		out := &output{value: o["Value"]}
		if out.value == nil {
			return invalid("%s has no value.", what)
		}
		if err := plainText(what, o, "Description", &out.description); err != nil {
			return err
		}
		if err := plainText(what, o, "Condition", &out.condition); err != nil {
			return err
		}
		if e, ok := o["Export"]; ok {
			export, ok := e.(map[string]any)
			if !ok || len(export) != 1 || export["Name"] == nil {
				return invalid("%s: Export is not a mapping of Name alone.", what)
			}
			out.export = export["Name"]
		}
		t.outputs[id] = out
	}
	return nil
}

// plainText reads an optional text that no function may stand for.
func plainText(what string, m map[string]any, key string, to *string) error {
	v, ok := m[key]
	if !ok {
		return nil
	}
	s, ok := v.(string)
	if !ok || s == "" {
		return invalid("%s: %s is not a plain text.", what, key)
	}
	*to = s
	return nil
}

func onlyKeys(what string, m map[string]any, known []string) error {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(known, key) {
			return invalid("%s has %s, which is not taken. Known are %s.", what, ops.Quote(key), strings.Join(known, ", "))
		}
	}
	return nil
}

func alphanumeric(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

func invalid(format string, args ...any) error {
	return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf(format, args...)}
}
