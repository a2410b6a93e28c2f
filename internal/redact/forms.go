package redact

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// forms lists the spellings under which a secret is masked: as it is, each longer
// line of it, and those escaped as Go, JSON and URLs do and in base64. A form
// shorter than Shortest is left out.
func forms(secret string) []string {
	var out []string
	for _, part := range parts(secret) {
		out = append(out, part)
		out = append(out, escaped(part)...)
		out = append(out, encoded(part)...)
	}
	seen := map[string]bool{}
	kept := out[:0]
	for _, f := range out {
		if len(f) >= Shortest && !seen[f] {
			seen[f] = true
			kept = append(kept, f)
		}
	}
	return kept
}

// parts returns the secret and, when it has several lines, each line: logs print
// them one by one, with something before each.
func parts(secret string) []string {
	out := []string{secret}
	if strings.ContainsAny(secret, "\r\n") {
		for line := range strings.Lines(secret) {
			out = append(out, strings.TrimSpace(line))
		}
		// The same with the other line end.
		unix := strings.ReplaceAll(secret, "\r\n", "\n")
		out = append(out, unix, strings.ReplaceAll(unix, "\n", "\r\n"))
	}
	return out
}

func escaped(s string) []string {
	inner := func(q string) string { return q[1 : len(q)-1] }
	out := []string{
		inner(strconv.Quote(s)), inner(strconv.QuoteToASCII(s)),
		url.QueryEscape(s), url.PathEscape(s), strings.ReplaceAll(url.QueryEscape(s), "+", "%20"),
	}
	if b, err := json.Marshal(s); err == nil { // with <, > and & escaped
		out = append(out, inner(string(b)))
	}
	var plain strings.Builder
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) == nil {
		out = append(out, inner(strings.TrimSuffix(plain.String(), "\n")))
	}
	for _, u := range out[2:5] {
		out = append(out, lowerEscapes(u))
	}
	return out
}

var percent = regexp.MustCompile(`%[0-9A-F]{2}`)

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string { return percent.ReplaceAllStringFunc(s, strings.ToLower) }

// encoded returns the base64 forms: of the secret alone, and the characters that
// do not depend on what stands before and after it, for each of the three ways it
// may be aligned, as in the "user:secret" of an Authorization header.
func encoded(s string) []string {
	var out []string
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		out = append(out, enc.EncodeToString([]byte(s)))
		for offset := range 3 {
			text := enc.EncodeToString(append(make([]byte, offset), s...))
			// Each character holds 6 bits: those that share bits with a neighbor vary.
			first, last := (offset*8+5)/6, (offset+len(s))*8/6
			out = append(out, text[first:last])
		}
	}
	return out
}
