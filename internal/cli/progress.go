package cli

import (
	"io"
	"sync"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
)

// A progress prints a run's log lines on standard error and, on a terminal, keeps
// a bar below them. Elsewhere there is no bar: lines only.
type progress struct {
	a     *app
	w     io.Writer
	began time.Time

	mu   sync.Mutex
	line string // the bar as drawn, "" when none is
	mid  bool   // the log stopped in the middle of a line
}

func newProgress(a *app, ref ops.RunRef) *progress {
	began := ref.Run.Time()
	if began.IsZero() {
		began = time.Now()
	}
	return &progress{a: a, w: a.err, began: began}
}

// Write prints log text above the bar.
func (p *progress) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	n, err := p.w.Write(text)
	p.mid = n > 0 && text[n-1] != '\n'
	return n, err
}

// heartbeat draws the bar anew.
func (p *progress) heartbeat(hb ops.Heartbeat) {
	if !p.a.p.Terminal || hb.Progress.Total == 0 && hb.Progress.Done == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mid {
		return
	}
	p.erase()
	p.line = report.ProgressLine(hb.Progress, time.Since(p.began), p.a.p.Width-1)
	_, _ = io.WriteString(p.w, p.line)
	p.a.flush()
}

// clear takes the bar away for good.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.a.flush()
}

func (p *progress) erase() {
	if p.line != "" {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
		p.line = ""
	}
}
