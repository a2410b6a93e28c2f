package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Status is what the doctor says of one thing.
type Status string

// The statuses.
const (
	Pass       Status = "pass"
	Fail       Status = "fail"
	CannotTell Status = "cannot tell"
)

// A Finding is one line of the doctor's page.
type Finding struct {
	Status Status `json:"status"`
	About  string `json:"about"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// Examination is what the doctor is told besides the account.
type Examination struct {
	Getenv func(string) string
	Host   string // base URL of the service that runs are for
	Core   string // owner/name of the repository with the reusable workflows; "": not known
	Synops string // this program's version
	GitHub *GitHub
	// Actions tells that this process is a workflow's job, whose variables are those
	// of the ops repository.
	Actions bool
}

// A doctor collects findings; what cannot be asked is a finding too.
type doctor struct {
	*Deployer
	Examination
	findings []Finding
}

// Doctor looks at everything that runs stand on and changes nothing. The order of
// the findings is fixed. The error is the end of ctx only.
func (d *Deployer) Doctor(ctx context.Context, e Examination) ([]Finding, error) {
	x := &doctor{Deployer: d, Examination: e}
	x.pass("account", "%s, as %s", d.c.Identity.Account, shown(d.c.Identity.ARN))
	for _, look := range []func(context.Context){
		x.clock, x.variables, x.bootstrap, x.roles, x.trust, x.secrets, x.lanes, x.network, x.bundle, x.gitHubEnvironment, x.gitHubSchedule, x.gitHubBranch, x.gitHubTags,
	} {
		look(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return x.findings, nil
}

func (x *doctor) add(s Status, about, remedy, format string, args ...any) {
	x.findings = append(x.findings, Finding{s, about, fmt.Sprintf(format, args...), remedy})
}

func (x *doctor) pass(about, format string, args ...any) { x.add(Pass, about, "", format, args...) }

func (x *doctor) fail(about, remedy, format string, args ...any) {
	x.add(Fail, about, remedy, format, args...)
}

// untold is for an answer that did not come: a missing thing fails, anything else
// cannot be told.
func (x *doctor) untold(about string, err error, missing string) {
	if ops.CodeOf(err) == ops.NotFound && missing != "" {
		x.fail(about, missing, "is not there")
		return
	}
	hint := ops.HintOf(err)
	switch {
	case ops.CodeOf(err) == ops.Denied:
		hint = "Ask as a role that may look: synops-observe, or an administrator."
	case hint == "":
		hint = "Try again; if it stays so, look in the console."
	}
	x.add(CannotTell, about, hint, "%s", message(err))
}

// message is an error without its hint, which is the remedy.
func message(err error) string {
	if e, ok := errors.AsType[*ops.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

// env names the environment in commands.
func (x *doctor) env() string { return string(x.c.Environment.Name) }

func (x *doctor) bootstrapRemedy() string {
	return "An administrator brings it up to date: synops bootstrap -e " + x.env()
}

func (x *doctor) deployRemedy(l ops.Lane) string {
	return fmt.Sprintf("synops deploy %s -e %s", l, x.env())
}

// lanesHere are the environment's lanes, all where it names none.
func (x *doctor) lanesHere() []ops.Lane { return LanesOf(x.c.Environment) }

// LanesOf returns the lanes that are deployed in an environment.
func LanesOf(env *ops.Environment) []ops.Lane {
	if len(env.Lanes) == 0 {
		return ops.Lanes()
	}
	return env.Lanes
}

// mostSkew is how far a clock may be off: AWS refuses signatures that are off by
// more than five minutes, and it should not be a near thing.
const mostSkew = time.Minute

func (x *doctor) clock(ctx context.Context) {
	at, err := x.c.Clients.Clock(ctx)
	if err != nil {
		x.untold("clock", err, "")
		return
	}
	// The answer's time is whole seconds and was a moment ago.
	if off := time.Since(at).Abs(); off > mostSkew {
		x.fail("clock", "Set this machine's clock by NTP: AWS refuses signatures that are five minutes off.", "%s off from AWS's", off.Round(time.Second))
		return
	}
	x.pass("clock", "within %s of AWS's", mostSkew)
}
