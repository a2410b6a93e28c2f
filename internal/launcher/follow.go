package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// ErrLost: nobody works on the run any more and it has no result. It can be
// resumed.
var ErrLost = errors.New("the run's worker is gone and left no result")

// ErrStillRunning: the follower left in time; the run goes on without it.
var ErrStillRunning = errors.New("the run goes on")

// Follow says how to follow a run. The zero Follow waits for the result in silence.
type Follow struct {
	Log      io.Writer                  // gets the worker's lines; nil: dropped
	Progress func(hb ops.Heartbeat)     // called for each new heartbeat; may be nil
	Engine   func(state ops.Liveness)   // called when an attempt's state changes; may be nil
	Until    time.Time                  // leave with ErrStillRunning then; zero: never
	From     int                        // first attempt to print; 0: the first
	Cursor   string                     // place in the log of attempt From to print from; "": its beginning
	Left     func(n int, cursor string) // told, at the end, the place that was printed up to; may be nil
	Attempt  func(n int, lost bool)     // called before an attempt's first line; may be nil
}

// How long between questions to the engine and between heartbeats, at least; and in
// rounds of an engine that is asked seldom, since each is several calls there.
const (
	lookEvery      = 500 * time.Millisecond
	lookRounds     = 7
	progressEvery  = 500 * time.Millisecond
	progressRounds = 5

	// firstPause is the first between two looks. The pauses grow up to the engine's own,
	// so that the end of a short run is heard of soon.
	firstPause = 100 * time.Millisecond

	goneFor = time.Second
	// bearable is how long store and engine may be out of reach: a follower of hours
	// meets throttling and lines that drop.
	bearable = 5 * time.Minute
)

// A follower remembers what was printed.
type follower struct {
	l      *Launcher
	ref    ops.RunRef
	f      Follow
	n      int // attempt being followed
	cursor string
	looked time.Time
	beat   time.Time
	state  ops.Liveness
	gone   time.Time // when the worker was first seen gone without a result
	cut    time.Time // since when store or engine do not answer; zero: they do
}

// Follow prints a run's log, attempt after attempt, and returns its result once
// there is one. It changes nothing: any number may follow, and one that dies is
// replaced by another.
func (l *Launcher) Follow(ctx context.Context, ref ops.RunRef, f Follow) (*ops.Result, error) {
	fw := l.follower(ref, f)
	if f.Left != nil {
		defer func() { f.Left(fw.n, fw.cursor) }()
	}
	return fw.follow(ctx)
}

func (l *Launcher) follower(ref ops.RunRef, f Follow) *follower {
	return &follower{l: l, ref: ref, f: f, n: max(f.From, 1), cursor: f.Cursor}
}

// follow goes on from where it left.
func (fw *follower) follow(ctx context.Context) (*ops.Result, error) {
	most := fw.l.Engine.Poll()
	pause := min(firstPause, most)
	poll := time.NewTimer(pause)
	defer poll.Stop()
	fw.gone, fw.cut = time.Time{}, time.Time{}
	for {
		r, done, err := fw.round(ctx)
		if err = fw.bear(ctx, err); done || err != nil {
			return r, err
		}
		if until := fw.f.Until; !until.IsZero() && !time.Now().Before(until) {
			return nil, ErrStillRunning
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-poll.C:
			pause = min(2*pause, most)
			poll.Reset(pause)
		}
	}
}

// round looks once at everything.
func (fw *follower) round(ctx context.Context) (r *ops.Result, done bool, err error) {
	// The result is read before the log: what the log says after it is not news.
	if r, err = fw.l.Documents.Result(ctx, fw.ref, fw.n); err != nil {
		return nil, false, fmt.Errorf("reading the result: %w", err)
	}
	if err := fw.print(ctx, r != nil); err != nil {
		return nil, false, err
	}
	fw.progress(ctx)
	if done, err = fw.turn(ctx, r); err != nil {
		return nil, false, err
	}
	return r, done, nil
}

// bear lets a while pass in which store or engine do not answer.
func (fw *follower) bear(ctx context.Context, err error) error {
	switch {
	case err == nil:
		fw.cut = time.Time{}
		return nil
	case ctx.Err() != nil || ops.CodeOf(err) != ops.Unavailable:
		return err
	case fw.cut.IsZero():
		fw.cut = time.Now()
	}
	if time.Since(fw.cut) < bearable {
		return nil
	}
	return err
}

// every is a time between two questions: least, or so many rounds if that is more.
func (fw *follower) every(least time.Duration, rounds int) time.Duration {
	return max(least, time.Duration(rounds)*fw.l.Engine.Poll())
}

