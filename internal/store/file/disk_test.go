package file_test

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/file"
)

func open(t *testing.T, dir string) *file.Driver {
	t.Helper()
	d, err := file.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOnlyTheUserMayReadDocuments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "store")
	d := open(t, dir)
	if err := d.Create(t.Context(), "run/private/one", nil); err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), "run/heartbeat", nil); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err := filepath.WalkDir(filepath.Dir(dir), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		seen++
		info, err := e.Info()
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[e.IsDir()]; err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil || seen != 6 {
		t.Errorf("walked %d, %v; want 4 folders and 2 files", seen, err)
	}
}

func TestURLOfOddPathOpensTheSame(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b#c?d%20e+ü")
	d := open(t, dir)
	if got := d.URL(); !strings.HasPrefix(got, "file:///") || strings.ContainsAny(got, " #?") {
		t.Errorf("URL = %q; want a file URL without raw blanks, # or ?", got)
	}
	if err := d.Create(t.Context(), "key", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "key")); err != nil {
		t.Errorf("the document is not where its path says: %v", err)
	}
	if got := d.Path("a/b"); got != filepath.Join(dir, "a", "b") {
		t.Errorf("Path = %q", got)
	}
}

func TestAgeIsTheFiles(t *testing.T) {
	d := open(t, t.TempDir())
	for name, c := range map[string]struct{ written, least, most time.Duration }{
		"three minutes ago":              {-3 * time.Minute, 3 * time.Minute, 4 * time.Minute},
		"by a clock that is ahead of us": {time.Hour, 0, 0},
	} {
		if err := d.Put(t.Context(), "heartbeat", nil); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(c.written)
		if err := os.Chtimes(d.Path("heartbeat"), at, at); err != nil {
			t.Fatal(err)
		}
		if age, err := d.Age(t.Context(), "heartbeat"); err != nil || age < c.least || age > c.most {
			t.Errorf("%s: Age = %v, %v; want %v to %v", name, age, err, c.least, c.most)
		}
	}
}

func TestLeftoversAreNotShown(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, ".new-123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if names, err := d.List(t.Context(), ""); err != nil || len(names) != 0 {
		t.Errorf("List = %q, %v; want nothing", names, err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	for range 2 { // the second is a conflict
		_ = d.Create(t.Context(), "key", nil)
		_ = d.Put(t.Context(), "heartbeat", nil)
		_ = d.CreateFrom(t.Context(), "failed", func(io.Writer) error { return io.ErrUnexpectedEOF })
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("the folder holds %v, %v; want the two documents", entries, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	occupied := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(occupied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"no path": "", "NUL": "a\x00b", "a file": occupied} {
		if _, err := file.Open(dir); ops.CodeOf(err) != ops.Invalid {
			t.Errorf("%s: Open = %v; want an invalid error", name, err)
		}
	}
}

// A loop of links cannot be read, by the superuser neither.
func TestUnreadableIsNotAbsent(t *testing.T) {
	d := open(t, t.TempDir())
	if err := os.Symlink("loop", d.Path("loop")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"loop", "loop/below"} {
		_, getErr := d.Get(t.Context(), key)
		_, openErr := d.Open(t.Context(), key)
		_, ageErr := d.Age(t.Context(), key)
		_, listErr := d.List(t.Context(), key)
		for what, err := range map[string]error{"Get": getErr, "Open": openErr, "Age": ageErr, "List": listErr} {
			if ops.CodeOf(err) != ops.Internal {
				t.Errorf("%s(%s) = %v; want an error other than not found", what, key, err)
			}
		}
	}
	if err := d.Create(t.Context(), "loop", nil); ops.CodeOf(err) != ops.Conflict {
		t.Errorf("Create = %v; want a conflict: the name is taken", err)
	}
}

// BenchmarkCreate against BenchmarkSync tells how far a durable document is from
// the disk's own rate: it takes two syncs, of the file and of its folder.
func BenchmarkCreate(b *testing.B) {
	d, err := file.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 400)
	for i := 0; b.Loop(); i++ {
		if err := d.Create(b.Context(), fmt.Sprintf("journal/%08d", i), data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, 400)
	for b.Loop() {
		if _, err := f.Write(data); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}
