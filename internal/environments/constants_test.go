package environments_test

import (
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
)

const entry = "environments:\n  dev:\n    repository: a/b\n    synapse_hosts: [https://example.org]\n"

// An environment has the constants of the file that is named after it, unless its
// entry has its own.
func TestConstants(t *testing.T) {
	for own, want := range map[string]string{
		"": "dev",
		"    constants:\n      shared: {stack: other, number: 007, yes: true}\n": "other",
	} {
		f, err := environments.Parse("x.yaml", []byte(entry+own))
		if err != nil {
			t.Fatal(err)
		}
		shared := f.Environments[0].Constants[ops.Shared]
		if shared["stack"] != want || own != "" && (shared["number"] != "007" || shared["yes"] != "true") {
			t.Errorf("with %q they are %v", own, shared)
		}
	}
}

func TestParseConstants_Errors(t *testing.T) {
	for text, says := range map[string]string{
		"shared: {stack: dev}\nshared: {stack: prod}\n": "c.yaml:2:1: not valid YAML: \"mapping key 'shared' already defined",
		"shared: {stack: dev, stack: prod}\n":           "mapping key 'stack' already defined",
		"Shared: {stack: dev}\n":                        `c.yaml:1:1: constants: "Shared" is not a task's name`,
		"build-stack:\n  list: [1, 2]\n":                "c.yaml:2:9: build-stack: list must be a text",
		"build-stack:\n  empty: \"\"\n":                 "build-stack: empty is empty",
		"build-stack: text\n":                           "build-stack must be a mapping",
		"a: &x {b: c}\nd: *x\n":                         "anchors",
		"build-stack:\n  key: AKIA0123456789ABCDEF\n":   "looks like an access token",
		strings.Repeat("# too long\n", 32<<10/11+1):     "larger than",
		"\xff": "not valid UTF-8",
	} {
		_, err := environments.ParseConstants("c.yaml", []byte(text))
		if ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v, want %q", text, err, says)
		}
	}
}
