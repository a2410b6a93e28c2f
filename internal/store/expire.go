package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// PrivateFor is how long a run's private documents (personal before-images and
// the key of its hashes) are kept.
const PrivateFor = 30 * 24 * time.Hour

// A remover can remove a folder of documents. The disk driver is one; in a bucket
// a lifecycle rule removes, and no role of ours may.
type remover interface {
	RemoveFolder(ctx context.Context, folder string) error
}

// ExpirePrivate removes the private documents of runs older than PrivateFor, each
// day's once: expired/<day> tells which days are done. It does nothing where the
// driver removes nothing. Safe to call at any time, by any number.
func (s *Store) ExpirePrivate(ctx context.Context, now time.Time) error {
	r, ok := s.driver.(remover)
	if !ok {
		return nil
	}
	days, err := s.driver.List(ctx, "index")
	if err != nil {
		return err
	}
	done, err := s.driver.List(ctx, "expired")
	if err != nil {
		return err
	}
	last := now.Add(-PrivateFor - 24*time.Hour).UTC().Format("20060102") // all of that day is older
	for _, day := range days {
		day = strings.TrimSuffix(day, "/")
		if day > last || slices.Contains(done, day) {
			continue
		}
		if err := s.expireDay(ctx, r, day); err != nil {
			return fmt.Errorf("removing private documents of %s: %w", day, err)
		}
	}
	return nil
}

func (s *Store) expireDay(ctx context.Context, r remover, day string) error {
	runs, err := s.driver.List(ctx, "index/"+day)
	if err != nil {
		return err
	}
	for _, run := range runs {
		e, err := s.indexEntry(ctx, "index/"+day+"/"+run, run)
		if err != nil {
			return err
		}
		if err := r.RemoveFolder(ctx, runKey(ops.RunRef{Lane: e.Lane, Run: e.Run}, "private")); err != nil {
			return err
		}
	}
	err = s.driver.Create(ctx, "expired/"+day, []byte("{}\n"))
	if ops.CodeOf(err) == ops.Conflict {
		return nil
	}
	return err
}
