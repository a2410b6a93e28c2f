package awsauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// The variables that a job with the permission id-token: write is given.
const (
	varTokenURL = "ACTIONS_ID_TOKEN_REQUEST_URL"
	varToken    = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

// audience is what AWS's trust policies expect of a token.
const audience = "sts.amazonaws.com"

// idToken asks GitHub for a fresh identity token each time: one lives five minutes,
// but a job may ask for new ones for about six hours. It is the SDK's
// IdentityTokenRetriever.
type idToken struct {
	url    string
	bearer string
	client *http.Client
}

func newIDToken(o *Options) (*idToken, error) {
	if err := checkEndpoint(varTokenURL, o.getenv(varTokenURL)); err != nil {
		return nil, err
	}
	u, err := url.Parse(o.getenv(varTokenURL))
	if err != nil {
		return nil, &ops.Error{Code: ops.Invalid, Message: varTokenURL + " is not a URL."}
	}
	q := u.Query()
	q.Set("audience", audience)
	u.RawQuery = q.Encode()
	t := &idToken{url: u.String(), bearer: o.getenv(varToken), client: &http.Client{Timeout: 10 * time.Second}}
	if o.Client != nil {
		c := *o.Client
		t.client = &c
	}
	// The bearer must not follow a redirect to somewhere else.
	t.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return t, nil
}

// GetIdentityToken returns a fresh token. Errors name neither the bearer nor what
// was answered, which may hold a token.
func (t *idToken) GetIdentityToken() ([]byte, error) {
	// The SDK's interface has no context; the client's timeout bounds the call.
	hreq, err := http.NewRequestWithContext(context.Background(), http.MethodGet, t.url, nil)
	if err != nil {
		return nil, errors.New("asking GitHub for an identity token: " + varTokenURL + " is not a URL")
	}
	hreq.Header.Set("Authorization", "Bearer "+t.bearer)
	hreq.Header.Set("Accept", "application/json")
	resp, err := t.client.Do(hreq)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the URL holds the job's own address: not for a log
		}
		return nil, &ops.Error{Code: ops.Unavailable, Message: "GitHub's identity token service does not answer: " + oneLine(err) + ".", Hint: "Try again; see whether GitHub Actions has an incident.", Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, &ops.Error{Code: ops.Unavailable, Message: "GitHub's identity token service broke off its answer.", Hint: "Try again.", Err: err}
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusedToken(resp.StatusCode)
	}
	var answer struct {
		Value string `json:"value"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Value == "" {
		return nil, &ops.Error{Code: ops.Unavailable, Message: fmt.Sprintf("GitHub's identity token service answered %d bytes that hold no token.", len(body)), Hint: "Try again; see whether GitHub Actions has an incident."}
	}
	return []byte(answer.Value), nil
}

func refusedToken(status int) error {
	e := &ops.Error{Code: ops.Denied, Message: fmt.Sprintf("GitHub gives this job no identity token (status %d).", status),
		Hint: "The job needs the permission id-token: write, in the caller and in the reusable workflow; a job older than about 6 hours gets none any more."}
	if status >= 500 || status == http.StatusTooManyRequests {
		e.Code, e.Hint = ops.Unavailable, "Try again; see whether GitHub Actions has an incident."
	}
	return e
}
