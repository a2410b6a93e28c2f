package report

import (
	"errors"
	"io"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Error writes err for a person: what kind it is, what is wrong, what to do next.
// A nil err writes nothing.
func Error(w io.Writer, err error, st Style) error {
	if err == nil {
		return nil
	}
	p := newPage(st)
	switch r, e := ops.Refused(err), inputErrors(err); {
	case e != nil:
		p.inputErrors(e)
	case r != nil:
		p.hang(p.paint(yellow, "refused")+"  ", 9, Clean(context(err, r))+Clean(r.Reason)+" (guard "+Clean(r.Guard)+")")
		p.next(r.Remedy)
	default:
		p.otherError(err)
	}
	return p.to(w)
}

func inputErrors(err error) *ops.InputErrors {
	e, _ := errors.AsType[*ops.InputErrors](err)
	return e
}

func (p *page) inputErrors(e *ops.InputErrors) {
	p.line(p.paint(red, "invalid"), "  ", Clean(string(e.Task)))
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
	p.next("synops tasks show " + ops.ShellQuote(string(e.Task)))
}

// otherError writes an error of any other kind. A message of several lines, such
// as a file's errors, keeps them.
func (p *page) otherError(err error) {
	code, message, hint := ops.CodeOf(err), err.Error(), ""
	if e, ok := errors.AsType[*ops.Error](err); ok && e.Hint != "" {
		message, hint = strings.TrimSuffix(message, " "+e.Hint), e.Hint
	}
	word := words(string(code))
	lead, indent := p.paint(red, word)+"  ", cells(word)+2
	for line := range strings.SplitSeq(strings.TrimRight(message, "\n"), "\n") {
		p.hang(lead, indent, Clean(line))
		lead = strings.Repeat(" ", indent)
	}
	p.next(hint)
}

// context returns what wraps the refusal: "reading the token: ".
func context(err error, r *ops.Refusal) string {
	before, _, found := strings.Cut(err.Error(), r.Error())
	if !found {
		return ""
	}
	return before
}
