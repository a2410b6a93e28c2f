package tasks

import (
	"context"
	"fmt"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
)

// tools lists the tasks that run tools, in the order people see them.
func tools() []*tool {
	return []*tool{
		buildStack, buildDevStack, bindLoadBalancers, buildVPC, buildBuckets, buildCDN, buildCDNWebACL, buildETLStack, buildETLJobs,
		buildGlobalResources, buildIDGenerator, buildIPAddressPool, buildLoadBalancers, removeDevStacks, deployDashboard,
	}
}

var buildStack = &tool{
	task: toolTask(ops.Task{
		Name: "build-stack", Title: "Build a Synapse stack", Summary: "Creates or updates one instance of the service: repository, workers and portal.",
		Details: "Sizes, certificates and zones are the environment's constants. The stack is the environment's own: it is no input.",
		Inputs: []ops.Input{
			withRule(text("instance", "The instance to build.", "544"), instancePattern, instanceRule),
			withRule(text("repo-and-workers-version", "Release of repository and workers.", "544.0"), versionPattern, versionRule),
			{Name: "repo-beanstalk-version", Kind: ops.KindInteger, Most: 999, Example: "0", Help: "Number of the repository's environment within the instance."},
			withRule(text("portal-version", "Release of the portal.", "544.0-4-gd18c3167f2"), versionPattern, versionRule),
			{Name: "portal-beanstalk-version", Kind: ops.KindInteger, Most: 999, Example: "0", Help: "Number of the portal's environment within the instance."},
			colorInput,
			{Name: "beanstalk-platform-version", Kind: ops.KindText, Default: "5.5.0", Pattern: `[0-9]+(\.[0-9]+){2}`, Rule: "It is three numbers joined by dots, such as 5.5.0.", Example: "5.5.0", Help: "Release of the platform that Beanstalk runs."},
			{Name: "deployment-target", Kind: ops.KindChoice, Choices: []string{"BEANSTALK", "ECS_FARGATE"}, Default: "BEANSTALK", Example: "BEANSTALK", Help: "What the instance runs on."},
		},
		Lease: "stack/{instance}", Constants: buildStackConstants(),
	}),
	target: func(v ops.Values) string { return "stack/" + v.Text("instance") },
	stacks: instanceStacks, recipe: stackBuilder,
	ref: func(g given) string { return "release-" + g.text("instance") },
	program: java("repo.RepositoryBuilderMain", smallHeap, slices.Concat(
		called("stack", "instance", "vpc.subnet.color", "deployment.target"),
		[]property{
			as("beanstalk.version.repo", "repo-and-workers-version"), as("beanstalk.version.workers", "repo-and-workers-version"),
			as("beanstalk.version.portal", "portal-version"),
			as("beanstalk.number.repo", "repo-beanstalk-version"), as("beanstalk.number.portal", "portal-beanstalk-version"),
			as("beanstalk.image.version.amazonlinux", "beanstalk-platform-version"),
			{"beanstalk.number.workers", fixed("0")},
			{"repo.rds.storage.type", fixed("gp3")}, {"tables.rds.storage.type", fixed("gp3")},
			{"repo.rds.iops", fixed("-1")}, {"tables.rds.iops", fixed("-1")},
			{"repo.rds.multi.az", fixed("true")}, {"tables.rds.instance.count", fixed("1")},
			{"docs.deploy", fixed("false")}, {"docs.source", fixed("dev.release.rest.doc.sagebase.org")}, {"docs.destination", fixed("rest-docs.synapse.org/rest")},
		},
		called(stackProperties...))...),
	more: discovery,
}

// stackProperties are those of an instance that differ between environments; each
// is a constant.
var stackProperties = []string{
	"beanstalk.instance.type", "beanstalk.instance.memory", "repo.rds.instance.class", "repo.rds.allocated.storage", "repo.rds.max.allocated.storage",
	"tables.rds.instance.class", "tables.rds.allocated.storage", "tables.rds.max.allocated.storage",
	"beanstalk.min.instances.repo", "beanstalk.max.instances.repo", "beanstalk.min.instances.workers", "beanstalk.max.instances.workers",
	"beanstalk.min.instances.portal", "beanstalk.max.instances.portal",
	"beanstalk.ssl.arn.repo", "beanstalk.ssl.arn.workers", "beanstalk.ssl.arn.portal",
	"route.53.hosted.zone.repo", "route.53.hosted.zone.workers", "route.53.hosted.zone.portal",
	"enable.rds.enhanced.monitoring", "cloudfront.keypair", "doi.datacite.enabled", "repositoryservice.endpoint.prod", "vpc.ops.export.prefix", "repo.time.to.live.hours",
}

