package deploy

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// A variable is one of the ops repository's and what is wrong with a value; "" for
// nothing.
type variable struct {
	name  string
	wrong func(value string) string
}

func (x *doctor) repositoryVariables() []variable {
	env := x.c.Environment
	role := func(names ...string) func(string) string {
		return func(v string) string {
			for _, n := range names {
				if v == fmt.Sprintf("arn:aws:iam::%s:role/%s", env.Account, n) {
					return ""
				}
			}
			return fmt.Sprintf("is %s, want the ARN of %s in account %s", ops.Quote(v), strings.Join(names, " or "), env.Account)
		}
	}
	list := func(kind string) func(string) string {
		item := regexp.MustCompile(`^` + kind + `-[0-9a-z][0-9a-z-]{0,40}$`)
		return func(v string) string {
			for _, one := range strings.Split(v, ",") {
				if !item.MatchString(strings.TrimSpace(one)) {
					return fmt.Sprintf("holds %s, which is no ID like %s-0a1b2c3d", ops.Quote(one), kind)
				}
			}
			return ""
		}
	}
	return []variable{
		{"CONTEXT", func(v string) string {
			if v != string(env.Name) {
				return fmt.Sprintf("is %s, want %s", ops.Quote(v), env.Name)
			}
			return ""
		}},
		{"SYNAPSE_HOST", func(v string) string {
			if !env.Allows(strings.TrimSuffix(v, "/")) {
				return fmt.Sprintf("is %s, which is not one of %s", ops.Quote(v), strings.Join(env.Hosts, ", "))
			}
			return ""
		}},
		{"ROLE_TO_ASSUME", role(RoleObserve, RolePerform)},
		{"SYNAPSE_DEPLOYMENT_ROLE", role(RoleDeploy)},
		{"VPC_ID", list("vpc")}, {"SUBNETS", list("subnet")}, {"SECURITY_GROUP_IDS", list("sg")},
	}
}

// variables looks at those that are set; in a workflow all must be.
func (x *doctor) variables(context.Context) {
	var unset, well []string
	for _, v := range x.repositoryVariables() {
		value := x.Getenv(v.name)
		switch {
		case value == "":
			unset = append(unset, v.name)
		case v.wrong(value) != "":
			x.fail("variable "+v.name, "Set it in the ops repository's settings, under Secrets and variables, Actions.", "%s", v.wrong(value))
		default:
			well = append(well, v.name)
		}
	}
	if len(well) > 0 {
		x.pass("variables", "%s", strings.Join(well, ", "))
	}
	switch {
	case len(unset) == 0:
	case x.Actions:
		x.fail("variables", "Set them in the ops repository's settings, under Secrets and variables, Actions.", "not set: %s", strings.Join(unset, ", "))
	default:
		x.add(CannotTell, "variables", "The ops repository's are known in its workflows: run its doctor there.", "not set here: %s", strings.Join(unset, ", "))
	}
}

// bootstrap looks at the stack that all else stands on, and its buckets.
func (x *doctor) bootstrap(ctx context.Context) {
	out, err := x.Outputs(ctx, BootstrapStack)
	if err != nil {
		x.untold("bootstrap", err, x.bootstrapRemedy())
		return
	}
	x.pass("bootstrap", "stack %s, %d outputs", BootstrapStack, len(out))
	for _, name := range []string{"StoreBucket", "BundleBucket"} {
		v, err := x.c.Clients.Objects.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: aws.String(out[name])})
		switch {
		case err != nil:
			x.untold(name, awsauth.Explain("looking at its versions", err), x.bootstrapRemedy())
		case v.Status != s3types.BucketVersioningStatusEnabled:
			x.fail(name, x.bootstrapRemedy(), "keeps no versions")
		default:
			x.pass(name, "%s keeps versions", shown(out[name]))
		}
	}
	x.bucketVariables(out)
}

