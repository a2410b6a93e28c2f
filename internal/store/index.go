package store

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// CreateIndex enters a run in the index. Again is fine; the first entry stays.
func (s *Store) CreateIndex(ctx context.Context, e ops.IndexEntry) error {
	if _, err := ops.ParseRunID(string(e.Run)); err != nil {
		return err
	}
	err := s.create(ctx, indexKey(e.Run), e)
	if ops.CodeOf(err) == ops.Conflict {
		return nil
	}
	return err
}

// Index returns the runs of all lanes, newest first. It reads one day's names and
// one entry at a time, as far as the caller goes on. An entry that cannot be read
// comes as an error, and those after it still come; a folder that cannot be listed
// ends it.
func (s *Store) Index(ctx context.Context) iter.Seq2[ops.IndexEntry, error] {
	return func(yield func(ops.IndexEntry, error) bool) {
		days, err := s.driver.List(ctx, "index")
		if err != nil {
			yield(ops.IndexEntry{}, err)
			return
		}
		for _, day := range slices.Backward(days) {
			day, isFolder := strings.CutSuffix(day, "/")
			if !isFolder {
				continue
			}
			runs, err := s.driver.List(ctx, "index/"+day)
			if err != nil {
				yield(ops.IndexEntry{}, err)
				return
			}
			for _, run := range slices.Backward(runs) {
				if !yield(s.indexEntry(ctx, "index/"+day+"/"+run, run)) || ctx.Err() != nil {
					return
				}
			}
		}
	}
}

func (s *Store) indexEntry(ctx context.Context, key, run string) (ops.IndexEntry, error) {
	e, err := mustRead[ops.IndexEntry](ctx, s, key)
	if err != nil {
		return ops.IndexEntry{}, err
	}
	if string(e.Run) != run {
		return ops.IndexEntry{}, notThis(key, "is another run's")
	}
	return *e, nil
}

// Queued returns the runs asked for at or after since that no worker has begun, and
// that the index does not have therefore, oldest first. Plans are not among them: no
// index ever has them. On a disk none are looked for: there a worker begins when it
// is asked for, and all runs there ever were would have to be read.
func (s *Store) Queued(ctx context.Context, since time.Time) ([]ops.RunRef, error) {
	d, ok := s.driver.(laterLister)
	if !ok {
		return nil, nil
	}
	var asked []ops.RunRef
	for _, lane := range ops.Lanes() {
		if lane == ops.LanePlan {
			continue
		}
		names, err := d.ListFrom(ctx, string(lane)+"/runs", ops.RunIDFrom(since))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			run, isFolder := strings.CutSuffix(name, "/")
			if id, err := ops.ParseRunID(run); err == nil && isFolder {
				asked = append(asked, ops.RunRef{Lane: lane, Run: id})
			}
		}
	}
	// The index after the runs: what begins meanwhile is in it, and is left to it.
	begun := map[string][]string{} // by day
	for _, ref := range asked {
		day := dayOf(ref.Run)
		if _, read := begun[day]; read {
			continue
		}
		var err error
		if begun[day], err = s.driver.List(ctx, "index/"+day); err != nil {
			return nil, err
		}
	}
	asked = slices.DeleteFunc(asked, func(ref ops.RunRef) bool {
		_, is := slices.BinarySearch(begun[dayOf(ref.Run)], string(ref.Run))
		return is
	})
	slices.SortFunc(asked, func(x, y ops.RunRef) int { return strings.Compare(string(x.Run), string(y.Run)) })
	return asked, nil
}

// Find returns where a run's documents are, by looking for its first start in each
// lane. It is NotFound when no lane has it, and another error when a lane that
// might have it cannot be asked.
func (s *Store) Find(ctx context.Context, run ops.RunID) (ops.RunRef, error) {
	if _, err := ops.ParseRunID(string(run)); err != nil {
		return ops.RunRef{}, err
	}
	var failed error
	for _, lane := range ops.Lanes() {
		ref := ops.RunRef{Lane: lane, Run: run}
		_, err := s.driver.Age(ctx, startKey(ref, 1))
		if err == nil {
			return ref, nil
		}
		if failed == nil && ops.CodeOf(err) != ops.NotFound {
			failed = err
		}
	}
	if failed != nil {
		return ops.RunRef{}, failed
	}
	return ops.RunRef{}, s.noRun(run)
}

func (s *Store) noRun(run ops.RunID) error {
	return &ops.Error{Code: ops.NotFound, Message: "there is no run " + ops.Quote(string(run)) + " in the store " + s.URL() + ".", Hint: `"synops runs" lists the runs; --store names another store.`}
}

// Status gathers what a run's documents say; NotFound when there is no such run.
// The documents are read one after the other, in the order they are written, so
// that the state they add up to was the run's at some moment of the call.
func (s *Store) Status(ctx context.Context, ref ops.RunRef) (*ops.RunStatus, error) {
	st := &ops.RunStatus{RunRef: ref}
	var err error
	if st.Starts, err = s.Starts(ctx, ref); err != nil {
		return nil, err
	}
	if len(st.Starts) == 0 {
		return nil, s.noRun(ref.Run)
	}
	if st.Request, err = s.Request(ctx, ref.Lane, st.Starts[0].Request); err != nil {
		return nil, err
	}
	if st.Attempts, err = s.Attempts(ctx, ref); err != nil {
		return nil, err
	}
	if st.Result, err = s.newestResult(ctx, ref); err != nil {
		return nil, err
	}
	if st.Cancel, err = s.CancelMarker(ctx, ref); err != nil {
		return nil, err
	}
	st.Heartbeat, st.HeartbeatAge, err = s.Heartbeat(ctx, ref)
	if err != nil {
		return nil, err
	}
	return st, nil
}

// newestResult reads the result of the highest attempt alone.
func (s *Store) newestResult(ctx context.Context, ref ops.RunRef) (*ops.Result, error) {
	folder := runKey(ref, "results")
	names, err := s.driver.List(ctx, folder)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Backward(names) {
		if _, ok := numberOf(name, ".json", 4); ok {
			return mustRead[ops.Result](ctx, s, folder+"/"+name)
		}
	}
	return nil, nil
}
