package proof_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// A blow is what befalls a worker at one of its calls. strike is called once, with
// the call in hand, and says what becomes of it.
type blow struct {
	name   string
	strike func(s *stricken) error
	// heal is called some minutes later, when nobody has heard of the worker for
	// longer than lost takes; nil: it never comes back by itself.
	heal func(s *stricken)
	// force: a person stops the build and goes on, before heal.
	force bool
}

// A stricken worker is one that a blow befell.
type stricken struct {
	*process
	b    *bubble
	goOn func() // after stop
}

// stand waits with the call in hand until the process is dead.
func (s *stricken) stand() error {
	<-s.dead
	return errKilled
}

var blows = []blow{
	{name: "killed", strike: func(s *stricken) error { s.kill(); return errKilled }},
	{name: "its build stopped", strike: func(s *stricken) error {
		s.b.stopBuild(s.env["CODEBUILD_BUILD_ID"])
		return s.stand() // the build goes on for some seconds
	}},
	{name: "starved", strike: func(s *stricken) error { s.goOn = s.stop(); return nil }, heal: func(s *stricken) { s.goOn() }},
	{name: "starved and given up", strike: func(s *stricken) error { s.goOn = s.stop(); return nil }, heal: func(s *stricken) { s.goOn() }, force: true},
	{name: "cut off for minutes", strike: func(s *stricken) error { s.partition(true); return nil }, heal: func(s *stricken) { s.partition(false) }},
	{name: "cut off for good", strike: func(s *stricken) error { s.partition(true); return nil }},
	{name: "timed out", strike: (*stricken).stand},
}

// befallen is a job whose worker a blow befalls.
type befallen struct {
	bulk
	inputs map[string]string
	n      int
}

func befallenBulk(i, n int) befallen {
	b := befallen{bulk: bulks[i], n: n, inputs: map[string]string{}}
	name, list, _ := strings.Cut(b.args(n)[0], "=")
	b.inputs[name] = list
	return b
}

func (j befallen) answers() launcher.Answers {
	a := launcher.Answers{By: "proof"}
	if j.settle == ops.SettleResend {
		a.Confirm = fmt.Sprintf("%d users", j.n)
	}
	return a
}

// TestBefallAnywhere strikes a worker in a build at each of its calls, before the
// call arrives and after, and wants a person who follows and resumes to come to the
// end: everything done, nothing recorded done again, at most once more for each
// intent that was open; and never is anybody told that a worker is gone who acts.
// One who cancels instead has what was begun settled, and nothing more begun.
func TestBefallAnywhere(t *testing.T) {
	var struck, missed atomic.Int64
	t.Run("all", func(t *testing.T) {
		for i := range bulks {
			j := befallenBulk(i, scaled(3, 6))
			for at, p := range befallPlaces(callsOf(t, j)) {
				// All there are of one bulk, and a third of the others'; or a few of each.
				if (at+i)%scaled(212, 1+2*min(i, 1)) != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s", j.task, p), func(t *testing.T) {
					t.Parallel()
					struck.Add(1)
					synctest.Test(t, func(t *testing.T) {
						if !befallAt(t, j, p) {
							missed.Add(1)
						}
					})
				})
			}
		}
	})
	t.Logf("%d workers struck; %d had ended before", struck.Load(), missed.Load())
	if missed.Load() > struck.Load()/10 {
		t.Error("too many had ended before: the places are not where calls are")
	}
}

// A befallPlace is a blow at one of a worker's calls.
type befallPlace struct {
	blow
	call   int
	moment moment
}

func (p befallPlace) String() string {
	return fmt.Sprintf("%s/call %d %s", p.name, p.call, p.moment)
}

// cancels tells whether the person who finds the run cancels it, as at one place of
// three, instead of going on.
func (p befallPlace) cancels() bool { return (p.call+int(p.moment))%3 == 0 }

