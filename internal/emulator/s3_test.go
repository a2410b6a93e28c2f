package emulator_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// bucket stores a versioned bucket and returns an administrator's client.
func (w *world) bucket(b emulator.Bucket) *s3.Client {
	w.t.Helper()
	b.Versioned = true
	w.must(w.Account(dev).S3.CreateBucket(b))
	return s3Of(w.admin(dev))
}

func put(c *s3.Client, key, body string, change ...func(*s3.PutObjectInput)) (*s3.PutObjectOutput, error) {
	in := &s3.PutObjectInput{Bucket: aws.String("store-1"), Key: &key, Body: strings.NewReader(body)}
	for _, f := range change {
		f(in)
	}
	return c.PutObject(ctx, in)
}

func ifNoneMatch(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }

func get(c *s3.Client, key string, change ...func(*s3.GetObjectInput)) (string, error) {
	in := &s3.GetObjectInput{Bucket: aws.String("store-1"), Key: &key}
	for _, f := range change {
		f(in)
	}
	out, err := c.GetObject(ctx, in)
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	return string(b), err
}

func TestS3_Versions(t *testing.T) {
	w := newWorld(t)
	c := w.bucket(emulator.Bucket{Name: "store-1"})
	one, err := put(c, "k", "one", func(in *s3.PutObjectInput) {
		in.ContentType, in.Metadata = aws.String("text/plain"), map[string]string{"run": "r-1"}
	})
	w.must(err)
	two, err := put(c, "k", "two")
	w.must(err)
	if *one.VersionId == *two.VersionId {
		t.Errorf("both versions are %s", *one.VersionId)
	}
	if got, err := get(c, "k"); got != "two" || err != nil {
		t.Errorf("newest: %q, %v", got, err)
	}
	if got, err := get(c, "k", func(in *s3.GetObjectInput) { in.VersionId = one.VersionId }); got != "one" || err != nil {
		t.Errorf("first: %q, %v", got, err)
	}
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("store-1"), Key: aws.String("k"), VersionId: one.VersionId})
	w.must(err)
	if *head.ContentLength != 3 || *head.ContentType != "text/plain" || head.Metadata["run"] != "r-1" || *head.ETag != *one.ETag {
		t.Errorf("head of the first: %+v", head)
	}
	gone, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("store-1"), Key: aws.String("k")})
	w.must(err)
	if gone.DeleteMarker == nil || !*gone.DeleteMarker {
		t.Errorf("deleting left no marker: %+v", gone)
	}
	_, err = get(c, "k")
	wantCode(t, err, "NoSuchKey")
	if _, typed := errors.AsType[*types.NoSuchKey](err); !typed {
		t.Errorf("error %T is not the SDK's NoSuchKey", err)
	}
	_, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("store-1"), Key: aws.String("k")})
	wantCode(t, err, "NotFound")
	if got, err := get(c, "k", func(in *s3.GetObjectInput) { in.VersionId = two.VersionId }); got != "two" || err != nil {
		t.Errorf("a version behind the marker: %q, %v", got, err)
	}
	_, err = get(c, "k", func(in *s3.GetObjectInput) { in.VersionId = aws.String("abc") })
	wantCode(t, err, "NoSuchVersion")
	list, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: aws.String("store-1"), Prefix: aws.String("k")})
	w.must(err)
	if len(list.Versions) != 2 || len(list.DeleteMarkers) != 1 || *list.Versions[0].VersionId != *two.VersionId || !*list.DeleteMarkers[0].IsLatest {
		t.Errorf("versions %d, markers %d", len(list.Versions), len(list.DeleteMarkers))
	}
	if err := w.Account(dev).S3.DeleteBucket("store-1"); codeOf2(err) != "BucketNotEmpty" {
		t.Errorf("deleting a bucket with versions: %v", err)
	}
}

