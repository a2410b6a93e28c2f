package emulator

import (
	"maps"
	"slices"
)

func codePipelineService() service {
	return jsonService{
		"GetPipeline":            jsonOp(getPipeline),
		"GetPipelineState":       jsonOp(getPipelineState),
		"GetPipelineExecution":   jsonOp(getPipelineExecution),
		"StartPipelineExecution": jsonOp(startPipelineExecution),
		"StopPipelineExecution":  jsonOp(stopPipelineExecution),
		"ListPipelineExecutions": jsonOp(listPipelineExecutions),
		"ListActionExecutions":   jsonOp(listActionExecutions),
	}
}

func (c *call) mayPipeline(action, name string) error {
	return c.allow(question{action: "codepipeline:" + action, resource: c.account.Pipelines.arn(name)})
}

// pipeline is the one of that name, which the caller may ask action of; locked until
// unlock.
func (c *call) pipeline(action, name string) (p *pipelineState, unlock func(), err error) {
	if err := c.mayPipeline(action, name); err != nil {
		return nil, nil, err
	}
	s := c.account.Pipelines
	s.mu.Lock()
	if p = s.pipelines[name]; p == nil {
		s.mu.Unlock()
		return nil, nil, noPipeline(name)
	}
	return p, s.mu.Unlock, nil
}

// find returns an execution, whether it can be seen yet or not. It is called under
// the lock.
func (s *CodePipeline) find(pipeline, id string) (*execution, error) {
	p := s.pipelines[pipeline]
	if p == nil {
		return nil, noPipeline(pipeline)
	}
	e := p.execution(id)
	if e == nil {
		return nil, noExecution(id)
	}
	return e, nil
}

func noExecution(id string) *Fault {
	return fault("PipelineExecutionNotFoundException", "The pipeline execution with id '%s' does not exist", id)
}

// visible returns the executions that can be seen, newest first. It is called
// under the lock.
func (s *CodePipeline) visible(p *pipelineState) []*execution {
	out := slices.DeleteFunc(slices.Clone(p.executions), func(e *execution) bool { return s.account.cloud.now().Before(e.shown) })
	slices.Reverse(out)
	return out
}

type triggerJSON struct {
	Type   string `json:"triggerType"`
	Detail string `json:"triggerDetail"`
}

type executionJSON struct {
	Pipeline  string         `json:"pipelineName"`
	Version   int            `json:"pipelineVersion"`
	ID        string         `json:"pipelineExecutionId"`
	Status    string         `json:"status"`
	Summary   string         `json:"statusSummary,omitempty"`
	Revisions []revisionJSON `json:"artifactRevisions"`
	Variables []resolvedJSON `json:"variables"`
	Trigger   triggerJSON    `json:"trigger"`
	Mode      string         `json:"executionMode"`
	Type      string         `json:"executionType"`
}

type revisionJSON struct {
	Name    string `json:"name"`
	ID      string `json:"revisionId"`
	Summary string `json:"revisionSummary"`
	Created epoch  `json:"created"`
}

type resolvedJSON struct {
	Name  string `json:"name"`
	Value string `json:"resolvedValue"`
}

type getExecutionOutput struct {
	Execution executionJSON `json:"pipelineExecution"`
}

func getPipelineExecution(c *call, in *struct {
	Name string `json:"pipelineName"`
	ID   string `json:"pipelineExecutionId"`
}) (*getExecutionOutput, error) {
	if err := c.mayPipeline("GetPipelineExecution", in.Name); err != nil {
		return nil, err
	}
	s := c.account.Pipelines
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(in.Name, in.ID)
	if err != nil {
		return nil, err
	}
	if c.cloud.now().Before(e.shown) {
		return nil, noExecution(in.ID)
	}
	out := executionJSON{
		Pipeline: e.pipeline.Name, Version: e.pipeline.Version, ID: e.id, Status: e.status, Summary: e.summary,
		Revisions: []revisionJSON{}, Variables: []resolvedJSON{}, Mode: e.pipeline.ExecutionMode, Type: "STANDARD",
		Trigger: triggerJSON{"StartPipelineExecution", e.trigger},
	}
	for _, r := range e.revisions {
		out.Revisions = append(out.Revisions, revisionJSON{r.name, r.id, r.summary, epoch(r.created)})
	}
	for _, name := range slices.Sorted(maps.Keys(e.variables)) {
		out.Variables = append(out.Variables, resolvedJSON{name, e.variables[name]})
	}
	return &getExecutionOutput{out}, nil
}

type listExecutionsInput struct {
	Name   string    `json:"pipelineName"`
	Most   int       `json:"maxResults"`
	Token  string    `json:"nextToken"`
	Filter *struct{} `json:"filter"`
}

type listExecutionsOutput struct {
	Executions []executionSummary `json:"pipelineExecutionSummaries"`
	Token      string             `json:"nextToken,omitempty"`
}

type executionSummary struct {
	ID        string            `json:"pipelineExecutionId"`
	Status    string            `json:"status"`
	Summary   string            `json:"statusSummary,omitempty"`
	Started   epoch             `json:"startTime"`
	Updated   epoch             `json:"lastUpdateTime"`
	Revisions []summaryRevision `json:"sourceRevisions"`
	Trigger   triggerJSON       `json:"trigger"`
	Stop      *stopTrigger      `json:"stopTrigger,omitempty"`
	Mode      string            `json:"executionMode"`
	Type      string            `json:"executionType"`
}

