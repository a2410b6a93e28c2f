package cli

import (
	"context"
	"fmt"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// tokenless tells whether this is a build of a lane that may not read the
// administrator's token: its template names no source.
func (a *app) tokenless() bool { return a.inBuild() != nil && a.p.Getenv(varTokenSource) == "" }

// bindTokenless ties the task that proves lanes to its host and to the lane's own
// credentials.
func (a *app) bindTokenless(env *ops.Environment, req *ops.Request, used *[]apiClient) (*worker.Bound, error) {
	none := func(context.Context) (string, error) {
		return "", &ops.Error{Code: ops.Denied, Message: fmt.Sprintf("lane %s may not read the administrator's token.", req.Lane), Hint: "Choose lane admin."}
	}
	c, err := adminapi.New(adminapi.Config{Host: req.Host, Pace: req.Pace, UserAgent: "synops/" + version(), Token: none, Mask: a.secrets.String})
	if err != nil {
		return nil, err
	}
	*used = append(*used, c)
	l := tokenlessLane{service{c}, a, env}
	return &worker.Bound{Service: l, Procedure: tasks.BindTokenless(l), InFlight: c.InFlight}, nil
}

// tokenlessLane is the service and the account as such a lane sees them.
type tokenlessLane struct {
	service
	a   *app
	env *ops.Environment
}

// Version is what the service says of itself to anybody.
func (l tokenlessLane) Version(ctx context.Context) (synapse.Version, error) { return l.c.Version(ctx) }

// Administrator has nobody to prove: no call of such a lane carries a token.
func (l tokenlessLane) Administrator(context.Context) error { return nil }

// Account asks AWS; nothing is remembered.
func (l tokenlessLane) Account(ctx context.Context) (string, error) {
	s, err := l.a.signIn(ctx, l.env)
	if err != nil {
		return "", err
	}
	id, err := awsauth.WhoAmI(ctx, s.config)
	return id.Account, err
}
