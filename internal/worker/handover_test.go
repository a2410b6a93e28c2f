package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// handsOver has the rig's workers hand the run over a quarter of an hour before
// their builds' limit of one.
func (r *rig) handsOver() {
	r.task.Lease, r.task.TimeLimit = "lamps", 8*time.Hour
	r.config = func(c *worker.Config) {
		c.Limit, c.HandOver = time.Hour, 15*time.Minute
		c.Next = r.store.CreateStart
	}
}

// toTheEnd performs attempt after attempt until one leaves a result.
func (r *rig) toTheEnd() (*ops.Result, int) {
	r.Helper()
	r.begin(ops.StartRun)
	for n := 1; ; n++ {
		began := time.Now()
		res, err := r.attempt(r.Context())
		if took := time.Since(began); took > time.Hour {
			r.Fatalf("attempt %d took %v, longer than its build may", n, took)
		}
		if !errors.Is(err, worker.ErrHandedOver) {
			if err != nil {
				r.Fatalf("attempt %d: %v\n%s", n, err, r.out.String())
			}
			return res, n
		}
		if h, err := r.store.Lease(context.Background(), "dev", "lamps"); err != nil || h == nil || h.Run != r.ref.Run {
			r.Fatalf("after attempt %d the lease is held by %+v (%v), want it to stay the run's", n, h, err)
		}
	}
}

func TestHandOver(t *testing.T) {
	bubble(t, "a bulk that outlasts its builds", func(t *testing.T) {
		r := newRig(t, 200)
		r.handsOver()
		r.inFlt, r.latency = 1, time.Minute
		res, attempts := r.toTheEnd()
		if res.Outcome != ops.Succeeded || attempts < 4 {
			t.Fatalf("ended %s after %d attempts: %s", res.Outcome, attempts, res.Message)
		}
		equal(t, "calls", r.allCalls(), 200)
		equal(t, "done", res.Counts[ops.EffectDone], 200)
		r.honest(res)
	})
	bubble(t, "an effect that outlasts its builds goes on from its checkpoint", func(t *testing.T) {
		r := newRig(t, 1)
		r.handsOver()
		hours := 0
		r.alter = func(p *ops.Procedure) {
			p.Verify = nil
			p.Perform = func(ctx context.Context, s *ops.Step) (ops.Done, error) {
				for at := len(s.Checkpoint); at < 5; at++ { // a digit more each half hour
					select {
					case <-ctx.Done():
						return ops.Done{}, ctx.Err()
					case <-time.After(30 * time.Minute):
					}
					hours++
					if err := s.Save(ctx, pow10(at)); err != nil {
						return ops.Done{}, err
					}
				}
				return ops.Done{}, nil
			}
		}
		res, attempts := r.toTheEnd()
		if res.Outcome != ops.Succeeded || attempts != 5 || hours != 5 {
			t.Errorf("ended %s after %d attempts and %d half hours: %s", res.Outcome, attempts, hours, res.Message)
		}
	})
	bubble(t, "an attempt that brings nothing forward is the last", func(t *testing.T) {
		r := newRig(t, 1)
		r.handsOver()
		r.faults["l00001"] = []fault{hangs, hangs, hangs, hangs}
		res, attempts := r.toTheEnd()
		if res.Outcome != ops.RunFailed || res.Code != ops.Unavailable || attempts != 1 {
			t.Errorf("ended %s (%s) after %d attempts: %s", res.Outcome, res.Code, attempts, res.Message)
		}
		contains(t, "message", res.Message, "no further")
	})
	bubble(t, "a canceled run is not handed over", func(t *testing.T) {
		r := newRig(t, 200)
		r.handsOver()
		r.inFlt, r.latency = 1, time.Minute
		r.onCall = func(string) {
			if r.allCalls() == 44 {
				r.cancel()
			}
		}
		res, attempts := r.toTheEnd()
		if res.Outcome != ops.RunCanceled || attempts != 1 {
			t.Errorf("ended %s after %d attempts: %s", res.Outcome, attempts, res.Message)
		}
	})
	bubble(t, "nor one that asked not to be", func(t *testing.T) {
		r := newRig(t, 50)
		r.handsOver()
		r.req.NoHandOver = true
		r.inFlt, r.latency = 1, time.Minute
		r.begin(ops.StartRun)
		if res, err := r.attempt(t.Context()); err != nil || res.Outcome != ops.Succeeded {
			t.Errorf("ended %+v, %v", res, err)
		}
	})
	bubble(t, "not for ever", func(t *testing.T) {
		r := newRig(t, 5000)
		r.task.MaxTargets = 5000
		r.handsOver()
		r.inFlt, r.latency = 1, time.Minute
		r.task.TimeLimit = 3 * time.Hour
		res, attempts := r.toTheEnd()
		if res.Outcome != ops.RunFailed || res.Code != ops.Unavailable || attempts > 5 {
			t.Errorf("ended %s (%s) after %d attempts: %s", res.Outcome, res.Code, attempts, res.Message)
		}
	})
	bubble(t, "the next attempt cannot be begun", func(t *testing.T) {
		r := newRig(t, 200)
		r.handsOver()
		r.inFlt, r.latency = 1, time.Minute
		limits := r.config
		r.config = func(c *worker.Config) {
			limits(c)
			c.Next = func(context.Context, ops.Start) error { return ops.Errorf(ops.Unavailable, "no pipeline answers.") }
		}
		res, _ := r.toTheEnd()
		if res.Outcome != ops.RunFailed || res.Code != ops.Unavailable {
			t.Errorf("ended %s (%s): %s", res.Outcome, res.Code, res.Message)
		}
		contains(t, "message", res.Message, "no pipeline answers")
		contains(t, "next", res.Next, "synops resume")
	})
}

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}