// befallPlaces are every blow at each of so many calls.
func befallPlaces(calls int) (all []befallPlace) {
	for n := 1; n <= calls; n++ {
		for _, m := range []moment{beforeApplied, afterApplied} {
			for _, w := range blows {
				all = append(all, befallPlace{w, n, m})
			}
		}
	}
	return all
}

// callsOf counts the calls of a worker that nothing befalls.
func callsOf(t *testing.T, j befallen) (n int) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Config{})
		l := b.asker()
		ref, _, err := l.Launch(t.Context(), "job", b.request(ops.TaskName(j.task), j.inputs), j.answers())
		b.ok(err)
		r, err := l.Follow(t.Context(), ref, launcher.Follow{})
		b.ok(err)
		if r.Outcome != ops.Succeeded {
			t.Fatalf("ended %s: %s", r.Outcome, r.Message)
		}
		n = len(b.workers()[0].sent())
	})
	return n
}

func befallAt(t *testing.T, j befallen, at befallPlace) (struck bool) {
	b := newBubble(t, sandbox.Config{}, func(s *emulator.Settings) { s.Builds.Minute = time.Second / 2 }) // builds time out after 4 minutes
	b.gate.count(b.docs)
	hit := make(chan *stricken, 1)
	b.befall(func(p *process, c call) error {
		if p != b.workers()[0] || c.n != at.call || c.moment != at.moment {
			return nil
		}
		s := &stricken{process: p, b: b}
		hit <- s
		return at.strike(s)
	})
	l := b.asker()
	ref, _, err := l.Launch(t.Context(), "job", b.request(ops.TaskName(j.task), j.inputs), j.answers())
	b.ok(err)
	told := b.listen(ref)
	select {
	case s := <-hit:
		struck = true
		b.after(s, at.blow, l, ref, j)
	case <-time.After(10 * time.Minute): // it made fewer calls this time
	}
	if at.cancels() {
		b.cancelToTheEnd(l, ref, j)
	} else {
		b.seeToTheEnd(l, ref, j)
		b.outcomes(ref, j.effects(j.n), ops.EffectDone, ops.EffectUnchanged)
		b.ok(j.done(b.synapse, j.n))
	}
	told.check()
	b.intact(ref)
	time.Sleep(time.Minute) // whoever released late has
	held, err := b.store.Leases(t.Context())
	b.ok(err)
	for _, h := range held {
		if gone, err := b.asker().Gone(t.Context(), h); err != nil || !gone {
			t.Errorf("lease %s is kept by %s: gone %t, %v", h.Name, h.Run, gone, err)
		}
	}
	return struck
}

// after lets the minutes pass in which a worker is not heard of, and looks what is
// told of it.
func (b *bubble) after(s *stricken, w blow, l *launcher.Launcher, ref ops.RunRef, j befallen) {
	if w.heal == nil {
		return
	}
	time.Sleep(ops.LostAfter + 30*time.Second)
	v, err := l.Look(b.t.Context(), ref)
	b.ok(err)
	heard := v.Heartbeat != nil && v.State() == ops.StateRunning
	if heard && !s.hasEnded() && !v.Lost() {
		b.t.Errorf("silent for %v and not told to be lost", v.HeartbeatAge)
	}
	// Without force nothing is begun beside it.
	if _, err := l.Resume(b.t.Context(), ref, j.answers(), false); err != nil && ops.Refused(err) == nil {
		b.t.Errorf("resume beside a worker that is silent: %v", err)
	}
	if v, err = l.Look(b.t.Context(), ref); err != nil || !s.hasEnded() && len(v.Starts) > 1 {
		b.t.Errorf("a second attempt was begun beside a living one: %v", err)
	}
	if w.force {
		_, err := l.Resume(b.t.Context(), ref, j.answers(), true)
		b.ok(err)
	}
	w.heal(s)
}

func (p *process) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended || p.isDead()
}