func buildStackConstants() []ops.Input {
	// What one environment sets and the other does not.
	notEverywhere := []string{"beanstalk.instance.memory", "beanstalk.ssl.arn.repo", "beanstalk.ssl.arn.workers", "doi.datacite.enabled",
		"repositoryservice.endpoint.prod", "vpc.ops.export.prefix", "repo.time.to.live.hours"}
	out := []ops.Input{stackConstant}
	for _, name := range stackProperties {
		in := text(constantName(name), "The property "+name+".", "see environments/prod.yaml")
		switch {
		case strings.Contains(name, ".ssl.arn."):
			in = withRule(in, certificatePattern, certificateRule)
		case strings.HasSuffix(name, ".storage"), strings.Contains(name, ".instances."), strings.HasSuffix(name, ".memory"), strings.HasSuffix(name, ".hours"):
			in.Kind, in.Example = ops.KindInteger, "2"
		case strings.HasSuffix(name, ".enabled"), strings.HasPrefix(name, "enable."):
			in.Kind, in.Example = ops.KindBoolean, "true"
		}
		in.Optional = slices.Contains(notEverywhere, name)
		out = append(out, in)
	}
	return out
}

const (
	certificatePattern = `arn:aws:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+`
	certificateRule    = "It is a certificate's ARN, such as arn:aws:acm:us-east-1:123456789012:certificate/abc."
)

// discovery adds where the account's own sign-in is described, if it has one.
func discovery(ctx context.Context, x Tools, g given, _ *ops.Effect, properties map[string]string) error {
	s, err := x.Stack(ctx, "synapse-"+g.text("stack")+"-global-resources")
	if err != nil {
		return err
	}
	if s == nil || s.Outputs["CognitoUserPoolId"] == "" {
		return nil
	}
	properties["oauth2.sagebio.discoveryDocument"] = "https://cognito-idp.us-east-1.amazonaws.com/" + s.Outputs["CognitoUserPoolId"] + "/.well-known/openid-configuration"
	return nil
}

var buildDevStack = &tool{
	task: toolTask(ops.Task{
		Name: "build-dev-stack", Title: "Build a developer's stack", Summary: "Creates or updates a developer's own stack in dev.",
		Details:      "It is deleted by remove-dev-stacks once its time is over.",
		Environments: []ops.EnvironmentName{"dev"},
		Inputs: []ops.Input{
			withRule(text("instance", "The developer's instance.", "jmhill"), "[A-Za-z0-9]{1,7}", "It is one to seven letters and digits, such as jmhill: they become part of names."),
			sourceOwnerInput,
		},
		Lease: "stack/{instance}", Constants: []ops.Input{stackConstant},
	}),
	target: func(v ops.Values) string { return "stack/" + v.Text("instance") },
	stacks: instanceStacks, recipe: stackBuilder, ref: usualBranch,
	program: java("repo.RepositoryBuilderMain", smallHeap, append(called("stack", "instance"),
		property{"vpc.subnet.color", fixed("Green")}, property{"beanstalk.number.repo", fixed("0")}, property{"beanstalk.number.workers", fixed("0")})...),
}

var bindLoadBalancers = &tool{
	task: toolTask(ops.Task{
		Name: "bind-load-balancers", Title: "Bind public names to instances", Summary: "Points the public host names at instances: the switch that users feel.",
		Details: "Each input is an instance with its number, such as 544-0, or none. This repoints what users see, at once. An environment without records for test takes none there.",
		Inputs:  bindingInputs(),
		Lease:   "dns", Constants: append([]ops.Input{stackConstant}, recordConstants()...),
	}),
	target: one("bindings"), stacks: namesOf("{stack}-dns-record-to-stack-mapping"), recipe: stackBuilder, ref: usualBranch,
	program:   java("nlb.BindNetworkLoadBalancersMain", smallHeap, append(called("stack"), property{"bind.record.to.stack.csv", bindings})...),
	more:      checkBindings,
	challenge: func(v ops.Values, _ ops.Effect) string { return v.Text("portal-live") },
}

