package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/secret"
)

// glassRole is the one role that may perform runs by hand. Becoming it raises an
// alarm in the account, whoever does it and with what.
const glassRole = "synops-break-glass"

func (a *app) registerGlass(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.breakGlass, "break-glass", "", "run on this machine against the environment's account, for this `REASON`; the team is told")
}

// whyHere adds to what a document says that the glass was broken, and why.
func (a *app) whyHere(said string) string {
	if a.breakGlass == "" {
		return said
	}
	return strings.TrimSpace(said + " (break-glass: " + a.breakGlass + ")")
}

// glassBroken asks what must hold before a run happens on this machine against an
// account: the role whose use is told to the team, and a token that nobody carries
// about.
func (a *app) glassBroken(ctx context.Context, env *ops.Environment, src secret.Source) error {
	if strings.TrimSpace(a.breakGlass) == "" || ops.LooksSecret(a.breakGlass) {
		return &ops.Error{Code: ops.Invalid, Message: "--break-glass needs a reason in words.", Hint: "Say why the pipeline cannot be used."}
	}
	if src.Scheme != secret.SchemeManager {
		return ops.Refuse("break-glass", "Unset "+varTokenSource+" and token_source: the token is read from the account's Secrets Manager.",
			"with --break-glass a token from %s: is not taken.", src.Scheme)
	}
	s, err := a.signIn(ctx, env)
	if err != nil {
		return err
	}
	id, err := awsauth.WhoAmI(ctx, s.config)
	if err != nil {
		return err
	}
	if id.Account != env.Account || id.Role() != glassRole {
		return ops.Refuse("break-glass", "Become arn:aws:iam::"+env.Account+":role/"+glassRole+" first, with MFA.", "this is %s and not a session of %s in account %s.", ops.Quote(id.ARN), glassRole, env.Account)
	}
	a.say("%s  Breaking the glass: this run happens on this machine, and the team is told. Reason: %s", a.mark(env.Name), ops.Quote(a.breakGlass))
	return nil
}

// glassHandedOn are the variables by which the SDK finds this machine's session.
// Its keys are among them: they end within the hour, and a profile needs none.
var glassHandedOn = []string{"AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL",
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_EC2_METADATA_DISABLED"}

// glassEnviron is what a worker on this machine needs to act in the account.
func (a *app) glassEnviron(env *ops.Environment) []string {
	own := []string{varTokenSource + "=" + secret.SchemeManager + ":" + env.Secret}
	for _, name := range glassHandedOn {
		if v := a.p.Getenv(name); v != "" {
			own = append(own, name+"="+v)
		}
	}
	return own
}
