// Package storetest holds what every store driver must do, as a suite that each
// runs in its own tests: alone, against other processes, and when one is killed.
//
// A driver's test calls Main from TestMain, so that the suite can start the test
// binary again as a competing process, and Run from a test.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// Run runs the suite. open returns a driver over an empty place each time; the
// open function given to Main must find the same place from its URL.
func Run(t *testing.T, open func(t *testing.T) store.Driver) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, d store.Driver)
	}{
		{"what is created is read back", createdIsRead},
		{"a taken key is a conflict and the first stays", takenIsConflict},
		{"what is absent is not found", absentIsNotFound},
		{"keys that are none are invalid", badKeys},
		{"odd keys are kept as they are", oddKeys},
		{"put replaces", putReplaces},
		{"list tells direct children, sorted", listChildren},
		{"list tells all of a long folder", listLong},
		{"a folder is no document", folderIsNoDocument},
		{"nothing is written once the context has ended", endedContext},
		{"a failing writer leaves nothing", failingWriter},
		{"a stream takes little memory", flatMemory},
		{"goroutines racing for a key", goroutinesRace},
		{"processes racing for a key", processesRace},
		{"a process killed while creating leaves nothing", killedInCreate},
		{"a process killed at any moment leaves whole documents", killedAnywhere},
		{"a reader never sees a part", neverHalf},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func createdIsRead(t *testing.T, d store.Driver) {
	large := make([]byte, 1<<20)
	rand.Read(large)
	for name, data := range map[string][]byte{"empty": {}, "text": []byte("{}"), "binary": {0, 255, '\n', 0}, "large": large} {
		t.Run(name, func(t *testing.T) {
			ok(t, d.Create(t.Context(), "made/"+name, data))
			ok(t, d.CreateFrom(t.Context(), "streamed/"+name, func(w io.Writer) error {
				_, err := io.Copy(w, bytes.NewReader(data))
				return err
			}))
			for _, key := range []string{"made/" + name, "streamed/" + name} {
				if got, err := d.Get(t.Context(), key); err != nil || !bytes.Equal(got, data) {
					t.Errorf("Get(%q) = %d bytes, %v; want the %d bytes created", key, len(got), err, len(data))
				}
				if got, err := readAll(t.Context(), d, key); err != nil || !bytes.Equal(got, data) {
					t.Errorf("Open(%q) read %d bytes, %v; want the %d bytes created", key, len(got), err, len(data))
				}
				if age, err := d.Age(t.Context(), key); err != nil || age < 0 || age > time.Minute {
					t.Errorf("Age(%q) = %v, %v; it was made just now", key, age, err)
				}
			}
		})
	}
}

func takenIsConflict(t *testing.T, d store.Driver) {
	ok(t, d.Create(t.Context(), "a/key", []byte("first")))
	for name, create := range map[string]func() error{
		"Create":       func() error { return d.Create(t.Context(), "a/key", []byte("second-canary")) },
		"Create again": func() error { return d.Create(t.Context(), "a/key", []byte("first")) },
		"CreateFrom": func() error {
			return d.CreateFrom(t.Context(), "a/key", func(w io.Writer) error { _, err := io.WriteString(w, "second-canary"); return err })
		},
	} {
		err := create()
		wantCode(t, name+" of a taken key", err, ops.Conflict)
		if err != nil && (!strings.Contains(err.Error(), "a/key") || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%s: the error must name the key and no data: %v", name, err)
		}
	}
	wantDocument(t, d, "a/key", "first")
}

func absentIsNotFound(t *testing.T, d store.Driver) {
	ok(t, d.Create(t.Context(), "there/key", nil))
	for _, key := range []string{"none", "none/key", "there/other", "there/key/below"} {
		_, err := d.Get(t.Context(), key)
		wantCode(t, "Get("+key+")", err, ops.NotFound)
		r, err := d.Open(t.Context(), key)
		wantCode(t, "Open("+key+")", err, ops.NotFound)
		if r != nil {
			t.Errorf("Open(%s) returned a reader beside the error", key)
		}
		_, err = d.Age(t.Context(), key)
		wantCode(t, "Age("+key+")", err, ops.NotFound)
	}
	for _, folder := range []string{"none", "none/deeper", "there/key"} {
		if names, err := d.List(t.Context(), folder); err != nil || len(names) != 0 {
			t.Errorf("List(%q) = %q, %v; want an empty folder", folder, names, err)
		}
	}
}

func badKeys(t *testing.T, d store.Driver) {
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".hidden", "a/.hidden",
		"a\x00b", "a\nb", "a\x7fb", "a\xffb", strings.Repeat("a", 201), strings.Repeat("abcdefghi/", 90) + "a",
	} {
		wantCode(t, fmt.Sprintf("Create(%.40q)", key), d.Create(t.Context(), key, nil), ops.Invalid)
		wantCode(t, fmt.Sprintf("CreateFrom(%.40q)", key), d.CreateFrom(t.Context(), key, func(io.Writer) error { return nil }), ops.Invalid)
		wantCode(t, fmt.Sprintf("Put(%.40q)", key), d.Put(t.Context(), key, nil), ops.Invalid)
		_, err := d.Get(t.Context(), key)
		wantCode(t, fmt.Sprintf("Get(%.40q)", key), err, ops.Invalid)
		_, err = d.Open(t.Context(), key)
		wantCode(t, fmt.Sprintf("Open(%.40q)", key), err, ops.Invalid)
		_, err = d.Age(t.Context(), key)
		wantCode(t, fmt.Sprintf("Age(%.40q)", key), err, ops.Invalid)
		if key != "" {
			_, err = d.List(t.Context(), key)
			wantCode(t, fmt.Sprintf("List(%.40q)", key), err, ops.Invalid)
		}
	}
	if names, err := d.List(t.Context(), ""); err != nil || len(names) != 0 {
		t.Errorf("after refused keys the store holds %q, %v", names, err)
	}
}

