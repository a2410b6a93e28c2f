package tasks

import (
	"context"
	"fmt"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var setStackStatusTask = ops.Task{
	Name: "set-stack-status", Version: 1,
	Title:   "Set the stack's status",
	Summary: "Opens the service for reading and writing, or closes it for everyone.",
	Details: "In READ_ONLY and in DOWN alike the service answers 503 to everything but administrative and migration calls, reads included, with the message given here. " +
		"Leaving READ_WRITE asks for confirmation. A pending maintenance message is kept. The way back works in every status.",
	Undo: "The same task with the status and message that were.",
	Inputs: []ops.Input{
		{Name: "status", Kind: ops.KindChoice, Choices: []string{synapse.ReadWrite, synapse.ReadOnly, synapse.Down}, Example: synapse.ReadWrite, Help: "The status to set."},
		{Name: "message", Kind: ops.KindText, Optional: true, Example: "Back at 18:00 UTC.", Help: "What people are told; absent: a sentence that goes with the status."},
	},
	Class:     ops.Changes,
	Lane:      ops.LaneAdmin,
	Noun:      "stack",
	Plural:    "stacks",
	Deciding:  []string{"status", "currentMessage"},
	Exempt:    true,
	TimeLimit: 30 * time.Minute,
}

// stackMessages go with each status when no message is given. The first two are
// those that the migration utility writes, the third what the service itself says
// without a message.
var stackMessages = map[string]string{
	synapse.ReadWrite: "Services are available for both read and write.",
	synapse.ReadOnly:  "Only read services are available during migration.",
	synapse.Down:      "Synapse is down for maintenance.",
}

// statusSetting replaces the stack's status.
type statusSetting struct {
	stackStatus
	change
}

func setStackStatus(s Service) ops.Procedure {
	c := statusSetting{stackStatus: s}
	c.change = change{
		targets: single("stack-status"),
		read:    c.read,
		want:    wantedStatus,
		settle:  ops.SettleRead,
	}
	p := c.procedure()
	p.Perform = c.perform
	p.Challenge = func(v ops.Values, effects []ops.Effect, _ int) string {
		if status := v.Text("status"); len(effects) > 0 && effects[0].Before["status"] == synapse.ReadWrite && status != synapse.ReadWrite {
			return status
		}
		return ""
	}
	p.Notes = func(v ops.Values, _ []ops.Effect) []string {
		if v.Text("status") == synapse.ReadWrite {
			return nil
		}
		return []string{"The service will answer 503 to everyone, reads included; only administrative and migration calls go on."}
	}
	p.Undo = inverse(setStackStatusUndo)
	return p
}

func wantedStatus(v ops.Values, _ ops.Target) ops.State {
	message := v.Text("message")
	if message == "" {
		message = stackMessages[v.Text("status")]
	}
	return ops.State{"status": v.Text("status"), "currentMessage": message}
}

func (c statusSetting) read(ctx context.Context, _ ops.Values, _ ops.Target) (ops.State, error) {
	s, err := c.StackStatus(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the stack's status: %w", err)
	}
	return statusState(s), nil
}

func statusState(s synapse.StackStatus) ops.State {
	return ops.State{"status": s.Status, "currentMessage": s.CurrentMessage, "pendingMaintenanceMessage": s.PendingMaintenanceMessage}
}

// perform reads once more before it writes: the call replaces everything and knows
// no etag, so a pending message set since the plan would be lost, and somebody
// else's change of the status undone.
func (c statusSetting) perform(ctx context.Context, step *ops.Step) (ops.Done, error) {
	now, err := c.StackStatus(ctx)
	if err != nil {
		return ops.Done{}, fmt.Errorf("reading the stack's status: %w", err)
	}
	e, state, want := step.Effect, statusState(now), wantedStatus(step.Values, step.Effect.Target)
	if len(state.Differs(want, fields(want))) == 0 {
		return ops.Done{After: state, Message: "it is as wanted already"}, nil
	}
	if differ := e.Before.Differs(state, setStackStatusTask.Deciding); len(differ) > 0 {
		for i, f := range differ {
			differ[i] = fmt.Sprintf("%s was %s and is %s", f, value(e.Before[f]), value(state[f]))
		}
		return ops.Done{}, refuse("as-planned", ops.Conflict, "Ask who changed it, and plan again.", "the stack is not as planned: %s.", strings.Join(differ, "; "))
	}
	set, err := c.SetStackStatus(ctx, synapse.StackStatus{
		Status:                    step.Values.Text("status"),
		CurrentMessage:            want["currentMessage"].(string),
		PendingMaintenanceMessage: now.PendingMaintenanceMessage,
	})
	if err != nil {
		return ops.Done{}, err
	}
	return ops.Done{After: statusState(set)}, nil
}

func setStackStatusUndo(_ ops.Values, env ops.EnvironmentName, done []ops.Effect) string {
	status, _ := done[0].Before["status"].(string)
	message, _ := done[0].Before["currentMessage"].(string)
	inputs := [][2]string{{"status", status}}
	if message != "" {
		inputs = append(inputs, [2]string{"message", message})
	}
	return ops.Command(setStackStatusTask.Name, env, inputs...)
}
