package report

import (
	"fmt"
	"io"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Status writes what a run's documents say of it: its state, who asked for it and
// why, its attempts and sign of life, and its result once there is one. lost says
// that nobody works on it any more.
func Status(w io.Writer, s *ops.RunStatus, lost bool, st Style) error {
	p := newPage(st)
	if s.State() == ops.StateEnded {
		p.result(s.Result, s)
		return p.to(w)
	}
	task, env := s.Run.Task(), ops.EnvironmentName("")
	if s.Request != nil {
		task, env = s.Request.Task, s.Request.Environment
	}
	rest := Clean(string(task))
	if env != "" {
		rest += " in " + Clean(string(env))
	}
	state, color := s.String(), bold
	if lost { // whoever is looking has to know this first
		state, color = "lost", red
		if a := s.Attempt(); a != nil {
			state += fmt.Sprintf(" (attempt %d)", a.N)
		}
	}
	p.title(env, color, state, rest)
	p.gap()
	p.life(s, lost)
	if s.Request != nil {
		p.field("requester", 9, Clean(s.Request.Requester))
	}
	p.asked(s)
	p.field("run", 9, Clean(string(s.Run)))
	p.gap()
	p.advice(s, lost)
	return p.to(w)
}

// asked writes why the run was asked for, and who asked for it to stop.
func (p *page) asked(s *ops.RunStatus) {
	if s.Request != nil {
		p.field("reason", 9, Clean(s.Request.Reason))
	}
	if c := s.Cancel; c != nil {
		text := "asked for by " + c.By + " at " + p.clock(c.At, true)
		if c.Reason != "" {
			text += ": " + c.Reason
		}
		p.field("cancel", 9, Clean(text))
	}
}

// life writes attempt, progress and heartbeat.
func (p *page) life(s *ops.RunStatus, lost bool) {
	if a := s.Attempt(); a != nil {
		p.field("attempt", 9, fmt.Sprintf("%d, since %s on %s", a.N, p.clock(a.At, true), Clean(a.Host)))
	} else if n := len(s.Starts); n > 0 {
		p.field("asked for", 9, p.clock(s.Starts[n-1].At, true))
	}
	h := s.Heartbeat
	if h == nil {
		if lost {
			p.line(p.paint(dim, pad("heartbeat", 9)), "  ", p.paint(red, "none: lost?"))
		}
		return
	}
	p.field("phase", 9, Clean(h.Phase))
	if h.Progress != (ops.Progress{}) {
		p.field("progress", 9, ProgressLine(h.Progress, 0, p.Width-11))
	}
	age := length(s.HeartbeatAge) + " ago"
	if lost {
		p.line(p.paint(dim, pad("heartbeat", 9)), "  ", p.paint(red, age+": lost?"))
		return
	}
	p.field("heartbeat", 9, age)
}

// advice names the command to go on with, and how to stop it.
func (p *page) advice(s *ops.RunStatus, lost bool) {
	tail := " " + ops.ShellQuote(string(s.Run)) + p.Flags
	switch {
	case lost && s.Cancel != nil:
		p.next("nobody works on it any more; finish its clean-up: synops settle" + tail)
	case lost:
		p.next("nobody works on it any more; go on: synops resume" + tail)
	default:
		p.next("synops follow" + tail)
		if s.Cancel == nil {
			p.step("stop", 4, "synops cancel"+tail)
		}
	}
}
