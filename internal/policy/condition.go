package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// keys are the condition keys that are known, in lower case. A key that is not here
// is more likely a slip of the pen than a rule: as an absent one it would make a
// Deny never apply.
var keys = []string{
	"aws:multifactorauthpresent", "aws:multifactorauthage", "aws:principalaccount", "aws:principalarn", "aws:principalisawsservice",
	"aws:requestedregion", "aws:securetransport", "aws:sourceaccount", "aws:sourcearn", "aws:sourceip", "aws:viaawsservice",
	"cloudformation:changesetname", "cloudformation:rolearn", "cloudformation:stackpolicyurl", "cloudformation:templateurl",
	"cloudwatch:namespace",
	"ec2:authorizedservice", "ec2:subnet", "ec2:vpc",
	"iam:passedtoservice", "iam:permissionsboundary",
	"s3:if-match", "s3:if-none-match", "s3:prefix", "s3:delimiter", "s3:objectcreationoperation", "s3:requestobjecttag", "s3:x-amz-server-side-encryption", "s3:existingobjecttag",
	"secretsmanager:versionstage", "secretsmanager:blockpublicpolicy",
	"sns:protocol", "sts:externalid", "sts:rolesessionname",
	// What STS knows of a GitHub token (IAM User Guide, keys for web identity federation).
	github + "sub", github + "aud", github + "actor", github + "actor_id", github + "job_workflow_ref", github + "repository",
	github + "repository_id", github + "workflow", github + "ref", github + "environment", github + "enterprise_id",
}

const github = "token.actions.githubusercontent.com:"

// An operator compares what the request holds with what the policy wants.
type operator struct {
	match  func(have, want string) (bool, error)
	negate bool // holds when nothing matches, and so when the key is absent
}

var operators = map[string]operator{
	"StringEquals":           {match: func(a, b string) (bool, error) { return a == b, nil }},
	"StringNotEquals":        {match: func(a, b string) (bool, error) { return a == b, nil }, negate: true},
	"StringEqualsIgnoreCase": {match: func(a, b string) (bool, error) { return strings.EqualFold(a, b), nil }},
	"StringLike":             {match: func(a, b string) (bool, error) { return like(b, a), nil }},
	"StringNotLike":          {match: func(a, b string) (bool, error) { return like(b, a), nil }, negate: true},
	"ArnEquals":              {match: func(a, b string) (bool, error) { return likeARN(b, a), nil }},
	"ArnLike":                {match: func(a, b string) (bool, error) { return likeARN(b, a), nil }},
	"ArnNotEquals":           {match: func(a, b string) (bool, error) { return likeARN(b, a), nil }, negate: true},
	"ArnNotLike":             {match: func(a, b string) (bool, error) { return likeARN(b, a), nil }, negate: true},
	"Bool":                   {match: func(a, b string) (bool, error) { return strings.EqualFold(a, b), nil }},
	"NumericLessThan":        {match: numeric(func(a, b float64) bool { return a < b })},
	"NumericLessThanEquals":  {match: numeric(func(a, b float64) bool { return a <= b })},
	"IpAddress":              {match: within},
	"Null":                   {}, // asks of the key's presence alone
}

func numeric(holds func(a, b float64) bool) func(have, want string) (bool, error) {
	return func(have, want string) (bool, error) {
		a, err := strconv.ParseFloat(have, 64)
		if err != nil {
			return false, nil //nolint:nilerr // what is not a number is less than none
		}
		b, err := strconv.ParseFloat(want, 64)
		return holds(a, b), err
	}
}

func within(have, want string) (bool, error) {
	net, err := netip.ParsePrefix(want)
	if err != nil {
		one, err := netip.ParseAddr(want)
		if err != nil {
			return false, err
		}
		net = netip.PrefixFrom(one, one.BitLen())
	}
	ip, err := netip.ParseAddr(have)
	return err == nil && net.Contains(ip), nil
}

// split takes an operator as written apart.
func split(written string) (name string, anyOf, ifExists bool) {
	name, anyOf = strings.CutPrefix(written, "ForAnyValue:")
	name, ifExists = strings.CutSuffix(name, "IfExists")
	return name, anyOf, ifExists
}

