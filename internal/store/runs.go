package store

import (
	"context"
	"crypto/rand"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// CreateStart asks for attempt st.N; Conflict when it was asked for already.
func (s *Store) CreateStart(ctx context.Context, st ops.Start) error {
	if err := number("start", st.N, mostAttempts); err != nil {
		return err
	}
	return s.create(ctx, startKey(ops.RunRef{Lane: st.Lane, Run: st.Run}, st.N), st)
}

// Starts returns a run's starts, ascending; none when there is no such run.
func (s *Store) Starts(ctx context.Context, ref ops.RunRef) ([]ops.Start, error) {
	return readNumbered[ops.Start](ctx, s, runKey(ref, "starts"), ".json")
}

// CreateExecution records what the engine started for start n. The same again is
// fine; another is a Conflict.
func (s *Store) CreateExecution(ctx context.Context, ref ops.RunRef, n int, e ops.Execution) error {
	return s.createAgain(ctx, executionKey(ref, n), e)
}

// Execution returns what the engine started for start n, nil when absent.
func (s *Store) Execution(ctx context.Context, ref ops.RunRef, n int) (*ops.Execution, error) {
	return read[ops.Execution](ctx, s, executionKey(ref, n))
}

// CreateAttempt claims to be attempt a.N. Conflict means that another worker is:
// this one must end at once.
func (s *Store) CreateAttempt(ctx context.Context, ref ops.RunRef, a ops.Attempt) error {
	if err := number("attempt", a.N, mostAttempts); err != nil {
		return err
	}
	return s.create(ctx, attemptKey(ref, a.N), a)
}

// Attempts returns a run's attempts, ascending.
func (s *Store) Attempts(ctx context.Context, ref ops.RunRef) ([]ops.Attempt, error) {
	return readNumbered[ops.Attempt](ctx, s, runKey(ref, "attempts"), ".json")
}

// Started returns what was started for start n and what its worker wrote of itself,
// each zero or nil while absent.
func (s *Store) Started(ctx context.Context, ref ops.RunRef, n int) (exec ops.Execution, own *ops.Attempt, err error) {
	x, err := s.Execution(ctx, ref, n)
	if err != nil {
		return exec, nil, err
	}
	if x != nil {
		exec = *x
	}
	own, err = read[ops.Attempt](ctx, s, attemptKey(ref, n))
	return exec, own, err
}

// PutHeartbeat replaces the run's heartbeat.
func (s *Store) PutHeartbeat(ctx context.Context, ref ops.RunRef, hb ops.Heartbeat) error {
	data, err := ops.CanonicalJSON(hb)
	if err != nil {
		return err
	}
	return s.driver.Put(ctx, heartbeatKey(ref), data)
}

// Heartbeat returns the run's heartbeat and its age by the store's clock; nil when
// absent.
func (s *Store) Heartbeat(ctx context.Context, ref ops.RunRef) (*ops.Heartbeat, time.Duration, error) {
	hb, err := read[ops.Heartbeat](ctx, s, heartbeatKey(ref))
	if hb == nil || err != nil {
		return nil, 0, err
	}
	age, err := s.driver.Age(ctx, heartbeatKey(ref))
	if err != nil {
		return nil, 0, err
	}
	return hb, age, nil
}

// CreatePlan keeps the run's plan. The same again is fine; another is a Conflict.
func (s *Store) CreatePlan(ctx context.Context, ref ops.RunRef, p *ops.Plan) error {
	return s.createAgain(ctx, planKey(ref), p)
}

// Plan returns the run's plan, nil when absent.
func (s *Store) Plan(ctx context.Context, ref ops.RunRef) (*ops.Plan, error) {
	return read[ops.Plan](ctx, s, planKey(ref))
}

// CreateResult keeps the result of attempt r.Attempt. The same again is fine;
// another is a Conflict.
func (s *Store) CreateResult(ctx context.Context, ref ops.RunRef, r *ops.Result) error {
	if err := number("the result's attempt", r.Attempt, mostAttempts); err != nil {
		return err
	}
	return s.createAgain(ctx, resultKey(ref, r.Attempt), r)
}

// Results returns the results of all attempts that wrote one, ascending.
func (s *Store) Results(ctx context.Context, ref ops.RunRef) ([]ops.Result, error) {
	return readNumbered[ops.Result](ctx, s, runKey(ref, "results"), ".json")
}

// Result returns the result of attempt n, nil when absent.
func (s *Store) Result(ctx context.Context, ref ops.RunRef, n int) (*ops.Result, error) {
	return read[ops.Result](ctx, s, resultKey(ref, n))
}

// CreateCancel asks the run to end. It returns false when that was asked already;
// the first asking stays.
func (s *Store) CreateCancel(ctx context.Context, ref ops.RunRef, m ops.CancelMarker) (bool, error) {
	err := s.create(ctx, cancelKey(ref), m)
	if ops.CodeOf(err) == ops.Conflict {
		return false, nil
	}
	return err == nil, err
}

// CancelMarker returns who asked the run to end, nil when nobody did.
func (s *Store) CancelMarker(ctx context.Context, ref ops.RunRef) (*ops.CancelMarker, error) {
	return read[ops.CancelMarker](ctx, s, cancelKey(ref))
}

// CreatePrivate keeps a personal before-image. A name that is taken is fine: the
// first stays, since a later attempt may read what the earlier one changed. The
// name "key" is the store's own.
func (s *Store) CreatePrivate(ctx context.Context, ref ops.RunRef, name string, data []byte) error {
	if name == keyName {
		return ops.Errorf(ops.Invalid, "the private document %q is the run's key.", name)
	}
	err := s.driver.Create(ctx, privateKey(ref, name), data)
	if ops.CodeOf(err) == ops.Conflict {
		return nil
	}
	return err
}

// Private returns a personal before-image; NotFound when absent.
func (s *Store) Private(ctx context.Context, ref ops.RunRef, name string) ([]byte, error) {
	return s.driver.Get(ctx, privateKey(ref, name))
}

const keyName = "key"

// PrivateKey returns the run's 32 random bytes, with which its documents hash
// personal data. They are made by whoever asks first; all get the same.
func (s *Store) PrivateKey(ctx context.Context, ref ops.RunRef) ([]byte, error) {
	doc := privateKey(ref, keyName)
	there, err := s.driver.Get(ctx, doc)
	if ops.CodeOf(err) == ops.NotFound {
		fresh := make([]byte, 32)
		rand.Read(fresh) // never fails: it would end the process
		if err := s.driver.Create(ctx, doc, fresh); ops.CodeOf(err) != ops.Conflict {
			return fresh, err
		}
		there, err = s.driver.Get(ctx, doc) // another was first
	}
	if err != nil {
		return nil, err
	}
	if len(there) != 32 {
		return nil, notThis(doc, "is not a key")
	}
	return there, nil
}
