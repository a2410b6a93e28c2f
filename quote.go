package ops

import (
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Quote renders text that came from outside for a message: quoted, every
// character escaped that a terminal would obey or a reader not see (controls,
// direction marks, zero-width and unusual blanks, invalid bytes), and cut after
// 120 characters or 480 bytes with the full length named.
func Quote(s string) string {
	const mostRunes, mostBytes = 120, 480
	q := []byte{'"'}
	runes := 0
	for rest := s; rest != ""; runes++ {
		_, n := utf8.DecodeRuneInString(rest)
		one := strconv.Quote(rest[:n]) // byte by byte where invalid, which AppendQuoteRune would hide
		if runes == mostRunes || len(q)+len(one)-2 > mostBytes {
			return fmt.Sprintf("%s\"… (%d bytes)", q, len(s))
		}
		q = append(q, one[1:len(one)-1]...)
		rest = rest[n:]
	}
	return string(append(q, '"'))
}

// visible is Quote for text that has quotes of its own, such as JSON: no quotes are
// put around it, and those inside stay as they are.
func visible(s string) string {
	const most = 120
	var b []byte
	for _, r := range s {
		if len(b) > most {
			return fmt.Sprintf("%s… (%d bytes)", b, len(s))
		}
		q := strconv.QuoteRune(r)
		if strconv.IsPrint(r) {
			q = "'" + string(r) + "'"
		}
		b = append(b, q[1:len(q)-1]...)
	}
	return string(b)
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

// invisible tells whether a reader of r would see nothing of it, or see the text
// around it in another order. Controls are not asked here.
func invisible(r rune) bool {
	return r > unicode.MaxASCII && unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)
}
