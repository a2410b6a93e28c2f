package proof_test

import (
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// handedOver is a run of nine minutes in builds of six, which hand over after four
// and a half.
const handedOver, handingBuild = 9, 6

// TestBefallHandOver strikes the worker that hands its run over, at each call from
// before it says so in the journal to its end. The run comes to its end by the next
// attempt, or by a person who resumes it, and never do two work on it at once.
func TestBefallHandOver(t *testing.T) {
	var from, to int
	synctest.Test(t, func(t *testing.T) {
		b, _, ref := newHandingOver(t)
		r, err := b.asker().Follow(t.Context(), ref, launcher.Follow{})
		b.ok(err)
		if r.Outcome != ops.Succeeded || r.Attempt != 2 {
			t.Errorf("attempt %d ended %s: %s", r.Attempt, r.Outcome, r.Message)
		}
		calls := b.workers()[0].sent()
		to, from = len(calls), slices.Index(calls, "StartPipelineExecution")-7
	})
	if from < 1 {
		t.Fatal("the first attempt handed nothing over")
	}
	var struck, missed atomic.Int64
	t.Run("all", func(t *testing.T) {
		for at, p := range befallPlaces(to + 2) {
			if p.call < from || at%scaled(61, 1) != 0 {
				continue
			}
			t.Run(p.String(), func(t *testing.T) {
				t.Parallel()
				struck.Add(1)
				synctest.Test(t, func(t *testing.T) {
					if !befallHandOver(t, p) {
						missed.Add(1)
					}
				})
			})
		}
	})
	t.Logf("%d workers struck while they handed over; %d had ended before", struck.Load(), missed.Load())
	if missed.Load() > struck.Load()/2 {
		t.Error("too many had ended before: the places are not where calls are")
	}
}

func newHandingOver(t *testing.T) (*bubble, *launcher.Launcher, ops.RunRef) {
	b := newBubble(t, sandbox.Config{})
	b.limitBuilds(handingBuild)
	l := b.asker()
	ref, _, err := l.Launch(t.Context(), "job", b.request("canary", map[string]string{"minutes": strconv.Itoa(handedOver)}), launcher.Answers{By: "proof"})
	b.ok(err)
	return b, l, ref
}

func befallHandOver(t *testing.T, at befallPlace) (struck bool) {
	b, l, ref := newHandingOver(t)
	hit := make(chan *stricken, 1)
	b.befall(func(p *process, c call) error {
		if p != b.workers()[0] || c.n != at.call || c.moment != at.moment {
			return nil
		}
		s := &stricken{process: p, b: b}
		hit <- s
		return at.strike(s)
	})
	told := b.listen(ref)
	j := befallen{bulk: bulk{task: "canary"}}
	select {
	case s := <-hit:
		struck = true
		if at.heal != nil {
			time.Sleep(ops.LostAfter + 30*time.Second)
			if at.force && !s.hasEnded() {
				_, err := l.Resume(t.Context(), ref, j.answers(), true)
				b.ok(err)
			}
			at.heal(s)
		}
	case <-time.After(20 * time.Minute):
	}
	b.seeToTheEnd(l, ref, j)
	told.check()
	b.aloneAtATime()
	b.intact(ref)
	r := b.result(ref)
	if want := fmt.Sprintf("all of %d minutes were in order", handedOver); r == nil || len(r.Effects) != 1 || r.Effects[0].Message != want {
		t.Errorf("the verdict is %+v, want %q", r, want)
	}
	return struck
}

// aloneAtATime fails when an attempt looked at the service after the next one had
// begun to.
func (b *bubble) aloneAtATime() {
	b.t.Helper()
	all := b.workers()
	for i := 1; i < len(all); i++ {
		first, _ := all[i].asked()
		if _, last := all[i-1].asked(); !first.IsZero() && last.After(first) {
			b.t.Errorf("attempt %d asked the service %v after attempt %d had begun to", i, last.Sub(first), i+1)
		}
	}
}

// limitBuilds changes how many minutes builds of the lane may take.
func (b *bubble) limitBuilds(minutes int) {
	b.t.Helper()
	p, _ := b.Dev.CodeBuild.Project("synops-admin")
	p.TimeoutInMinutes = emulator.Number(minutes)
	for i, v := range p.Environment.EnvironmentVariables {
		if v.Name == "SYNOPS_BUILD_MINUTES" {
			p.Environment.EnvironmentVariables[i].Value = emulator.Text(strconv.Itoa(minutes))
		}
	}
	b.ok(b.Dev.CodeBuild.PutProject(p))
}
