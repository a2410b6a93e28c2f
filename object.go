package ops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// parseObject parses a single JSON object.
func (in *Input) parseObject(s string) (any, string, *InputError) {
	// Before anything is quoted: escapes may hide a secret from LooksSecret.
	if secretInside(s) {
		return nil, "", in.secret("a value in the JSON object looks like an access token or a key.")
	}
	o, err := canonicalObject(s)
	if err != nil {
		return nil, "", in.wrong(s, fmt.Sprintf("%s is not a JSON object: %v.", quoteValue(s), err), in.example())
	}
	// Escapes are gone now: what they hid shows.
	if bad := in.hides(string(o), s); bad != nil {
		return nil, "", bad
	}
	return o, "", nil
}

// canonicalObject returns the object with keys sorted and no blanks. Numbers keep
// their digits.
func canonicalObject(s string) (Object, error) {
	if key, twice := keyTwice(s); twice {
		// Readers differ in which of the two counts, and the writer can have meant either.
		return "", fmt.Errorf("it has the key %s twice", quoteValue(key))
	}
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
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("%s at byte %d", se.Error(), se.Offset)
	}
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("it is a JSON %s", te.Value)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends too early")
	}
	return err
}

// secretInside tells whether a key or string of the JSON text looks like a secret,
// as it reads without JSON's escapes.
func secretInside(text string) bool {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	for {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		if s, ok := tok.(string); ok && LooksSecret(s) {
			return true
		}
	}
}

// keyTwice returns the first key that one object in s has twice. It says nothing of
// text that is not JSON.
func keyTwice(s string) (string, bool) {
	type level struct {
		keys  map[string]bool // nil in an array
		isKey bool            // the next token is a key
	}
	var open []*level
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	for {
		tok, err := dec.Token()
		if err != nil {
			return "", false
		}
		var top *level
		if len(open) > 0 {
			top = open[len(open)-1]
		}
		if key, ok := tok.(string); ok && top != nil && top.isKey {
			if top.keys[key] {
				return key, true
			}
			top.keys[key], top.isKey = true, false
			continue
		}
		switch tok {
		case json.Delim('{'):
			open = append(open, &level{keys: map[string]bool{}, isKey: true})
			continue
		case json.Delim('['):
			open = append(open, &level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
			if len(open) > 0 {
				top = open[len(open)-1]
			} else {
				top = nil
			}
		}
		if top != nil {
			top.isKey = top.keys != nil // a value has ended
		}
	}
}

// CanonicalJSON returns v as JSON with sorted keys, no blanks and no HTML
// escapes, the form that digests are taken of. Struct fields keep their order.
// What was read from it and is written again gives the same bytes.
func CanonicalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return plainReplacements(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// plainReplacements writes each escaped U+FFFD of a JSON text as itself. The
// encoder escapes the one it puts for an invalid byte, but not one it was given: a
// document would change when it is read and written again.
func plainReplacements(b []byte) []byte {
	const escaped = `\ufffd`
	if !bytes.Contains(b, []byte(escaped)) {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		switch {
		case bytes.HasPrefix(b[i:], []byte(escaped)):
			out = append(out, "\ufffd"...)
			i += len(escaped)
		case b[i] == '\\':
			out = append(out, b[i:i+2]...) // the next byte is escaped: it begins no escape
			i += 2
		default:
			out = append(out, b[i])
			i++
		}
	}
	return out
}
