package cfn

import (
	"errors"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A call is a function of the template, short form or long, not yet evaluated.
type call struct {
	name string // as in the long form, such as "Fn::Sub"; "Ref" and "Condition" have no prefix
	arg  any
	line int
}

// functions are all that are known, by long name.
var functions = []string{
	"Ref", "Condition", "Fn::GetAtt", "Fn::Sub", "Fn::If", "Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or",
	"Fn::Join", "Fn::Select", "Fn::Split", "Fn::FindInMap", "Fn::ImportValue",
}

// readYAML returns the document as texts, int64, float64, bool, []any,
// map[string]any and *call. Plain YAML and the functions' tags only: no anchors,
// aliases or merge keys, no key twice.
func readYAML(data []byte) (root any, err error) {
	// The parser is somebody else's: a slip in it must read as a broken template.
	defer func() {
		if recover() != nil {
			root, err = nil, invalid("the template is not valid YAML.")
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, syntax(err)
	}
	docs := slices.DeleteFunc(file.Docs, func(d *ast.DocumentNode) bool { return d == nil || d.Body == nil })
	if len(docs) != 1 {
		return nil, invalid("the template holds %d YAML documents, not one.", len(docs))
	}
	return value(docs[0].Body)
}

func syntax(err error) error {
	if se, ok := errors.AsType[*yaml.SyntaxError](err); ok && se.Token != nil && se.Token.Position != nil {
		return invalid("line %d: not valid YAML: %s.", se.Token.Position.Line, ops.Quote(strings.ReplaceAll(se.Message, `"`, "'")))
	}
	return invalid("the template is not valid YAML.")
}

func lineOf(n ast.Node) int {
	if tok := n.GetToken(); tok != nil && tok.Position != nil {
		return tok.Position.Line
	}
	return 0
}

func value(n ast.Node) (any, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.IntegerNode:
		return integer(n)
	case *ast.FloatNode:
		return n.Value, nil
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		for _, item := range n.Values {
			// The parser takes a:b for a pair where other readers see a text.
			if m, ok := item.(*ast.MappingNode); ok && n.IsFlowStyle && m.GetToken().Value != "{" {
				return nil, invalid("line %d: put quotes around what holds a colon in this list.", lineOf(item))
			}
			v, err := value(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case *ast.MappingNode:
		return mapping(n, n.Values)
	case *ast.MappingValueNode:
		return mapping(n, []*ast.MappingValueNode{n})
	case *ast.TagNode:
		return tagged(n)
	}
	return nil, invalid("line %d: %s is not taken in a template.", lineOf(n), n.Type())
}

// integer keeps a number with leading zeros, such as an account, from becoming
// another one.
func integer(n *ast.IntegerNode) (any, error) {
	text := n.GetToken().Value
	if len(text) > 1 && text[0] == '0' || strings.Contains(text, "_") {
		return nil, invalid("line %d: put quotes around %s: YAML reads it as another number.", lineOf(n), ops.Quote(text))
	}
	switch v := n.Value.(type) {
	case uint64:
		return int64(v), nil
	case int64:
		return v, nil
	}
	return nil, invalid("line %d: %s is not a number that is taken.", lineOf(n), ops.Quote(text))
}

func mapping(at ast.Node, pairs []*ast.MappingValueNode) (any, error) {
	m := make(map[string]any, len(pairs))
	for _, p := range pairs {
		key, ok := p.Key.(ast.ScalarNode)
		if !ok {
			return nil, invalid("line %d: a key is not a plain text: anchors and merge keys are not taken.", lineOf(at))
		}
		name := key.GetToken().Value
		if _, twice := m[name]; twice {
			return nil, invalid("line %d: the key %s is here twice.", lineOf(p.Key), ops.Quote(name))
		}
		v, err := value(p.Value)
		if err != nil {
			return nil, err
		}
		m[name] = v
	}
	for name, arg := range m {
		// "Condition" alone is a function only where conditions are, and there its
		// short form serves; in a policy it is an element.
		if name != "Ref" && !strings.HasPrefix(name, "Fn::") {
			continue
		}
		if len(m) != 1 {
			return nil, invalid("line %d: %s stands beside other keys.", lineOf(at), name)
		}
		return newCall(name, arg, lineOf(at))
	}
	return m, nil
}

func tagged(n *ast.TagNode) (any, error) {
	tag := strings.TrimPrefix(n.Start.Value, "!")
	name := "Fn::" + tag
	if tag == "Ref" || tag == "Condition" {
		name = tag
	}
	arg, err := value(n.Value)
	if err != nil {
		return nil, err
	}
	return newCall(name, arg, n.Start.Position.Line)
}

func newCall(name string, arg any, line int) (*call, error) {
	if !slices.Contains(functions, name) {
		return nil, invalid("line %d: the function %s is not known. Known are %s.", line, ops.Quote(name), strings.Join(functions, ", "))
	}
	c := &call{name: name, arg: arg, line: line}
	return c, c.shape()
}
