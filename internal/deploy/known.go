package deploy

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

const fromFile = "the environments file"

// LaneKnown is what is known of a lane's parameters: from the environments file,
// from host, and from the ops repository's variables where they are set.
func (d *Deployer) LaneKnown(l ops.Lane, host, architecture string, getenv func(string) string) map[string]Given {
	env := d.c.Environment
	known := map[string]Given{
		"Lane":        {Value: string(l), From: "the command"},
		"Environment": {Value: string(env.Name), From: fromFile},
		"SynapseHost": {Value: host, From: "SYNAPSE_HOST or the environment's only host"},
	}
	if architecture != "" {
		known["Architecture"] = Given{Value: architecture, From: "the bundle"}
	}
	if env.Secret != "" {
		known["AdminSecretName"] = Given{Value: env.Secret, From: fromFile}
	}
	for parameter, variable := range map[string]string{"VpcId": "VPC_ID", "SubnetIds": "SUBNETS", "SecurityGroupIds": "SECURITY_GROUP_IDS"} {
		if v := getenv(variable); v != "" {
			known[parameter] = Given{Value: withoutBlanks(v), From: variable}
		}
	}
	if env.VPC != "" {
		known["VpcId"] = Given{Value: env.VPC, From: fromFile}
	}
	return known
}

// withoutBlanks writes a list as CloudFormation takes it: its items by commas alone.
func withoutBlanks(list string) string {
	return strings.Join(strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }), ",")
}

// immutableSince is when GitHub began to give new repositories subjects with IDs in
// them.
// https://github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens/
var immutableSince = time.Date(2026, 7, 15, 0, 0, 0, 0, time.UTC)

// BootstrapKnown is what is known of the bootstrap's parameters. What GitHub and IAM
// say are suggestions; whoever does not answer suggests nothing.
func (d *Deployer) BootstrapKnown(ctx context.Context, core string, gitHub *GitHub) map[string]Given {
	env := d.c.Environment
	owner, repository, _ := strings.Cut(env.Repository, "/")
	_, core, _ = strings.Cut(core, "/")
	known := map[string]Given{
		"Environment":   {Value: string(env.Name), From: fromFile},
		"GitHubOrg":     {Value: owner, From: fromFile},
		"OpsRepository": {Value: repository, From: fromFile},
	}
	if core != "" {
		known["CoreRepository"] = Given{Value: core, From: fromFile}
	}
	if env.Secret != "" {
		known["AdminSecretName"] = Given{Value: env.Secret, From: fromFile}
	}
	if arn := d.administrator(ctx); arn != "" {
		known["AdministratorRoleArn"] = Given{Value: arn, From: "the credentials in use", Weak: true}
	}
	if arn := d.provider(ctx); arn != "" {
		known["OidcProviderArn"] = Given{Value: arn, From: "the account, which has one", Weak: true}
	}
	d.suggestRepository(ctx, gitHub, known)
	return known
}

func (d *Deployer) suggestRepository(ctx context.Context, gitHub *GitHub, known map[string]Given) {
	if gitHub == nil {
		return
	}
	r, err := gitHub.Repository(ctx, d.c.Environment.Repository)
	if err != nil {
		d.c.Say("GitHub was asked about %s for suggestions: %s", d.c.Environment.Repository, message(err))
		return
	}
	known["OpsRepositoryId"] = Given{strconv.FormatInt(r.ID, 10), "GitHub", true}
	known["OrgId"] = Given{strconv.FormatInt(r.Owner.ID, 10), "GitHub", true}
	format := "classic"
	if r.Created.After(immutableSince) {
		format = "immutable"
	}
	known["SubjectFormat"] = Given{format, fmt.Sprintf("GitHub: made on %s (immutable also if renamed, moved or opted in since)", r.Created.UTC().Format(time.DateOnly)), true}
}

// administrator is the ARN that policies know the caller by, "" where it cannot be
// told. A session's ARN lacks the role's path, which IAM adds.
func (d *Deployer) administrator(ctx context.Context) string {
	role := d.c.Identity.Role()
	if role == "" {
		if strings.Contains(d.c.Identity.ARN, ":user/") {
			return d.c.Identity.ARN
		}
		return ""
	}
	out, err := d.c.Clients.Roles.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(role)})
	if err != nil || out.Role == nil {
		return ""
	}
	return aws.ToString(out.Role.Arn)
}

// provider is the account's provider for GitHub's tokens, unless the bootstrap made
// it itself.
func (d *Deployer) provider(ctx context.Context) string {
	if now, err := d.find(ctx, BootstrapStack); err != nil || footingOf(now) == update {
		return ""
	}
	out, err := d.c.Clients.Roles.ListOpenIDConnectProviders(ctx, &iam.ListOpenIDConnectProvidersInput{})
	if err != nil {
		return ""
	}
	for _, p := range out.OpenIDConnectProviderList {
		if strings.HasSuffix(aws.ToString(p.Arn), ":oidc-provider/token.actions.githubusercontent.com") {
			return aws.ToString(p.Arn)
		}
	}
	return ""
}

// CheckAdministrator refuses, by the guard bootstrap-role, to run the bootstrap as
// one of the roles that it makes: none of them may widen itself.
func (d *Deployer) CheckAdministrator() error {
	if role := d.c.Identity.Role(); strings.HasPrefix(role, "synops-") {
		return ops.Refuse("bootstrap-role", "Sign in as an administrator of the account.", "the bootstrap decides what %s may do, so that role cannot run it.", role)
	}
	return nil
}
