package store

import (
	"context"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// The names of a lease's documents, and of a freeze's: one that begins it, one
// that ends it.
const (
	heldSuffix     = ".json"
	releasedSuffix = ".released"
	frozenSuffix   = ".json"
	liftedSuffix   = ".lifted"
)

var leaseName = ops.Pattern(`^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`)

// AcquireLease takes the name for l's run with the next fence, which got tells. It
// may when the lease was never taken or is released, when an earlier attempt of
// the same run has it, and when takeover is the lease as it stands: the caller has
// proved that its run will never act again. The same attempt asking again gets
// what it has. Otherwise holder tells who has it, and err is nil; exactly one of
// holder and a got with a fence is set. Of several that race for a fence one wins.
func (s *Store) AcquireLease(ctx context.Context, l ops.Lease, takeover *ops.Lease) (got ops.Lease, holder *ops.Lease, err error) {
	folder, err := folderOfLease(l.Environment, l.Name)
	if err != nil {
		return ops.Lease{}, nil, err
	}
	for taken := 0; ; {
		last, held, err := s.lastLease(ctx, folder)
		if err == nil && last < taken {
			err = contradiction(folder, taken)
		}
		if err != nil {
			return ops.Lease{}, nil, err
		}
		if held != nil {
			mine := held.RunRef == l.RunRef
			switch {
			case mine && held.Attempt == l.Attempt:
				return *held, nil, nil
			case mine && held.Attempt < l.Attempt, sameLease(held, takeover):
			default: // also a later attempt of the same run: this one is over
				return ops.Lease{}, held, nil
			}
		}
		next := l
		next.Fence, next.Released = last+1, time.Time{}
		err = s.create(ctx, folder+"/"+number8(next.Fence)+heldSuffix, next)
		if err == nil {
			return next, nil, nil
		}
		if ops.CodeOf(err) != ops.Conflict {
			return ops.Lease{}, nil, err
		}
		// Another took that fence first: look again. Each turn means that somebody
		// got it, so this ends.
		taken = next.Fence
	}
}

// sameLease tells whether b is the lease a: a fence is given out once.
func sameLease(a, b *ops.Lease) bool {
	return b != nil && a.Environment == b.Environment && a.Name == b.Name && a.Fence == b.Fence && a.RunRef == b.RunRef && a.Attempt == b.Attempt
}

// ReleaseLease frees the lease that AcquireLease returned. Again is fine, also
// after another has taken it over.
func (s *Store) ReleaseLease(ctx context.Context, l ops.Lease) error {
	folder, err := folderOfLease(l.Environment, l.Name)
	if err != nil {
		return err
	}
	if err := number("fence", l.Fence, mostDocuments); err != nil {
		return err
	}
	held, err := mustRead[ops.Lease](ctx, s, folder+"/"+number8(l.Fence)+heldSuffix)
	if err != nil {
		return err
	}
	if held.RunRef != l.RunRef {
		return ops.Errorf(ops.Conflict, "lease %s with fence %d is held by run %s, not %s.", ops.Quote(l.Name), l.Fence, held.Run, l.Run)
	}
	if l.Released.IsZero() {
		l.Released = time.Now().UTC()
	}
	err = s.create(ctx, folder+"/"+number8(l.Fence)+releasedSuffix, l)
	if ops.CodeOf(err) == ops.Conflict {
		return nil
	}
	return err
}

// Lease returns the lease that is held, nil when the name is free.
func (s *Store) Lease(ctx context.Context, env ops.EnvironmentName, name string) (*ops.Lease, error) {
	folder, err := folderOfLease(env, name)
	if err != nil {
		return nil, err
	}
	_, held, err := s.lastLease(ctx, folder)
	return held, err
}

// HeldBy is Lease for whoever only waits: of a released one the document is not
// read, which is a call less. Whoever then takes it reads it.
func (s *Store) HeldBy(ctx context.Context, env ops.EnvironmentName, name string) (*ops.Lease, error) {
	folder, err := folderOfLease(env, name)
	if err != nil {
		return nil, err
	}
	last, _, over, err := s.episodes(ctx, folder, heldSuffix, releasedSuffix)
	if err != nil || last == 0 || over {
		return nil, err
	}
	_, held, err := s.lastLease(ctx, folder)
	return held, err
}

// Leases returns the leases that are held, of all environments, in the order of
// environment and name.
func (s *Store) Leases(ctx context.Context) ([]ops.Lease, error) {
	var out []ops.Lease
	environments, err := s.driver.List(ctx, "leases")
	if err != nil {
		return nil, err
	}
	for _, env := range environments {
		names, err := s.driver.List(ctx, "leases/"+strings.TrimSuffix(env, "/"))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			_, held, err := s.lastLease(ctx, "leases/"+env+strings.TrimSuffix(name, "/"))
			if err != nil {
				return nil, err
			}
			if held != nil {
				out = append(out, *held)
			}
		}
	}
	return out, nil
}

// lastLease returns the highest fence given out, 0 for none, and its lease if that
// is held. Lower fences are over, released or not. A document that cannot be read
// is an error: free would be a guess.
func (s *Store) lastLease(ctx context.Context, folder string) (last int, held *ops.Lease, err error) {
	last, _, over, err := s.episodes(ctx, folder, heldSuffix, releasedSuffix)
	if err != nil || last == 0 {
		return 0, nil, err
	}
	suffix := heldSuffix
	if over {
		suffix = releasedSuffix
	}
	key := folder + "/" + number8(last) + suffix
	l, err := mustRead[ops.Lease](ctx, s, key)
	if err != nil {
		return 0, nil, err
	}
	if l.Fence != last || leaseFolder(l.Environment, l.Name) != folder {
		return 0, nil, notThis(key, "is another lease's")
	}
	if over {
		return last, nil, nil
	}
	return last, l, nil
}

// contradiction is the error of a store that does not list what it says is taken:
// without it, whoever looks again would do so for ever.
func contradiction(folder string, n int) error {
	return ops.Errorf(ops.Internal, "the store says that number %d in %s is taken and does not list it.", n, ops.Quote(folder))
}

func folderOfLease(env ops.EnvironmentName, name string) (string, error) {
	if !leaseName().MatchString(name) {
		return "", &ops.Error{Code: ops.Invalid, Message: ops.Quote(name) + " is not a lease's name.", Hint: `It is letters, digits, ".", "_" and "-", in parts joined by "/", such as stack/544.`}
	}
	return leaseFolder(env, name), nil
}

// episodes reads a folder whose documents come as numbered pairs, one that begins
// and one that ends. It returns the highest number, the numbers begun and not
// ended, ascending, and whether the highest is ended. A name that is neither is an
// error: something is there that this release does not understand.
func (s *Store) episodes(ctx context.Context, folder, begin, end string) (last int, open []int, over bool, err error) {
	names, err := s.driver.List(ctx, folder)
	if err != nil {
		return 0, nil, false, err
	}
	begun, ended := map[int]bool{}, map[int]bool{}
	for _, name := range names {
		if n, ok := numberOf(name, begin, 8); ok {
			begun[n], last = true, max(last, n)
		} else if n, ok := numberOf(name, end, 8); ok {
			// Its beginning is there too, although a listing that ran meanwhile may
			// have missed it.
			ended[n], last = true, max(last, n)
		} else {
			return 0, nil, false, notThis(folder+"/"+name, "does not belong there")
		}
	}
	for n := 1; n <= last; n++ {
		if begun[n] && !ended[n] {
			open = append(open, n)
		}
	}
	return last, open, ended[last], nil
}
