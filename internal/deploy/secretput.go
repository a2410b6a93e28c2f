package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// Names of the secrets other than the administrator's token, whose name the
// environments file gives.
const (
	MigrationSource      = "/synops/migration/source"
	MigrationDestination = "/synops/migration/destination"
	GitHubPAT            = "/synops/gh-pat"
)

// SecretNames lists the environment's secrets, the administrator's token first.
func SecretNames(env *ops.Environment) []string {
	var out []string
	if env.Secret != "" {
		out = append(out, env.Secret)
	}
	return append(out, MigrationSource, MigrationDestination, GitHubPAT)
}

// Stages of a secret's versions.
const (
	stageCurrent = "AWSCURRENT"
	stagePending = "AWSPENDING"
)

// mostSecret is what Secrets Manager takes.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
const mostSecret = 65_536

// A PutSecret is how a secret was put.
type PutSecret struct {
	Name    string `json:"secret"`
	Version string `json:"version"`
	// Previous is the version it took the place of, which stays as AWSPREVIOUS; "": none.
	Previous string `json:"previous,omitempty"`
	Checked  bool   `json:"checked"` // it was seen to work
}

// PutSecret stores value as the secret's current one: as AWSPENDING first, so that
// nothing reads it until it is stored whole, then AWSCURRENT is moved to it. check is
// asked before anything is written; an error of it of code Unavailable means that it
// could not tell, and stops it unless unchecked is set; any other stops it always. A
// nil check cannot tell. NotFound: the account has no such secret.
func (d *Deployer) PutSecret(ctx context.Context, name, value string, check func(context.Context) error, unchecked bool) (*PutSecret, error) {
	if value == "" || len(value) > mostSecret {
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("The value has %d bytes; a secret has 1 to %d.", len(value), mostSecret), Hint: "Give it on standard input."}
	}
	held, err := d.c.Clients.Secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(name)})
	if err != nil {
		e := awsauth.Explain("looking at the secret "+ops.Quote(name), err)
		if own, ok := errors.AsType[*ops.Error](e); ok && own.Code == ops.NotFound {
			own.Hint = d.createHint(BootstrapStack)
		}
		return nil, e
	}
	out := &PutSecret{Name: name, Previous: holder(held.VersionIdsToStages, stageCurrent)}
	if out.Checked, err = checked(ctx, name, check, unchecked); err != nil {
		return nil, err
	}
	put, err := d.c.Clients.Secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String(name), SecretString: aws.String(value),
		ClientRequestToken: aws.String(random() + random()), VersionStages: []string{stagePending}})
	if err != nil {
		return nil, awsauth.Explain("storing the secret "+ops.Quote(name), err)
	}
	out.Version = aws.ToString(put.VersionId)
	if slices.Contains(put.VersionStages, stageCurrent) {
		return out, nil // a secret's first version is its current one at once
	}
	move := &secretsmanager.UpdateSecretVersionStageInput{SecretId: aws.String(name), VersionStage: aws.String(stageCurrent), MoveToVersionId: put.VersionId}
	if out.Previous != "" {
		// Whoever put another value meanwhile is not overwritten unseen.
		move.RemoveFromVersionId = aws.String(out.Previous)
	}
	if _, err := d.c.Clients.Secrets.UpdateSecretVersionStage(ctx, move); err != nil {
		e := awsauth.Explain("making the new value of "+ops.Quote(name)+" the current one", err)
		if own, ok := errors.AsType[*ops.Error](e); ok {
			own.Hint = "The value there was is still the current one. Run it again. " + own.Hint
		}
		return nil, e
	}
	return out, nil
}

func holder(versions map[string][]string, stage string) string {
	for id, stages := range versions {
		if slices.Contains(stages, stage) {
			return id
		}
	}
	return ""
}

// checked asks check and sorts its answer.
func checked(ctx context.Context, name string, check func(context.Context) error, unchecked bool) (bool, error) {
	reason := "nothing here knows how this secret is used"
	if check != nil {
		err := check(ctx)
		if err == nil {
			return true, nil
		}
		if ctx.Err() != nil || ops.CodeOf(err) != ops.Unavailable {
			return false, err
		}
		reason = err.Error()
	}
	if unchecked {
		return false, nil
	}
	return false, &ops.Error{Code: ops.Unavailable, Message: fmt.Sprintf("Whether the value for %s works cannot be told from here: %s", ops.Quote(name), sentence(reason)),
		Hint: "Nothing was stored. Run it where that can be asked, or add --unchecked and then run the task canary, which uses it."}
}
