package environments

import (
	"fmt"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Process is what the process environment says of where we are. Empty: unset.
type Process struct {
	Context    string // CONTEXT
	Host       string // SYNAPSE_HOST
	Repository string // GITHUB_REPOSITORY
}

// A Choice is the one environment and host that a command is about.
type Choice struct {
	Environment *ops.Environment
	Host        string   // normalized, one of the environment's
	Pins        []string // "account: not pinned", a line for each pin that is absent
}

// Choose settles which environment and host are meant. flag is what -e said, ""
// when it was not given. What is wrong in itself is Invalid; what contradicts the
// process environment is a Refusal by the guard environment-context,
// environment-host or environment-repository. Nothing is guessed.
func (f *File) Choose(flag ops.EnvironmentName, p Process) (*Choice, error) {
	name := flag
	if name == "" {
		name = ops.EnvironmentName(p.Context)
	}
	if name == "" {
		return nil, &ops.Error{Code: ops.Invalid, Message: "No environment was named.", Hint: fmt.Sprintf("Add -e and one of %s, or set CONTEXT.", strings.Join(f.Names(), ", "))}
	}
	env, err := f.Environment(name)
	if err != nil {
		return nil, err
	}
	host, err := chooseHost(env, p.Host)
	if err != nil {
		return nil, err
	}
	if err := f.guard(env, host, p); err != nil {
		return nil, err
	}
	return &Choice{Environment: env, Host: host, Pins: absentPins(env)}, nil
}

// chooseHost returns the host that was asked for, or the environment's only one.
func chooseHost(env *ops.Environment, asked string) (string, error) {
	if asked != "" {
		host, err := NormalizeHost(asked)
		if err != nil {
			return "", fmt.Errorf("reading SYNAPSE_HOST: %w", err)
		}
		return host, nil
	}
	if len(env.Hosts) != 1 {
		return "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("Environment %s has several hosts and SYNAPSE_HOST is not set.", env.Name), Hint: "Set SYNAPSE_HOST to one of " + strings.Join(env.Hosts, ", ") + "."}
	}
	return env.Hosts[0], nil
}

// guard refuses what contradicts the process environment.
func (f *File) guard(env *ops.Environment, host string, p Process) error {
	if p.Context != "" && p.Context != string(env.Name) {
		return ops.Refuse("environment-context", fmt.Sprintf("Ask from where %s is set up, or name that environment with -e.", env.Name),
			"-e says %s but CONTEXT says %s.", env.Name, ops.Quote(p.Context))
	}
	if !slices.Contains(env.Hosts, host) {
		reason := fmt.Sprintf("host %s is not one of %s's.", ops.Quote(host), env.Name)
		if others := f.listedIn(host, env.Name); len(others) > 0 {
			reason = fmt.Sprintf("host %s belongs to %s, not to %s.", ops.Quote(host), strings.Join(others, ", "), env.Name)
		}
		return ops.Refuse("environment-host", fmt.Sprintf("The hosts of %s are %s. Set SYNAPSE_HOST to one of them.", env.Name, strings.Join(env.Hosts, ", ")), "%s", reason)
	}
	if env.Repository != "" && p.Repository != "" && p.Repository != env.Repository {
		return ops.Refuse("environment-repository", fmt.Sprintf("Ask from %s.", env.Repository),
			"runs in %s are asked for from %s, and this is %s.", env.Name, env.Repository, ops.Quote(p.Repository))
	}
	return nil
}

func absentPins(env *ops.Environment) []string {
	var out []string
	for _, pin := range []struct {
		name   string
		absent bool
	}{
		{"account", env.Account == ""},
		{"stack", env.Stack == ""},
		{"instances", len(env.Instances) == 0},
	} {
		if pin.absent {
			out = append(out, pin.name+": not pinned")
		}
	}
	return out
}
