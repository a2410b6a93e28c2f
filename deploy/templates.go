// Package templates holds the CloudFormation templates that an account is made
// of, as they are written by hand. What is not here: deploying them, and judging
// them; the tests beside them do the latter.
package templates

import (
	"bytes"
	_ "embed"
	"sync"
)

//go:embed bootstrap.yaml
var bootstrap []byte

// Bootstrap is deployed once for each account, by an administrator: who may do
// what, and where documents, bundles and secrets are kept. CloudFormation takes 51,200
// bytes, so what only its readers need is left out: comments, and room. The bytes are
// everybody's: they are not to be changed.
var Bootstrap = sync.OnceValue(func() []byte { return compact(bootstrap) })

// compact leaves out the lines that hold a comment alone, or nothing, and has each
// line stand as far left as what it belongs to allows. It is not for blocks of text
// with comments or columns of their own, as the lane has.
func compact(template []byte) []byte {
	type level struct{ was, is int } // columns
	levels := []level{{}}
	var out []byte
	for line := range bytes.Lines(template) {
		text := bytes.TrimLeft(line, " ")
		if len(bytes.TrimSpace(text)) == 0 || text[0] == '#' {
			continue
		}
		column := len(line) - len(text)
		for levels[len(levels)-1].was > column {
			levels = levels[:len(levels)-1]
		}
		if last := levels[len(levels)-1]; last.was < column {
			levels = append(levels, level{column, last.is + 1})
		}
		at := levels[len(levels)-1]
		out = append(append(out, bytes.Repeat([]byte(" "), at.is)...), text...)
		for bytes.HasPrefix(text, []byte("- ")) { // what follows the hyphen is a level too
			text = bytes.TrimLeft(text[1:], " ")
			after := len(line) - len(text) - at.was
			at = level{at.was + after, at.is + after}
			levels = append(levels, at)
		}
	}
	return out
}

// Lane is deployed once for each lane: its pipeline, its project and their roles.
// It takes what Bootstrap exports.
//
//go:embed lane.yaml
var Lane []byte
