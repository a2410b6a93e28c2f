package tasks

import (
	"context"
	"math/rand/v2"
	"time"
)

// A pause waits for d, or until ctx ends and then returns its error. Tests that
// cross a real socket pass in a shorter one.
type pause func(ctx context.Context, d time.Duration) error

// wait is the pause that the catalog binds.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// jittered returns d, less up to a fifth of it, so that many runs do not knock in
// step.
func jittered(d time.Duration) time.Duration { return d - rand.N(d/5+1) }
