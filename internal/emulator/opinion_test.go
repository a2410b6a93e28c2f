package emulator_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// varSecondOpinion names the base URL of another emulator of AWS, such as moto's,
// which .ci/run starts where it is installed. The tests below ask it what they ask
// ours: an answer that two who wrote from the same documentation share is likelier
// the documented one.
const varSecondOpinion = "SYNOPS_SECOND_OPINION"

// opinions calls test for our emulator, and for the other where there is one. A
// bucket "opinions" that keeps versions is there.
func opinions(t *testing.T, test func(t *testing.T, c aws.Config)) {
	t.Run("ours", func(t *testing.T) {
		w := newQuickWorld(t)
		w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "opinions", Versioned: true}))
		test(t, w.admin(dev))
	})
	url := os.Getenv(varSecondOpinion)
	if url == "" {
		return
	}
	t.Run("second", func(t *testing.T) {
		c := aws.Config{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
			RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired}
		b := bucketsOf(c) // made again for each test, which is no error there
		must := func(_ any, err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(b.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("opinions")}))
		must(b.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: aws.String("opinions"), VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}}))
		test(t, c)
	})
}

func bucketsOf(c aws.Config) *s3.Client {
	return s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true })
}

// codeIs tells whether an error is AWS's of that code.
func codeIs(err error, code string) bool {
	e, ok := errors.AsType[smithy.APIError](err)
	return ok && e.ErrorCode() == code
}

// TestOpinion_S3: what is there is not written over where that was ruled out, and
// every version stays.
func TestOpinion_S3(t *testing.T) {
	opinions(t, func(t *testing.T, c aws.Config) {
		b := bucketsOf(c)
		put := func(text string, match *string) (*s3.PutObjectOutput, error) {
			return b.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("opinions"), Key: aws.String("admin/claims/a"), Body: strings.NewReader(text), IfNoneMatch: match})
		}
		first, err := put("first", aws.String("*"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := put("second", aws.String("*")); !codeIs(err, "PreconditionFailed") {
			t.Errorf("written over: %v", err)
		}
		if _, err := put("third", nil); err != nil {
			t.Errorf("without a condition: %v", err)
		}
		read := func(version *string) string {
			out, err := b.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("opinions"), Key: aws.String("admin/claims/a"), VersionId: version})
			if err != nil {
				t.Fatal(err)
			}
			defer out.Body.Close()
			var text bytes.Buffer
			_, _ = text.ReadFrom(out.Body)
			return text.String()
		}
		if now, was := read(nil), read(first.VersionId); now != "third" || was != "first" {
			t.Errorf("it reads %q, and in its first version %q", now, was)
		}
		if _, err := b.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("opinions"), Key: aws.String("nothing")}); !codeIs(err, "NoSuchKey") {
			t.Errorf("what is not there: %v", err)
		}
		list, err := b.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("opinions"), Prefix: aws.String("admin/"), StartAfter: aws.String("admin/b")})
		if err != nil || len(list.Contents) != 1 || *list.Contents[0].Key != "admin/claims/a" {
			t.Errorf("listed: %v, %v", list, err)
		}
	})
}

