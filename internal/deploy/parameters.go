package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
)

// A Parameter is one value a stack is deployed with, and where it comes from.
type Parameter struct {
	Name        string
	Value       string
	From        string // "the environments file", "VPC_ID", "the stack as it is", …
	Description string // the template's
	Hidden      bool   // NoEcho: neither shown nor known; Previous is sent
	previous    bool   // what the stack has is kept without our knowing it
}

// A Given value is one that is known before the stack is asked.
type Given struct {
	Value, From string
	// Weak values are suggestions: one that the stack has already stays.
	Weak bool
}

// A Want is a stack that is wanted, before its parameters are settled.
type Want struct {
	Name     string
	Lane     ops.Lane
	Template []byte
	Role     string            // see Stack
	Asked    map[string]string // by whoever runs the command
	Known    map[string]Given  // from the environment
}

// Stack reads the template and settles the parameters.
func (d *Deployer) Stack(ctx context.Context, w Want) (Stack, error) {
	t, err := cfn.Parse(w.Template)
	if err != nil {
		return Stack{}, fmt.Errorf("reading the template of %s: %w", w.Name, err)
	}
	now, err := d.find(ctx, w.Name)
	if err != nil {
		return Stack{}, err
	}
	p, err := Parameters(t, w.Asked, w.Known, now)
	if err != nil {
		return Stack{}, err
	}
	return Stack{Name: w.Name, Lane: w.Lane, Template: w.Template, Role: w.Role, Parameters: p}, nil
}

// Held returns the value that a stack was deployed with, "" where there is none.
func (d *Deployer) Held(ctx context.Context, stack, parameter string) (string, error) {
	now, err := d.find(ctx, stack)
	if err != nil {
		return "", err
	}
	return values(now)[parameter], nil
}

// Parameters settles every parameter of a template: as asked for, else as known
// from the environment, else as the stack has it, else as suggested, else the
// template's default.
// Each is sent explicitly: one left out would fall back to the default silently.
// The error is Invalid and lists all that have no value, or that
// the template does not have.
func Parameters(t *cfn.Template, asked map[string]string, known map[string]Given, now *types.Stack) ([]Parameter, error) {
	var out []Parameter
	var wrong, names []string
	held := values(now)
	for _, p := range t.Parameters {
		names = append(names, p.Name)
		one := Parameter{Name: p.Name, Description: p.Description, Hidden: p.NoEcho}
		_, has := held[p.Name]
		switch v, ok := asked[p.Name]; {
		case ok:
			one.Value, one.From = v, "--parameter"
		case known[p.Name].From != "" && !known[p.Name].Weak:
			one.Value, one.From = known[p.Name].Value, known[p.Name].From
		case has && p.NoEcho:
			one.previous, one.From = true, "the stack as it is"
		case has:
			one.Value, one.From = held[p.Name], "the stack as it is"
		case known[p.Name].From != "":
			one.Value, one.From = known[p.Name].Value, known[p.Name].From
		case p.HasDefault:
			one.Value, one.From = p.Default, "the template's default"
		default:
			wrong = append(wrong, fmt.Sprintf("parameter %s has no value: %s", p.Name, sentence(p.Description)))
			continue
		}
		out = append(out, one)
	}
	for _, name := range sortedNames(asked) {
		if !slices.Contains(names, name) {
			wrong = append(wrong, fmt.Sprintf("the template has no parameter %s.%s", ops.Quote(name), didYouMean(name, names)))
		}
	}
	if len(wrong) > 0 {
		return nil, &ops.Error{Code: ops.Invalid, Message: strings.Join(wrong, "\n"), Hint: "Give each with --parameter NAME=VALUE."}
	}
	return out, nil
}

func didYouMean(name string, names []string) string {
	if near := ops.Nearest(name, names); near != "" {
		return fmt.Sprintf(" Did you mean %q?", near)
	}
	return ""
}

// values are the parameters that a stack was deployed with.
func values(s *types.Stack) map[string]string {
	out := map[string]string{}
	if s == nil || footingOf(s) != update {
		return out
	}
	for _, p := range s.Parameters {
		out[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	return out
}

// sent is the parameters as CloudFormation takes them.
func sent(list []Parameter) []types.Parameter {
	out := make([]types.Parameter, len(list))
	for i, p := range list {
		out[i] = types.Parameter{ParameterKey: aws.String(p.Name)}
		if p.previous {
			out[i].UsePreviousValue = aws.Bool(true)
		} else {
			out[i].ParameterValue = aws.String(p.Value)
		}
	}
	return out
}

// changedValues are the parameters that the stack has otherwise, a line each.
func changedValues(now *types.Stack, list []Parameter) []string {
	held := values(now)
	var out []string
	for _, p := range list {
		was, had := held[p.Name]
		switch {
		case p.previous, had && was == p.Value && !p.Hidden:
		case p.Hidden:
			out = append(out, p.Name+": another value (not shown)")
		case !had:
			out = append(out, fmt.Sprintf("%s: new, %s (from %s)", p.Name, ops.Quote(p.Value), p.From))
		default:
			out = append(out, fmt.Sprintf("%s: %s becomes %s (from %s)", p.Name, ops.Quote(was), ops.Quote(p.Value), p.From))
		}
	}
	return out
}

// ParameterLines explains every parameter: its value, where that comes from, what
// it is for.
func ParameterLines(list []Parameter) []string {
	width := 0
	for _, p := range list {
		width = max(width, len(p.Name))
	}
	var out []string
	for _, p := range list {
		value := ops.Quote(p.Value)
		if p.Hidden {
			value = "(not shown)"
		}
		out = append(out, fmt.Sprintf("  %-*s  %s, from %s", width, p.Name, value, p.From))
		if p.Description != "" {
			out = append(out, fmt.Sprintf("  %-*s  %s", width, "", strings.Join(strings.Fields(p.Description), " ")))
		}
	}
	return out
}
