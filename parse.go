package ops

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostInputBytes bounds one raw value. A list of 100,000 IDs takes under 2 MiB.
const mostInputBytes = 4 << 20

// Parse turns supplied text into values, or returns an *InputErrors with every
// error of the form at once: unknown names, missing, malformed and secret-like
// values. Values are trimmed. List items may be separated by commas, spaces or
// line ends; duplicates are folded and noted. Parse reads no file: an "@" is an
// ordinary character here.
func (t *Task) Parse(raw map[string]string) (Values, error) {
	v := Values{inputs: t.Inputs, values: map[string]any{}}
	var errs []InputError
	names := make([]string, len(t.Inputs))
	for i, in := range t.Inputs {
		names[i] = in.Name
		text, given := raw[in.Name]
		if strings.TrimSpace(text) == "" {
			given = false
		}
		if !given {
			if in.Default == "" {
				if !in.Optional {
					errs = append(errs, InputError{Input: in.Name, Reason: "it is required and was not given.", Hint: in.example()})
				}
				continue
			}
			text = in.Default
		}
		val, notes, bad := in.parse(text)
		if len(bad) > 0 {
			errs = append(errs, bad...)
			continue
		}
		v.values[in.Name] = val
		v.notes = append(v.notes, notes...)
	}
	unknown := make([]string, 0)
	for name := range raw {
		if !slices.Contains(names, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		e := InputError{Input: Clip(name), Value: quoteValue(raw[name]), Reason: fmt.Sprintf("%s has no such input.", t.Name)}
		if near := Nearest(name, names); near != "" {
			e.Hint = fmt.Sprintf("Did you mean %q?", near)
		} else if len(names) == 0 {
			e.Hint = "It takes none."
		} else {
			e.Hint = "Its inputs are " + strings.Join(names, ", ") + "."
		}
		if LooksSecret(name) {
			e.Input = "[redacted]"
		}
		errs = append(errs, e)
	}
	if len(errs) > 0 {
		return Values{}, &InputErrors{Task: t.Name, Errors: errs}
	}
	return v, nil
}

// Clip makes a name from outside safe to print as a name: escaped and cut at 40
// characters, unquoted.
func Clip(s string) string {
	if utf8.RuneCountInString(s) > 40 {
		s = string([]rune(s)[:40]) + "…"
	}
	q := Quote(s)
	return q[1 : len(q)-1]
}

func quoteValue(s string) string {
	if LooksSecret(s) {
		return "[redacted]"
	}
	return Quote(s)
}

func (in *Input) example() string {
	if in.Example == "" {
		return ""
	}
	return fmt.Sprintf("For example %s=%s.", in.Name, in.Example)
}

// parse returns the input's value, or every error in text.
func (in *Input) parse(text string) (val any, notes []string, errs []InputError) {
	bad := func(value, reason, hint string) {
		errs = append(errs, InputError{Input: in.Name, Value: quoteValue(value), Reason: reason, Hint: hint})
	}
	switch {
	case len(text) > mostInputBytes:
		bad(text, fmt.Sprintf("it is %d bytes long.", len(text)), fmt.Sprintf("At most %d are taken.", mostInputBytes))
	case !utf8.ValidString(text):
		bad(text, Quote(text)+" is not valid UTF-8.", "Type it anew instead of pasting it.")
	case LooksSecret(text):
		bad(text, "the value looks like an access token or a key.", "Secrets are never inputs: they are read from their store at run time. If this was a real one, revoke it.")
	}
	if len(errs) > 0 {
		return nil, nil, errs
	}
	if !in.List {
		one, note, reason, hint := in.parseOne(strings.TrimSpace(text))
		if reason != "" {
			bad(strings.TrimSpace(text), reason, hint)
			return nil, nil, errs
		}
		if note != "" {
			notes = append(notes, note)
		}
		return one, notes, nil
	}
	items := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })
	seen := make(map[string]bool, len(items))
	list := make([]string, 0, len(items))
	folded := 0
	const mostErrors = 20
	more := 0
	for _, item := range items {
		one, note, reason, hint := in.parseOne(item)
		if reason != "" {
			if len(errs) == mostErrors {
				more++
				continue
			}
			bad(item, reason, hint)
			continue
		}
		if note != "" {
			notes = append(notes, note)
		}
		s := canonicalText(one)
		if seen[s] {
			folded++
			continue
		}
		seen[s] = true
		list = append(list, s)
	}
	if more > 0 {
		errs = append(errs, InputError{Input: in.Name, Reason: fmt.Sprintf("%d more values are wrong.", more), Hint: "Mend the list and try again."})
	}
	if len(list) == 0 && len(errs) == 0 {
		bad(text, Quote(text)+" lists nothing.", in.example())
	}
	if len(errs) > 0 {
		return nil, nil, errs
	}
	if folded == 1 {
		notes = append(notes, fmt.Sprintf("%s: 1 duplicate folded.", in.Name))
	} else if folded > 1 {
		notes = append(notes, fmt.Sprintf("%s: %d duplicates folded.", in.Name, folded))
	}
	return list, notes, nil
}

