package worker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// early lists the guards about the request: each refuses before the token is read.
var early = []struct {
	name, guard string
	code        ops.Code
	spoil       func(r *rig)
}{
	{"another version of the task", "task-version", ops.Denied, func(r *rig) { r.req.TaskVersion = 2 }},
	{"another release", "synops-version", ops.Denied, func(r *rig) { r.req.Synops = "v2" }},
	{"another environment's worker", "environment-context", ops.Denied, func(r *rig) { r.env.Name = "prod" }},
	{"task not offered here", "environment-task", ops.Denied, func(r *rig) { r.task.Environments = []ops.EnvironmentName{"prod"} }},
	{"worker in another repository", "environment-repository", ops.Denied, func(r *rig) { r.config = func(c *worker.Config) { c.Repository = "sage/ops-prod" } }},
	{"request from another repository", "environment-repository", ops.Denied, func(r *rig) { r.req.Repository = "sage/ops-prod" }},
	{"no repository, and no sandbox either", "environment-repository", ops.Denied, func(r *rig) { r.env.Repository, r.req.Repository = "", "someone/fork" }},
	{"another environment's host", "environment-host", ops.Denied, func(r *rig) { r.req.Host = "https://prod.example.org" }},
	{"another host than the worker's", "environment-host", ops.Denied, func(r *rig) { r.config = func(c *worker.Config) { c.Host = "https://other.example.org" } }},
	{"another lane than the task's", "lane", ops.Denied, func(r *rig) { r.task.Lane = ops.LaneDeploy }},
	{"a lane not deployed here", "lane", ops.Denied, func(r *rig) { r.env.Lanes = []ops.Lane{ops.LaneDeploy} }},
	{"unlimited against a real host", "pace", ops.Denied, func(r *rig) { r.req.Pace.Unlimited = true }},
	{"in flight against a real host", "pace", ops.Denied, func(r *rig) { r.req.Pace.InFlight = 9 }},
	{"a rate below nothing", "pace", ops.Denied, func(r *rig) { r.req.Pace.PerMinute = -1 }},
	{"too many targets", "targets", ops.Denied, func(r *rig) { r.task.MaxTargets = 2 }},
	{"no reason", "reason", ops.Denied, func(r *rig) { r.env.RequireReason = true }},
	{"an account that cannot be asked for", "environment-account", ops.Denied, func(r *rig) { r.env.Account = "111122223333" }},
	{"another account", "environment-account", ops.Denied, func(r *rig) {
		r.env.Account = "111122223333"
		r.config = func(c *worker.Config) {
			c.Identity = func(context.Context) (string, error) { return "999999999999", nil }
		}
	}},
	{"what must never be done", "never", ops.Denied, func(r *rig) {
		r.alter = func(p *ops.Procedure) {
			p.Check = func(ops.Values) error { return ops.Refuse("never", "Do not.", "no.") }
		}
	}},
}

// TestRequestGuards: a no comes before the token is read and writes nothing but the
// run's own end.
func TestRequestGuards(t *testing.T) {
	for _, c := range early {
		bubble(t, c.name, func(t *testing.T) {
			r := newRig(t, 3)
			c.spoil(r)
			if err := worker.New(r.configured()).Check(t.Context(), &r.req); ops.Refused(err) == nil || ops.Refused(err).Guard != c.guard {
				t.Errorf("Check says %v, want guard %s", err, c.guard)
			}
			if _, err := worker.New(r.configured()).Plan(t.Context(), &r.req); ops.Refused(err) == nil {
				t.Errorf("Plan says %v", err)
			}
			res := r.refused(c.guard)
			equal(t, "code", res.Code, c.code)
			equal(t, "changed", res.Changed, "Nothing was changed.")
			equal(t, "times the token was read", r.opened, 0)
			r.nothingPlanned()
		})
	}
}

