package emulator

import "time"

// Settings are behaviors that AWS documents and that programs trip over. Defaults
// has them on; a test that is about something else turns one off by name.
type Settings struct {
	// Rates limits calls for each account, by "service" or "service:Operation".
	// Beyond it a call is refused as throttled.
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
	Rates map[string]Rate

	// LogDelay is how long a log event stays invisible after it was put. No page
	// gives a figure; events do appear later than they are accepted.
	LogDelay time.Duration
	// EmptyLogPages makes the first page of a stream read from its head empty while
	// its token leads on: a page "might only be partially full, or even empty".
	// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
	EmptyLogPages bool

	// ConditionalWindow is how long a conditional write to S3 is in the making:
	// another one to the same key is refused then with 409
	// ConditionalRequestConflict instead of 412.
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
	ConditionalWindow time.Duration

	// TrustLength is the most characters of a role's trust policy, white space not
	// counted; 2,048 unless raised on request.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
	TrustLength int

	Builds    Builds
	Pipelines Pipelines
	Stacks    Stacks
}

// A Rate is a token bucket: so many calls a second after so many at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Defaults returns the settings with every documented behavior on.
func Defaults() Settings {
	return Settings{
		Rates: map[string]Rate{
			// The only figure that was ever published for it.
			"logs:GetLogEvents": {PerSecond: 10, Burst: 10},
		},
		LogDelay:          500 * time.Millisecond,
		EmptyLogPages:     true,
		ConditionalWindow: time.Millisecond,
		TrustLength:       2048,
		Builds:            defaultBuilds(),
		Pipelines:         defaultPipelines(),
		Stacks:            Stacks{Step: 20 * time.Millisecond},
	}
}
