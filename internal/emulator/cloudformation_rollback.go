package emulator

import (
	"fmt"
	"slices"
)

// A memory is a stack as it was.
type memory struct {
	resources map[string]stackResource
	order     []string
}

func (w *stackWork) remember() memory {
	w.service.mu.Lock()
	defer w.service.mu.Unlock()
	m := memory{map[string]stackResource{}, slices.Clone(w.order)}
	for id, r := range w.resources {
		m.resources[id] = *r
	}
	return m
}

// rollBack takes back what was done, newest first. A stack that was being created
// keeps none of its resources but those to be retained.
func (w *stackWork) rollBack(before memory, cause error) {
	s := w.service
	s.mu.Lock()
	creating := w.status == "CREATE_IN_PROGRESS"
	verb, to := "update", "UPDATE_ROLLBACK"
	if creating {
		verb, to = "create", "ROLLBACK"
	}
	reason := cause.Error()
	if w.failed != "" {
		reason = fmt.Sprintf("The following resource(s) failed to %s: [%s]. ", verb, w.failed)
		if creating {
			reason += "Rollback requested by user."
		}
	}
	w.set(to+"_IN_PROGRESS", reason)
	s.mu.Unlock()
	var failed error
	for _, undo := range slices.Backward(w.undo) {
		if err := undo(); err != nil {
			failed = err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.restore(before)
	w.changeSets = nil
	switch {
	case failed != nil:
		w.set(to+"_FAILED", handlerMessage(failed))
	case creating:
		w.set("ROLLBACK_COMPLETE", "")
	default:
		w.set("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "")
		w.set("UPDATE_ROLLBACK_COMPLETE", "")
	}
}

// restore makes the stack know its resources as before. It is called under the lock.
func (w *stackWork) restore(before memory) {
	w.resources, w.order = map[string]*stackResource{}, before.order
	for id, r := range before.resources {
		w.resources[id] = &r
	}
}
