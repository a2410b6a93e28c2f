package launcher

import (
	"context"
	"fmt"
	"iter"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A staged run has no worker, so no lease document is written for it. Its hold is a
// chain of claims instead, a link a run: who has the newest link holds the lease
// until that run is over, which its documents tell. Links are only ever added, each
// by one run alone, so the chain also lists all runs that ever held it.

// A Chain is the hold of a staged task's lease in an environment.
type Chain struct {
	Lane        ops.Lane // of the task
	Environment ops.EnvironmentName
	Lease       string
}

func (c Chain) key(n int) string {
	return ops.DigestOf(fmt.Appendf(nil, "lease %q %q %d", c.Environment, c.Lease, n)).Hex()[:32]
}

func (l *Launcher) link(ctx context.Context, c Chain, n int) (*ops.Claim, error) {
	claim, err := l.Documents.FindClaim(ctx, c.Lane, c.key(n))
	if err != nil {
		return nil, fmt.Errorf("asking who holds lease %s: %w", c.Lease, err)
	}
	return claim, nil
}

// newest finds the newest link in steps that double and then halve; n is 0 while
// there is none.
func (l *Launcher) newest(ctx context.Context, c Chain) (claim *ops.Claim, n int, err error) {
	there, absent := 0, 1
	for {
		next, err := l.link(ctx, c, absent)
		if err != nil {
			return nil, 0, err
		}
		if next == nil {
			break
		}
		claim, there, absent = next, absent, 2*absent
	}
	for absent-there > 1 {
		middle := (there + absent) / 2
		next, err := l.link(ctx, c, middle)
		if err != nil {
			return nil, 0, err
		}
		if next == nil {
			absent = middle
		} else {
			claim, there = next, middle
		}
	}
	return claim, there, nil
}

// Holder is whose run has the newest link, nil while nobody ever had one. Whether
// that run is over decides nothing here.
func (l *Launcher) Holder(ctx context.Context, c Chain) (*ops.Claim, error) {
	claim, _, err := l.newest(ctx, c)
	return claim, err
}

// Take adds mine to the chain, unless the newest link is mine, or is of a run that
// is not over: then nothing is added and that link returned.
func (l *Launcher) Take(ctx context.Context, c Chain, mine ops.Claim, over func(context.Context, ops.RunRef) (bool, error)) (holder *ops.Claim, err error) {
	for {
		claim, n, err := l.newest(ctx, c)
		if err != nil {
			return nil, err
		}
		if claim != nil {
			if claim.Run == mine.Run {
				return nil, nil
			}
			if ended, err := over(ctx, ops.RunRef{Lane: claim.Lane, Run: claim.Run}); err != nil || !ended {
				return claim, err
			}
		}
		if _, created, err := l.Documents.Claim(ctx, c.key(n+1), mine); err != nil || created {
			return nil, err
		}
	}
}

// Links returns the runs of a chain, newest first, as far as the caller goes on.
func (l *Launcher) Links(ctx context.Context, c Chain) iter.Seq2[ops.Claim, error] {
	return func(yield func(ops.Claim, error) bool) {
		claim, n, err := l.newest(ctx, c)
		for ; n > 0 && err == nil; n-- {
			if claim == nil {
				if claim, err = l.link(ctx, c, n); err != nil || claim == nil {
					break
				}
			}
			if !yield(*claim, nil) {
				return
			}
			claim = nil
		}
		if err != nil {
			yield(ops.Claim{}, err)
		}
	}
}