func oddKeys(t *testing.T, d store.Driver) {
	keys := []string{"a b", "a%2Fb", "a%", "a?b", "a#b", "a+b", "a&b=c", "a~b", "a:b", "a\\b", "a*b", "ä–ö", "a..b", "a'\"b", strings.Repeat("k", 200)}
	for _, key := range keys {
		ok(t, d.Create(t.Context(), "odd/"+key, []byte(key)))
	}
	for _, key := range keys {
		wantDocument(t, d, "odd/"+key, key)
	}
	names, err := d.List(t.Context(), "odd")
	if err != nil || len(names) != len(keys) {
		t.Errorf("List = %q, %v; want the %d keys as they were given", names, err, len(keys))
	}
}

func putReplaces(t *testing.T, d store.Driver) {
	for _, data := range []string{"one, the longer of the two", "two", ""} {
		ok(t, d.Put(t.Context(), "run/heartbeat", []byte(data)))
		wantDocument(t, d, "run/heartbeat", data)
	}
	if names, err := d.List(t.Context(), "run"); err != nil || len(names) != 1 {
		t.Errorf("List = %q, %v; want the one document", names, err)
	}
}

func listChildren(t *testing.T, d store.Driver) {
	for _, key := range []string{"a/2", "a/10", "a/1", "a/sub/x", "a/sub/y/z", "a/sub-1", "ab/other", "b"} {
		ok(t, d.Create(t.Context(), key, nil))
	}
	for folder, want := range map[string]string{
		"":        "a/ ab/ b",
		"a":       "1 10 2 sub-1 sub/",
		"a/sub":   "x y/",
		"a/sub/y": "z",
	} {
		names, err := d.List(t.Context(), folder)
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("List(%q) = %q, %v; want %q", folder, got, err, want)
		}
	}
}

