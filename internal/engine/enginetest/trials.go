package enginetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
)

func (t *trial) start() {
	ref := t.launch(scriptEnd)
	t.says(t.ends(ref, 1, ops.Succeeded), 1)
	if e := t.execution(ref, 1); e.Engine != t.s.Engine.Name() || e.ID == "" {
		t.Errorf("the execution is recorded as %+v", e)
	}
	again, attached, err := t.l.Launch(t.ctx, "job-1", request(scriptEnd), by)
	t.ok(err)
	if !attached || again != ref {
		t.Errorf("the same claim gave %s, attached %v", again.Run, attached)
	}
	t.says(t.ends(ref, 1, ops.Succeeded), 1) // it was not performed again
	if _, _, err := t.l.Launch(t.ctx, "job-1", request(scriptFail), by); ops.Refused(err) == nil {
		t.Errorf("another request under the same claim: %v", err)
	}
}

// startTwice: however often an attempt is begun, one worker performs it.
func (t *trial) startTwice() {
	ref := t.launch(scriptWait)
	starts, err := t.s.Documents.Starts(t.ctx, ref)
	t.ok(err)
	t.together(4, func() error {
		_, err := t.s.Engine.Start(t.ctx, starts[0])
		return err
	})
	t.together(4, func() error {
		_, _, err := t.l.Launch(t.ctx, "job-1", request(scriptWait), by)
		return err
	})
	t.until(ref, "running", running)
	_, err = t.l.Cancel(t.ctx, ref, "tester", "")
	t.ok(err)
	t.says(t.ends(ref, 1, ops.RunCanceled), 1)
}

// startEnded: once ctx has ended nothing is begun.
func (t *trial) startEnded() {
	ended, stop := context.WithCancel(t.ctx)
	stop()
	ref := t.launch(scriptDie)
	t.until(ref, "gone", gone)
	starts, err := t.s.Documents.Starts(t.ctx, ref)
	t.ok(err)
	next := starts[0]
	next.N, next.Kind = 2, ops.StartResume
	t.ok(t.s.Documents.CreateStart(t.ctx, next))
	if _, err := t.s.Engine.Start(ended, next); err == nil {
		t.Error("an attempt was begun after the context had ended")
	}
	if v, err := t.l.Look(t.ctx, ref); err != nil || len(v.Attempts) != 1 {
		t.Errorf("a second attempt began: %v", err)
	}
}

// beforeClaim: until the worker claims its attempt the engine tells of a place in
// the queue or of provisioning, and of nothing else.
func (t *trial) beforeClaim() {
	ref := t.launch(scriptLate)
	v := t.until(ref, "on its way", func(v *launcher.View) bool { return v.Live != ops.AliveQueued || len(t.s.Tells) == 1 })
	if v.State() != ops.StateQueued || !slices.Contains(t.s.Tells, v.Live) {
		t.Errorf("a worker that has not claimed its attempt is %s, the run %s", v.Live, v)
	}
	if v.Lost() {
		t.Error("a run on its way reads as lost")
	}
	// It is waited for, not begun again; unless it is stopped by force.
	resumed, err := t.l.Resume(t.ctx, ref, by, false)
	if err != nil || resumed {
		t.Errorf("resume of a run on its way: %v, %v", resumed, err)
	}
	t.ok(t.s.Engine.Stop(t.ctx, t.execution(ref, 1), nil))
	t.until(ref, "gone", gone)
}

func (t *trial) liveness() {
	ref := t.launch(scriptWait)
	v := t.until(ref, "running", running)
	if v.Lost() {
		t.Error("a run at work reads as lost")
	}
	_, err := t.l.Cancel(t.ctx, ref, "tester", "")
	t.ok(err)
	t.ends(ref, 1, ops.RunCanceled)
	a := v.Attempt()
	poll := time.NewTicker(t.s.Engine.Poll())
	defer poll.Stop()
	for {
		live, err := t.s.Engine.Liveness(t.ctx, t.execution(ref, 1), a)
		t.ok(err)
		if live == ops.Gone {
			return
		}
		select {
		case <-t.ctx.Done():
			t.Fatalf("a worker that ended is %s", live)
		case <-poll.C:
		}
	}
}

