package store_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/file"
)

var (
	ref = ops.RunRef{Lane: ops.LaneAdmin, Run: "20261123T141502Z-remove-user-3f9c"}
	at  = time.Date(2026, 11, 23, 14, 15, 2, 0, time.UTC)
)

// counting counts a driver's calls, and fails those on the key it is given.
type counting struct {
	store.Driver
	mu     sync.Mutex
	gets   int
	lists  int
	broken string
}

var errDisk = errors.New("the disk is gone")

func (c *counting) Get(ctx context.Context, key string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gets++
	if c.broken != "" && strings.Contains(key, c.broken) {
		return nil, errDisk
	}
	return c.Driver.Get(ctx, key)
}

func (c *counting) List(ctx context.Context, folder string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists++
	if c.broken != "" && strings.Contains(folder+"/", c.broken) {
		return nil, errDisk
	}
	return c.Driver.List(ctx, folder)
}

// open returns a store over an empty folder, with its folder and its driver.
func open(t testing.TB) (*store.Store, string, *counting) {
	t.Helper()
	dir := t.TempDir()
	d, err := file.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &counting{Driver: d}
	return store.New(c), dir, c
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, what string, err error, code ops.Code) {
	t.Helper()
	if got := ops.CodeOf(err); got != code {
		t.Errorf("%s: %v (code %q); want code %q", what, err, got, code)
	}
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func request() *ops.Request {
	return &ops.Request{Task: "remove-user", TaskVersion: 1, Inputs: map[string]string{"users": "3350396"}, Environment: "dev",
		Host: "https://repo-dev.dev.sagebase.org", Lane: ref.Lane, Requester: "jane", Synops: "1.0.0"}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for name, place := range map[string]string{
		"URL":                 "file://" + dir + "/one",
		"URL of this machine": "file://localhost" + dir + "/one",
		"path":                dir + "/one",
		"path, not clean":     dir + "/two/../one/",
		"odd path":            dir + "/a b?c#d%20",
		"encoded URL":         "file://" + dir + "/a%20b%3Fc%23d%2520",
	} {
		s, err := store.Open(t.Context(), place)
		if err != nil {
			t.Errorf("%s: Open(%q) = %v", name, place, err)
			continue
		}
		again, err := store.Open(t.Context(), s.URL())
		if err != nil || again.URL() != s.URL() {
			t.Errorf("%s: Open(%q) = %v; a store must open by its own URL", name, s.URL(), err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v; want the two folders meant", entries, err)
	}
}

func TestOpenTakesRelativePathFromHere(t *testing.T) {
	t.Chdir(t.TempDir())
	s, err := store.Open(t.Context(), "runs")
	ok(t, err)
	t.Chdir(t.TempDir())
	_, err = s.CreateRequest(t.Context(), request())
	ok(t, err)
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 0 {
		t.Errorf("the store moved with the working folder: %v, %v", entries, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct{ place, says string }{
		"a scheme not known":    {"gs://bucket/x", "file:///abs/dir"},
		"another machine":       {"file://relative/dir", "Three slashes"},
		"a query":               {"file:///tmp/a?b", "%3F"},
		"a fragment":            {"file:///tmp/a#b", "%23"},
		"a URL without a path":  {"file://", "names no folder"},
		"nothing":               {"", "not a folder's path"},
		"a URL that is not one": {"file:///%zz", "not a URL"},
		"NUL":                   {"file:///tmp/a%00b", "not a folder's path"},
	} {
		_, err := store.Open(t.Context(), c.place)
		wantCode(t, name, err, ops.Invalid)
		if err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q does not say %q", name, err, c.says)
		}
	}
}

func TestLogFile(t *testing.T) {
	s, dir, _ := open(t)
	if got := s.LogFile(ref, 2); got != "" {
		t.Errorf("LogFile of a driver that has no paths = %q", got)
	}
	d, err := file.Open(dir)
	ok(t, err)
	want := filepath.Join(dir, "admin/runs", string(ref.Run), "logs/0002.log")
	if got := store.New(d).LogFile(ref, 2); got != want {
		t.Errorf("LogFile = %q, want %q", got, want)
	}
}

func TestRequestIsNamedByItsDigest(t *testing.T) {
	s, dir, _ := open(t)
	req := request()
	d, err := s.CreateRequest(t.Context(), req)
	ok(t, err)
	_, err = s.CreateRequest(t.Context(), req) // again is fine
	ok(t, err)
	got, err := s.Request(t.Context(), ref.Lane, d)
	ok(t, err)
	same(t, "Request", got, req)

	path := filepath.Join(dir, "admin/requests", d.Hex()+".json")
	data, err := os.ReadFile(path)
	ok(t, err)
	for i := range data {
		changed := append([]byte{}, data...)
		changed[i] ^= 1
		ok(t, os.WriteFile(path, changed, 0o600))
		if _, err := s.Request(t.Context(), ref.Lane, d); ops.CodeOf(err) != ops.Conflict {
			t.Fatalf("byte %d changed: %v; want a conflict", i, err)
		}
	}
	_, err = s.CreateRequest(t.Context(), req)
	wantCode(t, "creating it over a changed one", err, ops.Conflict)
	_, err = s.Request(t.Context(), ref.Lane, ops.DigestOf(nil))
	wantCode(t, "a request that is not there", err, ops.NotFound)
	_, err = s.Request(t.Context(), ref.Lane, "sha256:../../x")
	wantCode(t, "what is no digest", err, ops.Invalid)
}

func TestClaimAttaches(t *testing.T) {
	s, _, _ := open(t)
	if c, err := s.FindClaim(t.Context(), ref.Lane, "job-1"); c != nil || err != nil {
		t.Errorf("FindClaim = %v, %v; want none", c, err)
	}
	first := ops.Claim{Run: ref.Run, Lane: ref.Lane, Request: ops.DigestOf([]byte("one"))}
	got, created, err := s.Claim(t.Context(), "job-1", first)
	if err != nil || !created || got != first {
		t.Fatalf("Claim = %v, %v, %v", got, created, err)
	}
	other := ops.Claim{Run: "20261123T141503Z-remove-user-aaaa", Lane: ref.Lane, Request: ops.DigestOf([]byte("two"))}
	got, created, err = s.Claim(t.Context(), "job-1", other)
	if err != nil || created || got != first {
		t.Errorf("Claim again = %v, %v, %v; want the first", got, created, err)
	}
	found, err := s.FindClaim(t.Context(), ref.Lane, "job-1")
	if err != nil || found == nil || *found != first {
		t.Errorf("FindClaim = %v, %v; want the first", found, err)
	}
	_, _, err = s.Claim(t.Context(), "../x", other)
	wantCode(t, "a claim key that leaves its folder", err, ops.Invalid)
}

func TestReadingIsStrict(t *testing.T) {
	s, dir, _ := open(t)
	path := filepath.Join(dir, "admin/runs", string(ref.Run), "cancel.json")
	ok(t, os.MkdirAll(filepath.Dir(path), 0o700))
	for name, text := range map[string]string{
		"a field not known":     `{"by":"canary","at":"2026-11-23T00:00:00Z","new":1}`,
		"cut short":             `{"by":"canary","at":"2026-11`,
		"empty":                 ``,
		"something behind it":   `{"by":"canary","at":"2026-11-23T00:00:00Z"} {}`,
		"another type":          `{"by":["canary"],"at":"2026-11-23T00:00:00Z"}`,
		"bytes that are not it": "\x00\xff canary",
	} {
		ok(t, os.WriteFile(path, []byte(text), 0o600))
		m, err := s.CancelMarker(t.Context(), ref)
		wantCode(t, name, err, ops.Conflict)
		if m != nil || err == nil || !strings.Contains(err.Error(), "cancel.json") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, %v; want only an error with the key and nothing of the document", name, m, err)
		}
	}
}

// TestUnreachableIsNeverAbsent goes through everything that tells absent from
// there: when the store cannot be asked, none may say absent.
func TestUnreachableIsNeverAbsent(t *testing.T) {
	s, _, c := open(t)
	c.broken = "/"
	ctx := t.Context()
	for name, ask := range map[string]func() error{
		"FindClaim":    func() error { _, err := s.FindClaim(ctx, ref.Lane, "k"); return err },
		"Starts":       func() error { _, err := s.Starts(ctx, ref); return err },
		"Execution":    func() error { _, err := s.Execution(ctx, ref, 1); return err },
		"Attempts":     func() error { _, err := s.Attempts(ctx, ref); return err },
		"Heartbeat":    func() error { _, _, err := s.Heartbeat(ctx, ref); return err },
		"Plan":         func() error { _, err := s.Plan(ctx, ref); return err },
		"Results":      func() error { _, err := s.Results(ctx, ref); return err },
		"Result":       func() error { _, err := s.Result(ctx, ref, 1); return err },
		"CancelMarker": func() error { _, err := s.CancelMarker(ctx, ref); return err },
		"PrivateKey":   func() error { _, err := s.PrivateKey(ctx, ref); return err },
		"Artifacts":    func() error { _, err := s.Artifacts(ctx, ref); return err },
		"Lease":        func() error { _, err := s.Lease(ctx, "dev", "users"); return err },
		"Leases":       func() error { _, err := s.Leases(ctx); return err },
		"AcquireLease": func() error {
			_, _, err := s.AcquireLease(ctx, ops.Lease{Environment: "dev", Name: "users", RunRef: ref, Attempt: 1}, nil)
			return err
		},
		"Frozen":  func() error { _, err := s.Frozen(ctx, "dev"); return err },
		"Freeze":  func() error { _, err := s.Freeze(ctx, ops.Freeze{Environment: "dev"}); return err },
		"Status":  func() error { _, err := s.Status(ctx, ref); return err },
		"Verify":  func() error { _, err := s.Verify(ctx, ref); return err },
		"Journal": func() error { return firstError(s.Journal(ctx, ref, 0)) },
		"Index":   func() error { return firstError(s.Index(ctx)) },
	} {
		if err := ask(); !errors.Is(err, errDisk) {
			t.Errorf("%s = %v; want the store's own error", name, err)
		}
	}
}

func firstError[T any](seq func(func(T, error) bool)) (first error) {
	seq(func(_ T, err error) bool { first = err; return err == nil })
	return first
}

func TestArtifacts(t *testing.T) {
	s, dir, _ := open(t)
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	a, err := s.CreateArtifact(t.Context(), ref, "ids.sql", text("select 1;"))
	ok(t, err)
	same(t, "CreateArtifact", a, ops.Artifact{Name: "ids.sql", Path: "file://" + dir + "/admin/runs/" + string(ref.Run) + "/artifacts/ids.sql",
		Size: 9, Digest: ops.DigestOf([]byte("select 1;"))})
	again, err := s.CreateArtifact(t.Context(), ref, "ids.sql", text("select 1;"))
	ok(t, err)
	same(t, "the same again", again, a)
	_, err = s.CreateArtifact(t.Context(), ref, "ids.sql", text("select 2;"))
	wantCode(t, "another content", err, ops.Conflict)

	failed := ops.Errorf(ops.Conflict, "the service says no.")
	_, err = s.CreateArtifact(t.Context(), ref, "failed", func(w io.Writer) error { return failed })
	if !errors.Is(err, failed) {
		t.Errorf("CreateArtifact = %v; want the writer's error, although its code is that of a taken key", err)
	}

	_, err = s.CreateArtifact(t.Context(), ref, "a b/part#1", text(""))
	ok(t, err)
	names, err := s.Artifacts(t.Context(), ref)
	ok(t, err)
	same(t, "Artifacts", names, []string{"a b/part#1", "ids.sql"})
	r, err := s.OpenArtifact(t.Context(), ref, "ids.sql")
	ok(t, err)
	defer r.Close()
	if data, err := io.ReadAll(r); string(data) != "select 1;" || err != nil {
		t.Errorf("OpenArtifact read %q, %v", data, err)
	}
	_, err = s.OpenArtifact(t.Context(), ref, "none")
	wantCode(t, "an artifact that is not there", err, ops.NotFound)
}
