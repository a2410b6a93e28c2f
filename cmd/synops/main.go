// Command synops runs operational tasks against Synapse.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := cli.Main(ctx, os.Args[1:], cli.System())
	stop()
	os.Exit(code)
}
