package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A memory is a store driver for tests: documents in a map, with a hook before and
// after every write. Its clock is the bubble's.
type memory struct {
	mu   sync.Mutex
	docs map[string][]byte
	at   map[string]time.Time
	// writes lists the keys written, in order.
	writes []string
	// before is asked before a write; an error keeps it from happening. after is
	// asked once it happened. Both may block. Nil: nothing.
	before, after func(key string, n int) error
	cut           bool // every call fails
}

var errCut = errors.New("the store is cut off")

func newMemory() *memory { return &memory{docs: map[string][]byte{}, at: map[string]time.Time{}} }

func (m *memory) URL() string { return "file:///memory" }

func (m *memory) sever(cut bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut = cut
}

func (m *memory) Create(ctx context.Context, key string, data []byte) error {
	return m.write(ctx, key, data, true)
}

func (m *memory) Put(ctx context.Context, key string, data []byte) error {
	return m.write(ctx, key, data, false)
}

func (m *memory) write(ctx context.Context, key string, data []byte, create bool) error {
	m.mu.Lock()
	n, before, after := len(m.writes)+1, m.before, m.after
	m.mu.Unlock()
	if before != nil {
		if err := before(key, n); err != nil {
			return err
		}
	}
	if err := m.keep(ctx, key, data, create); err != nil {
		return err
	}
	if after != nil {
		return after(key, n)
	}
	return nil
}

func (m *memory) keep(ctx context.Context, key string, data []byte, create bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut {
		return errCut
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, taken := m.docs[key]; taken && create {
		return ops.Errorf(ops.Conflict, "%s is there already.", key)
	}
	m.docs[key], m.at[key] = bytes.Clone(data), time.Now()
	m.writes = append(m.writes, key)
	return nil
}

func (m *memory) CreateFrom(ctx context.Context, key string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return m.Create(ctx, key, b.Bytes())
}

func (m *memory) Get(ctx context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut {
		return nil, errCut
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, ok := m.docs[key]
	if !ok {
		return nil, ops.Errorf(ops.NotFound, "%s is not there.", key)
	}
	return bytes.Clone(data), nil
}

func (m *memory) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	data, err := m.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (m *memory) Age(ctx context.Context, key string) (time.Duration, error) {
	if _, err := m.Get(ctx, key); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Since(m.at[key]), nil
}

func (m *memory) List(_ context.Context, folder string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut {
		return nil, errCut
	}
	var names []string
	for key := range m.docs {
		rest, inside := strings.CutPrefix(key, folder+"/")
		if !inside {
			continue
		}
		if name, _, deeper := strings.Cut(rest, "/"); deeper {
			rest = name + "/"
		}
		names = append(names, rest)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// written counts the writes so far.
func (m *memory) written() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.writes)
}

// keys lists the documents whose key holds part.
func (m *memory) keys(part string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for key := range m.docs {
		if strings.Contains(key, part) {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

// text joins all documents but those whose key holds without.
func (m *memory) text(without string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for key, data := range m.docs {
		if !strings.Contains(key, without) {
			fmt.Fprintf(&b, "%s\n%s\n", key, data)
		}
	}
	return b.String()
}
