package emulator

import (
	"fmt"
	"maps"
	"slices"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
)

// A buildspec tells what a build does. Only what is written here is modeled:
// version 0.2, plain variables and the commands of phases.
// https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
type buildspec struct {
	variables map[string]string
	phases    map[string]specPhase // by name
}

// A specPhase is one phase's commands. Those of finally run after the others, also
// when one of them failed.
type specPhase struct {
	commands, finally []string
	abort             bool // on-failure: ABORT, so that nothing follows
}

// specPhases are the phases with commands, in order, with the names that a build
// shows for them.
var specPhases = []struct{ name, shown string }{
	{"install", "INSTALL"}, {"pre_build", "PRE_BUILD"}, {"build", "BUILD"}, {"post_build", "POST_BUILD"},
}

func readBuildspec(text string) (*buildspec, error) {
	v, err := cfn.ReadPlain([]byte(text))
	top, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil, invalidInput("YAML_FILE_ERROR: the buildspec cannot be read: %v", err)
	}
	if err := known("buildspec", top, "version", "env", "phases"); err != nil {
		return nil, err
	}
	if version := fmt.Sprint(top["version"]); version != "0.2" {
		return nil, notModeled("a buildspec", "version "+version)
	}
	spec := &buildspec{variables: map[string]string{}, phases: map[string]specPhase{}}
	if err := spec.readVariables(top["env"]); err != nil {
		return nil, err
	}
	phases, ok := top["phases"].(map[string]any)
	if !ok || len(phases) == 0 {
		return nil, invalidInput("YAML_FILE_ERROR: the buildspec has no phases")
	}
	for _, name := range slices.Sorted(maps.Keys(phases)) {
		if !slices.ContainsFunc(specPhases, func(p struct{ name, shown string }) bool { return p.name == name }) {
			return nil, notModeled("a buildspec", "phase "+name)
		}
		p, err := readSpecPhase(name, phases[name])
		if err != nil {
			return nil, err
		}
		spec.phases[name] = p
	}
	return spec, nil
}

func known(what string, m map[string]any, names ...string) error {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(names, name) {
			return notModeled("a "+what, name)
		}
	}
	return nil
}

func (s *buildspec) readVariables(v any) error {
	if v == nil {
		return nil
	}
	env, ok := v.(map[string]any)
	if !ok {
		return invalidInput("YAML_FILE_ERROR: env is not a mapping")
	}
	if err := known("buildspec's env", env, "variables"); err != nil {
		return err
	}
	variables, ok := env["variables"].(map[string]any)
	if !ok {
		return invalidInput("YAML_FILE_ERROR: env/variables is not a mapping")
	}
	for name, v := range variables {
		s.variables[name] = fmt.Sprint(v)
	}
	return nil
}

func readSpecPhase(name string, v any) (specPhase, error) {
	var p specPhase
	m, ok := v.(map[string]any)
	if !ok {
		return p, invalidInput("YAML_FILE_ERROR: phase %s is not a mapping", name)
	}
	if err := known("buildspec's phase", m, "commands", "finally", "on-failure"); err != nil {
		return p, err
	}
	switch m["on-failure"] {
	case nil, "CONTINUE":
	case "ABORT":
		p.abort = true
	default:
		return p, notModeled("a buildspec", fmt.Sprintf("on-failure %v", m["on-failure"]))
	}
	var err error
	if p.commands, err = specCommands(name, m["commands"]); err != nil {
		return p, err
	}
	p.finally, err = specCommands(name, m["finally"])
	return p, err
}

func specCommands(phase string, v any) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, invalidInput("YAML_FILE_ERROR: the commands of phase %s are not a list", phase)
	}
	var out []string
	for _, one := range list {
		s, ok := one.(string)
		if !ok {
			return nil, invalidInput("YAML_FILE_ERROR: a command of phase %s is not a text", phase)
		}
		out = append(out, s)
	}
	return out, nil
}
