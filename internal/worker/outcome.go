package worker

import (
	"fmt"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// intent returns the entry that must be durable before e begins.
func (a *attempt) intent(e ops.Effect) ops.Entry {
	return ops.Entry{Kind: ops.EntryIntent, Effect: e.ID, Summary: e.Summary, Settle: e.Settle, Before: a.masked(e.Before), After: a.masked(e.After)}
}

// outcome returns the entry of an effect that went well and says so.
func (a *attempt) outcome(e ops.Effect, done ops.Done) ops.Entry {
	o := done.Outcome
	if o == "" {
		o = ops.EffectDone
	}
	after := done.After
	if after == nil {
		after = e.After
	}
	a.tell(o, e, done.Message)
	return ops.Entry{Kind: ops.EntryOutcome, Effect: e.ID, Outcome: string(o), Summary: e.Summary,
		Before: a.masked(e.Before), After: a.masked(after), Message: done.Message}
}

// settled is outcome for an effect whose end was not seen.
func (a *attempt) settled(e ops.Effect, done ops.Done) ops.Entry {
	entry := a.outcome(e, done)
	entry.Settled = true
	return entry
}

// failure returns the entry of an effect that did not go well. A refusal means it
// was left alone.
func (a *attempt) failure(e ops.Effect, err error, o ops.EffectOutcome) ops.Entry {
	if ops.Refused(err) != nil && o == ops.EffectFailed {
		o = ops.EffectRefused
	}
	a.tell(o, e, err.Error())
	return a.failed(e, err, o)
}

// failed is failure's entry alone.
func (a *attempt) failed(e ops.Effect, err error, o ops.EffectOutcome) ops.Entry {
	return ops.Entry{Kind: ops.EntryOutcome, Effect: e.ID, Outcome: string(o), Summary: e.Summary,
		Before: a.masked(e.Before), Code: ops.CodeOf(err), Message: err.Error()}
}

// neverBegun returns the entry of an effect whose intent is open and that was not
// begun.
func neverBegun(id string) ops.Entry {
	return ops.Entry{Kind: ops.EntryOutcome, Effect: id, Outcome: string(ops.EffectNotReached)}
}

// quietAbove is how many targets a run may have for each effect that went well to
// get a line of its own.
const quietAbove = 1000

func (a *attempt) tell(o ops.EffectOutcome, e ops.Effect, message string) {
	ok := o == ops.EffectDone || o == ops.EffectUnchanged
	if ok && len(a.order.targets) > quietAbove {
		return
	}
	a.line(string(o), e, message)
}

func (a *attempt) line(what string, e ops.Effect, message string) {
	parts := slices.DeleteFunc([]string{e.Summary, message}, func(s string) bool { return s == "" })
	a.say("%-9s %s  %s", what, e.Label, strings.Join(parts, ": "))
}

func (a *attempt) masked(s ops.State) ops.State { return s.Masked(a.order.task.Personal, a.key) }

// privateName is an effect's ID as a file name, and the attempt that is about to
// perform it.
func privateName(id string, attempt int) string {
	return fmt.Sprintf("%s.%d.json", strings.ReplaceAll(id, "/", "~"), attempt)
}