// nothingPlanned: a refusal left no plan, private document or lease behind.
func (r *rig) nothingPlanned() {
	r.Helper()
	for _, part := range []string{"plan.json", "/private/", "leases/", "/artifacts/"} {
		if keys := r.docs.keys(part); len(keys) > 0 && !released(keys) {
			r.Errorf("a refused run wrote %q", keys)
		}
	}
}

// released tells whether the last of a lease's documents frees it.
func released(keys []string) bool { return strings.HasSuffix(keys[len(keys)-1], ".released") }

func TestRequestGuardsThatCannotTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.env.Account = "111122223333"
		r.config = func(c *worker.Config) { c.Identity = func(context.Context) (string, error) { return "", errAsk } }
		res := r.ends(ops.StartRun, ops.RunFailed, ops.Internal)
		contains(t, "message", res.Message, "asking which account this is", "cannot be asked")
		equal(t, "times the token was read", r.opened, 0)
	})
}

func TestRequestGuardsPass(t *testing.T) {
	for name, ease := range map[string]func(r *rig){
		"the pinned account": func(r *rig) {
			r.env.Account = "111122223333"
			r.config = func(c *worker.Config) {
				c.Identity = func(context.Context) (string, error) { return "111122223333", nil }
			}
		},
		"the environment's repository": func(r *rig) {
			r.req.Repository = r.env.Repository
			r.config = func(c *worker.Config) { c.Repository = r.env.Repository }
		},
		"the sandbox, from any repository": func(r *rig) {
			r.env.Repository, r.req.Repository, r.req.Host = "", "someone/fork", "http://127.0.0.1:9"
			r.env.Hosts = []string{r.req.Host}
			r.config = func(c *worker.Config) { c.Repository = "someone/fork" }
		},
		"a lane of the requester's choice": func(r *rig) { r.task.AnyLane, r.task.Lane = true, ops.LaneDeploy },
		"a limit that was raised":          func(r *rig) { r.task.MaxTargets, r.env.MaxTargets = 2, 3 },
		"a reason given":                   func(r *rig) { r.env.RequireReason, r.req.Reason = true, "because" },
		"no bounds on this machine": func(r *rig) {
			r.req.Host = "http://127.0.0.1:9"
			r.env.Hosts = []string{r.req.Host}
			r.req.Pace = ops.Pace{Unlimited: true, InFlight: 9}
		},
		"a lower rate": func(r *rig) { r.req.Pace.PerMinute = 5 },
	} {
		bubble(t, name, func(t *testing.T) {
			r := newRig(t, 3)
			ease(r)
			r.ends(ops.StartRun, ops.Succeeded, "")
		})
	}
}

// TestWhoIsNoAdministrator is told what to do about it: the answer knows a token from
// its account, and both from a host that is none.
func TestWhoIsNoAdministrator(t *testing.T) {
	for says, want := range map[string]string{"": "Renew the administrator's token in its store.", "Turn on two-factor authentication.": "Turn on two-factor authentication."} {
		bubble(t, says, func(t *testing.T) {
			r := newRig(t, 1)
			r.svc.adminErr = &ops.Error{Code: ops.Denied, Message: "Not let in.", Hint: says}
			res := r.ends(ops.StartRun, ops.RunRefused, ops.Denied)
			equal(t, "message", res.Message, `refused by guard "administrator": Not let in.`)
			equal(t, "next", res.Next, want)
		})
	}
}

func TestInputsAreParsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.req.Inputs = map[string]string{"lamp": "a"}
		res, err := r.work(ops.StartRun)
		if err != nil || res.Outcome != ops.RunRefused || res.Code != ops.Invalid {
			t.Fatalf("got %+v, %v", res, err)
		}
		contains(t, "message", res.Message, `"lamp"`, "lamps")
		equal(t, "times the token was read", r.opened, 0)
	})
}

func TestUnknownTaskIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.req.Task = "light-lamp"
		res, err := r.work(ops.StartRun)
		if err != nil || res.Outcome != ops.RunRefused || res.Code != ops.Invalid {
			t.Fatalf("got %+v, %v", res, err)
		}
		contains(t, "message", res.Message, `Did you mean "light-lamps"?`)
	})
}

