package emulator

import (
	"context"
	"slices"
	"strings"
)

// deleteStack starts the removal and answers at once, also when there is no such
// stack. https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html
func deleteStack(c *call) (any, error) {
	s, name, role := c.account.Stacks, c.param("StackName"), c.param("RoleARN")
	keys := map[string][]string{}
	if role != "" {
		keys["cloudformation:RoleArn"] = []string{role}
	}
	if err := c.mayStack("DeleteStack", name, keys); err != nil {
		return nil, err
	}
	if role != "" {
		if err := c.allow(passes(role, "cloudformation.amazonaws.com")); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.find(name)
	switch {
	case st == nil || st.status == "DELETE_COMPLETE" || st.status == "DELETE_IN_PROGRESS":
		return nil, nil
	case st.protected:
		return nil, fault("ValidationError", "Stack [%s] cannot be deleted while TerminationProtection is enabled", st.name)
	case st.inProgress():
		return nil, fault("ValidationError", "Stack:%s is in %s state and can not be deleted.", st.id, st.status)
	}
	for _, o := range st.outputs {
		if by := s.importers(st, o.Export); len(by) > 0 {
			return nil, fault("ValidationError", "Export %s cannot be deleted as it is in use by %s", o.Export, strings.Join(by, ", "))
		}
	}
	if role != "" {
		st.role = role
	}
	st.set("DELETE_IN_PROGRESS", "User Initiated")
	w := &stackWork{stack: st, role: st.role, caller: c.caller}
	s.account.cloud.background(func(ctx context.Context) {
		w.ctx = ctx
		w.remove()
	})
	return nil, nil
}

// remove removes all resources, each before those that it refers to.
func (w *stackWork) remove() {
	var failed []string
	for _, id := range slices.Backward(slices.Clone(w.order)) {
		if w.ctx.Err() != nil {
			return
		}
		w.service.mu.Lock()
		r := w.resources[id]
		w.service.mu.Unlock()
		if err := w.drop(r); err != nil {
			failed = append(failed, id)
			continue
		}
		w.forget(id)
	}
	w.service.mu.Lock()
	defer w.service.mu.Unlock()
	if len(failed) > 0 {
		w.set("DELETE_FAILED", "The following resource(s) failed to delete: ["+strings.Join(failed, ", ")+"]. ")
		return
	}
	w.deleted, w.outputs, w.changeSets, w.taken = w.service.account.cloud.now(), nil, nil, nil
	w.set("DELETE_COMPLETE", "")
}

func updateTerminationProtection(c *call) (any, error) {
	name := c.param("StackName")
	if err := c.mayStack("UpdateTerminationProtection", name, nil); err != nil {
		return nil, err
	}
	s := c.account.Stacks
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.find(name)
	if st == nil || st.status == "DELETE_COMPLETE" {
		return nil, noStack(name)
	}
	st.protected = c.param("EnableTerminationProtection") == "true"
	return struct {
		StackID string `xml:"StackId"`
	}{st.id}, nil
}
