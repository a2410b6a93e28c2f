package cfn_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
)

const sample = `
AWSTemplateFormatVersion: "2010-09-09"
Description: everything that is known
Parameters:
  Name: {Type: String, AllowedPattern: "[a-z]+", ConstraintDescription: Lower case.}
  Kind: {Type: String, Default: arm, AllowedValues: [arm, x86]}
  Minutes: {Type: Number, Default: 60}
  Subnets: {Type: "List<AWS::EC2::Subnet::Id>"}
  Words: {Type: CommaDelimitedList, Default: "a,b", AllowedPattern: "[a-z]"}
  Secret: {Type: String, NoEcho: true, Default: "", MaxLength: 5}
Mappings:
  Images:
    arm: {Image: image-arm}
    x86: {Image: image-x86}
Conditions:
  IsARM: !Equals [!Ref Kind, arm]
  IsX86: !Not [!Condition IsARM]
  HasSecret: !Not [!Equals [!Ref Secret, ""]]
  Both: !And [!Condition IsARM, !Condition HasSecret]
  Either: !Or [!Condition IsARM, !Condition HasSecret]
Resources:
  Last:
    Type: AWS::S3::Bucket
    DependsOn: Alpha
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      Text: !Sub "${AWS::Region}:${AWS::AccountId}:${Name}:${Zeta}:${Zeta.Arn}:${!literal}"
      Own: !Sub ["${A}-${Name}", {A: !GetAtt Zeta.Arn}]
      Long: {"Fn::Join": ["/", [{Ref: Name}, {"Fn::GetAtt": [Zeta, Arn]}]]}
      Image: !FindInMap [Images, !Ref Kind, Image]
      Subnets: !Ref Subnets
      First: !Select [0, !Ref Subnets]
      Tail: !Select [1, !Split ["-", "a-b"]]
      Imported: !ImportValue other
      Minutes: !Ref Minutes
      Number: 36
      Flag: true
      Version: 2012-10-17
      Dropped: !If [HasSecret, x, !Ref "AWS::NoValue"]
      List: [!If [HasSecret, x, !Ref "AWS::NoValue"], y]
      Policy: {Condition: {Bool: {"aws:SecureTransport": "false"}}}
      Script: |
        one
          two
  Zeta:
    Type: AWS::SNS::Topic
  Alpha:
    Type: AWS::SNS::Topic
    Condition: Either
  Beta:
    Type: AWS::SNS::Topic
    Condition: Both
  Gamma:
    Type: AWS::SNS::Topic
    Condition: IsX86
Outputs:
  Topic:
    Description: a topic
    Value: !Ref Zeta
    Export: {Name: !Sub "synops-${Name}"}
  Absent:
    Condition: IsX86
    Value: !Ref Gamma
`

func environment() cfn.Environment {
	return cfn.Environment{
		Account: "111111111111", Region: "us-east-1", StackName: "s", StackID: "id",
		Parameters: map[string]string{"Name": "ops", "Subnets": "subnet-1, subnet-2"},
		Attr:       func(id, attr string) (string, error) { return "arn:" + id + "." + attr, nil },
		Physical:   func(id string) (string, error) { return "physical-" + id, nil },
		Import:     func(name string) (string, error) { return "imported-" + name, nil },
	}
}