type summaryRevision struct {
	Action  string `json:"actionName"`
	ID      string `json:"revisionId"`
	Summary string `json:"revisionSummary"`
}

type stopTrigger struct {
	Reason string `json:"reason"`
}

func listPipelineExecutions(c *call, in *listExecutionsInput) (*listExecutionsOutput, error) {
	p, unlock, err := c.pipeline("ListPipelineExecutions", in.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	page, next, err := pageOf(c.account.Pipelines.visible(p), in.Token, pageSize(in.Most))
	out := &listExecutionsOutput{Executions: []executionSummary{}, Token: next}
	for _, e := range page {
		one := executionSummary{
			ID: e.id, Status: e.status, Summary: e.summary, Started: epoch(e.started), Updated: epoch(e.updated),
			Revisions: []summaryRevision{}, Trigger: triggerJSON{"StartPipelineExecution", e.trigger},
			Mode: e.pipeline.ExecutionMode, Type: "STANDARD",
		}
		if e.reason != "" {
			one.Stop = &stopTrigger{e.reason}
		}
		for _, r := range e.revisions {
			one.Revisions = append(one.Revisions, summaryRevision{r.action, r.id, r.summary})
		}
		out.Executions = append(out.Executions, one)
	}
	return out, err
}

// pageSize: 100 unless fewer are asked for.
func pageSize(asked int) int {
	if asked < 1 || asked > 100 {
		return 100
	}
	return asked
}

type getPipelineOutput struct {
	Pipeline pipelineJSON     `json:"pipeline"`
	Metadata pipelineMetadata `json:"metadata"`
}

type pipelineMetadata struct {
	ARN     string `json:"pipelineArn"`
	Created epoch  `json:"created"`
	Updated epoch  `json:"updated"`
}

func getPipeline(c *call, in *struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
}) (*getPipelineOutput, error) {
	if err := c.mayPipeline("GetPipeline", in.Name); err != nil {
		return nil, err
	}
	p, ok := c.account.Pipelines.Pipeline(in.Name)
	if !ok {
		return nil, noPipeline(in.Name)
	}
	if in.Version != 0 && in.Version != p.Version {
		return nil, notModeled("GetPipeline", "an older version")
	}
	return &getPipelineOutput{p.json(), pipelineMetadata{c.account.Pipelines.arn(p.Name), epoch(p.Created), epoch(p.Updated)}}, nil
}

type pipelineJSON struct {
	Name      string            `json:"name"`
	RoleARN   string            `json:"roleArn"`
	Store     map[string]string `json:"artifactStore"`
	Stages    []stageJSON       `json:"stages"`
	Version   int               `json:"version"`
	Type      string            `json:"pipelineType"`
	Mode      string            `json:"executionMode"`
	Variables []declaredJSON    `json:"variables"`
}

type declaredJSON struct {
	Name        string  `json:"name"`
	Default     *string `json:"defaultValue,omitempty"`
	Description string  `json:"description,omitempty"`
}

type stageJSON struct {
	Name    string       `json:"name"`
	Actions []actionJSON `json:"actions"`
}

type actionJSON struct {
	Name          string          `json:"name"`
	Type          actionTypeJSON  `json:"actionTypeId"`
	RunOrder      int             `json:"runOrder"`
	Configuration map[string]Text `json:"configuration"`
	Inputs        []artifactRef   `json:"inputArtifacts"`
	Outputs       []artifactRef   `json:"outputArtifacts"`
	Namespace     string          `json:"namespace,omitempty"`
}

type actionTypeJSON struct {
	Category string `json:"category"`
	Owner    string `json:"owner"`
	Provider string `json:"provider"`
	Version  string `json:"version"`
}

type artifactRef struct {
	Name string `json:"name"`
}

func (t ActionType) json() actionTypeJSON {
	return actionTypeJSON{t.Category, t.Owner, t.Provider, string(t.Version)}
}

func refs(names []ArtifactName) []artifactRef {
	out := []artifactRef{}
	for _, n := range names {
		out = append(out, artifactRef(n))
	}
	return out
}

func (p *Pipeline) json() pipelineJSON {
	out := pipelineJSON{
		Name: p.Name, RoleARN: p.RoleArn, Version: p.Version, Type: p.PipelineType, Mode: p.ExecutionMode,
		Store: map[string]string{"type": p.ArtifactStore.Type, "location": p.ArtifactStore.Location}, Variables: []declaredJSON{},
	}
	for _, v := range p.Variables {
		out.Variables = append(out.Variables, declaredJSON{v.Name, v.DefaultValue, v.Description})
	}
	for _, s := range p.Stages {
		stage := stageJSON{Name: s.Name}
		for _, a := range s.Actions {
			stage.Actions = append(stage.Actions, actionJSON{
				a.Name, a.ActionTypeID.json(), int(a.RunOrder), a.Configuration, refs(a.InputArtifacts), refs(a.OutputArtifacts), a.Namespace,
			})
		}
		out.Stages = append(out.Stages, stage)
	}
	return out
}
