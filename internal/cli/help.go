package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: `  0    succeeded; also a detached start and a durable cancel
  1    failed, or a document is broken
  2    the request is invalid: nothing was started
  3    refused by a guard: nothing was changed
  4    still running: the command left, the run goes on
  130  canceled`}
}

func variablesTopic() *cobra.Command {
	return &cobra.Command{Use: "variables", Short: "Which process variables synops reads", Long: `  CONTEXT             the environment this process is for; -e must not contradict it
  SYNAPSE_HOST        the host to ask; must be one of the environment's
  SYNAPSE_ADMIN_PAT   the administrator's token, where the environment names no other source
  SYNOPS_INPUTS       a JSON object of strings: a form's inputs, instead of NAME=VALUE
  SYNOPS_CONFIG       an environments file, like --config
  GITHUB_REPOSITORY   must be the environment's ops repository, if set
  XDG_STATE_HOME      where documents are kept (default ~/.local/state), under synops/
  NO_COLOR            no colors`}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say which release this is", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.print(map[string]string{"synops": version()}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, version())
				return err
			})
		},
	}
}

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use: "completion SHELL", Short: "Print a completion script for bash, zsh, fish or powershell",
		Example: "  source <(synops completion bash)", ValidArgs: shells, Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			}
			return root.GenPowerShellCompletionWithDesc(a.out)
		},
	}
}

func (a *app) completeEnvironment(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	file, err := a.environments()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return file.Names(), cobra.ShellCompDirectiveNoFileComp
}

// completeTask completes a task's name, then its inputs, then their choices.
func (a *app) completeTask(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	if len(args) == 0 {
		var names []string
		for _, t := range tasks.Catalog() {
			names = append(names, string(t.Name)+"\t"+t.Title)
		}
		return names, none
	}
	i := slices.IndexFunc(tasks.Catalog(), func(t ops.Task) bool { return string(t.Name) == args[0] })
	if i < 0 {
		return nil, none
	}
	var out []string
	for _, in := range tasks.Catalog()[i].Inputs {
		values := in.Choices
		if in.Kind == "boolean" {
			values = []string{"true", "false"}
		}
		prefix := in.Name + "="
		switch given := slices.ContainsFunc(args[1:], func(s string) bool { return strings.HasPrefix(s, prefix) }); {
		case given:
		case strings.HasPrefix(typed, prefix):
			for _, v := range values {
				out = append(out, prefix+v)
			}
		default:
			out = append(out, prefix+"\t"+in.Help)
		}
	}
	return out, none | cobra.ShellCompDirectiveNoSpace
}

// completeRun completes the IDs of the newest runs.
func (a *app) completeRun(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	st, err := a.open(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for e, err := range st.Index(cmd.Context()) {
		if err != nil || len(out) == 20 {
			break
		}
		out = append(out, string(e.Run)+"\t"+string(e.Environment)+", "+e.Requester)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
