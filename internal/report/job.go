package report

import (
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A Brief is what the summary of a workflow's job says around a plan or a result:
// what was asked for, by whom, and where to look and what to do next.
type Brief struct {
	Environment ops.EnvironmentName
	Title       string // such as "remove-user: started"
	Text        string // a sentence or two; may be empty
	Facts       []Fact
	Commands    []Fact // what a person could type next; text is a command
	Links       []Link
}

// A Fact is a label and its text, which may be anything.
type Fact struct {
	Label, Text string
	Code        bool // shown as code
}

// A Link is an address that we made: nothing of it comes from outside.
type Link struct{ Label, URL string }

// Job writes b as GitHub Markdown. Nothing in its texts can form markup, links,
// mentions or HTML.
func Job(w io.Writer, b Brief) error {
	p := newPage(Style{})
	p.brief(b)
	return p.to(w)
}

func (p *page) brief(b Brief) {
	mark := ""
	if production(b.Environment) {
		mark = "🔴 PROD "
	}
	p.line("## ", mark, escape(b.Title))
	p.gap()
	if b.Text != "" {
		p.line(escape(b.Text))
		p.gap()
	}
	for _, f := range b.Facts {
		switch {
		case f.Text == "":
		case f.Code:
			p.markdownRow(escape(f.Label), span(f.Text))
		default:
			p.markdownRow(escape(f.Label), escape(f.Text))
		}
	}
	for _, c := range b.Commands {
		p.markdownRow(escape(c.Label), span(c.Text))
	}
	for i, l := range b.Links {
		if i == 0 {
			p.gap()
		}
		if safeURL(l.URL) {
			p.line("- [", escape(l.Label), "](", l.URL, ")")
		}
	}
}

// safeURL tells whether an address can stand between the brackets of a link.
func safeURL(url string) bool {
	return strings.HasPrefix(url, "https://") && !strings.ContainsFunc(url, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("()<>[]\"`\\|", r)
	})
}

// JobPlan writes a plan as GitHub Markdown: at most 50 effects, and how many more.
// Personal fields are masked in it already.
func JobPlan(w io.Writer, v PlanView, b Brief) error {
	p := newPage(Style{})
	p.brief(b)
	p.gap()
	p.line("**", escape(planCount(v)), "** on ", span(v.Host), ", instance ", span(v.Instance))
	p.gap()
	for _, name := range slices.Sorted(maps.Keys(v.Inputs)) {
		p.markdownRow(escape(name), span(shorten(v.Inputs[name])))
	}
	p.gap()
	shown := v.Effects[:min(len(v.Effects), mostLines)]
	if len(shown) > 0 {
		what := "What would change"
		if v.Reads {
			what = "What it does"
		}
		p.line("| | Target | ", what, " |")
		p.line("|---|---|---|")
	}
	for i, e := range shown {
		p.line("| ", strconv.Itoa(i+1), " | ", escape(e.Label), " | ", escape(plannedText(e)), " |")
	}
	if more := max(v.EffectsTotal, len(v.Effects)) - len(shown); more > 0 {
		p.gap()
		p.line("… and ", number(int64(more)), " more.")
	}
	for i, n := range v.Notes[:min(len(v.Notes), mostLines)] {
		if i == 0 {
			p.gap()
		}
		p.line("- ", escape(n))
	}
	p.gap()
	p.markdownRow("Plan", span(string(v.Digest)))
	if v.Challenge != "" {
		p.markdownRow("Confirm with", span(v.Challenge))
	}
	if v.Command != "" {
		p.markdownRow("On a laptop", span(v.Command))
	}
	return p.to(w)
}

// plannedText is what would become of one target.
func plannedText(e ops.Effect) string {
	if e.Nothing {
		return "nothing: it already is as wanted"
	}
	if e.BeforeAbsent != "" {
		return e.Summary + " (state before unknown: " + e.BeforeAbsent + ")"
	}
	return e.Summary
}