// log: a cursor goes on where it left, in any number of readings.
func (t *trial) log() {
	ref := t.launch(scriptEnd)
	none, cursor, err := t.s.Engine.Log(t.ctx, ref, 7, "", false)
	if err != nil || len(none) > 0 {
		t.Errorf("the log of an attempt that is not there: %q, %v", none, err)
	}
	_ = cursor
	t.ends(ref, 1, ops.Succeeded)
	var text []byte
	cursor = ""
	for {
		part, next, err := t.s.Engine.Log(t.ctx, ref, 1, cursor, true)
		t.ok(err)
		again, _, err := t.s.Engine.Log(t.ctx, ref, 1, cursor, true)
		t.ok(err)
		if !bytes.HasPrefix(again, part) {
			t.Fatalf("the same cursor gave %q, then %q", part, again)
		}
		text, cursor = append(text, part...), next
		if len(part) == 0 {
			break
		}
	}
	t.says(string(text), 1)
	if _, _, err := t.s.Engine.Log(t.ctx, ref, 1, "no cursor", false); err == nil {
		t.Error("a cursor that is none is taken")
	}
}

// followOnce: followers that come at any time print the same, from the first line,
// over all attempts, each line once.
func (t *trial) followOnce() {
	ref := t.launch(scriptFail + " " + scriptWait)
	t.until(ref, "failed", func(v *launcher.View) bool { return v.State() == ops.StateEnded })
	resumed, err := t.l.Resume(t.ctx, ref, by, false)
	t.ok(err)
	if !resumed {
		t.Fatal("a run that failed was not resumed")
	}
	texts := make(chan string, 3)
	for range cap(texts) {
		go func() {
			_, text, _ := t.follow(ref)
			texts <- text
		}()
	}
	t.until(ref, "running", running)
	_, err = t.l.Cancel(t.ctx, ref, "tester", "")
	t.ok(err)
	for range cap(texts) {
		t.says(<-texts, 1, 2)
	}
	t.says(t.ends(ref, 2, ops.RunCanceled), 1, 2)
}

// stop: on return the worker is gone, and stopping again is fine.
func (t *trial) stop() {
	ref := t.launch(scriptDeaf)
	v := t.until(ref, "running", running)
	for range 2 {
		t.ok(t.s.Engine.Stop(t.ctx, t.execution(ref, 1), v.Attempt()))
		live, err := t.s.Engine.Liveness(t.ctx, t.execution(ref, 1), v.Attempt())
		t.ok(err)
		if live != ops.Gone {
			t.Fatalf("a worker that was stopped is %s", live)
		}
	}
}

// lost: a worker that is gone without a result is told of, and resume goes on.
func (t *trial) lost() {
	ref := t.launch(scriptDeaf + " " + scriptEnd)
	v := t.deaf(ref)
	t.s.Kill(t.T, v.Attempt())
	_, text, err := t.follow(ref)
	if !errors.Is(err, launcher.ErrLost) {
		t.Fatalf("following a run whose worker was killed: %v", err)
	}
	t.says(text, 1)
	if v := t.until(ref, "gone", gone); !v.Lost() {
		t.Error("a run whose worker is gone does not read as lost")
	}
	resumed, err := t.l.Resume(t.ctx, ref, by, false)
	t.ok(err)
	if !resumed {
		t.Error("resume attached to nobody")
	}
	t.says(t.ends(ref, 2, ops.Succeeded), 1, 2)
}

// neverBegun: a worker that went before it claimed its attempt is told of, and the
// next attempt goes on.
func (t *trial) neverBegun() {
	ref := t.launch(scriptAbsent + " " + scriptEnd)
	if _, _, err := t.follow(ref); !errors.Is(err, launcher.ErrLost) {
		t.Fatalf("following a run that was never begun: %v", err)
	}
	resumed, err := t.l.Resume(t.ctx, ref, by, false)
	t.ok(err)
	if !resumed {
		t.Error("resume attached to nobody")
	}
	r, text, err := t.follow(ref)
	t.ok(err)
	if r.Outcome != ops.Succeeded || r.Attempt != 2 {
		t.Errorf("ended %s in attempt %d", r.Outcome, r.Attempt)
	}
	t.says(text, 2)
}

