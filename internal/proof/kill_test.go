package proof_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// A bulk is a task over n targets, and how to tell that it is done.
type bulk struct {
	task    string
	settle  ops.Settling
	args    func(n int) []string // of run
	effects func(n int) []string // as the journal names them
	done    func(s *sandbox.Synapse, n int) error
}

// numbered names n targets from the first on: every other one, since the sandbox
// has verified each second client already.
func numbered(prefix string, first int, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(prefix, first+2*i)
	}
	return out
}

var bulks = []bulk{
	{
		task: "verify-oauth-client", settle: ops.SettleRead,
		args:    func(n int) []string { return []string{"client-ids=" + strings.Join(numbered("", 200001, n), ",")} },
		effects: func(n int) []string { return numbered("oauth-client/", 200001, n) },
		done: func(s *sandbox.Synapse, n int) error {
			for _, id := range numbered("", 200001, n) {
				if c, ok := s.OAuthClient(id); !ok || !c.Verified {
					return fmt.Errorf("client %s is not verified", id)
				}
			}
			return nil
		},
	},
	{
		task: "publish-dataset", settle: ops.SettleRead,
		args:    func(n int) []string { return []string{"entities=" + strings.Join(numbered("syn", 30001, n), ",")} },
		effects: func(n int) []string { return numbered("entity/syn", 30001, n) },
		done: func(s *sandbox.Synapse, n int) error {
			for _, id := range numbered("syn", 30001, n) {
				if !s.IsOpenData(id) {
					return fmt.Errorf("%s is not open", id)
				}
			}
			return nil
		},
	},
	{
		task: "remove-user", settle: ops.SettleResend,
		args: func(n int) []string {
			return []string{"users=" + strings.Join(numbered("", 3400001, n), ","), "--confirm", fmt.Sprintf("%d users", n)}
		},
		effects: func(n int) []string { return numbered("user/", 3400001, n) },
		done: func(s *sandbox.Synapse, n int) error {
			for _, id := range numbered("", 3400001, n) {
				if u, ok := s.User(id); !ok || !u.Redacted {
					return fmt.Errorf("user %s is not redacted", id)
				}
			}
			return nil
		},
	},
}

// A place is where in a run's life its worker is met: when a document appears, or
// with a call in hand.
type place struct {
	doc    string // below the run's folder
	call   int    // the nth write, from 1
	moment moment
}

func (p place) String() string {
	if p.call > 0 {
		return fmt.Sprintf("call %d %s", p.call, p.moment)
	}
	return p.doc
}

// places are all there are in a run over n targets: each call at both moments and
// each document. Of the journal's documents there are fewer than targets; places
// that a run never comes to are met when it has ended.
func places(n int) []place {
	var out []place
	for call := 1; call <= n; call++ {
		out = append(out, place{call: call, moment: beforeApplied}, place{call: call, moment: afterApplied})
	}
	for _, doc := range []string{"starts/0001.engine", "attempts/0001.json", "heartbeat.json", "plan.json", "results/0001.json"} {
		out = append(out, place{doc: doc})
	}
	for doc := 1; doc <= n/2+3; doc++ {
		out = append(out, place{doc: fmt.Sprintf("journal/%08d.jsonl", doc)})
	}
	return out
}

// some takes every step-th place, or all when exhaustive.
func some(all []place, step int) []place {
	if exhaustive() {
		return all
	}
	var out []place
	for i := 0; i < len(all); i += step {
		out = append(out, all[i])
	}
	return out
}

// bring starts a run and returns when its worker is at the place.
func (r *rig) bring(p place, args ...string) (ops.RunRef, *ops.Attempt) {
	r.t.Helper()
	r.gate.count(r.docs)
	held := make(<-chan struct{})
	if p.call > 0 {
		held = r.gate.hold(p.call, p.moment)
	}
	ref := r.start(args...)
	isHeld := closed(held)
	r.await(p.String(), func() bool {
		return isHeld() || p.doc != "" && there(r.runPath(ref, p.doc)) || there(r.runPath(ref, "results/0001.json"))
	})
	if p.doc == "starts/0001.engine" {
		exec, err := r.store.Execution(r.t.Context(), ref, 1)
		r.ok(err)
		process, host, _ := strings.Cut(exec.ID, "@")
		return ref, &ops.Attempt{N: 1, Process: process, Host: host}
	}
	return ref, r.attempt(ref, 1)
}

