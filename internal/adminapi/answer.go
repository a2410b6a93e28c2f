package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// A fault is why one try did not succeed.
type fault struct {
	status  int // 0: there was no answer
	code    ops.Code
	message string // a sentence for people
	hint    string
	reason  string // a few words for the log, ours alone
	may     bool   // the service may have carried it out
	passing bool   // another try may succeed
	after   time.Duration
	err     error // a context's error
}

// failure is the error of a call that ended with f.
func (o *order) failure(f *fault, t *tries) error {
	e := &ops.Error{Code: f.code, Message: f.message, Hint: f.hint, Err: f.err}
	if t.all > 1 {
		e.Message += fmt.Sprintf(" It was tried %d times.", t.all)
	}
	switch {
	case o.class == once && f.may:
		e.Code = ops.Unsettled
		e.Hint = o.may + " Find out before it is sent again: this client never does."
	case o.class == resendable && (f.may || t.may):
		e.Hint = strings.TrimSpace("The change may have been made; sending it again is safe. " + e.Hint)
		// The caller looks what became of it. It does so by itself when its context
		// ended, and after a conflict, which may be with its own first sending.
		if f.err == nil && f.code != ops.Conflict {
			e.Code = ops.Unsettled
		}
	}
	return e
}

// judge reads an answer: nil when the call succeeded and is filled.
func (c *Client) judge(ctx context.Context, o *order, a answer) *fault {
	switch {
	case a.status >= 200 && a.status < 300:
		return c.fill(o, a)
	case a.status == http.StatusServiceUnavailable && !exempt(o.target.Path):
		if s, ok := c.inMaintenance(ctx); ok {
			return c.maintenance(o, s)
		}
	}
	f := c.refused(o, a)
	f.after = retryAfter(a.header, time.Now())
	return f
}

// exempt tells whether a path answers in every state of the stack, so that its
// 503 never means maintenance. The service looks for these words anywhere in it.
func exempt(path string) bool {
	for _, word := range []string{"/admin", "/migration", "/version", "/status"} {
		if strings.Contains(path, word) {
			return true
		}
	}
	return false
}

// inMaintenance asks once for the stack's state; false when it is READ_WRITE or
// could not be told.
func (c *Client) inMaintenance(ctx context.Context) (synapse.StackStatus, bool) {
	var s synapse.StackStatus
	k := statusCall(&s)
	k.patience = 10 * time.Second
	o, err := c.order(k)
	if err != nil {
		return s, false
	}
	a, f := c.exchange(ctx, o, o.target, "")
	if f != nil || a.status != http.StatusOK || c.fill(o, a) != nil {
		return s, false
	}
	return s, s.Status == synapse.ReadOnly || s.Status == synapse.Down
}

// fill decodes a success into what the call asks for. What is not the answer that
// is due, such as a proxy's page, is a fault; the write may have been made.
func (c *Client) fill(o *order, a answer) *fault {
	if o.into == nil {
		return nil
	}
	var why string
	switch body := bytes.TrimSpace(a.body); {
	case len(a.body) > mostBody:
		return c.odd(o, a, fmt.Sprintf("more than %d MiB", mostBody>>20))
	case len(body) == 0:
		why = "no body"
	case !json.Valid(body):
		why = "a body that is not JSON"
	case bytes.Equal(body, []byte("null")) || json.Unmarshal(body, o.into) != nil:
		why = "JSON of another shape"
	default:
		if key := lacking(body, o.need); key != "" {
			why = fmt.Sprintf("JSON without %q", key)
			break
		}
		if o.raw != nil {
			*o.raw = a.body
		}
		return nil
	}
	return c.odd(o, a, why)
}

// lacking returns the first of keys that the JSON object lacks: read as absent,
// "false" would be made up.
func lacking(body []byte, keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(body, &m) != nil {
		return keys[0]
	}
	for _, key := range keys {
		if v, ok := m[key]; !ok || string(v) == "null" {
			return key
		}
	}
	return ""
}

// odd is the fault of a success whose body is not what is due.
func (c *Client) odd(o *order, a answer, why string) *fault {
	f := &fault{
		status: a.status, code: ops.Internal, may: true, reason: "body is not what is due",
		message: fmt.Sprintf("%s was answered %s with %s where something else is due", o.name, statusName(a.status), why),
		hint:    "Check the host, and what stands between here and there; or the service is newer than this release of synops.",
	}
	switch {
	case len(a.body) == 0 || len(a.body) > mostBody:
	case o.personal:
		f.message += " (not shown: it may be personal)"
	default:
		f.message += ": " + c.show(string(a.body[:min(len(a.body), mostError)]))
	}
	f.message += "."
	return f
}
