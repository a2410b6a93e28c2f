package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	templates "github.com/Sage-Bionetworks/synapse-ops-core/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
)

// applyFlags are the flags of the commands that change stacks.
type applyFlags struct {
	yes, recreate bool
	parameters    []string
}

func (f *applyFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.yes, "yes", false, "go on without asking")
	cmd.Flags().BoolVar(&f.recreate, "recreate", false, "first delete what is left of a stack whose creation failed")
	cmd.Flags().StringArrayVar(&f.parameters, "parameter", nil, "`NAME=VALUE` of a template's parameter; may be repeated")
}

// deployFlags are deploy's own.
type deployFlags struct {
	applyFlags
	check, interrupt             bool
	architecture, binary, lowest string
}

func (a *app) deployCommand() *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use: "deploy [LANE…]", Short: "Bring an account's lanes and bundle up to date",
		Long: "deploy works out what would change in the account, says it, asks, and then does it: the bundle that\n" +
			"builds run, and the stack of each lane. Nothing is changed where nothing differs. With --check it\nonly tells what differs, with exit code 1.",
		Example: "  synops deploy -e dev\n  synops deploy admin migrate -e prod --yes\n  synops deploy -e prod --check",
		Args:    lanesOnly, ValidArgs: []string{"plan", "admin", "deploy", "migrate"},
		RunE: func(cmd *cobra.Command, args []string) error {
			choice, err := a.choose()
			if err != nil {
				return err
			}
			a.settled(choice.Environment.Name)
			r, err := a.rollout(cmd.Context(), choice, args, &f)
			if err != nil {
				return err
			}
			if f.check {
				return r.checkAll(cmd.Context())
			}
			return r.run(cmd.Context())
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.check, "check", false, "change nothing; say what differs from what a deployment would leave")
	cmd.Flags().BoolVar(&f.interrupt, "interrupt", false, "change a pipeline or project although its lane has executions in progress")
	cmd.Flags().StringVar(&f.architecture, "architecture", "", "`MACHINE` that builds run on: arm64 or amd64 (default: as deployed; at first the program's own, or arm64)")
	cmd.Flags().StringVar(&f.binary, "binary", "", "`FILE` of a release to bundle (default: this program where it is fit, else built from the checkout here)")
	cmd.Flags().StringVar(&f.lowest, "lowest", "", "`VERSION` that is the lowest still allowed to run (default: as it is)")
	return cmd
}

func lanesOnly(cmd *cobra.Command, args []string) error {
	for i, arg := range args {
		if !slices.Contains(ops.Lanes(), ops.Lane(arg)) || slices.Contains(args[:i], arg) {
			return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s is not a lane, or named twice.", shown(arg)), Hint: "The lanes are plan, admin, deploy and migrate."}
		}
	}
	return nil
}

// A rollout is one deployment being worked out and carried out.
type rollout struct {
	*app
	d      *deploy.Deployer
	choice *environments.Choice
	file   *environments.File
	flags  *deployFlags
	asked  map[string]string
	lanes  []ops.Lane
	base   map[string]string // the bootstrap's outputs
	bundle *deploy.Bundle
	plan   *deploy.Publication
	stacks []*deploy.Prepared
}

func (a *app) rollout(ctx context.Context, choice *environments.Choice, args []string, f *deployFlags) (*rollout, error) {
	env := choice.Environment
	r := &rollout{app: a, choice: choice, flags: f}
	for _, l := range deploy.LanesOf(env) {
		if len(args) == 0 || slices.Contains(args, string(l)) {
			r.lanes = append(r.lanes, l)
		}
	}
	if len(args) > len(r.lanes) {
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("Not all of %s are lanes of %s.", strings.Join(args, ", "), env.Name), Hint: "Add them to lanes in its entry in the environments file."}
	}
	var err error
	if f.architecture != "" && !slices.Contains(deploy.Architectures(), f.architecture) {
		return nil, &ops.Error{Code: ops.Invalid, Message: "--architecture " + ops.Quote(f.architecture) + " is not known.", Hint: "It is " + strings.Join(deploy.Architectures(), " or ") + "."}
	}
	if r.asked, err = pairs(f.parameters); err != nil {
		return nil, err
	}
	if r.file, err = a.environments(); err != nil {
		return nil, err
	}
	if r.d, err = a.deployer(ctx, env, varDeploymentRole); err != nil {
		return nil, err
	}
	r.base, err = r.d.Outputs(ctx, deploy.BootstrapStack)
	return r, err
}

