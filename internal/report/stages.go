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
	Message string       `json:"message,omitempty"`
	Started time.Time    `json:"started,omitzero"`
	Ended   time.Time    `json:"ended,omitzero"`
}

// A StageWait is why the run stands still, and how it goes on.
type StageWait struct {
	Stage string    `json:"stage,omitempty"` // whose answer is waited for
	Why   string    `json:"why"`
	Plan  *ops.Plan `json:"plan,omitempty"` // of that stage
	Next  string    `json:"next"`
}

// Timeline writes the stages in order, when each began and how long it took, and
// what the whole waits for.
func Timeline(w io.Writer, s Stages, st Style) error {
	p := newPage(st)
	done := 0
	for _, r := range s.Stages {
		if r.State == string(ops.Succeeded) {
			done++
		}
	}
	p.title(s.Environment, bold, string(s.Task), fmt.Sprintf("in %s: %d of %d stages done", Clean(string(s.Environment)), done, len(s.Stages)))
	p.gap()
	columns := []column{{head: "STAGE"}, {head: "STATE"}, {head: "BEGAN"}, {head: "TOOK"}, {head: "RUN"}}
	for _, r := range s.Stages {
		began, took := "", ""
		if !r.Started.IsZero() {
			began = p.clock(r.Started, true)
		}
		if !r.Ended.IsZero() {
			took = length(r.Ended.Sub(r.Started).Round(time.Second))
		}
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