func bindingInputs() []ops.Input {
	var out []ops.Input
	for _, b := range bindInputs {
		in := withRule(text(b.input, fmt.Sprintf("What the %s name of %s leads to.", strings.TrimPrefix(b.input, b.service+"-"), b.service), "544-0"),
			`[A-Za-z0-9]{1,7}-[0-9]{1,3}|none`, "It is an instance and a number, such as 544-0, or none.")
		if strings.HasSuffix(b.input, "-test") {
			in.Default = "none"
		}
		out = append(out, in)
	}
	return out
}

func recordConstants() []ops.Input {
	var out []ops.Input
	for _, b := range bindInputs {
		in := withRule(text(b.record, "The public name that "+b.input+" is about.", "www.example.org"), `[a-z0-9-]+(\.[a-z0-9-]+)+`, "It is a host name.")
		in.Optional = strings.HasSuffix(b.input, "-test")
		out = append(out, in)
	}
	return out
}

// checkBindings refuses an instance for a name that the environment does not have.
func checkBindings(_ context.Context, _ Tools, g given, _ *ops.Effect, _ map[string]string) error {
	for _, b := range bindInputs {
		if g.constants.Text(b.record) == "" && g.values.Text(b.input) != "none" {
			return ops.Refuse("record", "Leave "+b.input+" out, or say none.", "this environment has no public name for %s.", b.input)
		}
	}
	return nil
}

var buildVPC = &tool{
	task: toolTask(ops.Task{
		Name: "build-vpc", Title: "Build the VPC", Summary: "Creates or updates the network that instances run in.",
		Details: "Every value has its constant; an input replaces it for this run.",
		Inputs:  optionals(vpcValues()), Lease: "vpc", Constants: append([]ops.Input{stackConstant}, vpcValues()...),
	}),
	target: one("vpc"), stacks: namesOf("synapse-{stack}-vpc*"), recipe: stackBuilder, ref: usualBranch,
	program: java("vpc.VpcBuilderMain", growsHeap, append(called("stack"),
		as("vpc.vpn.cidr", "vpn-cidr"), as("vpc.vpn.cidr.new", "vpn-cidr-new"), as("vpc.availability.zones", "availability-zones"), as("vpc.subnet.prefix", "subnet-prefix"),
		as("vpc.colors.csv", "colors-csv"), as("vpc.endpoints.color", "endpoints-color"), as("vpc.endpoints.availability.zones", "endpoints-availability-zones"),
		as("vpc.peering.accept.role.arn", "peering-accept-role"))...),
}

func vpcValues() []ops.Input {
	const cidr, cidrRule = `[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}`, "It is a network such as 10.1.0.0/16."
	return []ops.Input{
		withRule(text("vpn-cidr", "Network of the VPN.", "10.1.0.0/16"), cidr, cidrRule),
		withRule(text("vpn-cidr-new", "Network of the new VPN.", "10.50.0.0/16"), cidr, cidrRule),
		text("availability-zones", "Availability zones, separated by commas.", "us-east-1a,us-east-1b"),
		text("subnet-prefix", "First two numbers of the subnets.", "10.21"),
		text("colors-csv", "Colors of subnets, separated by commas.", "Red,Green,Blue"),
		text("endpoints-color", "Color of the subnets with endpoints.", "Blue"),
		text("endpoints-availability-zones", "Availability zones with endpoints.", "us-east-1a"),
		withRule(text("peering-accept-role", "Role that accepts the peering.", "arn:aws:iam::123456789012:role/peering"), `arn:aws:iam::[0-9]{12}:role/.+`, "It is a role's ARN."),
	}
}

func optionals(list []ops.Input) []ops.Input {
	out := make([]ops.Input, len(list))
	for i, in := range list {
		out[i] = optional(in)
	}
	return out
}

var scannerValue = withRule(text("virus-scanner-artifact", "Address of the virus scanner's release.", "https://artifacts.example.org/lambda-virus-scanner-1.2.3.jar"), `https://.+`, "It is an https address of one release.")

