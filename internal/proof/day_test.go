package proof_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// A stretch is a long run and what happens around it.
type stretch struct {
	minutes     int           // of the canary
	build       int           // time limit of a build, in minutes
	credentials time.Duration // what a session is good for
	kill        time.Duration // how often a follower is killed
	job         time.Duration // after how long a follower leaves
	hour        time.Duration // between two looks at the memory
}

// TestLongRun is 36 hours of a run in an account, or a part of one: the run outlasts
// its builds, one follower is killed hourly, another leaves in time at the end of
// its job, credentials expire, and lines drop. The verdict is right, memory is
// flat, and no line is lost or printed twice.
func TestLongRun(t *testing.T) {
	s := stretch{minutes: 14, build: 6, credentials: 8 * time.Minute, kill: 4 * time.Minute, job: 5 * time.Minute, hour: 2 * time.Minute}
	if exhaustive() {
		s = stretch{minutes: 2160, build: 480, credentials: time.Hour, kill: time.Hour, job: 330 * time.Minute, hour: time.Hour}
	}
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	runtime.MemProfileRate = 16 << 10
	synctest.Test(t, s.run)
}

// run lets it happen.
func (s stretch) run(t *testing.T) {
	b := newBubble(t, sandbox.Config{CallLog: 100}, func(e *emulator.Settings) { e.Builds.CredentialLife = s.credentials })
	b.sessions = s.credentials
	b.limitBuilds(s.build)
	b.befall(func(_ *process, c call) error { return dropped(c) })

	began := time.Now()
	ref, _, err := b.asker().Launch(t.Context(), "job", b.request("canary", map[string]string{"minutes": strconv.Itoa(s.minutes)}), launcher.Answers{By: "proof"})
	b.ok(err)
	var wg sync.WaitGroup
	killed := &watcher{b: b, s: s, ref: ref}
	left := &watcher{b: b, s: s, ref: ref}
	wg.Go(func() { killed.follow(s.kill, 0) })
	wg.Go(func() { left.follow(0, s.job) })
	memory := make(chan []int64)
	over := make(chan struct{})
	go func() { memory <- s.remember(over) }()
	wg.Wait()
	took := time.Since(began)
	close(over)
	held := <-memory

	for _, w := range []*watcher{killed, left} {
		if w.result == nil || w.result.Outcome != ops.Succeeded || w.last != s.minutes {
			t.Errorf("followed by %d processes: the verdict is %+v after line %d of %d", len(w.processes), w.result, w.last, s.minutes)
		}
	}
	if want := int(took / s.kill); len(killed.processes) < want {
		t.Errorf("%d followers, %d kills were due", len(killed.processes), want)
	}
	starts, err := b.store.Starts(t.Context(), ref)
	b.ok(err)
	if want := s.minutes/s.build + 1; len(starts) < want || len(b.workers()) != len(starts) {
		t.Errorf("%d attempts in %d builds for %d minutes in builds of %d", len(starts), len(b.workers()), s.minutes, s.build)
	}
	b.intact(ref)
	t.Logf("%v simulated: %d builds; %d followers, one killed every %v; %d that leave after %v", took.Round(time.Minute), len(b.workers()), len(killed.processes), s.kill, len(left.processes), s.job)
	s.checkMemory(t, held)
	hours := took.Hours()
	perHour(t, "a follower that goes on", hours, left.processes)
	perHour(t, "a follower killed and begun anew", hours, killed.processes)
	perHour(t, "the worker", hours, b.workers())
}

// dropped loses a call now and then, before or after it has arrived.
func dropped(c call) error {
	if c.n%600 == 599 && c.moment == moment(c.n/600%2) {
		return errCut
	}
	return nil
}

// A watcher follows a run by one process after the other.
type watcher struct {
	b         *bubble
	s         stretch
	ref       ops.RunRef
	processes []*process
	last      int // minute whose line was printed last
	attempt   int // and place in the log where the process before left in order
	place     string
	result    *ops.Result
}

