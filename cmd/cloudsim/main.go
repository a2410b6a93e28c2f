// Cloudsim serves two emulated AWS accounts, dev and prod, with what synops meets
// besides: an issuer of tokens such as GitHub's, GitHub's API and a Synapse for each
// account. All of it is on this machine and in memory.
//
//	cloudsim serve [--dir D] [--listen ADDRESS] [--issuer ADDRESS] [--quick]
//	cloudsim rehearse NAME [--dir D] [--keep]
//
// serve serves until it is interrupted. It prints lines for a shell to source, which
// are also in D/env; D/dev.env and D/prod.env hold keys of each account's
// administrator. What the next job's token claims is read from D/claims.json at each
// request. At the end D/asked.json tells every permission that was asked for.
//
// rehearse builds synops from the checkout it is run in and shows what it does on
// those accounts, beginning with nothing. With --keep they are served afterwards.
//
// Without --dir the files are in a folder that is removed at the end.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	p := process{args: os.Args[1:], out: os.Stdout, err: os.Stderr, getenv: os.Getenv}
	err := p.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "cloudsim: %v\n", err)
		os.Exit(exitCode(err))
	}
}

// errUsage is for arguments that cannot be meant.
var errUsage = errors.New("usage")

// exitUntried: this machine lacks what is to be shown. It is no proof, and no failure.
const exitUntried = 5

func exitCode(err error) int {
	switch {
	case errors.Is(err, errUsage):
		return 2
	case errors.Is(err, context.Canceled):
		return 130
	case errors.Is(err, rehearsal.ErrNoSubnet):
		return exitUntried
	}
	return 1
}
