// Cloudsim serves two emulated AWS accounts, dev and prod, and an issuer of tokens
// such as GitHub's, on this machine until it is interrupted.
//
//	cloudsim --dir D [--listen 127.0.0.1:0] [--issuer 127.0.0.1:0] [--quick]
//
// Once both are served it prints lines for a shell to source, which are also in
// D/env; D/dev.env and D/prod.env hold keys of each account's administrator. What
// the next job's token claims is read from D/claims.json at each request. At the
// end D/asked.json tells every permission that was asked for.
//
// State lives in memory: who starts it again begins with empty accounts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "cloudsim: %v\n", err)
		stop()
		os.Exit(exitCode(err))
	}
}

// errUsage is for arguments that cannot be meant.
var errUsage = errors.New("usage: cloudsim --dir D [--listen 127.0.0.1:0] [--issuer 127.0.0.1:0] [--quick]")

func exitCode(err error) int {
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if err := s.start(stderr); err != nil {
		s.stop()
		return err
	}
	if err := s.announce(stdout); err != nil {
		s.stop()
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	s.stop()
	return errors.Join(err, s.writeAsked())
}

func parse(args []string, stderr io.Writer) (*simulation, error) {
	s := &simulation{failed: make(chan error, 2)}
	f := flag.NewFlagSet("cloudsim", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&s.dir, "dir", "", "folder for what it writes")
	f.StringVar(&s.listen, "listen", "127.0.0.1:0", "address of the accounts")
	f.StringVar(&s.listenIssuer, "issuer", "127.0.0.1:0", "address of the issuer")
	f.BoolVar(&s.quick, "quick", false, "leave out throttling, delays and empty pages")
	if err := f.Parse(args); err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if s.dir == "" || f.NArg() > 0 {
		return nil, errUsage
	}
	return s, nil
}
