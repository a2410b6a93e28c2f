package ops

import (
	"strings"
	"unicode/utf8"
)

// Secret shapes: personal and GitHub tokens, JWTs, AWS keys, key files, bearer
// headers. They are matched anywhere in the text.
var secretShape = Pattern(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|(?i:\bbearer\s+[A-Za-z0-9._~+/-]{16,})|(?i:xox[abprs]-[A-Za-z0-9-]{10,})`)

// secretMarks are what one of secretShape's alternatives must hold, in lower case.
var secretMarks = []string{"eyj", "gh", "github_pat_", "akia", "asia", "-----begin", "bearer", "xox"}

// LooksSecret tells whether text holds something of the shape of a token or key.
func LooksSecret(s string) bool {
	// Lists run to megabytes, and the expression takes 0.1 µs a byte.
	lower := strings.ToLower(s)
	for _, mark := range secretMarks {
		if strings.Contains(lower, mark) {
			return secretShape().MatchString(s)
		}
	}
	return false
}

// redacted stands for a value that looks like a secret.
const redacted = "[redacted]"

// MaskEmail masks an e-mail address for people: first letter and domain stay. Of
// what is not one bare address nothing stays.
func MaskEmail(s string) string {
	if !bareAddress(s) {
		return "***"
	}
	_, n := utf8.DecodeRuneInString(s)
	return s[:n] + "***" + s[strings.LastIndex(s, "@"):]
}