// TestServiceGuards: asked once the token is read, in this order, before the plan.
func TestServiceGuards(t *testing.T) {
	denied := &ops.Error{Code: ops.Denied, Message: "Not an administrator."}
	for _, c := range []struct {
		name, says string
		outcome    ops.Outcome
		code       ops.Code
		spoil      func(r *rig)
	}{
		{"an instance that has no name", `guard "instance"`, ops.RunRefused, ops.Denied, func(r *rig) { r.svc.instance = "" }},
		{"another instance", `answers as instance "prod544"`, ops.RunRefused, ops.Denied, func(r *rig) { r.env.Instances, r.svc.instance = []string{"dev*"}, "prod544" }},
		{"an instance that does not answer", "asking which instance", ops.RunFailed, ops.Internal, func(r *rig) { r.svc.versionErr = errAsk }},
		{"a token of no administrator", `guard "administrator"`, ops.RunRefused, ops.Denied, func(r *rig) { r.svc.adminErr = denied }},
		{"a token that cannot be told", "asking whether the token", ops.RunFailed, ops.Internal, func(r *rig) { r.svc.adminErr = errAsk }},
		{"a stack that is read-only", `guard "stack-status"`, ops.RunRefused, ops.Denied, func(r *rig) { r.svc.status = "READ_ONLY" }},
		{"a status that cannot be told", "asking the stack's status", ops.RunFailed, ops.Internal, func(r *rig) { r.svc.statusErr = errAsk }},
		{"a product guard's no", `guard "lamps-exist"`, ops.RunRefused, ops.Denied, func(r *rig) { r.guard(ops.Refuse("lamps-exist", "Look.", "no lamps.")) }},
		{"a product guard that cannot tell", "asking guard lamps-exist", ops.RunFailed, ops.Internal, func(r *rig) { r.guard(errAsk) }},
		{"a token that cannot be read", "no token", ops.RunRefused, ops.Denied, func(r *rig) {
			r.config = func(c *worker.Config) {
				c.Open = func(context.Context, *ops.Request) (*worker.Bound, error) {
					return nil, ops.Refuse("token", "Set it.", "no token.")
				}
			}
		}},
		{"a target that is refused", `guard "lamp"`, ops.RunRefused, ops.Denied, func(r *rig) {
			r.reading = func(lamp string) error { return ops.Refuse("lamp", "Look.", "%s is none.", lamp) }
		}},
		{"a target that cannot be read", "planning lamp/", ops.RunFailed, ops.Internal, func(r *rig) { r.reading = func(string) error { return errAsk } }},
	} {
		bubble(t, c.name, func(t *testing.T) {
			r := newRig(t, 3)
			c.spoil(r)
			res := r.ends(ops.StartRun, c.outcome, c.code)
			contains(t, "message", res.Message, c.says)
			equal(t, "calls", r.allCalls(), 0)
			r.nothingPlanned()
		})
	}
}

func (r *rig) guard(err error) {
	r.alter = func(p *ops.Procedure) {
		p.Guards = []ops.Guard{{Name: "lamps-exist", Ask: func(context.Context) error { return err }}}
	}
}

func TestGuardsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		var asked []string
		r.svc.asked = &asked
		r.alter = func(p *ops.Procedure) {
			p.Guards = []ops.Guard{{Name: "own", Ask: func(context.Context) error { asked = append(asked, "own"); return nil }}}
		}
		r.reading = func(string) error { asked = append(asked, "read"); return nil }
		r.config = func(c *worker.Config) {
			open := c.Open
			c.Open = func(ctx context.Context, req *ops.Request) (*worker.Bound, error) {
				asked = append(asked, "token")
				return open(ctx, req)
			}
		}
		r.ends(ops.StartRun, ops.Succeeded, "")
		if want := []string{"token", "instance", "administrator", "status", "own", "read"}; !slices.Equal(asked[:6], want) {
			t.Errorf("asked %v, want %v", asked, want)
		}
	})
}

