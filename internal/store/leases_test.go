package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

var other = ops.RunRef{Lane: ops.LaneMigrate, Run: "20261123T141503Z-migrate-aaaa"}

func lease(run ops.RunRef, attempt int) ops.Lease {
	return ops.Lease{Environment: "dev", Name: "users", RunRef: run, Attempt: attempt, At: at}
}

func TestAcquireLease(t *testing.T) {
	fenced := func(l ops.Lease, fence int) *ops.Lease { l.Fence = fence; return &l }
	for name, c := range map[string]struct {
		before   []ops.Lease // taken in this order, each but the last released
		released bool        // the last one too
		asks     ops.Lease
		takeover *ops.Lease
		fence    int // got; 0: the last one's holder is told
	}{
		"never taken":                            {asks: lease(ref, 1), fence: 1},
		"released":                               {before: []ops.Lease{lease(other, 1)}, released: true, asks: lease(ref, 1), fence: 2},
		"released, by the same run":              {before: []ops.Lease{lease(ref, 1)}, released: true, asks: lease(ref, 1), fence: 2},
		"released twice":                         {before: []ops.Lease{lease(other, 1), lease(other, 2)}, released: true, asks: lease(ref, 1), fence: 3},
		"held by another run":                    {before: []ops.Lease{lease(other, 1)}, asks: lease(ref, 1)},
		"held again after a release":             {before: []ops.Lease{lease(ref, 1), lease(other, 1)}, asks: lease(ref, 1)},
		"held by an earlier attempt of the run":  {before: []ops.Lease{lease(ref, 1)}, asks: lease(ref, 2), fence: 2},
		"held by the same attempt":               {before: []ops.Lease{lease(ref, 1)}, asks: lease(ref, 1), fence: 1},
		"held by a later attempt of the run":     {before: []ops.Lease{lease(ref, 2)}, asks: lease(ref, 1)},
		"the holder is proved gone":              {before: []ops.Lease{lease(other, 1)}, asks: lease(ref, 1), takeover: fenced(lease(other, 1), 1), fence: 2},
		"another fence's holder is gone":         {before: []ops.Lease{lease(other, 1), lease(other, 1)}, asks: lease(ref, 1), takeover: fenced(lease(other, 1), 1)},
		"another attempt of the holder is gone":  {before: []ops.Lease{lease(other, 2)}, asks: lease(ref, 1), takeover: fenced(lease(other, 1), 1)},
		"another run than the holder is gone":    {before: []ops.Lease{lease(other, 1)}, asks: lease(ref, 2), takeover: fenced(lease(ref, 1), 1)},
		"proved gone, but released meanwhile":    {before: []ops.Lease{lease(other, 1)}, released: true, asks: lease(ref, 1), takeover: fenced(lease(other, 1), 1), fence: 2},
		"held by a run of another lane, same ID": {before: []ops.Lease{lease(ops.RunRef{Lane: ops.LaneDeploy, Run: ref.Run}, 1)}, asks: lease(ref, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := open(t)
			for i, l := range c.before {
				got, holder, err := s.AcquireLease(t.Context(), l, nil)
				if err != nil || holder != nil || got.Fence != i+1 {
					t.Fatalf("taking it before: %v, %v, %v", got, holder, err)
				}
				if i < len(c.before)-1 || c.released {
					ok(t, s.ReleaseLease(t.Context(), got))
				}
			}
			got, holder, err := s.AcquireLease(t.Context(), c.asks, c.takeover)
			ok(t, err)
			now, err := s.Lease(t.Context(), "dev", "users")
			ok(t, err)
			if c.fence == 0 {
				last := fenced(c.before[len(c.before)-1], len(c.before))
				same(t, "holder", holder, last)
				same(t, "the lease stays", now, last)
				return
			}
			if holder != nil || got.Fence != c.fence || got.RunRef != c.asks.RunRef || got.Attempt != c.asks.Attempt {
				t.Errorf("got %+v, holder %v; want fence %d", got, holder, c.fence)
			}
			same(t, "the lease now", now, &got)
		})
	}
}

// TestLeaseRace has runs take over from one that is gone, all at once: one may.
func TestLeaseRace(t *testing.T) {
	s, _, _ := open(t)
	gone, _, err := s.AcquireLease(t.Context(), lease(other, 1), nil)
	ok(t, err)
	var mu sync.Mutex
	var got []ops.Lease
	var work sync.WaitGroup
	begin := make(chan struct{})
	for i := range 8 {
		work.Go(func() {
			mine := ops.RunRef{Lane: ref.Lane, Run: ops.RunID(fmt.Sprintf("20261123T141502Z-remove-user-000%d", i))}
			<-begin
			l, holder, err := s.AcquireLease(t.Context(), lease(mine, 1), &gone)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			} else if holder == nil {
				got = append(got, l)
			} else if holder.RunRef == other {
				t.Error("a loser was told that the one taken over still holds it")
			}
		})
	}
	close(begin)
	work.Wait()
	if len(got) != 1 || got[0].Fence != 2 {
		t.Errorf("%v took it over; want one, with fence 2", got)
	}
}

