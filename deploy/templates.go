// Package templates holds the CloudFormation templates that an account is made
// of, as they are written by hand. What is not here: deploying them, and judging
// them; the tests beside them do the latter.
package templates

import (
	"bytes"
	_ "embed"
)

//go:embed bootstrap.yaml
var bootstrap []byte

// Bootstrap is deployed once for each account, by an administrator: who may do
// what, and where documents, bundles and secrets are kept. Its comments are for who
// reads the file: CloudFormation takes 51,200 bytes, and has no use for them.
var Bootstrap = withoutComments(bootstrap)

// withoutComments leaves out the lines that hold a comment alone, or nothing. A block
// of text would lose such lines too: the bootstrap has none.
func withoutComments(template []byte) []byte {
	var out []byte
	for line := range bytes.Lines(template) {
		if text := bytes.TrimSpace(line); len(text) > 0 && text[0] != '#' {
			out = append(out, line...)
		}
	}
	return out
}

// Lane is deployed once for each lane: its pipeline, its project and their roles.
// It takes what Bootstrap exports.
//
//go:embed lane.yaml
var Lane []byte
