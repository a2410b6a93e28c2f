package worker

import (
	"context"
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
	lastBeat time.Time
	name     string
	progress ops.Progress
	asked    chan struct{} // closed when the run is canceled or the worker stopped
}

// newWatch begins to watch. parent's end means that the process must end: calls in
// hand get the grace, then ctx ends too.
func newWatch(parent context.Context, a *attempt) *watch {
	ctx, done := context.WithCancelCause(context.WithoutCancel(parent))
	wt := &watch{a: a, ctx: ctx, done: done, quit: make(chan struct{}), asked: make(chan struct{}), name: "starting"}
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
	for {
		select {
		case <-wt.quit:
			return
		case <-ended:
			ended = nil
			wt.ask(nil)
		case <-beat.C:
			wt.beat()
		case <-poll.C:
			_ = wt.look(context.WithoutCancel(parent)) // cannot tell now: asked again, and before each batch
		}
	}
}

// ask ends the work: by a cancel marker, or by a stop when m is nil. The effect in
// hand gets the grace.
func (wt *watch) ask(m *ops.CancelMarker) {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	first := wt.marker == nil && !wt.stop
	if m != nil {
		wt.marker = m
	} else {
		wt.stop = true
	}
	if !first {
		return
	}
	close(wt.asked)
	time.AfterFunc(wt.a.w.c.Grace, func() { wt.done(context.Canceled) })
}

// look reads the cancel marker.
func (wt *watch) look(ctx context.Context) error {
	if wt.canceled() {
		return nil
	}
	m, err := wt.a.w.c.Documents.CancelMarker(ctx, wt.a.ref)
	if err == nil && m != nil {
		wt.ask(m)
	}
	return err
}

func (wt *watch) canceled() bool {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	return wt.marker != nil
}

func (wt *watch) stopped() bool {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	return wt.stop
}

// beat writes a heartbeat. Its failure is not the run's: mayAct sees the silence.
func (wt *watch) beat() {
	wt.mu.Lock()
	at := time.Now()
	hb := ops.Heartbeat{Attempt: wt.a.n, At: now(), Phase: wt.name, Progress: wt.progress}
	wt.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(wt.ctx), silence/2)
	defer cancel()
	if err := wt.a.w.c.Documents.PutHeartbeat(ctx, wt.a.ref, hb); err != nil {
		return
	}
	wt.mu.Lock()
	wt.lastBeat = at
	wt.mu.Unlock()
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

func (wt *watch) count(done, failed, total int, unit string) {
	wt.mu.Lock()
	defer wt.mu.Unlock()
	wt.progress = ops.Progress{Done: int64(done), Failed: int64(failed), Total: int64(total), Unit: unit}
}

// mayAct says whether an effect may begin now. A worker that was silent too long
// (paused, or cut from the store) must first prove that no newer attempt has
// taken its place.
func (wt *watch) mayAct(ctx context.Context) error {
	wt.mu.Lock()
	asked, last := wt.marker != nil || wt.stop, wt.lastBeat
	wt.mu.Unlock()
	if asked {
		return errCanceled
	}
	// By the wall clock: the monotonic one stands still while a laptop sleeps.
	if time.Now().Round(0).Sub(last.Round(0)) < silence {
		return nil
	}
	wt.beat()
	wt.mu.Lock()
	fresh := wt.lastBeat.After(last)
	wt.mu.Unlock()
	if !fresh {
		return ops.Errorf(ops.Unavailable, "the store took no heartbeat for %v, so no further effect is begun.", silence)
	}
	attempts, err := wt.a.w.c.Documents.Attempts(ctx, wt.a.ref)
	if err != nil {
		return ops.Errorf(ops.Unavailable, "after a silence the store does not tell whether a newer attempt exists: %w", err)
	}
	if len(attempts) == 0 || attempts[len(attempts)-1].N != wt.a.n {
		return ErrFenced
	}
	if err := wt.look(ctx); err != nil {
		return err
	}
	if wt.canceled() {
		return errCanceled
	}
	return nil
}
