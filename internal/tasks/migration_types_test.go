package tasks

import (
	"slices"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// TestCommonTypes: what is not migrated, although one side has it, is named.
func TestCommonTypes(t *testing.T) {
	var both [2]stackState
	both[0].types, both[0].primary = []string{"A", "B", "PART", "OLD", "MOVED", "CHANGE"}, []string{"A", "B", "OLD", "MOVED", "CHANGE"}
	both[1].types, both[1].primary = []string{"B", "A", "PART", "NEW", "MOVED", "CHANGE"}, []string{"B", "A", "NEW", "CHANGE"}
	primary, all, left, err := common(both, "all")
	for name, c := range map[string]struct{ got, want []string }{
		"primary": {primary, []string{"B", "A", "CHANGE"}},
		"all":     {all, []string{"B", "A", "PART", "MOVED", "CHANGE"}},
		"left":    {left, []string{"NEW (not at the source)", "OLD (not at the destination)", "MOVED (primary at the source only)"}},
	} {
		if !slices.Equal(c.got, c.want) || err != nil {
			t.Errorf("%s: %q (%v), want %q", name, c.got, err, c.want)
		}
	}
	for _, asked := range []string{"OLD", "NEW", "PART", "MOVED", "B,NONE"} {
		if _, _, _, err := common(both, asked); ops.Refused(err) == nil {
			t.Errorf("types=%s: %v, want a refusal", asked, err)
		}
	}
	if some, _, _, err := common(both, "CHANGE,A,A"); err != nil || !slices.Equal(some, []string{"A", "CHANGE"}) {
		t.Errorf("types=CHANGE,A,A: %q, %v", some, err)
	}
}