// codeOf2 is the code of an error that did not go over the wire.
func codeOf2(err error) string {
	if f, ok := errors.AsType[*emulator.Fault](err); ok {
		return f.Code
	}
	return fmt.Sprint(err)
}

func TestS3_Ranges(t *testing.T) {
	w := newWorld(t)
	c := w.bucket(emulator.Bucket{Name: "store-1"})
	_, err := put(c, "k", "0123456789")
	w.must(err)
	for _, tc := range []struct{ span, want, code string }{
		{"bytes=4-", "456789", ""}, {"bytes=0-0", "0", ""}, {"bytes=8-99", "89", ""}, {"bytes=10-", "", "InvalidRange"}, {"bytes=-3", "", "NotModelled"},
	} {
		got, err := get(c, "k", func(in *s3.GetObjectInput) { in.Range = &tc.span })
		if got != tc.want || codeOf(err) != tc.code {
			t.Errorf("%s: %q, %v", tc.span, got, err)
		}
	}
}

func TestS3_ConditionalWrites(t *testing.T) {
	w := newWorld(t)
	c := w.bucket(emulator.Bucket{Name: "store-1"})
	first, err := put(c, "k", "one", ifNoneMatch)
	w.must(err)
	_, err = put(c, "k", "two", ifNoneMatch)
	wantCode(t, err, "PreconditionFailed")
	ifMatch := func(etag *string) func(*s3.PutObjectInput) {
		return func(in *s3.PutObjectInput) { in.IfMatch = etag }
	}
	_, err = put(c, "k", "three", ifMatch(first.ETag))
	w.must(err)
	_, err = put(c, "k", "four", ifMatch(first.ETag))
	wantCode(t, err, "PreconditionFailed")
	_, err = put(c, "other", "five", ifMatch(first.ETag))
	wantCode(t, err, "NoSuchKey")
	_, err = put(c, "k", "six", func(in *s3.PutObjectInput) { in.IfNoneMatch = first.ETag })
	wantCode(t, err, "NotImplemented")
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("store-1"), Key: aws.String("k")})
	w.must(err)
	if _, err = put(c, "k", "seven", ifNoneMatch); err != nil {
		t.Errorf("creating behind a delete marker: %v", err)
	}
	if got, _ := get(c, "k"); got != "seven" {
		t.Errorf("the object is %q", got)
	}
}

// TestS3_RaceHasOneWinner: of 32 that create one key one does, and it is what the
// others see; who comes while it is being made is told so.
func TestS3_RaceHasOneWinner(t *testing.T) {
	w := newWorld(t, func(c *emulator.Config) { c.Settings.ConditionalWindow = 500 * time.Millisecond })
	c := w.bucket(emulator.Bucket{Name: "store-1"})
	codes := make([]string, 32)
	var all sync.WaitGroup
	for i := range codes {
		all.Go(func() {
			_, err := put(c, "k", fmt.Sprint("writer ", i), ifNoneMatch)
			codes[i] = codeOf(err)
		})
	}
	all.Wait()
	if n := count(codes, ""); n != 1 {
		t.Fatalf("%d winners: %q", n, codes)
	}
	if n := count(codes, "PreconditionFailed") + count(codes, "ConditionalRequestConflict"); n != 31 {
		t.Errorf("losers: %q", codes)
	}
	if count(codes, "ConditionalRequestConflict") == 0 {
		t.Errorf("nobody met the write in the making: %q", codes)
	}
	if got, _ := get(c, "k"); got != fmt.Sprint("writer ", slices.Index(codes, "")) {
		t.Errorf("stored %q, but writer %d won", got, slices.Index(codes, ""))
	}
}

func count(list []string, want string) int {
	n := 0
	for _, s := range list {
		if s == want {
			n++
		}
	}
	return n
}

