package migrate

import (
	"context"
	"time"
)

// Run drives a scheduler until it is done, stopped, or ctx ends. Every record is
// durable before what it announces begins. after is called once per turn, for
// progress; it may be nil. The error is the context's, the journal's or the reason
// the scheduler stopped for; jobs in flight go on without us then.
func Run(ctx context.Context, s *Scheduler, x Executor, j Journal, after func(now time.Time)) error {
	for _, job := range s.Resume(x.Now()) {
		x.Start(ctx, job)
	}
	for {
		now := x.Now()
		jobs := s.Next(now)
		if records := s.Records(); len(records) > 0 {
			if err := j.Save(ctx, records); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
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
		for _, e := range x.Wait(ctx, s.Wake(now)) {
			for _, n := range s.Take(e) {
				x.Forget(n)
			}
		}
	}
}