// architecture is what the lanes run on: as asked for, or as any of them is
// deployed. It is one for all: there is one bundle.
func (r *rollout) architecture(ctx context.Context) (string, error) {
	deployed := ""
	for _, l := range deploy.LanesOf(r.choice.Environment) {
		held, err := r.d.Held(ctx, deploy.LaneStack(l), "Architecture")
		if err != nil {
			return "", err
		}
		if held != "" {
			deployed = held
			break
		}
	}
	asked := r.flags.architecture
	if asked == "" {
		return deployed, nil
	}
	if all := len(r.lanes) == len(deploy.LanesOf(r.choice.Environment)); deployed != "" && deployed != asked && !all {
		return "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("The lanes run on %s, and only some would change to %s.", deployed, asked), Hint: "There is one bundle for all: name no lanes."}
	}
	return asked, nil
}

// prepare works out what would change. Change sets that it leaves are the caller's
// to discard, also after an error.
func (r *rollout) prepare(ctx context.Context) error {
	architecture, err := r.architecture(ctx)
	if err != nil {
		return err
	}
	binary, err := r.binary(ctx, r.flags.binary, architecture)
	if err != nil {
		return err
	}
	if r.choice.Environment.ReleasedOnly {
		if err := binary.CheckReleased(r.choice.Environment.Name, r.file.ReleaseTags); err != nil {
			return err
		}
	}
	if r.bundle, err = r.d.Pack(binary, r.file.Text); err != nil {
		return err
	}
	if r.plan, err = r.d.PlanBundle(ctx, r.base["BundleBucket"], r.bundle, r.flags.lowest); err != nil {
		return err
	}
	for _, l := range r.lanes {
		if err := r.prepareLane(ctx, l, binary.Architecture); err != nil {
			return err
		}
	}
	return nil
}

func (r *rollout) prepareLane(ctx context.Context, l ops.Lane, architecture string) error {
	if r.flags.recreate {
		if _, err := r.d.Recreate(ctx, deploy.LaneStack(l), r.base["CloudFormationRole"]); err != nil {
			return err
		}
	}
	s, err := r.stack(ctx, l, architecture)
	if err != nil {
		return err
	}
	p, err := r.d.Prepare(ctx, s)
	if err != nil {
		return err
	}
	r.stacks = append(r.stacks, p)
	return r.d.Guard(ctx, p, r.flags.interrupt)
}

func (r *rollout) stack(ctx context.Context, l ops.Lane, architecture string) (deploy.Stack, error) {
	return r.d.Stack(ctx, deploy.Want{Name: deploy.LaneStack(l), Lane: l, Template: templates.Lane, Role: r.base["CloudFormationRole"], Asked: r.asked,
		Known: r.d.LaneKnown(l, r.choice.Host, architecture, r.p.Getenv)})
}

// discard deletes the change sets that were not executed.
func (r *rollout) discard(ctx context.Context) {
	for _, p := range r.stacks {
		if err := r.d.Discard(ctx, p); err != nil {
			r.sayClean("%v", err)
		}
	}
}

// changed tells whether there is anything to do.
func (r *rollout) changed() bool {
	return r.plan.Current || slices.ContainsFunc(r.stacks, func(p *deploy.Prepared) bool { return p.Kind != deploy.Unchanged })
}

func (r *rollout) run(ctx context.Context) error {
	env := r.choice.Environment
	r.say("%s  deploying to account %s, %s", r.mark(env.Name), env.Account, env.Region)
	defer r.discard(ctx)
	err := r.prepare(ctx)
	if r.plan != nil {
		r.sayLines(r.plan.Lines())
	}
	for _, p := range r.stacks {
		r.sayLines(p.Lines())
	}
	if err != nil {
		return err
	}
	doc := &deployed{Environment: env.Name, Account: env.Account, Bundle: *r.plan.Is}
	if r.changed() {
		if err := r.confirm(ctx, env.Name, r.flags.yes); err != nil {
			return err
		}
		r.trouble.Changed, r.trouble.Unchanged = "What is said above to be done.", "The rest; run the same command again to go on."
		if err := r.d.Publish(ctx, r.base["BundleBucket"], r.bundle, r.plan); err != nil {
			return err
		}
		doc.Bundle = *r.plan.Is
	}
	for _, p := range r.stacks {
		one, err := r.apply(ctx, r.d, p)
		if err != nil {
			return err
		}
		doc.Stacks = append(doc.Stacks, *one)
	}
	return r.print(doc, doc.text)
}

