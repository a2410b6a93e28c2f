package emulator

import (
	"slices"
	"strings"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
)

// checkExports refuses a name that another stack exports.
func (w *stackWork) checkExports(outputs []cfn.Output) error {
	s := w.service
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range outputs {
		if o.Export == "" {
			continue
		}
		if _, by := s.exported(o.Export); by != nil && by != w.stack {
			return fault("ValidationError", "Export with name %s is already exported by stack %s", o.Export, by.name)
		}
	}
	for _, o := range w.outputs {
		kept := slices.ContainsFunc(outputs, func(n cfn.Output) bool { return n.Export == o.Export && n.Value == o.Value })
		if by := s.importers(w.stack, o.Export); o.Export != "" && !kept && len(by) > 0 {
			return fault("ValidationError", "Export %s cannot be updated or removed as it is in use by %s", o.Export, strings.Join(by, ", "))
		}
	}
	return nil
}

// importers returns the names of the stacks that take an export. It is called under
// the lock.
func (s *CloudFormation) importers(of *stack, export string) []string {
	var out []string
	for _, st := range s.stacks {
		if st != of && st.status != "DELETE_COMPLETE" && st.taken[export] {
			out = append(out, st.name)
		}
	}
	return out
}

// exported returns what any stack exports under a name. It is called under the lock.
func (s *CloudFormation) exported(name string) (cfn.Output, *stack) {
	for _, st := range s.stacks {
		if st.status == "DELETE_COMPLETE" {
			continue
		}
		for _, o := range st.outputs {
			if o.Export == name {
				return o, st
			}
		}
	}
	return cfn.Output{}, nil
}
