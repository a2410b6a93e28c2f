package store

import (
	"context"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Freeze stops an environment's runs from starting effects, and returns the freeze
// as it now is, numbered. One that is in force stays and is returned instead: its
// By and Reason tell. f.N, LiftedBy and LiftedAt are not looked at.
func (s *Store) Freeze(ctx context.Context, f ops.Freeze) (ops.Freeze, error) {
	f.LiftedBy, f.LiftedAt = "", time.Time{}
	for taken := 0; ; taken = f.N {
		last, there, err := s.lastFreeze(ctx, f.Environment)
		if err == nil && last < taken {
			err = contradiction(freezeFolder(f.Environment), taken)
		}
		if err != nil {
			return ops.Freeze{}, err
		}
		if there != nil {
			return *there, nil
		}
		f.N = last + 1
		err = s.create(ctx, freezeFolder(f.Environment)+"/"+number8(f.N)+frozenSuffix, f)
		if err == nil {
			return f, nil
		}
		if ops.CodeOf(err) != ops.Conflict { // otherwise another froze it meanwhile
			return ops.Freeze{}, err
		}
	}
}

// Unfreeze lifts the freeze in force and returns it; nil when there was none, or
// another lifted it first.
func (s *Store) Unfreeze(ctx context.Context, env ops.EnvironmentName, by string, at time.Time) (*ops.Freeze, error) {
	_, there, err := s.lastFreeze(ctx, env)
	if err != nil || there == nil {
		return nil, err
	}
	there.LiftedBy, there.LiftedAt = by, at
	err = s.create(ctx, freezeFolder(env)+"/"+number8(there.N)+liftedSuffix, there)
	if ops.CodeOf(err) == ops.Conflict {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return there, nil
}

// Frozen returns the freeze in force, nil when there is none. A marker that cannot
// be read is an error: the caller must take the environment for frozen.
func (s *Store) Frozen(ctx context.Context, env ops.EnvironmentName) (*ops.Freeze, error) {
	_, there, err := s.lastFreeze(ctx, env)
	return there, err
}

// lastFreeze returns the highest number given out, 0 for none, and the freeze in
// force. There is at most one, since a number is given out only when all before it
// are lifted; were there more, the oldest is returned, and lifted first.
func (s *Store) lastFreeze(ctx context.Context, env ops.EnvironmentName) (last int, there *ops.Freeze, err error) {
	folder := freezeFolder(env)
	last, open, _, err := s.episodes(ctx, folder, frozenSuffix, liftedSuffix)
	if err != nil || last == 0 {
		return 0, nil, err
	}
	n, suffix := last, liftedSuffix
	if len(open) > 0 {
		n, suffix = open[0], frozenSuffix
	}
	key := folder + "/" + number8(n) + suffix
	f, err := mustRead[ops.Freeze](ctx, s, key)
	if err != nil {
		return 0, nil, err
	}
	if f.N != n || f.Environment != env {
		return 0, nil, notThis(key, "is another freeze's")
	}
	if len(open) > 0 {
		return last, f, nil
	}
	return last, nil, nil
}
