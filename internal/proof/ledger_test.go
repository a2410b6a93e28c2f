package proof_test

import (
	"slices"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A ledger is what a journal says of each effect.
type ledger struct {
	intents  map[string]int // how often an intent was opened
	open     map[string]bool
	died     map[string]int // attempts that left it open
	recorded map[string]ops.EffectOutcome
	again    []string       // effects with an intent after a recorded outcome, or two recorded outcomes
	first    map[string]int // document of the first intent
}

// read works the ledger out of a journal.
func (r *rig) ledger(ref ops.RunRef) *ledger {
	r.t.Helper()
	entries, docs := r.entries(ref)
	l := &ledger{intents: map[string]int{}, open: map[string]bool{}, died: map[string]int{}, recorded: map[string]ops.EffectOutcome{}, first: map[string]int{}}
	attempt := 1
	for i, e := range entries {
		if e.Attempt != attempt {
			attempt = e.Attempt
			for effect := range l.open {
				l.died[effect]++
			}
		}
		switch e.Kind {
		case ops.EntryIntent:
			if _, is := l.recorded[e.Effect]; is {
				l.again = append(l.again, e.Effect)
			}
			l.intents[e.Effect]++
			l.open[e.Effect] = true
			if l.first[e.Effect] == 0 {
				l.first[e.Effect] = docs[i]
			}
		case ops.EntryOutcome:
			o := ops.EffectOutcome(e.Outcome)
			if o == ops.EffectUnsettled {
				continue
			}
			delete(l.open, e.Effect)
			if o == ops.EffectNotReached {
				continue
			}
			if _, is := l.recorded[e.Effect]; is {
				l.again = append(l.again, e.Effect)
			}
			l.recorded[e.Effect] = o
		}
	}
	return l
}

// balance compares what was sent with what the journal allows: nothing before its
// intent was durable, nothing after its outcome was, and at most once more for each
// attempt that died with the intent open, or answer that did not arrive.
func (r *rig) balance(ref ops.RunRef, atDeath *ledger, sentAtDeath int) {
	r.t.Helper()
	now := r.ledger(ref)
	if len(now.again) > 0 {
		r.t.Errorf("begun again although an outcome was recorded: %v", now.again)
	}
	sent := map[string]int{}
	for i, w := range r.gate.all() {
		sent[w.effect]++
		if doc := now.first[w.effect]; doc == 0 || doc > w.docs {
			r.t.Errorf("%s was sent when the journal had %d documents; its intent is in document %d", w.effect, w.docs, doc)
		}
		if _, is := atDeath.recorded[w.effect]; is && i >= sentAtDeath {
			r.t.Errorf("%s was sent again although its outcome was recorded", w.effect)
		}
	}
	for effect, n := range sent {
		lost := 0
		if r.lost != nil {
			lost = r.lost(effect)
		}
		if most := 1 + now.died[effect] + lost; n > most {
			r.t.Errorf("%s was sent %d times; %d attempts died with its intent open and %d answers were lost", effect, n, now.died[effect], lost)
		}
	}
}

// outcomes fails unless every one of the effects has a recorded outcome of those
// named.
func (r *rig) outcomes(ref ops.RunRef, effects []string, of ...ops.EffectOutcome) {
	r.t.Helper()
	l := r.ledger(ref)
	for _, e := range effects {
		if !slices.Contains(of, l.recorded[e]) {
			r.t.Errorf("%s ended %q, want one of %v", e, l.recorded[e], of)
		}
	}
	if len(l.open) > 0 {
		r.t.Errorf("intents still open: %v", l.open)
	}
}
