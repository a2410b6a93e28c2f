package tasks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
)

// The Java tools of Synapse-Stack-Builder: each is one main class of one jar, given
// its values as system properties.
const (
	stackBuilderJar = "target/stack-builder-0.2.0-SNAPSHOT-jar-with-dependencies.jar"
	propertyPrefix  = "org.sagebionetworks."
	mainPrefix      = "org.sagebionetworks.template."
)

var stackBuilder = toolrun.Recipe{
	Toolchain: [][]string{{"java", "-version"}, {"mvn", "--batch-mode", "-version"}},
	Build:     [][]string{{"mvn", "--batch-mode", "--no-transfer-progress", "clean", "install"}},
	Products:  []string{stackBuilderJar},
}

var (
	smallHeap = []string{"-Xms256m", "-Xmx2g"}
	growsHeap = []string{"-Xmx2g"}
)

// java is the program of one main class.
func java(main string, heap []string, properties ...property) program {
	class := mainPrefix + main
	return program{
		name: main, properties: properties,
		jar: stackBuilderJar, class: strings.ReplaceAll(class, ".", "/") + ".class",
		argvs: func(given map[string]string) [][]string {
			argv := append([]string{"java"}, heap...)
			argv = append(argv, "-cp", stackBuilderJar)
			for _, name := range slices.Sorted(maps.Keys(given)) {
				argv = append(argv, "-D"+propertyPrefix+name+"="+given[name])
			}
			return [][]string{append(argv, class)}
		},
	}
}

// called names properties after inputs or constants: "vpc.subnet.color" is the one
// called "vpc-subnet-color".
func called(names ...string) []property {
	out := make([]property, len(names))
	for i, n := range names {
		out[i] = property{n, from(constantName(n))}
	}
	return out
}

func constantName(property string) string { return strings.ReplaceAll(property, ".", "-") }

// as gives a property the value of an input or constant of another name.
func as(name, input string) property { return property{name, from(input)} }

// Inputs and constants that several tools have.
var (
	sourceRefInput = ops.Input{Name: "source-ref", Kind: ops.KindText, Optional: true, Example: "develop", Most: 200,
		Help: "Branch, tag or commit of the source, where it is not the usual one."}
	sourceOwnerInput = ops.Input{Name: "source-owner", Kind: ops.KindText, Optional: true, Example: "Sage-Bionetworks", Most: 39,
		Pattern: "[A-Za-z0-9][A-Za-z0-9-]*", Rule: "It is a GitHub owner, such as Sage-Bionetworks.", Help: "Whose fork of the source is run, where it is not the usual one."}

	stackConstant = ops.Input{Name: "stack", Kind: ops.KindChoice, Choices: []string{"dev", "prod"}, Example: "dev", Help: "The stack (family) that this environment's instances belong to."}
	sourceConst   = ops.Input{Name: "source-repository", Kind: ops.KindText, Pattern: "[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_.-]+", Rule: "It is owner/name of a repository.", Example: "Sage-Bionetworks/Synapse-Stack-Builder", Help: "The repository that holds the tool."}
	branchConst   = ops.Input{Name: "source-branch", Kind: ops.KindText, Example: "develop", Help: "The branch that is run where the request names nothing else."}
)

func text(name, help, example string) ops.Input {
	return ops.Input{Name: name, Kind: ops.KindText, Help: help, Example: example}
}

func optional(in ops.Input) ops.Input {
	in.Optional = true
	return in
}

func withRule(in ops.Input, pattern, rule string) ops.Input {
	in.Pattern, in.Rule = pattern, rule
	return in
}

var colorInput = ops.Input{Name: "vpc-subnet-color", Kind: ops.KindChoice, Choices: []string{"Red", "Green", "Blue"}, Example: "Green", Help: "The color of the subnets in the VPC."}

// forms of names that end up in stacks' names.
const (
	instancePattern = "[1-9][0-9]{0,5}"
	instanceRule    = "An instance is a number such as 544."
	versionPattern  = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
	versionRule     = "A version is letters, digits, dots and hyphens, such as 544.0."
)

// toolTask fills in what all tool tasks have in common.
func toolTask(t ops.Task) *ops.Task {
	t.Version, t.Lane, t.NoService, t.TimeLimit = 1, ops.LaneDeploy, true, toolLimit
	t.Exempt = true // it asks nothing that maintenance answers
	t.Noun, t.Plural = "tool run", "tool runs"
	t.Deciding = []string{"source", "commit", "program", "properties", "candidates"}
	if t.Class == "" {
		t.Class = ops.Changes
	}
	if t.Environments == nil {
		t.Environments = []ops.EnvironmentName{"dev", "prod"}
	}
	t.Inputs = append(t.Inputs, sourceRefInput)
	t.Constants = append([]ops.Input{sourceConst, branchConst}, t.Constants...)
	t.Details += " " + toolDetails
	t.Undo = "Cannot be undone by a task: run it again with the earlier values."
	return &t
}

const toolDetails = "The tool is fetched at one commit, which the plan shows and binds, built once and kept. " +
	"It acts as the account's synops-stack-builder; the plan and the report show the stacks concerned."

func one(id string) func(ops.Values) string { return func(ops.Values) string { return id } }

func usualBranch(g given) string { return g.constants.Text("source-branch") }

// namesOf are stack name patterns in which {stack} and inputs stand for their values.
func namesOf(patterns ...string) func(given) []string {
	return func(g given) []string {
		out := make([]string, len(patterns))
		for i, p := range patterns {
			for _, name := range []string{"stack", "instance", "subdomain"} {
				p = strings.ReplaceAll(p, "{"+name+"}", g.text(name))
			}
			out[i] = p
		}
		return out
	}
}

// instanceStacks are those of one instance.
var instanceStacks = namesOf("repo-{stack}-{instance}-*", "workers-{stack}-{instance}-*", "portal-{stack}-{instance}-*", "{stack}-{instance}-*")

var bindInputs = []struct{ input, record, service string }{
	{"repo-live", "repo-live-record", "repo"}, {"portal-live", "portal-live-record", "portal"},
	{"repo-staging", "repo-staging-record", "repo"}, {"portal-staging", "portal-staging-record", "portal"},
	{"repo-test", "repo-test-record", "repo"}, {"portal-test", "portal-test-record", "portal"},
}

// bindings is the list that says which instance each public name leads to. An
// environment without a record of some name leaves it out.
func bindings(g given) (string, bool) {
	var list []string
	for _, b := range bindInputs {
		record := g.constants.Text(b.record)
		if record == "" {
			continue
		}
		to := g.values.Text(b.input)
		if to != "none" {
			to = fmt.Sprintf("%s-%s-%s", b.service, g.text("stack"), to)
		}
		list = append(list, record+"->"+to)
	}
	return strings.Join(list, ","), true
}
