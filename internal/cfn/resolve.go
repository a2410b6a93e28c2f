package cfn

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// An Environment is what a template is resolved against. The functions may be nil
// where nothing asks for what they tell; they are called in dependency order.
type Environment struct {
	Account, Region    string
	StackName, StackID string
	Parameters         map[string]string // lists with commas; what is left out gets its default
	// Attr tells an attribute of a resource, such as Arn.
	Attr func(logicalID, attr string) (string, error)
	// Physical tells what Ref of a resource is.
	Physical func(logicalID string) (string, error)
	// Import tells what another stack exports under a name.
	Import func(name string) (string, error)
}

// A Stack is a template resolved.
type Stack struct {
	Resources []Resource // those whose condition holds, each after all it refers to
	Outputs   []Output   // by name
}

// A Resource is one that is to be there. Values in Properties are string, int64,
// float64, bool, []any and map[string]any.
type Resource struct {
	ID, Type            string
	Properties          map[string]any
	DeletionPolicy      string // "" means Delete
	UpdateReplacePolicy string
	Metadata            any
	DependsOn           []string // all it needs, named or referred to, sorted
}

// An Output is a value that the stack tells, and exports if Export is not "".
type Output struct {
	Name, Value, Description, Export string
}

// Resource returns the resource of a logical ID, nil when its condition does not
// hold or there is none.
func (s *Stack) Resource(id string) *Resource {
	for i := range s.Resources {
		if s.Resources[i].ID == id {
			return &s.Resources[i]
		}
	}
	return nil
}

// Resolve returns what a stack of the template holds. The error is Invalid; those
// of the environment's functions come wrapped.
func (t *Template) Resolve(env Environment) (*Stack, error) {
	s := &Stack{}
	outputs, err := t.Walk(env, func(r Resource) error {
		s.Resources = append(s.Resources, r)
		return nil
	})
	s.Outputs = outputs
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Walk is Resolve for who makes the resources: it hands over each one before it
// resolves those that refer to it, so that the environment's functions need to
// know only what was handed over. It ends at visit's first error.
func (t *Template) Walk(env Environment, visit func(Resource) error) ([]Output, error) {
	r, err := t.resolver(env)
	if err != nil {
		return nil, err
	}
	ids, err := t.order()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		raw := t.resources[id]
		if !r.holds(raw.condition) {
			continue
		}
		one, err := r.resource(raw)
		if err != nil {
			return nil, fmt.Errorf("resolving resource %s: %w", id, err)
		}
		if err := visit(one); err != nil {
			return nil, err
		}
	}
	return r.outputs()
}

// A resolver resolves one template against one environment.
type resolver struct {
	*Template
	env        Environment
	parameters map[string]string
	decided    map[string]bool
}

func (t *Template) resolver(env Environment) (*resolver, error) {
	r := &resolver{Template: t, env: env, parameters: map[string]string{}, decided: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(env.Parameters)) {
		if t.parameter(name) == nil {
			return nil, invalid("the template has no parameter %s.", ops.Quote(name))
		}
	}
	for _, p := range t.Parameters {
		v, given := env.Parameters[p.Name]
		if !given && !p.HasDefault {
			return nil, invalid("parameter %s is not given and has no default.", p.Name)
		}
		if !given {
			v = p.Default
		}
		if err := p.check(v); err != nil {
			return nil, err
		}
		r.parameters[p.Name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(t.conditions)) {
		v, err := r.condition(t.conditions[name].(*call))
		if err != nil {
			return nil, fmt.Errorf("deciding condition %s: %w", name, err)
		}
		r.decided[name] = v
	}
	return r, nil
}

func (r *resolver) holds(condition string) bool { return condition == "" || r.decided[condition] }

func (r *resolver) resource(raw *resource) (Resource, error) {
	out := Resource{ID: raw.id, Type: raw.kind, DeletionPolicy: raw.deletion, UpdateReplacePolicy: raw.replace, Metadata: raw.metadata, Properties: map[string]any{}}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(append(r.references(raw.properties), raw.depends...)))) {
		if r.holds(r.resources[id].condition) {
			out.DependsOn = append(out.DependsOn, id)
		}
	}
	v, err := r.value(raw.properties)
	if m, ok := v.(map[string]any); ok {
		out.Properties = m
	}
	return out, err
}

