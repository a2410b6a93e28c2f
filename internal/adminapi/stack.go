package adminapi

import (
	"context"
	"net/http"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// statusCall asks for the stack's state: anonymously, so that it answers whatever
// the token and the stack are like.
func statusCall(into *synapse.StackStatus) call {
	return call{method: http.MethodGet, path: "/repo/v1/status", into: into, need: []string{"status"}, anonymous: true}
}

// StackStatus returns the stack's state. No token is sent.
func (c *Client) StackStatus(ctx context.Context) (synapse.StackStatus, error) {
	var s synapse.StackStatus
	err := c.do(ctx, statusCall(&s))
	return s, err
}

// SetStackStatus replaces the stack's state whole: messages left empty are erased.
// It returns the new state.
func (c *Client) SetStackStatus(ctx context.Context, s synapse.StackStatus) (synapse.StackStatus, error) {
	var now synapse.StackStatus
	err := c.do(ctx, call{
		method: http.MethodPut, path: "/repo/v1/admin/synapse/status", body: s,
		into: &now, need: []string{"status"}, class: resendable,
	})
	return now, err
}

// Version returns which release and instance answers, in every state of the
// stack. No token is sent: this call tells whether the host is the right one.
func (c *Client) Version(ctx context.Context) (synapse.Version, error) {
	var v synapse.Version
	err := c.do(ctx, call{method: http.MethodGet, path: "/repo/v1/version", into: &v, need: []string{"stackInstance"}, anonymous: true})
	return v, err
}

// Administrator proves that the token is an administrator's, in every state of the
// stack: only they may ask for the newest change number. Denied: it is not.
func (c *Client) Administrator(ctx context.Context) error {
	var n struct {
		Next int64 `json:"nextChangeNumber"`
	}
	return c.do(ctx, call{method: http.MethodGet, path: "/repo/v1/admin/messages/currentnumber", into: &n, need: []string{"nextChangeNumber"}})
}
