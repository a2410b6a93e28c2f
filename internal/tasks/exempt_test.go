package tasks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// workable are values with which each task has something to do in a fresh
// sandbox.
var workable = map[ops.TaskName]inputs{
	"verify-oauth-client":    {"client-ids": "100001"},
	"remove-user":            {"users": "3350396"},
	"reenable-user":          {"users": "3350398"},
	"decertify-user":         {"users": "3350396"},
	"unquarantine-email":     {"emails": "bounce@example.org"},
	"remove-user-2fa":        {"users": "3350396"},
	"publish-dataset":        {"entities": "syn123"},
	"unpublish-dataset":      {"entities": "syn123"},
	"set-feature":            {"feature": "ALLOW_AGENT_WRITES", "enabled": "false"},
	"create-realm":           {"name": "beta", "identity-provider": "NIH_RESEARCHER_AUTH_SERVICE"},
	"delete-realm":           {"realms": "12"},
	"export-ids":             {},
	"run-admin-job":          {"job": `{"concreteType":"` + synapse.ArchivalRequestType + `","limit":10}`},
	"archive-files":          {"limit": "10"},
	"backfill-grid-sessions": {},
	"set-stack-status":       {"status": "READ_WRITE", "message": "Back."},
	"canary":                 {"minutes": "1"},
}

// A task is exempt exactly when every path it calls, reads included, is one that
// the maintenance filter lets through.
func TestExemptTellsWhatIsCalled(t *testing.T) {
	for _, task := range tasks.Catalog() {
		if task.NoService {
			continue // it calls none
		}
		t.Run(string(task.Name), func(t *testing.T) {
			r := newRig(t, task.Name, workable[task.Name])
			e := r.one()
			if e.Settle == ops.SettleRead {
				if _, _, err := r.p.Settle(t.Context(), r.v, e); err != nil {
					t.Errorf("settling: %v", err)
				}
			} else if r.p.Settle != nil {
				t.Errorf("it settles by %q and has a Settle", e.Settle)
			}
			r.done(e)
			exempt := true
			for _, path := range r.paths() {
				exempt = exempt && passes(path)
			}
			if len(r.paths()) > 0 && exempt != task.Exempt {
				t.Errorf("exempt is %t, but it calls %q", task.Exempt, r.paths())
			}
		})
	}
}

func passes(path string) bool {
	for _, word := range []string{"/admin", "/migration", "/version", "/status"} {
		if strings.Contains(path, word) {
			return true
		}
	}
	return false
}

func TestMaintenance(t *testing.T) {
	for _, status := range []string{synapse.ReadOnly, synapse.Down} {
		for _, task := range tasks.Catalog() {
			if task.NoService {
				continue // it asks nothing that maintenance answers
			}
			t.Run(status+"/"+string(task.Name), func(t *testing.T) {
				s := sandbox.New(sandbox.Config{NoThrottle: true})
				s.SetStackStatus(synapse.StackStatus{Status: status})
				r := rigWith(t, s, task.Name, workable[task.Name])
				if !task.Exempt {
					_, err := r.plan()
					equal(t, "code of planning", ops.CodeOf(err), ops.Unavailable)
					equal(t, "writes", r.writes(), 0)
					return
				}
				e := r.one()
				if strings.Contains(string(task.Name), "archive") || task.Name == "run-admin-job" {
					startsInMaintenance(t, r, e)
					return
				}
				r.done(e)
			})
		}
	}
}

var errPause = errors.New("no time")

// startsInMaintenance proves that a job is accepted: ordinary jobs then wait until
// the stack is READ_WRITE again, so its end is not waited for here.
func startsInMaintenance(t *testing.T, r *rig, e ops.Effect) {
	t.Helper()
	calls := len(r.sandbox.Calls())
	p, err := tasks.BindPaced(r.task.Name, r.service, func(context.Context, time.Duration) error { return errPause })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Perform(t.Context(), r.step(e, r.v, "")); !errors.Is(err, errPause) {
		t.Errorf("performing ended with %v, want it to wait", err)
	}
	equal(t, "jobs", len(r.sandbox.Jobs()), 1)
	equal(t, "calls", len(r.sandbox.Calls())-calls, 1)
}