// print copies what is new in the log; all of it once the attempt has ended.
func (fw *follower) print(ctx context.Context, ended bool) error {
	for {
		text, next, err := fw.l.Engine.Log(ctx, fw.ref, fw.n, fw.cursor, ended)
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		if len(text) == 0 {
			fw.cursor = next
			return nil
		}
		if fw.f.Log != nil {
			if _, err := fw.f.Log.Write(text); err != nil {
				return fmt.Errorf("printing the log: %w", err)
			}
		}
		fw.cursor = next
	}
}

func (fw *follower) progress(ctx context.Context) {
	if fw.f.Progress == nil || time.Since(fw.beat) < fw.every(progressEvery, progressRounds) {
		return
	}
	fw.beat = time.Now()
	if hb, _, err := fw.l.Documents.Heartbeat(ctx, fw.ref); err == nil && hb != nil && hb.Attempt == fw.n {
		fw.f.Progress(*hb)
	}
}

// turn tells whether following is over, and goes on to the next attempt when there
// is one. r is the followed attempt's result, nil while it has none.
func (fw *follower) turn(ctx context.Context, r *ops.Result) (done bool, err error) {
	if r == nil && !fw.said() && fw.gone.IsZero() && time.Since(fw.looked) < fw.every(lookEvery, lookRounds) {
		return false, nil
	}
	fw.looked = time.Now()
	if r != nil && r.Outcome.Final() {
		return true, nil
	}
	next, err := fw.next(ctx, r)
	if next || err != nil {
		return false, err
	}
	if r != nil {
		return true, nil
	}
	return false, fw.alive(ctx)
}

// said tells whether the attempt being followed is known to have said its last line:
// then its result, or the next attempt, is there already.
func (fw *follower) said() bool {
	e, tells := fw.l.Engine.(interface{ Ended(cursor string) bool })
	return tells && e.Ended(fw.cursor)
}

// next goes on to the next attempt when there is one, and the attempt being
// followed has said all it had to say: it ended, or its successor is at work.
func (fw *follower) next(ctx context.Context, r *ops.Result) (bool, error) {
	starts, err := fw.l.Documents.Starts(ctx, fw.ref)
	if err != nil {
		return false, fmt.Errorf("reading the starts: %w", err)
	}
	if len(starts) == 0 || starts[len(starts)-1].N <= fw.n {
		return false, nil
	}
	if r == nil && !fw.said() {
		attempts, err := fw.l.Documents.Attempts(ctx, fw.ref)
		if err != nil {
			return false, fmt.Errorf("reading the attempts: %w", err)
		}
		if len(attempts) == 0 || attempts[len(attempts)-1].N <= fw.n {
			return false, nil
		}
	}
	orderly := starts[fw.n].N == fw.n+1 && starts[fw.n].Kind == ops.StartHandOver
	return true, fw.advance(ctx, r == nil && !orderly)
}

// advance prints the rest of the attempt being followed and goes on to the next.
func (fw *follower) advance(ctx context.Context, lost bool) error {
	if err := fw.print(ctx, true); err != nil {
		return err
	}
	fw.n++
	fw.cursor, fw.state, fw.gone = "", "", time.Time{}
	if fw.f.Attempt != nil {
		fw.f.Attempt(fw.n, lost)
	}
	return nil
}

// goOn goes on to the newest attempt, those before it being gone.
func (fw *follower) goOn(ctx context.Context) error {
	starts, err := fw.l.Documents.Starts(ctx, fw.ref)
	if err != nil {
		return fmt.Errorf("reading the starts: %w", err)
	}
	for len(starts) > 0 && fw.n < starts[len(starts)-1].N {
		if err := fw.advance(ctx, true); err != nil {
			return err
		}
	}
	return nil
}

// alive asks the engine, tells of a change, and returns ErrLost when the worker is
// gone and a last look finds no result either.
func (fw *follower) alive(ctx context.Context) error {
	v, err := fw.l.Look(ctx, fw.ref)
	if err != nil {
		return err
	}
	if v.State() == ops.StateEnded {
		return nil // it came in between; the next round prints its last lines
	}
	if v.Live != fw.state {
		fw.state = v.Live
		if fw.f.Engine != nil {
			fw.f.Engine(v.Live)
		}
	}
	if v.Live != ops.Gone {
		fw.gone = time.Time{}
		return nil
	}
	// Between an engine's answer and the document of it, a run looks like one that
	// nobody works on: only what lasts is lost.
	if fw.gone.IsZero() {
		fw.gone = time.Now()
	}
	if time.Since(fw.gone) < goneFor {
		return nil
	}
	if r, err := fw.l.Documents.Result(ctx, fw.ref, fw.n); err != nil || r != nil {
		return err
	}
	if err := fw.print(ctx, true); err != nil {
		return err
	}
	return ErrLost
}
