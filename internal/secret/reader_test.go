package secret_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/secret"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseSource(t *testing.T) {
	tests := []struct {
		in   string
		want secret.Source // zero: refused
	}{
		{"env:SYNAPSE_ADMIN_PAT", secret.Source{Scheme: "env", Name: "SYNAPSE_ADMIN_PAT"}},
		{"file:/run/a b:c", secret.Source{Scheme: "file", Name: "/run/a b:c"}},
		{"awssecretsmanager:/synapse/admin-pat", secret.Source{Scheme: "awssecretsmanager", Name: "/synapse/admin-pat"}},
		{"awssecretsmanager:" + strings.Repeat("n", 512), secret.Source{Scheme: "awssecretsmanager", Name: strings.Repeat("n", 512)}},
		{"awssecretsmanager:" + strings.Repeat("n", 513), secret.Source{}},
		{"awssecretsmanager:", secret.Source{}},
		{"pipe:3", secret.Source{Scheme: "pipe", Name: "3"}},
		{"", secret.Source{}},
		{"env:", secret.Source{}},
		{"env:A=B", secret.Source{}},
		{"file:", secret.Source{}},
		{"file:a\x00b", secret.Source{}},
		{"awssecretsmanager:two words", secret.Source{}},
		{"pipe:1", secret.Source{}},
		{"pipe:03", secret.Source{}},
		{"pipe:-3", secret.Source{}},
		{"pipe:99999", secret.Source{}},
		{"ENV:X", secret.Source{}},
		{"vault:x", secret.Source{}},
		{value, secret.Source{}},
		{value + ":x", secret.Source{}},
		{"file:eyJhbGciOiJub25lIn0.canary", secret.Source{}},
		{"env:canary-x", secret.Source{}},
	}
	for _, tt := range tests {
		got, err := secret.ParseSource(tt.in)
		if got != tt.want || (err == nil) != (tt.want != secret.Source{}) {
			t.Errorf("ParseSource(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
		if err != nil && (ops.CodeOf(err) != ops.Invalid || strings.Contains(err.Error(), "canary")) {
			t.Errorf("ParseSource(%q): error %v is not invalid or quotes the text", tt.in, err)
		}
		if err == nil && got.String() != tt.in {
			t.Errorf("%q reads back as %q", tt.in, got.String())
		}
	}
}

// TestReader_Read_Value asks the same of every source.
func TestReader_Read_Value(t *testing.T) {
	long := strings.Repeat("x", 16<<10)
	tests := []struct{ name, held, want, says string }{
		{"plain", value, value, ""},
		{"line end", value + "\n", value, ""},
		{"line end of another system", value + "\r\n", value, ""},
		{"as long as may be", long + "\r\n", long, ""},
		{"empty", "", "", "missing or empty"},
		{"only a line end", "\n", "", "missing or empty"},
		{"blanks", "         ", "", "white space"},
		{"two line ends", value + "\n\n", "", "white space"},
		{"two lines", value + "\n" + value, "", "white space"},
		{"blank before", " " + value, "", "white space"},
		{"tab inside", "canary\t0123456789", "", "white space"},
		{"NUL", "canary\x000123456789", "", "control"},
		{"escape", "canary\x1b[2J0123", "", "control"},
		{"not ASCII", "canary-é0123456789", "", "ASCII"},
		{"short", "canary7", "", "7 bytes"},
		{"long", long + "x", "", "longer than 16384"},
		{"far too long", strings.Repeat(long, 20), "", "longer than 16384"},
	}
	dir := t.TempDir()
	for _, tt := range tests {
		path := filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "-"))
		if err := os.WriteFile(path, []byte(tt.held), 0o600); err != nil {
			t.Fatal(err)
		}
		r := &secret.Reader{
			Getenv: func(string) string { return tt.held },
			OpenFD: func(int) (io.Reader, error) { return strings.NewReader(tt.held), nil },
			Fetch:  func(context.Context, string) (string, error) { return tt.held, nil },
		}
		for _, text := range []string{"env:TOKEN", "file:" + path, "awssecretsmanager:/synapse/admin-pat", "pipe:3"} {
			t.Run(tt.name+"/"+text[:3], func(t *testing.T) {
				src, err := secret.ParseSource(text)
				if err != nil {
					t.Fatal(err)
				}
				got, err := r.Read(t.Context(), src)
				if tt.says == "" {
					if err != nil || got.Reveal() != tt.want {
						t.Errorf("read %d bytes, %v; want %d", len(got.Reveal()), err, len(tt.want))
					}
					return
				}
				if ops.Refused(err) == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), src.Name) {
					t.Errorf("error is %v, want a refusal that says %q and names the source", err, tt.says)
				}
				if strings.Contains(err.Error(), "canary") || got.Reveal() != "" {
					t.Errorf("the value shows: %v", err)
				}
			})
		}
	}
}

