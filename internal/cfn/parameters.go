package cfn

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// parameterTypes are those that are taken; the value tells whether it is a list.
var parameterTypes = map[string]bool{
	"String": false, "Number": false, "CommaDelimitedList": true,
	"AWS::EC2::VPC::Id": false, "List<AWS::EC2::Subnet::Id>": true, "List<AWS::EC2::SecurityGroup::Id>": true,
}

var parameterKeys = []string{"Type", "Description", "Default", "AllowedValues", "AllowedPattern", "ConstraintDescription", "MinLength", "MaxLength", "NoEcho"}

func (t *Template) readParameters(top map[string]any) error {
	m, err := section(top, "Parameters")
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		declared, ok := m[name].(map[string]any)
		if !ok {
			return invalid("parameter %s is not a mapping.", name)
		}
		p, err := readParameter(name, declared)
		if err != nil {
			return err
		}
		t.Parameters = append(t.Parameters, p)
	}
	return nil
}

func readParameter(name string, m map[string]any) (Parameter, error) {
	p, what := Parameter{Name: name}, "parameter "+name
	if err := onlyKeys(what, m, parameterKeys); err != nil {
		return p, err
	}
	for _, f := range []struct {
		key string
		to  *string
	}{{"Type", &p.Type}, {"Description", &p.Description}, {"AllowedPattern", &p.Pattern}, {"ConstraintDescription", &p.Words}} {
		if err := plainText(what, m, f.key, f.to); err != nil {
			return p, err
		}
	}
	if _, known := parameterTypes[p.Type]; !known {
		return p, invalid("%s: its type %s is not taken.", what, ops.Quote(p.Type))
	}
	if _, err := regexp.Compile(p.Pattern); err != nil {
		return p, invalid("%s: its pattern is not a regular expression.", what)
	}
	for _, v := range asList(m["AllowedValues"]) {
		s, ok := scalar(v)
		if !ok {
			return p, invalid("%s: an allowed value is not a plain one.", what)
		}
		p.Allowed = append(p.Allowed, s)
	}
	for key, to := range map[string]*int{"MinLength": &p.MinLength, "MaxLength": &p.MaxLength} {
		if v, ok := m[key]; ok {
			n, ok := v.(int64)
			if !ok {
				return p, invalid("%s: %s is not a number.", what, key)
			}
			*to = int(n)
		}
	}
	if v, ok := m["NoEcho"]; ok {
		if p.NoEcho, ok = v.(bool); !ok {
			return p, invalid("%s: NoEcho is neither true nor false.", what)
		}
	}
	return p.withDefault(m)
}

func (p Parameter) withDefault(m map[string]any) (Parameter, error) {
	v, ok := m["Default"]
	if !ok {
		return p, nil
	}
	if p.Default, p.HasDefault = scalar(v); !p.HasDefault {
		return p, invalid("parameter %s: its default is not a plain value.", p.Name)
	}
	return p, p.check(p.Default)
}

// IsList tells whether the parameter's value is a list, handed over with commas.
func (p Parameter) IsList() bool { return parameterTypes[p.Type] }

// values returns what the parameter's value holds: a list's items, or the value.
func (p Parameter) values(v string) []string {
	if !p.IsList() {
		return []string{v}
	}
	items := strings.Split(v, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// check asks a value of the parameter's rules, which are for each item of a list.
func (p Parameter) check(v string) error {
	for _, one := range p.values(v) {
		if err := p.checkOne(one); err != nil {
			return err
		}
	}
	return nil
}

// checkOne does not quote a value that is not to be echoed.
func (p Parameter) checkOne(v string) error {
	shown := ops.Quote(v)
	if p.NoEcho {
		shown = "(not shown)"
	}
	switch whole, err := regexp.Compile("^(?:" + p.Pattern + ")$"); {
	case err != nil:
		return invalid("parameter %s: its pattern is not a regular expression.", p.Name)
	case p.Pattern != "" && !whole.MatchString(v):
		return invalid("parameter %s: %s does not match %s. %s", p.Name, shown, p.Pattern, p.Words)
	case len(p.Allowed) > 0 && !slices.Contains(p.Allowed, v):
		return invalid("parameter %s: %s is none of %s.", p.Name, shown, strings.Join(p.Allowed, ", "))
	case len(v) < p.MinLength || p.MaxLength > 0 && len(v) > p.MaxLength:
		return invalid("parameter %s: %s is too short or too long.", p.Name, shown)
	}
	if p.Type == "Number" {
		if _, err := strconv.ParseFloat(v, 64); err != nil {
			return invalid("parameter %s: %s is not a number.", p.Name, shown)
		}
	}
	return nil
}

func asList(v any) []any { l, _ := v.([]any); return l }

// scalar returns a plain value's text, as CloudFormation prints it.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}