// seeToTheEnd follows the run as a person does, who resumes what is lost or failed,
// and balances each attempt's calls.
func (b *bubble) seeToTheEnd(l *launcher.Launcher, ref ops.RunRef, j befallen) {
	b.t.Helper()
	for range 4 {
		r, err := l.Follow(b.t.Context(), ref, launcher.Follow{})
		switch {
		case err == nil && r.Outcome == ops.Succeeded:
			return
		case err == nil && r.Outcome != ops.RunFailed:
			b.t.Fatalf("ended %s: %s", r.Outcome, r.Message)
		case err != nil && !errors.Is(err, launcher.ErrLost):
			b.t.Fatal(err)
		}
		atDeath, sent := b.ledger(ref), len(b.gate.all())
		if _, err := l.Resume(b.t.Context(), ref, j.answers(), false); err != nil {
			b.t.Fatalf("resuming: %v", err)
		}
		if _, err := l.Follow(b.t.Context(), ref, launcher.Follow{From: 2}); err == nil || errors.Is(err, launcher.ErrLost) {
			b.balance(ref, atDeath, sent)
		}
	}
	b.t.Fatal("three more attempts did not end the run")
}

// cancelToTheEnd has a person cancel the run and see to its end: what was begun is
// settled, and nothing else.
func (b *bubble) cancelToTheEnd(l *launcher.Launcher, ref ops.RunRef, j befallen) {
	b.t.Helper()
	atDeath, sent := b.ledger(ref), len(b.gate.all())
	_, err := l.Cancel(b.t.Context(), ref, "proof", "enough of it")
	b.ok(err)
	r, err := l.End(b.t.Context(), ref, j.answers(), time.Minute, launcher.Follow{})
	b.ok(err)
	all := len(b.ledger(ref).recorded) == j.n
	if r.Outcome != ops.RunCanceled && (r.Outcome != ops.Succeeded || !all) {
		b.t.Errorf("canceled, it ended %s with %d of %d done: %s", r.Outcome, len(b.ledger(ref).recorded), j.n, r.Message)
	}
	if open := b.ledger(ref).open; len(open) > 0 {
		b.t.Errorf("canceled, it left open: %v", open)
	}
	b.balance(ref, atDeath, sent)
	// The service has what the journal says, and nothing else.
	for _, w := range b.gate.all() {
		if _, is := b.ledger(ref).recorded[w.effect]; w.applied && !is {
			b.t.Errorf("%s was done, and the journal of the canceled run does not say so", w.effect)
		}
	}
}

// A listener hears what is told of a run while it goes on.
type listener struct {
	b    *bubble
	quit chan struct{}
	done chan struct{}
	gone map[int]time.Time // attempts told to be gone, and when first
}

// listen asks how the run is, every few seconds.
func (b *bubble) listen(ref ops.RunRef) *listener {
	n := &listener{b: b, quit: make(chan struct{}), done: make(chan struct{}), gone: map[int]time.Time{}}
	l := b.asker()
	go func() {
		defer close(n.done)
		look := time.NewTicker(17 * time.Second)
		defer look.Stop()
		for {
			select {
			case <-n.quit:
				return
			case <-look.C:
			}
			v, err := l.Look(b.t.Context(), ref)
			if err != nil {
				b.t.Errorf("asked how the run is: %v", err)
				return
			}
			a := v.Attempt()
			if _, known := n.gone[len(v.Attempts)]; a != nil && !known && (v.Live == ops.Gone || v.State() == ops.StateEnded) {
				n.gone[len(v.Attempts)] = time.Now()
			}
		}
	}()
	return n
}

// check fails when a worker acted after it was told to be gone.
func (n *listener) check() {
	close(n.quit)
	<-n.done
	for i, p := range n.b.workers() {
		at, told := n.gone[i+1]
		p.mu.Lock()
		for _, w := range p.writes {
			if told && w.After(at) {
				n.b.t.Errorf("attempt %d wrote to the service %v after it was told to be gone", i+1, w.Sub(at))
			}
		}
		p.mu.Unlock()
	}
}
