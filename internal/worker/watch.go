package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A watch gives signs of life, looks for the cancel marker, and says whether the
// worker may begin another effect.
type watch struct {
	a    *attempt
	ctx  context.Context // of the work; ended by a stop, or by a cancel's grace
	done context.CancelCauseFunc
	quit chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex
	marker   *ops.CancelMarker
	stop     bool // the process was told to end
	over     bool // this attempt's time is up: the next one goes on
	lastBeat time.Time
	name     string
	progress ops.Progress
	asked    chan struct{} // closed when nothing further may begin here
}

// newWatch begins to watch. parent's end means that the process must end: calls in
// hand get the grace, then ctx ends too.
func newWatch(parent context.Context, a *attempt) *watch {
	ctx, done := context.WithCancelCause(context.WithoutCancel(parent))
	wt := &watch{a: a, done: done, quit: make(chan struct{}), asked: make(chan struct{}), name: "starting"}
	wt.ctx = ops.WithLeave(ctx, wt.still)
	wt.beat() // the first heartbeat: from now on silence means lost
	wt.wg.Go(func() { wt.loop(parent) })
	return wt
}

func (wt *watch) end() {
	close(wt.quit)
	wt.wg.Wait()
	wt.done(nil)
}

func (wt *watch) loop(parent context.Context) {
	beat, poll := time.NewTicker(wt.a.w.c.Beat), time.NewTicker(wt.a.w.c.CancelPoll)
	defer beat.Stop()
	defer poll.Stop()
	ended := parent.Done()
	up := wt.timeUp()
	for {
		select {
		case <-wt.quit:
			return
		case <-ended:
			ended = nil
			wt.ask(func() { wt.stop = true })
		case <-up:
			up = nil
			wt.ask(func() { wt.over = true })
		case <-beat.C:
			wt.beat()
		case <-poll.C:
			_ = wt.look(wt.ctx) // cannot tell now: asked again, and before each batch
		}
	}
}

// timeUp tells when this attempt must hand the run over; nil: never.
func (wt *watch) timeUp() <-chan time.Time {
	c := &wt.a.w.c
	if c.Limit == 0 || c.Next == nil || wt.a.req.NoHandOver {
		return nil
	}
	return time.After(c.Limit - c.HandOver)
}

// ask ends the work for the reason that set notes. The effect in hand gets the
// grace.
func (wt *watch) ask(set func()) {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	first := !wt.ending()
	set()
	if !first {
		return
	}
	close(wt.asked)
	time.AfterFunc(wt.a.w.c.Grace, func() { wt.done(context.Canceled) })
}

// ending: nothing further may begin. The lock is held.
func (wt *watch) ending() bool { return wt.marker != nil || wt.stop || wt.over }

// look reads the cancel marker.
func (wt *watch) look(ctx context.Context) error {
	if wt.canceled() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), silence/2)
	defer cancel()
	m, err := wt.a.w.c.Documents.CancelMarker(ctx, wt.a.ref)
	if err == nil && m != nil {
		wt.ask(func() {
			if wt.marker == nil {
				wt.marker = m
			}
		})
	}
	return err
}

// canceled returns the cancel marker, nil while none was seen.
func (wt *watch) canceled() *ops.CancelMarker {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	return wt.marker
}

func (wt *watch) stopped() bool {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	return wt.stop
}

// leaving: this attempt is to end, and the run is not.
func (wt *watch) leaving() bool {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	return (wt.over || wt.stop) && wt.marker == nil
}

// handing: the run goes on in its next attempt.
func (wt *watch) handing() bool {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	return wt.over && wt.marker == nil && !wt.stop
}

