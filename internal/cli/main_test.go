package cli_test

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cli"
)

var update = flag.Bool("update", false, "rewrite the golden files and the scripts' expected outputs")

// TestMain makes the test binary stand for synops wherever it is called so: in
// scripts, and as the worker that a run starts.
func TestMain(m *testing.M) {
	// Scripts wait for little but fsync. What is durable is the store's to prove.
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() && os.Getenv("GOTMPDIR") == "" {
		_ = os.Setenv("GOTMPDIR", "/dev/shm")
	}
	// They wait for accounts that take their time, so more of them may go on at once
	// than there are processors. A -parallel on the command line counts.
	_ = flag.Set("test.parallel", "8")
	// The race detector's programs sleep a second before they exit unless told not to.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	testscript.Main(m, map[string]func(){"synops": func() {
		standInStages(os.Getenv(standInMigrate))
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		code := cli.Main(ctx, os.Args[1:], cli.System())
		stop()
		os.Exit(code)
	}, "stand-in-builder": func() { os.Exit(standInBuilder(os.Args[1:])) }})
}
