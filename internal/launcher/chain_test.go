package launcher_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
)

var chain = launcher.Chain{Lane: ops.LaneDeploy, Environment: "dev", Lease: "release"}

func linkOf(n int) ops.Claim {
	return ops.Claim{Run: ops.RunID(fmt.Sprintf("20261123T141502Z-release-%06x", n)), Lane: ops.LaneDeploy, Request: ops.DigestOf(nil)}
}

// TestChain: one run holds a lease until it is over, over any number of links; other
// environments and leases have chains of their own.
func TestChain(t *testing.T) {
	s := newScene(t)
	over := map[ops.RunID]bool{}
	isOver := func(_ context.Context, ref ops.RunRef) (bool, error) { return over[ref.Run], nil }
	if h, err := s.l.Holder(t.Context(), chain); h != nil || err != nil {
		t.Errorf("nobody's lease is held by %v, %v", h, err)
	}
	var want []ops.RunID
	for n := 1; n <= 20; n++ {
		mine := linkOf(n)
		for range 2 { // again is fine
			if h, err := s.l.Take(t.Context(), chain, mine, isOver); h != nil || err != nil {
				t.Fatalf("link %d: held by %v, %v", n, h, err)
			}
		}
		if h, err := s.l.Take(t.Context(), chain, linkOf(99), isOver); err != nil || h == nil || h.Run != mine.Run {
			t.Fatalf("beside link %d: held by %v, %v", n, h, err)
		}
		over[mine.Run] = true
		want = append([]ops.RunID{mine.Run}, want...)
	}
	var got []ops.RunID
	for c, err := range s.l.Links(t.Context(), chain) {
		s.ok(err)
		got = append(got, c.Run)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the chain is %q", got)
	}
	other := chain
	other.Environment = "prod"
	if h, err := s.l.Take(t.Context(), other, linkOf(1), isOver); h != nil || err != nil {
		t.Errorf("another environment's is held by %v, %v", h, err)
	}
}

// TestChain_Rivals: of many that find a lease free at once, one gets it.
func TestChain_Rivals(t *testing.T) {
	s := newScene(t)
	var mu sync.Mutex
	var got []ops.RunID
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			mine := linkOf(n)
			h, err := s.l.Take(t.Context(), chain, mine, func(context.Context, ops.RunRef) (bool, error) { return false, nil })
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if h == nil {
				got = append(got, mine.Run)
			}
		})
	}
	all.Wait()
	holder, err := s.l.Holder(t.Context(), chain)
	s.ok(err)
	if len(got) != 1 || holder.Run != got[0] {
		t.Errorf("%q have it, and the holder is %v", got, holder)
	}
}
