package emulator

import (
	"regexp"
	"strconv"
	"strings"
)

// An expression is metric math as far as it is modeled: numbers, metrics by ID, the
// comparisons, IF(c, a, b), FILL(m, REPEAT) and FILL(m, number).
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
type expression struct {
	op   string // "number", "metric", a comparison, "IF" or "FILL"
	n    float64
	name string
	args []*expression
}

var expressionToken = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_]*|[0-9]+(?:\.[0-9]+)?|>=|<=|==|[<>(),])`)

// A mathReader takes an expression's text apart.
type mathReader struct{ rest string }

// next returns the next token, "" at the end and for what is none.
func (r *mathReader) next() string {
	m := expressionToken.FindStringSubmatch(r.rest)
	if m == nil {
		return ""
	}
	r.rest = r.rest[len(m[0]):]
	return m[1]
}

func (r *mathReader) peek() string {
	c := *r
	return c.next()
}

func parseExpression(text string) (*expression, error) {
	r := &mathReader{text}
	e := r.comparison()
	if e == nil || strings.TrimSpace(r.rest) != "" {
		return nil, notModeled("PutMetricAlarm", "expression "+strconv.Quote(text))
	}
	return e, nil
}

// comparison returns nil for what cannot be read, as the others do.
func (r *mathReader) comparison() *expression {
	left := r.value()
	op := r.peek()
	if left == nil || !strings.ContainsAny(op, "<>=") {
		return left
	}
	r.next()
	right := r.value()
	if right == nil {
		return nil
	}
	return &expression{op: op, args: []*expression{left, right}}
}

func (r *mathReader) value() *expression {
	t := r.next()
	if n, err := strconv.ParseFloat(t, 64); err == nil {
		return &expression{op: "number", n: n}
	}
	switch {
	case t == "" || strings.ContainsAny(t, "<>=(),"):
		return nil
	case r.peek() != "(":
		return &expression{op: "metric", name: t}
	}
	r.next()
	call := &expression{op: t}
	for {
		arg := r.comparison()
		if arg == nil {
			return nil
		}
		call.args = append(call.args, arg)
		switch r.next() {
		case ",":
		case ")":
			return call.checked()
		default:
			return nil
		}
	}
}

// checked returns the call if it is one that is modeled.
func (e *expression) checked() *expression {
	switch {
	case e.op == "IF" && len(e.args) == 3:
		return e
	case e.op == "FILL" && len(e.args) == 2 && e.args[0].op == "metric" && (e.args[1].op == "number" || e.args[1].name == "REPEAT"):
		return e
	}
	return nil
}

// over returns the expression's value at each of n times; nil where one that it
// needs is missing.
func (e *expression) over(known map[string][]*float64, n int) []*float64 {
	out := make([]*float64, n)
	for i := range out {
		out[i] = e.at(known, i)
	}
	return out
}

func (e *expression) at(known map[string][]*float64, i int) *float64 {
	switch e.op {
	case "number":
		return &e.n
	case "metric":
		if s := known[e.name]; i < len(s) {
			return s[i]
		}
		return nil
	case "IF":
		c := e.args[0].at(known, i)
		if c == nil {
			return nil
		}
		if *c != 0 {
			return e.args[1].at(known, i)
		}
		return e.args[2].at(known, i)
	case "FILL":
		return e.fill(known, i)
	}
	a, b := e.args[0].at(known, i), e.args[1].at(known, i)
	if a == nil || b == nil {
		return nil
	}
	holds := map[string]bool{"<": *a < *b, ">": *a > *b, "<=": *a <= *b, ">=": *a >= *b, "==": *a == *b}[e.op]
	if holds {
		return new(1.0)
	}
	return new(0.0)
}

// fill: REPEAT knows nothing from before the times that were fetched.
func (e *expression) fill(known map[string][]*float64, i int) *float64 {
	s := known[e.args[0].name]
	for ; i >= 0; i-- {
		if i < len(s) && s[i] != nil {
			return s[i]
		}
		if e.args[1].op == "number" {
			return &e.args[1].n
		}
	}
	return nil
}