func readConditions(v any) ([]Condition, error) {
	object, ok := v.(members)
	if !ok || len(object) == 0 {
		return nil, errors.New("its Condition is not an object that holds something")
	}
	var out []Condition
	for _, op := range object {
		tests, ok := op.value.(members)
		if !ok || len(tests) == 0 {
			return nil, fmt.Errorf("the operator %q is handed no keys", op.name)
		}
		for _, test := range tests {
			c := Condition{Operator: op.name, Key: test.name}
			var err error
			if c.Values, err = conditionValues(test.value); err != nil {
				return nil, fmt.Errorf("condition key %s: %w", test.name, err)
			}
			if err := c.check(); err != nil {
				return nil, err
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// conditionValues takes true and numbers for their texts, as IAM does.
func conditionValues(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, one := range list {
		switch one := one.(type) {
		case string:
			out = append(out, one)
		case bool:
			out = append(out, strconv.FormatBool(one))
		case json.Number:
			out = append(out, one.String())
		default:
			return nil, errors.New("a value is neither text, number nor true or false")
		}
	}
	if len(out) == 0 {
		return nil, errors.New("it is handed no values")
	}
	return out, nil
}

func (c *Condition) check() error {
	name, _, ifExists := split(c.Operator)
	op, known := operators[name]
	key := strings.ToLower(c.Key)
	tag, _, _ := strings.Cut(key, "/")
	switch {
	case !known, name == "Null" && c.Operator != "Null":
		return fmt.Errorf("the condition operator %q is not known", c.Operator)
	case ifExists && op.negate:
		return fmt.Errorf("the condition operator %q says twice that the key may be absent", c.Operator)
	case !slices.Contains(keys, key) && !slices.Contains(keys, tag):
		return fmt.Errorf("the condition key %q is not known", c.Key)
	}
	for _, v := range c.Values {
		switch {
		case strings.Contains(v, "${"):
			return fmt.Errorf("condition key %s: policy variables such as in %q are not known", c.Key, v)
		case (name == "Null" || name == "Bool") && v != "true" && v != "false":
			return fmt.Errorf("condition key %s: %q is neither true nor false", c.Key, v)
		}
		if op.match != nil {
			if _, err := op.match("0", v); err != nil {
				return fmt.Errorf("condition key %s: %q is not what %s compares with", c.Key, v, c.Operator)
			}
		}
	}
	return nil
}

// holds tells whether a request's context meets the condition. Keys compare
// without case.
func (c *Condition) holds(context map[string][]string) (bool, error) {
	name, anyOf, ifExists := split(c.Operator)
	op, known := operators[name]
	if !known {
		return false, fmt.Errorf("the condition operator %q is not known", c.Operator)
	}
	have, present := lookUp(context, c.Key)
	switch {
	case name == "Null":
		return slices.Contains(c.Values, strconv.FormatBool(!present)), nil
	case !present:
		return op.negate && !anyOf || ifExists, nil
	case len(have) != 1 && !anyOf:
		return false, fmt.Errorf("condition key %s has %d values, and %s is for one", c.Key, len(have), c.Operator)
	}
	for _, h := range have {
		matched := false
		for _, want := range c.Values {
			m, err := op.match(h, want)
			if err != nil {
				return false, err
			}
			matched = matched || m
		}
		if matched != op.negate {
			return true, nil
		}
	}
	return false, nil
}

// lookUp returns a key's values; one without values is absent.
func lookUp(context map[string][]string, key string) ([]string, bool) {
	for k, v := range context {
		if strings.EqualFold(k, key) {
			return v, len(v) > 0
		}
	}
	return nil, false
}

// like matches with "*" for any text and "?" for any one byte.
func like(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0: // let the last star take one byte more
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// likeARN matches part by part, so that no wildcard reaches over a colon into the
// next part; the sixth part holds whatever colons follow.
func likeARN(pattern, s string) bool {
	if pattern == "*" {
		return true
	}
	p, a := strings.SplitN(pattern, ":", 6), strings.SplitN(s, ":", 6)
	if len(p) != 6 || len(a) != 6 {
		return false
	}
	for i := range p {
		if !like(p[i], a[i]) {
			return false
		}
	}
	return true
}
