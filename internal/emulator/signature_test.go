package emulator_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// A tamper changes requests after they were signed.
type tamper struct {
	http.RoundTripper
	change func(*http.Request)
}

func (t tamper) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	t.change(r)
	return t.RoundTripper.RoundTrip(r)
}

func (w *world) tampered(c aws.Config, change func(*http.Request)) aws.Config {
	c.HTTPClient = &http.Client{Transport: tamper{w.client.Transport, change}}
	return c
}

func setBody(r *http.Request, text string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
}

func TestSignature_TamperedCallsAreRefused(t *testing.T) {
	w := newWorld(t)
	w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "store-1"}))
	signature := func(r *http.Request) {
		h := r.Header.Get("Authorization")
		r.Header.Set("Authorization", h[:len(h)-4]+"0000")
	}
	for _, tc := range []struct {
		name     string
		change   func(*http.Request)
		s3, json string
	}{
		{"signature", signature, "SignatureDoesNotMatch", "InvalidSignatureException"},
		{"a byte of the body", func(r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			b[len(b)-3] ^= 1
			setBody(r, string(b))
		}, "XAmzContentSHA256Mismatch", "InvalidSignatureException"},
		{"the path", func(r *http.Request) { r.URL.Path += "x"; r.URL.RawPath = "" }, "SignatureDoesNotMatch", "InvalidSignatureException"},
		{"a parameter added", func(r *http.Request) { r.URL.RawQuery += "&versionId=1" }, "SignatureDoesNotMatch", "InvalidSignatureException"},
		{"a header added", func(r *http.Request) { r.Header.Set("X-Amz-Meta-Odd", "1") }, "SignatureDoesNotMatch", "InvalidSignatureException"},
		{"another key's name", func(r *http.Request) {
			h := r.Header.Get("Authorization")
			i := strings.Index(h, "AKIA")
			r.Header.Set("Authorization", h[:i]+"AKIAAAAAAAAAAAAAAAAA"+h[i+20:])
		}, "InvalidAccessKeyId", "UnrecognizedClientException"},
		{"the date", func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().UTC().Add(time.Second).Format("20060102T150405Z"))
		}, "SignatureDoesNotMatch", "InvalidSignatureException"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conf := w.tampered(w.admin(dev), tc.change)
			_, err := s3Of(conf).PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("store-1"), Key: aws.String("k"), Body: strings.NewReader("some body")})
			wantCode(t, err, tc.s3)
			_, err = secretsOf(conf).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("s"), SecretString: aws.String("v")})
			wantCode(t, err, tc.json)
		})
	}
	if keys := w.Account(dev).S3.Keys("store-1", ""); len(keys) > 0 {
		t.Errorf("objects %v were written by refused calls", keys)
	}
}

// TestSignature_OddKeys: a signature covers the path as it was sent, however odd.
func TestSignature_OddKeys(t *testing.T) {
	w := newWorld(t)
	w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "store-1"}))
	c := s3Of(w.admin(dev))
	for _, key := range []string{"a b", "a+b", "ä/ö", "a%2Fb", "a//b", "x/~stack", "a=b&c", "(1)!*'", "../up", "a?b#c"} {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("store-1"), Key: &key, Body: strings.NewReader(key)})
		if err != nil {
			t.Errorf("putting %q: %v", key, err)
			continue
		}
		if got, _ := w.Account(dev).S3.Get("store-1", key, ""); string(got) != key {
			t.Errorf("key %q was stored as something else: %q", key, w.Account(dev).S3.Keys("store-1", ""))
		}
	}
}

func TestSignature_Skew(t *testing.T) {
	w := newWorld(t)
	w.clock.pass(20 * time.Minute)
	_, err := stsOf(w.admin(dev)).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	wantCode(t, err, "SignatureDoesNotMatch")
	w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "store-1"}))
	_, err = s3Of(w.admin(dev)).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("store-1")})
	wantCode(t, err, "RequestTimeTooSkewed")
}

// TestSignature_Expiry: temporary credentials end at their second, in each
// protocol's own words.
func TestSignature_Expiry(t *testing.T) {
	w := newWorld(t)
	w.role(dev, "r", allows("*", "s3:*", "secretsmanager:*"))
	w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "store-1"}))
	k, err := w.Account(dev).IAM.RoleCredentials("r", "short", 2*time.Minute)
	w.must(err)
	conf := w.config(k.AccessKeyID, k.SecretAccessKey, k.SessionToken)
	if _, err := stsOf(conf).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil {
		t.Fatal(err)
	}
	w.clock.pass(2 * time.Minute)
	_, err = stsOf(conf).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	wantCode(t, err, "ExpiredToken")
	_, err = s3Of(conf).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("store-1")})
	wantCode(t, err, "ExpiredToken")
	_, err = secretsOf(conf).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("x")})
	wantCode(t, err, "ExpiredTokenException")
}

