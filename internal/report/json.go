package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// JSON writes v as one indented document and a line end. Characters that a
// terminal might act on are escaped; the values stay the same.
func JSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	_, err := w.Write(escapeInvisible(b.Bytes()))
	return err
}

// escapeInvisible writes invisible characters as \u escapes. They stand only
// within strings, and encoding/json has escaped those below 0x20.
func escapeInvisible(doc []byte) []byte {
	out := make([]byte, 0, len(doc))
	for len(doc) > 0 {
		r, n := utf8.DecodeRune(doc)
		switch {
		case r == utf8.RuneError && n == 1: // only a json.RawMessage can hold it
			out = append(out, `\ufffd`...)
		case r < 0x7f || r != 0x7f && !invisible(r):
			out = append(out, doc[:n]...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		doc = doc[n:]
	}
	return out
}

// problem is an error as JSON.
type problem struct {
	Outcome ops.Outcome      `json:"outcome"`
	Code    ops.Code         `json:"code"`
	Message string           `json:"message"`
	Errors  []ops.InputError `json:"errors"`
}

// ErrorJSON writes err as one document: {outcome, code, message, errors:[{input,
// value, reason, hint}]}. errors is empty where no input is wrong.
func ErrorJSON(w io.Writer, outcome ops.Outcome, err error) error {
	p := problem{Outcome: outcome, Code: ops.CodeOf(err), Errors: []ops.InputError{}}
	if err != nil {
		p.Message = err.Error()
	}
	if e := inputErrors(err); e != nil {
		p.Errors = append(p.Errors, e.Errors...)
	}
	return JSON(w, p)
}
