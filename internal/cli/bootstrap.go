package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	templates "github.com/Sage-Bionetworks/synapse-ops-core/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
)

func (a *app) bootstrapCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use: "bootstrap", Short: "Make what an account needs once; for an administrator", Args: noArgs,
		Long: "bootstrap makes, or brings up to date, what all lanes of an account stand on: who GitHub may become\n" +
			"there, how far any role reaches, and where documents, bundles and secrets are kept. It explains\n" +
			"every value, says what would change, asks, and does it. No role that it makes can run it.",
		Example: "  synops bootstrap -e dev\n  synops bootstrap -e dev --parameter SubjectFormat=immutable --yes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			choice, err := a.chooseAny()
			if err != nil {
				return err
			}
			a.settled(choice.Environment.Name)
			return a.bootstrap(cmd.Context(), choice, &f)
		},
	}
	f.register(cmd)
	return cmd
}

func (a *app) bootstrap(ctx context.Context, choice *environments.Choice, f *applyFlags) error {
	env := choice.Environment
	asked, err := pairs(f.parameters)
	if err != nil {
		return err
	}
	file, err := a.environments()
	if err != nil {
		return err
	}
	d, err := a.deployer(ctx, env, "")
	if err != nil {
		return err
	}
	if err := d.CheckAdministrator(); err != nil {
		return err
	}
	a.say("%s  preparing account %s, %s", a.mark(env.Name), env.Account, env.Region)
	if f.recreate {
		if _, err := d.Recreate(ctx, deploy.BootstrapStack, ""); err != nil {
			return err
		}
	}
	s, err := d.Stack(ctx, deploy.Want{Name: deploy.BootstrapStack, Template: templates.Bootstrap(), Asked: asked, Known: d.BootstrapKnown(ctx, core(file), a.gitHub())})
	if err != nil {
		return err
	}
	p, err := d.Prepare(ctx, s)
	if err != nil || p.Kind != deploy.Unchanged {
		a.sayLines(deploy.ParameterLines(s.Parameters))
	}
	if err != nil {
		return err
	}
	defer func() {
		if err := d.Discard(ctx, p); err != nil {
			a.sayClean("%v", err)
		}
	}()
	a.sayLines(p.Lines())
	if err := d.Guard(ctx, p, false); err != nil {
		return err
	}
	return a.applyBootstrap(ctx, env, d, p, f.yes)
}

func (a *app) applyBootstrap(ctx context.Context, env *ops.Environment, d *deploy.Deployer, p *deploy.Prepared, yes bool) error {
	if p.Kind != deploy.Unchanged {
		if err := a.confirm(ctx, env.Name, yes); err != nil {
			return err
		}
		a.trouble.Changed, a.trouble.Unchanged = "What is said above to be done.", "The rest; run the same command again to go on."
	}
	one, err := a.apply(ctx, d, p)
	if err != nil {
		return err
	}
	return a.print(one, func(w io.Writer) error {
		lines := one.lines()
		if one.Kind == deploy.Create {
			lines = append(lines, nextSteps(env, one.Outputs)...)
		}
		return printLines(w, lines)
	})
}

// nextSteps says where the outputs go and what comes then.
func nextSteps(env *ops.Environment, outputs map[string]string) []string {
	lines := []string{"", fmt.Sprintf("In the settings of %s, under Secrets and variables, Actions:", env.Repository),
		"  variable ROLE_TO_ASSUME                               " + outputs["ObserveRole"],
		fmt.Sprintf("  variable ROLE_TO_ASSUME of the environment %-10s ", env.Name) + outputs["PerformRole"],
		"  variable SYNAPSE_DEPLOYMENT_ROLE                      " + outputs["DeployRole"],
		"  variable SYNOPS_STORE                                 s3://" + outputs["StoreBucket"],
		"  variable SYNOPS_BUNDLE_BUCKET                         " + outputs["BundleBucket"],
		"Then:"}
	for _, name := range deploy.SecretNames(env) {
		lines = append(lines, fmt.Sprintf("  synops secret put %s -e %s", name, env.Name))
	}
	return append(lines, fmt.Sprintf("  synops deploy -e %s", env.Name), fmt.Sprintf("  synops doctor -e %s", env.Name))
}