var (
	digits       = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)
	entityDigits = regexp.MustCompile(`^(?i:syn)?([1-9][0-9]{0,17})$`)
	entityMore   = regexp.MustCompile(`^(?i:syn)?[0-9]+\.[0-9]+$`)
)

// parseOne parses a single value. A reason means it was refused.
func (in *Input) parseOne(s string) (val any, note, reason, hint string) {
	wrong := func(article string) string {
		return fmt.Sprintf("%s is not %s.", quoteValue(s), article)
	}
	if strings.IndexFunc(s, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }) >= 0 {
		return nil, "", quoteValue(s) + " has control characters.", "Remove them and try again."
	}
	switch in.Kind {
	case KindInteger:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || strings.HasPrefix(s, "+") {
			return nil, "", wrong("a whole number"), in.integerRule()
		}
		if n < in.Least || in.Most != 0 && n > in.Most {
			return nil, "", fmt.Sprintf("%d is out of range.", n), in.integerRule()
		}
		return n, "", "", ""
	case KindBoolean:
		switch s {
		case "true":
			return true, "", "", ""
		case "false":
			return false, "", "", ""
		}
		return nil, "", wrong("a boolean"), "Write true or false."
	case KindChoice:
		if slices.Contains(in.Choices, s) {
			return s, "", "", ""
		}
		hint = "It is one of " + strings.Join(in.Choices, ", ") + "."
		if near := Nearest(s, in.Choices); near != "" {
			hint = fmt.Sprintf("Did you mean %s? ", near) + hint
		}
		if !in.Open || !in.matches(s) {
			return nil, "", wrong("one of the choices"), hint
		}
		return s, fmt.Sprintf("%s: %s is not in this release's list; the service will tell whether it exists. %s", in.Name, Quote(s), hint), "", ""
	case KindUserID:
		if digits.MatchString(s) {
			return s, "", "", ""
		}
		return nil, "", wrong("a user ID"), "A user ID is a positive number such as 3350396."
	case KindOAuthClient:
		if digits.MatchString(s) {
			return s, "", "", ""
		}
		return nil, "", wrong("an OAuth client ID"), "An OAuth client ID is a positive number such as 100001."
	case KindRealmID:
		if digits.MatchString(s) {
			return s, "", "", ""
		}
		return nil, "", wrong("a realm ID"), "A realm ID is a positive number such as 12."
	case KindEntityID:
		if m := entityDigits.FindStringSubmatch(s); m != nil {
			return "syn" + m[1], "", "", ""
		}
		if entityMore.MatchString(s) {
			return nil, "", wrong("an entity ID: it names a version"), "Leave out the version: the whole entity is meant, such as syn123."
		}
		return nil, "", wrong("an entity ID"), "An entity ID is syn and a positive number, such as syn123."
	case KindEmail:
		a, err := mail.ParseAddress(s)
		if err != nil || a.Address != s || len(s) > 254 || strings.ContainsAny(s, " \t\r\n\"") || !strings.Contains(s[strings.LastIndex(s, "@"):], ".") {
			return nil, "", wrong("an e-mail address"), "Write the bare address, such as jane@example.org."
		}
		return s, "", "", ""
	case KindJSON:
		o, err := canonicalObject(s)
		if err != nil {
			return nil, "", fmt.Sprintf("%s is not a JSON object: %v.", quoteValue(s), err), in.example()
		}
		if key := secretInside(o); key != "" {
			return nil, "", "a value in the JSON object looks like an access token or a key.", "Secrets are never inputs. If this was a real one, revoke it."
		}
		return o, "", "", ""
	}
	most := in.Most
	if most == 0 {
		most = 1000
	}
	if int64(len(s)) > most {
		return nil, "", fmt.Sprintf("%s is %d bytes long.", quoteValue(s), len(s)), fmt.Sprintf("At most %d are taken.", most)
	}
	if escapeBidi(s) != s {
		return nil, "", quoteValue(s) + " has invisible or direction-changing characters.", "Type it anew instead of pasting it."
	}
	if !in.matches(s) {
		rule := in.Rule
		if rule == "" {
			rule = "It must match " + in.Pattern + "."
		}
		return nil, "", quoteValue(s) + " is not accepted.", rule
	}
	return s, "", "", ""
}

