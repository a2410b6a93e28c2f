// Package policy evaluates IAM policies as far as ours use them: identity and
// session policies, permissions boundaries, and the policies of resources and
// roles. The emulator authorizes every call with it, and the separation table is
// computed with it over the deployed documents.
//
// Whatever it does not know, be it an element, an operator, a condition key or a
// policy variable, is an error, never an answer. What is not here: organizations'
// policies, and anything that reaches an account.
package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// A Document is one policy. It is never changed; safe for concurrent use.
type Document struct {
	ID         string
	Statements []Statement
}

// A Statement is one rule of a document.
type Statement struct {
	Sid        string
	Deny       bool
	Principals []Principal // none: the statement is attached to whom it is about
	Actions    []string
	Resources  []string // none: a role's trust policy
	// NotResource makes Resources those that the statement is not about. It is
	// known in a Deny alone: an Allow of all but some allows what nobody thought of.
	NotResource bool
	Conditions  []Condition
}

// A Principal is whom a statement of a resource's policy is about.
type Principal struct {
	Kind  string // "AWS", "Service", "Federated", or "*" for anyone at all
	Value string
}

// A Condition is one test: it holds when any of Values matches, or none does for
// an operator that says Not.
type Condition struct {
	Operator string // with its ForAnyValue: and IfExists, as written
	Key      string
	Values   []string
}

// Parse reads a policy strictly: an element, operator, key or form that Decide
// does not understand is an error, and so is anything written twice.
func Parse(doc []byte) (*Document, error) {
	root, err := readJSON(doc)
	if err != nil {
		return nil, fmt.Errorf("reading policy: %w", err)
	}
	top, ok := root.(members)
	if !ok {
		return nil, errors.New("reading policy: it is not an object")
	}
	d := &Document{}
	version := ""
	for _, m := range top {
		switch m.name {
		case "Version":
			version, _ = m.value.(string)
		case "Id":
			if d.ID, ok = m.value.(string); !ok {
				return nil, errors.New("reading policy: its Id is not a text")
			}
		case "Statement":
			if d.Statements, err = readStatements(m.value); err != nil {
				return nil, fmt.Errorf("reading policy: %w", err)
			}
		default:
			return nil, fmt.Errorf("reading policy: the element %q is not known", m.name)
		}
	}
	switch {
	case version != "2012-10-17":
		return nil, errors.New(`reading policy: its Version is not "2012-10-17"`)
	case len(d.Statements) == 0:
		return nil, errors.New("reading policy: it has no statements")
	}
	return d, nil
}

func readStatements(v any) ([]Statement, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []Statement
	for i, one := range list {
		s, err := readStatement(one)
		if err != nil {
			return nil, fmt.Errorf("statement %d (%s): %w", i+1, s.Sid, err)
		}
		if s.Sid != "" && slices.ContainsFunc(out, func(o Statement) bool { return o.Sid == s.Sid }) {
			return nil, fmt.Errorf("statement %d: there is another one called %s", i+1, s.Sid)
		}
		out = append(out, s)
	}
	return out, nil
}

var sidForm = regexp.MustCompile(`^[A-Za-z0-9]+$`)

func readStatement(v any) (Statement, error) {
	var s Statement
	object, ok := v.(members)
	if !ok {
		return s, errors.New("it is not an object")
	}
	effect := ""
	for _, m := range object {
		var err error
		switch m.name {
		case "Sid":
			if s.Sid, _ = m.value.(string); !sidForm.MatchString(s.Sid) {
				err = errors.New("its Sid is not letters and digits alone")
			}
		case "Effect":
			effect, _ = m.value.(string)
		case "Principal":
			s.Principals, err = readPrincipals(m.value)
		case "Action":
			s.Actions, err = readForms(m.name, m.value, actionForm)
		case "Resource", "NotResource":
			if len(s.Resources) > 0 {
				return s, errors.New("it has both Resource and NotResource")
			}
			s.Resources, err = readForms(m.name, m.value, resourceForm)
			s.NotResource = m.name == "NotResource"
		case "Condition":
			s.Conditions, err = readConditions(m.value)
		default:
			err = fmt.Errorf("the element %q is not known", m.name)
		}
		if err != nil {
			return s, err
		}
	}
	s.Deny = effect == "Deny"
	return s, s.whole(effect)
}