func TestReleaseLease(t *testing.T) {
	s, _, _ := open(t)
	ctx := t.Context()
	wantCode(t, "a lease never taken", s.ReleaseLease(ctx, ops.Lease{Environment: "dev", Name: "users", Fence: 1, RunRef: ref}), ops.NotFound)
	got, _, err := s.AcquireLease(ctx, lease(ref, 1), nil)
	ok(t, err)
	wantCode(t, "a lease without fence", s.ReleaseLease(ctx, lease(ref, 1)), ops.Invalid)
	stranger := got
	stranger.RunRef = other
	wantCode(t, "another's lease", s.ReleaseLease(ctx, stranger), ops.Conflict)
	ok(t, s.ReleaseLease(ctx, got))
	ok(t, s.ReleaseLease(ctx, got))
	if l, err := s.Lease(ctx, "dev", "users"); l != nil || err != nil {
		t.Errorf("Lease = %v, %v; want it free", l, err)
	}
	next, _, err := s.AcquireLease(ctx, lease(other, 1), nil)
	ok(t, err)
	ok(t, s.ReleaseLease(ctx, got)) // late: must not free what another holds by now
	if l, err := s.Lease(ctx, "dev", "users"); err != nil || l == nil || l.Fence != next.Fence {
		t.Errorf("Lease = %v, %v; want the other run's", l, err)
	}
}

func TestLeasesOfAllEnvironments(t *testing.T) {
	s, _, _ := open(t)
	ctx := t.Context()
	if all, err := s.Leases(ctx); len(all) != 0 || err != nil {
		t.Errorf("Leases = %v, %v; want none", all, err)
	}
	for _, l := range []ops.Lease{
		{Environment: "prod", Name: "stack/544", RunRef: other, Attempt: 1},
		{Environment: "dev", Name: "users", RunRef: ref, Attempt: 1},
		{Environment: "dev", Name: "oauth-clients", RunRef: ref, Attempt: 1},
	} {
		got, _, err := s.AcquireLease(ctx, l, nil)
		ok(t, err)
		if l.Name == "oauth-clients" {
			ok(t, s.ReleaseLease(ctx, got))
		}
	}
	all, err := s.Leases(ctx)
	ok(t, err)
	if len(all) != 2 || all[0].Name != "users" || all[1].Name != "stack/544" || all[1].Environment != "prod" {
		t.Errorf("Leases = %v; want dev's users and prod's stack/544", all)
	}
	if l, err := s.Lease(ctx, "prod", "users"); l != nil || err != nil {
		t.Errorf("prod's users = %v, %v; a lease belongs to one environment", l, err)
	}
}

func TestLeaseNames(t *testing.T) {
	s, _, _ := open(t)
	for _, name := range []string{"", "/", "a//b", "a/", "/a", "a~b", "..", "a/..", ".a", "a b", "a\x00", "ä"} {
		l := lease(ref, 1)
		l.Name = name
		_, _, err := s.AcquireLease(t.Context(), l, nil)
		wantCode(t, fmt.Sprintf("%q", name), err, ops.Invalid)
	}
}

// TestUnreadableLeaseIsNotFree holds for each document that might say so.
func TestUnreadableLeaseIsNotFree(t *testing.T) {
	for _, name := range []string{"00000001.json", "00000001.released", "00000002.released", "1.json", "note.txt", "00000000.json"} {
		s, dir, _ := open(t)
		if name != "00000001.json" {
			_, _, err := s.AcquireLease(t.Context(), lease(other, 1), nil)
			ok(t, err)
		}
		ok(t, os.MkdirAll(filepath.Join(dir, "leases/dev/users"), 0o700))
		ok(t, os.WriteFile(filepath.Join(dir, "leases/dev/users", name), []byte(`{"environment":"dev"`), 0o600))
		_, _, err := s.AcquireLease(t.Context(), lease(ref, 1), nil)
		wantCode(t, "AcquireLease beside "+name, err, ops.Conflict)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("AcquireLease beside %s: %v; want it named", name, err)
		}
		l, err := s.Lease(t.Context(), "dev", "users")
		wantCode(t, "Lease beside "+name, err, ops.Conflict)
		if l != nil {
			t.Errorf("Lease = %v beside the error", l)
		}
	}
}