// TestExemptTasksAskNoStatus: setting the status back must always be possible.
func TestExemptTasksAskNoStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.task.Exempt, r.svc.status, r.svc.statusErr = true, "DOWN", errAsk
		r.ends(ops.StartRun, ops.Succeeded, "")
	})
}

func TestFreezeRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		if _, err := r.store.Freeze(t.Context(), ops.Freeze{Environment: "dev", By: "ada", Reason: "deploying"}); err != nil {
			t.Fatal(err)
		}
		res := r.refused("freeze")
		contains(t, "message", res.Message, "ada", "deploying")
		contains(t, "next", res.Next, "synops unfreeze -e dev")
		equal(t, "times the token was read", r.opened, 0)
	})
}

func TestCanceledBeforeItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		r.alter = func(p *ops.Procedure) {
			p.CleanUp = func(context.Context, ops.Values) error { t.Error("cleaned up after nothing"); return nil }
		}
		r.cancel()
		res := r.ends(ops.StartRun, ops.RunCanceled, ops.Canceled)
		equal(t, "message", res.Message, `Canceled by ada. Reason: "enough".`)
		equal(t, "times the token was read", r.opened, 0)
		equal(t, "calls", r.allCalls(), 0)
	})
}

// TestMarkersThatCannotBeRead stop the run: free would be a guess.
func TestMarkersThatCannotBeRead(t *testing.T) {
	for _, marker := range []string{"cancel", "freeze"} {
		bubble(t, marker, func(t *testing.T) {
			r := newRig(t, 1)
			r.config = func(c *worker.Config) { c.Documents = &blind{Documents: r.store, marker: marker} }
			r.ends(ops.StartRun, ops.RunFailed, ops.Internal)
			equal(t, "times the token was read", r.opened, 0)
		})
	}
}

// blind cannot read one kind of marker.
type blind struct {
	worker.Documents
	marker string
}

func (b *blind) CancelMarker(ctx context.Context, ref ops.RunRef) (*ops.CancelMarker, error) {
	if b.marker == "cancel" {
		return nil, errAsk
	}
	return b.Documents.CancelMarker(ctx, ref)
}

func (b *blind) Frozen(ctx context.Context, env ops.EnvironmentName) (*ops.Freeze, error) {
	if b.marker == "freeze" {
		return nil, errAsk
	}
	return b.Documents.Frozen(ctx, env)
}

// TestPlanWritesNothing: neither in the service nor in the documents.
func TestPlanWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.config = func(c *worker.Config) { c.Documents = nil }
		p, err := worker.New(r.configured()).Plan(t.Context(), &r.req)
		if err != nil || len(p.Effects) != 3 || p.Effects[2].ID != "lamp/l00003" {
			t.Fatalf("got %+v, %v", p, err)
		}
		equal(t, "calls", r.allCalls(), 0)
		equal(t, "writes", r.docs.written(), 0)
		contains(t, "notes", strings.Join(p.Notes, "\n"), "account: not pinned.", "instance: not pinned (it is dev544).")
	})
}

func TestRefusedTargetsAreNamedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20)
		r.reading = func(lamp string) error {
			if lamp > "l00010" {
				return ops.Refuse("lamp", "Look.", "%s is none.", lamp)
			}
			return nil
		}
		_, err := worker.New(r.configured()).Plan(t.Context(), &r.req)
		contains(t, "refusal", err.Error(), "10 targets are refused", "l00011 is none.", "l00015 is none.", "and 5 more")
	})
}

// TestReadFailureBeatsRefusals: a read that fails stops the run before any write,
// and says that it could not tell.
func TestReadFailureBeatsRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 9)
		r.reading = func(lamp string) error {
			if lamp == "l00005" {
				return errAsk
			}
			return ops.Refuse("lamp", "Look.", "%s is none.", lamp)
		}
		if _, err := worker.New(r.configured()).Plan(t.Context(), &r.req); !errors.Is(err, errAsk) {
			t.Errorf("got %v", err)
		}
	})
}