// listLong is above the 1,000 names that S3 tells at once.
func listLong(t *testing.T, d store.Driver) {
	const n = 1100
	var work sync.WaitGroup
	for part := range 4 {
		work.Go(func() {
			for i := part; i < n; i += 4 {
				if err := d.Put(t.Context(), fmt.Sprintf("long/%05d", i), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	names, err := d.List(t.Context(), "long")
	if err != nil || len(names) != n {
		t.Fatalf("List tells %d names, %v; want %d", len(names), err, n)
	}
	for i, name := range names {
		if name != fmt.Sprintf("%05d", i) {
			t.Fatalf("name %d is %q", i, name)
		}
	}
}

func folderIsNoDocument(t *testing.T, d store.Driver) {
	ok(t, d.Create(t.Context(), "folder/key", nil))
	_, err := d.Get(t.Context(), "folder")
	wantCode(t, "Get of a folder", err, ops.NotFound)
	_, err = d.Open(t.Context(), "folder")
	wantCode(t, "Open of a folder", err, ops.NotFound)
	_, err = d.Age(t.Context(), "folder")
	wantCode(t, "Age of a folder", err, ops.NotFound)
}

func endedContext(t *testing.T, d store.Driver) {
	ctx, cancel := context.WithCancel(t.Context())
	err := d.CreateFrom(ctx, "a/streamed", func(w io.Writer) error {
		cancel() // while it writes
		_, err := w.Write([]byte("x"))
		return err
	})
	wantCode(t, "CreateFrom whose context ends meanwhile", err, ops.Canceled)
	wantCode(t, "Create", d.Create(ctx, "a/made", nil), ops.Canceled)
	wantCode(t, "Put", d.Put(ctx, "a/put", nil), ops.Canceled)
	_, err = d.Get(ctx, "a/made")
	wantCode(t, "Get", err, ops.Canceled)
	_, err = d.List(ctx, "a")
	wantCode(t, "List", err, ops.Canceled)
	if names, err := d.List(t.Context(), "a"); err != nil || len(names) != 0 {
		t.Errorf("the store holds %q, %v; want nothing", names, err)
	}
}

func failingWriter(t *testing.T, d store.Driver) {
	cause := errors.New("the service hung up")
	err := d.CreateFrom(t.Context(), "a/key", func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
		return cause
	})
	if !errors.Is(err, cause) {
		t.Errorf("CreateFrom = %v; want the writer's error", err)
	}
	if names, err := d.List(t.Context(), "a"); err != nil || len(names) != 0 {
		t.Errorf("the store holds %q, %v; want nothing", names, err)
	}
	ok(t, d.Create(t.Context(), "a/key", nil))
}

func flatMemory(t *testing.T, d store.Driver) {
	const size, most = 32 << 20, 8 << 20
	chunk := make([]byte, 64<<10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ok(t, d.CreateFrom(t.Context(), "large", func(w io.Writer) error {
		for range size / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return err
			}
		}
		return nil
	}))
	r, err := d.Open(t.Context(), "large")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, chunk)
	runtime.ReadMemStats(&after)
	if err != nil || n != size {
		t.Errorf("read %d bytes, %v; want %d", n, err, size)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > most {
		t.Errorf("writing and reading %d MiB allocated %d MiB, above %d", size>>20, took>>20, most>>20)
	}
}

func goroutinesRace(t *testing.T, d store.Driver) {
	for round := range 20 {
		key := fmt.Sprintf("race/%d", round)
		var won []string
		var mu sync.Mutex
		var work sync.WaitGroup
		start := make(chan struct{})
		for i := range 8 {
			work.Go(func() {
				<-start
				data := fmt.Sprint(i)
				err := d.Create(t.Context(), key, []byte(data))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, data)
				} else if ops.CodeOf(err) != ops.Conflict {
					t.Errorf("Create = %v; want none or a conflict", err)
				}
			})
		}
		close(start)
		work.Wait()
		if len(won) != 1 {
			t.Fatalf("%d of 8 won: %q", len(won), won)
		}
		wantDocument(t, d, key, won[0])
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, what string, err error, code ops.Code) {
	t.Helper()
	if got := ops.CodeOf(err); got != code {
		t.Errorf("%s: %v (code %q); want code %q", what, err, got, code)
	}
}

func wantDocument(t *testing.T, d store.Driver, key, want string) {
	t.Helper()
	if got, err := d.Get(t.Context(), key); err != nil || string(got) != want {
		t.Errorf("Get(%q) = %.60q, %v; want %.60q", key, got, err, want)
	}
}

func readAll(ctx context.Context, d store.Driver, key string) ([]byte, error) {
	r, err := d.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
