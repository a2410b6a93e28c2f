package tasks_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
)

func jsonState(t *testing.T, b []byte) ops.State {
	t.Helper()
	var s ops.State
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func newDeletion(t *testing.T, stacks string) *toolRig {
	r := newToolRig(t, "dev", "delete-stack", inputs{"stacks": stacks})
	r.set("repo-dev-543-0", "UPDATE_COMPLETE")
	r.set("dev-543-shared-resources", "CREATE_COMPLETE")
	return r
}

func TestDeleteStack_Refuses(t *testing.T) {
	for _, c := range []struct {
		name, stack, guard string
		change             func(s *toolrun.Stack)
	}{
		{"protected", "repo-dev-543-0", "protected-stack", func(s *toolrun.Stack) { s.Protected = true }},
		{"nested", "repo-dev-543-0", "nested-stack", func(s *toolrun.Stack) { s.Parent = "arn:other" }},
		{"busy", "repo-dev-543-0", "busy-stack", func(s *toolrun.Stack) { s.Status = "UPDATE_IN_PROGRESS" }},
		{"prod's name", "repo-prod-543-0", "foreign-stack", func(s *toolrun.Stack) { s.Name = "repo-prod-543-0" }},
		{"somebody's", "billing", "foreign-stack", func(s *toolrun.Stack) { s.Name = "billing" }},
		{"ours", "synops-bootstrap", "foreign-stack", func(s *toolrun.Stack) { s.Name = "synops-bootstrap" }},
		{"the account's", "synapse-dev-global-resources", "foreign-stack", func(s *toolrun.Stack) { s.Name = "synapse-dev-global-resources" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newDeletion(t, c.stack)
			c.change(&r.stacks[0])
			_, err := r.plan()
			equal(t, "guard", wantRefusal(t, err).Guard, c.guard)
		})
	}
}

func TestDeleteStack_DeletesAndWaits(t *testing.T) {
	r := newDeletion(t, "repo-dev-543-0,dev-543-shared-resources,repo-dev-9-0")
	effects, err := r.plan()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "challenge", r.p.Challenge(r.v, effects, 3), "3 stacks")
	equal(t, "challenge of one", r.p.Challenge(r.v, effects[:1], 1), "repo-dev-543-0")
	if !effects[2].Nothing || effects[0].Nothing {
		t.Errorf("planned %+v", effects)
	}
	looks := 0
	r.wait = func() {
		if looks++; looks == 2 {
			r.set("repo-dev-543-0", "DELETE_COMPLETE")
		}
	}
	done, err := r.perform(effects[0])
	if err != nil || done.After["present"] != false {
		t.Fatalf("%+v %v", done, err)
	}
	equal(t, "deletions", len(r.deleted), 1)
	if !strings.HasPrefix(r.deleted[0], "arn:repo-dev-543-0 synops-") {
		t.Errorf("deleted %q", r.deleted)
	}
	// A later attempt waits and does not ask again.
	r.set("repo-dev-543-0", "DELETE_IN_PROGRESS")
	looks = 0
	if _, err := r.p.Perform(t.Context(), r.step(effects[0], r.v, r.saved[0])); err != nil || len(r.deleted) != 1 {
		t.Errorf("%v after %d deletions", err, len(r.deleted))
	}
}

func TestDeleteStack_ExplainsAFailure(t *testing.T) {
	r := newDeletion(t, "repo-dev-543-0")
	e := r.one()
	r.wait = func() { r.set("repo-dev-543-0", "DELETE_FAILED") }
	r.events = map[string][]toolrun.StackEvent{"arn:repo-dev-543-0": {{Resource: "Bucket", Type: "AWS::S3::Bucket", State: "DELETE_FAILED", Reason: "The bucket is not empty"}}}
	_, err := r.perform(e)
	equal(t, "code", ops.CodeOf(err), ops.Conflict)
	contains(t, "error", fmt.Sprint(err), "repo-dev-543-0 was not deleted: it is DELETE_FAILED", `first to fail: Bucket (AWS::S3::Bucket) DELETE_FAILED: "The bucket is not empty"`)
}

func TestDeleteStack_Settles(t *testing.T) {
	r := newDeletion(t, "repo-dev-543-0")
	e := r.one()
	for status, want := range map[string]string{"UPDATE_COMPLETE": "false <nil>", "DELETE_COMPLETE": "true <nil>", "": "true <nil>"} {
		r.set("repo-dev-543-0", status)
		_, happened, err := r.p.Settle(t.Context(), r.v, e)
		equal(t, "settling a stack that is "+status, fmt.Sprint(happened, " ", err), want)
		r.set("repo-dev-543-0", "UPDATE_COMPLETE")
	}
	r.set("repo-dev-543-0", "DELETE_IN_PROGRESS")
	if _, _, err := r.p.Settle(t.Context(), r.v, e); ops.CodeOf(err) != ops.Unavailable {
		t.Errorf("while it is being deleted: %v", err)
	}
}
