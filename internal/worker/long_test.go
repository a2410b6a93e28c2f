package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// longWork has the rig's one effect take a hundred minutes, of which it saves each
// ten as a checkpoint. failAt ends its first attempt with an error after so many.
func (r *rig) longWork(failAt int, failure error) (given *[][]string) {
	given = new([][]string)
	r.task.TimeLimit = 8 * time.Hour
	r.settle = func(string) ops.Settling { return ops.SettleResume }
	r.alter = func(p *ops.Procedure) {
		p.Verify, p.Settle = nil, nil
		p.Left = func(context.Context, ops.Values, bool) string { return "The house is dark." }
		p.Perform = func(ctx context.Context, s *ops.Step) (ops.Done, error) {
			var got []string
			for _, c := range s.Checkpoints {
				got = append(got, string(c))
			}
			*given = append(*given, got)
			for at := len(got); at < 10; at++ {
				if at == failAt && len(*given) == 1 {
					return ops.Done{}, failure
				}
				select {
				case <-s.Ending:
					<-ctx.Done()
					return ops.Done{}, ctx.Err()
				case <-time.After(10 * time.Minute):
				}
				if err := s.Save(ctx, at); err != nil {
					return ops.Done{}, err
				}
			}
			return ops.Done{}, r.call(ctx, "l00001")
		}
	}
	return given
}

// TestLongEffect: what goes on from its checkpoints gets them all, whatever ended the
// attempt before, and what is not finished is never told as done or as not begun.
func TestLongEffect(t *testing.T) {
	bubble(t, "over hand-overs", func(t *testing.T) {
		r := newRig(t, 1)
		r.handsOver()
		given := r.longWork(-1, nil)
		res, attempts := r.toTheEnd()
		if res.Outcome != ops.Succeeded || attempts != 3 {
			t.Fatalf("ended %s after %d attempts: %s", res.Outcome, attempts, res.Message)
		}
		equal(t, "what each attempt was given", fmt.Sprint(*given), "[[] [0 1 2 3] [0 1 2 3 4 5 6 7]]")
		equal(t, "message", res.Message, "The house is dark. Done.")
	})
	for _, failure := range []error{ops.Errorf(ops.Unavailable, "the house does not answer."), ops.Errorf(ops.Unsettled, "no answer.")} {
		bubble(t, "what fails goes on at a resume: "+failure.Error(), func(t *testing.T) {
			r := newRig(t, 1)
			given := r.longWork(3, failure)
			res := r.ends(ops.StartRun, ops.RunFailed, ops.CodeOf(failure))
			contains(t, "message", res.Message, "The house is dark. 1 lamp begun and not finished.")
			contains(t, "next", res.Next, "synops resume")
			equal(t, "changed", res.Changed, "A part was changed.")
			r.ends(ops.StartResume, ops.Succeeded, "")
			equal(t, "what each attempt was given", fmt.Sprint(*given), "[[] [0 1 2]]")
		})
	}
	bubble(t, "what cannot succeed is not gone on with", func(t *testing.T) {
		r := newRig(t, 1)
		r.longWork(3, ops.Errorf(ops.Conflict, "a fuse is missing."))
		res := r.ends(ops.StartRun, ops.RunFailed, ops.Conflict)
		contains(t, "next", res.Next, "Retry what failed")
		equal(t, "changed", res.Changed, "A part was changed.")
	})
	bubble(t, "what fails before the first checkpoint was not begun", func(t *testing.T) {
		r := newRig(t, 1)
		given := r.longWork(0, ops.Errorf(ops.Unavailable, "the house does not answer."))
		res, err := r.work(ops.StartRun)
		if err != nil || res.Counts[ops.EffectDone] != 0 || res.Changed != "Nothing was changed." {
			t.Fatalf("got %+v, %v", res, err)
		}
		equal(t, "attempts", len(*given), 1)
	})
	bubble(t, "a cancel ends it for good", func(t *testing.T) {
		r := newRig(t, 1)
		r.longWork(-1, nil)
		time.AfterFunc(31*time.Minute, r.cancel)
		res := r.ends(ops.StartRun, ops.RunCanceled, ops.Canceled)
		contains(t, "message", res.Message, "The house is dark. Canceled by ada.")
		equal(t, "changed", res.Changed, "A part was changed.")
		contains(t, "the effect", res.Effects[0].Message, "stopped before its end")
	})
}

// TestLongEffectIsCanceledWhileNobodyWorks: the attempt that finds it only says so.
func TestLongEffectIsCanceledWhileNobodyWorks(t *testing.T) {
	for _, tens := range []int{0, 3} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 1)
			given := r.longWork(-1, nil)
			r.begin(ops.StartRun)
			ctx, stop := context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(10*tens+1)*time.Minute, stop)
			if _, err := r.attempt(ctx); !errors.Is(err, worker.ErrStopped) {
				t.Fatalf("the worker ended with %v", err)
			}
			r.cancel()
			res := r.ends(ops.StartSettle, ops.RunCanceled, ops.Canceled)
			equal(t, "attempts that performed", len(*given), 1)
			want := "Nothing was changed."
			if tens > 0 {
				want = "A part was changed."
				contains(t, "message", res.Message, "The house is dark. Canceled by ada.")
			}
			equal(t, "changed", res.Changed, want)
		})
	}
}
