package cli

import (
	"fmt"
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
	began time.Time // of the run

	mu    sync.Mutex
	beat  *ops.Heartbeat // the newest; nil: nothing to draw
	first *ops.Heartbeat // the one that the rate is counted from
	since time.Time      // when first was seen
	drawn bool
	mid   bool // the log stopped in the middle of a line
}

// phasePlanning is the phase in which a worker reads targets and changes none.
const phasePlanning = "planning"

// reading is told by a plan on this machine how far it is.
func (p *progress) reading(unit string) func(done, total int) {
	return func(done, total int) {
		p.heartbeat(ops.Heartbeat{Phase: phasePlanning, Progress: ops.Progress{Done: int64(done), Total: int64(total), Unit: unit}})
	}
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
	p.draw()
	return n, err
}

// heartbeat draws the bar anew.
func (p *progress) heartbeat(hb ops.Heartbeat) {
	if !p.a.p.Terminal {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.count(hb, time.Now())
	p.draw()
}

// count takes a heartbeat into account.
func (p *progress) count(hb ops.Heartbeat, now time.Time) {
	if p.first == nil || p.first.Attempt != hb.Attempt || p.first.Phase != hb.Phase || p.first.Progress.Total != hb.Progress.Total {
		p.first, p.since = &hb, now
	}
	p.beat = &hb
}

// draw writes the bar at the end of the last line. A run that counts nothing yet
// tells what it is doing, and how long it has been.
func (p *progress) draw() {
	if p.beat == nil || p.mid {
		return
	}
	var line string
	switch n := p.beat.Progress; {
	case n.Total == 0 && n.Done == 0:
		line = fmt.Sprintf("%s… %s", report.Clean(p.beat.Phase), report.Length(time.Since(p.began)))
	case p.beat.Phase == phasePlanning: // what is read must not pass for what is done
		line = phasePlanning + " " + report.ProgressLine(n, p.rate(), p.a.p.Width-2-len(phasePlanning))
	default:
		line = report.ProgressLine(n, p.rate(), p.a.p.Width-1)
	}
	_, _ = io.WriteString(p.w, line)
	p.a.flush()
	p.drawn = true
}

// rate is in units a second since the first heartbeat that counted, so that what
// came before, such as planning, does not slow it down; 0 while it cannot be told.
func (p *progress) rate() float64 { return p.rateAt(time.Now()) }

func (p *progress) rateAt(now time.Time) float64 {
	done, took := p.beat.Progress.Done-p.first.Progress.Done, now.Sub(p.since)
	if done <= 0 || took < time.Second {
		return 0
	}
	return float64(done) / took.Seconds()
}

// clear takes the bar away for good.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.beat = nil
	p.a.flush()
}

func (p *progress) erase() {
	if p.drawn {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
		p.drawn = false
	}
}