func TestReader_Read_File(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, mode := range map[string]os.FileMode{"mine": 0o600, "mine-to-read": 0o400, "group": 0o640, "others": 0o604} {
		if err := os.WriteFile(path(name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(path("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path("group"), path("link")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		loopback bool
		says     string // "": read
	}{
		{name: "mine"},
		{name: "mine-to-read"},
		{name: "group", says: "chmod 600"},
		{name: "others", says: "chmod 600"},
		{name: "link", says: "chmod 600"},
		{name: "others", loopback: true},
		{name: "fifo", says: "not a regular file"},
		{name: "fifo", loopback: true, says: "not a regular file"},
		{name: ".", says: "not a regular file"},
		{name: "none", says: "no such file"},
	}
	for _, tt := range tests {
		r := &secret.Reader{Loopback: tt.loopback}
		got, err := r.Read(t.Context(), secret.Source{Scheme: "file", Name: path(tt.name)})
		switch {
		case tt.says == "" && (err != nil || got.Reveal() != value):
			t.Errorf("%s: %v", tt.name, err)
		case tt.says != "" && (ops.Refused(err) == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), dir)):
			t.Errorf("%s: error is %v, want a refusal that says %q and names the file", tt.name, err, tt.says)
		}
	}
}

func TestReader_Read_ManagerFails(t *testing.T) {
	src := secret.Source{Scheme: "awssecretsmanager", Name: "/synapse/admin-pat"}
	_, err := new(secret.Reader).Read(t.Context(), src)
	if ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), "not in this build") {
		t.Errorf("error is %v, want that it is not in this build", err)
	}
	denied := &ops.Error{Code: ops.Denied, Message: "the role may not read it."}
	r := &secret.Reader{Fetch: func(context.Context, string) (string, error) { return "", denied }}
	_, err = r.Read(t.Context(), src)
	if !errors.Is(err, denied) || ops.CodeOf(err) != ops.Denied || !strings.Contains(err.Error(), "/synapse/admin-pat") {
		t.Errorf("error is %v, want the cause, its code and the source", err)
	}
}

// TestReader_Read_Anew: a token that was renewed at its source is seen.
func TestReader_Read_Anew(t *testing.T) {
	held := "canary-before"
	r := &secret.Reader{Getenv: func(string) string { return held }}
	src := secret.Source{Scheme: "env", Name: "TOKEN"}
	for _, want := range []string{"canary-before", "canary-after"} {
		held = want
		if got, err := r.Read(t.Context(), src); err != nil || got.Reveal() != want {
			t.Errorf("read %q, %v; want %q", got.Reveal(), err, want)
		}
	}
}

func TestReader_Read_PipeOnce(t *testing.T) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	r := &secret.Reader{OpenFD: func(n int) (io.Reader, error) {
		opened++
		return from, nil
	}}
	src := secret.Source{Scheme: "pipe", Name: "3"}

	// Nothing has been written yet: an ended context must not wait for it, nor use
	// up the pipe.
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() {
		_, err := r.Read(ctx, src)
		waited <- err
	}()
	cancel()
	if err := <-waited; ops.CodeOf(err) != ops.Canceled {
		t.Errorf("error is %v, want that it was canceled", err)
	}

	if _, err := io.WriteString(to, value+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got, err := r.Read(t.Context(), src); err != nil || got.Reveal() != value {
			t.Errorf("read %q, %v", got.Reveal(), err)
		}
	}
	if opened != 1 {
		t.Errorf("the pipe was opened %d times", opened)
	}
	if err := from.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the pipe was left open: %v", err)
	}
}
