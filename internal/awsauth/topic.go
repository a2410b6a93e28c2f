package awsauth

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// Publish sends a message to a topic of SNS. A subject is ASCII, of at most 99
// characters; what is not is left out of it.
func Publish(ctx context.Context, cfg aws.Config, topic, subject, message string) error {
	plain := make([]byte, 0, len(subject))
	for i := range len(subject) {
		if c := subject[i]; c >= ' ' && c <= '~' && len(plain) < 99 {
			plain = append(plain, c)
		}
	}
	_, err := sns.NewFromConfig(cfg).Publish(ctx, &sns.PublishInput{TopicArn: aws.String(topic), Subject: aws.String(string(plain)), Message: aws.String(message)})
	if err != nil {
		return Explain("telling the team's topic", err)
	}
	return nil
}
