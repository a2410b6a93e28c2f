// Package s3 keeps a store's documents as objects of one bucket.
//
// A document is created with If-None-Match: * (Amazon S3 User Guide, "Conditional
// requests"): of all that try one wins, the others are answered 412, and those that
// met in the same moment 409 and try again. S3 is durable on its answer and reads
// what was written last, so nothing else is needed for the contract of a driver.
//
// What is not here: what documents mean, who may write which (the bucket policy
// says), and deleting them.
package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Driver keeps documents in one bucket. Safe for concurrent use.
type Driver struct {
	client *s3.Client
	bucket string
	wait   func(ctx context.Context, d time.Duration) error
}

// New returns the driver for a bucket, with the region, credentials and endpoint
// of config. Nothing is asked yet.
func New(config aws.Config, bucket string) *Driver {
	client := s3.NewFromConfig(config, func(o *s3.Options) {
		// A bucket is not a host name on loopback, where emulated accounts are.
		o.UsePathStyle = config.BaseEndpoint != nil && ops.Loopback(*config.BaseEndpoint)
	})
	return &Driver{client: client, bucket: bucket, wait: pause}
}

// URL names the bucket: "s3://bucket".
func (d *Driver) URL() string { return "s3://" + d.bucket }

// Get returns the document; NotFound when absent.
func (d *Driver) Get(ctx context.Context, key string) ([]byte, error) {
	r, err := d.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, explain("reading", key, err)
	}
	return data, nil
}

// Open returns the document to read; NotFound when absent.
func (d *Driver) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := ops.CheckKey(key); err != nil {
		return nil, err
	}
	out, err := d.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &d.bucket, Key: &key})
	if err != nil {
		return nil, explain("reading", key, err)
	}
	return out.Body, nil
}

// Put replaces the document.
func (d *Driver) Put(ctx context.Context, key string, data []byte) error {
	if err := ops.CheckKey(key); err != nil {
		return err
	}
	if _, err := d.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &d.bucket, Key: &key, Body: bytes.NewReader(data)}); err != nil {
		return explain("writing", key, err)
	}
	return nil
}

// Create keeps data under a key that is free.
func (d *Driver) Create(ctx context.Context, key string, data []byte) error {
	return d.create(ctx, key, bytes.NewReader(data))
}

// CreateFrom is Create with what write writes. A put needs its length beforehand,
// so the stream goes to a temporary file first.
func (d *Driver) CreateFrom(ctx context.Context, key string, write func(io.Writer) error) error {
	if err := ops.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := os.CreateTemp("", "synops-*")
	if err != nil {
		return fmt.Errorf("making a temporary file: %w", err)
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	if err := write(f); err != nil {
		return fmt.Errorf("writing %s: %w", ops.Quote(key), err)
	}
	return d.create(ctx, key, f)
}

// Age tells how long ago the document was written, by S3's own clock: its answer
// has both times, in seconds.
func (d *Driver) Age(ctx context.Context, key string) (time.Duration, error) {
	if err := ops.CheckKey(key); err != nil {
		return 0, err
	}
	var now time.Time
	out, err := d.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &d.bucket, Key: &key}, withDate(&now))
	if err != nil {
		return 0, explain("asking for the age of", key, err)
	}
	if out.LastModified == nil || now.IsZero() {
		return 0, ops.Errorf(ops.Unavailable, "the store does not tell the age of %s.", ops.Quote(key))
	}
	return max(0, now.Sub(*out.LastModified)), nil
}

// List returns the names of a folder's direct children, sorted; folders end in
// "/". A page has at most 1,000 of them.
func (d *Driver) List(ctx context.Context, folder string) ([]string, error) {
	return d.ListFrom(ctx, folder, "")
}

// ListFrom is List without the names below from, which S3 does not read: it starts
// after a key.
func (d *Driver) ListFrom(ctx context.Context, folder, from string) ([]string, error) {
	prefix := ""
	if folder != "" {
		if err := ops.CheckKey(folder); err != nil {
			return nil, err
		}
		prefix = folder + "/"
	}
	var names []string
	in := &s3.ListObjectsV2Input{Bucket: &d.bucket, Prefix: &prefix, Delimiter: aws.String("/")}
	if from != "" {
		_, last := utf8.DecodeLastRuneInString(from)
		in.StartAfter = aws.String(prefix + from[:len(from)-last]) // a document may have just that name
	}
	pages := s3.NewListObjectsV2Paginator(d.client, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain("listing", folder, err)
		}
		for _, o := range page.Contents {
			names = append(names, strings.TrimPrefix(aws.ToString(o.Key), prefix))
		}
		for _, p := range page.CommonPrefixes {
			names = append(names, strings.TrimPrefix(aws.ToString(p.Prefix), prefix))
		}
	}
	slices.Sort(names)
	names = slices.DeleteFunc(names, func(name string) bool { return name < from })
	return names, nil
}