// TestS3_CreateOnlyByPolicy: the bucket's policy denies every write that could
// replace something, but for one key, and every deletion.
func TestS3_CreateOnlyByPolicy(t *testing.T) {
	const p = `{"Version":"2012-10-17","Statement":[
		{"Sid":"CreateOnly","Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::store-1/plan/runs/*","Condition":{"Null":{"s3:if-none-match":"true"}}},
		{"Sid":"Keep","Effect":"Deny","Principal":"*","Action":["s3:DeleteObject","s3:DeleteObjectVersion"],"Resource":"arn:aws:s3:::store-1/*"},
		{"Sid":"Secure","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::store-1","arn:aws:s3:::store-1/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`
	w := newWorld(t)
	w.bucket(emulator.Bucket{Name: "store-1", Policy: p})
	w.role(dev, "worker", allows("arn:aws:s3:::store-1/*", "s3:*"))
	c := s3Of(w.as(dev, "worker"))
	_, err := put(c, "plan/runs/r/plan.json", "{}")
	wantCode(t, err, "AccessDenied")
	_, err = put(c, "plan/runs/r/plan.json", "{}", ifNoneMatch)
	wantCode(t, err, "")
	_, err = put(c, "heartbeat.json", "{}")
	wantCode(t, err, "")
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("store-1"), Key: aws.String("heartbeat.json")})
	wantCode(t, err, "AccessDenied")
	_, err = s3Of(w.admin(dev)).DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("store-1"), Key: aws.String("heartbeat.json")})
	wantCode(t, err, "AccessDenied") // a denial binds administrators too
}

func TestS3_InsecureTransport(t *testing.T) {
	w := newWorld(t, func(c *emulator.Config) { c.InsecureTransport = true })
	c := w.bucket(emulator.Bucket{Name: "store-1", Policy: bucketPolicy("store-1", "Deny", `"*"`, "s3:*", `{"Bool":{"aws:SecureTransport":"false"}}`)})
	_, err := put(c, "k", "x")
	wantCode(t, err, "AccessDenied")
}

// TestS3_MissingKeyIsSecret: who may not list a bucket is not told that a key is
// missing.
func TestS3_MissingKeyIsSecret(t *testing.T) {
	w := newWorld(t)
	w.bucket(emulator.Bucket{Name: "store-1"})
	w.role(dev, "reader", allows("arn:aws:s3:::store-1/*", "s3:GetObject"))
	w.role(dev, "lister", allows("*", "s3:GetObject", "s3:ListBucket"))
	_, err := get(s3Of(w.as(dev, "reader")), "nothing")
	wantCode(t, err, "AccessDenied")
	_, err = get(s3Of(w.as(dev, "lister")), "nothing")
	wantCode(t, err, "NoSuchKey")
}

// TestS3_IfMatchReads: If-Match tells what is there, so it takes permission to read.
func TestS3_IfMatchReads(t *testing.T) {
	w := newWorld(t)
	c := w.bucket(emulator.Bucket{Name: "store-1"})
	out, err := put(c, "k", "x")
	w.must(err)
	w.role(dev, "writer", allows("arn:aws:s3:::store-1/*", "s3:PutObject"))
	_, err = put(s3Of(w.as(dev, "writer")), "k", "y", func(in *s3.PutObjectInput) { in.IfMatch = out.ETag })
	wantCode(t, err, "AccessDenied")
}

