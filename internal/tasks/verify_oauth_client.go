package tasks

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var verifyOAuthClientTask = ops.Task{
	Name: "verify-oauth-client", Version: 1,
	Title:   "Verify OAuth clients",
	Summary: "Allow-lists OAuth clients (or, with verified=false, takes them off the list).",
	Details: "Only a verified client may ask users for access. The service e-mails the client's creator when it becomes verified, " +
		"and fetches its sector identifier document if it has one, which must list all redirect addresses. " +
		"Each client is changed only if it is still as planned: its etag is compared by the service.",
	Undo: "The same task with the opposite verified.",
	Inputs: []ops.Input{
		{Name: "client-ids", Kind: ops.KindOAuthClient, List: true, Example: "100001,100002", Help: "IDs of the OAuth clients."},
		{Name: "verified", Kind: ops.KindBoolean, Default: "true", Example: "true", Help: "Whether the clients are to be verified."},
	},
	Class:    ops.Changes,
	Lane:     ops.LaneAdmin,
	Noun:     "OAuth client",
	Plural:   "OAuth clients",
	Deciding: []string{"verified", "etag"},
	Lease:    "oauth-clients",

	TargetsInput: "client-ids",
	TimeLimit:    8 * time.Hour,
}

// oauthVerification allow-lists clients by compare-and-set.
type oauthVerification struct {
	oauthClients
	change
}

func verifyOAuthClient(s Service) ops.Procedure {
	o := oauthVerification{oauthClients: s}
	o.change = change{
		targets: listed("client-ids", "oauth-client"),
		read:    o.read,
		want: func(v ops.Values, _ ops.Target) ops.State {
			return ops.State{"verified": v.Bool("verified")}
		},
		settle: ops.SettleRead,
	}
	p := o.procedure()
	p.Perform = o.perform
	p.Undo = inverse(func(v ops.Values, env ops.EnvironmentName, done []ops.Effect) string {
		return ops.Command(verifyOAuthClientTask.Name, env,
			[2]string{"client-ids", listOf(done)}, [2]string{"verified", strconv.FormatBool(!v.Bool("verified"))})
	})
	return p
}

func (o oauthVerification) read(ctx context.Context, _ ops.Values, t ops.Target) (ops.State, error) {
	c, err := o.OAuthClient(ctx, t.Value)
	if ops.CodeOf(err) == ops.NotFound {
		return nil, refuse("oauth-client-exists", ops.NotFound, "Check the ID, and the environment.", "there is no %s.", t.Label)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", t.Label, err)
	}
	if c.Etag == "" {
		return nil, ops.Refuse("oauth-client-etag", "The service shows it to administrators and the owner only: use an administrator's token.",
			"the service does not show the etag of %s to this token.", t.Label)
	}
	return oauthState(c), nil
}

// perform sets the flag if the client still has the etag of the plan. A stale etag
// may be our own doing, by a first sending whose answer was lost: a client found
// as wanted is done.
func (o oauthVerification) perform(ctx context.Context, step *ops.Step) (ops.Done, error) {
	e := step.Effect
	etag, _ := e.Before["etag"].(string)
	c, err := o.SetOAuthClientVerified(ctx, e.Value, step.Values.Bool("verified"), etag)
	if ops.CodeOf(err) == ops.Conflict {
		return o.afterConflict(ctx, step)
	}
	if err != nil {
		return ops.Done{}, err
	}
	return ops.Done{After: oauthState(c)}, nil
}

func (o oauthVerification) afterConflict(ctx context.Context, step *ops.Step) (ops.Done, error) {
	e := step.Effect
	d, as, err := o.settled(ctx, step.Values, e)
	switch {
	case err != nil:
		return ops.Done{}, err
	case as:
		d.Message = "its etag had moved on, and it is as wanted"
		return d, nil
	}
	differ := e.Before.Differs(d.After, fields(d.After))
	for i, f := range differ {
		differ[i] = fmt.Sprintf("%s was %s and is %s", f, value(e.Before[f]), value(d.After[f]))
	}
	return ops.Done{}, refuse("as-planned", ops.Conflict, "Plan again, look at what changed, and run that plan.",
		"%s is not as planned: %s.", e.Label, strings.Join(differ, "; "))
}

func oauthState(c synapse.OAuthClient) ops.State {
	return ops.State{"verified": c.Verified, "etag": c.Etag, "name": c.ClientName}
}
