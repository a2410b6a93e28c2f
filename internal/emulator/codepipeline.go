package emulator

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Pipelines is how pipelines behave.
type Pipelines struct {
	// VisibleAfter is how long GetPipelineExecution and the lists do not know of an
	// execution that was started: programs in public wait 10 s for that reason.
	// https://github.com/Sage-Bionetworks/Synapse-Code-Pipeline
	VisibleAfter time.Duration
	// Lag is how much later than a build's end its action ends.
	Lag time.Duration
	// MostActive is how many executions of one pipeline may be active; beyond it a
	// start is refused. https://github.com/floci-io/floci/pull/3503
	MostActive int
	// UpdateCancels cancels executions in progress when the pipeline's definition
	// changes. Their builds go on.
	// https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_PipelineExecution.html
	UpdateCancels bool
	// ActionLimit is after how long a build's action fails although the build goes
	// on; 0 never. Current pages give no figure, older ones 8 hours.
	// https://docs.aws.amazon.com/codepipeline/latest/userguide/limits.html
	ActionLimit time.Duration
}

func defaultPipelines() Pipelines {
	return Pipelines{VisibleAfter: 300 * time.Millisecond, Lag: 100 * time.Millisecond, MostActive: 50, UpdateCancels: true}
}

// CodePipeline holds an account's pipelines and their executions.
type CodePipeline struct {
	account *Account

	mu        sync.Mutex
	pipelines map[string]*pipelineState // by name
	changed   chan struct{}             // closed and replaced at every change
	events    []Event                   // to be sent
}

// A Pipeline is a pipeline, in the words of AWS::CodePipeline::Pipeline.
type Pipeline struct {
	Name                     string
	RoleArn                  string
	PipelineType             string             `json:",omitempty"`
	ExecutionMode            string             `json:",omitempty"`
	RestartExecutionOnUpdate Flag               `json:",omitempty"`
	Variables                []PipelineVariable `json:",omitempty"`
	ArtifactStore            ArtifactStore
	Stages                   []Stage
	Tags                     []Tag `json:",omitempty"`

	// Version, Created and Updated are no properties.
	Version          int       `json:"-"`
	Created, Updated time.Time `json:"-"`
}

// A PipelineVariable is one that a start may give, and must where it has no default.
type PipelineVariable struct {
	Name         string
	DefaultValue *string `json:",omitempty"`
	Description  string  `json:",omitempty"`
}

// An ArtifactStore is the bucket where a pipeline keeps artifacts.
type ArtifactStore struct {
	Type     string
	Location string
}

// A Stage is one stage. Its actions run by RunOrder.
type Stage struct {
	Name    string
	Actions []PipelineAction
}

// A PipelineAction is one action: an S3 source or a CodeBuild build.
type PipelineAction struct {
	Name             string
	ActionTypeID     ActionType `json:"ActionTypeId"`
	Configuration    map[string]Text
	InputArtifacts   []ArtifactName `json:",omitempty"`
	OutputArtifacts  []ArtifactName `json:",omitempty"`
	RunOrder         Number         `json:",omitempty"` // 0 when put: 1
	Namespace        string         `json:",omitempty"`
	Region           string         `json:",omitempty"`
	RoleArn          string         `json:",omitempty"`
	TimeoutInMinutes Number         `json:",omitempty"`
}

// An ActionType says what an action does.
type ActionType struct {
	Category, Owner, Provider string
	Version                   Text
}

// An ArtifactName names an artifact that an action takes or makes.
type ArtifactName struct{ Name string }

type pipelineState struct {
	Pipeline
	executions []*execution            // oldest first
	tokens     map[string]*execution   // by clientRequestToken
	waiting    map[string][]*execution // by stage, first come first
	inside     map[string][]*execution // by stage
}

func newCodePipeline(a *Account) *CodePipeline {
	return &CodePipeline{account: a, pipelines: map[string]*pipelineState{}, changed: make(chan struct{})}
}

// notify wakes who waits for a change; it is called under the lock.
func (s *CodePipeline) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *CodePipeline) arn(name string) string { return s.account.arn("codepipeline", name) }

// Pipeline returns the pipeline of that name.
func (s *CodePipeline) Pipeline(name string) (Pipeline, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pipelines[name]
	if p == nil {
		return Pipeline{}, false
	}
	return p.Pipeline, true
}

// CreatePipeline stores a new pipeline. It does not run: AWS starts one that was
// made in the console only. A first execution that nobody asked for would be one
// without its variables.
func (s *CodePipeline) CreatePipeline(p Pipeline) error {
	if err := p.check(s.account); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pipelines[p.Name] != nil {
		return fault("PipelineNameInUseException", "A pipeline with the name '%s' already exists in account '%s'", p.Name, s.account.ID)
	}
	p.Version, p.Created = 1, s.account.cloud.now()
	p.Updated = p.Created
	s.pipelines[p.Name] = &pipelineState{
		Pipeline: p, tokens: map[string]*execution{}, waiting: map[string][]*execution{}, inside: map[string][]*execution{},
	}
	return nil
}

// UpdatePipeline replaces a pipeline's definition, which nothing runs again for.
func (s *CodePipeline) UpdatePipeline(p Pipeline) error {
	if err := p.check(s.account); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.pipelines[p.Name]
	if old == nil {
		return noPipeline(p.Name)
	}
	p.Version, p.Created, p.Updated = old.Version+1, old.Created, s.account.cloud.now()
	old.Pipeline = p
	if s.account.cloud.settings.Pipelines.UpdateCancels {
		for _, e := range old.executions {
			e.end(statusCancelled, "The pipeline definition was updated before the execution ended.")
		}
	}
	s.notify()
	return nil
}

// DeletePipeline removes a pipeline with its executions. Their builds go on.
func (s *CodePipeline) DeletePipeline(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pipelines[name]
	if p == nil {
		return noPipeline(name)
	}
	for _, e := range p.executions {
		e.end(statusCancelled, "The pipeline was deleted.")
	}
	delete(s.pipelines, name)
	s.notify()
	return nil
}

func noPipeline(name string) *Fault {
	return fault("PipelineNotFoundException", "Pipeline with name '%s' does not exist", name)
}

// active counts a pipeline's executions that have not ended.
func (p *pipelineState) active() int {
	n := 0
	for _, e := range p.executions {
		if !e.over() {
			n++
		}
	}
	return n
}

// execution returns the execution of that ID; nil when there is none.
func (p *pipelineState) execution(id string) *execution {
	i := slices.IndexFunc(p.executions, func(e *execution) bool { return e.id == id })
	if i < 0 {
		return nil
	}
	return p.executions[i]
}

// session is the pipeline's role at work.
func (s *CodePipeline) session(p *Pipeline, e string) (*Caller, error) {
	who, err := s.account.IAM.serviceSession(p.RoleArn, "codepipeline.amazonaws.com", e, time.Hour,
		map[string][]string{"aws:SourceArn": {s.arn(p.Name)}, "aws:SourceAccount": {s.account.ID}})
	if err != nil {
		return nil, fmt.Errorf("the pipeline's role %s cannot be assumed: %w", p.RoleArn, err)
	}
	return who, nil
}
