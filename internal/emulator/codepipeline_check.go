package emulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// mostConfiguration is how long one value of an action's configuration may be,
// CodeBuild's whole EnvironmentVariables included.
// https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_ActionDeclaration.html
const mostConfiguration = 1000

var (
	pipelineName = regexp.MustCompile(`^[A-Za-z0-9.@\-_]{1,100}$`)
	pipelineVar  = regexp.MustCompile(`^[A-Za-z0-9@\-_]{1,128}$`)
	reference    = regexp.MustCompile(`#\{([^}]*)\}`)
)

func invalidStructure(format string, args ...any) *Fault {
	return fault("InvalidStructureException", format, args...)
}

func invalidAction(format string, args ...any) *Fault {
	return fault("InvalidActionDeclarationException", format, args...)
}

// check asks what CodePipeline asks of a pipeline, and fills in its defaults.
// https://docs.aws.amazon.com/codepipeline/latest/userguide/reference-pipeline-structure.html
func (p *Pipeline) check(a *Account) error {
	if p.PipelineType == "" {
		p.PipelineType = "V1"
	}
	if p.ExecutionMode == "" {
		p.ExecutionMode = "SUPERSEDED"
	}
	switch {
	case !pipelineName.MatchString(p.Name):
		return fault("ValidationException", "Value %q at 'pipeline.name' failed to satisfy constraint", p.Name)
	case p.PipelineType != "V2" && (len(p.Variables) > 0 || p.ExecutionMode != "SUPERSEDED"):
		return invalidStructure("Pipeline type %s has neither variables nor execution mode %s; type V2 has", p.PipelineType, p.ExecutionMode)
	case p.PipelineType != "V2", p.ExecutionMode != "PARALLEL" && p.ExecutionMode != "QUEUED":
		return notModeled("a pipeline", "type "+p.PipelineType+" in mode "+p.ExecutionMode)
	case bool(p.RestartExecutionOnUpdate):
		return notModeled("a pipeline", "RestartExecutionOnUpdate")
	case len(p.Stages) < 2:
		return invalidStructure("Pipeline should have at least two stages")
	case p.ArtifactStore.Type != "S3" || p.ArtifactStore.Location == "":
		return invalidStructure("Pipeline has no artifact store of type S3")
	}
	if _, ok := a.IAM.roleOf(p.RoleArn); !ok {
		return invalidStructure("CodePipeline is not authorized to perform AssumeRole on role %s", p.RoleArn)
	}
	if err := p.checkVariables(); err != nil {
		return err
	}
	return p.checkStages(a)
}

// https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_PipelineVariableDeclaration.html
func (p *Pipeline) checkVariables() error {
	if len(p.Variables) > 50 {
		return invalidStructure("A pipeline has at most 50 variables, this one %d", len(p.Variables))
	}
	seen := map[string]bool{}
	for _, v := range p.Variables {
		switch {
		case !pipelineVar.MatchString(v.Name):
			return invalidStructure("Variable name %q does not match [A-Za-z0-9@\\-_]+, 1 to 128 characters", v.Name)
		case seen[v.Name]:
			return invalidStructure("Variable %q is declared twice", v.Name)
		case len(v.Description) > 200:
			return invalidStructure("The description of variable %q is longer than 200 characters", v.Name)
		case v.DefaultValue != nil && checkVariableValue(v.Name, *v.DefaultValue) != nil:
			return invalidStructure("The default of variable %q is not 1 to 1000 characters on one line", v.Name)
		}
		seen[v.Name] = true
	}
	return nil
}

// checkVariableValue: 1 to 1000 characters; the pattern admits no line break.
// https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_PipelineVariable.html
func checkVariableValue(name, value string) error {
	if n := utf8.RuneCountInString(value); n < 1 || n > 1000 || strings.ContainsAny(value, "\n\r") {
		return fault("ValidationException", "The value of variable %q is not 1 to 1000 characters on one line", name)
	}
	return nil
}

