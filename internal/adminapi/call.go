package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// class tells how safe it is to send a call again.
type class int

const (
	read       class = iota // changes nothing
	resendable              // twice gives the same state as once, or is told apart
	once                    // twice may do more than once
)

// Times that one request may take, from sending to the answer's end.
const (
	patience     = 30 * time.Second
	longPatience = 15 * time.Minute // the service scans everything
)

// A call is one endpoint with its arguments.
type call struct {
	method string
	path   string   // "{}" stands for each of ids, which are escaped
	ids    []string // never personal: they show in messages and logs
	query  url.Values
	body   any // sent as JSON; nil: none
	class  class
	may    string // of a once call: what may have happened, a sentence

	anonymous bool // no token is sent
	personal  bool // bodies hold personal data and are never shown
	patience  time.Duration

	into any              // filled from the answer; nil: no body is due
	need []string         // keys without which the answer is not one
	raw  *json.RawMessage // gets the answer's body, byte for byte
}

// An order is a call made ready: what goes on the wire, as often as it takes.
type order struct {
	call
	name    string // method and path, for people
	target  *url.URL
	payload []byte
}

// order checks the call and makes it ready. Errors are Invalid: nothing was sent.
func (c *Client) order(k call) (*order, error) {
	o := &order{call: k}
	path := k.path
	for _, id := range k.ids {
		if id == "" || id == "." || id == ".." {
			return nil, ops.Errorf(ops.Invalid, "%s %s cannot be asked with %s for an ID.", k.method, k.path, ops.Quote(id))
		}
		path = strings.Replace(path, "{}", url.PathEscape(id), 1)
	}
	target, err := url.Parse(c.base.String() + path)
	if err != nil {
		return nil, ops.Errorf(ops.Invalid, "%s %s cannot be asked: its path does not parse.", k.method, k.path)
	}
	target.RawQuery = k.query.Encode()
	o.target, o.name = target, k.method+" "+c.plain(path)
	if k.body != nil {
		if o.payload, err = json.Marshal(k.body); err != nil {
			return nil, ops.Errorf(ops.Invalid, "%s cannot be sent: its body is not JSON.", o.name)
		}
	}
	if o.patience == 0 {
		o.patience = patience
	}
	return o, nil
}

// do performs a call: it sends it, again where that is safe and promising, and
// fills what the call asks for. The error is an *ops.Error.
func (c *Client) do(ctx context.Context, k call) error {
	o, err := c.order(k)
	if err != nil {
		return err
	}
	var t tries
	for {
		f := c.attempt(ctx, o)
		if f == nil {
			return nil
		}
		t.add(f)
		if !t.again(o.class, f) {
			return o.failure(f, &t)
		}
		pause := t.pause(f)
		c.retries.Add(1)
		c.log.InfoContext(ctx, "trying again", "call", o.name, "after", pause, "because", f.reason)
		if err := c.wait(ctx, pause); err != nil {
			return o.failure(c.stopped(o, err, "while waiting to try again; before that, "+f.message), &t)
		}
		if err := o.leave(ctx); err != nil {
			c.log.InfoContext(ctx, "not tried again", "call", o.name, "because", err.Error())
			return o.failure(f, &t)
		}
	}
}

// leave asks whether the call may be sent again: a read always.
func (o *order) leave(ctx context.Context) error {
	if o.class == read {
		return nil
	}
	return ops.Leave(ctx)
}

// attempt sends the call once, with what belongs to once: a new token after a
// 401, and a read's redirects within the host. Nil: done, and filled.
func (c *Client) attempt(ctx context.Context, o *order) *fault {
	var token string
	if !o.anonymous {
		var err error
		if token, err = c.tokens.get(ctx); err != nil {
			return c.noToken(ctx, o, err)
		}
	}
	target := o.target
	for hops, renewed := 0, false; ; {
		a, f := c.exchange(ctx, o, target, token)
		if f != nil {
			return f
		}
		switch {
		case a.status == http.StatusUnauthorized && !o.anonymous && !renewed && !page(a):
			renewed = true
			next, err := c.tokens.renew(ctx, token)
			if err != nil {
				return c.noToken(ctx, o, err)
			}
			if next == token || o.leave(ctx) != nil {
				return c.judge(ctx, o, a)
			}
			token = next
		case a.status >= 300 && a.status < 400:
			to, f := c.follow(o, target, a)
			if f != nil {
				return f
			}
			if hops++; hops > 3 {
				return &fault{status: a.status, code: ops.Internal, message: o.name + " was redirected more than three times.", reason: "redirects"}
			}
			target = to
		default:
			return c.judge(ctx, o, a)
		}
	}
}

// follow returns where a redirect leads. A token must never follow one to another
// host, and a write may arrive as something else there.
func (c *Client) follow(o *order, from *url.URL, a answer) (*url.URL, *fault) {
	refuse := func(why string) *fault {
		return &fault{
			status: a.status, code: ops.Denied, reason: "redirect",
			message: o.name + " was redirected" + why + ", which is not followed.",
			hint:    "Check the host: something else than Synapse may be answering there.",
		}
	}
	to, err := from.Parse(a.header.Get("Location"))
	switch {
	case err != nil || a.header.Get("Location") == "":
		return nil, refuse(" to nowhere")
	case to.Host != c.base.Host || to.Scheme != c.base.Scheme || to.User != nil:
		return nil, refuse(" to another host, " + c.show(to.Scheme+"://"+to.Host))
	case o.class != read:
		return nil, refuse(" although it is a write")
	}
	return to, nil
}
