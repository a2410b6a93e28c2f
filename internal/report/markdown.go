package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Markdown writes a result as GitHub Markdown for a step summary: at most 50
// effects, failures first, and well under the 1 MiB that a summary may have.
// Nothing in the result can form markup, links, mentions or HTML.
func Markdown(w io.Writer, r *ops.Result) error {
	p := newPage(Style{})
	mark := ""
	if production(r.Environment) {
		mark = "🔴 PROD "
	}
	p.line("## ", mark, escape(string(r.Task)), " in ", escape(string(r.Environment)), ": ", escape(outcomeWord(r)))
	p.gap()
	if r.Message != r.Changed && r.Message != "Done." {
		p.line(escape(r.Message))
		p.gap()
	}
	p.markdownRow("Changed", escape(r.Changed))
	p.markdownRow("Not changed", escape(r.Unchanged))
	p.markdownRow("Next", stepMarkdown(nextOf(r)))
	p.markdownEffects(r)
	for i, n := range r.Notes {
		if i == 0 {
			p.gap()
		}
		if i == mostLines {
			break
		}
		p.line("- ", escape(n))
	}
	p.gap()
	p.markdownRow("Undo", stepMarkdown(r.Undo))
	for _, a := range r.Artifacts[:min(len(r.Artifacts), mostLines)] {
		p.markdownRow("Artifact", span(a.Name)+" "+size(a.Size)+" "+span(a.Path))
	}
	p.markdownRow("Plan", span(string(r.PlanDigest)))
	p.markdownRow("Requester", escape(r.Requester))
	p.markdownRow("Ended", p.clock(r.Ended, true))
	p.markdownRow("Run", span(string(r.Run)))
	p.markdownRow("Look again", span("synops show "+ops.ShellQuote(string(r.Run))))
	return p.to(w)
}

// markdownRow writes a list item; text is safe.
func (p *page) markdownRow(label, text string) {
	if text != "" {
		p.line("- **", label, "**: ", text)
	}
}

func (p *page) markdownEffects(r *ops.Result) {
	if len(r.Effects) == 0 {
		return
	}
	p.gap()
	p.line(escape(counts(r.Counts)))
	p.gap()
	p.line("| Outcome | Target | |")
	p.line("|---|---|---|")
	sorted := worstFirst(r.Effects)
	shown := sorted[:min(len(sorted), mostLines)]
	for _, e := range shown {
		p.line("| ", escape(words(string(e.Outcome))), " | ", escape(e.Target), " | ", escape(effectText(e)), " |")
	}
	if more := max(r.EffectsTotal, len(r.Effects)) - len(shown); more > 0 {
		p.gap()
		p.line("… and ", number(int64(more)), " more ", escape(effectsFile(r)))
	}
}

// stepMarkdown shows a command as code, anything else as text.
func stepMarkdown(s string) string {
	if strings.HasPrefix(s, "synops ") && Clean(s) == s {
		return span(s)
	}
	return escape(s)
}

// mostMarkdown bounds one text in bytes, so that fifty effects stay far under
// what a step summary may have.
const mostMarkdown = 2000

func bounded(s string) string {
	if len(s) <= mostMarkdown {
		return s
	}
	cut := mostMarkdown
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// escape makes text stand for itself in Markdown, also within a table: every
// character that could begin or end markup becomes a character reference, which
// can do neither. The dot and the colon are among them, for bare URLs become
// links.
func escape(s string) string {
	s = strings.TrimSpace(Clean(bounded(s))) // four spaces in front would make code
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '.' && i == digits: // "1. " begins a list
			b.WriteString("&#46;")
		case r > '~', r == ' ', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case strings.ContainsRune(",;?'/%=", r), (r == '.' || r == ':') && endsWord(s[i+1:]), r == '-' && i > 0:
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}

// endsWord tells whether what follows is a space or nothing: a dot there is a
// full stop.
func endsWord(rest string) bool { return rest == "" || rest[0] == ' ' }

// span shows text as code, "" for "". A fence longer than any run of backticks
// inside cannot be closed from inside.
func span(s string) string {
	s = Clean(bounded(s))
	if s == "" {
		return ""
	}
	longest, run := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	fence := strings.Repeat("`", longest+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}