// apply executes one prepared change and tells how it went.
func (a *app) apply(ctx context.Context, d *deploy.Deployer, p *deploy.Prepared) (*deployedStack, error) {
	one := &deployedStack{Name: p.Stack.Name, Kind: p.Kind, Changes: p.Changes}
	var err error
	if p.Kind == deploy.Unchanged {
		one.Outputs, err = d.Outputs(ctx, p.Stack.Name)
		return one, err
	}
	a.say("%s: executing", p.Stack.Name)
	one.Outputs, err = d.Execute(ctx, p)
	return one, err
}

// deployed is the result of a deployment, as JSON.
type deployed struct {
	Environment ops.EnvironmentName `json:"environment"`
	Account     string              `json:"account"`
	Bundle      deploy.Current      `json:"bundle"`
	Stacks      []deployedStack     `json:"stacks"`
}

type deployedStack struct {
	Name    string            `json:"stack"`
	Kind    deploy.Kind       `json:"kind"` // create, update or unchanged
	Changes []deploy.Change   `json:"changes,omitempty"`
	Outputs map[string]string `json:"outputs"`
}

func (d *deployed) text(w io.Writer) error {
	lines := []string{fmt.Sprintf("bundle  %s, version %s", d.Bundle.Synops, d.Bundle.VersionID)}
	for _, s := range d.Stacks {
		lines = append(lines, s.lines()...)
	}
	return printLines(w, lines)
}

func (s *deployedStack) lines() []string {
	word := map[deploy.Kind]string{deploy.Create: "created", deploy.Update: "updated", deploy.Unchanged: "no change"}[s.Kind]
	out := []string{s.Name + ": " + word}
	var names []string
	width := 0
	for name := range s.Outputs {
		names, width = append(names, name), max(width, len(name))
	}
	slices.Sort(names)
	for _, name := range names {
		out = append(out, fmt.Sprintf("  %-*s  %s", width, name, s.Outputs[name]))
	}
	return out
}

// checkAll tells what differs; anything that does, or cannot be told, is exit code 1.
func (r *rollout) checkAll(ctx context.Context) error {
	architecture, err := r.architecture(ctx)
	if err != nil {
		return err
	}
	drift := deploy.Drift{Differences: []string{}, Unknown: []string{}}
	if err := r.d.CheckBundle(ctx, r.base["BundleBucket"], version(), &drift); err != nil {
		return err
	}
	for _, l := range r.lanes {
		if err := r.checkLane(ctx, l, architecture, &drift); err != nil {
			return err
		}
	}
	env := r.choice.Environment.Name
	doc := struct {
		Environment ops.EnvironmentName `json:"environment"`
		deploy.Drift
	}{env, drift}
	err = r.print(doc, func(w io.Writer) error { return printLines(w, driftLines(report.Mark(env), &drift)) })
	if err == nil && len(drift.Differences)+len(drift.Unknown) > 0 {
		return errDrift
	}
	return err
}

// checkLane compares one lane. One that was never deployed has nothing to compare.
func (r *rollout) checkLane(ctx context.Context, l ops.Lane, architecture string, drift *deploy.Drift) error {
	there, err := r.d.Deployed(ctx, deploy.LaneStack(l))
	if err != nil {
		return err
	}
	if !there {
		drift.Differences = append(drift.Differences, deploy.LaneStack(l)+" is not deployed.")
		return nil
	}
	s, err := r.stack(ctx, l, architecture)
	if err != nil {
		return err
	}
	return r.d.CheckStack(ctx, s, drift)
}

func driftLines(mark string, d *deploy.Drift) []string {
	if len(d.Differences)+len(d.Unknown) == 0 {
		return []string{mark + ": as deployed by this release, nothing differs"}
	}
	lines := []string{fmt.Sprintf("%s: %d differences, %d cannot be told", mark, len(d.Differences), len(d.Unknown))}
	for _, s := range d.Differences {
		lines = append(lines, "  differs      "+s)
	}
	for _, s := range d.Unknown {
		lines = append(lines, "  cannot tell  "+s)
	}
	return append(lines, "Bring it back with synops deploy: it says first what it would change.")
}
