package report

import (
	"errors"
	"io"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A Trouble is an error and what a person needs to know around it.
type Trouble struct {
	Err         error
	Environment ops.EnvironmentName // marked where it is production; "": not known
	// Changed and Unchanged are one line each: what was changed and what was not.
	// Empty: the command changes nothing, and nothing is said.
	Changed, Unchanged string
	Next               string // what to do next where the error does not say
}

// Error writes err for a person: what kind it is, what is wrong, what to do next.
// A nil err writes nothing.
func Error(w io.Writer, err error, st Style) error { return Failure(w, Trouble{Err: err}, st) }

// Failure is Error with a line each for what was changed and what was not.
func Failure(w io.Writer, t Trouble, st Style) error {
	if t.Err == nil {
		return nil
	}
	p := newPage(st)
	mark := p.environment(t.Environment)
	var next string
	switch r, e := ops.Refused(t.Err), inputErrors(t.Err); {
	case e != nil:
		next = p.inputErrors(mark, e)
	case r != nil:
		p.hang(mark+p.paint(yellow, "refused")+"  ", 9+markCells(t.Environment), Clean(context(t.Err, r))+Clean(r.Reason)+" (guard "+Clean(r.Guard)+")")
		next = r.Remedy
	default:
		next = p.otherError(mark, markCells(t.Environment), t.Err)
	}
	if next == "" {
		next = t.Next
	}
	if t.Changed == "" {
		p.next(next)
		return p.to(w)
	}
	p.gap()
	p.step("Changed", 11, t.Changed)
	p.step("Not changed", 11, t.Unchanged)
	p.step("Next", 11, next)
	return p.to(w)
}

// markCells is the width of an environment's mark.
func markCells(env ops.EnvironmentName) int {
	if !production(env) {
		return 0
	}
	return cells(Mark(env)) + 2
}

func inputErrors(err error) *ops.InputErrors {
	e, _ := errors.AsType[*ops.InputErrors](err)
	return e
}

func (p *page) inputErrors(mark string, e *ops.InputErrors) (next string) {
	p.line(mark, p.paint(red, "invalid"), "  ", Clean(string(e.Task)))
	width := 0
	for _, one := range e.Errors {
		width = max(width, cells(Clean(one.Input)))
	}
	width = min(width, 24)
	for _, one := range e.Errors {
		text := one.Reason
		if one.Hint != "" {
			text += " " + one.Hint
		}
		p.field("  "+Clean(one.Input), width+2, Clean(text))
	}
	return "synops tasks show " + ops.ShellQuote(string(e.Task))
}

// otherError writes an error of any other kind and returns its hint. A message of
// several lines, such as a file's errors, keeps them.
func (p *page) otherError(mark string, markWidth int, err error) (next string) {
	code, message, hint := ops.CodeOf(err), err.Error(), ""
	if e, ok := errors.AsType[*ops.Error](err); ok && e.Hint != "" {
		message, hint = strings.TrimSuffix(message, " "+e.Hint), e.Hint
	}
	word := words(string(code))
	lead, indent := mark+p.paint(red, word)+"  ", markWidth+cells(word)+2
	for line := range strings.SplitSeq(strings.TrimRight(message, "\n"), "\n") {
		p.hang(lead, indent, Clean(line))
		lead = strings.Repeat(" ", indent)
	}
	return hint
}

// context returns what wraps the refusal: "reading the token: ".
func context(err error, r *ops.Refusal) string {
	before, _, found := strings.Cut(err.Error(), r.Error())
	if !found {
		return ""
	}
	return before
}
