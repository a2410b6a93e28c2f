package environments

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// readBounded reads at most one byte more than a file may have, so that Parse
// can tell.
func readBounded(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, mostBytes+1)) }

// A finding is one thing wrong in the file. Line 0 is the file as a whole.
type finding struct {
	line, column int
	text         string
}

// reader walks the YAML as written and collects what is wrong with it. It takes
// plain YAML only: no anchors, aliases, tags or merge keys, so that a reader of
// the file sees what the program sees.
type reader struct {
	source   string
	findings []finding
}

// wrong notes what is wrong at a node; nil is the file as a whole.
func (r *reader) wrong(at ast.Node, format string, args ...any) {
	f := finding{text: fmt.Sprintf(format, args...)}
	if at != nil {
		if tok := at.GetToken(); tok != nil && tok.Position != nil {
			f.line, f.column = tok.Position.Line, tok.Position.Column
		}
	}
	r.findings = append(r.findings, f)
}

// err returns all findings in the order of the file, a line each, or nil.
func (r *reader) err() error {
	if len(r.findings) == 0 {
		return nil
	}
	slices.SortStableFunc(r.findings, func(a, b finding) int {
		if a.line != b.line {
			return a.line - b.line
		}
		return a.column - b.column
	})
	lines := make([]string, len(r.findings))
	for i, f := range r.findings {
		where := r.source
		if f.line > 0 {
			where = fmt.Sprintf("%s:%d:%d", r.source, f.line, f.column)
		}
		lines[i] = where + ": " + f.text
	}
	return &ops.Error{Code: ops.Invalid, Message: strings.Join(lines, "\n")}
}

// document returns the file's only document, or nil once something is wrong.
func (r *reader) document(data []byte) (root ast.Node) {
	// The parser is somebody else's: a slip in it must read as a broken file.
	defer func() {
		if recover() != nil {
			root = nil
			r.wrong(nil, "the file is not valid YAML.")
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		r.syntax(err)
		return nil
	}
	var docs []*ast.DocumentNode
	for _, d := range file.Docs {
		if d != nil && d.Body != nil {
			docs = append(docs, d)
		}
	}
	switch {
	case len(docs) == 0:
		r.wrong(nil, "the file holds no environments.")
		return nil
	case len(docs) > 1:
		r.wrong(docs[1].Body, "a second document begins here; the file must hold one.")
		return nil
	}
	return docs[0].Body
}

func (r *reader) syntax(err error) {
	f := finding{text: "not valid YAML."}
	if se, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		f.text = "not valid YAML: " + ops.Quote(strings.ReplaceAll(se.Message, `"`, "'")) + "."
		if se.Token != nil && se.Token.Position != nil {
			f.line, f.column = se.Token.Position.Line, se.Token.Position.Column
		}
	}
	r.findings = append(r.findings, f)
}

// A pair is one key of a mapping with its value.
type pair struct {
	key   string
	at    ast.Node // the key
	value ast.Node
}

// mapping returns the pairs of a mapping in file order, each key once. known
// names the keys that are accepted; nil accepts all. It returns nil when n is not
// a mapping.
func (r *reader) mapping(n ast.Node, what string, known []string) []pair {
	m, ok := n.(*ast.MappingNode)
	if one, single := n.(*ast.MappingValueNode); single {
		m, ok = &ast.MappingNode{Values: []*ast.MappingValueNode{one}}, true
	}
	if !ok {
		r.wrong(n, "%s must be a mapping of keys to values%s.", what, plain(n))
		return nil
	}
	out := []pair{}
	for _, v := range m.Values {
		key, ok := scalarText(v.Key)
		switch {
		case !ok:
			r.wrong(v.Key, "%s has a key that is not a plain text%s.", what, plain(v.Key))
		case known != nil && !slices.Contains(known, key):
			r.wrong(v.Key, "%s has no key %s. %s", what, ops.Quote(key), suggest(key, known))
		case slices.ContainsFunc(out, func(p pair) bool { return p.key == key }):
			r.wrong(v.Key, "%s has the key %s twice.", what, ops.Quote(key))
		default:
			out = append(out, pair{key, v.Key, v.Value})
		}
	}
	return out
}

// plain says what to leave out where YAML's less plain features were used.
func plain(n ast.Node) string {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return ", written out: anchors, aliases, merge keys and tags are not taken"
	}
	return ""
}

func suggest(name string, known []string) string {
	if near := ops.Nearest(name, known); near != "" {
		return fmt.Sprintf("Did you mean %q?", near)
	}
	return "Its keys are " + strings.Join(known, ", ") + "."
}

// scalarText returns a scalar as it is written: an unquoted account number keeps
// its leading zeros.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// text returns a non-empty text, "" once something is wrong.
func (r *reader) text(n ast.Node, what string) string {
	s, ok := scalarText(n)
	switch {
	case !ok:
		r.wrong(n, "%s must be a text%s.", what, plain(n))
	case strings.TrimSpace(s) == "":
		r.wrong(n, "%s is empty. Leave the key out instead.", what)
	case ops.LooksSecret(s):
		r.wrong(n, "%s looks like an access token or a key. Secrets are named here, never written; if this was a real one, revoke it.", what)
	default:
		return s
	}
	return ""
}

// texts returns a list of texts, or of the one text given, each with its node.
func (r *reader) texts(n ast.Node, what string) (list []string, at []ast.Node) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.wrong(n, "%s must be a list.", what)
		return nil, nil
	}
	if len(seq.Values) == 0 {
		r.wrong(n, "%s is empty. Leave the key out instead.", what)
	}
	for _, item := range seq.Values {
		s := r.text(item, "an item of "+what)
		if s == "" {
			continue
		}
		if slices.Contains(list, s) {
			r.wrong(item, "%s lists %s twice.", what, ops.Quote(s))
			continue
		}
		list, at = append(list, s), append(at, item)
	}
	return list, at
}

func (r *reader) boolean(n ast.Node, what string) bool {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		r.wrong(n, "%s must be true or false.", what)
		return false
	}
	return b.Value
}

// count returns a number from 1 to most, 0 once something is wrong.
func (r *reader) count(n ast.Node, what string, most int) int {
	if _, ok := n.(*ast.IntegerNode); ok {
		if v, err := strconv.Atoi(n.GetToken().Value); err == nil && v >= 1 && v <= most {
			return v
		}
	}
	r.wrong(n, "%s must be a number from 1 to %d.", what, most)
	return 0
}
