package toolrun

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// A line is cut after this many bytes. What is printed without a line end for
	// longer than that comes as one cut line.
	mostLine = 4 << 10
	// The last lines are shown at the end when lines were left out.
	tailLines = 100
	// How often it is said that lines are being left out.
	tellLeft = time.Minute
)

// A relay says what a program prints, a line at a time, until its budget is used;
// from then on it counts, and says the last lines at the end. What it holds never
// grows. Secrets are masked before it: a line that is cut was whole then.
type relay struct {
	say    Say
	budget int64

	mu      sync.Mutex
	line    []byte // of the line in hand, at most mostLine
	dropped int    // bytes of it that are not in line
	tail    []string
	next    int   // where the next line goes in tail, once it is full
	out     int64 // lines left out
	told    time.Time
}

func newRelay(say Say, budget int64) *relay { return &relay{say: say, budget: budget} }

func (r *relay) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		part, rest, ended := bytes.Cut(p, []byte("\n"))
		room := min(mostLine-len(r.line), len(part))
		r.line, r.dropped = append(r.line, part[:room]...), r.dropped+len(part)-room
		if ended {
			r.end()
		}
		p = rest
	}
	return n, nil
}

// end says the line in hand, or keeps it for the end.
func (r *relay) end() {
	line := clean(strings.TrimSuffix(string(r.line), "\r"))
	if r.dropped > 0 {
		line += fmt.Sprintf("… (%d bytes)", len(r.line)+r.dropped)
	}
	r.line, r.dropped = r.line[:0], 0
	if r.out == 0 && r.budget > 0 {
		r.budget -= int64(len(line)) + 1
		r.say("| %s", line)
		return
	}
	if r.out++; time.Since(r.told) >= tellLeft {
		r.told = time.Now()
		r.say("| … it prints more than is relayed: %d lines left out so far; the last ones are shown when it ends", r.out)
	}
	if len(r.tail) < tailLines {
		r.tail = append(r.tail, line)
		return
	}
	r.tail[r.next] = line
	r.next = (r.next + 1) % tailLines
}

// close says what is left: a line without an end, and the last ones of those that
// were left out.
func (r *relay) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.line) > 0 {
		r.end()
	}
	if r.out == 0 {
		return
	}
	if left := r.out - int64(len(r.tail)); left > 0 {
		r.say("| … %d lines are left out …", left)
	}
	for i := range r.tail {
		r.say("| %s", r.tail[(r.next+i)%len(r.tail)])
	}
}

// left is how many lines were never said.
func (r *relay) left() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out - int64(len(r.tail))
}

// clean makes a line safe to print: what a terminal would obey is escaped.
func clean(line string) string {
	if !strings.ContainsFunc(line, unprintable) && utf8.ValidString(line) {
		return line
	}
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(line, "\ufffd") {
		if unprintable(r) {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unprintable(r rune) bool { return r != '\t' && !strconv.IsPrint(r) }