// closed tells whether a channel is.
func closed(c <-chan struct{}) func() bool {
	return func() bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
}

// TestKillAnywhere kills the worker of a bulk at every place and wants resume to
// end it: everything done, nothing recorded done again, at most once more for each
// intent that was open.
func TestKillAnywhere(t *testing.T) {
	var kills atomic.Int64
	t.Run("all", func(t *testing.T) {
		for i, b := range bulks {
			n := scaled(5, 40)
			for _, p := range some(places(n), 3+i) {
				t.Run(fmt.Sprintf("%s/%s", b.task, p), func(t *testing.T) {
					t.Parallel()
					kills.Add(1)
					killAt(t, b, n, p)
				})
			}
		}
	})
	t.Logf("%d kills", kills.Load())
}

func killAt(t *testing.T, b bulk, n int, p place) {
	r := newRig(t, sandbox.Config{})
	args := append(append([]string{b.task}, b.args(n)...), "--rate", "0")
	ref, a := r.bring(p, args...)
	r.kill(ref, a)
	r.gate.open()
	atDeath, sent := r.ledger(ref), len(r.gate.all())

	r.want(0, "resume", string(ref.Run))
	r.want(0, "verify", string(ref.Run))
	r.balance(ref, atDeath, sent)
	r.outcomes(ref, b.effects(n), ops.EffectDone, ops.EffectUnchanged)
	r.ok(b.done(r.synapse, n))
	r.leaseFree(b)

	// A run that ended is left alone.
	calls := len(r.gate.all())
	r.want(0, "resume", string(ref.Run))
	if again := len(r.gate.all()); again != calls {
		t.Errorf("resume of a run that ended sent %d calls", again-calls)
	}
}

// leaseFree fails unless another run gets the task's lease: it was released, or its
// holder died after its result and before it could.
func (r *rig) leaseFree(b bulk) {
	r.t.Helper()
	// Asked for only where the user was not removed before the run ended.
	r.want(0, append(append([]string{"run", b.task}, b.args(1)...), "--confirm", "user3400001")...)
	// The launcher returns at the result; the release comes after it.
	r.await("the lease to be free", func() bool {
		held, err := r.store.Leases(r.t.Context())
		r.ok(err)
		return len(held) == 0
	})
}

// TestKillTwice kills the second attempt too.
func TestKillTwice(t *testing.T) {
	t.Parallel()
	b := bulks[0]
	n := 6
	r := newRig(t, sandbox.Config{})
	ref, a := r.bring(place{call: 3, moment: afterApplied}, append(append([]string{b.task}, b.args(n)...), "--rate", "0")...)
	r.kill(ref, a)
	r.gate.open()

	held := r.gate.hold(len(r.gate.all())+2, afterApplied)
	r.want(0, "resume", string(ref.Run), "--detach")
	r.await("the call to be held", closed(held))
	r.kill(ref, r.attempt(ref, 2))
	r.gate.open()
	atDeath, sent := r.ledger(ref), len(r.gate.all())

	r.want(0, "resume", string(ref.Run))
	r.want(0, "verify", string(ref.Run))
	r.balance(ref, atDeath, sent)
	r.outcomes(ref, b.effects(n), ops.EffectDone, ops.EffectUnchanged)
	r.ok(b.done(r.synapse, n))
}

