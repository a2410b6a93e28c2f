package launcher_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// held has another run, at work, hold the lease "users".
func (s *scene) held() ops.Lease {
	s.Helper()
	ref, _, err := s.l.Launch(s.Context(), "other", request, by)
	s.ok(err)
	l, holder, err := s.store.AcquireLease(s.Context(), ops.Lease{Environment: "dev", Name: "users", RunRef: ref, Attempt: 1, At: time.Now()}, nil)
	s.ok(err)
	if holder != nil {
		s.Fatal("the lease was taken already")
	}
	return l
}

func (s *scene) hold(h launcher.Hold) {
	h.Environment, h.Lease = "dev", "users"
	s.l.Hold = &h
}

// TestHold_NoWait: a lease that is held is a refusal, and nothing was started; asked
// again once it is free, the same job goes on with the same run.
func TestHold_NoWait(t *testing.T) {
	s := newScene(t)
	lease := s.held()
	s.hold(launcher.Hold{NoWait: true})
	ref, _, err := s.l.Launch(t.Context(), "job", request, by)
	if r := ops.Refused(err); r == nil || r.Guard != "lease" || ops.CodeOf(err) != ops.Conflict {
		t.Fatalf("a start beside a held lease: %v", err)
	}
	if started, _ := s.engine.counts(); started != 1 {
		t.Errorf("%d workers were started: one is the holder's", started)
	}
	s.ok(s.store.ReleaseLease(t.Context(), lease))
	if again := s.launch(); again != ref {
		t.Errorf("asked again it is run %s, not %s", again.Run, ref.Run)
	}
	if started, _ := s.engine.counts(); started != 2 {
		t.Errorf("%d workers were started", started)
	}
}

// TestHold_HolderGone: nobody waits for a holder that can never act again, nor for
// oneself.
func TestHold_HolderGone(t *testing.T) {
	for name, end := range map[string]func(*scene, ops.Lease){
		"its worker is gone": func(s *scene, _ ops.Lease) { s.engine.set("process-1", ops.Gone) },
		"its run has ended":  func(s *scene, l ops.Lease) { s.result(l.RunRef, 1, ops.Succeeded) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			end(s, s.held())
			s.hold(launcher.Hold{NoWait: true})
			s.launch()
		})
	}
	s := newScene(t)
	s.held()
	s.hold(launcher.Hold{NoWait: true})
	if _, attached, err := s.l.Launch(t.Context(), "other", request, by); err != nil || !attached {
		t.Errorf("the holder's own job, asked again: attached %v, %v", attached, err)
	}
}

// TestHold_Waits: who holds it is told at once and every minute, and the start goes
// on soon after the release.
func TestHold_Waits(t *testing.T) {
	s := newScene(t)
	lease := s.held()
	docs := &leaseUntil{Store: s.store, holder: lease}
	s.l.Documents = docs
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		docs.until = began.Add(150 * time.Second)
		var told []time.Duration
		s.hold(launcher.Hold{Tell: func(h ops.Lease) {
			if h.Run != lease.Run {
				t.Errorf("told of %s", h.Run)
			}
			told = append(told, time.Since(began))
		}})
		if _, _, err := s.l.Launch(context.Background(), "job", request, by); err != nil {
			t.Fatal(err)
		}
		if len(told) != 3 || told[0] != 0 || told[1] != time.Minute || told[2] != 2*time.Minute {
			t.Errorf("told after %v", told)
		}
		if waited := time.Since(began); waited < 150*time.Second || waited > 165*time.Second {
			t.Errorf("waited %v for a lease that was free after 150s", waited)
		}
	})
}

// leaseUntil has the lease held until a time.
type leaseUntil struct {
	*store.Store
	holder ops.Lease
	until  time.Time
}

func (d *leaseUntil) HeldBy(context.Context, ops.EnvironmentName, string) (*ops.Lease, error) {
	if time.Now().Before(d.until) {
		return &d.holder, nil
	}
	return nil, nil
}

// TestHold_Left: whoever stops waiting has started nothing.
func TestHold_Left(t *testing.T) {
	s := newScene(t)
	s.held()
	ctx, leave := context.WithCancel(t.Context())
	s.hold(launcher.Hold{Tell: func(ops.Lease) { leave() }})
	if _, _, err := s.l.Launch(ctx, "job", request, by); !errors.Is(err, context.Canceled) || !errors.Is(err, launcher.ErrNotStarted) {
		t.Errorf("left while waiting: %v", err)
	}
	if started, _ := s.engine.counts(); started != 1 {
		t.Errorf("%d workers were started: one is the holder's", started)
	}
}

// TestHold_Resume: a resume waits as a run does.
func TestHold_Resume(t *testing.T) {
	s := newScene(t)
	ref := s.launch()
	s.result(ref, 1, ops.RunFailed)
	s.held()
	s.hold(launcher.Hold{NoWait: true})
	if started, err := s.l.Resume(t.Context(), ref, by, false); started || ops.Refused(err) == nil {
		t.Errorf("resume beside a held lease: %v, %v", started, err)
	}
}

// TestHold_Canceled: a run that is canceled while its launcher waits is not started,
// neither then nor when its job is run again.
func TestHold_Canceled(t *testing.T) {
	s := newScene(t)
	lease := s.held()
	docs := &leaseUntil{Store: s.store, holder: lease}
	s.l.Documents = docs
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		docs.until = time.Now().Add(150 * time.Second)
		var ref ops.RunRef
		s.hold(launcher.Hold{Tell: func(ops.Lease) {
			claim, err := s.store.FindClaim(ctx, request.Lane, "job")
			if err != nil || claim == nil {
				t.Fatalf("claimed %v, %v", claim, err)
			}
			ref = ops.RunRef{Lane: claim.Lane, Run: claim.Run}
			if asked, err := s.l.Cancel(ctx, ref, "ada", "not today"); !asked || err != nil {
				t.Errorf("canceled: %v, %v", asked, err)
			}
		}})
		for range 2 {
			_, _, err := s.l.Launch(ctx, "job", request, by)
			if r := ops.Refused(err); r == nil || r.Guard != "cancel" || r.Code != ops.Canceled {
				t.Errorf("it ended with %v", err)
			}
		}
		if starts, err := s.store.Starts(ctx, ref); len(starts) > 0 || err != nil {
			t.Errorf("started %v, %v", starts, err)
		}
	})
}
