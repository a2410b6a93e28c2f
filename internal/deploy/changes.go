package deploy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Verb tells what happens to one resource.
type Verb string

// The verbs, mildest first.
const (
	Add        Verb = "add"
	Modify     Verb = "change"
	MayReplace Verb = "may replace" // CloudFormation decides while it executes
	Replace    Verb = "replace"
	Remove     Verb = "remove"
	Unknown    Verb = "unknown" // CloudFormation decides while it executes
)

// A Change is what a change set does to one resource.
type Change struct {
	Verb       Verb     `json:"change"`
	ID         string   `json:"id"`                 // logical, as in the template
	Type       string   `json:"type"`               // such as AWS::S3::Bucket
	Physical   string   `json:"physical,omitempty"` // the resource there is now
	Properties []string `json:"properties,omitempty"`
	Meaning    string   `json:"meaning,omitempty"` // what a replacement or removal means
}

func newChange(r *types.ResourceChange) Change {
	c := Change{ID: aws.ToString(r.LogicalResourceId), Type: aws.ToString(r.ResourceType), Physical: aws.ToString(r.PhysicalResourceId), Verb: verbOf(r)}
	for _, detail := range r.Details {
		if t := detail.Target; t != nil {
			name := aws.ToString(t.Name)
			if name == "" {
				name = string(t.Attribute)
			}
			if !slices.Contains(c.Properties, name) {
				c.Properties = append(c.Properties, name)
			}
		}
	}
	slices.Sort(c.Properties)
	c.Meaning = c.meaning(r.PolicyAction)
	return c
}

func verbOf(r *types.ResourceChange) Verb {
	switch r.Action {
	case types.ChangeActionAdd, types.ChangeActionImport:
		return Add
	case types.ChangeActionRemove:
		return Remove
	case types.ChangeActionModify:
		switch r.Replacement {
		case types.ReplacementTrue:
			return Replace
		case types.ReplacementConditional:
			return MayReplace
		}
		return Modify
	}
	return Unknown
}

// retained are the types that hold what cannot be made again.
var retained = []string{"AWS::S3::Bucket", "AWS::KMS::Key", "AWS::SecretsManager::Secret", "AWS::Logs::LogGroup"}

// replacing says what is lost with the old resource of a type.
var replacing = map[string]string{
	"AWS::CodePipeline::Pipeline": "its executions in progress end, and its history is gone",
	"AWS::CodeBuild::Project":     "its builds in progress go on unseen, and its history is gone",
	"AWS::IAM::Role":              "sessions of the old role end, and policies elsewhere that name it must be put anew",
	"AWS::IAM::OIDCProvider":      "no workflow can get in until the new one is there",
	"AWS::SNS::Topic":             "whoever subscribed to the old one hears nothing more and must subscribe again",
	"AWS::CloudWatch::Alarm":      "its history is gone",
	"AWS::Events::Rule":           "events in between are not told of",
	"AWS::S3::BucketPolicy":       "the bucket is without its policy in between",
}

func (c *Change) meaning(policy types.PolicyAction) string {
	old := "the one there now"
	if c.Physical != "" {
		old = shown(c.Physical)
	}
	kept := policy == types.PolicyActionRetain || policy == types.PolicyActionReplaceAndRetain
	switch c.Verb {
	case Replace, MayReplace:
		end := old + " is deleted"
		if kept {
			end = old + " is left behind, managed by nothing"
		}
		lost := replacing[c.Type]
		if lost == "" {
			lost = "what it holds is not copied"
		}
		return fmt.Sprintf("a new one is made and %s: %s", end, lost)
	case Remove:
		if kept {
			return old + " is left behind, managed by nothing"
		}
		return old + " is deleted"
	case Unknown:
		return "CloudFormation decides what happens while it executes"
	}
	return ""
}

// Lines tells a prepared change for people: a head line, then two columns.
func (p *Prepared) Lines() []string {
	if p.Kind == Unchanged {
		return []string{p.Stack.Name + ": no change"}
	}
	out := []string{fmt.Sprintf("%s: %s, %s", p.Stack.Name, p.Kind, summary(p.Changes))}
	width := 0
	for i := range p.Changes {
		width = max(width, len(shown(p.Changes[i].ID)))
	}
	for i := range p.Changes {
		out = append(out, p.Changes[i].lines(width)...)
	}
	for _, v := range p.Values {
		out = append(out, "  parameter    "+v)
	}
	return out
}

var signs = map[Verb]string{Add: "+", Modify: "~", MayReplace: "!", Replace: "!", Remove: "-", Unknown: "?"}

func (c *Change) lines(width int) []string {
	line := fmt.Sprintf("  %s %-11s %-*s  %s", signs[c.Verb], c.Verb, width, shown(c.ID), shown(c.Type))
	if len(c.Properties) > 0 && c.Verb != Add {
		line += "  (" + strings.Join(c.Properties, ", ") + ")"
	}
	out := []string{line}
	if c.Meaning != "" {
		out = append(out, strings.Repeat(" ", 16)+c.Meaning)
	}
	return out
}

// summary counts the changes, "2 to add, 1 to replace".
func summary(changes []Change) string {
	count := map[Verb]int{}
	for _, c := range changes {
		count[c.Verb]++
	}
	var parts []string
	for _, v := range []Verb{Add, Modify, MayReplace, Replace, Remove, Unknown} {
		if n := count[v]; n > 0 {
			word := "to " + string(v)
			if v == MayReplace {
				word = "may be replaced"
			}
			if v == Unknown {
				word = "unknown"
			}
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	if parts == nil {
		return "values only"
	}
	return strings.Join(parts, ", ")
}

// guardRetained refuses to replace or remove what holds things that cannot be made
// again.
func (p *Prepared) guardRetained() error {
	for _, c := range p.Changes {
		if !slices.Contains(retained, c.Type) || c.Verb == Add || c.Verb == Modify {
			continue
		}
		return ops.Refuse("retained", "What it holds cannot be made again. Keep the resource in the template under the same name, or move what it holds first and remove it by hand.",
			"the change would %s %s (%s) of %s.", c.Verb, shown(c.ID), c.Type, p.Stack.Name)
	}
	return nil
}

// touchesExecutions tells whether executions in progress could end by the change:
// CodePipeline cancels them when a definition is updated.
// https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_PipelineExecution.html
func (p *Prepared) touchesExecutions() bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool {
		return c.Verb != Add && (c.Type == "AWS::CodePipeline::Pipeline" || c.Type == "AWS::CodeBuild::Project")
	})
}
