package ops_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

func TestCodeOf(t *testing.T) {
	refusal := ops.Refuse("user-is-suspended", "Check the ID.", "user %d is not suspended.", 7)
	for _, c := range []struct {
		name string
		err  error
		want ops.Code
	}{
		{"none", nil, ""},
		{"ours", &ops.Error{Code: ops.Conflict}, ops.Conflict},
		{"wrapped", fmt.Errorf("reading: %w", &ops.Error{Code: ops.NotFound}), ops.NotFound},
		{"joined", errors.Join(io.EOF, &ops.Error{Code: ops.Unsettled}), ops.Unsettled},
		{"the outer of two", &ops.Error{Code: ops.Unsettled, Err: &ops.Error{Code: ops.Unavailable}}, ops.Unsettled},
		{"refusal", refusal, ops.Denied},
		{"wrapped refusal", fmt.Errorf("asking: %w", refusal), ops.Denied},
		{"refusal with its code", &ops.Refusal{Code: ops.Conflict}, ops.Conflict},
		{"form", &ops.InputErrors{}, ops.Invalid},
		{"canceled", fmt.Errorf("x: %w", context.Canceled), ops.Canceled},
		{"out of time", context.DeadlineExceeded, ops.Unavailable},
		{"code over context", &ops.Error{Code: ops.Unsettled, Err: context.Canceled}, ops.Unsettled},
		{"anything", io.ErrUnexpectedEOF, ops.Internal},
	} {
		if got := ops.CodeOf(c.err); got != c.want {
			t.Errorf("%s: CodeOf = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&ops.Error{Message: "It is gone."}, "It is gone."},
		{&ops.Error{Message: "It is gone.", Hint: "Look elsewhere."}, "It is gone. Look elsewhere."},
		{&ops.Error{Err: io.EOF}, "EOF"},
		{ops.Errorf(ops.Internal, "reading %s: %w", "x", io.EOF), "reading x: EOF"},
		{ops.Refuse("pin", "Ask.", "account is %s.", "1"), `refused by guard "pin": account is 1. Ask.`},
		{&ops.Refusal{Guard: "pin", Reason: "No."}, `refused by guard "pin": No.`},
		{ops.InputError{Input: "user", Reason: `"x" is wrong.`}, `input "user": "x" is wrong.`},
		{&ops.InputErrors{Task: "t", Errors: []ops.InputError{{Input: "a", Reason: "r."}, {Input: "b", Reason: "s.", Hint: "h."}}}, "t: input \"a\": r.\nt: input \"b\": s. h."},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// TestErrorsKeepTheirCause: adapters and the worker ask for causes with errors.Is.
func TestErrorsKeepTheirCause(t *testing.T) {
	if err := ops.Errorf(ops.Unavailable, "asking: %w", io.EOF); !errors.Is(err, io.EOF) {
		t.Error("Errorf loses what it wraps")
	}
	if err := ops.Errorf(ops.Unavailable, "%w, then %w", io.EOF, context.Canceled); !errors.Is(err, io.EOF) || !errors.Is(err, context.Canceled) {
		t.Error("Errorf loses one of two it wraps")
	}
	if err := ops.Errorf(ops.Invalid, "plain"); errors.Unwrap(err) != nil {
		t.Error("Errorf invents a cause")
	}
	refusal := ops.Refuse("pin", "", "no")
	if ops.Refused(fmt.Errorf("x: %w", refusal)) == nil || ops.Refused(io.EOF) != nil || ops.Refused(nil) != nil {
		t.Error("Refused does not find exactly the refusals")
	}
}

func TestWithoutHint(t *testing.T) {
	for want, err := range map[string]error{
		"plain":                         errors.New("plain"),
		"asking: It is so.":             fmt.Errorf("asking: %w", &ops.Error{Code: ops.Invalid, Message: "It is so.", Hint: "Change it."}),
		`refused by guard "g": it is.`:  ops.Refuse("g", "Go.", "it is."),
		"asking (It is so. Change it.)": fmt.Errorf("asking (%w)", &ops.Error{Message: "It is so.", Hint: "Change it."}),
	} {
		if got := ops.WithoutHint(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
