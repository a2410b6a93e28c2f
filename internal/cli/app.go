// Package cli is the command line: it reads flags, files and the process
// environment once, joins the packages around the root, and turns outcomes into
// text and exit codes. It is the only place that wires.
//
// What is not here: rules about tasks or runs.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/actions"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/redact"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
)

// An app is one invocation: the process, the flags every command has, and the
// masked streams.
type app struct {
	p       Process
	secrets redact.Set
	out     *redact.Writer // results: one document, or text
	err     *redact.Writer // everything else

	environment string
	engine      string
	config      string
	store       string
	format      string
	read        func(done, total int) // told how far a plan made here has read; nil: nobody looks
	planOnly    bool                  // workers of this process plan, and perform nothing
	breakGlass  string                // why a run happens on this machine although its environment names an account

	signing  sync.Mutex
	signedIn map[ops.EnvironmentName]*signIn
	bucket   *awsauth.Config // of the store, where it is in S3

	by      string           // who asks for attempts; "": as the process says
	console *actions.Console // of a workflow's step, behind both streams; nil: none

	trouble report.Trouble // what a person is told around an error
}

// Main runs the command line args and returns the exit code. When ctx ends, a
// command that follows leaves; the run goes on.
func Main(ctx context.Context, args []string, p Process) int {
	a := &app{p: p}
	a.out, a.err = a.secrets.Writer(p.Out), a.secrets.Writer(p.Err)
	defer a.flush()
	a.maskMistakes(args)
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if ops.CodeOf(err) == ops.Canceled && ctx.Err() != nil && ops.Refused(err) == nil {
		err = &ops.Error{Code: ops.Canceled, Message: "Interrupted.", Err: err}
	}
	if err != nil && asksJSON(args) {
		a.format = "json" // also where a flag before it could not be read
	}
	a.report(err)
	return exitCode(err)
}

// maskMistakes has what looks like a token in the arguments masked in every
// output: messages quote what was given.
func (a *app) maskMistakes(args []string) {
	for _, arg := range args {
		if !ops.LooksSecret(arg) {
			continue
		}
		for word := range strings.FieldsFuncSeq(arg, func(r rune) bool { return strings.ContainsRune("= \t\n\r,;\"'{}", r) }) {
			if ops.LooksSecret(word) {
				_ = a.secrets.Add(word) // too short or too many to be masked: quoted all the same
			}
		}
	}
}

func (a *app) flush() {
	_ = a.out.Flush()
	_ = a.err.Flush()
	if a.console != nil {
		_ = a.console.Flush()
	}
}

// json tells whether standard output gets exactly one document.
func (a *app) json() bool { return a.format == "json" }

func (a *app) style() report.Style {
	return report.Style{Color: a.p.Color && !a.json(), Width: a.p.Width, Local: time.Local, Flags: a.flagsAgain()}
}

// asksJSON tells whether the arguments ask for JSON, whatever else is wrong with
// them.
func asksJSON(args []string) bool {
	for i, arg := range args {
		switch {
		case arg == "--":
			return false
		case arg == "--format=json", arg == "--format" && i+1 < len(args) && args[i+1] == "json":
			return true
		}
	}
	return false
}

// report says what went wrong, once, where the command did not.
func (a *app) report(err error) {
	if _, reported := errors.AsType[*ended](err); err == nil || reported {
		return
	}
	if errors.Is(err, errLeft) || errors.Is(err, launcherStillRunning) || errors.Is(err, errDrift) {
		return
	}
	if a.json() {
		_ = report.ErrorJSON(a.out, errorOutcome(err), err)
		return
	}
	st := a.style()
	st.Color = a.p.ErrColor
	t := a.trouble
	t.Err = err
	_ = report.Failure(a.err, t, st)
}

