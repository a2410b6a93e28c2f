package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// sandboxFlags say how the sandbox is filled and where it listens.
type sandboxFlags struct {
	address string
	second  string
	config  sandbox.Config

	migration bool
	pair      pairFlags
}

func (a *app) sandboxCommand() *cobra.Command {
	var f sandboxFlags
	cmd := &cobra.Command{
		Use: "sandbox", Short: "Serve an in-memory Synapse on this machine, to try and rehearse",
		Long: "sandbox serves a Synapse that lives in memory until Ctrl-C: users, OAuth clients, entities, realms,\n" +
			"features and the service's oddities. A second stack (--second) shows what a wrong environment does.\n\n" +
			"With --migration it serves two stacks as a migration sees them instead: tables of all types, jobs\nand their workers, and time that passes faster than ours (--speed). It watches whoever migrates:\nGET /sandbox/report, and the end of the command, name broken rules and wrong rows.\n\n" + faultsHelp(),
		Example: "  synops sandbox &\n  export SYNAPSE_ADMIN_PAT=" + sandbox.AdminToken + "\n  synops plan remove-user users=3350396 -e sandbox\n" +
			"  synops sandbox --migration --situation final --speed 60 --write pair",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.migration {
				return a.sandboxPair(cmd, &f)
			}
			if err := f.pair.none(cmd); err != nil {
				return err
			}
			return a.sandbox(cmd.Context(), &f)
		},
	}
	cmd.Flags().StringVar(&f.address, "listen", "127.0.0.1:8544", "loopback `ADDRESS` to listen on")
	cmd.Flags().StringVar(&f.second, "second", "", "loopback `ADDRESS` of a second stack (with --migration: of the destination; default 127.0.0.1:8545)")
	cmd.Flags().IntVar(&f.config.Users, "users", 0, "`N` users beyond the seed (default 1000)")
	cmd.Flags().IntVar(&f.config.Clients, "clients", 0, "`N` OAuth clients beyond the seed (default 100)")
	cmd.Flags().IntVar(&f.config.Entities, "entities", 0, "`N` entities beyond the seed (default 1000)")
	cmd.Flags().BoolVar(&f.config.NoThrottle, "no-throttle", false, "leave out the limits of 3 at once and 600 a minute")
	cmd.Flags().BoolVar(&f.migration, "migration", false, "serve the source and the destination of a migration instead")
	f.pair.add(cmd)
	return cmd
}

// faultsHelp says how to have something go wrong.
func faultsHelp() string {
	var b strings.Builder
	b.WriteString(`Faults strike the calls they match until they are set anew; GET shows them, DELETE ends them:

  curl -X PUT http://127.0.0.1:8544/sandbox/faults \
    -d '{"active":[{"kind":"429","path":"/admin/","count":3}]}'

Beside its kind a fault may name a method, a part of the path, how many calls to skip, how many to
strike (count), a latency ("20ms") before all else, and retry_after. The kinds:

`)
	for _, k := range sandbox.FaultKinds {
		fmt.Fprintf(&b, "  %-17s %s\n", k.Kind, k.Does)
	}
	b.WriteString("\nBeside active, old_backend (true) has routes younger than 2024 unknown, and duplicate_realm (400,\n409 or 500) is the answer to a realm that is there already.")
	return b.String()
}

func (a *app) sandbox(ctx context.Context, f *sandboxFlags) error {
	first, second := sandbox.NewPair(f.config)
	l, err := listenLoopback(f.address)
	if err != nil {
		return err
	}
	defer l.Close()
	doc := map[string]string{"host": "http://" + l.Addr().String()}
	said := fmt.Sprintf("%s\nlistening on http://%s", first.Describe(), l.Addr())
	if f.second != "" {
		l2, err := listenLoopback(f.second)
		if err != nil {
			return err
		}
		said += fmt.Sprintf("\nsecond stack on http://%s", l2.Addr())
		doc["second"] = "http://" + l2.Addr().String()
		go func() { _ = second.Serve(ctx, l2) }()
	}
	a.say("%s", said)
	if err := a.print(doc, func(io.Writer) error { return nil }); err != nil {
		return err
	}
	a.flush()
	return served(first.Serve(ctx, l))
}

// served: a sandbox that was told to end ended well.
func served(err error) error {
	if canceled(err) {
		return nil
	}
	return err
}

// listenLoopback refuses any address that another machine could reach.
func listenLoopback(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || !ops.Loopback("http://"+net.JoinHostPort(host, "1")) {
		return nil, &ops.Error{Code: ops.Invalid, Message: ops.Quote(address) + " is not a loopback address.", Hint: "Write 127.0.0.1:8544, or port 0 for any free one."}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &ops.Error{Code: ops.Unavailable, Err: err, Message: fmt.Sprintf("cannot listen on %s.", address), Hint: "Is another sandbox there already? Choose another with --listen."}
	}
	return l, nil
}