func (r *resolver) outputs() ([]Output, error) {
	var out []Output
	for _, id := range slices.Sorted(maps.Keys(r.Template.outputs)) {
		raw := r.Template.outputs[id]
		if !r.holds(raw.condition) {
			continue
		}
		v, err := r.text(raw.value)
		if err != nil {
			return nil, fmt.Errorf("resolving output %s: %w", id, err)
		}
		o := Output{Name: id, Value: v, Description: raw.description}
		if raw.export != nil {
			if o.Export, err = r.text(raw.export); err != nil {
				return nil, fmt.Errorf("resolving the export of output %s: %w", id, err)
			}
		}
		out = append(out, o)
	}
	return out, nil
}

func (r *resolver) condition(c *call) (bool, error) {
	switch c.name {
	case "Condition":
		return r.condition(r.conditions[c.arg.(string)].(*call))
	case "Fn::Not":
		v, err := r.condition(c.list()[0].(*call))
		return !v, err
	case "Fn::And", "Fn::Or":
		for _, one := range c.list() {
			v, err := r.condition(one.(*call))
			if err != nil || v == (c.name == "Fn::Or") {
				return v, err
			}
		}
		return c.name == "Fn::And", nil
	}
	a, err := r.text(c.list()[0])
	if err != nil {
		return false, err
	}
	b, err := r.text(c.list()[1])
	return a == b, err
}

// none is what AWS::NoValue resolves to: whatever holds it is left out.
type none struct{}

func (r *resolver) value(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			one, err := r.value(v[key])
			if err != nil {
				return nil, err
			}
			if _, left := one.(none); !left {
				out[key] = one
			}
		}
		return out, nil
	case []any:
		out := make([]any, 0, len(v))
		for _, item := range v {
			one, err := r.value(item)
			if err != nil {
				return nil, err
			}
			if _, left := one.(none); !left {
				out = append(out, one)
			}
		}
		return out, nil
	case *call:
		return r.call(v)
	}
	return v, nil
}

// text resolves a value that must be a plain one.
func (r *resolver) text(v any) (string, error) {
	v, err := r.value(v)
	if err != nil {
		return "", err
	}
	s, ok := scalar(v)
	if !ok {
		return "", invalid("a text is wanted where there is none.")
	}
	return s, nil
}

func (r *resolver) call(c *call) (any, error) {
	var v any
	var err error
	switch c.name {
	case "Ref":
		v, err = r.ref(c.arg.(string))
	case "Fn::GetAtt":
		v, err = r.attr(c.list()[0].(string), c.list()[1].(string))
	case "Fn::Sub":
		v, err = r.sub(c)
	case "Fn::If":
		chosen := c.list()[2]
		if r.decided[c.list()[0].(string)] {
			chosen = c.list()[1]
		}
		return r.value(chosen)
	case "Fn::Join":
		v, err = r.join(c)
	case "Fn::Select":
		v, err = r.choose(c)
	case "Fn::Split":
		v, err = r.split(c)
	case "Fn::FindInMap":
		v, err = r.find(c)
	case "Fn::ImportValue":
		v, err = r.imported(c)
	default:
		err = invalid("it has no value here.")
	}
	if err != nil {
		return nil, fmt.Errorf("line %d: %s: %w", c.line, c.name, err)
	}
	return v, nil
}

