package cli

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: `  0    succeeded; also a detached start and a durable cancel
  1    failed, or a document is broken, an account differs or is not well
  2    the request is invalid: nothing was started
  3    refused by a guard: nothing was changed
  4    still running: the command left, the run goes on
  130  canceled`}
}

func variablesTopic() *cobra.Command {
	return &cobra.Command{Use: "variables", Short: "Which process variables synops reads", Long: `  CONTEXT             the environment this process is for; -e must not contradict it
  SYNAPSE_HOST        the host to ask; must be one of the environment's
  SYNAPSE_ADMIN_PAT   the administrator's token, where the environment names no other source
  SYNOPS_INPUTS       a JSON object of strings: a form's inputs, instead of NAME=VALUE;
                      "@" means nothing in it
  SYNOPS_CONFIG       an environments file, like --config
  SYNOPS_STORE        where documents are kept, like --store
  SYNOPS_BUNDLE_BUCKET
                      where bundles are; with SYNOPS_STORE a launch need not ask for either
  XDG_STATE_HOME      where documents are kept, under synops/ (default ~/.local/state)
  XDG_CACHE_HOME      where plans are kept to tell differences, under synops/ (default ~/.cache)
  HOME                where both are when neither is set
  NO_COLOR            if set, no colors; the same with TERM=dumb
  TZ                  the local time shown beside UTC

For commands about an account:
  AWS_PROFILE, AWS_ACCESS_KEY_ID and what else the AWS SDK reads: who we are outside workflows
  AWS_ENDPOINT_URL    where AWS is asked instead, such as an emulated account on this machine
  VPC_ID, SUBNETS, SECURITY_GROUP_IDS
                      the network that builds run in
  GH_TOKEN, GITHUB_TOKEN, GITHUB_API_URL
                      with what and where GitHub is asked for suggestions and its protection rules

For synops dashboards, handed on to git:
  PATH, HOME, XDG_CONFIG_HOME, TMPDIR, USER, LOGNAME, SSH_AUTH_SOCK, GNUPGHOME, GPG_TTY,
  GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, GIT_COMMITTER_NAME, GIT_COMMITTER_EMAIL,
  GIT_CONFIG_GLOBAL, GIT_CONFIG_NOSYSTEM

In a GitHub workflow:
  ROLE_TO_ASSUME      the role that the job becomes
  SYNAPSE_DEPLOYMENT_ROLE
                      the same, for deploy
  GITHUB_RUN_ATTEMPT  names the job's session in AWS, with GITHUB_RUN_ID
  GITHUB_REPOSITORY   must be the environment's ops repository
  GITHUB_ACTOR        who asks, for the record (otherwise this machine's user)
  GITHUB_RUN_ID, GITHUB_REPOSITORY_ID, GITHUB_JOB, SYNOPS_CALL
                      name the asking job: asking again attaches to the run it started

In a step of core's workflows (synops actions, which people do not type):
  SYNOPS_ENVIRONMENT, SYNOPS_TASK, SYNOPS_FORM, SYNOPS_SCHEDULE
                      what the dashboard asks for; the form is one JSON object
  SYNOPS_PLAN, SYNOPS_PLAN_RUN, SYNOPS_RUN, SYNOPS_CURSOR, SYNOPS_FOLLOWED
                      what the job before left for this one
  SYNOPS_FOLLOW_FOR   how long a job follows, if less than 330m
  SYNOPS_WEBHOOK, SYNOPS_SECRET, GH_PAT
                      a secret address to tell; the secret that is put
  SYNOPS_BINARIES     the folder with the release's programs
  GITHUB_OUTPUT, GITHUB_STEP_SUMMARY, GITHUB_EVENT_PATH, GITHUB_SERVER_URL
                      the runner's own

In a build, set by CodeBuild and the lane's template:
  CODEBUILD_BUILD_ID, CODEBUILD_LOG_PATH, CODEBUILD_SRC_DIR, CODEBUILD_START_TIME
                      which build this is, where it prints, the bundle's folder, and when it began
  SYNOPS_LANE, SYNOPS_BUILD_MINUTES, SYNOPS_REQUEST
                      the lane, its builds' time limit, and the request that was started
  SYNOPS_BUNDLE_VERSION
                      the bundle that it runs; where it is also says the lowest allowed release
  SYNOPS_CACHE        where built tools are kept
  GITHUB_SERVER_URL   where tools' sources are, if not https://github.com

Handed on to tools of lane deploy, nothing else is: PATH, LANG, LC_ALL, TZ, JAVA_HOME,
SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY, https_proxy, NO_PROXY, no_proxy, AWS_ENDPOINT_URL.

Handed on to a worker, nothing else is: PATH, HOME, USER, LOGNAME, TMPDIR, LANG, LC_ALL, TZ,
XDG_STATE_HOME, XDG_CACHE_HOME, SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY, https_proxy, NO_PROXY,
no_proxy, GOCOVERDIR, GORACE, GITHUB_REPOSITORY. synops itself adds CONTEXT, SYNAPSE_HOST,
SYNOPS_CONFIG and SYNOPS_TOKEN_SOURCE (where the token comes from; the token goes over a pipe), and
with --break-glass how this machine signs in: AWS_PROFILE, AWS_CONFIG_FILE,
AWS_SHARED_CREDENTIALS_FILE, AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_EC2_METADATA_DISABLED.`}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say which release this is", Args: noArgs,
		Long: "version says which release this is. A worker must be of the release that asked for its run.",
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
		Example: "  source <(synops completion bash)", ValidArgs: shells, Args: oneShell(shells),
		RunE: func(cmd *cobra.Command, args []string) error {
			var script bytes.Buffer
			if err := completionScript(&script, cmd.Root(), args[0]); err != nil {
				return err
			}
			return a.print(map[string]string{"shell": args[0], "script": script.String()}, func(w io.Writer) error {
				_, err := w.Write(script.Bytes())
				return err
			})
		},
	}
}

func oneShell(shells []string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 1 && slices.Contains(shells, args[0]) {
			return nil
		}
		return &ops.Error{Code: ops.Invalid, Message: "No shell that is known was named.", Hint: "Name one of " + strings.Join(shells, ", ") + "."}
	}
}

func completionScript(w io.Writer, root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	}
	return root.GenPowerShellCompletionWithDesc(w)
}

// helpCommand is cobra's, but a topic that is not there is an error.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Say how a command is used, or tell a topic", Example: "  synops help run\n  synops help exit-codes",
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("there is no command or topic %s.", shown(strings.Join(args, " "))), Hint: "synops help lists all."}
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
	}
}

// helpInForm has help printed as one document where JSON is asked for.
func (a *app) helpInForm(root *cobra.Command) {
	plain := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if !a.json() {
			plain(cmd, args)
			return
		}
		var text bytes.Buffer
		cmd.SetOut(&text)
		plain(cmd, args)
		cmd.SetOut(nil)
		_ = report.JSON(a.out, map[string]string{"command": cmd.CommandPath(), "help": text.String()})
	})
}

func (a *app) completeEnvironment(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	file, err := a.environments()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return file.Names(), cobra.ShellCompDirectiveNoFileComp
}

// completeTaskName completes a task's name and nothing after it.
func (a *app) completeTaskName(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeTask(cmd, nil, typed)
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
		if in.Kind == ops.KindBoolean {
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
