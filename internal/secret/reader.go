package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A token's length in bytes. A personal access token has about one thousand.
const (
	shortest = 8
	longest  = 16 << 10
)

// guard names the Refusal of a token that is missing or malformed.
const guard = "token"

// A Reader reads secrets from their sources, each time anew, but a pipe only
// once: its value is kept. The fields are set before the first Read. Safe for
// concurrent use; not to be copied.
type Reader struct {
	// Getenv looks up a variable of the process environment; nil: none is set.
	Getenv func(string) string
	// OpenFD opens an inherited descriptor; nil: the process's own. What it returns
	// is closed after reading if it can be.
	OpenFD func(n int) (io.Reader, error)
	// Fetch asks Secrets Manager; nil: this build cannot.
	Fetch func(ctx context.Context, name string) (string, error)
	// Loopback: the token goes to this machine only, so who else may read its file
	// is not asked.
	Loopback bool

	mu    sync.Mutex
	pipes map[int]*piped
}

// piped is what a pipe held, once done is closed.
type piped struct {
	done  chan struct{}
	value string
	err   error
}

// Read returns the secret that src holds, without the line end after it. A secret
// that is missing or malformed (empty, shorter than 8 bytes or longer than 16 KiB,
// with white space, control or non-ASCII characters) is a *ops.Refusal by guard
// "token"; so is a file that others may read. Errors name the source, never the
// value.
func (r *Reader) Read(ctx context.Context, src Source) (Secret, error) {
	value, err := r.value(ctx, src)
	if err != nil {
		return Secret{}, fmt.Errorf("reading the token from %s: %w", ops.Quote(src.String()), err)
	}
	value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	if reason := malformed(value); reason != "" {
		return Secret{}, ops.Refuse(guard, remedy(src), "the token from %s %s.", ops.Quote(src.String()), reason)
	}
	return New(value), nil
}

func (r *Reader) value(ctx context.Context, src Source) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	switch src.Scheme {
	case SchemeEnv:
		if r.Getenv == nil {
			return "", nil
		}
		return r.Getenv(src.Name), nil
	case SchemeFile:
		return r.file(src.Name)
	case SchemeManager:
		if r.Fetch == nil {
			return "", &ops.Error{Code: ops.Invalid, Message: "Secrets Manager is not in this build.", Hint: "Use env:NAME or file:PATH."}
		}
		return r.Fetch(ctx, src.Name)
	case SchemePipe:
		n, err := descriptor(src.Name)
		if err != nil {
			return "", &ops.Error{Code: ops.Invalid, Message: "The pipe's number is not valid.", Hint: "It is 0, or 3 to 1023."}
		}
		return r.pipe(ctx, n)
	}
	return "", &ops.Error{Code: ops.Invalid, Message: "The source is of no known kind.", Hint: sourceHint}
}

// malformed tells what is wrong with a token without showing it; "": nothing.
func malformed(value string) string {
	switch {
	case value == "":
		return "is missing or empty"
	case len(value) > longest:
		return fmt.Sprintf("is longer than %d bytes", longest)
	case strings.TrimSpace(value) == "":
		return "is nothing but white space"
	}
	for _, c := range []byte(value) {
		switch {
		case c == ' ' || c >= '\t' && c <= '\r':
			return "has white space in it"
		case c < ' ' || c == 0x7f:
			return "has control characters in it"
		case c > 0x7f:
			return "has characters that are not ASCII in it"
		}
	}
	if len(value) < shortest {
		return fmt.Sprintf("has only %d bytes", len(value))
	}
	return ""
}

func remedy(src Source) string {
	switch src.Scheme {
	case SchemeEnv:
		return fmt.Sprintf("Set the variable %s to an administrator's personal access token, and nothing else.", src.Name)
	case SchemeFile:
		return "Put an administrator's personal access token into the file, and nothing else."
	case SchemeManager:
		return "Store an administrator's personal access token in it, as plain text and nothing else."
	}
	return "Start the run again: the launcher hands the token over."
}

// file reads a regular file that, unless for loopback, only its owner can read.
func (r *Reader) file(path string) (string, error) {
	// Asked before opening too: opening a named pipe would wait for its writer.
	if info, err := os.Stat(path); err != nil {
		return "", fileError(err)
	} else if err := r.trusted(info, path); err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fileError(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fileError(err)
	}
	if err := r.trusted(info, path); err != nil {
		return "", err
	}
	return bounded(f)
}

func (r *Reader) trusted(info fs.FileInfo, path string) error {
	if !info.Mode().IsRegular() {
		return ops.Refuse(guard, "Name a plain file.", "it is not a regular file.")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && !r.Loopback {
		return ops.Refuse(guard, "Run: chmod 600 "+ops.ShellQuote(path), "others than its owner may use it (mode %04o).", mode)
	}
	return nil
}

func fileError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ops.Refuse(guard, "Check the path.", "there is no such file.")
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err // the path is in the message already
	}
	return err
}

// bounded reads a token and the line end after it; one byte more shows that it is
// too long.
func bounded(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, longest+3))
	return string(b), err
}

// pipe waits for the pipe's value, which the first call begins to read. When ctx
// ends first a later call can still have it.
func (r *Reader) pipe(ctx context.Context, n int) (string, error) {
	r.mu.Lock()
	p := r.pipes[n]
	if p == nil {
		p = &piped{done: make(chan struct{})}
		if r.pipes == nil {
			r.pipes = map[int]*piped{}
		}
		r.pipes[n] = p
		go func() {
			defer close(p.done)
			p.value, p.err = r.drain(n)
		}()
	}
	r.mu.Unlock()
	select {
	case <-p.done:
		return p.value, p.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (r *Reader) drain(n int) (string, error) {
	open := r.OpenFD
	if open == nil {
		open = inherited
	}
	f, err := open(n)
	if err != nil {
		return "", err
	}
	if c, ok := f.(io.Closer); ok {
		defer c.Close()
	}
	return bounded(f)
}

func inherited(n int) (io.Reader, error) {
	f := os.NewFile(uintptr(n), fmt.Sprintf("pipe:%d", n))
	if f == nil {
		return nil, errors.New("no such descriptor")
	}
	return f, nil
}
