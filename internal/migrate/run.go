package migrate

import (
	"context"
	"time"
)

// grace is how long what is written down may take once a run is to end.
const grace = 20 * time.Second

// Run drives a scheduler until it is done, stopped, or ctx ends. Every record is
// durable before what it announces begins. after is called once per turn, for
// progress; it may be nil. The error is the context's, the journal's or the reason
// the scheduler stopped for; jobs in flight go on without us then.
//
// When ctx ends nothing more is started, and what is known by then is written down,
// so that a later process follows the jobs in flight.
func Run(ctx context.Context, s *Scheduler, x Executor, j Journal, after func(now time.Time)) error {
	lasting, cancel := Linger(ctx, grace)
	defer cancel()
	save := func() error {
		if records := s.Records(); len(records) > 0 {
			return j.Save(lasting, records)
		}
		return nil
	}
	take := func(events []Event) {
		for _, e := range events {
			for _, n := range s.Take(e) {
				x.Forget(n)
			}
		}
	}
	for _, job := range s.Resume(x.Now()) {
		x.Start(ctx, job)
	}
	for ctx.Err() == nil {
		now := x.Now()
		jobs := s.Next(now)
		if err := save(); err != nil {
			return err
		}
		for _, job := range jobs {
			x.Start(ctx, job)
		}
		if after != nil {
			after(now)
		}
		if s.Done() {
			return s.stopped
		}
		take(x.Wait(ctx, s.Wake(now)))
	}
	take(x.Wait(ctx, x.Now()))
	if err := save(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// Linger returns a context that ends d after ctx does, for what must not be broken
// off in the middle.
func Linger(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-lasting.Done():
		}
	})
	return lasting, func() { unhook(); cancel() }
}
