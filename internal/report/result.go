package report

import (
	"fmt"
	"io"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Result writes how a run ended: the outcome; what was changed, what was not and
// what to do next; a line per effect, failures first; how to undo it, what it
// keeps and how to look again.
func Result(w io.Writer, r *ops.Result, st Style) error {
	p := newPage(st)
	p.result(r, nil)
	return p.to(w)
}

// result writes r; s adds what only the run's documents know, and may be nil.
func (p *page) result(r *ops.Result, s *ops.RunStatus) {
	p.title(r.Environment, outcomeColor(r.Outcome), outcomeWord(r), fmt.Sprintf("%s in %s", Clean(string(r.Task)), Clean(string(r.Environment))))
	if r.Message != r.Changed && r.Message != "Done." {
		p.hang("", 0, Clean(r.Message))
	}
	p.gap()
	p.step("Changed", 11, r.Changed)
	p.step("Not changed", 11, r.Unchanged)
	p.step("Next", 11, nextOf(r))
	p.outcomes(r)
	p.notes(r.Notes)
	p.rest(r, s)
}

// nextOf is what to do next: a run that was refused or canceled is over, and the
// reader must not look for more.
func nextOf(r *ops.Result) string {
	switch {
	case r.Next != "":
		return r.Next
	case r.Outcome == ops.RunRefused:
		return "Put right what the message names, then ask anew: this run is over."
	case r.Outcome == ops.RunCanceled:
		return "Nothing: this run is over. Ask anew for what was not done."
	}
	return ""
}

// outcomeWord adds the code, where it says more.
func outcomeWord(r *ops.Result) string {
	word := strings.ToUpper(Clean(string(r.Outcome)))
	if r.Code != "" && string(r.Code) != string(r.Outcome) {
		word += " (" + words(string(r.Code)) + ")"
	}
	return word
}

// words turns a code into words.
func words(code string) string { return strings.ReplaceAll(Clean(code), "_", " ") }

func outcomeColor(o ops.Outcome) string {
	switch o {
	case ops.Succeeded:
		return green
	case ops.RunRefused, ops.RunCanceled:
		return yellow
	}
	return red
}

func effectColor(o ops.EffectOutcome) string {
	switch o {
	case ops.EffectDone:
		return green
	case ops.EffectFailed, ops.EffectUnsettled:
		return red
	case ops.EffectRefused, ops.EffectNotReached:
		return yellow
	}
	return dim
}

// outcomes writes the counts and a line for each effect, worst first.
func (p *page) outcomes(r *ops.Result) {
	if len(r.Effects) == 0 {
		return
	}
	p.gap()
	if len(r.Effects) > 1 {
		p.line(counts(r.Counts))
	}
	shown := shownEffects(worstFirst(r.Effects))
	kind, target := 0, 0
	for _, e := range shown {
		kind = max(kind, cells(words(string(e.Outcome))))
		target = max(target, cells(Clean(e.Target)))
	}
	target = min(target, p.Width/3)
	for _, e := range shown {
		lead := "  " + p.paint(effectColor(e.Outcome), pad(words(string(e.Outcome)), kind)) + "  " + pad(Clean(e.Target), target) + "  "
		p.hang(lead, kind+target+6, Clean(effectText(e)))
	}
	if more := max(r.EffectsTotal, len(r.Effects)) - len(shown); more > 0 {
		p.line("  … and ", number(int64(more)), " more ", effectsFile(r))
	}
}

// mostCalm bounds how many effects of one outcome are listed where nothing went
// wrong with them: the head of the report must stay in sight.
const mostCalm = 10

// shownEffects returns those worth a line, of effects sorted worst first.
func shownEffects(sorted []ops.EffectResult) []ops.EffectResult {
	var shown []ops.EffectResult
	listed := map[ops.EffectOutcome]int{}
	for _, e := range sorted {
		most := mostLines
		switch e.Outcome {
		case ops.EffectDone, ops.EffectUnchanged, ops.EffectNotReached:
			most = mostCalm
		}
		if listed[e.Outcome]++; listed[e.Outcome] <= most && len(shown) < mostLines {
			shown = append(shown, e)
		}
	}
	return shown
}

func effectsFile(r *ops.Result) string {
	if r.EffectsFile == "" {
		return "(--format json lists them)"
	}
	return "(effects file: " + Clean(r.EffectsFile) + ")"
}

// effectText is the message where there is one, with its code, or what the effect
// was to do.
func effectText(e ops.EffectResult) string {
	switch {
	case e.Message == "":
		return e.Summary
	case e.Code == "":
		return e.Message
	}
	return words(string(e.Code)) + ": " + e.Message
}

// worstFirst returns the effects in the order of ops.EffectOutcomes, otherwise as
// they were.
func worstFirst(effects []ops.EffectResult) []ops.EffectResult {
	out := make([]ops.EffectResult, 0, len(effects))
	known := map[ops.EffectOutcome]bool{}
	for _, o := range ops.EffectOutcomes() {
		known[o] = true
		for _, e := range effects {
			if e.Outcome == o {
				out = append(out, e)
			}
		}
	}
	for _, e := range effects {
		if !known[e.Outcome] {
			out = append(out, e)
		}
	}
	return out
}

// counts renders how many effects ended how, worst first.
func counts(n map[ops.EffectOutcome]int) string {
	var parts []string
	for _, o := range ops.EffectOutcomes() {
		if n[o] > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", number(int64(n[o])), words(string(o))))
		}
	}
	return strings.Join(parts, ", ")
}

// rest writes what is looked up, not read.
func (p *page) rest(r *ops.Result, s *ops.RunStatus) {
	p.gap()
	p.step("undo", 9, r.Undo)
	for i, a := range r.Artifacts {
		if i == mostLines {
			p.line(fmt.Sprintf("%11s… and %d more", "", len(r.Artifacts)-i))
			break
		}
		label := "artifacts"
		if i > 0 {
			label = ""
		}
		p.line(p.paint(dim, pad(label, 9)), "  ", Clean(a.Name), "  ", size(a.Size), "  ", Clean(a.Path))
	}
	p.field("plan", 9, Clean(string(r.PlanDigest)))
	p.field("requester", 9, Clean(r.Requester))
	if s != nil {
		p.asked(s)
	}
	p.field("started", 9, p.clock(r.Started, true))
	if !r.Ended.IsZero() {
		ended := p.clock(r.Ended, true)
		if !r.Started.IsZero() {
			ended += ", after " + length(r.Ended.Sub(r.Started))
		}
		p.field("ended", 9, ended)
	}
	run := Clean(string(r.Run))
	if r.Attempt > 1 {
		run += fmt.Sprintf(" (attempt %d)", r.Attempt)
	}
	p.field("run", 9, run)
	p.step("again", 9, "synops show "+ops.ShellQuote(string(r.Run))+p.Flags)
}
