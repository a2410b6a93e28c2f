package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var canaryTask = ops.Task{
	Name: "canary", Version: 1,
	Title:   "Canary",
	Summary: "Proves every minute that token, host, version and credentials are in order.",
	Details: "Changes nothing. Each minute it reads the token anew from its source, asks the service for its version and proves that the token is an administrator's. " +
		"A minute that fails does not end the run: the run fails at its end and names the minutes. Any lane may be chosen, to prove that lane: " +
		"a lane that may not read the administrator's token proves its own credentials instead.",
	Undo: "Nothing to undo: it only reads.",
	Inputs: []ops.Input{{
		Name: "minutes", Kind: ops.KindInteger, Least: 1, Most: 2160, Default: "5", Example: "5",
		Help: "How many minutes, one proof each; the first is at once.",
	}},
	Class:     ops.Reads,
	Lane:      ops.LaneAdmin,
	AnyLane:   true,
	Noun:      "canary",
	Plural:    "canaries",
	Deciding:  []string{"instance"},
	Exempt:    true,
	TimeLimit: 36 * time.Hour,
}

// canaryCheckpoint is how far a canary is; Failed holds the minutes' numbers.
type canaryCheckpoint struct {
	Done   int64   `json:"done"`
	Failed []int64 `json:"failed,omitempty"`
}

// lookout proves, once a minute, that the service can be worked with.
type lookout struct {
	version func(ctx context.Context) (synapse.Version, error)
	look    func(ctx context.Context) (string, error) // says what it saw
	pause   pause
}

func canary(s Service, pause pause) ops.Procedure {
	if s == nil {
		return lookout{}.procedure()
	}
	return lookout{s.Version, func(ctx context.Context) (string, error) { return lookWithToken(ctx, s) }, pause}.procedure()
}

// A TokenlessLane is what there is to prove where the administrator's token may not be
// read.
type TokenlessLane interface {
	Version(ctx context.Context) (synapse.Version, error)
	// Account asks AWS anew which account this process's credentials belong to.
	Account(ctx context.Context) (string, error)
}

// BindTokenless returns the canary's procedure for such a lane.
func BindTokenless(l TokenlessLane) ops.Procedure {
	return lookout{l.Version, func(ctx context.Context) (string, error) { return lookWithout(ctx, l) }, wait}.procedure()
}

func (l lookout) procedure() ops.Procedure {
	return ops.Procedure{
		Targets: single("canary"),
		Plan: func(ctx context.Context, v ops.Values, t ops.Target) (ops.Effect, error) {
			version, err := l.version(ctx)
			if err != nil {
				return ops.Effect{}, fmt.Errorf("reading the version: %w", err)
			}
			minutes := v.Int("minutes")
			return ops.Effect{
				Target: t, Summary: lookoutSummary(minutes), Settle: ops.SettleResend,
				Before: ops.State{"instance": version.StackInstance, "version": version.Version},
				After:  ops.State{"instance": version.StackInstance, "minutes": minutes},
			}, nil
		},
		Perform: l.perform,
		Undo:    readsOnly,
	}
}

func lookoutSummary(minutes int64) string {
	if minutes == 1 {
		return "looks once"
	}
	return fmt.Sprintf("looks once a minute, %d times", minutes)
}

func (l lookout) perform(ctx context.Context, step *ops.Step) (ops.Done, error) {
	var at canaryCheckpoint
	if step.Checkpoint != nil {
		if err := json.Unmarshal(step.Checkpoint, &at); err != nil {
			return ops.Done{}, ops.Errorf(ops.Internal, "the canary's checkpoint cannot be read: %w", err)
		}
	}
	minutes := step.Values.Int("minutes")
	next := time.Now()
	for at.Done < minutes {
		if err := l.pause(ctx, time.Until(next)); err != nil {
			return ops.Done{}, fmt.Errorf("waiting for minute %d: %w", at.Done+1, err)
		}
		// Counted from the plan of minutes, not from the last look, so that slow answers
		// do not add up.
		next = next.Add(time.Minute)
		if err := l.minute(ctx, step, &at, minutes); err != nil {
			return ops.Done{}, err
		}
	}
	return at.verdict(minutes)
}

// minute looks once and records it. The error is of the run, not of the look.
func (l lookout) minute(ctx context.Context, step *ops.Step, at *canaryCheckpoint, minutes int64) error {
	seen, err := l.look(ctx)
	if ctx.Err() != nil {
		return fmt.Errorf("looking in minute %d: %w", at.Done+1, ctx.Err())
	}
	at.Done++
	if err != nil {
		at.Failed = append(at.Failed, at.Done)
		step.Log("minute %d of %d failed: %v", at.Done, minutes, err)
	} else {
		step.Log("minute %d of %d: %s", at.Done, minutes, seen)
	}
	step.Progress(at.Done, minutes, "minutes")
	if err := step.Save(ctx, *at); err != nil {
		return fmt.Errorf("recording minute %d: %w", at.Done, err)
	}
	return nil
}

func lookWithToken(ctx context.Context, s vitals) (string, error) {
	if err := s.RenewToken(ctx); err != nil {
		return "", fmt.Errorf("reading the token anew: %w", err)
	}
	v, err := s.Version(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the version: %w", err)
	}
	if err := s.Administrator(ctx); err != nil {
		return "", fmt.Errorf("proving that the token is an administrator's: %w", err)
	}
	return fmt.Sprintf("token read, instance %s at version %s, administrator", value(v.StackInstance), ops.Quote(v.Version)), nil
}

func lookWithout(ctx context.Context, l TokenlessLane) (string, error) {
	account, err := l.Account(ctx)
	if err != nil {
		return "", fmt.Errorf("proving the credentials: %w", err)
	}
	v, err := l.Version(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the version: %w", err)
	}
	return fmt.Sprintf("credentials of account %s, instance %s at version %s; the administrator's token is not this lane's to read", ops.Quote(account), value(v.StackInstance), ops.Quote(v.Version)), nil
}

// verdict fails when a minute failed, naming the minutes.
func (at canaryCheckpoint) verdict(minutes int64) (ops.Done, error) {
	if len(at.Failed) == 0 {
		if minutes == 1 {
			return ops.Done{Message: "it was in order"}, nil
		}
		return ops.Done{Message: fmt.Sprintf("all of %d minutes were in order", minutes)}, nil
	}
	return ops.Done{}, &ops.Error{
		Code:    ops.Unavailable,
		Message: fmt.Sprintf("%d of %d minutes failed: %s.", len(at.Failed), minutes, spans(at.Failed)),
		Hint:    "The log tells what each of them met.",
	}
}

// spans writes ascending numbers as "1, 4-7".
func spans(ns []int64) string {
	var out []string
	for i := 0; i < len(ns); {
		j := i
		for j+1 < len(ns) && ns[j+1] == ns[j]+1 {
			j++
		}
		s := strconv.FormatInt(ns[i], 10)
		if j > i {
			s += "-" + strconv.FormatInt(ns[j], 10)
		}
		out = append(out, s)
		i = j + 1
	}
	return strings.Join(out, ", ")
}