func TestSignature_SessionToken(t *testing.T) {
	w := newWorld(t)
	w.role(dev, "r", allows("*", "s3:*"))
	k, err := w.Account(dev).IAM.RoleCredentials("r", "s", time.Hour)
	w.must(err)
	for _, token := range []string{"", "abc", k.SessionToken + "x"} {
		_, err := stsOf(w.config(k.AccessKeyID, k.SecretAccessKey, token)).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		wantCode(t, err, "InvalidClientTokenId")
	}
}

// TestSignature_RoleMadeAgain: a session belongs to the role it was made for, not
// to a later one of that name.
func TestSignature_RoleMadeAgain(t *testing.T) {
	w := newWorld(t)
	w.role(dev, "r", allows("*", "s3:*"))
	w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "store-1"}))
	conf := w.as(dev, "r")
	w.must(w.Account(dev).IAM.DeleteRole("r"))
	w.role(dev, "r", allows("*", "s3:*"))
	_, err := s3Of(conf).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("store-1")})
	wantCode(t, err, "InvalidClientTokenId")
}

// TestSignature_Trailer sends a body that cannot be read twice, which the SDK does
// over TLS in chunks with a checksum behind them.
func TestSignature_Trailer(t *testing.T) {
	w := newWorld(t)
	w.must(w.Account(dev).S3.CreateBucket(emulator.Bucket{Name: "store-1"}))
	server := httptest.NewTLSServer(w.Cloud)
	defer server.Close()
	seen := ""
	conf := w.admin(dev)
	conf.BaseEndpoint = &server.URL
	conf.HTTPClient = &http.Client{Transport: tamper{server.Client().Transport, func(r *http.Request) { seen = r.Header.Get("X-Amz-Content-Sha256") }}}
	body := bytes.Repeat([]byte("0123456789"), 30_000) // more than one chunk
	_, err := s3Of(conf).PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("store-1"), Key: aws.String("k"), Body: io.MultiReader(bytes.NewReader(body)), ContentLength: aws.Int64(int64(len(body)))})
	if err != nil {
		t.Fatal(err)
	}
	if seen != "STREAMING-UNSIGNED-PAYLOAD-TRAILER" {
		t.Fatalf("the SDK sent %q: this test proves nothing", seen)
	}
	if got, _ := w.Account(dev).S3.Get("store-1", "k", ""); !bytes.Equal(got, body) {
		t.Errorf("stored %d bytes, want the %d that were sent", len(got), len(body))
	}
}

// TestSignature_ByHand signs without the SDK's clients: what is not covered by the
// signature, or presigned, or of another kind, is refused.
func TestSignature_ByHand(t *testing.T) {
	w := newWorld(t)
	id, secret := w.AdminCredentials(dev)
	sign := func(change func(*http.Request)) *http.Request {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, strings.NewReader("{}"))
		w.must(err)
		r.Header.Set("X-Amz-Target", "secretsmanager.DescribeSecret")
		const empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // of {}
		w.must(v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, r, empty, "secretsmanager", region, time.Now()))
		change(r)
		return r
	}
	for _, tc := range []struct {
		name   string
		change func(*http.Request)
		want   string
	}{
		{"as signed", func(*http.Request) {}, "ResourceNotFoundException"},
		{"no header", func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationToken"},
		{"another kind", func(r *http.Request) { r.Header.Set("Authorization", "AWS abc:def") }, "NotModelled"},
		{"another service", func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "/secretsmanager/", "/polly/", 1))
		}, "NotModelled"},
		{"the host not signed", func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "", 1))
		}, "InvalidSignatureException"},
		{"presigned", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.Header.Del("X-Amz-Target")
			r.Method, r.URL.RawQuery = http.MethodGet, "X-Amz-Signature=abc"
		}, "NotModelled"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, err := w.client.Do(sign(tc.change))
			w.must(err)
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			w.must(err)
			if !strings.Contains(string(b), tc.want) {
				t.Errorf("answered %s %s, want code %s", resp.Status, b, tc.want)
			}
		})
	}
}
