package ops

import (
	"fmt"
	"maps"
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
	errs = append(errs, t.unknown(raw, names)...)
	if len(errs) > 0 {
		return Values{}, &InputErrors{Task: t.Name, Errors: errs}
	}
	return v, nil
}

// unknown returns an error for each supplied name that is none of names, sorted.
func (t *Task) unknown(raw map[string]string, names []string) []InputError {
	var errs []InputError
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		if slices.Contains(names, name) {
			continue
		}
		e := InputError{Input: Clip(name), Value: shownValue(raw[name]), Reason: fmt.Sprintf("%s has no such input.", t.Name)}
		if near := Nearest(name, names); near != "" {
			e.Hint = fmt.Sprintf("Did you mean %q?", near)
		} else if len(names) == 0 {
			e.Hint = "It takes none."
		} else {
			e.Hint = "Its inputs are " + strings.Join(names, ", ") + "."
		}
		if LooksSecret(name) {
			e.Input = redacted
		}
		errs = append(errs, e)
	}
	return errs
}

func quoteValue(s string) string {
	if LooksSecret(s) {
		return redacted
	}
	return Quote(s)
}

// shownValue is a value for machines to read: as it came, but for what is cut off or
// would not print.
func shownValue(s string) string {
	if LooksSecret(s) {
		return redacted
	}
	return visible(s)
}

func (in *Input) example() string {
	if in.Example == "" {
		return ""
	}
	return fmt.Sprintf("For example %s=%s.", in.Name, in.Example)
}

// parse returns the input's value, or every error in text.
func (in *Input) parse(text string) (val any, notes []string, errs []InputError) {
	if bad := in.unfit(text); bad != nil {
		return nil, nil, []InputError{*bad}
	}
	if in.List {
		val, notes, errs = in.parseList(text)
	} else {
		one, note, bad := in.parseOne(strings.TrimSpace(text))
		if bad != nil {
			return nil, nil, []InputError{*bad}
		}
		if note != "" {
			notes = append(notes, note)
		}
		val = one
	}
	// The worker parses the canonical text again, which may be the longer one.
	if n := len(canonicalText(val)); len(errs) == 0 && n > mostInputBytes {
		return nil, nil, []InputError{*in.tooLong(n)}
	}
	return val, notes, errs
}

// wrong returns an error about value, which is quoted unless it looks like a
// secret.
func (in *Input) wrong(value, reason, hint string) *InputError {
	return &InputError{Input: in.Name, Value: shownValue(value), Reason: reason, Hint: hint}
}

// unfit tells what keeps text from being parsed at all, nil when nothing does.
func (in *Input) unfit(text string) *InputError {
	switch {
	case len(text) > mostInputBytes:
		return in.tooLong(len(text))
	case LooksSecret(text):
		return in.secret("the value looks like an access token or a key.")
	case !utf8.ValidString(text):
		return in.wrong(text, Quote(text)+" is not valid UTF-8.", "Type it anew instead of pasting it.")
	}
	return nil
}

func (in *Input) tooLong(n int) *InputError {
	return &InputError{Input: in.Name, Reason: fmt.Sprintf("it is %d bytes long.", n), Hint: fmt.Sprintf("At most %d are taken.", mostInputBytes)}
}

func (in *Input) secret(reason string) *InputError {
	return &InputError{Input: in.Name, Value: redacted, Reason: reason, Hint: "Secrets are never inputs: they are read from their store at run time. If this was a real one, revoke it."}
}

// parseList parses each item, folds duplicates and reports the first errors.
func (in *Input) parseList(text string) (list []string, notes []string, errs []InputError) {
	const mostErrors = 20
	seen, folded, more := map[string]bool{}, 0, 0
	for item := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		one, note, bad := in.parseOne(item)
		if bad != nil {
			if len(errs) == mostErrors {
				more++
			} else {
				errs = append(errs, *bad)
			}
			continue
		}
		s := canonicalText(one)
		if seen[s] {
			folded++
			continue
		}
		seen[s] = true
		list = append(list, s)
		if note != "" {
			notes = append(notes, note)
		}
	}
	switch {
	case more > 0:
		errs = append(errs, InputError{Input: in.Name, Reason: fmt.Sprintf("%d more values are wrong.", more), Hint: "Mend the list and try again."})
	case len(list) == 0 && len(errs) == 0:
		errs = append(errs, *in.wrong(text, Quote(text)+" lists nothing.", in.example()))
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

// parseOne parses a single value.
func (in *Input) parseOne(s string) (val any, note string, bad *InputError) {
	if in.Kind == KindJSON {
		return in.parseObject(s)
	}
	if bad := in.hides(s, s); bad != nil {
		return nil, "", bad
	}
	switch in.Kind {
	case KindInteger:
		return in.parseInteger(s)
	case KindBoolean:
		if s == "true" || s == "false" {
			return s == "true", "", nil
		}
		return nil, "", in.isNot(s, "a boolean", "Write true or false.")
	case KindChoice:
		return in.parseChoice(s)
	case KindEntityID:
		return in.parseEntityID(s)
	case KindUserID:
		return in.parseNumberID(s, "a user ID", "A user ID is a positive number such as 3350396.")
	case KindOAuthClient:
		return in.parseNumberID(s, "an OAuth client ID", "An OAuth client ID is a positive number such as 100001.")
	case KindRealmID:
		return in.parseNumberID(s, "a realm ID", "A realm ID is a positive number such as 12.")
	case KindEmail:
		if !bareAddress(s) {
			return nil, "", in.isNot(s, "an e-mail address", "Write the bare address, such as jane@example.org.")
		}
		return s, "", nil
	case KindHost:
		return in.parseHost(s)
	}
	return in.parseText(s)
}

// isNot says that s is not what, such as "a user ID".
func (in *Input) isNot(s, what, hint string) *InputError {
	return in.wrong(s, fmt.Sprintf("%s is not %s.", quoteValue(s), what), hint)
}

// hides refuses text whose reader would not see all of it; shown is what the
// person wrote.
func (in *Input) hides(text, shown string) *InputError {
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }):
		return in.wrong(shown, quoteValue(shown)+" has control characters.", "Remove them and try again.")
	case strings.ContainsFunc(text, invisible):
		return in.wrong(shown, quoteValue(shown)+" has invisible or direction-changing characters.", "Type it anew instead of pasting it.")
	}
	return nil
}

