package awsauth

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
)

// Account tells which account cfg's credentials belong to. Where STS gave them in
// exchange for an identity token its answer said so already; otherwise it is asked.
// Errors are those of WhoAmI.
func Account(ctx context.Context, cfg aws.Config) (string, error) {
	if cfg.Credentials != nil {
		c, err := cfg.Credentials.Retrieve(ctx)
		if err != nil {
			return "", Explain("asking AWS who we are", err)
		}
		if c.Source == stscreds.WebIdentityProviderName && c.AccountID != "" {
			return c.AccountID, nil
		}
	}
	id, err := WhoAmI(ctx, cfg)
	return id.Account, err
}
