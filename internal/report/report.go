// Package report renders plans, results, tasks and listings for people: text for
// a terminal or a pipe, Markdown for a step summary, and JSON.
//
// What is not here: deciding anything, and any output beyond the given writer.
// Each function writes once and returns the writer's error. Everything that came
// from outside is made harmless first: it cannot move the cursor, color, reorder
// or break a line.
package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Style tells how text is to look. The zero Style is plain, 80 wide, UTC only.
type Style struct {
	Color bool           // escape sequences for colors; NO_COLOR is the caller's to honor
	Width int            // columns; 0: 80. Never less than 40
	Local *time.Location // times are also shown in it where it is not UTC; nil: UTC only
	Flags string         // what commands shown must carry, such as " --store DIR"
}

// mostLines bounds what is listed of one kind.
const mostLines = 50

// The colors, as SGR parameters.
const (
	red      = "31"
	green    = "32"
	yellow   = "33"
	dim      = "2"
	bold     = "1"
	prodMark = "1;37;41" // white on red
)

// A page is a text being composed.
type page struct {
	bytes.Buffer
	Style
}

func newPage(st Style) *page {
	if st.Width == 0 {
		st.Width = 80
	}
	st.Width = max(st.Width, 40)
	return &page{Style: st}
}

// to writes the page.
func (p *page) to(w io.Writer) error {
	_, err := w.Write(p.Bytes())
	return err
}

// paint colors text, which must be clean and is not measured after.
func (p *page) paint(color, text string) string {
	if !p.Color || text == "" || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// line writes one line as it is.
func (p *page) line(parts ...string) {
	p.WriteString(strings.TrimRight(strings.Join(parts, ""), " "))
	p.WriteByte('\n')
}

// gap writes an empty line, but never two and none at the top.
func (p *page) gap() {
	if p.Len() > 0 && !bytes.HasSuffix(p.Bytes(), []byte("\n\n")) {
		p.WriteByte('\n')
	}
}

// field writes a label of the given width and a text that is wrapped beside it.
// An empty text writes nothing.
func (p *page) field(label string, width int, text string) {
	if text == "" {
		return
	}
	p.hang(p.paint(dim, pad(label, width))+"  ", width+2, text)
}

// step writes a field that may hold a command. A command is not wrapped: it is
// there to be copied, and where it cannot be shown as it is, that is said.
func (p *page) step(label string, width int, text string) {
	shown := Clean(text)
	if !strings.Contains(text, "synops ") {
		p.field(label, width, shown)
		return
	}
	if shown != text {
		shown += "  (not to be copied: some of its characters cannot be shown)"
	}
	p.line(p.paint(dim, pad(label, width)), "  ", shown)
}

// next writes what to do next.
func (p *page) next(text string) { p.step("next", 4, text) }

// hang writes text after lead, whose width is indent, wrapped in a column of its
// own.
func (p *page) hang(lead string, indent int, text string) {
	for i, l := range wrap(text, p.Width-indent) {
		if i > 0 {
			lead = strings.Repeat(" ", indent)
		}
		p.line(lead, l)
	}
}

// title writes the first line: the environment's mark, a word and the rest.
func (p *page) title(env ops.EnvironmentName, color, word, rest string) {
	p.line(p.environment(env), p.paint(color, word), "  ", rest)
}

// environment marks prod; any other environment has no mark.
func (p *page) environment(env ops.EnvironmentName) string {
	if !production(env) {
		return ""
	}
	return p.paint(prodMark, Mark(env)) + "  "
}

// Mark is what names an environment in a line for people: prod in capitals.
func Mark(env ops.EnvironmentName) string { return Clean(environmentCell(env)) }

// Marked is Mark, standing out where it is production and colors may be used.
func Marked(env ops.EnvironmentName, st Style) string {
	if !production(env) || !st.Color {
		return Mark(env)
	}
	return newPage(st).paint(prodMark, Mark(env))
}

// production tells whether an environment is marked: a name that only begins so
// is marked too, for a mark too many harms nobody.
func production(env ops.EnvironmentName) bool { return strings.HasPrefix(string(env), "prod") }

// clock renders a time of day, "14:15:02 UTC (06:15:02 PST)"; day puts the date
// before it. The zero time is "".
func (st Style) clock(t time.Time, day bool) string {
	if t.IsZero() {
		return ""
	}
	utc, layout := t.UTC(), time.TimeOnly
	if day {
		layout = time.DateTime
	}
	s := utc.Format(layout + " MST")
	if st.Local == nil {
		return s
	}
	local := t.In(st.Local)
	if _, offset := local.Zone(); offset == 0 {
		return s
	}
	layout = time.TimeOnly
	if local.YearDay() != utc.YearDay() {
		layout = time.DateTime
	}
	return s + " (" + local.Format(layout+" MST") + ")"
}

// Length renders how long something took: "41s", "1m12s", "26h03m".
func Length(d time.Duration) string { return length(d) }

// length renders how long something took: "41s", "1m12s", "26h03m".
func length(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// size renders a number of bytes.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// number groups the digits of n by three.
func number(n int64) string {
	s := fmt.Sprint(n)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
