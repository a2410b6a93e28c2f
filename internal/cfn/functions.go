package cfn

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// shape checks a call's argument as far as it can be told before anything is
// resolved, and brings "GetAtt" and "Sub" into one form each: a list of two texts,
// and a list of a text and a mapping.
func (c *call) shape() error {
	switch c.name {
	case "Ref", "Condition":
		if _, ok := c.arg.(string); !ok {
			return c.wrong("takes one name")
		}
	case "Fn::GetAtt":
		return c.shapeGetAtt()
	case "Fn::Sub":
		return c.shapeSub()
	case "Fn::If":
		return c.shapeIf()
	case "Fn::Equals":
		return c.shapeList(2, 2)
	case "Fn::Not":
		return c.shapeList(1, 1)
	case "Fn::And", "Fn::Or":
		return c.shapeList(2, 10)
	case "Fn::Join", "Fn::Select", "Fn::Split":
		return c.shapeList(2, 2)
	case "Fn::FindInMap":
		return c.shapeList(3, 3)
	}
	return nil
}

func (c *call) wrong(what string) error { return invalid("line %d: %s %s.", c.line, c.name, what) }

func (c *call) list() []any { l, _ := c.arg.([]any); return l }

func (c *call) shapeList(least, most int) error {
	l, ok := c.arg.([]any)
	if !ok || len(l) < least || len(l) > most {
		return c.wrong("has the wrong number of arguments")
	}
	return nil
}

func (c *call) shapeIf() error {
	if err := c.shapeList(3, 3); err != nil {
		return err
	}
	if _, ok := c.list()[0].(string); !ok {
		return c.wrong("does not begin with a condition's name")
	}
	return nil
}

func (c *call) shapeGetAtt() error {
	if s, ok := c.arg.(string); ok {
		id, attr, ok := strings.Cut(s, ".")
		if !ok {
			return c.wrong("takes a resource and an attribute, such as Store.Arn")
		}
		c.arg = []any{id, attr}
	}
	if err := c.shapeList(2, 2); err != nil {
		return err
	}
	for _, v := range c.list() {
		if s, ok := v.(string); !ok || s == "" {
			return c.wrong("takes a resource and an attribute, such as Store.Arn")
		}
	}
	return nil
}

func (c *call) shapeSub() error {
	if s, ok := c.arg.(string); ok {
		c.arg = []any{s, map[string]any{}}
	}
	if err := c.shapeList(2, 2); err != nil {
		return err
	}
	text, isText := c.list()[0].(string)
	own, isMap := c.list()[1].(map[string]any)
	if !isText || !isMap {
		return c.wrong("takes a text, or a text and a mapping")
	}
	parts, err := splitSub(text)
	if err != nil {
		return c.wrong(err.Error())
	}
	for name := range own {
		if !slices.ContainsFunc(parts, func(p piece) bool { return p.variable == name }) {
			return c.wrong("is handed " + name + ", which its text does not use")
		}
	}
	return nil
}

// A piece of Sub's text: what stands there, or the variable to put there.
type piece struct{ text, variable string }

var subVariable = regexp.MustCompile(`^[A-Za-z0-9:.]+$`)

// splitSub takes a text of Sub apart. "${!X}" stands for "${X}".
func splitSub(text string) ([]piece, error) {
	var out []piece
	for text != "" {
		before, rest, ok := strings.Cut(text, "${")
		if before != "" {
			out = append(out, piece{text: before})
		}
		if !ok {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		literal, escaped := strings.CutPrefix(name, "!")
		switch {
		case !closed:
			return nil, errors.New("has a ${ that is not closed")
		case escaped:
			out = append(out, piece{text: "${" + literal + "}"})
		case !subVariable.MatchString(name):
			return nil, errors.New("has a variable that is not a name: ${" + name + "}")
		default:
			out = append(out, piece{variable: name})
		}
		text = after
	}
	return out, nil
}