func TestResolve(t *testing.T) {
	template, err := cfn.Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	s, err := template.Resolve(environment())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range s.Resources {
		ids = append(ids, r.ID)
	}
	if want := []string{"Alpha", "Zeta", "Last"}; !slices.Equal(ids, want) {
		t.Errorf("resources %v, want %v", ids, want)
	}
	want := &cfn.Resource{
		ID: "Last", Type: "AWS::S3::Bucket", DeletionPolicy: "Retain", UpdateReplacePolicy: "Retain", DependsOn: []string{"Alpha", "Zeta"},
		Properties: map[string]any{
			"Text": "us-east-1:111111111111:ops:physical-Zeta:arn:Zeta.Arn:${literal}", "Own": "arn:Zeta.Arn-ops", "Long": "ops/arn:Zeta.Arn",
			"Image": "image-arm", "Subnets": []any{"subnet-1", "subnet-2"}, "First": "subnet-1", "Tail": "b", "Imported": "imported-other",
			"Minutes": "60", "Number": int64(36), "Flag": true, "Version": "2012-10-17", "List": []any{"y"}, "Script": "one\n  two\n",
			"Policy": map[string]any{"Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}}},
		},
	}
	if diff := cmp.Diff(want, s.Resource("Last")); diff != "" {
		t.Error(diff)
	}
	if want := []cfn.Output{{Name: "Topic", Value: "physical-Zeta", Description: "a topic", Export: "synops-ops"}}; !slices.Equal(s.Outputs, want) {
		t.Errorf("outputs %v, want %v", s.Outputs, want)
	}
}

// TestWalk hands over each resource before it asks what it is called.
func TestWalk(t *testing.T) {
	template, err := cfn.Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	env := environment()
	env.Physical = func(id string) (string, error) {
		if !made[id] {
			t.Errorf("asked for %s before it was handed over", id)
		}
		return id, nil
	}
	if _, err := template.Walk(env, func(r cfn.Resource) error { made[r.ID] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	full := errors.New("full")
	if _, err := template.Walk(env, func(cfn.Resource) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v, want the error of the one who makes them", err)
	}
}

func TestResolveRefuses(t *testing.T) {
	template, err := cfn.Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		spoil      func(*cfn.Environment)
	}{
		{"missing parameter", "Name is not given", func(e *cfn.Environment) { delete(e.Parameters, "Name") }},
		{"unknown parameter", `no parameter "Nmae"`, func(e *cfn.Environment) { e.Parameters["Nmae"] = "x" }},
		{"pattern", "Lower case.", func(e *cfn.Environment) { e.Parameters["Name"] = "ops1" }},
		{"pattern holds for the whole", "Lower case.", func(e *cfn.Environment) { e.Parameters["Name"] = "1ops" }},
		{"allowed values", "none of arm, x86", func(e *cfn.Environment) { e.Parameters["Kind"] = "mips" }},
		{"number", "not a number", func(e *cfn.Environment) { e.Parameters["Minutes"] = "soon" }},
		{"item of a list", `"cd"`, func(e *cfn.Environment) { e.Parameters["Words"] = "a,cd" }},
		{"length, not echoed", "(not shown) is too short or too long", func(e *cfn.Environment) { e.Parameters["Secret"] = "hunter22" }},
		{"attribute", "no such attribute", func(e *cfn.Environment) {
			e.Attr = func(string, string) (string, error) { return "", errors.New("no such attribute") }
		}},
		{"nobody knows the name", "nobody tells", func(e *cfn.Environment) { e.Physical = nil }},
		{"no exports", "nobody exports", func(e *cfn.Environment) { e.Import = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := environment()
			c.spoil(&env)
			if _, err := template.Resolve(env); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", err, c.want)
			}
		})
	}
}

// TestParseRefuses: each template is the smallest whole one with one slip.
func TestParseRefuses(t *testing.T) {
	resource := func(s string) string { return "Resources: {A: {Type: AWS::SNS::Topic, " + s + "}}" }
	property := func(s string) string { return resource("Properties: {P: " + s + "}") }
	one := property("x") + "\n"
	for _, c := range []struct{ name, doc, want string }{
		{"empty", "", "documents"},
		{"two documents", one + "---\n" + one, "documents"},
		{"not YAML", "a: [", "YAML"},
		{"a list", "- a", "not a mapping"},
		{"anchor", "Resources: &a {A: {Type: AWS::SNS::Topic}}", "not taken"},
		{"key twice", "Resources:\n  A: {Type: AWS::SNS::Topic}\n  A: {Type: AWS::SNS::Topic}\n", ""},
		{"section", one + "Transform: AWS::Serverless-2016-10-31", "Transform"},
		{"version", "AWSTemplateFormatVersion: 2010-09-10\n" + one, "2010-09-09"},
		{"no resources", "Description: x", "no resources"},
		{"logical ID", "Resources: {A-B: {Type: AWS::SNS::Topic}}", "letters and digits"},
		{"no type", "Resources: {A: {Properties: {}}}", "type"},
		{"attribute", resource("CreationPolicy: {}"), "CreationPolicy"},
		{"deletion policy", resource("DeletionPolicy: Snapshot"), "Snapshot"},
		{"depends", resource("DependsOn: B"), "not there"},
		{"resource condition", resource("Condition: B"), "no condition"},
		{"tag", property("!Transform x"), "not known"},
		{"long function", property(`{"Fn::GetAZs": ""}`), "not known"},
		{"function beside keys", property(`{"Fn::Sub": x, Other: y}`), "beside"},
		{"ref", property("!Ref B"), "neither parameter nor resource"},
		{"pseudo parameter", property(`!Ref "AWS::NotificationARNs"`), "neither parameter nor resource"},
		{"attribute of nothing", property("!GetAtt B.Arn"), "no resource"},
		{"attribute without name", property("!GetAtt A"), "attribute"},
		{"sub", property(`!Sub "${B}"`), "neither parameter nor resource"},
		{"sub attribute", property(`!Sub "${B.Arn}"`), "neither parameter nor resource"},
		{"sub variable", property(`!Sub "${B C}"`), "not a name"},
		{"sub open", property(`!Sub "${B"`), "not closed"},
		{"sub hands over too much", property(`!Sub ["x", {B: y}]`), "does not use"},
		{"if", property("!If [B, x, y]"), "no condition"},
		{"if of two", property("!If [B, x]"), "number of arguments"},
		{"equals outside", property("!Equals [a, b]"), "outside"},
		{"map", property("!FindInMap [M, a, b]"), "mapping"},
		{"join", property("!Join [a]"), "number of arguments"},
		{"colon in a flow list", "Resources:\n  A:\n    Type: AWS::SNS::Topic\n    Properties: {P: {Q: [s3:Get, s3:Put]}}", "quotes"},
		{"account as a number", property("012345670123"), "quotes"},
		{"circle", "Resources: {A: {Type: AWS::SNS::Topic, Properties: {P: !Ref B}}, B: {Type: AWS::SNS::Topic, DependsOn: A}}", "circle"},
		{"circle of conditions", one + "Conditions: {C: !Not [!Condition D], D: !Not [!Condition C]}", "itself"},
		{"condition on a resource", one + "Conditions: {C: !Equals [!Ref A, x]}", "before any resource"},
		{"condition that is none", one + "Conditions: {C: !Ref A}", "true from false"},
		{"condition text", one + "Conditions: {C: yes}", "not a function"},
		{"parameter type", one + "Parameters: {P: {Type: Text}}", "type"},
		{"parameter key", one + "Parameters: {P: {Type: String, Defualt: x}}", "Defualt"},
		{"default against the rule", one + "Parameters: {P: {Type: String, AllowedValues: [a], Default: b}}", "none of a"},
		{"output", one + "Outputs: {O: {Description: x}}", "no value"},
		{"output export", one + "Outputs: {O: {Value: x, Export: y}}", "Export"},
		{"output ref", one + "Outputs: {O: {Value: !Ref B}}", "neither parameter nor resource"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := cfn.Parse([]byte(c.doc))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", err, c.want)
			}
			if err != nil && ops.CodeOf(err) != ops.Invalid {
				t.Errorf("its code is %s, want invalid", ops.CodeOf(err))
			}
		})
	}
}
