package cfn_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
)

func TestReadPlain(t *testing.T) {
	got, err := cfn.ReadPlain([]byte("version: 0.2\nphases:\n  build:\n    commands:\n    - echo \"$A\"\n    - exec ./x -- \"$B\"\n"))
	want := map[string]any{"version": 0.2, "phases": map[string]any{"build": map[string]any{"commands": []any{`echo "$A"`, `exec ./x -- "$B"`}}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, text := range map[string]string{
		"a function": "a: !Ref B", "one within": "a:\n- b: {Ref: C}", "a key twice": "a: 1\na: 2", "nothing": "",
	} {
		if _, err := cfn.ReadPlain([]byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		} else if name == "a function" && !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