func TestS3_Listing(t *testing.T) {
	w := newWorld(t)
	c := w.bucket(emulator.Bucket{Name: "store-1"})
	var want []string
	for i := range 25 {
		key := fmt.Sprintf("plan/runs/r%02d/plan.json", i)
		want = append(want, key)
		_, err := w.Account(dev).S3.Put("store-1", key, []byte("x"))
		w.must(err)
	}
	_, err := w.Account(dev).S3.Put("store-1", "plan/a b+ä.json", nil)
	w.must(err)
	pages, got := 0, []string{}
	p := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String("store-1"), Prefix: aws.String("plan/runs/"), MaxKeys: aws.Int32(7)})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		w.must(err)
		pages++
		for _, o := range page.Contents {
			got = append(got, *o.Key)
		}
	}
	if pages != 4 || !slices.Equal(got, want) {
		t.Errorf("%d pages: %q", pages, got)
	}
	out, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("store-1"), Prefix: aws.String("plan/"), Delimiter: aws.String("/"), EncodingType: types.EncodingTypeUrl})
	w.must(err)
	if len(out.CommonPrefixes) != 1 || len(out.Contents) != 1 || *out.CommonPrefixes[0].Prefix != "plan%2Fruns%2F" {
		t.Errorf("folders %v, keys %v", out.CommonPrefixes, out.Contents)
	}
	out, err = c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("store-1"), StartAfter: aws.String(want[23]), Prefix: aws.String("plan/runs/")})
	w.must(err)
	if len(out.Contents) != 1 || *out.Contents[0].Key != want[24] {
		t.Errorf("after %s: %v", want[23], out.Contents)
	}
}

// TestS3_ListingFolders pages through folders: each is told once.
func TestS3_ListingFolders(t *testing.T) {
	w := newWorld(t)
	c := w.bucket(emulator.Bucket{Name: "store-1"})
	for i := range 5 {
		for j := range 3 {
			_, err := w.Account(dev).S3.Put("store-1", fmt.Sprintf("index/2026%d/%d", i, j), nil)
			w.must(err)
		}
	}
	var got []string
	p := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String("store-1"), Prefix: aws.String("index/"), Delimiter: aws.String("/"), MaxKeys: aws.Int32(2)})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		w.must(err)
		for _, f := range page.CommonPrefixes {
			got = append(got, *f.Prefix)
		}
	}
	if len(got) != 5 || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != 5 {
		t.Errorf("folders %q", got)
	}
}

