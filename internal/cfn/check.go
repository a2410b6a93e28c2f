package cfn

import (
	"maps"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// pseudo are the parameters that every stack has.
var pseudo = []string{"AWS::AccountId", "AWS::Region", "AWS::Partition", "AWS::StackName", "AWS::StackId", "AWS::URLSuffix", "AWS::NoValue"}

// check follows every reference, so that a template with a slip in a branch that
// nobody took yet is refused as well.
func (t *Template) check() error {
	for _, name := range slices.Sorted(maps.Keys(t.conditions)) {
		c, ok := t.conditions[name].(*call)
		if !ok {
			return invalid("condition %s is not a function.", name)
		}
		if err := t.checkCondition(c, []string{name}); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.resources)) {
		if err := t.checkResource(t.resources[id]); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.outputs)) {
		o := t.outputs[id]
		if err := t.checkCondName("output "+id, o.condition); err != nil {
			return err
		}
		for _, v := range []any{o.value, o.export} {
			if err := t.checkValue(v); err != nil {
				return err
			}
		}
	}
	_, err := t.order()
	return err
}

func (t *Template) checkCondName(what, name string) error {
	if _, ok := t.conditions[name]; name != "" && !ok {
		return invalid("%s: there is no condition %s.", what, ops.Quote(name))
	}
	return nil
}

func (t *Template) checkResource(r *resource) error {
	if err := t.checkCondName("resource "+r.id, r.condition); err != nil {
		return err
	}
	for _, d := range r.depends {
		if t.resources[d] == nil {
			return invalid("resource %s depends on %s, which is not there.", r.id, ops.Quote(d))
		}
	}
	return t.checkValue(r.properties)
}

// checkCondition follows a condition; path holds the conditions that led here.
func (t *Template) checkCondition(c *call, path []string) error {
	switch c.name {
	case "Condition":
		name := c.arg.(string)
		next, ok := t.conditions[name].(*call)
		if !ok {
			return c.wrong("names " + ops.Quote(name) + ", which is no condition")
		}
		if slices.Contains(path, name) {
			return c.wrong("leads back to itself: " + strings.Join(append(path, name), ", "))
		}
		return t.checkCondition(next, append(path, name))
	case "Fn::Not", "Fn::And", "Fn::Or":
		for _, v := range c.list() {
			inner, ok := v.(*call)
			if !ok {
				return c.wrong("holds something that is no condition")
			}
			if err := t.checkCondition(inner, path); err != nil {
				return err
			}
		}
		return nil
	case "Fn::Equals":
		for _, id := range t.references(c.arg) {
			return c.wrong("looks at resource " + id + "; a condition is decided before any resource is there")
		}
		return t.checkValue(c.arg)
	}
	return c.wrong("does not tell true from false")
}

// checkValue follows every call inside a value.
func (t *Template) checkValue(v any) error {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if err := t.checkValue(v[key]); err != nil {
				return err
			}
		}
	case []any:
		for _, one := range v {
			if err := t.checkValue(one); err != nil {
				return err
			}
		}
	case *call:
		return t.checkCall(v)
	}
	return nil
}

func (t *Template) checkCall(c *call) error {
	switch c.name {
	case "Ref":
		if !t.known(c.arg.(string)) {
			return c.wrong("names " + ops.Quote(c.arg.(string)) + ", which is neither parameter nor resource")
		}
		return nil
	case "Fn::GetAtt":
		if id := c.list()[0].(string); t.resources[id] == nil {
			return c.wrong("names " + ops.Quote(id) + ", which is no resource")
		}
		return nil
	case "Fn::Sub":
		if err := t.checkSub(c); err != nil {
			return err
		}
	case "Fn::If":
		if name := c.list()[0].(string); t.conditions[name] == nil {
			return c.wrong("names " + ops.Quote(name) + ", which is no condition")
		}
	case "Fn::FindInMap":
		if name, ok := c.list()[0].(string); !ok || t.mappings[name] == nil {
			return c.wrong("does not begin with a mapping of this template")
		}
	case "Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or", "Condition":
		return c.wrong("stands outside of the section Conditions")
	}
	return t.checkValue(c.arg)
}

func (t *Template) checkSub(c *call) error {
	parts, _ := splitSub(c.list()[0].(string)) // shape has seen to it
	own := c.list()[1].(map[string]any)
	for _, p := range parts {
		if p.variable == "" || own[p.variable] != nil {
			continue
		}
		id, _, isAttr := strings.Cut(p.variable, ".")
		if isAttr && t.resources[id] == nil || !isAttr && !t.known(p.variable) || p.variable == "AWS::NoValue" {
			return c.wrong("names " + ops.Quote(p.variable) + ", which is neither parameter nor resource")
		}
	}
	return nil
}

func (t *Template) known(name string) bool {
	return slices.Contains(pseudo, name) || t.resources[name] != nil || t.parameter(name) != nil
}

func (t *Template) parameter(name string) *Parameter {
	for i := range t.Parameters {
		if t.Parameters[i].Name == name {
			return &t.Parameters[i]
		}
	}
	return nil
}

// references returns the resources that a value refers to, in any branch, sorted.
func (t *Template) references(v any) []string {
	found := map[string]bool{}
	t.collect(v, found)
	return slices.Sorted(maps.Keys(found))
}

func (t *Template) collect(v any, found map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for _, one := range v {
			t.collect(one, found)
		}
	case []any:
		for _, one := range v {
			t.collect(one, found)
		}
	case *call:
		for _, name := range v.names() {
			if t.resources[name] != nil {
				found[name] = true
			}
		}
		t.collect(v.arg, found)
	}
}

// names returns what a call itself names, which may be parameters too.
func (c *call) names() []string {
	switch c.name {
	case "Ref":
		return []string{c.arg.(string)}
	case "Fn::GetAtt":
		return []string{c.list()[0].(string)}
	case "Fn::Sub":
		parts, _ := splitSub(c.list()[0].(string))
		var out []string
		own := c.list()[1].(map[string]any)
		for _, p := range parts {
			if id, _, _ := strings.Cut(p.variable, "."); own[p.variable] == nil {
				out = append(out, id)
			}
		}
		return out
	}
	return nil
}

// order returns the logical IDs so that each comes after all it refers to; among
// those that are free, by name.
func (t *Template) order() ([]string, error) {
	needs := map[string][]string{}
	for id, r := range t.resources {
		needs[id] = append(t.references(r.properties), r.depends...)
	}
	var out []string
	for len(needs) > 0 {
		ready := ""
		for _, id := range slices.Sorted(maps.Keys(needs)) {
			if !slices.ContainsFunc(needs[id], func(n string) bool { _, waits := needs[n]; return waits }) {
				ready = id
				break
			}
		}
		if ready == "" {
			return nil, invalid("resources refer to each other in a circle: %s.", strings.Join(slices.Sorted(maps.Keys(needs)), ", "))
		}
		out = append(out, ready)
		delete(needs, ready)
	}
	return out, nil
}
