package launcher_test

import (
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
)

// TestBundle_Kept: a run stays on the bundle that it was begun on, whatever is
// deployed before it is resumed; only one that had none takes the newest.
func TestBundle_Kept(t *testing.T) {
	for was, want := range map[string]string{"version-1": "version-1", "": "version-2"} {
		s := newScene(t)
		s.l.Bundle = was
		ref := s.launch()
		s.engine.set("process-1", ops.Gone)
		s.l.Bundle = "version-2"
		resumed, err := s.l.Resume(t.Context(), ref, launcher.Answers{By: "ada"}, false)
		s.ok(err)
		starts, err := s.store.Starts(t.Context(), ref)
		s.ok(err)
		if !resumed || len(starts) != 2 || starts[0].Bundle != was || starts[1].Bundle != want {
			t.Errorf("begun on %q: resumed %v with starts %+v, want the second on %q", was, resumed, starts, want)
		}
	}
}