// resumeProof: beside a living worker nothing is started; forced, it is stopped
// first.
func (t *trial) resumeProof() {
	ref := t.launch(scriptDeaf + " " + scriptEnd)
	v := t.deaf(ref)
	resumed, err := t.l.Resume(t.ctx, ref, by, false)
	if err != nil || resumed {
		t.Errorf("resume of a run at work: %v, %v", resumed, err)
	}
	if started, err := t.l.Settle(t.ctx, ref, by, false); err != nil || started {
		t.Errorf("settle of a run at work: %v, %v", started, err)
	}
	starts, err := t.s.Documents.Starts(t.ctx, ref)
	t.ok(err)
	if len(starts) != 1 {
		t.Fatalf("%d starts: one was written beside a living worker", len(starts))
	}
	t.together(3, func() error {
		_, err := t.l.Resume(t.ctx, ref, by, true)
		return err
	})
	if live, err := t.s.Engine.Liveness(t.ctx, t.execution(ref, 1), v.Attempt()); err != nil || live != ops.Gone {
		t.Errorf("attempt 2 was started while attempt 1 was %s: %v", live, err)
	}
	t.says(t.ends(ref, 2, ops.Succeeded), 1, 2)
}

// resumeFailed: a run that failed goes on; one that ended for good does not.
func (t *trial) resumeFailed() {
	ref := t.launch(scriptFail + " " + scriptEnd)
	t.ends(ref, 1, ops.RunFailed)
	t.together(3, func() error {
		_, err := t.l.Resume(t.ctx, ref, by, false)
		return err
	})
	t.says(t.ends(ref, 2, ops.Succeeded), 1, 2)
	for name, f := range map[string]func() (bool, error){
		"resume": func() (bool, error) { return t.l.Resume(t.ctx, ref, by, true) },
		"settle": func() (bool, error) { return t.l.Settle(t.ctx, ref, by, true) },
		"cancel": func() (bool, error) { return t.l.Cancel(t.ctx, ref, "tester", "") },
	} {
		if did, err := f(); did || err != nil {
			t.Errorf("%s of a run that ended for good: %v, %v", name, did, err)
		}
	}
}

// cancel: the worker ends by itself, and no start passes the marker.
func (t *trial) cancel() {
	ref := t.launch(scriptWait)
	t.until(ref, "running", running)
	asked, err := t.l.Cancel(t.ctx, ref, "tester", "wrong list")
	if err != nil || !asked {
		t.Fatalf("cancel: %v, %v", asked, err)
	}
	if _, err := t.l.Resume(t.ctx, ref, by, false); err != nil && ops.CodeOf(err) != ops.Canceled {
		t.Errorf("resume of a canceled run: %v", err)
	}
	r, err := t.l.End(t.ctx, ref, by, patience, launcher.Follow{})
	t.ok(err)
	if r.Outcome != ops.RunCanceled || r.Attempt != 1 {
		t.Errorf("ended %s in attempt %d", r.Outcome, r.Attempt)
	}
}

// cancelDeaf: a worker that does not end within its grace is stopped, and another
// settles. No line is printed twice.
func (t *trial) cancelDeaf() {
	ref := t.launch(scriptDeaf)
	v := t.deaf(ref)
	_, err := t.l.Cancel(t.ctx, ref, "tester", "")
	t.ok(err)
	var out bytes.Buffer
	r, err := t.l.End(t.ctx, ref, by, 50*time.Millisecond, launcher.Follow{Log: &out})
	t.ok(err)
	if r.Outcome != ops.RunCanceled || r.Attempt != 2 {
		t.Errorf("ended %s in attempt %d", r.Outcome, r.Attempt)
	}
	if live, err := t.s.Engine.Liveness(t.ctx, t.execution(ref, 1), v.Attempt()); err != nil || live != ops.Gone {
		t.Errorf("the deaf worker is %s: %v", live, err)
	}
	t.says(out.String(), 1, 2)
}

func (t *trial) cancelDead() {
	ref := t.launch(scriptDie)
	t.until(ref, "gone", gone)
	_, err := t.l.Cancel(t.ctx, ref, "tester", "")
	t.ok(err)
	if _, err := t.l.Resume(t.ctx, ref, by, false); ops.CodeOf(err) != ops.Canceled {
		t.Errorf("resume of a canceled run: %v", err)
	}
	r, err := t.l.End(t.ctx, ref, by, patience, launcher.Follow{})
	t.ok(err)
	if r.Outcome != ops.RunCanceled || r.Attempt != 2 {
		t.Errorf("ended %s in attempt %d", r.Outcome, r.Attempt)
	}
}

// settle: a lost run is finished without being canceled.
func (t *trial) settle() {
	ref := t.launch(scriptDie)
	t.until(ref, "gone", gone)
	started, err := t.l.Settle(t.ctx, ref, by, false)
	if err != nil || !started {
		t.Fatalf("settle: %v, %v", started, err)
	}
	t.ends(ref, 2, ops.RunCanceled)
}
