package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Properties of templates are decoded into the structs that services keep, whose
// fields have the names of the properties. CloudFormation takes "true" for true and
// "480" for 480, as parameters are texts; so do these types.

// A Number is a whole number.
type Number int

// UnmarshalJSON takes the number or its text.
func (n *Number) UnmarshalJSON(b []byte) error {
	v, err := strconv.Atoi(strings.Trim(string(b), `"`))
	if err != nil {
		return fmt.Errorf("%s is not a whole number", b)
	}
	*n = Number(v)
	return nil
}

// A Flag is true or false.
type Flag bool

// UnmarshalJSON takes the truth value or its text.
func (f *Flag) UnmarshalJSON(b []byte) error {
	v := strings.Trim(string(b), `"`)
	if v != "true" && v != "false" {
		return fmt.Errorf("%s is neither true nor false", b)
	}
	*f = v == "true"
	return nil
}

// A Text may be written as a number or truth value.
type Text string

// UnmarshalJSON takes any plain value for its text.
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	if len(b) > 0 && (b[0] == '{' || b[0] == '[') {
		return fmt.Errorf("%s is not a text", b)
	}
	*t = Text(b)
	return nil
}

// A document is a policy, kept as JSON text. A template writes it as an object.
type document string

// UnmarshalJSON keeps the object's text with its members sorted.
func (d *document) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	if s, ok := v.(string); ok {
		*d = document(s)
		return nil
	}
	out, err := json.Marshal(v)
	*d = document(out)
	return err
}

// MarshalJSON writes the document as the object that it is.
func (d document) MarshalJSON() ([]byte, error) {
	if d == "" {
		return []byte("null"), nil
	}
	return []byte(d), nil
}

// A Tag is one as templates write it.
type Tag struct {
	Key   string
	Value Text
}

// decodeProperties reads a resource's properties strictly: one that the struct does
// not have is not modeled.
func decodeProperties[T any](kind string, properties map[string]any) (T, error) {
	var v T
	b, err := json.Marshal(properties)
	if err != nil {
		return v, fmt.Errorf("reading properties of %s: %w", kind, err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		if what, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return v, notModeled(kind, "property "+what)
		}
		return v, fault("ValidationError", "Properties validation failed for resource of type %s: %v", kind, err)
	}
	return v, nil
}

// encodeProperties writes a struct as the properties of a template; those that are
// empty are left out.
func encodeProperties(v any) (map[string]any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing properties: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("writing properties: %w", err)
	}
	return m, nil
}
