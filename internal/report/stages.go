package report

import (
	"fmt"
	"io"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Stages is how far a run is that other runs carry out.
type Stages struct {
	Run         ops.RunID           `json:"run"`
	Task        ops.TaskName        `json:"task"`
	Environment ops.EnvironmentName `json:"environment"`
	State       string              `json:"state"` // queued, running, waiting, succeeded or canceled
	Requester   string              `json:"requester"`
	Stages      []StageRow          `json:"stages"`
	Waits       *StageWait          `json:"waits,omitempty"`
}

// A StageRow is one stage.
type StageRow struct {
	Stage   string       `json:"stage"`
	Task    ops.TaskName `json:"task"`
	Run     ops.RunID    `json:"run,omitempty"`
	State   string       `json:"state"`
	Stops   string       `json:"stops,omitempty"` // what cannot be taken back of it; before it the whole stops
	Message string       `json:"message,omitempty"`
	Started time.Time    `json:"started,omitzero"`
	Ended   time.Time    `json:"ended,omitzero"`
}

// A StageWait is why the run stands still, and how it goes on.
type StageWait struct {
	Stage  string    `json:"stage,omitempty"` // whose answer is waited for
	Why    string    `json:"why"`
	Plan   *ops.Plan `json:"plan,omitempty"`   // of that stage
	Answer string    `json:"answer,omitempty"` // that it asks for
	Next   string    `json:"next"`
}

// Over tells whether the whole is over.
func (s *Stages) Over() bool {
	return s.State == string(ops.Succeeded) || s.State == string(ops.RunCanceled)
}

// Sentence is how far the whole is: "2 of 5 stages done".
func (s *Stages) Sentence() string {
	done := 0
	for _, r := range s.Stages {
		if r.State == string(ops.Succeeded) {
			done++
		}
	}
	text := fmt.Sprintf("%d of %d stages done", done, len(s.Stages))
	switch {
	case s.State == string(ops.RunCanceled):
		text += ", canceled"
	case s.Waits != nil && s.Waits.Stage != "":
		text += ", waits before " + s.Waits.Stage
	}
	return text
}

// Timeline writes the stages in order, when each began and how long it took, and
// what the whole waits for.
func Timeline(w io.Writer, s Stages, st Style) error {
	p := newPage(st)
	p.title(s.Environment, bold, string(s.Task), fmt.Sprintf("in %s: %s", Clean(string(s.Environment)), Clean(s.Sentence())))
	p.gap()
	columns := []column{{head: "STAGE"}, {head: "STATE"}, {head: "BEGAN"}, {head: "TOOK"}, {head: "RUN", whole: true}}
	for _, r := range s.Stages {
		began, took := p.times(r)
		for i, text := range []string{r.Stage, r.State, began, took, string(r.Run)} {
			columns[i].cells = append(columns[i].cells, Clean(text))
		}
	}
	p.table(columns)
	for _, r := range s.Stages {
		if r.Message != "" && r.State != string(ops.Succeeded) {
			p.gap()
			p.hang(Clean(r.Stage)+"  ", cells(Clean(r.Stage))+2, Clean(r.Message))
		}
	}
	p.waits(s.Waits)
	p.gap()
	p.field("requester", 9, Clean(s.Requester))
	p.field("run", 9, Clean(string(s.Run)))
	return p.to(w)
}

// times are when a stage began, and how long it took.
func (p *page) times(r StageRow) (began, took string) {
	if !r.Started.IsZero() {
		began = p.clock(r.Started, true)
	}
	if !r.Ended.IsZero() {
		took = length(r.Ended.Sub(r.Started).Round(time.Second))
	}
	return began, took
}

// JobTimeline writes the timeline as GitHub Markdown, and where the whole waits the
// plan that is asked about and what the form Resume takes.
func JobTimeline(w io.Writer, s Stages, b Brief) error {
	p := newPage(Style{})
	b.Title = fmt.Sprintf("%s in %s: %s", s.Task, s.Environment, s.Sentence())
	p.brief(b)
	p.gap()
	p.line("| Stage | State | Began | Took | Run |")
	p.line("|---|---|---|---|---|")
	for _, r := range s.Stages {
		began, took := p.times(r)
		p.line("| ", escape(r.Stage), " | ", escape(r.State), " | ", escape(began), " | ", escape(took), " | ", span(string(r.Run)), " |")
	}
	for _, r := range s.Stages {
		if r.Message != "" && r.State != string(ops.Succeeded) {
			p.gap()
			p.line("**", escape(r.Stage), "**: ", escape(r.Message))
		}
	}
	if wait := s.Waits; wait != nil {
		p.gap()
		p.jobWaits(s, wait)
	}
	return p.to(w)
}

func (p *page) jobWaits(s Stages, w *StageWait) {
	if w.Stage == "" {
		p.line(escape("It stands still: "+w.Why), " Go on with the workflow ", span("Run: resume"), " and this run:")
		p.gap()
		p.markdownRow("run", span(string(s.Run)))
		return
	}
	p.line("It waits before stage **", escape(w.Stage), "**, which cannot be taken back: ", escape(w.Why))
	p.gap()
	if w.Plan != nil {
		shown := w.Plan.Effects[:min(len(w.Plan.Effects), mostLines)]
		for _, e := range shown {
			p.line("- ", escape(e.Label), ": ", escape(plannedText(e)))
		}
		if more := max(w.Plan.EffectsTotal, len(w.Plan.Effects)) - len(shown); more > 0 {
			p.line("- … and ", number(int64(more)), " more.")
		}
		for _, n := range w.Plan.Notes[:min(len(w.Plan.Notes), mostLines)] {
			p.line("- ", escape(n))
		}
		p.gap()
	}
	p.line("If that is what you mean, fill in the workflow ", span("Run: resume"), " with:")
	p.gap()
	p.markdownRow("run", span(string(s.Run)))
	if w.Plan != nil {
		p.markdownRow("plan", span(string(w.Plan.Digest)))
	}
	p.markdownRow("confirm", span(w.Answer))
}

func (p *page) waits(w *StageWait) {
	if w == nil {
		return
	}
	p.gap()
	if w.Stage == "" {
		p.hang("", 0, Clean(w.Why))
		p.next(Clean(w.Next))
		return
	}
	p.hang("", 0, Clean(fmt.Sprintf("It waits before stage %s, which cannot be taken back: %s", w.Stage, w.Why)))
	p.gap()
	if w.Plan != nil {
		for _, e := range w.Plan.Effects {
			p.hang("  "+Clean(e.Label)+"  ", cells(Clean(e.Label))+4, Clean(e.Summary))
		}
		for _, n := range w.Plan.Notes {
			p.hang("  - ", 4, Clean(n))
		}
		p.gap()
	}
	p.line("If that is what you mean:")
	p.line("  ", Clean(w.Next))
}
