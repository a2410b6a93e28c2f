package redact

import (
	"errors"
	"io"
	"sync"
)

// A Writer masks the secrets of its set. It holds back only what may be the
// beginning of one: at most the longest spelling of the longest secret. A line
// end forces nothing out. Safe for concurrent use; each Write is masked as if it
// followed the one before.
type Writer struct {
	set *Set
	w   io.Writer

	mu    sync.Mutex
	using *matcher // the set's when we last looked
	state int32    // in using
	total int64    // bytes taken
	base  int64    // of those, bytes settled: written or masked
	held  []byte   // the bytes from base on
	found []span   // matches that begin in held, sorted, not overlapping
	until int64    // bytes before this are masked by a mark already written
	out   []byte   // scratch
	err   error    // the first from w; nothing is written after it
}

// A span is a stretch of all bytes taken: begin included, end not.
type span struct{ begin, end int64 }

var errClosed = errors.New("redact: write after close")

// NewWriter returns a writer to w with a set of its own.
func NewWriter(w io.Writer) *Writer { return new(Set).Writer(w) }

// Add masks secret from now on; see Set.Add.
func (w *Writer) Add(secret string) error { return w.set.Add(secret) }

// Write takes all of p and writes on what cannot be part of a secret. After an
// error of the writer underneath nothing more is taken.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	w.refresh()
	m := w.using
	if m == nil {
		n, err := w.w.Write(p)
		w.total += int64(n)
		w.base, w.err = w.total, err
		return n, err
	}
	w.held = append(w.held, p...)
	w.scan(p)
	if err := w.settle(w.total - int64(m.nodes[w.state].depth)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes what is held back, though it may be the beginning of a secret:
// for before a prompt or an end. If the secret goes on after all, the rest of it
// is still masked.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.refresh()
	return w.settle(w.total)
}

// Close flushes. It does not close the writer underneath. Closing again does
// nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		if errors.Is(w.err, errClosed) {
			return nil
		}
		return w.err
	}
	w.refresh()
	if err := w.settle(w.total); err != nil {
		return err
	}
	w.err = errClosed
	return nil
}

// refresh takes over secrets that were added since. The new matcher knows all of
// the old one's patterns, so feeding it what the old state stands for puts it
// where it would be, and finds again what was found in it.
func (w *Writer) refresh() {
	m := w.set.matcher.Load()
	if m == w.using {
		return
	}
	var tail []byte
	if w.using != nil {
		tail = w.using.text(w.state)
	}
	w.using, w.state, w.found = m, root, w.found[:0]
	w.total -= int64(len(tail))
	w.scan(tail)
}

// scan moves the state over p, which follows all that was taken so far, and notes
// the matches that end in it.
func (w *Writer) scan(p []byte) {
	m, at := w.using, w.state
	for i := 0; i < len(p); i++ {
		if at == root {
			for i < len(p) && m.start[p[i]] == 0 {
				i++
			}
			if i == len(p) {
				break
			}
		}
		at = m.next(at, p[i])
		if n := m.nodes[at].match; n > 0 {
			end := w.total + int64(i) + 1
			w.note(span{end - int64(n), end})
		}
	}
	w.state = at
	w.total += int64(len(p))
}

// note adds a match, joined with those it overlaps. Ends never come down.
func (w *Writer) note(s span) {
	if s.end <= w.base { // flushed before its secret was added
		return
	}
	if s.begin < w.until { // goes on from what a mark already stands for
		w.until = max(w.until, s.end)
		for len(w.found) > 0 && w.found[0].begin < w.until {
			w.until = max(w.until, w.found[0].end)
			w.found = w.found[1:]
		}
		return
	}
	for n := len(w.found); n > 0 && w.found[n-1].end > s.begin; n = len(w.found) {
		s.begin = min(s.begin, w.found[n-1].begin)
		s.end = max(s.end, w.found[n-1].end)
		w.found = w.found[:n-1]
	}
	w.found = append(w.found, s)
}

// settle writes all bytes before to, masked. No match that begins there can come
// any more, but for the rest of one that was flushed.
func (w *Writer) settle(to int64) error {
	w.out = w.out[:0]
	at := w.base
	for at < to {
		switch {
		case at < w.until:
			at = min(w.until, to)
		case len(w.found) > 0 && w.found[0].begin <= at: // before it: its beginning was flushed
			w.out = append(w.out, Mark...)
			w.until = w.found[0].end
			w.found = w.found[1:]
		default:
			stop := to
			if len(w.found) > 0 {
				stop = min(stop, w.found[0].begin)
			}
			w.out = append(w.out, w.held[at-w.base:stop-w.base]...)
			at = stop
		}
	}
	if at > w.base {
		w.held = append(w.held[:0], w.held[at-w.base:]...)
		w.base = at
	}
	if len(w.out) == 0 {
		return nil
	}
	if _, err := w.w.Write(w.out); err != nil {
		w.err = err
	}
	return w.err
}