// mayChange notes that the command may change something: whoever reads of its
// failure is told that it did not get that far.
func (a *app) mayChange() {
	a.trouble.Changed, a.trouble.Unchanged = "Nothing: no run was started.", "Everything is as it was."
	a.trouble.Environment = a.said()
}

// said is the environment that -e or CONTEXT names, "" for neither. It may be none.
func (a *app) said() ops.EnvironmentName {
	if a.environment != "" {
		return ops.EnvironmentName(a.environment)
	}
	return ops.EnvironmentName(a.p.Getenv(varContext))
}

// began notes that a run is under way, so that what it has changed is its own to
// tell.
func (a *app) began(run ops.RunID) {
	a.trouble.Changed = "What the run did, which its journal tells."
	a.trouble.Unchanged = "What it did not reach."
	a.trouble.Next = "synops show " + string(run) + a.flagsAgain()
}

// flagsAgain is what a command shown must carry to find the same run.
func (a *app) flagsAgain() string {
	if a.store == "" && a.bucket != nil && a.said() != "" {
		return " -e " + ops.ShellQuote(string(a.said())) // its account has the store
	}
	return a.storeFlag()
}

func (a *app) storeFlag() string {
	if a.store == "" {
		return ""
	}
	return " --store " + ops.ShellQuote(a.store)
}

// flagsStart is flagsAgain for a command that starts a worker.
func (a *app) flagsStart() string { return a.configFlag() + a.flagsAgain() }

// flagsBeside is flagsStart for a command that names its environment by itself.
func (a *app) flagsBeside() string { return a.configFlag() + a.storeFlag() }

func (a *app) configFlag() string {
	if a.config == "" {
		return ""
	}
	return " --config " + ops.ShellQuote(a.config)
}

// say prints a line for people, on standard error: standard output is for results.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.err, format+"\n", args...) }

// print writes a result: the document in JSON, or text by the given function.
func (a *app) print(doc any, text func(w io.Writer) error) error {
	if a.json() {
		return report.JSON(a.out, doc)
	}
	return text(a.out)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:                   "synops",
		DisableFlagsInUseLine: true,
		Short:                 "Run operational tasks against Synapse, safely",
		Long:                  "synops runs the operations team's tasks against Synapse: it plans them, asks for confirmation,\njournals every effect, resumes what died and says what was changed.",
		SilenceErrors:         true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.checkFlags() },
		RunE:              a.noCommand, Args: cobra.ArbitraryArgs,
	}
	a.helpInForm(root)
	root.SetHelpCommand(a.helpCommand())
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &ops.Error{Code: ops.Invalid, Message: flagMessage(err), Hint: fmt.Sprintf("See %s --help.", cmd.CommandPath())}
	})
	f := root.PersistentFlags()
	f.StringVarP(&a.environment, "environment", "e", "", "`NAME` of the environment: dev, prod or sandbox (default: CONTEXT)")
	f.StringVar(&a.engine, "engine", "", "`ENGINE`, where the run happens: local or pipeline (default pipeline where the environment names an account)")
	f.StringVar(&a.config, "config", "", "environments `FILE` that replaces the built-in one")
	f.StringVar(&a.store, "store", "", "`URL` of where documents are kept, file:///DIR or s3://BUCKET (default: in the environment's account, or the XDG state folder)")
	f.StringVar(&a.format, "format", "text", "`FORM` of the output: text, or json, exactly one document on standard output")
	_ = root.RegisterFlagCompletionFunc("environment", a.completeEnvironment)
	_ = root.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = root.RegisterFlagCompletionFunc("engine", cobra.FixedCompletions([]string{"local", "pipeline"}, cobra.ShellCompDirectiveNoFileComp))
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Tasks:", []*cobra.Command{a.tasksCommand(), a.planCommand(), a.runCommand()}},
		{"Runs:", []*cobra.Command{a.runsCommand(), a.showCommand(), a.followCommand(), a.resumeCommand(), a.settleCommand(), a.cancelCommand(), a.verifyCommand()}},
		{"Environments:", []*cobra.Command{a.leasesCommand(), a.freezeCommand(), a.unfreezeCommand()}},
		{"Accounts:", []*cobra.Command{a.bootstrapCommand(), a.deployCommand(), a.secretCommand(), a.doctorCommand()}},
		{"The core repository:", []*cobra.Command{a.renderCommand(), a.dashboardsCommand(), a.newCommand()}},
		{"This machine:", []*cobra.Command{a.demoCommand(), a.sandboxCommand(), a.completionCommand(), a.versionCommand(), a.workCommand(), a.actionsCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.title
		}
		root.AddCommand(g.commands...)
	}
	root.SetHelpCommandGroupID("This machine:")
	root.AddCommand(exitCodesTopic(), variablesTopic())
	return root
}