func TestFreeze(t *testing.T) {
	s, _, _ := open(t)
	ctx := t.Context()
	if f, err := s.Frozen(ctx, "dev"); f != nil || err != nil {
		t.Errorf("Frozen = %v, %v; want not", f, err)
	}
	if f, err := s.Unfreeze(ctx, "dev", "joe", at); f != nil || err != nil {
		t.Errorf("Unfreeze = %v, %v; want that it was not frozen", f, err)
	}
	for n := 1; n <= 2; n++ {
		want := ops.Freeze{Environment: "dev", N: n, By: "jane", Reason: "release", At: at}
		f, err := s.Freeze(ctx, ops.Freeze{Environment: "dev", By: "jane", Reason: "release", At: at, LiftedBy: "nobody"})
		ok(t, err)
		same(t, "Freeze", f, want)
		again, err := s.Freeze(ctx, ops.Freeze{Environment: "dev", By: "joe", Reason: "other", At: at})
		ok(t, err)
		same(t, "freezing what is frozen", again, want)
		there, err := s.Frozen(ctx, "dev")
		ok(t, err)
		same(t, "Frozen", there, &want)
		if f, err := s.Frozen(ctx, "prod"); f != nil || err != nil {
			t.Errorf("prod is frozen: %v, %v", f, err)
		}
		want.LiftedBy, want.LiftedAt = "joe", at.Add(time.Hour)
		lifted, err := s.Unfreeze(ctx, "dev", "joe", at.Add(time.Hour))
		ok(t, err)
		same(t, "Unfreeze", lifted, &want)
		if f, err := s.Frozen(ctx, "dev"); f != nil || err != nil {
			t.Errorf("Frozen = %v, %v; want it lifted", f, err)
		}
	}
}

func TestFreezeRace(t *testing.T) {
	s, _, _ := open(t)
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			if f, err := s.Freeze(t.Context(), ops.Freeze{Environment: "dev", By: fmt.Sprint(i), At: at}); err != nil || f.N != 1 {
				t.Errorf("Freeze = %v, %v; want the first one's", f, err)
			}
		})
	}
	work.Wait()
	if f, err := s.Unfreeze(t.Context(), "dev", "joe", at); f == nil || err != nil {
		t.Errorf("Unfreeze = %v, %v", f, err)
	}
	if f, err := s.Frozen(t.Context(), "dev"); f != nil || err != nil {
		t.Errorf("Frozen = %v, %v; one unfreeze must be enough", f, err)
	}
}

func TestUnreadableFreezeIsNotThawed(t *testing.T) {
	for _, name := range []string{"00000001.json", "00000001.lifted", "00000002.json", "freeze"} {
		s, dir, _ := open(t)
		if name != "00000001.json" {
			_, err := s.Freeze(t.Context(), ops.Freeze{Environment: "dev", By: "jane", At: at})
			ok(t, err)
		}
		if name == "00000002.json" {
			_, err := s.Unfreeze(t.Context(), "dev", "joe", at)
			ok(t, err)
		}
		ok(t, os.MkdirAll(filepath.Join(dir, "freezes/dev"), 0o700))
		ok(t, os.WriteFile(filepath.Join(dir, "freezes/dev", name), nil, 0o600))
		f, err := s.Frozen(t.Context(), "dev")
		wantCode(t, "Frozen beside "+name, err, ops.Conflict)
		if f != nil {
			t.Errorf("Frozen = %v beside the error", f)
		}
		_, err = s.Unfreeze(t.Context(), "dev", "joe", at)
		wantCode(t, "Unfreeze beside "+name, err, ops.Conflict)
	}
}

// blind lists nothing, whatever is there.
type blind struct{ store.Driver }

func (blind) List(context.Context, string) ([]string, error) { return nil, nil }

func TestAStoreThatContradictsItselfIsAnError(t *testing.T) {
	s, _, c := open(t)
	_, _, err := s.AcquireLease(t.Context(), lease(other, 1), nil)
	ok(t, err)
	_, err = s.Freeze(t.Context(), ops.Freeze{Environment: "dev", By: "jane", At: at})
	ok(t, err)
	s = store.New(blind{c})
	got, holder, err := s.AcquireLease(t.Context(), lease(ref, 1), nil)
	wantCode(t, "AcquireLease", err, ops.Internal)
	if got.Fence != 0 || holder != nil {
		t.Errorf("AcquireLease = %v, %v beside the error", got, holder)
	}
	_, err = s.Freeze(t.Context(), ops.Freeze{Environment: "dev", By: "joe", At: at})
	wantCode(t, "Freeze", err, ops.Internal)
}
