package ops

// Kind is the type of an input's value, or of each value of a list.
type Kind string

// The kinds.
const (
	KindText        Kind = "text"
	KindInteger     Kind = "integer"
	KindBoolean     Kind = "boolean"
	KindChoice      Kind = "choice"
	KindUserID      Kind = "user ID"
	KindEntityID    Kind = "entity ID"
	KindOAuthClient Kind = "OAuth client ID"
	KindRealmID     Kind = "realm ID"
	KindEmail       Kind = "e-mail"
	KindJSON        Kind = "JSON object"
	KindHost        Kind = "host" // a base URL; the environment must list it
)

// An Input declares one typed field of a task.
type Input struct {
	Name     string   `json:"name"`
	Help     string   `json:"help"`
	Kind     Kind     `json:"kind"`
	List     bool     `json:"list,omitempty"`
	Default  string   `json:"default,omitempty"`
	Optional bool     `json:"optional,omitempty"` // may be absent although it has no default
	Example  string   `json:"example,omitempty"`
	Pattern  string   `json:"pattern,omitempty"` // for text: a regular expression, matched against the whole value
	Rule     string   `json:"rule,omitempty"`    // the pattern in words
	Least    int64    `json:"least,omitempty"`   // for integer
	Most     int64    `json:"most,omitempty"`    // for integer; for text, the longest value in bytes (0: 1,000)
	Choices  []string `json:"choices,omitempty"`
	// Open lets a choice that is not listed pass with a warning, if it matches
	// Pattern: the service may know more than this release does.
	Open     bool `json:"open,omitempty"`
	Personal bool `json:"personal,omitempty"`
}

// Values are the parsed, canonical values of a task's inputs. They are made by
// Task.Parse only; the zero Values holds nothing. Safe for concurrent use.
type Values struct {
	inputs []Input
	values map[string]any // string, int64, bool, []string or Object
	notes  []string
}

// Object is a JSON object's canonical text.
type Object string

// Text returns the value of a text-like input, "" when absent. For an integer or
// a boolean it is the canonical text.
func (v Values) Text(name string) string {
	return canonicalText(v.values[name])
}

// Int returns the value of an integer input, 0 when absent.
func (v Values) Int(name string) int64 { n, _ := v.values[name].(int64); return n }

// Bool returns the value of a boolean input, false when absent.
func (v Values) Bool(name string) bool { b, _ := v.values[name].(bool); return b }

// List returns the values of a list input in the order given, each once. The
// caller must not change the slice.
func (v Values) List(name string) []string { l, _ := v.values[name].([]string); return l }

// JSON returns the text of a JSON object input, "" when absent.
func (v Values) JSON(name string) string { o, _ := v.values[name].(Object); return string(o) }

// Has tells whether a value was given or defaulted.
func (v Values) Has(name string) bool { _, ok := v.values[name]; return ok }

// Notes tells what parsing folded or let through, a sentence each.
func (v Values) Notes() []string { return v.notes }

// Canonical returns the values as text, absent ones left out: parsing it again
// gives the same Values. This is the form a Request carries.
func (v Values) Canonical() map[string]string {
	m := make(map[string]string, len(v.values))
	for name, val := range v.values {
		m[name] = canonicalText(val)
	}
	return m
}

// Masked returns Canonical with personal values masked, for people to read.
func (v Values) Masked() map[string]string {
	m := v.Canonical()
	for _, in := range v.inputs {
		if _, ok := m[in.Name]; !ok || !in.Personal {
			continue
		}
		switch list := v.List(in.Name); {
		case in.Kind != KindEmail:
			m[in.Name] = "***"
		case list != nil:
			masked := make([]string, len(list))
			for i, s := range list {
				masked[i] = MaskEmail(s)
			}
			m[in.Name] = joinList(masked)
		default:
			m[in.Name] = MaskEmail(m[in.Name])
		}
	}
	return m
}