// noCommand is what the program does when no command is named.
func (a *app) noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	hint := "See synops --help."
	if near := ops.Nearest(args[0], names); near != "" {
		hint = fmt.Sprintf("Did you mean %q? ", near) + hint
	}
	return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("there is no command %s.", shown(args[0])), Hint: hint}
}

// shown quotes an argument for a message, unless it looks like a secret.
func shown(arg string) string {
	if ops.LooksSecret(arg) {
		return "[redacted]"
	}
	return ops.Quote(arg)
}

// flagMessage says what is wrong with a flag, without Go's own words for it. What
// was given comes from outside: it is bounded, and hidden where it may be a token.
func flagMessage(err error) string {
	text := err.Error()
	if ops.LooksSecret(text) {
		return "A flag cannot be read, and looks like it holds an access token or a key."
	}
	for _, inner := range []string{": strconv.", ": time: "} {
		text, _, _ = strings.Cut(text, inner)
	}
	if r := []rune(text); len(r) > 200 {
		text = fmt.Sprintf("%s… (%d bytes)", string(r[:200]), len(text))
	}
	return text + "."
}

func (a *app) checkFlags() error {
	if a.format != "text" && a.format != "json" {
		format := a.format
		a.format = "text"
		return &ops.Error{Code: ops.Invalid, Message: "--format " + ops.Quote(format) + " is not known.", Hint: "It is text or json."}
	}
	switch a.engine {
	case "", "local", "pipeline":
		return nil
	}
	return &ops.Error{Code: ops.Invalid, Message: "--engine " + ops.Quote(a.engine) + " is not known.", Hint: "It is local or pipeline."}
}

// environments reads the environments file that is in force.
func (a *app) environments() (*environments.File, error) {
	path := a.config
	if path == "" {
		path = a.p.Getenv(varConfig)
	}
	if dir := a.p.Getenv(varBuildFolder); path == "" && a.inBuild() != nil && dir != "" {
		path = filepath.Join(dir, bundledEnvironments)
	}
	if path == "" {
		return environments.Embedded()
	}
	return environments.Load(path)
}

func (a *app) processEnvironment() environments.Process {
	return environments.Process{Context: a.p.Getenv(varContext), Host: a.p.Getenv(varHost), Repository: a.p.Getenv(varRepository)}
}

// choose settles which environment and host a command is about.
func (a *app) choose() (*environments.Choice, error) {
	file, err := a.environments()
	if err != nil {
		return nil, err
	}
	return file.Choose(ops.EnvironmentName(a.environment), a.processEnvironment())
}

// chooseAny is choose where no host is asked anything: any of the environment's
// will do.
func (a *app) chooseAny() (*environments.Choice, error) {
	file, err := a.environments()
	if err != nil {
		return nil, err
	}
	p := a.processEnvironment()
	name := a.said()
	if env, err := file.Environment(name); err == nil && p.Host == "" {
		p.Host = env.Hosts[0]
	}
	return file.Choose(name, p)
}

// version is this binary's: the module's, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return deploy.VersionOf(info) // as the bundle is named, which is compared with it
}
