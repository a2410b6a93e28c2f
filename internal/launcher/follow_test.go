package launcher_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
)

// A telling engine is slow to ask and knows a worker's last line.
type telling struct {
	*engine
	last sync.Map // attempts that have said it
}

func (e *telling) Poll() time.Duration { return 2 * time.Second }

func (e *telling) Log(_ context.Context, _ ops.RunRef, n int, cursor string, _ bool) ([]byte, string, error) {
	if _, said := e.last.Load(n); said && cursor != "last" {
		return []byte("handing over\n"), "last", nil
	}
	return nil, cursor, nil
}

func (e *telling) Ended(cursor string) bool { return cursor == "last" }

// TestFollow_LastLine: a hand-over is followed when the log tells of it, and not only
// when it is time to ask the engine again.
func TestFollow_LastLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		e := &telling{engine: s.engine}
		s.l.Engine = e
		ref := s.launch()
		began := time.Now()
		go func() {
			for n := 1; n < 5; n++ {
				time.Sleep(5 * time.Second)
				start := ops.Start{N: n + 1, Kind: ops.StartHandOver, Run: ref.Run, Lane: ref.Lane}
				s.ok(s.l.HandOver(context.Background(), start))
				e.last.Store(n, true)
			}
			time.Sleep(5 * time.Second)
			s.result(ref, 5, ops.Succeeded)
		}()
		followed := 1
		r, err := s.l.Follow(t.Context(), ref, launcher.Follow{Attempt: func(n int, lost bool) {
			if followed++; n != followed || lost {
				t.Errorf("attempt %d follows %d, lost: %v", n, followed-1, lost)
			}
		}})
		s.ok(err)
		if took := time.Since(began); r.Attempt != 5 || took > 30*time.Second {
			t.Errorf("the verdict, of attempt %d, came %v after a run of 25s", r.Attempt, took)
		}
	})
}

// A counting engine counts how often its log is looked at.
type counting struct {
	telling
	looks atomic.Int64
}

func (e *counting) Log(ctx context.Context, ref ops.RunRef, n int, cursor string, ended bool) ([]byte, string, error) {
	e.looks.Add(1)
	return e.telling.Log(ctx, ref, n, cursor, ended)
}

// TestFollow_Looks: whoever follows a short run hears of its end soon after it; one
// that takes long is looked at no more often than its engine would have it.
func TestFollow_Looks(t *testing.T) {
	for took, most := range map[time.Duration]struct {
		late  time.Duration
		looks int64
	}{200 * time.Millisecond: {200 * time.Millisecond, 4}, time.Hour: {2 * time.Second, 1810}} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t)
			e := &counting{telling: telling{engine: s.engine}}
			s.l.Engine = e
			ref := s.launch()
			began := time.Now()
			go func() {
				time.Sleep(took)
				s.result(ref, 1, ops.Succeeded)
			}()
			_, err := s.l.Follow(t.Context(), ref, launcher.Follow{})
			s.ok(err)
			if late, n := time.Since(began)-took, e.looks.Load(); late > most.late || n > most.looks {
				t.Errorf("the end of a run of %v was heard of %v later, with %d looks; want at most %v and %d", took, late, n, most.late, most.looks)
			}
		})
	}
}
