package emulator

import (
	"context"
	"regexp"
	"slices"
)

type startExecutionInput struct {
	Name      string `json:"name"`
	Variables []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"variables"`
	Token     string           `json:"clientRequestToken"`
	Revisions []sourceRevision `json:"sourceRevisions"`
}

type executionID struct {
	ID string `json:"pipelineExecutionId"`
}

var requestToken = regexp.MustCompile(`^[A-Za-z0-9-]{1,128}$`)

// startPipelineExecution starts an execution, or names the one that the same token
// started. For how long a token is known is not documented; here it is for ever.
// https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_StartPipelineExecution.html
func startPipelineExecution(c *call, in *startExecutionInput) (*executionID, error) {
	s := c.account.Pipelines
	if err := c.mayPipeline("StartPipelineExecution", in.Name); err != nil {
		return nil, err
	}
	if in.Token != "" && !requestToken.MatchString(in.Token) {
		return nil, fault("ValidationException", "Value %q at 'clientRequestToken' failed to satisfy constraint: [a-zA-Z0-9-]+, 1 to 128 characters", in.Token)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pipelines[in.Name]
	if p == nil {
		return nil, noPipeline(in.Name)
	}
	if e := p.tokens[in.Token]; e != nil {
		return &executionID{e.id}, nil
	}
	variables, err := p.given(in)
	if err != nil {
		return nil, err
	}
	if err := p.checkRevisions(in.Revisions); err != nil {
		return nil, err
	}
	if most := c.cloud.settings.Pipelines.MostActive; most > 0 && p.active() >= most {
		return nil, fault("ConcurrentPipelineExecutionsLimitExceededException", "The pipeline has reached the limit of %d concurrent executions", most)
	}
	return &executionID{p.start(s, c.caller.name(), in, variables).id}, nil
}

// start makes the execution and sets it going. It is called under the lock.
func (p *pipelineState) start(s *CodePipeline, by string, in *startExecutionInput, variables map[string]string) *execution {
	now := s.account.cloud.now()
	e := &execution{
		service: s, pipeline: p.Pipeline, id: requestID(), trigger: by, started: now,
		shown:     now.Add(s.account.cloud.settings.Pipelines.VisibleAfter),
		variables: variables, overrides: slices.Clone(in.Revisions),
		outputs: map[string]map[string]string{}, artifacts: map[string]artifact{}, abandoned: make(chan struct{}),
	}
	e.set(statusInProgress, "")
	p.executions = append(p.executions, e)
	if in.Token != "" {
		p.tokens[in.Token] = e
	}
	s.account.cloud.background(func(ctx context.Context) { e.run(ctx) })
	return e
}

// given returns the execution's variables: those of the start, and defaults.
func (p *pipelineState) given(in *startExecutionInput) (map[string]string, error) {
	if len(in.Variables) > 50 {
		return nil, fault("ValidationException", "Value at 'variables' failed to satisfy constraint: at most 50")
	}
	out := map[string]string{}
	for _, v := range in.Variables {
		declared := slices.ContainsFunc(p.Variables, func(d PipelineVariable) bool { return d.Name == v.Name })
		if _, twice := out[v.Name]; twice || !declared {
			return nil, fault("ValidationException", "The variable %q is not declared in pipeline %s, or given twice", v.Name, p.Name)
		}
		if err := checkVariableValue(v.Name, v.Value); err != nil {
			return nil, err
		}
		out[v.Name] = v.Value
	}
	for _, d := range p.Variables {
		if _, ok := out[d.Name]; ok {
			continue
		}
		if d.DefaultValue == nil {
			return nil, fault("ValidationException", "The variable %q of pipeline %s has no default and is not given", d.Name, p.Name)
		}
		out[d.Name] = *d.DefaultValue
	}
	return out, nil
}

// checkRevisions: https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_SourceRevisionOverride.html
func (p *pipelineState) checkRevisions(revisions []sourceRevision) error {
	for _, r := range revisions {
		sources := p.Stages[0].Actions
		i := slices.IndexFunc(sources, func(a PipelineAction) bool { return a.Name == r.Action })
		switch {
		case i < 0:
			return fault("ValidationException", "The source action %q is not in pipeline %s", r.Action, p.Name)
		case r.Value == "" || len(r.Value) > 1500:
			return fault("ValidationException", "The revision of source action %q is not 1 to 1500 characters", r.Action)
		case r.Type == "S3_OBJECT_VERSION_ID":
		case r.Type == "S3_OBJECT_KEY" && sources[i].Configuration["AllowOverrideForS3ObjectKey"] == "true":
		default:
			return fault("ValidationException", "The source action %q takes no revision of type %s", r.Action, r.Type)
		}
	}
	return nil
}

type stopExecutionInput struct {
	Name    string `json:"pipelineName"`
	ID      string `json:"pipelineExecutionId"`
	Abandon bool   `json:"abandon"`
	Reason  string `json:"reason"`
}

// stopPipelineExecution ends an execution at once when it is to be abandoned, else
// once the actions in progress are done. Either way their builds go on.
// https://docs.aws.amazon.com/codepipeline/latest/userguide/pipelines-stop.html
func stopPipelineExecution(c *call, in *stopExecutionInput) (*executionID, error) {
	if err := c.mayPipeline("StopPipelineExecution", in.Name); err != nil {
		return nil, err
	}
	if len(in.Reason) > 200 {
		return nil, fault("ValidationException", "Value at 'reason' failed to satisfy constraint: at most 200 characters")
	}
	s := c.account.Pipelines
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(in.Name, in.ID)
	switch {
	case err != nil:
		return nil, err
	case e.over():
		return nil, fault("PipelineExecutionNotStoppableException", "Pipeline execution %s is in status %s and cannot be stopped", e.id, e.status)
	case e.status == statusStopping && !in.Abandon:
		return nil, fault("DuplicatedStopRequestException", "Pipeline execution %s has already been requested to stop", e.id)
	}
	e.reason = in.Reason
	if in.Abandon {
		e.end(statusStopped, in.Reason)
	} else {
		e.set(statusStopping, in.Reason)
	}
	s.notify()
	return &executionID{e.id}, nil
}
