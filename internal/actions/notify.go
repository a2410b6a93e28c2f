package actions

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A Webhook takes a line of text, as Slack's incoming webhooks do. Its address is a
// secret: no error names it.
type Webhook struct {
	URL    string
	Client *http.Client // nil: one that waits 10 s
}

// Post sends text. The error is Invalid for an address that is none, Unavailable
// where nobody takes it.
func (h *Webhook) Post(ctx context.Context, text string) error {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && ops.Loopback(h.URL)) {
		return &ops.Error{Code: ops.Invalid, Message: "The webhook's address is not an https URL.", Hint: "Set the secret SYNOPS_WEBHOOK to the address that Slack gives for an incoming webhook."}
	}
	body, err := json.Marshal(map[string]string{"text": slack(text)})
	if err != nil {
		return fmt.Errorf("writing for the webhook: %w", err)
	}
	hreq, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return &ops.Error{Code: ops.Invalid, Message: "The webhook's address is not an https URL."}
	}
	hreq.Header.Set("Content-Type", "application/json; charset=utf-8")
	client := &http.Client{Timeout: 10 * time.Second}
	if h.Client != nil {
		c := *h.Client
		client = &c
	}
	// What is told must not follow a redirect to somewhere else.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(hreq)
	if err != nil {
		if ue, ok := err.(*url.Error); ok { //nolint:errorlint // Do returns no other
			err = ue.Err // the URL is a secret
		}
		return &ops.Error{Code: ops.Unavailable, Message: "The webhook does not answer: " + err.Error() + "."}
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is given back
	if resp.StatusCode/100 != 2 {
		return &ops.Error{Code: ops.Unavailable, Message: fmt.Sprintf("The webhook answers %d.", resp.StatusCode)}
	}
	return nil
}

// slack makes text stand for itself: these three begin links, mentions and channels.
// https://api.slack.com/reference/surfaces/formatting#escaping
func slack(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
