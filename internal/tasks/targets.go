package tasks

import (
	"fmt"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// listed makes one target of each value of a list input: "user/3350396".
func listed(input, prefix string) func(v ops.Values) []ops.Target {
	return func(v ops.Values) []ops.Target {
		list := v.List(input)
		targets := make([]ops.Target, len(list))
		for i, id := range list {
			name := prefix + "/" + id
			targets[i] = ops.Target{ID: name, Label: name, Value: id}
		}
		return targets
	}
}

// single is the target of a task that has one which no input names.
func single(id string) func(v ops.Values) []ops.Target {
	return func(ops.Values) []ops.Target { return []ops.Target{{ID: id, Label: id, Value: id}} }
}

// listOf lists the effects' targets as a list input takes them.
func listOf(done []ops.Effect) string {
	list := make([]string, len(done))
	for i, e := range done {
		list[i] = e.Value
	}
	return strings.Join(list, ",")
}

// irreversible is an Undo that says why there is none.
func irreversible(why string) func(ops.Values, ops.EnvironmentName, []ops.Effect) string {
	return func(ops.Values, ops.EnvironmentName, []ops.Effect) string { return "cannot be undone: " + why }
}

// readsOnly is the Undo of a task that changes nothing.
func readsOnly(ops.Values, ops.EnvironmentName, []ops.Effect) string {
	return "nothing to undo: it only reads."
}

// inverse is an Undo by the same or another task over the targets done. An effect
// that had nothing to do is left out.
func inverse(command func(v ops.Values, env ops.EnvironmentName, done []ops.Effect) string) func(ops.Values, ops.EnvironmentName, []ops.Effect) string {
	return func(v ops.Values, env ops.EnvironmentName, done []ops.Effect) string {
		changed := make([]ops.Effect, 0, len(done))
		for _, e := range done {
			if !e.Nothing {
				changed = append(changed, e)
			}
		}
		if len(changed) == 0 {
			return "nothing to undo: nothing was changed."
		}
		return command(v, env, changed)
	}
}

// named confirms a destroying task: with what field says of a single target, with
// the count of several, and with nothing when all effects have nothing to do.
func named(task *ops.Task, field string) func(ops.Values, []ops.Effect, int) string {
	return func(_ ops.Values, effects []ops.Effect, total int) string {
		idle := len(effects) == total
		for _, e := range effects {
			idle = idle && e.Nothing
		}
		switch {
		case idle:
			return ""
		case total == 1:
			if name, _ := effects[0].Before[field].(string); name != "" {
				return name
			}
			return effects[0].ID
		}
		return task.Count(total)
	}
}

// count tells how many effects hold, for a note.
func count(effects []ops.Effect, hold func(e ops.Effect) bool) int {
	n := 0
	for _, e := range effects {
		if hold(e) {
			n++
		}
	}
	return n
}

// of renders "2 of 5 users".
func of(task *ops.Task, n, total int) string { return fmt.Sprintf("%d of %s", n, task.Count(total)) }