// TestKillCreateRealm: whether a realm was made is read.
func TestKillCreateRealm(t *testing.T) {
	for _, m := range []moment{beforeApplied, afterApplied} {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, sandbox.Config{})
			before := len(r.synapse.Realms())
			ref, a := r.bring(place{call: 1, moment: m}, "create-realm", "name=proven", "identity-provider=NIH_RESEARCHER_AUTH_SERVICE")
			r.kill(ref, a)
			r.gate.open()
			r.want(0, "resume", string(ref.Run))
			r.want(0, "verify", string(ref.Run))
			if made := len(r.synapse.Realms()) - before; made != 1 {
				t.Errorf("%d realms were made", made)
			}
			want := 1
			if m == beforeApplied {
				want = 2
			}
			if sent := len(r.gate.all()); sent != want {
				t.Errorf("sent %d times, want %d", sent, want)
			}
		})
	}
}

// A single is a task whose effect only a person can settle.
type single struct {
	task, effect string
	args         []string
	made         func(s *sandbox.Synapse) int
}

var singles = []single{
	{"backfill-grid-sessions", "grid-sessions", nil, func(s *sandbox.Synapse) int { return s.Backfills() }},
	{
		"run-admin-job", "admin-job",
		[]string{`job={"concreteType":"org.sagebionetworks.repo.model.file.FileHandleArchivalRequest","limit":10}`},
		func(s *sandbox.Synapse) int { return len(s.Jobs()) },
	},
}

// TestKillAsksAPerson: what nothing can tell is never done again unless a person
// says that it was not done.
func TestKillAsksAPerson(t *testing.T) {
	for _, s := range singles {
		for _, m := range []moment{beforeApplied, afterApplied} {
			for i, answer := range []string{"done", "not-done"} {
				if i != int(m) && !exhaustive() {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", s.task, m, answer), func(t *testing.T) {
					t.Parallel()
					askPerson(t, s, m, answer)
				})
			}
		}
	}
}

func askPerson(t *testing.T, s single, m moment, answer string) {
	r := newRig(t, sandbox.Config{JobPolls: -1})
	ref, a := r.bring(place{call: 1, moment: m}, append([]string{s.task}, s.args...)...)
	r.kill(ref, a)
	r.gate.open()
	made := s.made(r.synapse)
	for range 2 { // however often it is asked
		o := r.want(1, "resume", string(ref.Run), "--format", "json")
		var result ops.Result
		r.ok(json.Unmarshal([]byte(o.out), &result))
		if result.Outcome != ops.RunFailed || result.Code != ops.Unsettled {
			t.Errorf("ended %s with code %q, want failed, unsettled", result.Outcome, result.Code)
		}
		if want := "--settle " + s.effect + "=done"; !strings.Contains(result.Next, want) {
			t.Errorf("next is %q: it does not say %s", result.Next, want)
		}
	}
	if again := s.made(r.synapse) - made; again != 0 || len(r.gate.all()) != 1 {
		t.Fatalf("done %d times more without being told", again)
	}
	r.want(0, "resume", string(ref.Run), "--settle", s.effect+"="+answer)
	r.want(0, "verify", string(ref.Run))
	want := made
	if answer == "not-done" {
		want++
	}
	if got := s.made(r.synapse); got != want {
		t.Errorf("it was done %d times, want %d", got, want)
	}
	r.outcomes(ref, []string{s.effect}, ops.EffectDone)
}

// TestKillWatchingAJob: a job whose ID was saved is watched on, not started again.
func TestKillWatchingAJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Config{JobPolls: -1})
	s := singles[1]
	r.synapse.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.Hang, Method: "GET", Path: "/asynchronous/job/"}}})
	// The checkpoint is the journal's second document.
	ref, a := r.bring(place{doc: "journal/00000002.jsonl"}, append([]string{s.task}, s.args...)...)
	r.kill(ref, a)
	r.synapse.SetFaults(sandbox.Faults{})
	r.want(0, "resume", string(ref.Run))
	r.want(0, "verify", string(ref.Run))
	if jobs := len(r.synapse.Jobs()); jobs != 1 {
		t.Errorf("%d jobs were started", jobs)
	}
}
