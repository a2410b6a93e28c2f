package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
)

// errDrift: what differs, or is not well, was told already; exit code 1.
var errDrift = errors.New("not as it should be")

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Say what of an account is not as runs need it", Args: noArgs,
		Long: "doctor looks at variables, roles, trust, secrets and their age, network, pipelines, logs, the\n" +
			"bundle, GitHub and the clock, and changes nothing. Each line is pass, fail or cannot tell, with\nwhat to do. Exit code 1 when something fails.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			choice, err := a.chooseAny()
			if err != nil {
				return err
			}
			a.trouble.Environment = choice.Environment.Name
			return a.doctor(cmd.Context(), choice)
		},
	}
}

func (a *app) doctor(ctx context.Context, choice *environments.Choice) error {
	file, err := a.environments()
	if err != nil {
		return err
	}
	env := choice.Environment
	d, err := a.deployer(ctx, env, varRole)
	if err != nil {
		return err
	}
	found, err := d.Doctor(ctx, deploy.Examination{Getenv: a.p.Getenv, Host: choice.Host, Core: core(file), Synops: version(), GitHub: a.gitHub(), Actions: awsauth.InActions(a.p.Getenv)})
	if err != nil {
		return err
	}
	count := map[deploy.Status]int{}
	for _, f := range found {
		count[f.Status]++
	}
	doc := struct {
		Environment ops.EnvironmentName `json:"environment"`
		Account     string              `json:"account"`
		Healthy     bool                `json:"healthy"`
		Findings    []deploy.Finding    `json:"findings"`
	}{env.Name, env.Account, count[deploy.Fail] == 0, found}
	err = a.print(doc, func(w io.Writer) error {
		lines := []string{fmt.Sprintf("%s  doctor of account %s, %s", report.Mark(env.Name), env.Account, env.Region), ""}
		lines = append(lines, findingLines(found)...)
		return printLines(w, append(lines, "", fmt.Sprintf("%d pass, %d fail, %d cannot tell", count[deploy.Pass], count[deploy.Fail], count[deploy.CannotTell])))
	})
	if err == nil && count[deploy.Fail] > 0 {
		return errDrift
	}
	return err
}

// findingLines has a line for each finding, and one for its remedy.
func findingLines(found []deploy.Finding) []string {
	var out []string
	width := len(deploy.CannotTell)
	for _, f := range found {
		out = append(out, fmt.Sprintf("%-*s  %s: %s", width, f.Status, f.About, f.Text))
		if f.Remedy != "" {
			out = append(out, fmt.Sprintf("%*s  → %s", width, "", f.Remedy))
		}
	}
	return out
}
