package deploy

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	pipetypes "github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
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
}

// A PAT of the service dies so long after its last use (synapse API §4); it is told
// a month before.
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

func (x *doctor) lanes(ctx context.Context) {
	for _, l := range x.lanesHere() {
		if !x.deployed(ctx, l) {
			continue
		}
		x.pipeline(ctx, l)
		x.project(ctx, l)
		x.logs(ctx, l)
	}
}

// deployed tells whether a lane's stack is there, and says so where it is not well.
func (x *doctor) deployed(ctx context.Context, l ops.Lane) bool {
	about := "lane " + string(l)
	s, err := x.find(ctx, LaneStack(l))
	switch {
	case err != nil:
		x.untold(about, err, "")
	case footingOf(s) == create:
		x.fail(about, x.deployRemedy(l), "is not deployed")
		return false
	case footingOf(s) != update:
		x.fail(about, x.deployRemedy(l), "its stack is %s", s.StackStatus)
	}
	return true
}

func (x *doctor) pipeline(ctx context.Context, l ops.Lane) {
	about := "pipeline " + LanePipeline(l)
	out, err := x.c.Clients.Pipelines.GetPipeline(ctx, &codepipeline.GetPipelineInput{Name: aws.String(LanePipeline(l))})
	if err != nil {
		x.untold(about, awsauth.Explain("looking at it", err), x.deployRemedy(l))
		return
	}
	p := out.Pipeline
	switch {
	case p.PipelineType != pipetypes.PipelineTypeV2 || p.ExecutionMode != pipetypes.ExecutionModeParallel:
		x.fail(about, x.deployRemedy(l), "is %s %s, want V2 PARALLEL: runs would wait for or end each other", p.PipelineType, p.ExecutionMode)
	case polls(p):
		x.fail(about, x.deployRemedy(l), "polls its source: a new bundle would start it without a run")
	default:
		x.pass(about, "V2, PARALLEL, starts only when asked")
	}
}

// polls: an S3 source does unless it is told not to.
func polls(p *pipetypes.PipelineDeclaration) bool {
	for _, stage := range p.Stages {
		for _, a := range stage.Actions {
			if a.ActionTypeId != nil && a.ActionTypeId.Category == pipetypes.ActionCategorySource && a.Configuration["PollForSourceChanges"] != "false" {
				return true
			}
		}
	}
	return false
}

// laneMinutes is the time limit of each lane's builds.
var laneMinutes = map[ops.Lane]int32{ops.LanePlan: 60, ops.LaneAdmin: 480, ops.LaneDeploy: 480, ops.LaneMigrate: 2160}

func (x *doctor) project(ctx context.Context, l ops.Lane) {
	about := "project " + LanePipeline(l)
	out, err := x.c.Clients.Builds.BatchGetProjects(ctx, &codebuild.BatchGetProjectsInput{Names: []string{LanePipeline(l)}})
	switch {
	case err != nil:
		x.untold(about, awsauth.Explain("looking at it", err), x.deployRemedy(l))
		return
	case len(out.Projects) == 0:
		x.fail(about, x.deployRemedy(l), "is not there")
		return
	}
	p := out.Projects[0]
	switch minutes := aws.ToInt32(p.TimeoutInMinutes); {
	case p.Environment != nil && aws.ToBool(p.Environment.PrivilegedMode):
		x.fail(about, x.deployRemedy(l), "runs privileged builds")
	case aws.ToInt32(p.AutoRetryLimit) != 0:
		x.fail(about, x.deployRemedy(l), "retries builds by itself")
	case minutes != laneMinutes[l]:
		x.fail(about, x.deployRemedy(l), "gives builds %d minutes, want %d", minutes, laneMinutes[l])
	default:
		x.pass(about, "%d minutes, unprivileged, no retries", minutes)
	}
}

