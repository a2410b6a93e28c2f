package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
)

// A process is this program's outside.
type process struct {
	args     []string
	out, err io.Writer
	getenv   func(string) string
}

// A rehearsed story, by its name on the command line.
type rehearsed struct {
	name, about string
	tell        func(context.Context, *rehearsal.Story) error
	// stage says what the story needs of its stage; nil: nothing.
	stage func(*rehearsal.Config) error
}

// rehearsals is every story there is.
var rehearsals = []rehearsed{
	{name: "account", about: "two empty accounts become what runs need, and the doctor looks at them", tell: rehearseAccount},
	{name: "runs", about: "runs in dev's account: planned, refused, canceled, killed and resumed, handed over", tell: rehearseRuns, stage: noThrottle},
	{name: "migration", about: "a migration between two stacks that outlasts its builds, one of which is killed", tell: rehearseMigration, stage: pairOfStacks},
	{name: "subnet", about: "a service that answers in a network of its own alone, and a run in there", tell: rehearseSubnet, stage: hiddenDev},
	{name: "workflows", about: "the dashboards' forms, dispatched with act through core's workflows, in dev and prod", tell: rehearseWorkflows, stage: dashboards},
}

const usage = `usage: cloudsim serve [--dir D] [--listen ADDRESS] [--issuer ADDRESS] [--quick]
       cloudsim rehearse NAME [--dir D] [--keep]`

// help says what can be asked for.
func help() string {
	lines := []string{usage, "rehearsals:"}
	for _, r := range rehearsals {
		lines = append(lines, fmt.Sprintf("  %-10s %s", r.name, r.about))
	}
	return strings.Join(lines, "\n")
}

// run does what the arguments say.
func (p process) run(ctx context.Context) error {
	if len(p.args) == 0 {
		return p.misused(errors.New("serve or rehearse is missing"))
	}
	switch p.args[0] {
	case "serve":
		return p.serve(ctx, p.args[1:])
	case "rehearse":
		return p.rehearse(ctx, p.args[1:])
	case "within": // in a subnet; for OpenSubnet alone
		return rehearsal.Within(os.Stdin, p.out)
	case "help", "-h", "--help":
		_, err := fmt.Fprintln(p.out, help())
		return err
	}
	return p.misused(fmt.Errorf("%q is neither serve nor rehearse", p.args[0]))
}

// misused says how it is used.
func (p process) misused(err error) error {
	fmt.Fprintln(p.err, help())
	return fmt.Errorf("%w: %w", errUsage, err)
}

// flags is a set of flags with --dir. What is wrong is told by misused.
func flags(dir *string) *flag.FlagSet {
	f := flag.NewFlagSet("cloudsim", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(dir, "dir", "", "folder for what is written")
	return f
}

func (p process) serve(ctx context.Context, args []string) error {
	s := &simulation{}
	f := flags(&s.dir)
	f.StringVar(&s.config.Listen, "listen", "", "address of the accounts")
	f.StringVar(&s.config.ListenIssuer, "issuer", "", "address of the issuer")
	f.BoolVar(&s.quick, "quick", false, "leave out throttling, delays and empty pages")
	err := f.Parse(args)
	if err == nil && f.NArg() > 0 {
		err = fmt.Errorf("serve takes no %q", f.Arg(0))
	}
	if err != nil {
		return p.misused(err)
	}
	return p.simulate(ctx, s, func() error { return s.wait(ctx, p.out) })
}

func (p process) rehearse(ctx context.Context, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return p.misused(errors.New("which rehearsal?"))
	}
	i := slices.IndexFunc(rehearsals, func(r rehearsed) bool { return r.name == args[0] })
	if i < 0 {
		return p.misused(fmt.Errorf("there is no rehearsal %q", args[0]))
	}
	s := &simulation{story: true}
	f := flags(&s.dir)
	keep := f.Bool("keep", false, "serve the accounts afterwards")
	err := f.Parse(args[1:])
	if err == nil && f.NArg() > 0 {
		err = fmt.Errorf("rehearse takes no %q", f.Arg(0))
	}
	if err != nil {
		return p.misused(err)
	}
	if set := rehearsals[i].stage; set != nil {
		if err := set(&s.config); err != nil {
			return err
		}
	}
	return p.simulate(ctx, s, func() error {
		if err := s.tell(ctx, p.out, rehearsals[i].tell); err != nil || !*keep {
			return err
		}
		fmt.Fprintf(p.out, "\nThe accounts are served until Ctrl-C. In another terminal: . %s\n\n", ops.ShellQuote(s.file("dev.env")))
		return s.wait(ctx, p.out)
	})
}

// simulate sets the stage up around act, and leaves a record behind.
func (p process) simulate(ctx context.Context, s *simulation, act func() error) error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "cloudsim-")
		if err != nil {
			return fmt.Errorf("making a folder: %w", err)
		}
		defer os.RemoveAll(dir)
		s.dir = dir
	}
	defer s.stop()
	if err := s.start(ctx, p); err != nil {
		return err
	}
	err := act()
	s.stage.Close()
	return errors.Join(err, s.writeAsked())
}
