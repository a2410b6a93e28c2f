// Package environments reads the environments file: strict YAML as written, then
// trusted values, and from them the one environment and host that a command is
// about.
//
// What is not here: the process environment (it is handed in), and any default
// that belongs to one environment.
package environments

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

//go:embed environments.yaml
var embedded []byte

// mostBytes bounds an environments file. The YAML parser recurses, so it also
// bounds how deep a hostile file can drive it.
const mostBytes = 32 << 10

// A File is an environments file whose every value was checked.
type File struct {
	Owner, Core  string            // of the core repository on GitHub; may be empty
	ReleaseTags  string            // pattern (path.Match) of the tags that are releases; "": any version tag
	Release      string            // tag of the core repository that dashboards call; may be empty
	CodeOwners   string            // who reviews what changes a dashboard, as CODEOWNERS writes them; may be empty
	Environments []ops.Environment // in file order; hosts are normalized
	Source       string            // the file's path, or "embedded"
	Text         []byte            // the file as it was read, for whoever hands it on
}

// Embedded returns the environments that come with the program: dev, prod and
// sandbox.
func Embedded() (*File, error) { return Parse("embedded", embedded) }

// Load reads an environments file, which replaces the embedded one. Errors are
// Invalid; one lists everything that is wrong in the file.
func Load(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	data, err := readBounded(f)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return Parse(path, data)
}

func unreadable(path string, err error) error {
	return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("The environments file %s cannot be read: %v.", ops.Quote(path), reason(err)), Hint: "Check the path given to --config.", Err: err}
}

// reason leaves out the path that os errors repeat.
func reason(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}

// Names lists the environments, in file order.
func (f *File) Names() []string {
	names := make([]string, len(f.Environments))
	for i := range f.Environments {
		names[i] = string(f.Environments[i].Name)
	}
	return names
}

// Environment returns the environment called name. When there is none the error
// is Invalid, suggests the nearest name and lists all.
func (f *File) Environment(name ops.EnvironmentName) (*ops.Environment, error) {
	for i := range f.Environments {
		if f.Environments[i].Name == name {
			return &f.Environments[i], nil
		}
	}
	hint := fmt.Sprintf("The environments (%s) are %s.", f.Source, strings.Join(f.Names(), ", "))
	if near := ops.Nearest(string(name), f.Names()); near != "" {
		hint = fmt.Sprintf("Did you mean %q? ", near) + hint
	}
	return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("There is no environment %s.", ops.Quote(string(name))), Hint: hint}
}

// RequirePipeline tells what an environment lacks for runs in its pipelines:
// account, region, secret and lanes. The error is Invalid.
func RequirePipeline(env *ops.Environment) error {
	var missing []string
	for _, key := range []struct {
		name   string
		absent bool
	}{
		{"account", env.Account == ""},
		{"region", env.Region == ""},
		{"secret", env.Secret == ""},
		{"lanes", len(env.Lanes) == 0},
	} {
		if key.absent {
			missing = append(missing, key.name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &ops.Error{
		Code:    ops.Invalid,
		Message: fmt.Sprintf("Environment %s cannot run in a pipeline: its entry lacks %s.", env.Name, strings.Join(missing, ", ")),
		Hint:    fmt.Sprintf("Add them under %q in the environments file, or use --engine local.", "environments: "+string(env.Name)+":"),
	}
}

// listedIn names the environments other than name that list host, in file order.
func (f *File) listedIn(host string, name ops.EnvironmentName) []string {
	var out []string
	for i := range f.Environments {
		e := &f.Environments[i]
		if e.Name != name && slices.Contains(e.Hosts, host) {
			out = append(out, string(e.Name))
		}
	}
	return out
}
