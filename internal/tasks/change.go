package tasks

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A change is the shape of most tasks: read a target, tell which of its fields
// should be otherwise, set them, read again.
type change struct {
	targets func(v ops.Values) []ops.Target
	// read returns the target's state; a Refusal when it must not be touched.
	read func(ctx context.Context, v ops.Values, t ops.Target) (ops.State, error)
	// want returns the fields to set, no others.
	want func(v ops.Values, t ops.Target) ops.State
	// set makes it so.
	set func(ctx context.Context, v ops.Values, t ops.Target) error
	// say returns the summary; nil: "field: before → after" of every field wanted.
	say    func(before, want ops.State, nothing bool) string
	settle ops.Settling
}

// procedure returns the parts that follow from the shape; a task adds the rest.
func (c change) procedure() ops.Procedure {
	p := ops.Procedure{Targets: c.targets, Plan: c.plan, Perform: c.perform, Verify: c.verify}
	if c.settle == ops.SettleRead {
		p.Settle = c.settled
	}
	return p
}

func (c change) plan(ctx context.Context, v ops.Values, t ops.Target) (ops.Effect, error) {
	before, err := c.read(ctx, v, t)
	if err != nil {
		return ops.Effect{}, err
	}
	return c.effect(v, t, before), nil
}

// effect is the planned effect on a target whose state was read.
func (c change) effect(v ops.Values, t ops.Target, before ops.State) ops.Effect {
	want := c.want(v, t)
	nothing := len(before.Differs(want, fields(want))) == 0
	say := c.say
	if say == nil {
		say = summary
	}
	return ops.Effect{
		Target: t, Summary: say(before, want, nothing), Before: before, After: want,
		Settle: c.settle, Nothing: nothing,
	}
}

func (c change) perform(ctx context.Context, s *ops.Step) (ops.Done, error) {
	return ops.Done{}, c.set(ctx, s.Values, s.Effect.Target)
}

func (c change) verify(ctx context.Context, v ops.Values, e ops.Effect) (ops.State, error) {
	now, err := c.read(ctx, v, e.Target)
	if err != nil {
		return nil, fmt.Errorf("reading back: %w", err)
	}
	return now, asWanted(now, c.want(v, e.Target), e.Target)
}

func (c change) settled(ctx context.Context, v ops.Values, e ops.Effect) (ops.Done, bool, error) {
	now, err := c.read(ctx, v, e.Target)
	if err != nil {
		return ops.Done{}, false, err
	}
	want := c.want(v, e.Target)
	return ops.Done{After: now}, len(now.Differs(want, fields(want))) == 0, nil
}

// asWanted refuses, naming the fields, when a state read back is not as it was
// set.
func asWanted(now, want ops.State, t ops.Target) error {
	wrong := now.Differs(want, fields(want))
	if len(wrong) == 0 {
		return nil
	}
	for i, f := range wrong {
		wrong[i] = fmt.Sprintf("%s is %s, not %s", f, value(now[f]), value(want[f]))
	}
	return refuse("verification", ops.Conflict,
		"Somebody may have changed it meanwhile. Plan again and look.",
		"%s was set but reads otherwise: %s.", t.Label, strings.Join(wrong, "; "))
}

// summary is "verified: false → true", or "verified is true already".
func summary(before, want ops.State, nothing bool) string {
	var parts []string
	for _, f := range fields(want) {
		switch {
		case nothing:
			parts = append(parts, fmt.Sprintf("%s is %s already", f, value(want[f])))
		case len(before.Differs(want, []string{f})) > 0:
			parts = append(parts, fmt.Sprintf("%s: %s → %s", f, value(before[f]), value(want[f])))
		}
	}
	return strings.Join(parts, ", ")
}

func fields(s ops.State) []string { return slices.Sorted(maps.Keys(s)) }

// value renders one field's value: text that is not a plain word is quoted.
func value(v any) string {
	s, ok := v.(string)
	if !ok {
		return fmt.Sprint(v)
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return ops.Quote(s)
	}
	return s
}

// refuse returns a Refusal with a code.
func refuse(guard string, code ops.Code, remedy, format string, args ...any) error {
	return &ops.Refusal{Guard: guard, Code: code, Remedy: remedy, Reason: fmt.Sprintf(format, args...)}
}
