package ops

import "net/url"

// EnvironmentName names an environment: dev, prod or the built-in sandbox.
type EnvironmentName string

// Sandbox is the built-in environment: an in-memory Synapse on loopback.
const Sandbox EnvironmentName = "sandbox"

// Lane names a pipeline with its own least-privilege role. The task's author
// chooses it, never the requester. It leads every key of a run's documents.
type Lane string

// The lanes.
const (
	LanePlan    Lane = "plan"
	LaneAdmin   Lane = "admin"
	LaneDeploy  Lane = "deploy"
	LaneMigrate Lane = "migrate"
)

// Lanes lists all lanes in a fixed order.
func Lanes() []Lane { return []Lane{LanePlan, LaneAdmin, LaneDeploy, LaneMigrate} }

// An Environment is one trusted entry of the environments file. A pin that is
// empty is not asked, and the plan says so.
type Environment struct {
	Name        EnvironmentName
	Repository  string   // owner/name of the ops repository that may ask; required
	Hosts       []string // base URLs such as https://repo-dev.dev.sagebase.org, no path; required
	Account     string   // 12 digits; pin
	Region      string   // such as us-east-1
	Stack       string   // the stack (family) that instances belong to; pin
	Secret      string   // name of the admin token's secret in Secrets Manager
	TokenSource string   // scheme:name, such as env:SYNAPSE_ADMIN_PAT; overrides Secret
	// MigrationSource and MigrationDestination tell where a migration's credential for
	// each stack is kept, scheme:name; empty: the secrets that every account has.
	MigrationSource, MigrationDestination string
	Instances                             []string // patterns (path.Match) an instance's name must match one of; pin
	VPC                                   string
	Lanes                                 []Lane // lanes deployed here; empty: all
	MaxTargets                            int    // raises a task's own limit; 0: does not
	RequireReason                         bool
	ReleasedOnly                          bool              // its builds run released bundles only
	Schedules                             map[TaskName]bool // schedules enabled here
	// Constants are what its constants file says, as written: by task, or under
	// Shared for every task that declares the name.
	Constants map[string]map[string]string
}

// Allows tells whether host (a base URL) is one of the environment's.
func (e *Environment) Allows(host string) bool {
	for _, h := range e.Hosts {
		if h == host {
			return true
		}
	}
	return false
}

// Loopback tells whether a base URL points at this machine: only there is plain
// http accepted, and only there may a run's pace be unbounded.
func Loopback(host string) bool {
	u, err := url.Parse(host)
	if err != nil {
		return false
	}
	switch u.Hostname() {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}