func (p *Pipeline) checkStages(a *Account) error {
	stages, made := map[string]bool{}, map[string]bool{}
	for i := range p.Stages {
		stage := &p.Stages[i]
		if stages[stage.Name] || len(stage.Actions) == 0 {
			return invalidStructure("Stage %q is there twice or has no actions", stage.Name)
		}
		stages[stage.Name] = true
		names := map[string]bool{}
		for j := range stage.Actions {
			action := &stage.Actions[j]
			if names[action.Name] {
				return invalidStructure("Action %q is there twice in stage %s", action.Name, stage.Name)
			}
			names[action.Name] = true
			if source := action.ActionTypeID.Category == "Source"; source != (i == 0) {
				return invalidStructure("Action %s: source actions stand in the first stage, and nothing else does", action.Name)
			}
			if err := p.checkAction(a, action, made); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Pipeline) checkAction(a *Account, action *PipelineAction, made map[string]bool) error {
	if action.RunOrder == 0 {
		action.RunOrder = 1
	}
	switch {
	case action.TimeoutInMinutes != 0:
		// https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_ActionDeclaration.html
		return invalidAction("Action %s: timeoutInMinutes is for manual approval alone", action.Name)
	case action.RoleArn != "":
		return notModeled("a pipeline's action", "a role of its own")
	case action.Region != "" && action.Region != a.Region:
		return notModeled("a pipeline's action", "region "+action.Region)
	case action.RunOrder != 1:
		return notModeled("a pipeline's action", fmt.Sprintf("RunOrder %d", action.RunOrder))
	}
	for _, name := range action.InputArtifacts {
		if !made[name.Name] {
			return invalidStructure("Action %s: no action before it makes the artifact %s", action.Name, name.Name)
		}
	}
	for _, name := range action.OutputArtifacts {
		if made[name.Name] {
			return invalidStructure("Artifact %s is made twice", name.Name)
		}
		made[name.Name] = true
	}
	for _, key := range slices.Sorted(maps.Keys(action.Configuration)) {
		if err := p.checkConfiguration(action.Name, key, string(action.Configuration[key])); err != nil {
			return err
		}
	}
	return action.checkProvider()
}

func (p *Pipeline) checkConfiguration(action, key, value string) error {
	if n := utf8.RuneCountInString(value); n < 1 || n > mostConfiguration {
		return fault("ValidationException", "Action %s: the value of %s has %d characters, not 1 to %d", action, key, n, mostConfiguration)
	}
	for _, m := range reference.FindAllStringSubmatch(value, -1) {
		name, ok := strings.CutPrefix(m[1], "variables.")
		if ok && !slices.ContainsFunc(p.Variables, func(v PipelineVariable) bool { return v.Name == name }) {
			return invalidAction("Action %s: the variable %s of %s is not declared", action, m[0], key)
		}
	}
	return nil
}

func (a *PipelineAction) checkProvider() error {
	var keys, required []string
	switch t := a.ActionTypeID; {
	case t == ActionType{"Source", "AWS", "S3", "1"}:
		keys = []string{"S3Bucket", "S3ObjectKey", "PollForSourceChanges", "AllowOverrideForS3ObjectKey"}
		required = keys[:2]
		// https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-S3.html
		if a.Configuration["PollForSourceChanges"] != "false" {
			return notModeled("an S3 source action", `polling, which is on unless PollForSourceChanges is "false"`)
		}
		if len(a.OutputArtifacts) != 1 || len(a.InputArtifacts) != 0 {
			return invalidStructure("Action %s has one output artifact and no input", a.Name)
		}
	case t == ActionType{"Build", "AWS", "CodeBuild", "1"}:
		keys = []string{"ProjectName", "EnvironmentVariables"}
		required = keys[:1]
		if len(a.InputArtifacts) != 1 || len(a.OutputArtifacts) != 0 {
			return notModeled("a CodeBuild action", "any but one input artifact and no output")
		}
		if err := checkActionVariables(a.Name, string(a.Configuration["EnvironmentVariables"])); err != nil {
			return err
		}
	default:
		return notModeled("a pipeline's action", fmt.Sprintf("%s by %s %s %s", t.Category, t.Owner, t.Provider, t.Version))
	}
	for key := range a.Configuration {
		if !slices.Contains(keys, key) {
			return notModeled("a pipeline's action", "configuration "+key)
		}
	}
	for _, key := range required {
		if a.Configuration[key] == "" {
			return invalidAction("Action %s: %s is missing", a.Name, key)
		}
	}
	return nil
}

// An actionVariable is one of CodeBuild's EnvironmentVariables.
type actionVariable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Type  string `json:"type"`
}

// checkActionVariables reads the JSON with its references still in it.
func checkActionVariables(action, value string) error {
	if value == "" {
		return nil
	}
	vars, err := readActionVariables(value)
	if err != nil {
		return invalidAction("Action %s: EnvironmentVariables: %v", action, err)
	}
	for _, v := range vars {
		if v.Type != "" && v.Type != "PLAINTEXT" {
			return notModeled("a CodeBuild action", "environment variables of type "+v.Type)
		}
	}
	return nil
}

func readActionVariables(value string) ([]actionVariable, error) {
	var vars []actionVariable
	dec := json.NewDecoder(strings.NewReader(value))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&vars); err != nil {
		return nil, fmt.Errorf("%q is not a list of names and values in JSON: %w", value, err)
	}
	return vars, nil
}