// follow follows to the end. Each process is killed after kill, or leaves after
// until; then another begins: anew behind one that was killed, and where it was behind
// one that left.
func (w *watcher) follow(kill, until time.Duration) {
	t := w.b.t
	for w.result == nil && len(w.processes) < 200 {
		p := newProcess(dropped)
		w.processes = append(w.processes, p)
		if kill > 0 {
			w.last = 0
		}
		f := launcher.Follow{Log: w, From: w.attempt, Cursor: w.place, Progress: func(ops.Heartbeat) {}, Attempt: func(n int, lost bool) {
			if lost {
				t.Errorf("attempt %d is told to be lost", n-1)
			}
		}}
		ctx, stop := context.WithCancel(t.Context())
		if kill > 0 {
			time.AfterFunc(kill, func() { p.kill(); stop() })
		}
		if until > 0 {
			f.Until, f.Left = time.Now().Add(until), func(n int, place string) { w.attempt, w.place = n, place }
		}
		r, err := w.b.launcher(p).Follow(ctx, w.ref, f)
		stop()
		switch {
		case err == nil:
			w.result = r
		case p.isDead():
		case errors.Is(err, launcher.ErrStillRunning):
			// It printed all that a follower can have seen by now.
			if due := w.printedBy(time.Now().Add(-time.Minute)); w.last < due {
				t.Errorf("left at minute %d; the log had minute %d a minute before", w.last, due)
			}
		default:
			t.Errorf("follower %d: %v", len(w.processes), err)
			return
		}
		time.Sleep(20 * time.Second) // a fresh runner takes its time
	}
}

// printedBy is how far the log was at a time, by the run's own journal.
func (w *watcher) printedBy(at time.Time) (minute int) {
	all, _ := w.b.entries(w.ref)
	for _, e := range all {
		if e.Kind == ops.EntryCheckpoint && e.At.Before(at) {
			minute++
		}
	}
	return minute
}

var minuteLine = regexp.MustCompile(`(?m)^\S+Z  minute (\d+) of`)

// Write wants each minute's line once and in order, from the first on.
func (w *watcher) Write(text []byte) (int, error) {
	for _, m := range minuteLine.FindAllSubmatch(text, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		if n != w.last+1 {
			w.b.t.Errorf("follower %d prints minute %d after minute %d", len(w.processes), n, w.last)
		}
		w.last = n
	}
	return len(text), nil
}

// perHour tells what the processes asked for in an hour.
func perHour(t *testing.T, who string, hours float64, of []*process) {
	t.Helper()
	kinds, all := map[string]int{}, 0
	for _, p := range of {
		for _, name := range p.sent() {
			words := strings.Fields(name)
			kind := words[0]
			if kind == "s3" || kind == "synapse" {
				kind += " " + words[1]
			}
			kinds[kind]++
			all++
		}
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		parts = append(parts, fmt.Sprintf("%s %.0f", kind, float64(kinds[kind])/hours))
	}
	t.Logf("%s: %.0f calls an hour (%s)", who, float64(all)/hours, strings.Join(parts, ", "))
	if most := 12_000.0; float64(all)/hours > most {
		t.Errorf("%s makes %.0f calls an hour, more than %.0f", who, float64(all)/hours, most)
	}
}

// remember measures, every hour, what worker and followers keep in memory.
func (s stretch) remember(over <-chan struct{}) (held []int64) {
	look := time.NewTicker(s.hour)
	defer look.Stop()
	for {
		select {
		case <-over:
			return held
		case <-look.C:
			held = append(held, keptOutsideTheAccount())
		}
	}
}

// keptOutsideTheAccount is what is alive on the heap and was not allocated by the
// emulated account, the sandbox, or the notes of this test.
func keptOutsideTheAccount() (bytesKept int64) {
	runtime.GC()
	runtime.GC() // a profile is of the collection before the last
	records := make([]runtime.MemProfileRecord, 1000)
	for {
		n, ok := runtime.MemProfile(records, false)
		if records = records[:min(n, len(records))]; ok {
			break
		}
		records = make([]runtime.MemProfileRecord, n+200)
	}
	for _, r := range records {
		if !ofTheAccount(r.Stack()) {
			bytesKept += r.InUseBytes()
		}
	}
	return bytesKept
}

func ofTheAccount(stack []uintptr) bool {
	frames := runtime.CallersFrames(stack)
	for {
		f, more := frames.Next()
		for _, not := range []string{"internal/emulator.", "internal/sandbox.", "internal/policy.", "proof_test.lineOf", "proof_test.nameOf", "proof_test.keptOutside", "proof_test.(*gate)", "runtime/"} {
			if strings.Contains(f.Function, not) {
				return true
			}
		}
		if !more {
			return false
		}
	}
}

// checkMemory wants the last quarter to keep no more than the first hours do.
func (s stretch) checkMemory(t *testing.T, held []int64) {
	t.Helper()
	var text bytes.Buffer
	for _, h := range held {
		fmt.Fprintf(&text, " %d", h>>10)
	}
	t.Logf("kept by worker and followers, in KiB, every %v:%s", s.hour, text.String())
	if len(held) < 3 {
		t.Fatalf("memory was measured %d times", len(held))
	}
	early, late := slices.Max(held[:max(2, len(held)/6)]), slices.Max(held[len(held)*3/4:])
	if grown := late - early; grown > 1<<20 {
		t.Errorf("memory grew by %d KiB", grown>>10)
	}
}