func (x *doctor) logs(ctx context.Context, l ops.Lane) {
	about := "log " + LaneLogs(l)
	out, err := x.c.Clients.Logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String(LaneLogs(l))})
	if err != nil {
		x.untold(about, awsauth.Explain("looking at it", err), x.deployRemedy(l))
		return
	}
	for _, g := range out.LogGroups {
		if aws.ToString(g.LogGroupName) != LaneLogs(l) {
			continue
		}
		if g.RetentionInDays == nil {
			x.fail(about, x.deployRemedy(l), "is kept for ever")
			return
		}
		x.pass(about, "kept %d days", *g.RetentionInDays)
		return
	}
	x.fail(about, x.deployRemedy(l), "is not there")
}

// networkOf is where a lane's builds run, as its stack was deployed.
func (x *doctor) networkOf(ctx context.Context) (vpc string, subnets []string, err error) {
	for _, l := range x.lanesHere() {
		s, err := x.find(ctx, LaneStack(l))
		if err != nil {
			return "", nil, err
		}
		if held := values(s); held["VpcId"] != "" {
			return held["VpcId"], strings.Split(held["SubnetIds"], ","), nil
		}
	}
	if x.Getenv("VPC_ID") == "" || x.Getenv("SUBNETS") == "" {
		return "", nil, &ops.Error{Code: ops.Unavailable, Message: "no lane is deployed, and VPC_ID and SUBNETS are not set", Hint: "synops deploy -e " + x.env()}
	}
	return x.Getenv("VPC_ID"), strings.Split(x.Getenv("SUBNETS"), ","), nil
}

// endpointsWanted are the services that a build cannot do without, where no NAT
// leads out (platform fact §3.3).
var endpointsWanted = []string{"s3", "logs", "sts", "secretsmanager", "codebuild", "codepipeline"}

func (x *doctor) network(ctx context.Context) {
	vpc, subnets, err := x.networkOf(ctx)
	if err != nil {
		x.untold("network", err, "")
		return
	}
	for i := range subnets {
		subnets[i] = strings.TrimSpace(subnets[i])
	}
	if pin := x.c.Environment.VPC; pin != "" && pin != vpc {
		x.fail("network", "Set VPC_ID to it, or put the environments file right.", "builds run in %s and %s pins %s", vpc, x.env(), pin)
	}
	found, err := x.c.Clients.Network.Subnets(ctx, subnets)
	if err != nil {
		x.untold("subnets", err, "Check SUBNETS.")
		return
	}
	endpoints, err := x.c.Clients.Network.Endpoints(ctx, vpc)
	if err != nil {
		x.untold("endpoints", err, "")
	}
	for _, id := range subnets {
		i := slices.IndexFunc(found, func(s Subnet) bool { return s.ID == id })
		if i < 0 {
			x.fail("subnet "+shown(id), "Check SUBNETS.", "is not there")
			continue
		}
		x.subnet(found[i], vpc, endpoints)
	}
}

func (x *doctor) subnet(s Subnet, vpc string, endpoints []string) {
	about := "subnet " + s.ID
	switch {
	case s.VPC != vpc:
		x.fail(about, "Check SUBNETS and VPC_ID.", "is of %s, not of %s", s.VPC, vpc)
	case strings.HasPrefix(s.Way, "igw-"):
		x.fail(about, "Take a private subnet with a NAT gateway.", "leads out by an internet gateway, which is of no use: builds get no public address")
	case s.Way != "":
		x.pass(about, "leads out by %s", s.Way)
	default:
		var missing []string
		for _, service := range endpointsWanted {
			if !slices.ContainsFunc(endpoints, func(e string) bool { return path.Ext(e) == "."+service }) {
				missing = append(missing, service)
			}
		}
		if len(missing) > 0 {
			x.fail(about, "Add a NAT gateway, or endpoints for these.", "leads nowhere, and %s has no endpoint for %s", vpc, strings.Join(missing, ", "))
			return
		}
		x.pass(about, "leads nowhere, and %s has the endpoints that builds need; GitHub cannot be reached", vpc)
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
