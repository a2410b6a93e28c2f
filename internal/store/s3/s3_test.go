package s3_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/s3"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/storetest"
)

// serving, in the process environment, makes the test binary an emulated account:
// the suite measures memory, and the account's is not the driver's.
const serving = "SYNOPS_S3TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serving) != "" {
		serve()
		return
	}
	storetest.Main(m, func(url string) (store.Driver, error) {
		c, err := config.LoadDefaultConfig(context.Background())
		return s3.New(c, strings.TrimPrefix(url, "s3://")), err
	})
}

const account = "111111111111"

// An edge stands before the account and may spoil what passes.
type edge struct {
	cloud *emulator.Cloud
	spoil atomic.Pointer[func(w http.ResponseWriter, r *http.Request, answer func()) bool]
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func() { e.cloud.ServeHTTP(w, r) }
	if f := e.spoil.Load(); f != nil && (*f)(w, r, answer) {
		return
	}
	answer()
}

var buckets atomic.Int64

// manyBuckets is more than the suite has tests.
const manyBuckets = 60

// serve is an emulated account in a process of its own, until its input ends.
func serve() {
	cloud := newCloud()
	for i := range manyBuckets {
		if err := cloud.Account(account).S3.CreateBucket(emulator.Bucket{Name: fmt.Sprintf("store-%d", i), Versioned: true}); err != nil {
			panic(err)
		}
	}
	server := httptest.NewServer(cloud)
	id, secret := cloud.AdminCredentials(account)
	fmt.Println(server.URL, id, secret)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func newCloud() *emulator.Cloud {
	return emulator.New(emulator.Config{Accounts: []emulator.AccountConfig{{ID: account, Name: "dev", Region: "us-east-1"}}})
}

// startAccount starts such a process and leads this one's environment to it.
func startAccount(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serving+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	var url, id, secret string
	if _, err := fmt.Fscan(out, &url, &id, &secret); err != nil {
		t.Fatal(err)
	}
	buckets.Store(0) // all of a fresh account are free
	lead(t, url, id, secret)
}

// lead sets the process environment that this and competing processes read.
func lead(t testing.TB, url, id, secret string) {
	t.Helper()
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "",
		"AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"} {
		t.Setenv(name, value)
	}
}

// driver returns the driver over a bucket of the account that the environment
// leads to.
func driver(t testing.TB, bucket string) *s3.Driver {
	t.Helper()
	c, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s3.New(c, bucket)
}

// newStore returns a driver over a bucket of an account behind an edge.
func newStore(t testing.TB) (*s3.Driver, *edge) {
	t.Helper()
	e := &edge{cloud: newCloud()}
	server := httptest.NewServer(e)
	t.Cleanup(func() { server.Close(); e.cloud.Close() })
	if err := e.cloud.Account(account).S3.CreateBucket(emulator.Bucket{Name: "store", Versioned: true}); err != nil {
		t.Fatal(err)
	}
	id, secret := e.cloud.AdminCredentials(account)
	lead(t, server.URL, id, secret)
	return driver(t, "store"), e
}

func TestContract(t *testing.T) {
	startAccount(t)
	storetest.Run(t, func(t *testing.T) store.Driver { return driver(t, fmt.Sprintf("store-%d", buckets.Add(1))) })
}

// spoilOnce spoils the first put.
func spoilOnce(e *edge, how func(w http.ResponseWriter, answer func())) *atomic.Int64 {
	var puts atomic.Int64
	f := func(w http.ResponseWriter, r *http.Request, answer func()) bool {
		if r.Method != http.MethodPut || puts.Add(1) > 1 {
			return false
		}
		how(w, answer)
		return true
	}
	e.spoil.Store(&f)
	return &puts
}

