// Package secret holds the administrator's token: a type that cannot be printed
// by accident, and the sources it is read from.
//
// What is not here: writing a secret anywhere, and the AWS SDK. Secrets Manager
// is asked through a function that is handed in.
package secret

import (
	"fmt"
	"log/slog"
)

const mark = "[redacted]"

// A Secret is a value that prints as [redacted] with every verb, in JSON, in text
// encodings and in slog. The zero Secret is empty. Safe for concurrent use.
type Secret struct {
	// A function, not a string: fmt and other printers look through unexported
	// fields of structs around this one, where no method of ours is asked.
	reveal func() string
}

// New returns value as a Secret.
func New(value string) Secret { return Secret{reveal: func() string { return value }} }

// Reveal returns the value, for the one place that sends it.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// Format prints [redacted], whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(mark)) }

// String returns [redacted].
func (Secret) String() string { return mark }

// LogValue returns [redacted].
func (Secret) LogValue() slog.Value { return slog.StringValue(mark) }

// MarshalText returns [redacted], for JSON and others.
func (Secret) MarshalText() ([]byte, error) { return []byte(mark), nil }