// TestS3_ListingByPrefix: a role confined to its lane's prefix lists nothing else.
func TestS3_ListingByPrefix(t *testing.T) {
	w := newWorld(t)
	w.bucket(emulator.Bucket{Name: "store-1"})
	w.role(dev, "lane", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::store-1","Condition":{"StringLike":{"s3:prefix":"plan/*"}}}]}`)
	c := s3Of(w.as(dev, "lane"))
	for prefix, want := range map[string]string{"plan/runs/": "", "admin/": "AccessDenied", "": "AccessDenied"} {
		in := &s3.ListObjectsV2Input{Bucket: aws.String("store-1")}
		if prefix != "" {
			in.Prefix = &prefix
		}
		_, err := c.ListObjectsV2(ctx, in)
		wantCode(t, err, want)
	}
}

func TestS3_Checksums(t *testing.T) {
	w := newWorld(t)
	c := w.bucket(emulator.Bucket{Name: "store-1"})
	_, err := put(c, "k", "x", func(in *s3.PutObjectInput) { in.ChecksumCRC32 = aws.String("AAAAAA==") })
	wantCode(t, err, "BadDigest")
	out, err := put(c, "k", "x")
	w.must(err)
	if out.ChecksumCRC32 == nil || *out.ChecksumCRC32 == "" {
		t.Error("the SDK's own checksum did not come back")
	}
	got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("store-1"), Key: aws.String("k")})
	w.must(err)
	defer got.Body.Close()
	if got.ChecksumCRC32 == nil {
		t.Error("an object read back has no checksum to check")
	}
}

func TestS3_LargeObject(t *testing.T) {
	w := newWorld(t)
	c := w.bucket(emulator.Bucket{Name: "store-1"})
	body := bytes.Repeat([]byte("synops"), 2<<20) // 12 MB, as a bundle
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("store-1"), Key: aws.String("bundle.zip"), Body: bytes.NewReader(body)})
	w.must(err)
	if got, err := get(c, "bundle.zip"); err != nil || got != string(body) {
		t.Errorf("read back %d bytes, %v", len(got), err)
	}
}

func TestS3_Configuration(t *testing.T) {
	w := newWorld(t)
	c := w.bucket(emulator.Bucket{Name: "store-1", BlockPublicPolicy: true, BlockPublicACLs: true, Policy: bucketPolicy("store-1", "Deny", `"*"`, "s3:DeleteObject", "")})
	bucket := aws.String("store-1")
	v, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: bucket})
	w.must(err)
	if v.Status != types.BucketVersioningStatusEnabled {
		t.Errorf("versioning %q", v.Status)
	}
	b, err := c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: bucket})
	w.must(err)
	if p := b.PublicAccessBlockConfiguration; !*p.BlockPublicPolicy || !*p.BlockPublicAcls || *p.RestrictPublicBuckets {
		t.Errorf("public access block %+v", p)
	}
	e, err := c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: bucket})
	w.must(err)
	if a := e.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm; a != "AES256" {
		t.Errorf("encryption %q", a)
	}
	p, err := c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: bucket})
	w.must(err)
	if !strings.Contains(*p.Policy, "s3:DeleteObject") {
		t.Errorf("policy %q", *p.Policy)
	}
	if _, err = c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: bucket}); err != nil {
		t.Error(err)
	}
	_, err = c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("nothing")})
	wantCode(t, err, "NotFound")
	if err := w.Account(dev).S3.UpdateBucket("store-1", func(b *emulator.Bucket) {
		b.Policy = bucketPolicy("store-1", "Allow", `"*"`, "s3:GetObject", "")
	}); codeOf2(err) != "AccessDenied" {
		t.Errorf("a public policy under the public access block: %v", err)
	}
	if err := w.Account(prod).S3.CreateBucket(emulator.Bucket{Name: "store-1"}); codeOf2(err) != "BucketAlreadyExists" {
		t.Errorf("the name of another account's bucket: %v", err)
	}
}

// TestS3_Anonymous: who does not sign gets what a bucket gives to everybody.
func TestS3_Anonymous(t *testing.T) {
	w := newWorld(t)
	w.bucket(emulator.Bucket{Name: "store-1", Policy: bucketPolicy("store-1", "Allow", `"*"`, "s3:GetObject", "")})
	_, err := w.Account(dev).S3.Put("store-1", "k", []byte("open"))
	w.must(err)
	c := s3Of(w.nobody())
	if got, err := get(c, "k"); got != "open" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	_, err = put(c, "k", "x")
	wantCode(t, err, "AccessDenied")
}

// TestS3_Tags: a put with tags takes one permission more, and policies see them.
func TestS3_Tags(t *testing.T) {
	const marked = `{"StringNotEquals":{"s3:RequestObjectTag/synops-retention":"private"}}`
	w := newWorld(t)
	admin := w.bucket(emulator.Bucket{Name: "store-1", Policy: bucketPolicy("store-1", "Deny", `"*"`, "s3:PutObject", marked)})
	w.role(dev, "puts", allows("arn:aws:s3:::store-1/*", "s3:PutObject"))
	w.role(dev, "marks", allows("arn:aws:s3:::store-1/*", "s3:PutObject", "s3:PutObjectTagging"))
	tag := func(in *s3.PutObjectInput) { in.Tagging = aws.String("synops-retention=private") }
	marks := s3Of(w.as(dev, "marks"))
	_, err := put(marks, "k", "x")
	wantCode(t, err, "AccessDenied")
	_, err = put(marks, "k", "x", func(in *s3.PutObjectInput) { in.Tagging = aws.String("synops-retention=public") })
	wantCode(t, err, "AccessDenied")
	_, err = put(s3Of(w.as(dev, "puts")), "k", "x", tag)
	wantCode(t, err, "AccessDenied")
	_, err = put(marks, "k", "x", tag)
	wantCode(t, err, "")
	out, err := admin.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: aws.String("store-1"), Key: aws.String("k")})
	w.must(err)
	if len(out.TagSet) != 1 || *out.TagSet[0].Key != "synops-retention" || *out.TagSet[0].Value != "private" {
		t.Errorf("tags %+v", out.TagSet)
	}
}