// beat writes a heartbeat, after a silence only once it is sure that no newer
// attempt has taken this one's place. Its failure is not the run's: alive sees the
// silence.
func (wt *watch) beat() {
	wt.mu.Lock()
	at, last := time.Now(), wt.lastBeat
	hb := ops.Heartbeat{Attempt: wt.a.n, At: now(), Phase: wt.name, Progress: wt.progress}
	wt.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(wt.ctx), silence/2)
	defer cancel()
	if !last.IsZero() && silent(at, last) && !wt.newest(ctx) {
		return
	}
	if err := wt.a.w.c.Documents.PutHeartbeat(ctx, wt.a.ref, hb); err != nil {
		return
	}
	wt.mu.Lock()
	defer wt.mu.Unlock()
	if at.After(wt.lastBeat) {
		wt.lastBeat = at
	}
}

// silent goes by the wall clock: the monotonic one stands still while a laptop
// sleeps.
func silent(at, last time.Time) bool { return at.Round(0).Sub(last.Round(0)) >= silence }

// newest tells whether this attempt still is the newest, and fences the journal
// when it is not.
func (wt *watch) newest(ctx context.Context) bool {
	attempts, err := wt.a.w.c.Documents.Attempts(ctx, wt.a.ref)
	if err != nil {
		return false
	}
	if len(attempts) == 0 || attempts[len(attempts)-1].N != wt.a.n {
		wt.a.journal.fence()
		return false
	}
	return true
}

// phase says what the worker is doing, in the next heartbeat.
func (wt *watch) phase(name string) {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	wt.name = name
}

func (wt *watch) progressed(done, total int64, unit string) {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	wt.progress.Done, wt.progress.Total, wt.progress.Unit = done, total, unit
}

// note says how far the effect in hand is.
func (wt *watch) note(line string) {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	wt.progress.Note = line
}

func (wt *watch) count(done, failed, total int, unit string) {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	wt.progress = ops.Progress{Done: int64(done), Failed: int64(failed), Total: int64(total), Unit: unit}
}

// mayAct says whether a new effect may begin now. The marker is asked for anew each
// time, for none may begin once it is durable; and so is a newer attempt, for a
// worker cannot tell that it was paused. Both cost microseconds on a disk and, in
// S3, far less than the service's own pace leaves between two effects.
func (wt *watch) mayAct(ctx context.Context) error {
	if _, err := wt.alive(); err != nil {
		return err
	}
	if err := wt.look(ctx); err != nil {
		return fmt.Errorf("asking whether the run is canceled: %w", err)
	}
	if err := wt.ours(ctx); err != nil {
		return err
	}
	wt.mu.Lock()
	defer wt.mu.Unlock()
	if wt.ending() {
		return errCanceled
	}
	return nil
}

// still says whether this attempt may send a write again that it began. Whether the run
// is canceled does not matter to that.
func (wt *watch) still(ctx context.Context) error {
	if _, err := wt.alive(); err != nil {
		return err
	}
	return wt.ours(ctx)
}

// ours asks whether no newer attempt goes on with the run.
func (wt *watch) ours(ctx context.Context) error {
	switch {
	case wt.newest(ctx):
		return nil
	case wt.a.journal.fenced.Load():
		return ErrFenced
	}
	return ops.Errorf(ops.Unavailable, "the store does not tell whether a newer attempt goes on with the run, so no further effect is begun.")
}

// alive says whether this worker still is the one that acts for the run. One that
// was silent too long (paused, or cut from the store) must first prove that no
// newer attempt has taken its place.
func (wt *watch) alive() (paused bool, err error) {
	quiet := func() bool {
		wt.mu.Lock()
		defer wt.mu.Unlock()
		return silent(time.Now(), wt.lastBeat)
	}
	if wt.a.journal.fenced.Load() {
		return false, ErrFenced
	}
	if !quiet() {
		return false, nil
	}
	wt.beat()
	switch {
	case wt.a.journal.fenced.Load():
		return true, ErrFenced
	case quiet():
		return true, ops.Errorf(ops.Unavailable, "the store took no heartbeat for %v, so no further effect is begun.", silence)
	}
	return true, nil
}
