package cli

import "github.com/spf13/cobra"

// Root returns the command tree as Main builds it.
func Root(p Process) *cobra.Command {
	a := &app{p: p}
	a.out, a.err = a.secrets.Writer(p.Out), a.secrets.Writer(p.Err)
	return a.root()
}

// HandedOn lists the variables that a worker gets from its launcher.
var HandedOn = handedOn
