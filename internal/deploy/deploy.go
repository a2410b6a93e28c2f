// Package deploy stands an account up and keeps it as the repository says: stacks
// by change sets that people read before they are executed, the bundle that builds
// run, secrets, and a doctor that tells what is not as it should be.
//
// What is not here: the templates (they are handed in), compiling, the terminal,
// and what a role may do. Texts are plain lines; whoever prints them makes them
// safe to print.
package deploy

import (
	"context"
	"fmt"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// Names that are fixed in every account.
const (
	BootstrapStack = "synops-bootstrap"
	BundleKey      = "bundle.zip"
	CurrentKey     = "current.json"
)

// LaneStack is the name of a lane's stack.
func LaneStack(l ops.Lane) string { return "synops-lane-" + string(l) }

// LanePipeline is the name of a lane's pipeline, and of its build project.
func LanePipeline(l ops.Lane) string { return "synops-" + string(l) }

// LaneLogs is the name of a lane's log group.
func LaneLogs(l ops.Lane) string { return "/synops/" + string(l) }

// Config is what a Deployer is given.
type Config struct {
	Clients     Clients
	Environment *ops.Environment
	Identity    awsauth.Identity // whose credentials the clients have
	// Say prints a line of progress for people; nil: nothing is said.
	Say  func(format string, args ...any)
	Poll time.Duration // at most, between looks at what is under way; 0: 3 s
}

// A Deployer changes one account. Its methods are not for concurrent use.
type Deployer struct {
	c Config
}

// New returns a Deployer for the account that the identity is of. It is a Refusal
// by the guard environment-account when that is not the environment's, and Invalid
// when the environment names no account or region: nothing is deployed by guess.
func New(c Config) (*Deployer, error) {
	env := c.Environment
	if env.Account == "" || env.Region == "" {
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("Environment %s names no account or no region.", env.Name), Hint: "Add account and region to its entry in the environments file."}
	}
	if c.Identity.Account != env.Account {
		return nil, ops.Refuse("environment-account", fmt.Sprintf("Sign in to account %s.", env.Account),
			"the credentials are of account %s and %s is account %s.", ops.Quote(c.Identity.Account), env.Name, env.Account)
	}
	if c.Poll == 0 {
		c.Poll = 3 * time.Second
	}
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	return &Deployer{c: c}, nil
}

// pacing returns a function that waits between looks: shortly at first, for what is
// quick, then longer, up to Poll. Its error is the end of ctx.
func (d *Deployer) pacing() func(ctx context.Context) error {
	next := d.c.Poll / 10
	return func(ctx context.Context) error {
		t := time.NewTimer(next)
		defer t.Stop()
		next = min(2*next, d.c.Poll)
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// shown makes a name from the account safe to print: escaped, and bounded at what
// the longest ARNs of ours need.
func shown(s string) string {
	q := ops.Quote(s)
	if bare, whole := strings.CutSuffix(q, `"`); whole {
		return bare[1:]
	}
	return q
}
