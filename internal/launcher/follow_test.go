package launcher_test

import (
	"context"
	"sync"
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