var buildBuckets = &tool{
	task: toolTask(ops.Task{
		Name: "build-buckets", Title: "Build the buckets", Summary: "Creates or updates the S3 buckets and their virus scanner.",
		Details: "The virus scanner's release is named, not asked for: the same request builds the same.",
		Inputs:  []ops.Input{optional(scannerValue)}, Lease: "buckets", Constants: []ops.Input{stackConstant, scannerValue},
	}),
	target: one("buckets"), stacks: namesOf("synapse-{stack}-bucket*", "{stack}-synapse-bucket*"), recipe: stackBuilder, ref: usualBranch,
	program: java("s3.S3BuilderMain", smallHeap, append(called("stack"), as("lambda.virusscanner.artifactUrl", "virus-scanner-artifact"))...),
}

var buildCDN = &tool{
	task: toolTask(ops.Task{
		Name: "build-cdn", Title: "Build the portal's CDN", Summary: "Creates or updates the CloudFront distribution of one portal.",
		Details: "One distribution for each subdomain.",
		Inputs: []ops.Input{
			{Name: "subdomain", Kind: ops.KindChoice, Choices: []string{"www", "staging", "tst"}, Example: "staging", Help: "Which portal."},
			optional(cdnCertificate),
		},
		Lease: "cdn/{subdomain}", Constants: []ops.Input{stackConstant, cdnCertificate},
	}),
	target: func(v ops.Values) string { return "cdn/" + v.Text("subdomain") },
	stacks: namesOf("cdn-{stack}-{subdomain}*", "{stack}-{subdomain}-*cdn*"), recipe: stackBuilder, ref: usualBranch,
	program: java("cdn.CdnBuilderMain", smallHeap, append(called("stack"), as("stack.instance.alias", "subdomain"), as("beanstalk.ssl.arn.portal", "certificate-arn"))...),
}

var cdnCertificate = withRule(text("certificate-arn", "Certificate of the portal.", "arn:aws:acm:us-east-1:123456789012:certificate/placeholder"), certificatePattern, certificateRule)

var buildCDNWebACL = &tool{
	task: toolTask(ops.Task{
		Name: "build-cdn-web-acl", Title: "Build the CDN's firewall", Summary: "Creates or updates the firewall of the portal's CDN.",
		Details: "It takes nothing but the environment's stack.", Lease: "cdn-web-acl", Constants: []ops.Input{stackConstant},
	}),
	target: one("cdn-web-acl"), stacks: namesOf("*{stack}*web-acl*", "*{stack}*webacl*"), recipe: stackBuilder, ref: usualBranch,
	program: java("cdn.webacl.CdnWebAclBuilderMain", smallHeap, called("stack")...),
}

var glueValue = withRule(text("glue-db", "The warehouse's database in Glue.", "synapsewarehouse"), "[a-z0-9_]{1,255}", "It is lower-case letters, digits and underscores.")

var buildETLStack = &tool{
	task: toolTask(ops.Task{
		Name: "build-etl-stack", Title: "Build the data warehouse", Summary: "Creates or updates the data warehouse's stack.",
		Details: "The jobs that fill it are build-etl-jobs.",
		Inputs:  []ops.Input{optional(glueValue)}, Lease: "etl", Constants: []ops.Input{stackConstant, glueValue},
	}),
	target: one("etl-stack"), stacks: namesOf("{stack}-*warehouse*", "*{stack}-datawarehouse*"), recipe: stackBuilder, ref: usualBranch,
	program: java("datawarehouse.DataWarehouseBuilderMain", growsHeap, append(called("stack"), as("synapse.datawarehouse.glue.database.name", "glue-db"))...),
}

var buildETLJobs = &tool{
	task: toolTask(ops.Task{
		Name: "build-etl-jobs", Title: "Build the ETL jobs", Summary: "Creates or updates the jobs that fill the data warehouse.",
		Details: "Sources since October 2024 do not have its main class: the run is refused then, before anything is changed.", Lease: "etl", Constants: []ops.Input{stackConstant},
	}),
	target: one("etl-jobs"), stacks: namesOf("{stack}-*etl*", "*{stack}-etl*"), recipe: stackBuilder, ref: usualBranch,
	program: java("etl.EtlBuilderMain", growsHeap, called("stack")...),
}

var exportPrefixValue = text("ops-vpc-export-prefix", "Prefix of what the operations VPC exports.", "us-east-1-vpc")

