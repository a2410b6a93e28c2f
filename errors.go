package ops

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Code is an error's word for machines. It is the same in errors, effect
// outcomes and results.
type Code string

// The codes. An error that carries none of them is Internal.
const (
	// Invalid: the request is wrong in itself. Nothing was started.
	Invalid Code = "invalid"
	// Denied: the caller may not do this, or a guard said no.
	Denied Code = "denied"
	// NotFound: the thing asked for is not there.
	NotFound Code = "not_found"
	// Conflict: the thing is there but not in the state that was assumed.
	Conflict Code = "conflict"
	// Unavailable: nothing was done because something did not answer in time.
	Unavailable Code = "unavailable"
	// Unsettled: a change may or may not have happened and nothing here can tell.
	Unsettled Code = "unsettled"
	// Canceled: somebody asked for the run to stop.
	Canceled Code = "canceled"
	// Internal: everything else; its text is for maintainers.
	Internal Code = "internal"
)

// Error is an error in our words: a code for machines, a sentence for people,
// and what to do next.
type Error struct {
	Code    Code
	Message string // what is wrong, quoting the offending text; never a secret
	Hint    string // what to do next; may be empty
	Err     error  // the cause, for errors.Is; may be nil
}

// Error returns the message followed by the hint.
func (e *Error) Error() string {
	s := e.Message
	if s == "" && e.Err != nil {
		s = e.Err.Error()
	}
	if e.Hint != "" {
		s += " " + e.Hint
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error of the given code with a formatted message. The
// verb %w keeps the cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	cause := errors.Unwrap(err)
	if _, several := err.(interface{ Unwrap() []error }); several {
		cause = err
	}
	return &Error{Code: code, Message: err.Error(), Err: cause}
}

// CodeOf returns the code that err or one of its causes carries: Canceled for a
// canceled context, Unavailable for one that ran out of time, Internal when
// there is none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Refusal](err); ok {
		return e.code()
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if _, ok := errors.AsType[*InputErrors](err); ok {
		return Invalid
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Unavailable
	}
	return Internal
}

// A Refusal is a guard's no: the rules say this must not happen. It is not a
// failure; nothing was changed by the thing refused.
type Refusal struct {
	Guard  string // the guard's name, such as "environment-host"
	Reason string // what the rule met, in a sentence
	Remedy string // what to do instead
	Code   Code   // Denied when empty
}

// Error tells the guard, the reason and the remedy.
func (r *Refusal) Error() string {
	s := fmt.Sprintf("refused by guard %q: %s", r.Guard, r.Reason)
	if r.Remedy != "" {
		s += " " + r.Remedy
	}
	return s
}

func (r *Refusal) code() Code {
	if r.Code == "" {
		return Denied
	}
	return r.Code
}

// Refuse returns a Refusal as an error.
func Refuse(guard, remedy, format string, args ...any) error {
	return &Refusal{Guard: guard, Reason: fmt.Sprintf(format, args...), Remedy: remedy}
}

// Refused returns the Refusal that err is or wraps, or nil.
func Refused(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	return nil
}

// An InputError tells what is wrong with one supplied value.
type InputError struct {
	Input  string `json:"input"`
	Value  string `json:"value"` // as given, printable and bounded; "[redacted]" where it looks like a secret
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"`
}

// Error returns the reason and the hint on one line, after the input's name.
func (e InputError) Error() string {
	s := fmt.Sprintf("input %q: %s", e.Input, e.Reason)
	if e.Hint != "" {
		s += " " + e.Hint
	}
	return s
}

// InputErrors is every error of one form, in the order of the task's inputs. Its
// code is Invalid.
type InputErrors struct {
	Task   TaskName
	Errors []InputError
}

// Error lists the errors, a line each.
func (e *InputErrors) Error() string {
	lines := make([]string, len(e.Errors))
	for i, one := range e.Errors {
		lines[i] = fmt.Sprintf("%s: %s", e.Task, one.Error())
	}
	return strings.Join(lines, "\n")
}

// HintOf returns the hint or remedy that err carries, "" when it has none.
func HintOf(err error) string {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Remedy
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}

// WithoutHint is what err says, but for the hint or remedy at its end.
func WithoutHint(err error) string {
	hint := HintOf(err)
	if hint == "" {
		return err.Error()
	}
	return strings.TrimSuffix(err.Error(), " "+hint)
}
