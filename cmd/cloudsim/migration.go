package main

import (
	"context"
)

// migrated: two simulated stacks, and what a migration of one into the other would find.
func (r *runs) migrated(ctx context.Context) error {
	r.Scene("two stacks that a migration may be between are looked at")
	pair := r.dev.Pair
	task := []string{"migrate-status", "source-host=" + pair.Source, "destination-host=" + pair.Destination}
	if _, err := r.Do(ctx, r.asks("run-task.yml", true), 0, append([]string{"run"}, task...)...); err != nil {
		return err
	}
	return nil
}
