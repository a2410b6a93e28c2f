package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text from outside safe to print within a line: line ends and tabs
// become spaces; control, invisible, direction-changing and invalid characters
// become visible escapes such as \x1b or \u202e.
func Clean(s string) string {
	if plainASCII(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\n' || r == '\t' || unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		case r == '\r':
		case r == utf8.RuneError:
			b.WriteString(invalid(s[i:]))
		case r < 0x80 && unicode.IsControl(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case invisible(r) && r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		case invisible(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// invisible characters, the direction marks among them, are not graphic. Some
// that are take no place either: fillers and variation selectors.
func invisible(r rune) bool {
	return !unicode.IsGraphic(r) || unicode.Is(unicode.Variation_Selector, r) ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

func invalid(rest string) string {
	if _, n := utf8.DecodeRuneInString(rest); n > 1 {
		return "\ufffd" // really there
	}
	return fmt.Sprintf(`\x%02x`, rest[0])
}

// cells is how many columns a clean text takes on a terminal.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += cell(r)
	}
	return n
}

func cell(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60,
		r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2 // East Asian and emoji
	}
	return 1
}

// pad fills s with spaces up to width.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-cells(s)))
}

// clip cuts s to width, with an ellipsis where something is cut.
func clip(s string, width int) string {
	if cells(s) <= width {
		return s
	}
	n := 0
	for i, r := range s {
		if n += cell(r); n > width-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// wrap breaks a clean text into lines of at most width, at spaces; a longer word,
// such as a URL, stays whole so that it can be copied.
func wrap(s string, width int) []string {
	width = max(width, 20)
	var lines []string
	line, n := "", 0
	for word := range strings.FieldsSeq(s) {
		w := cells(word)
		switch {
		case line == "":
			line, n = word, w
		case n+1+w <= width:
			line, n = line+" "+word, n+1+w
		default:
			lines = append(lines, line)
			line, n = word, w
		}
	}
	return append(lines, line)
}
