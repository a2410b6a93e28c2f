package worker_test

import (
	"context"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// TestRelease: a build that runs another bundle than its run is pinned to, or cannot
// tell which, and a release that may not run any more, end refused before the token
// is read.
func TestRelease(t *testing.T) {
	in := func(build, bundle string) func(*rig) {
		return func(r *rig) {
			r.config = func(c *worker.Config) { c.Attempt.Build, c.Attempt.Bundle = build, bundle }
			r.start = func(s *ops.Start) { s.Bundle = "version-7" }
		}
	}
	for name, c := range map[string]struct {
		guard string
		spoil func(*rig)
	}{
		"another bundle":                 {"bundle", in("synops-admin:1", "version-8")},
		"a bundle of which nobody tells": {"bundle", in("synops-admin:1", "")},
		"a release of the past": {"synops-lowest", func(r *rig) {
			r.config = func(c *worker.Config) {
				c.Allowed = func(_ context.Context, synops string) error {
					return ops.Refuse("synops-lowest", "Use v2.", "synops %s is below v2.", synops)
				}
			}
		}},
		"the bundle that it is pinned to": {"", in("synops-admin:1", "version-7")},
		"no build, no bundle":             {"", in("", "")},
	} {
		bubble(t, name, func(t *testing.T) {
			r := newRig(t, 3)
			c.spoil(r)
			if c.guard == "" {
				r.ends(ops.StartRun, ops.Succeeded, "")
				return
			}
			r.refused(c.guard)
			equal(t, "times the token was read", r.opened, 0)
			equal(t, "calls", r.allCalls(), 0)
		})
	}
}

// TestHandOver_SameBundle: the next attempt runs the bundle of the one before, also
// where no start named it.
func TestHandOver_SameBundle(t *testing.T) {
	for start, want := range map[string]string{"": "version-8", "version-8": "version-8"} {
		bubble(t, "pinned to "+ops.Quote(start), func(t *testing.T) {
			r := newRig(t, 200)
			r.handsOver()
			hands := r.config
			r.config = func(c *worker.Config) { hands(c); c.Attempt.Build, c.Attempt.Bundle = "b", "version-8" }
			r.start = func(s *ops.Start) { s.Bundle = start }
			r.inFlt, r.latency = 1, time.Minute
			r.toTheEnd()
			starts, err := r.store.Starts(t.Context(), r.ref)
			if err != nil || len(starts) < 2 {
				t.Fatalf("%d starts, %v", len(starts), err)
			}
			for _, s := range starts[1:] {
				equal(t, "bundle", s.Bundle, want)
			}
		})
	}
}
