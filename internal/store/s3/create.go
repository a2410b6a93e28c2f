package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// creates is how often a creation is tried: a store that is away for a moment must
// not end a run of 30 hours.
const (
	creates  = 6
	mostWait = 10 * time.Second
)

// writerKey is the metadata that tells our own object from another's.
const writerKey = "synops-writer"

// create puts an object where there is none. We retry, not the SDK: after a lost
// answer the next try meets our own object and is answered 412, and only the mark
// of its writer tells that from having lost.
func (d *Driver) create(ctx context.Context, key string, body io.ReadSeeker) error {
	if err := ops.CheckKey(key); err != nil {
		return err
	}
	mark := make([]byte, 16)
	_, _ = rand.Read(mark) // never fails; see crypto/rand
	writer := hex.EncodeToString(mark)
	lost := false // an earlier try's answer did not come
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return explain("reading what is to be", key, err)
		}
		_, err := d.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &d.bucket, Key: &key, Body: body, IfNoneMatch: aws.String("*"),
			Metadata: map[string]string{writerKey: writer}, Tagging: retention(key)}, once)
		switch {
		case err == nil:
			return nil
		case status(err) == http.StatusPreconditionFailed:
			if lost {
				return d.whose(ctx, key, writer)
			}
			return ops.Errorf(ops.Conflict, "the document %s is there already.", ops.Quote(key))
		case try == creates || !passing(err):
			return explain("creating", key, err)
		}
		lost = lost || unanswered(err)
		if err := d.wait(ctx, backoff(try)); err != nil {
			return err
		}
	}
}

// retention is the tag of private documents: the bucket's lifecycle removes by it,
// and its policy takes none without.
func retention(key string) *string {
	if !strings.Contains(key, "/private/") {
		return nil
	}
	return aws.String("synops-retention=private")
}

// whose tells whether the object that is there is the one this writer sent.
func (d *Driver) whose(ctx context.Context, key, writer string) error {
	out, err := d.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &d.bucket, Key: &key})
	if err != nil {
		return explain("asking who wrote", key, err)
	}
	if out.Metadata[writerKey] == writer {
		return nil
	}
	return ops.Errorf(ops.Conflict, "the document %s is there already.", ops.Quote(key))
}

// once keeps the SDK from trying again by itself.
func once(o *s3.Options) { o.Retryer = aws.NopRetryer{} }

// backoff is full jitter: up to 100 ms at first, doubled with each try.
func backoff(try int) time.Duration {
	most := min(mostWait, 100*time.Millisecond<<(try-1))
	n, err := rand.Int(rand.Reader, big.NewInt(int64(most)))
	if err != nil {
		return most
	}
	return time.Duration(n.Int64())
}

// pause waits, but not beyond the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// status is the answer's HTTP status, 0 when there was none.
func status(err error) int {
	if re, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return re.HTTPStatusCode()
	}
	return 0
}

// passing tells whether trying again may help: no answer, a race (409), too much
// at once, or a server's own fault.
func passing(err error) bool {
	switch s := status(err); {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case s == 0:
		_, sent := errors.AsType[*smithyhttp.RequestSendError](err)
		return sent
	default:
		return s == http.StatusConflict || s == http.StatusTooManyRequests || s == http.StatusRequestTimeout || s >= 500
	}
}

// unanswered tells whether the object may have been created all the same.
func unanswered(err error) bool {
	s := status(err)
	return s == 0 || s >= 500 || s == http.StatusRequestTimeout
}

// explain turns the SDK's error into ours.
func explain(doing, key string, err error) error {
	what := doing + " " + ops.Quote(key)
	code := ""
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = api.ErrorCode()
	}
	switch s := status(err); {
	case code == "NoSuchBucket":
		return &ops.Error{Code: ops.Unavailable, Message: what + ": the store's bucket is not there.", Hint: "Was the account bootstrapped? See synops doctor.", Err: err}
	case s == http.StatusNotFound:
		return &ops.Error{Code: ops.NotFound, Message: what + ": it is not there.", Err: err}
	case s == http.StatusForbidden:
		return &ops.Error{Code: ops.Denied, Message: what + ": this role may not (" + code + ").", Hint: "Is this the role and the account that the run belongs to?", Err: err}
	case errors.Is(err, context.Canceled):
		return ops.Errorf(ops.Canceled, "%s: %w", what, err)
	}
	return ops.Errorf(ops.Unavailable, "%s: %w", what, err)
}

// withDate notes the time by the service's clock that an answer carries.
func withDate(into *time.Time) func(*s3.Options) {
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("NoteDate",
				func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
					out, meta, err := next.HandleDeserialize(ctx, in)
					if r, ok := out.RawResponse.(*smithyhttp.Response); ok {
						*into, _ = http.ParseTime(r.Header.Get("Date"))
					}
					return out, meta, err
				}), middleware.After)
		})
	}
}
