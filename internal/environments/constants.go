package environments

import (
	"maps"
	"sync"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	constants "github.com/Sage-Bionetworks/synapse-ops-core/environments"
	"github.com/goccy/go-yaml/ast"
)

// ParseConstants reads a constants file: by task, or under "shared", names and
// their values as text. What they must be is the tasks' to say. Errors are Invalid
// and list everything that is wrong, a line each, with line and column.
func ParseConstants(source string, data []byte) (map[string]map[string]string, error) {
	r := &reader{source: source}
	r.bounded(data)
	var out map[string]map[string]string
	if len(r.findings) == 0 {
		if root := r.document(data); root != nil {
			out = r.constants(root)
		}
	}
	return out, r.err()
}

func (r *reader) constants(n ast.Node) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, section := range r.mapping(n, "the constants", nil) {
		if !taskRule.holds(section.key) {
			r.wrong(section.at, "constants: %s is not %s, or %q.", ops.Quote(section.key), taskRule.words, ops.Shared)
			continue
		}
		values := map[string]string{}
		for _, kv := range r.mapping(section.value, section.key, nil) {
			values[kv.key] = r.text(kv.value, section.key+": "+kv.key)
		}
		out[section.key] = values
	}
	return out
}

// ownConstants gives each environment whose entry has no constants those of the
// file that is named after it.
func (f *File) ownConstants() error {
	for i := range f.Environments {
		env := &f.Environments[i]
		if env.Constants != nil {
			continue
		}
		var err error
		if env.Constants, err = embeddedConstants(string(env.Name)); err != nil {
			return err
		}
	}
	return nil
}

// read holds what was read of each embedded file: they do not change.
var read sync.Map // by environment: func() (map[string]map[string]string, error)

func embeddedConstants(environment string) (map[string]map[string]string, error) {
	once, _ := read.LoadOrStore(environment, sync.OnceValues(func() (map[string]map[string]string, error) {
		data, ok := constants.Of(environment)
		if !ok {
			return nil, nil
		}
		return ParseConstants("environments/"+environment+".yaml", data)
	}))
	all, err := once.(func() (map[string]map[string]string, error))()
	return maps.Clone(all), err
}
