package store

import (
	"fmt"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// told is what the journal says last of each effect, as far as it was read.
type told struct {
	outcomes map[string]uint8 // 1 + place in ops.EffectOutcomes
	counts   map[ops.EffectOutcome]int
}

func newTold() *told {
	return &told{outcomes: map[string]uint8{}, counts: map[ops.EffectOutcome]int{}}
}

// of is what is told of an effect: nothing is not reached.
func (t *told) of(id string) ops.EffectOutcome {
	if n := t.outcomes[id]; n > 0 {
		return ops.EffectOutcomes()[n-1]
	}
	return ops.EffectNotReached
}

func (t *told) note(e ops.Entry) error {
	outcome := ops.EffectOutcome(e.Outcome)
	switch e.Kind {
	case ops.EntryIntent:
		outcome = ops.EffectUnsettled
	case ops.EntryOutcome:
	default:
		return nil
	}
	for i, o := range ops.EffectOutcomes() {
		if o == outcome {
			t.counts[t.of(e.Effect)]--
			t.counts[o]++
			t.outcomes[e.Effect] = uint8(i + 1)
			return nil
		}
	}
	return broken("entry %d tells of an outcome that is none: %s.", e.Seq, ops.Quote(e.Outcome))
}

// differs says in what a result that saw just this much of the journal tells
// otherwise; "" where it agrees. What was not reached the journal need not tell.
func (t *told) differs(r *ops.Result) string {
	all := 0
	for _, o := range ops.EffectOutcomes() {
		all += r.Counts[o]
		if o != ops.EffectNotReached && r.Counts[o] != t.counts[o] {
			return fmt.Sprintf("counts %d effects %s and the journal tells %d.", r.Counts[o], o, t.counts[o])
		}
	}
	if listed := min(r.EffectsTotal, ops.MostEffects); all != r.EffectsTotal || len(r.Effects) != listed {
		return fmt.Sprintf("counts %d effects, lists %d and says that there are %d.", all, len(r.Effects), r.EffectsTotal)
	}
	seen := map[string]bool{}
	for _, e := range r.Effects {
		if was := t.of(e.ID); was != e.Outcome {
			return fmt.Sprintf("tells %s as %s and the journal as %s.", ops.Quote(e.ID), e.Outcome, was)
		}
		if seen[e.ID] {
			return fmt.Sprintf("lists %s twice.", ops.Quote(e.ID))
		}
		seen[e.ID] = true
	}
	return ""
}