func (in *Input) matches(s string) bool {
	if in.Pattern == "" {
		return true
	}
	return regexp.MustCompile(`^(?:` + in.Pattern + `)$`).MatchString(s)
}

func (in *Input) integerRule() string {
	if in.Most != 0 {
		return fmt.Sprintf("Write a number from %d to %d.", in.Least, in.Most)
	}
	return fmt.Sprintf("Write a number of at least %d.", in.Least)
}

// canonicalObject returns the object with keys sorted and no blanks. Numbers keep
// their digits.
func canonicalObject(s string) (Object, error) {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return "", jsonReason(err)
	}
	if m == nil {
		return "", fmt.Errorf("it is null")
	}
	if _, err := dec.Token(); err != io.EOF {
		return "", fmt.Errorf("something follows the object")
	}
	b, err := CanonicalJSON(m)
	return Object(b), err
}

// jsonReason keeps Go's type names out of messages.
func jsonReason(err error) error {
	if se, ok := err.(*json.SyntaxError); ok {
		return fmt.Errorf("%s at byte %d", se.Error(), se.Offset)
	}
	if te, ok := err.(*json.UnmarshalTypeError); ok {
		return fmt.Errorf("it is a JSON %s", te.Value)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("it ends too early")
	}
	return err
}

func secretInside(o Object) string {
	dec := json.NewDecoder(strings.NewReader(string(o)))
	for {
		tok, err := dec.Token()
		if err != nil {
			return ""
		}
		if s, ok := tok.(string); ok && LooksSecret(s) {
			return s
		}
	}
}

// CanonicalJSON returns v as JSON with sorted keys, no blanks and no HTML
// escapes, the form that digests are taken of. Struct fields keep their order.
func CanonicalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func canonicalText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case Object:
		return string(v)
	case []string:
		return joinList(v)
	}
	return fmt.Sprint(v)
}

func joinList(list []string) string { return strings.Join(list, ",") }

// Secret shapes: personal and GitHub tokens, JWTs, AWS keys, key files, bearer
// headers. They are matched anywhere in the text.
var secretShape = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|(?i:\bbearer\s+[A-Za-z0-9._~+/-]{16,})|(?i:xox[abprs]-[A-Za-z0-9-]{10,})`)

// LooksSecret tells whether text holds something of the shape of a token or key.
func LooksSecret(s string) bool { return secretShape.MatchString(s) }

// MaskEmail masks an e-mail address for people: first letter and domain stay.
func MaskEmail(s string) string {
	at := strings.LastIndex(s, "@")
	if at < 1 {
		return "***"
	}
	_, n := utf8.DecodeRuneInString(s)
	return s[:n] + "***" + s[at:]
}
