package report

import (
	"io"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A Row is one run in a listing.
type Row struct {
	Run         ops.RunID           `json:"run"`
	Task        ops.TaskName        `json:"task"`
	Environment ops.EnvironmentName `json:"environment"`
	Lane        ops.Lane            `json:"lane"`
	State       ops.RunState        `json:"state"`
	Outcome     ops.Outcome         `json:"outcome,omitempty"` // once ended
	Lost        bool                `json:"lost,omitempty"`    // its heartbeat is stale
	Requester   string              `json:"requester"`
	Reason      string              `json:"reason,omitempty"`
	Asked       time.Time           `json:"asked"`
	Problem     string              `json:"problem,omitempty"` // why its documents cannot be read
}

// A column of a table. Cells are clean.
type column struct {
	head  string
	cells []string
	color func(row int) string // nil: none
	most  int                  // widest; 0: as wide as it needs
	whole bool                 // never cut, although it is the last
}

// table writes columns side by side. The last is cut at the page's width where it is
// the least telling.
func (p *page) table(columns []column) {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = cells(c.head)
		for _, s := range c.cells {
			widths[i] = max(widths[i], cells(s))
		}
		if c.most > 0 {
			widths[i] = min(widths[i], c.most)
		}
	}
	rows := len(columns[0].cells)
	for row := -1; row < rows; row++ {
		used := 0
		var line strings.Builder
		for i, c := range columns {
			text, color := c.head, dim
			if row >= 0 {
				text, color = c.cells[row], ""
				if c.color != nil {
					color = c.color(row)
				}
			}
			width := widths[i]
			if i == len(columns)-1 && !c.whole {
				width = max(8, min(width, p.Width-used))
			}
			text = clip(text, width)
			line.WriteString(p.paint(color, text))
			if i < len(columns)-1 {
				line.WriteString(strings.Repeat(" ", width-cells(text)+2))
			}
			used += width + 2
		}
		p.line(line.String())
	}
}

// Runs writes a listing of runs, in the order given. The task is in the run ID.
// The reason is shown where there is room.
func Runs(w io.Writer, rows []Row, st Style) error {
	p := newPage(st)
	if len(rows) == 0 {
		p.line("No runs.")
		return p.to(w)
	}
	columns := []column{
		{head: "RUN"},
		{head: "ENVIRONMENT", color: func(i int) string {
			if production(rows[i].Environment) {
				return red
			}
			return ""
		}},
		{head: "OUTCOME", color: func(i int) string {
			switch {
			case rows[i].Problem != "" || rows[i].Lost:
				return red
			case rows[i].Outcome == "":
				return ""
			}
			return outcomeColor(rows[i].Outcome)
		}},
		{head: "REQUESTER", most: 20},
		{head: "REASON"},
	}
	for _, r := range rows {
		for i, s := range []string{string(r.Run), environmentCell(r.Environment), stateWord(r), r.Requester, r.Reason} {
			columns[i].cells = append(columns[i].cells, Clean(s))
		}
	}
	if p.Width < 100 {
		columns = columns[:4]
	}
	p.table(columns)
	return p.to(w)
}

// environmentCell marks prod in plain text too.
func environmentCell(env ops.EnvironmentName) string {
	if production(env) {
		return strings.ToUpper(string(env))
	}
	return string(env)
}

func stateWord(r Row) string {
	switch {
	case r.Problem != "":
		return "unreadable"
	case r.Outcome != "":
		return string(r.Outcome)
	case r.Lost:
		return string(r.State) + " (lost?)"
	}
	return string(r.State)
}

// Leases writes who holds what.
func Leases(w io.Writer, leases []ops.Lease, st Style) error {
	p := newPage(st)
	if len(leases) == 0 {
		p.line("No leases are held.")
		return p.to(w)
	}
	columns := []column{
		{head: "LEASE", most: 30},
		{head: "ENVIRONMENT", color: func(i int) string {
			if production(leases[i].Environment) {
				return red
			}
			return ""
		}},
		{head: "HELD BY"},
		{head: "SINCE"},
	}
	for _, l := range leases {
		since := p.clock(l.At, true)
		if !l.Released.IsZero() {
			since = "released " + p.clock(l.Released, true)
		}
		for i, s := range []string{l.Name, environmentCell(l.Environment), string(l.Run), since} {
			columns[i].cells = append(columns[i].cells, Clean(s))
		}
	}
	if p.Width < 100 { // the time would be cut: it goes below
		p.leasesNarrow(columns)
		return p.to(w)
	}
	p.table(columns)
	return p.to(w)
}

// leasesNarrow writes a lease in two lines.
func (p *page) leasesNarrow(columns []column) {
	for i, name := range columns[0].cells {
		p.line(name, "  ", p.paint(columns[1].color(i), columns[1].cells[i]))
		p.line("  ", columns[2].cells[i], "  ", p.paint(dim, columns[3].cells[i]))
	}
}
