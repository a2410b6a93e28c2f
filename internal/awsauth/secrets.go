package awsauth

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Fetch returns a function that reads the current value of a secret by its name,
// each time anew: a value kept would be stale after a rotation. NotFound: there is
// no such secret, or none was put into it yet. Errors never hold the value.
func Fetch(cfg aws.Config) func(ctx context.Context, name string) (string, error) {
	client := secretsmanager.NewFromConfig(cfg)
	return func(ctx context.Context, name string) (string, error) {
		out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(name)})
		if err != nil {
			e := Explain("reading the secret "+ops.Quote(name)+" from Secrets Manager", err)
			if own, ok := errors.AsType[*ops.Error](e); ok && own.Code == ops.NotFound {
				own.Hint = "Put it there with: synops secret put " + ops.ShellQuote(name)
			}
			return "", e
		}
		if out.SecretString == nil {
			return "", &ops.Error{Code: ops.Invalid, Message: "The secret " + ops.Quote(name) + " holds bytes, not text.", Hint: "Put it anew with: synops secret put " + ops.ShellQuote(name)}
		}
		return aws.ToString(out.SecretString), nil
	}
}