// TestOpinion_Secrets: a value that is stored as pending is current only once its
// stage is moved, and what it takes the place of is the previous one then.
func TestOpinion_Secrets(t *testing.T) {
	opinions(t, func(t *testing.T, c aws.Config) {
		s, name := secretsmanager.NewFromConfig(c), aws.String("/opinion/pat")
		created, err := s.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: name, SecretString: aws.String("old"), ClientRequestToken: aws.String(strings.Repeat("a", 32))})
		if err != nil {
			t.Fatal(err)
		}
		put, err := s.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: name, SecretString: aws.String("new"), ClientRequestToken: aws.String(strings.Repeat("b", 32)), VersionStages: []string{"AWSPENDING"}})
		if err != nil {
			t.Fatal(err)
		}
		value := func(stage string) string {
			out, err := s.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: name, VersionStage: &stage})
			if err != nil {
				t.Fatal(err)
			}
			return *out.SecretString
		}
		if now, pending := value("AWSCURRENT"), value("AWSPENDING"); now != "old" || pending != "new" {
			t.Errorf("current is %q, pending %q", now, pending)
		}
		if _, err := s.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: name, VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: put.VersionId, RemoveFromVersionId: created.VersionId}); err != nil {
			t.Fatal(err)
		}
		if now, was := value("AWSCURRENT"), value("AWSPREVIOUS"); now != "new" || was != "old" {
			t.Errorf("current is %q, previous %q", now, was)
		}
		if _, err := s.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("/opinion/none")}); !codeIs(err, "ResourceNotFoundException") {
			t.Errorf("what is not there: %v", err)
		}
	})
}

// TestOpinion_Logs: lines come in order, and the token at the end stays as it is.
func TestOpinion_Logs(t *testing.T) {
	opinions(t, func(t *testing.T, c aws.Config) {
		l, group, stream := cloudwatchlogs.NewFromConfig(c), aws.String("/opinion/logs"), aws.String("one")
		if _, err := l.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream}); err != nil {
			t.Fatal(err)
		}
		at := time.Now().UnixMilli()
		if _, err := l.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: stream, LogEvents: []logtypes.InputLogEvent{{Message: aws.String("first"), Timestamp: &at}, {Message: aws.String("second"), Timestamp: aws.Int64(at + 1)}}}); err != nil {
			t.Fatal(err)
		}
		var lines []string
		in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: stream, StartFromHead: aws.Bool(true)}
		for range 5 {
			out, err := l.GetLogEvents(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range out.Events {
				lines = append(lines, *e.Message)
			}
			if in.NextToken != nil && *in.NextToken == *out.NextForwardToken {
				break
			}
			in.NextToken = out.NextForwardToken
		}
		if got := strings.Join(lines, ","); got != "first,second" {
			t.Errorf("read %s", got)
		}
		_, err := l.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: aws.String("none")})
		if !codeIs(err, "ResourceNotFoundException") {
			t.Errorf("a stream that is not there: %v", err)
		}
	})
}

// TestOpinion_ChangeSets: a change set is looked at, then executed; one without
// changes fails, and says why.
func TestOpinion_ChangeSets(t *testing.T) {
	const topic = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Properties: {}\n"
	opinions(t, func(t *testing.T, c aws.Config) {
		f, s := stacksOf(c), stackChange{name: "opinion", template: topic}
		set, err := propose(f, s, cftypes.ChangeSetTypeCreate)
		if err != nil || len(set.Changes) != 1 || set.Changes[0].ResourceChange.Action != cftypes.ChangeActionAdd || *set.Changes[0].ResourceChange.LogicalResourceId != "Topic" {
			t.Fatalf("proposed %v, %v", set, err)
		}
		if _, err := f.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: &s.name, ChangeSetName: aws.String(changes)}); err != nil {
			t.Fatal(err)
		}
		waiter := cloudformation.NewStackCreateCompleteWaiter(f, func(o *cloudformation.StackCreateCompleteWaiterOptions) {
			o.MinDelay, o.MaxDelay = time.Millisecond, 10*time.Millisecond
		})
		if err := waiter.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: &s.name}, 20*time.Second); err != nil {
			t.Fatal(err)
		}
		if _, err := f.CreateChangeSet(ctx, s.input("again", cftypes.ChangeSetTypeUpdate)); err != nil {
			t.Fatal(err)
		}
		until(t, "the change set's end", func() bool {
			set, err = f.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{StackName: &s.name, ChangeSetName: aws.String("again")})
			return err == nil && set.Status == cftypes.ChangeSetStatusFailed
		})
		if !strings.Contains(*set.StatusReason, "didn't contain changes") {
			t.Errorf("a change set without changes says %q", *set.StatusReason)
		}
	})
}
