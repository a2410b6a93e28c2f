package tasks

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var setFeatureTask = ops.Task{
	Name: "set-feature", Version: 1,
	Title:   "Switch a feature",
	Summary: "Turns a feature switch of the service on or off.",
	Details: "A feature that was never set reads as enabled. The service's servers keep a switch for up to a minute, so a change takes that long to show everywhere; " +
		"the run waits for it. There is no compare-and-set: the last one to switch wins. " +
		"DISABLE_2FA_REQUIREMENT and DISABLE_INACTIVE_USERS are named the other way round than most: mind the plan's notes.",
	Undo: "The same task with the value that the feature had.",
	Inputs: []ops.Input{
		{
			Name: "feature", Kind: ops.KindChoice, Choices: synapse.Features, Open: true, Pattern: `[A-Z][A-Z0-9_]{2,80}`,
			Example: "ALLOW_AGENT_WRITES", Help: "The feature's name. One that is not listed passes with a warning.",
		},
		{Name: "enabled", Kind: ops.KindBoolean, Example: "true", Help: "Whether the feature is to be on."},
	},
	Class:     ops.Changes,
	Lane:      ops.LaneAdmin,
	Noun:      "feature",
	Plural:    "features",
	Deciding:  []string{"enabled"},
	Exempt:    true,
	TimeLimit: 30 * time.Minute,
}

// The service's servers keep a feature's value for a minute (cache). The margin is
// for the round trips and for a clock that is a little off.
const (
	featureCache      = 75 * time.Second
	featureLookAgain  = 5 * time.Second
	featureCacheWords = "the service's servers keep a feature's value for up to a minute"
)

// featureSwitch turns one feature on or off.
type featureSwitch struct {
	features
	change
	pause pause
	log   atomic.Pointer[func(format string, args ...any)] // of the step performed last
}

func setFeature(s Service, pause pause) ops.Procedure {
	f := &featureSwitch{features: s, pause: pause}
	f.change = change{
		targets: func(v ops.Values) []ops.Target {
			name := "feature/" + v.Text("feature")
			return []ops.Target{{ID: name, Label: name, Value: v.Text("feature")}}
		},
		read: f.read,
		want: func(v ops.Values, _ ops.Target) ops.State { return ops.State{"enabled": v.Bool("enabled")} },
		set:  f.set,
		// Not SettleRead: after a lost answer a cached old value would look as if
		// nothing had happened.
		settle: ops.SettleResend,
	}
	p := f.procedure()
	p.Perform, p.Verify, p.Notes = f.perform, f.verify, featureNotes
	p.Undo = inverse(func(v ops.Values, env ops.EnvironmentName, _ []ops.Effect) string {
		return ops.Command(setFeatureTask.Name, env,
			[2]string{"feature", v.Text("feature")}, [2]string{"enabled", strconv.FormatBool(!v.Bool("enabled"))})
	})
	return p
}

func (f *featureSwitch) read(ctx context.Context, _ ops.Values, t ops.Target) (ops.State, error) {
	s, err := f.Feature(ctx, t.Value)
	switch ops.CodeOf(err) {
	case "":
		return ops.State{"enabled": s.Enabled}, nil
	case ops.Invalid, ops.NotFound:
		return nil, refuse("feature-exists", ops.NotFound, "Check its spelling, and the service's release.", "the service knows no %s.", t.Label)
	}
	return nil, fmt.Errorf("reading %s: %w", t.Label, err)
}

func (f *featureSwitch) set(ctx context.Context, v ops.Values, t ops.Target) error {
	s, err := f.SetFeature(ctx, t.Value, v.Bool("enabled"))
	if err == nil && s.Enabled != v.Bool("enabled") {
		err = ops.Errorf(ops.Conflict, "the service accepted the switch of %s but answers that enabled is %t.", t.Label, s.Enabled)
	}
	return err
}

func (f *featureSwitch) perform(ctx context.Context, step *ops.Step) (ops.Done, error) {
	f.log.Store(&step.Log)
	return f.change.perform(ctx, step)
}

// verify reads the feature until it shows the value set or the servers' caches
// must have run out. The answer to the switch itself was right, so an old value is
// more likely a cache than a loss.
func (f *featureSwitch) verify(ctx context.Context, v ops.Values, e ops.Effect) (ops.State, error) {
	for waited := time.Duration(0); ; waited += featureLookAgain {
		now, err := f.change.verify(ctx, v, e)
		if ops.Refused(err) == nil || waited >= featureCache {
			return now, err
		}
		if waited == 0 {
			f.say("%s still reads as before: %s. Looking again for up to %s.", e.Label, featureCacheWords, featureCache)
		}
		if err := f.pause(ctx, featureLookAgain); err != nil {
			return now, fmt.Errorf("waiting for %s to show its new value: %w", e.Label, err)
		}
	}
}

func (f *featureSwitch) say(format string, args ...any) {
	if log := f.log.Load(); log != nil && *log != nil {
		(*log)(format, args...)
	}
}

func featureNotes(v ops.Values, _ []ops.Effect) []string {
	if means, ok := synapse.InvertedFeatures[v.Text("feature")]; ok {
		return []string{fmt.Sprintf("%s: %s.", v.Text("feature"), means)}
	}
	return nil
}
