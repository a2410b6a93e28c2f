package proof_test

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cli"
)

// TestMain makes the test binary a synops too: started with a command instead of
// test flags, as a launcher or as the worker that a launcher starts, it is one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		code := cli.Main(ctx, os.Args[1:], cli.System())
		stop()
		os.Exit(code)
	}
	// Some wait for a dead worker's heartbeat to be late, others for a stack that does not
	// answer, so more may go on at once than there are processors. A -parallel on the
	// command line counts.
	_ = flag.Set("test.parallel", "4")
	os.Exit(m.Run())
}

// exhaustive tells whether every place is tried, not a few.
func exhaustive() bool { return os.Getenv("SYNOPS_PROVE") == "1" }

// scaled is few, or all when exhaustive.
func scaled(few, all int) int {
	if exhaustive() {
		return all
	}
	return few
}
