package ops_test

import (
	"strconv"
	"strings"
	"testing"
)

// wantPrintable fails when a message for people could act on the terminal it is
// printed to, hide text from its reader or flood them: each line is made of
// printable characters only and stays under 1 KiB.
func wantPrintable(t testing.TB, message string) {
	t.Helper()
	for _, line := range strings.Split(message, "\n") {
		if len(line) >= 1024 {
			t.Errorf("a line of the message is %d bytes long, want under 1 KiB: %.200q…", len(line), line)
		}
		for i, r := range line {
			// IsPrint is false for controls, direction marks, zero-width characters, unusual
			// blanks and line separators. Invalid bytes come as U+FFFD of width one.
			if !strconv.IsPrint(r) || r == '\uFFFD' && !strings.HasPrefix(line[i:], "\uFFFD") {
				t.Errorf("the message holds %U at byte %d: %.200q", r, i, line)
				break
			}
		}
	}
}
