package templates

import (
	"reflect"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
)

// TestCompact: what is sent says what is written, in much less room.
func TestCompact(t *testing.T) {
	for name, source := range map[string]string{
		"bootstrap.yaml": string(bootstrap),
		"lists":          "a:\n- b: 1\n  c:\n  - d\n  -   e: 2\n      f: 3\ng:\n    - - 1\n      - 2\n    - h:\n        i: [1,\n           2]\n      # not this\n\n      j: k\n",
		"text":           "a:\n    b: >-\n      one\n      two\n    c: |\n          three\n          four\n    d: 'five\n       six'\n",
	} {
		sent := string(compact([]byte(source)))
		var want, got any
		if err := yaml.Unmarshal([]byte(source), &want); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := yaml.Unmarshal([]byte(sent), &got); err != nil {
			t.Errorf("%s: %v:\n%s", name, err, sent)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is sent as %v, want %v:\n%s", name, got, want, sent)
		}
		if got, want := words(sent), words(source); !reflect.DeepEqual(got, want) { // tags as well
			t.Errorf("%s is sent as %q, want %q", name, got, want)
		}
	}
	// Whoever adds to the bootstrap has some room left.
	if len(Bootstrap()) > 50_000 {
		t.Errorf("the bootstrap has %d bytes, and CloudFormation takes 51,200", len(Bootstrap()))
	}
}

// words are a document's tokens without their places and comments.
func words(text string) (all []string) {
	for _, token := range lexer.Tokenize(text) {
		if token.Type.String() != "Comment" {
			all = append(all, token.Type.String()+" "+token.Value)
		}
	}
	return all
}
