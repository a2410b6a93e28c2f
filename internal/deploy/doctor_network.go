package deploy

import (
	"context"
	"path"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

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
// leads out.
// https://docs.aws.amazon.com/codebuild/latest/userguide/use-vpc-endpoints-with-codebuild.html
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
	endpoints, unasked := x.c.Clients.Network.Endpoints(ctx, vpc)
	if unasked != nil {
		x.untold("endpoints", unasked, "")
	}
	for _, id := range subnets {
		i := slices.IndexFunc(found, func(s Subnet) bool { return s.ID == id })
		if i < 0 {
			x.fail("subnet "+shown(id), "Check SUBNETS.", "is not there")
			continue
		}
		x.subnet(found[i], vpc, endpoints, unasked == nil)
	}
}

// subnet looks at one subnet. known tells that endpoints are all that vpc has.
func (x *doctor) subnet(s Subnet, vpc string, endpoints []string, known bool) {
	about := "subnet " + s.ID
	switch {
	case s.VPC != vpc:
		x.fail(about, "Check SUBNETS and VPC_ID.", "is of %s, not of %s", s.VPC, vpc)
	case strings.HasPrefix(s.Way, "igw-"):
		x.fail(about, "Take a private subnet with a NAT gateway.", "leads out by an internet gateway, which is of no use: builds get no public address")
	case s.Way != "":
		x.pass(about, "leads out by %s", s.Way)
	case !known:
		x.add(CannotTell, about, "Put right what is said of endpoints.", "leads nowhere, and whether %s has the endpoints that builds need is not known", vpc)
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
