package tasks_test

import (
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// An answer that is well-formed but not what was asked for is never taken for a
// success.
func TestOddAnswers(t *testing.T) {
	cases := []struct {
		task ops.TaskName
		code ops.Code
		word string
	}{
		{"publish-dataset", ops.Conflict, `"OTHER_DATA"`},
		{"export-ids", ops.Internal, "empty script"},
		{"archive-files", ops.Unsettled, "did not tell its ID"},
	}
	for _, c := range cases {
		t.Run(string(c.task), func(t *testing.T) {
			_, v := parsed(t, c.task, workable[c.task])
			p, rec := bind(t, c.task, oddAnswers{}), &recorder{artifacts: map[string]string{}}
			_, err := p.Perform(t.Context(), rec.step(ops.Effect{Target: p.Targets(v)[0]}, v, ""))
			if err == nil {
				t.Fatal("it was taken for a success")
			}
			equal(t, "code", ops.CodeOf(err), c.code)
			contains(t, "error", err.Error(), c.word)
			equal(t, "artifacts", len(rec.artifacts), 0)
		})
	}
}

// A field that the service leaves out is not taken for false.
func TestFieldsLeftOut(t *testing.T) {
	for name, word := range map[ops.TaskName]string{"decertify-user": "certification", "remove-user-2fa": "second factor"} {
		_, v := parsed(t, name, inputs{"users": "3350396"})
		p := bind(t, name, oddAnswers{})
		_, err := p.Plan(t.Context(), v, p.Targets(v)[0])
		equal(t, "code", ops.CodeOf(err), ops.Internal)
		contains(t, "error", err.Error(), word)
	}
}