// bucketVariables looks at the two variables that spare a start one question. They may
// be absent; a wrong one has every start fail.
func (x *doctor) bucketVariables(out map[string]string) {
	for _, v := range []struct{ name, want string }{{"SYNOPS_STORE", "s3://" + out["StoreBucket"]}, {"SYNOPS_BUNDLE_BUCKET", out["BundleBucket"]}} {
		about := "variable " + v.name
		switch value := x.Getenv(v.name); {
		case value == v.want:
			x.pass(about, "%s", shown(value))
		case value != "":
			x.fail(about, "Set it so in the ops repository's settings, under Secrets and variables, Actions, or take it away.", "is %s, want %s", ops.Quote(value), shown(v.want))
		case x.Actions:
			x.pass(about, "not set: each start asks the stack instead")
		}
	}
}

// A PAT of the service dies so long after its last use; it is told a month before.
const (
	patLife    = 180 * 24 * time.Hour
	patWarning = patLife - 30*24*time.Hour
)

func (x *doctor) secrets(ctx context.Context) {
	for _, name := range SecretNames(x.c.Environment) {
		if !x.uses(name) {
			continue
		}
		about := "secret " + name
		s, err := x.c.Clients.Secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(name)})
		if err != nil {
			x.untold(about, awsauth.Explain("looking at its age", err), x.bootstrapRemedy())
			continue
		}
		put := fmt.Sprintf("synops secret put %s -e %s", name, x.env())
		used := latest(s.LastAccessedDate, s.LastChangedDate, s.CreatedDate)
		switch {
		case s.DeletedDate != nil:
			x.fail(about, "aws secretsmanager restore-secret --secret-id "+name, "is to be deleted on %s", s.DeletedDate.UTC().Format(time.DateOnly))
		case holder(s.VersionIdsToStages, stageCurrent) == "":
			x.fail(about, put, "has no value yet")
		case name == x.c.Environment.Secret && time.Since(used) > patWarning:
			x.fail(about, "Run the task canary, which uses it; if it is dead: "+put, "was last used %s; a token dies %d days after its last use", ago(used), patLife/(24*time.Hour))
		default:
			x.pass(about, "put %s, last used %s", ago(latest(s.LastChangedDate, s.CreatedDate)), ago(latest(s.LastAccessedDate)))
		}
	}
}

// uses tells whether one of the environment's lanes reads the secret.
func (x *doctor) uses(name string) bool {
	lanes := x.lanesHere()
	switch name {
	case MigrationSource, MigrationDestination:
		return slices.Contains(lanes, ops.LaneMigrate)
	case GitHubPAT:
		return slices.Contains(lanes, ops.LaneDeploy)
	}
	return true
}

func latest(times ...*time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t != nil && t.After(last) {
			last = *t
		}
	}
	return last
}

// ago renders an age in days, which is as exactly as anybody is told.
func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	switch days := int(time.Since(t) / (24 * time.Hour)); days {
	case 0:
		return "today"
	case 1:
		return "1 day ago"
	default:
		return fmt.Sprintf("%d days ago", days)
	}
}

// oldBundle is when a bundle should have been followed by another.
const oldBundle = 180 * 24 * time.Hour

func (x *doctor) bundle(ctx context.Context) {
	out, err := x.Outputs(ctx, BootstrapStack)
	if ops.CodeOf(err) == ops.NotFound {
		return // told already
	}
	if err != nil {
		x.untold("bundle", err, "")
		return
	}
	c, err := x.Current(ctx, out["BundleBucket"])
	deploy := "synops deploy -e " + x.env()
	switch {
	case err != nil:
		x.untold("bundle", err, deploy)
		return
	case c == nil:
		x.fail("bundle", deploy, "none was published")
		return
	}
	text := fmt.Sprintf("%s, commit %s, of %s", c.Synops, orUnknown(c.Commit), ago(c.Built))
	lowest, comparable := compareVersions(x.Synops, c.LowestAllowed)
	switch {
	case comparable && lowest < 0:
		x.fail("bundle", "Install synops "+c.LowestAllowed+" or later.", "%s; this is synops %s, below the lowest allowed, %s", text, x.Synops, c.LowestAllowed)
	case c.Synops != x.Synops:
		x.fail("bundle", deploy+" with the release that is meant to run, and install that.", "%s; this is synops %s: launcher and worker differ", text, x.Synops)
	case time.Since(c.Built) > oldBundle:
		x.fail("bundle", deploy, "%s: older than %d days", text, oldBundle/(24*time.Hour))
	default:
		x.pass("bundle", "%s, the same as this program", text)
	}
}