func (r *resolver) ref(name string) (any, error) {
	switch name {
	case "AWS::AccountId":
		return r.env.Account, nil
	case "AWS::Region":
		return r.env.Region, nil
	case "AWS::Partition":
		return "aws", nil
	case "AWS::URLSuffix":
		return "amazonaws.com", nil
	case "AWS::StackName":
		return r.env.StackName, nil
	case "AWS::StackId":
		return r.env.StackID, nil
	case "AWS::NoValue":
		return none{}, nil
	}
	if p := r.parameter(name); p != nil {
		if p.IsList() {
			out := []any{}
			for _, one := range p.values(r.parameters[name]) {
				out = append(out, one)
			}
			return out, nil
		}
		return r.parameters[name], nil
	}
	if err := r.present(name); err != nil {
		return nil, err
	}
	if r.env.Physical == nil {
		return nil, invalid("nobody tells what %s is called.", name)
	}
	return r.env.Physical(name)
}

func (r *resolver) attr(id, attr string) (any, error) {
	if err := r.present(id); err != nil {
		return nil, err
	}
	if r.env.Attr == nil {
		return nil, invalid("nobody tells the attributes of %s.", id)
	}
	return r.env.Attr(id, attr)
}

func (r *resolver) present(id string) error {
	if !r.holds(r.resources[id].condition) {
		return invalid("resource %s is not there: its condition %s does not hold.", id, r.resources[id].condition)
	}
	return nil
}

func (r *resolver) sub(c *call) (any, error) {
	parts, _ := splitSub(c.list()[0].(string))
	own := c.list()[1].(map[string]any)
	var b strings.Builder
	for _, p := range parts {
		if p.variable == "" {
			b.WriteString(p.text)
			continue
		}
		var v any
		id, attr, isAttr := strings.Cut(p.variable, ".")
		switch given, ok := own[p.variable]; {
		case ok:
			v = given
		case isAttr:
			v = &call{name: "Fn::GetAtt", arg: []any{id, attr}, line: c.line}
		default:
			v = &call{name: "Ref", arg: p.variable, line: c.line}
		}
		s, err := r.text(v)
		if err != nil {
			return nil, fmt.Errorf("${%s}: %w", p.variable, err)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func (r *resolver) join(c *call) (any, error) {
	sep, err := r.text(c.list()[0])
	if err != nil {
		return nil, err
	}
	list, err := r.texts(c.list()[1])
	return strings.Join(list, sep), err
}

func (r *resolver) texts(v any) ([]string, error) {
	v, err := r.value(v)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return nil, invalid("a list is wanted where there is none.")
	}
	out := make([]string, 0, len(list))
	for _, one := range list {
		s, ok := scalar(one)
		if !ok {
			return nil, invalid("a list of texts holds something else.")
		}
		out = append(out, s)
	}
	return out, nil
}

func (r *resolver) choose(c *call) (any, error) {
	index, err := r.text(c.list()[0])
	if err != nil {
		return nil, err
	}
	list, err := r.value(c.list()[1])
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(index)
	if l := asList(list); err == nil && n >= 0 && n < len(l) {
		return l[n], nil
	}
	return nil, invalid("there is no item %s in the list.", ops.Quote(index))
}

func (r *resolver) split(c *call) (any, error) {
	sep, err := r.text(c.list()[0])
	if err != nil {
		return nil, err
	}
	s, err := r.text(c.list()[1])
	out := []any{}
	for _, one := range strings.Split(s, sep) {
		out = append(out, one)
	}
	return out, err
}

func (r *resolver) find(c *call) (any, error) {
	var keys [2]string
	for i := range keys {
		var err error
		if keys[i], err = r.text(c.list()[i+1]); err != nil {
			return nil, err
		}
	}
	rows := r.mappings[c.list()[0].(string)].(map[string]any)
	row, _ := rows[keys[0]].(map[string]any)
	v, ok := row[keys[1]]
	if !ok {
		return nil, invalid("the mapping has no %s, %s.", ops.Quote(keys[0]), ops.Quote(keys[1]))
	}
	return v, nil
}

func (r *resolver) imported(c *call) (any, error) {
	name, err := r.text(c.arg)
	if err != nil {
		return nil, err
	}
	if r.env.Import == nil {
		return nil, invalid("nobody exports %s.", ops.Quote(name))
	}
	return r.env.Import(name)
}