func (in *Input) parseInteger(s string) (any, string, *InputError) {
	if !wholeNumber().MatchString(s) {
		return nil, "", in.isNot(s, "a whole number", in.integerRule())
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < in.Least || in.Most != 0 && n > in.Most {
		return nil, "", in.wrong(s, quoteValue(s)+" is out of range.", in.integerRule())
	}
	return n, "", nil
}

func (in *Input) parseChoice(s string) (any, string, *InputError) {
	if slices.Contains(in.Choices, s) {
		return s, "", nil
	}
	hint := "It is one of " + strings.Join(in.Choices, ", ") + "."
	if near := Nearest(s, in.Choices); near != "" {
		hint = fmt.Sprintf("Did you mean %s? ", near) + hint
	}
	if !in.Open || !in.matches(s) {
		return nil, "", in.isNot(s, "one of the choices", hint)
	}
	return s, fmt.Sprintf("%s: %s is not in this release's list; the service will tell whether it exists. %s", in.Name, Quote(s), hint), nil
}

var (
	wholeNumber  = Pattern(`^-?[0-9]+$`)
	digits       = Pattern(`^[1-9][0-9]{0,18}$`)
	entityDigits = Pattern(`^(?i:syn)?([1-9][0-9]{0,17})$`)
	entityMore   = Pattern(`^(?i:syn)?[0-9]+\.[0-9]+$`)
)

func (in *Input) parseNumberID(s, what, hint string) (any, string, *InputError) {
	// Nineteen digits may still exceed the 64 bits that the service has for an ID.
	if _, err := strconv.ParseInt(s, 10, 64); err != nil || !digits().MatchString(s) {
		return nil, "", in.isNot(s, what, hint)
	}
	return s, "", nil
}

func (in *Input) parseEntityID(s string) (any, string, *InputError) {
	if m := entityDigits().FindStringSubmatch(s); m != nil {
		return "syn" + m[1], "", nil
	}
	if entityMore().MatchString(s) {
		return nil, "", in.isNot(s, "an entity ID: it names a version", "Leave out the version: the whole entity is meant, such as syn123.")
	}
	return nil, "", in.isNot(s, "an entity ID", "An entity ID is syn and a positive number, such as syn123.")
}

// mostHost has room for the longest DNS name.
const mostHost = len("https://:65535") + 253

// host is a base URL as the environments file's are compared; plain http is for this
// machine.
var host = Pattern(`^(?:https://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|http://(?:localhost|127\.0\.0\.1|\[::1\]))(?::[1-9][0-9]{0,4})?$`)

func (in *Input) parseHost(s string) (any, string, *InputError) {
	const hint = "A host is a base URL of the environment, such as https://repo-staging.prod.sagebase.org."
	if strings.Contains(s, "@") { // what stands before it may be a password
		return nil, "", &InputError{Input: in.Name, Value: redacted, Reason: "it holds an @: a user or password has no place in a host.", Hint: hint}
	}
	h := strings.TrimSuffix(strings.ToLower(s), "/")
	if len(h) > mostHost || !host().MatchString(h) {
		return nil, "", in.isNot(s, "a host", hint)
	}
	return h, "", nil
}

// bareAddress tells whether s is an e-mail address and nothing else, with a dot in
// its domain.
func bareAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= 254 && !strings.ContainsAny(s, " \t\r\n\"[]") && strings.Contains(s[strings.LastIndex(s, "@"):], ".")
}

func (in *Input) parseText(s string) (any, string, *InputError) {
	most := in.Most
	if most == 0 {
		most = 1000
	}
	if int64(len(s)) > most {
		return nil, "", in.wrong(s, fmt.Sprintf("%s is %d bytes long.", quoteValue(s), len(s)), fmt.Sprintf("At most %d are taken.", most))
	}
	if !in.matches(s) {
		rule := in.Rule
		if rule == "" {
			rule = "It must match " + in.Pattern + "."
		}
		return nil, "", in.wrong(s, quoteValue(s)+" is not accepted.", rule)
	}
	return s, "", nil
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