var buildGlobalResources = &tool{
	task: toolTask(ops.Task{
		Name: "build-global-resources", Title: "Build the account's resources", Summary: "Creates or updates what an account has once: mail, addresses, the help site.",
		Details: "All instances of the account use them.",
		Inputs:  []ops.Input{optional(exportPrefixValue)}, Lease: "global-resources", Constants: []ops.Input{stackConstant, exportPrefixValue},
	}),
	target: one("global-resources"), stacks: namesOf("synapse-{stack}-global-resources"), recipe: stackBuilder, ref: usualBranch,
	program: java("global.GlobalResourcesBuilderMain", smallHeap, append(called("stack"), as("vpc.ops.export.prefix", "ops-vpc-export-prefix"))...),
}

var zoneValue = withRule(text("idgen-hosted-zone-id", "Hosted zone of the database's name.", "Z0EXAMPLE"), "[A-Z0-9]{1,32}", "It is a hosted zone's ID.")

var buildIDGenerator = &tool{
	task: toolTask(ops.Task{
		Name: "build-id-generator", Title: "Build the ID generator's database", Summary: "Creates or updates the database that gives out IDs.",
		Details: "A new one is seeded with what export-ids writes.",
		Inputs:  []ops.Input{optional(colorInput), optional(zoneValue)}, Lease: "id-generator", Constants: []ops.Input{stackConstant, colorInput, zoneValue},
	}),
	target: one("id-generator"), stacks: namesOf("*{stack}*id-generator*", "*id-generator-{stack}*"), recipe: stackBuilder, ref: usualBranch,
	program: java("repo.IdGeneratorMain", growsHeap, append(called("stack", "vpc.subnet.color"), as("id.generator.hosted.zone.id", "idgen-hosted-zone-id"))...),
}

func balancerValues() []ops.Input {
	return []ops.Input{
		withRule(text("nlb-records-csv", "Public names with a balancer, separated by commas.", "www.example.org,staging.example.org"), `[a-z0-9.,-]+`, "It is host names, separated by commas."),
		{Name: "az-per-nlb", Kind: ops.KindInteger, Least: 1, Most: 6, Example: "2", Help: "Availability zones of each balancer."},
	}
}

var balancerProperties = append(called("stack"), as("nlb.record.csv", "nlb-records-csv"), as("ip.address.pool.number.az.per.nlb", "az-per-nlb"))

var buildIPAddressPool = &tool{
	task: toolTask(ops.Task{
		Name: "build-ip-address-pool", Title: "Build the pool of addresses", Summary: "Creates or updates the fixed addresses of the load balancers.",
		Details: "build-load-balancers uses them: give both the same values.",
		Inputs:  optionals(balancerValues()), Lease: "ip-address-pool", Constants: append([]ops.Input{stackConstant}, balancerValues()...),
	}),
	target: one("ip-address-pool"), stacks: namesOf("{stack}-ip-address-pool*"), recipe: stackBuilder, ref: usualBranch,
	program: java("ip.address.IpAddressPoolMain", growsHeap, balancerProperties...),
}

var buildLoadBalancers = &tool{
	task: toolTask(ops.Task{
		Name: "build-load-balancers", Title: "Build the load balancers", Summary: "Creates or updates the network load balancers of the public names.",
		Details: "What they lead to is bind-load-balancers' affair.",
		Inputs:  optionals(balancerValues()), Lease: "load-balancers", Constants: append([]ops.Input{stackConstant}, balancerValues()...),
	}),
	target: one("load-balancers"), stacks: namesOf("{stack}-*nlb*", "nlb-{stack}*"), recipe: stackBuilder, ref: usualBranch,
	program: java("nlb.NetworkLoadBalancerMain", growsHeap, balancerProperties...),
}

var removeDevStacks = &tool{
	task: toolTask(ops.Task{
		Name: "remove-dev-stacks", Title: "Remove expired developers' stacks", Summary: "Deletes the stacks in dev whose time to live is over.",
		Details:      "The tool itself reads each stack's TimeToLive and leaves those that are protected. The plan lists the stacks that have one: the tool deletes those of them whose time has passed.",
		Environments: []ops.EnvironmentName{"dev"}, Class: ops.Destroys, Lease: "expired-stacks",
	}),
	target: one("expired-stacks"), stacks: namesOf("*"), recipe: stackBuilder, ref: usualBranch,
	program: java("cron.TimeToLiveCronJob", smallHeap),
	more:    candidates,
	challenge: func(_ ops.Values, e ops.Effect) string {
		n := len(listOfStrings(e.After["candidates"]))
		if n == 1 {
			return "1 stack"
		}
		return fmt.Sprintf("%d stacks", n)
	},
}