// whole asks what must hold of a statement's elements together.
func (s *Statement) whole(effect string) error {
	trust := len(s.Actions) > 0 && !slices.ContainsFunc(s.Actions, func(a string) bool { return !strings.HasPrefix(strings.ToLower(a), "sts:") })
	switch {
	case effect != "Allow" && effect != "Deny":
		return errors.New("its Effect is neither Allow nor Deny")
	case s.NotResource && !s.Deny:
		return errors.New("NotResource is not known in an Allow")
	case len(s.Actions) == 0:
		return errors.New("it has no Action")
	case len(s.Resources) == 0 && (len(s.Principals) == 0 || !trust):
		return errors.New("it has no Resource")
	case len(s.Resources) > 0 && len(s.Principals) > 0 && trust:
		return errors.New("a role's trust policy has no Resource")
	}
	return nil
}

var (
	actionForm = regexp.MustCompile(`^(\*|[a-z0-9-]+:[A-Za-z0-9*?]+)$`)
	// An ARN has six parts; wildcards may stand in all but those that say whose.
	resourceForm = regexp.MustCompile(`^(\*|arn:aws:[a-z0-9-]+:[a-z0-9*?-]*:[0-9*?]*:[^\s]+)$`)
	accountForm  = regexp.MustCompile(`^[0-9]{12}$`)
	personForm   = regexp.MustCompile(`^arn:aws:(iam|sts)::[0-9]{12}:(root|(role|user|assumed-role)/[A-Za-z0-9+=,.@_/-]+)$`)
	serviceForm  = regexp.MustCompile(`^[a-z0-9.-]+\.amazonaws\.com$`)
	providerForm = regexp.MustCompile(`^arn:aws:iam::[0-9]{12}:(oidc-provider|saml-provider)/[A-Za-z0-9._/-]+$`)
)

func readForms(what string, v any, form *regexp.Regexp) ([]string, error) {
	list, err := texts(what, v)
	for _, s := range list {
		if !form.MatchString(s) || strings.Contains(s, "${") {
			return nil, fmt.Errorf("%s %q has a form that is not known", what, s)
		}
	}
	return list, err
}

func readPrincipals(v any) ([]Principal, error) {
	if v == "*" {
		return []Principal{{"*", "*"}}, nil
	}
	object, ok := v.(members)
	if !ok || len(object) == 0 {
		return nil, errors.New(`its Principal is neither "*" nor an object`)
	}
	var out []Principal
	for _, m := range object {
		list, err := texts("Principal", m.value)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			known := false
			switch m.name {
			case "AWS":
				known = s == "*" || accountForm.MatchString(s) || personForm.MatchString(s)
			case "Service":
				known = serviceForm.MatchString(s)
			case "Federated":
				known = providerForm.MatchString(s)
			}
			if !known {
				return nil, fmt.Errorf("the principal %s %q has a form that is not known", m.name, s)
			}
			out = append(out, Principal{m.name, s})
		}
	}
	return out, nil
}

// texts returns a text, or a list of texts, as a list that is not empty.
func texts(what string, v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, one := range list {
		s, ok := one.(string)
		if !ok {
			return nil, fmt.Errorf("%s holds something that is not a text", what)
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s is empty", what)
	}
	return out, nil
}

// members are a JSON object's, in order, each name once.
type members []member

type member struct {
	name  string
	value any // string, bool, json.Number, []any, members, nil
}

func readJSON(doc []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	v, err := readValue(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

func readValue(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := readValue(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	case json.Delim('{'):
		return readMembers(dec)
	}
	return tok, nil
}

func readMembers(dec *json.Decoder) (any, error) {
	object := members{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := tok.(string)
		if slices.ContainsFunc(object, func(m member) bool { return strings.EqualFold(m.name, name) }) {
			return nil, fmt.Errorf("the name %q is there twice", name)
		}
		v, err := readValue(dec)
		if err != nil {
			return nil, err
		}
		object = append(object, member{name, v})
	}
	_, err := dec.Token()
	return object, err
}