// dropped ends the connection instead of answering.
func dropped(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func TestCreateAfterALostAnswer(t *testing.T) {
	for name, how := range map[string]func(w http.ResponseWriter, r func()){
		"applied, then the line drops": func(w http.ResponseWriter, answer func()) { answer(); dropped(w) },
		"the line drops before":        func(w http.ResponseWriter, _ func()) { dropped(w) },
		"a server's fault":             func(w http.ResponseWriter, _ func()) { w.WriteHeader(http.StatusInternalServerError) },
		"too much at once":             func(w http.ResponseWriter, _ func()) { w.WriteHeader(http.StatusServiceUnavailable) },
		"another met it (409)":         func(w http.ResponseWriter, _ func()) { w.WriteHeader(http.StatusConflict) },
	} {
		t.Run(name, func(t *testing.T) {
			d, e := newStore(t)
			puts := spoilOnce(e, how)
			if err := d.Create(t.Context(), "a/b", []byte("mine")); err != nil {
				t.Fatalf("Create after %s: %v", name, err)
			}
			if puts.Load() < 2 {
				t.Errorf("the put was sent %d times, want it tried again", puts.Load())
			}
			if got, err := d.Get(t.Context(), "a/b"); err != nil || string(got) != "mine" {
				t.Errorf("Get = %q, %v", got, err)
			}
			if err := d.Create(t.Context(), "a/b", []byte("mine")); ops.CodeOf(err) != ops.Conflict {
				t.Errorf("Create again = %v, want a conflict", err)
			}
		})
	}
}

// A lost answer must not make another's document pass for ours.
func TestCreateLostToAnother(t *testing.T) {
	d, e := newStore(t)
	spoilOnce(e, func(w http.ResponseWriter, _ func()) {
		if err := d.Create(context.Background(), "a/b", []byte("theirs")); err != nil {
			t.Error(err)
		}
		dropped(w)
	})
	if err := d.Create(t.Context(), "a/b", []byte("mine")); ops.CodeOf(err) != ops.Conflict {
		t.Errorf("Create = %v, want a conflict", err)
	}
	if got, _ := d.Get(t.Context(), "a/b"); string(got) != "theirs" {
		t.Errorf("the document is %q", got)
	}
}

func TestErrors(t *testing.T) {
	d, e := newStore(t)
	id, secret := e.cloud.AdminCredentials(account)
	wrong := aws.Config{Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1:1"), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil
		})}
	if _, err := s3.New(wrong, "b").Get(t.Context(), "a"); ops.CodeOf(err) != ops.Unavailable {
		t.Errorf("Get where nobody listens = %v, want it unavailable, never absent", err)
	}
	f := func(w http.ResponseWriter, r *http.Request, _ func()) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	e.spoil.Store(&f)
	if _, err := d.Get(t.Context(), "a"); ops.CodeOf(err) != ops.Denied {
		t.Errorf("Get that is forbidden = %v, want it denied, never absent", err)
	}
	if err := d.Create(t.Context(), "a", nil); ops.CodeOf(err) != ops.Denied {
		t.Errorf("Create that is forbidden = %v", err)
	}
}

func TestAge(t *testing.T) {
	d, _ := newStore(t)
	if err := d.Put(t.Context(), "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if age, err := d.Age(t.Context(), "a"); err != nil || age > time.Minute {
		t.Errorf("Age = %v, %v", age, err)
	}
}

// TestPrivateIsTagged: the bucket's lifecycle knows private documents by their tag.
func TestPrivateIsTagged(t *testing.T) {
	d, e := newStore(t)
	tags := map[string]string{}
	f := func(_ http.ResponseWriter, r *http.Request, _ func()) bool {
		if r.Method == http.MethodPut {
			tags[r.URL.Path] = r.Header.Get("X-Amz-Tagging")
		}
		return false
	}
	e.spoil.Store(&f)
	for _, key := range []string{"admin/runs/r/private/key", "admin/runs/r/plan.json"} {
		if err := d.Create(t.Context(), key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"/store/admin/runs/r/private/key": "synops-retention=private", "/store/admin/runs/r/plan.json": ""}
	if !maps.Equal(tags, want) {
		t.Errorf("tags are %q, want %q", tags, want)
	}
}

// TestListFrom: names below are not even asked for, over many pages too.
func TestListFrom(t *testing.T) {
	d, e := newStore(t)
	for _, key := range []string{"runs/20261122/a", "runs/20261123", "runs/20261123T1", "runs/20261123T1-x/a", "runs/20261124/b", "runs/é", "other/z"} {
		if err := d.Create(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	var after []string
	f := func(_ http.ResponseWriter, r *http.Request, _ func()) bool {
		after = append(after, r.URL.Query().Get("start-after"))
		return false
	}
	e.spoil.Store(&f)
	for from, want := range map[string][]string{
		"":            {"20261122/", "20261123", "20261123T1", "20261123T1-x/", "20261124/", "é"},
		"20261123T1":  {"20261123T1", "20261123T1-x/", "20261124/", "é"},
		"20261123T1-": {"20261123T1-x/", "20261124/", "é"},
		"20261125":    {"é"},
		"é":           {"é"},
		"êê":          nil,
	} {
		got, err := d.ListFrom(t.Context(), "runs", from)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("from %q: %q, %v; want %q", from, got, err, want)
		}
	}
	if !slices.Contains(after, "runs/2026112") || !slices.Contains(after, "runs/20261123T") {
		t.Errorf("S3 was asked to start after %q", after)
	}
}