// deletable are the states from which the tool deletes.
var deletable = []string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "DELETE_FAILED"}

// candidates narrows the plan to the stacks that may be deleted. Without any,
// nothing is to be done.
func candidates(ctx context.Context, x Tools, _ given, e *ops.Effect, _ map[string]string) error {
	all, err := toolrun.Matching(ctx, x, []string{"*"})
	if err != nil {
		return err
	}
	list, kept := []string{}, []toolrun.Stack{}
	for _, found := range all {
		if !slices.Contains(deletable, found.Status) || strings.HasPrefix(found.Name, "synops-") {
			continue
		}
		s, err := x.Stack(ctx, found.ID)
		if err != nil {
			return err
		}
		if s != nil && s.Parameters["TimeToLive"] != "" && !s.Protected {
			list, kept = append(list, s.Name), append(kept, *s)
		}
	}
	e.After, e.Nothing = ops.State{"candidates": list}, len(list) == 0
	e.Before["stacks"] = states(kept)
	return nil
}

// listOfStrings reads a list back that a document may have kept.
func listOfStrings(v any) []string {
	switch l := v.(type) {
	case []string:
		return l
	case []any:
		out := make([]string, len(l))
		for i := range l {
			out[i] = fmt.Sprint(l[i])
		}
		return out
	}
	return nil
}

// dashboards is built from Python and from a pinned release of the CDK.
const cdkRelease = "aws-cdk@2.1029.0"

var deployDashboard = &tool{
	task: toolTask(ops.Task{
		Name: "deploy-dashboard", Title: "Deploy the CloudWatch dashboard", Summary: "Creates or updates the dashboard of one instance.",
		Details: "Python and the CDK, from synapse-cloudwatch-dashboard.",
		Inputs: []ops.Input{
			withRule(text("instance", "The instance to watch.", "583"), instancePattern, instanceRule),
			dashboardNumber("repo"), dashboardNumber("workers"), dashboardNumber("portal"),
		},
		Lease: "dashboard/{instance}", Constants: []ops.Input{stackConstant},
	}),
	target: func(v ops.Values) string { return "dashboard/" + v.Text("instance") },
	stacks: namesOf("*ashboard*{stack}*{instance}*", "*{stack}*{instance}*ashboard*"), ref: usualBranch,
	recipe: toolrun.Recipe{
		Toolchain: [][]string{{"python3", "--version"}, {"node", "--version"}},
		Build: [][]string{
			{"python3", "-m", "pip", "install", "--quiet", "--target", ".python", "-r", "requirements.txt"},
			{"npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", ".cdk", cdkRelease},
		},
		Products: []string{"."},
	},
	program: program{
		name:       "configuration.py and cdk deploy",
		properties: append(called("stack", "instance"), property{"environments", dashboardEnvironments}),
		argvs: func(given map[string]string) [][]string {
			cdk := []string{"node", ".cdk/node_modules/aws-cdk/bin/cdk"}
			return [][]string{
				{"python3", "configuration.py", given["stack"], given["instance"], given["environments"], "default"},
				append(slices.Clone(cdk), "acknowledge", "34635"),
				append(slices.Clone(cdk), "deploy", "--context", "stack="+given["stack"], "--context", "stack_versions="+given["instance"], "--context", "profile_name=default"),
			}
		},
		env: []string{"PYTHONPATH=.python", "CI=true"},
	},
}

func dashboardNumber(service string) ops.Input {
	return withRule(text(service+"-beanstalk-number", "The "+service+" environment to show.", "583-0"), "[1-9][0-9]{0,5}-[0-9]{1,3}", "It is an instance and a number, such as 583-0.")
}

func dashboardEnvironments(g given) (string, bool) {
	return strings.Join([]string{g.text("repo-beanstalk-number"), g.text("workers-beanstalk-number"), g.text("portal-beanstalk-number")}, ","), true
}
