package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
)

func (a *app) secretCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "secret", Short: "Put the secrets that runs use", Args: noArgs,
		Long: "secret puts what runs read from Secrets Manager. A value is read from standard input, never from\nthe command line, and never shown.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var unchecked bool
	put := &cobra.Command{
		Use: "put NAME", Short: "Put a secret's value, after checking that it works",
		Long: "put reads a value from standard input, checks that it works, stores it, and only then makes it the\n" +
			"current one; the value before it is kept as the previous one. The administrator's token is checked\n" +
			"against the environment's host, GitHub's against GitHub, a migration's KEY:SECRET against the\n" +
			"stacks. Where that cannot be asked from here, add --unchecked and run the task canary, or\n" +
			"migrate-status, after.",
		Example: "  synops secret put /synapse/admin-pat -e dev <token.txt",
		Args:    oneSecret, ValidArgsFunction: a.completeSecret,
		RunE: func(cmd *cobra.Command, args []string) error {
			choice, err := a.chooseAny()
			if err != nil {
				return err
			}
			a.settled(choice.Environment.Name)
			return a.putSecret(cmd.Context(), choice, args[0], "", unchecked)
		},
	}
	put.Flags().BoolVar(&unchecked, "unchecked", false, "store it although nothing here can tell whether it works")
	cmd.AddCommand(put)
	return cmd
}

func oneSecret(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s takes the name of one secret; its value comes on standard input.", cmd.CommandPath()), Hint: "See " + cmd.CommandPath() + " --help."}
	}
	if ops.LooksSecret(args[0]) {
		return &ops.Error{Code: ops.Invalid, Message: "The name given looks like an access token or a key itself.", Hint: "Give the name, such as /synapse/admin-pat, and the value on standard input. If this was a real one, revoke it: it is in your shell's history."}
	}
	return nil
}

func (a *app) completeSecret(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	choice, err := a.chooseAny()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return deploy.SecretNames(choice.Environment), cobra.ShellCompDirectiveNoFileComp
}

// putSecret puts what standard input holds. role is the variable that names the role
// for a workflow's job, "" where none may.
func (a *app) putSecret(ctx context.Context, choice *environments.Choice, name, role string, unchecked bool) error {
	env := choice.Environment
	if err := knownSecret(env, name); err != nil {
		return err
	}
	d, err := a.deployer(ctx, env, role)
	if err != nil {
		return err
	}
	value, err := a.readSecret(ctx, name)
	if err != nil {
		return err
	}
	put, err := d.PutSecret(ctx, name, value, a.secretCheck(env, name, value), unchecked)
	if err != nil {
		return err
	}
	return a.print(put, func(w io.Writer) error {
		lines := []string{fmt.Sprintf("%s has a new value, version %s.", put.Name, put.Version)}
		if put.Previous != "" {
			lines = append(lines, "The value before is kept as AWSPREVIOUS, version "+put.Previous+".")
		}
		if !put.Checked {
			lines = append(lines, uncheckedLine(env, name))
		}
		return printLines(w, lines)
	})
}

// uncheckedLine says how a value that was not tried is seen to work.
func uncheckedLine(env *ops.Environment, name string) string {
	if name != env.Secret {
		return "It was not checked. The first run that reads it shows whether it works."
	}
	return "It was not checked. Check it with: " + ops.Command("canary", env.Name, [2]string{"minutes", "1"})
}

func knownSecret(env *ops.Environment, name string) error {
	names := deploy.SecretNames(env)
	for _, n := range names {
		if n == name {
			return nil
		}
	}
	hint := fmt.Sprintf("%s has %s.", env.Name, strings.Join(names, ", "))
	if near := ops.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("Did you mean %q? ", near) + hint
	}
	return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s is not a secret of %s.", ops.Quote(name), env.Name), Hint: hint}
}

// mostSecretInput bounds what is read of standard input.
const mostSecretInput = 64 << 10

// readSecret reads the value: from a terminal without showing it, else up to the
// end of the input. The line end after it is not part of it.
func (a *app) readSecret(ctx context.Context, name string) (string, error) {
	var data []byte
	var err error
	if f, ok := a.p.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(a.err, "Value of %s (it is not shown): ", name)
		_ = a.err.Flush()
		data, err = term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.err)
	} else {
		data, err = io.ReadAll(io.LimitReader(a.p.In, mostSecretInput+3))
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("reading the value of %s: %w", name, err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if value == "" || len(value) > mostSecretInput || strings.ContainsRune(value, 0) {
		return "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("Standard input held no value for %s (%d bytes).", name, len(data)), Hint: fmt.Sprintf("Give it there: synops secret put %s <FILE", name)}
	}
	return value, a.secrets.Add(value)
}

// secretCheck is how the value of a secret is seen to work, nil where nothing here
// uses it.
func (a *app) secretCheck(env *ops.Environment, name, value string) func(context.Context) error {
	switch name {
	case env.Secret:
		return func(ctx context.Context) error { return checkAdminToken(ctx, env, value) }
	case deploy.MigrationSource, deploy.MigrationDestination:
		return func(ctx context.Context) error { return a.checkMigration(ctx, env, value) }
	case deploy.GitHubPAT:
		return func(ctx context.Context) error {
			g := a.gitHub()
			g.Token = value
			return g.Check(ctx)
		}
	}
	return nil
}

// checkAdminToken asks each of the environment's hosts whether the token is an
// administrator's; Unavailable: none could be asked.
func checkAdminToken(ctx context.Context, env *ops.Environment, token string) error {
	var silent error
	for _, host := range env.Hosts {
		err := checkAt(ctx, host, token)
		if err == nil {
			return nil
		}
		// Administrative endpoints answer in the private network only: a host that
		// forbids the call at its gate says nothing about the token.
		if code := ops.CodeOf(err); code == ops.Denied || errors.Is(err, context.Canceled) {
			return err
		}
		silent = &ops.Error{Code: ops.Unavailable, Message: fmt.Sprintf("%s: %v", host, err), Err: err}
	}
	return silent
}

func checkAt(ctx context.Context, host, token string) error {
	c, err := adminapi.New(adminapi.Config{Host: host, UserAgent: "synops/" + version(), Token: func(context.Context) (string, error) { return token, nil }})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Version(ctx); err != nil {
		return err
	}
	return c.Administrator(ctx)
}
