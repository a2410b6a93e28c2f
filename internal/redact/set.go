// Package redact keeps secrets out of everything that is written: writers and
// texts in which each added secret is replaced by a mark, in whatever common
// spelling it appears and wherever it is split.
//
// What is not here: knowing what a secret is for, and guessing what else might be
// one. Only what was added is masked.
package redact

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
)

// Mark stands where a secret stood.
const Mark = "[redacted]"

// Shortest is the length in bytes of the shortest secret that is masked. Shorter
// ones would blot out ordinary text.
const Shortest = 8

// A Set holds the secrets that several writers mask. The zero Set is empty and
// ready. Safe for concurrent use.
type Set struct {
	mu      sync.Mutex
	secrets map[string]bool
	matcher atomic.Pointer[matcher] // nil while empty; replaced, never changed
}

// Add masks secret from now on, in every writer of the set, also where a writer
// already holds its beginning. White space around it is not part of it. The
// error names the length of a secret that is too short, never its value.
func (s *Set) Add(secret string) error {
	secret = strings.TrimSpace(secret)
	if len(secret) < Shortest {
		return fmt.Errorf("a secret of %d bytes is too short to be masked: it needs at least %d", len(secret), Shortest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets[secret] {
		return nil
	}
	if s.secrets == nil {
		s.secrets = map[string]bool{}
	}
	s.secrets[secret] = true
	m := newMatcher()
	for one := range s.secrets {
		for _, f := range forms(one) {
			m.add(f)
		}
	}
	m.link()
	s.matcher.Store(m)
	return nil
}

// Writer returns a writer that masks the set's secrets on their way to w.
func (s *Set) Writer(w io.Writer) *Writer { return &Writer{set: s, w: w} }

// String returns text with the set's secrets masked.
func (s *Set) String(text string) string {
	m := s.matcher.Load()
	if m == nil {
		return text
	}
	var out strings.Builder
	w := Writer{set: s, w: &out}
	_, _ = w.Write([]byte(text)) // a Builder takes everything
	_ = w.Close()
	return out.String()
}
