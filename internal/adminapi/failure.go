package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// codeOf is an error answer's code, before it is asked whether a write may have been
// made all the same: see failure.
func codeOf(status int) ops.Code {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return ops.Invalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return ops.Denied
	case http.StatusNotFound, http.StatusGone:
		return ops.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusLocked:
		return ops.Conflict
	case http.StatusTooManyRequests:
		return ops.Unavailable
	}
	if status >= 500 {
		return ops.Unavailable
	}
	return ops.Internal
}

// refused is the fault of an error answer, 503 in maintenance excepted.
func (c *Client) refused(o *order, a answer) *fault {
	e, isJSON := errorResponse(a.body)
	f := &fault{status: a.status, code: codeOf(a.status), reason: fmt.Sprint("status ", a.status)}
	f.message = fmt.Sprintf("%s was answered %s%s.", o.name, statusName(a.status), c.reason(o, e, isJSON, a.body))
	f.hint = hint(a.status, e)
	if c.scheme == basic && (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden) {
		f.hint = "The stack does not accept this key and secret: put its own into their source."
	}
	if page(a) { // of the token it says nothing; and of what was asked for, not for sure
		f.code, f.passing, f.may = ops.Unavailable, true, true
		f.hint = "Something between here and the service refuses it, such as a proxy or a firewall: the service answers in other words. Look at what stands between."
		return f
	}
	switch a.status {
	case http.StatusTooManyRequests:
		f.passing = true
	case http.StatusServiceUnavailable:
		// The service turns requests away before doing anything; a 503 that is not
		// in its words may be somebody's on the way back.
		f.passing, f.may = true, !isJSON
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		f.passing, f.may = true, true
	default:
		f.may = a.status >= 500
	}
	return f
}

// page tells whether a refusal is not the service's, which always gives a reason: a
// proxy's or a firewall's, that may pass. One without a body may be anybody's.
func page(a answer) bool {
	if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden || len(bytes.TrimSpace(a.body)) == 0 {
		return false
	}
	_, ours := errorResponse(a.body)
	return !ours
}

func statusName(status int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}

// errorResponse reads an error's body; false when it is not in the service's
// words.
func errorResponse(body []byte) (synapse.ErrorResponse, bool) {
	var e synapse.ErrorResponse
	if json.Unmarshal(body, &e) != nil {
		return synapse.ErrorResponse{}, false
	}
	return e, e.Reason != "" || e.Error != "" || e.ErrorDescription != ""
}

// reason renders what the service said, after a colon; "" when it said nothing.
func (c *Client) reason(o *order, e synapse.ErrorResponse, isJSON bool, body []byte) string {
	for _, text := range []string{e.Reason, e.ErrorDescription, e.Error} {
		if isJSON && strings.TrimSpace(text) != "" {
			return ": " + c.show(text)
		}
	}
	switch {
	case len(body) == 0:
		return " without a reason"
	case o.personal:
		return ", with a body that is not the service's (not shown: it may be personal)"
	}
	return ", with a body that is not the service's: " + c.show(string(body))
}

// hint tells what to do about an error answer. It may look at the reason's words:
// nothing else depends on them.
func hint(status int, e synapse.ErrorResponse) string {
	switch status {
	case http.StatusBadRequest:
		return "Mend what the service names; nothing was changed."
	case http.StatusUnauthorized:
		return "The token is not accepted, or no longer: put a new one into its source."
	case http.StatusForbidden:
		return forbidden(e)
	case http.StatusNotFound:
		return "Either it is not there, or this release of the service does not know the call: GET /repo/v1/version tells the release."
	case http.StatusConflict:
		return "Something else is in its way; look at what the service names."
	case http.StatusPreconditionFailed:
		return "Somebody changed it since it was read. Plan again."
	case http.StatusLocked:
		return "It is locked for now. Try again later."
	case http.StatusTooManyRequests:
		return "The account sends too much, this run or another. Try again in a few minutes, or with a lower --rate."
	case http.StatusInternalServerError:
		return "The service answers so to anything it did not foresee, some IDs it does not know among them. Check the target, then try again."
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "Try again in a few minutes."
	}
	if status >= 500 {
		return "Try again in a few minutes."
	}
	return "The service may be older or newer than this release of synops."
}

func forbidden(e synapse.ErrorResponse) string {
	switch {
	case e.ErrorCode == "TWO_FA_ENABLED_REQUIRED":
		return "Turn on two-factor authentication for the account behind the token: the service asks it of every administrator."
	case e.Error == "insufficient_scope":
		return "The token lacks a scope: make one with the scopes view and modify."
	case strings.Contains(strings.ToLower(e.Reason), "terms of "):
		return "Sign the terms of use once, with the account behind the token."
	}
	return "The token's account may not do this: use an administrator's."
}

// maintenance is the fault of a 503 while the stack is not READ_WRITE.
func (c *Client) maintenance(o *order, s synapse.StackStatus) *fault {
	said := "it gives no message"
	if s.CurrentMessage != "" {
		said = "its message is " + c.show(s.CurrentMessage)
	}
	return &fault{
		status: http.StatusServiceUnavailable, code: ops.Unavailable, reason: "maintenance",
		message: fmt.Sprintf("%s was turned away with 503: the stack is %s for maintenance; %s.", o.name, c.plain(s.Status), said),
		hint:    "Wait until the stack is READ_WRITE again, then try again.",
	}
}

// noToken is the fault of a token that could not be read.
func (c *Client) noToken(ctx context.Context, o *order, err error) *fault {
	if ctx.Err() != nil {
		return c.stopped(o, ctx.Err(), "before it was sent")
	}
	f := &fault{code: ops.CodeOf(err), reason: "no token", message: fmt.Sprintf("%s was not sent: %s", o.name, c.plain(err.Error()))}
	if f.code == ops.Internal {
		f.code, f.hint = ops.Denied, "Check the token's source."
	}
	return f
}

// stopped is the fault of a call whose context ended.
func (c *Client) stopped(o *order, err error, when string) *fault {
	word := "was canceled"
	if ops.CodeOf(err) == ops.Unavailable {
		word = "ran out of time"
	}
	return &fault{
		code: ops.CodeOf(err), err: err, reason: word,
		message: fmt.Sprintf("%s %s %s.", o.name, word, strings.TrimSuffix(when, ".")),
	}
}
