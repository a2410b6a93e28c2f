package emulator

import "slices"

type pipelineStateOutput struct {
	Name    string       `json:"pipelineName"`
	Version int          `json:"pipelineVersion"`
	Stages  []stageState `json:"stageStates"`
	Created epoch        `json:"created"`
	Updated epoch        `json:"updated"`
}

type stageState struct {
	Name    string            `json:"stageName"`
	Inbound *executionStatus  `json:"inboundExecution,omitempty"`
	Waiting []executionStatus `json:"inboundExecutions"`
	Door    map[string]bool   `json:"inboundTransitionState"`
	Latest  *executionStatus  `json:"latestExecution,omitempty"`
	Actions []actionStateJSON `json:"actionStates"`
}

type executionStatus struct {
	ID     string `json:"pipelineExecutionId"`
	Status string `json:"status"`
	Type   string `json:"type,omitempty"`
}

type actionStateJSON struct {
	Name   string           `json:"actionName"`
	Latest *actionExecution `json:"latestExecution,omitempty"`
}

type actionExecution struct {
	ID       string        `json:"actionExecutionId"`
	Status   string        `json:"status"`
	Changed  epoch         `json:"lastStatusChange"`
	External string        `json:"externalExecutionId,omitempty"`
	URL      string        `json:"externalExecutionUrl,omitempty"`
	Error    *errorDetails `json:"errorDetails,omitempty"`
}

type errorDetails struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// getPipelineState is the one answer that tells which executions wait.
// https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_StageState.html
func getPipelineState(c *call, in *struct {
	Name string `json:"name"`
}) (*pipelineStateOutput, error) {
	p, unlock, err := c.pipeline("GetPipelineState", in.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	out := &pipelineStateOutput{Name: p.Name, Version: p.Version, Created: epoch(p.Created), Updated: epoch(p.Updated)}
	for _, stage := range p.Stages {
		out.Stages = append(out.Stages, p.state(stage))
	}
	return out, nil
}

func (p *pipelineState) state(stage Stage) stageState {
	out := stageState{Name: stage.Name, Waiting: []executionStatus{}, Door: map[string]bool{"enabled": true}}
	for _, e := range p.waiting[stage.Name] {
		out.Waiting = append(out.Waiting, executionStatus{e.id, statusInProgress, "STANDARD"})
	}
	if len(out.Waiting) > 0 {
		out.Inbound = &out.Waiting[0] // the older, single field
	}
	for _, action := range stage.Actions {
		a := actionStateJSON{Name: action.Name}
		if e, run := p.latest(stage.Name, action.Name); run != nil {
			a.Latest = &actionExecution{ID: run.id, Status: run.status, Changed: epoch(run.updated), External: run.external, URL: run.externalURL, Error: run.error()}
			out.Latest = &executionStatus{ID: e.id, Status: run.status}
		}
		out.Actions = append(out.Actions, a)
	}
	return out
}

// latest returns the newest run of an action, and its execution.
func (p *pipelineState) latest(stage, action string) (*execution, *actionRun) {
	for _, e := range slices.Backward(p.executions) {
		for _, run := range e.actions {
			if run.stage == stage && run.action.Name == action {
				return e, run
			}
		}
	}
	return nil, nil
}

func (r *actionRun) error() *errorDetails {
	if r.code == "" {
		return nil
	}
	return &errorDetails{r.code, r.message}
}

type listActionsInput struct {
	Name   string `json:"pipelineName"`
	Filter struct {
		ID string `json:"pipelineExecutionId"`
	} `json:"filter"`
	Most  int    `json:"maxResults"`
	Token string `json:"nextToken"`
}

type listActionsOutput struct {
	Actions []actionDetail `json:"actionExecutionDetails"`
	Token   string         `json:"nextToken,omitempty"`
}

type actionDetail struct {
	Execution string       `json:"pipelineExecutionId"`
	ID        string       `json:"actionExecutionId"`
	Version   int          `json:"pipelineVersion"`
	Stage     string       `json:"stageName"`
	Action    string       `json:"actionName"`
	Started   epoch        `json:"startTime"`
	Updated   epoch        `json:"lastUpdateTime"`
	Status    string       `json:"status"`
	Input     actionInput  `json:"input"`
	Output    actionOutput `json:"output"`
}

type actionInput struct {
	Type          actionTypeJSON    `json:"actionTypeId"`
	Configuration map[string]Text   `json:"configuration"`
	Resolved      map[string]string `json:"resolvedConfiguration"`
	Inputs        []artifactRef     `json:"inputArtifacts"`
	Namespace     string            `json:"namespace,omitempty"`
}

type actionOutput struct {
	Outputs   []artifactRef     `json:"outputArtifacts"`
	Result    *actionResult     `json:"executionResult,omitempty"`
	Variables map[string]string `json:"outputVariables"`
}

type actionResult struct {
	External  string        `json:"externalExecutionId"`
	Summary   string        `json:"externalExecutionSummary,omitempty"`
	URL       string        `json:"externalExecutionUrl"`
	LogStream string        `json:"logStreamARN,omitempty"`
	Error     *errorDetails `json:"errorDetails,omitempty"`
}

// listActionExecutions is the way from an execution to its build: the build's ID is
// the external execution's.
// https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_ActionExecutionResult.html
func listActionExecutions(c *call, in *listActionsInput) (*listActionsOutput, error) {
	p, unlock, err := c.pipeline("ListActionExecutions", in.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	all := []actionDetail{}
	for _, e := range c.account.Pipelines.visible(p) {
		if in.Filter.ID != "" && in.Filter.ID != e.id {
			continue
		}
		for _, run := range slices.Backward(e.actions) {
			all = append(all, run.detail(e))
		}
	}
	page, next, err := pageOf(all, in.Token, pageSize(in.Most))
	return &listActionsOutput{page, next}, err
}

func (r *actionRun) detail(e *execution) actionDetail {
	d := actionDetail{
		Execution: e.id, ID: r.id, Version: e.pipeline.Version, Stage: r.stage, Action: r.action.Name,
		Started: epoch(r.started), Updated: epoch(r.updated), Status: r.status,
		Input: actionInput{
			r.action.ActionTypeID.json(), r.action.Configuration, r.resolved, refs(r.action.InputArtifacts), r.action.Namespace,
		},
		Output: actionOutput{Outputs: refs(r.action.OutputArtifacts), Variables: r.outputs},
	}
	if r.external != "" || r.code != "" {
		d.Output.Result = &actionResult{External: r.external, Summary: r.message, URL: r.externalURL, LogStream: r.logStream, Error: r.error()}
	}
	return d
}
