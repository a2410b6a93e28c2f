package emulator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Statuses of executions and actions. There is none for waiting: an execution that
// waits for a stage is InProgress.
// https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_PipelineExecution.html
const (
	statusInProgress = "InProgress"
	statusStopping   = "Stopping"
	statusStopped    = "Stopped"
	statusSucceeded  = "Succeeded"
	statusFailed     = "Failed"
	statusCancelled  = "Cancelled" //nolint:misspell // as the service writes it
	statusAbandoned  = "Abandoned"
)

// An execution is one going of a revision through a pipeline. Its fields change
// under the lock of its CodePipeline.
type execution struct {
	service  *CodePipeline
	pipeline Pipeline // as it was when the execution started
	id       string
	status   string
	summary  string
	trigger  string // ARN of who started it
	reason   string // why it was stopped
	started  time.Time
	updated  time.Time
	shown    time.Time // from when on it can be seen

	variables map[string]string
	overrides []sourceRevision
	revisions []artifactRevision
	outputs   map[string]map[string]string // of actions, by namespace
	artifacts map[string]artifact
	actions   []*actionRun // oldest first

	abandoned chan struct{} // closed when it ends without its actions
}

// A sourceRevision says what a source action shall take.
type sourceRevision struct {
	Action string `json:"actionName"`
	Type   string `json:"revisionType"`
	Value  string `json:"revisionValue"`
}

// An artifactRevision says what a source action took.
type artifactRevision struct {
	action, name, id, summary string
	created                   time.Time
}

// An actionRun is one action at work.
type actionRun struct {
	id, stage     string
	action        PipelineAction
	status        string
	started       time.Time
	updated       time.Time
	resolved      map[string]string // configuration with its references resolved
	external      string            // the build's ID
	externalURL   string
	logStream     string
	code, message string // of a failure
	outputs       map[string]string
}

// over tells whether the execution has ended.
func (e *execution) over() bool { return e.status != statusInProgress && e.status != statusStopping }

// end ends an execution that has not ended; its actions in progress are left to
// themselves. It is called under the lock.
func (e *execution) end(status, summary string) {
	if e.over() {
		return
	}
	for _, a := range e.actions {
		if a.status == statusInProgress {
			a.status, a.updated = statusAbandoned, e.service.account.cloud.now()
		}
	}
	e.set(status, summary)
	close(e.abandoned)
}

// set changes the status and tells EventBridge.
// https://docs.aws.amazon.com/codepipeline/latest/userguide/detect-state-changes-cloudwatch-events.html
func (e *execution) set(status, summary string) {
	e.status, e.summary, e.updated = status, summary, e.service.account.cloud.now()
	e.service.emit(Event{
		Source: "aws.codepipeline", DetailType: "CodePipeline Pipeline Execution State Change", Resources: []string{e.service.arn(e.pipeline.Name)}, At: e.updated,
		Detail: map[string]any{"pipeline": e.pipeline.Name, "execution-id": e.id, "state": eventState(status), "version": e.pipeline.Version},
	})
}

// emit sends events one after the other, outside of the lock it is called under.
func (s *CodePipeline) emit(event Event) {
	if s.events = append(s.events, event); len(s.events) > 1 {
		return // whoever sends the first will come to this one
	}
	s.account.cloud.background(func(context.Context) {
		for {
			s.mu.Lock()
			next := s.events[0]
			s.mu.Unlock()
			s.account.Events.Emit(next)
			s.mu.Lock()
			s.events = s.events[1:]
			done := len(s.events) == 0
			s.mu.Unlock()
			if done {
				return
			}
		}
	})
}

func eventState(status string) string {
	if status == statusInProgress {
		return "STARTED"
	}
	return strings.ToUpper(status)
}

// run takes the execution through its stages.
func (e *execution) run(ctx context.Context) {
	for _, stage := range e.pipeline.Stages {
		if !e.enter(ctx, stage.Name) {
			return
		}
		ok := e.stage(ctx, stage)
		e.leave(stage.Name)
		if !ok {
			return
		}
	}
	e.finish(statusSucceeded, "")
}

// finish ends an execution whose actions are done. One that was asked to stop
// meanwhile is stopped.
func (e *execution) finish(status, summary string) {
	s := e.service
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.over():
		return
	case e.status == statusStopping:
		status, summary = statusStopped, e.reason
	}
	e.set(status, summary)
	s.notify()
}

// enter waits at a stage's door. In mode QUEUED one execution at a time is inside,
// first in first out; in PARALLEL nobody waits.
// https://docs.aws.amazon.com/codepipeline/latest/userguide/execution-modes.html
func (e *execution) enter(ctx context.Context, stage string) bool {
	s := e.service
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pipelines[e.pipeline.Name]
	if p == nil || p.execution(e.id) != e {
		return false
	}
	p.waiting[stage] = append(p.waiting[stage], e)
	defer func() { p.waiting[stage] = without(p.waiting[stage], e); s.notify() }()
	for e.status == statusInProgress && e.pipeline.ExecutionMode == "QUEUED" && (len(p.inside[stage]) > 0 || p.waiting[stage][0] != e) {
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if ctx.Err() != nil {
			return false
		}
	}
	if e.status == statusStopping {
		e.set(statusStopped, e.reason)
	}
	if e.over() {
		return false
	}
	p.inside[stage] = append(p.inside[stage], e)
	return true
}

func without(list []*execution, e *execution) []*execution {
	return slices.DeleteFunc(slices.Clone(list), func(o *execution) bool { return o == e })
}

func (e *execution) leave(stage string) {
	s := e.service
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pipelines[e.pipeline.Name]; p != nil {
		p.inside[stage] = without(p.inside[stage], e)
	}
	s.notify()
}

// errAbandoned ends the work on an action that nobody waits for any more.
var errAbandoned = errors.New("abandoned")

// An actionFailure is why an action failed, as errorDetails has it.
type actionFailure struct{ code, message string }

// Error returns the message.
func (f *actionFailure) Error() string { return f.code + ": " + f.message }

// stage does all actions of a stage at once and tells whether the next may begin.
func (e *execution) stage(ctx context.Context, stage Stage) bool {
	errs := make(chan error, len(stage.Actions))
	for _, action := range stage.Actions {
		run := e.begin(stage.Name, action)
		e.service.account.cloud.background(func(context.Context) {
			err := e.do(ctx, run)
			e.close(run, err)
			errs <- err
		})
	}
	var failed error
	for range stage.Actions {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	if failed != nil {
		if ctx.Err() == nil && !errors.Is(failed, errAbandoned) {
			e.finish(statusFailed, failed.Error())
		}
		return false
	}
	return true
}

func (e *execution) begin(stage string, action PipelineAction) *actionRun {
	s := e.service
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.account.cloud.now()
	run := &actionRun{id: requestID(), stage: stage, action: action, status: statusInProgress, started: now, updated: now, resolved: map[string]string{}}
	e.actions = append(e.actions, run)
	e.updated = now
	return run
}

func (e *execution) close(run *actionRun, err error) {
	s := e.service
	s.mu.Lock()
	defer s.mu.Unlock()
	run.updated, e.updated = s.account.cloud.now(), s.account.cloud.now()
	f, ok := errors.AsType[*actionFailure](err)
	switch {
	case errors.Is(err, errAbandoned):
		run.status = statusAbandoned
	case ok:
		run.status, run.code, run.message = statusFailed, f.code, f.message
	case err != nil:
		run.status, run.code, run.message = statusFailed, "JobFailed", err.Error()
	default:
		run.status = statusSucceeded
	}
	s.notify()
}

// do resolves the action's configuration and does it.
func (e *execution) do(ctx context.Context, run *actionRun) error {
	if err := e.resolve(run); err != nil {
		return err
	}
	who, err := e.service.session(&e.pipeline, e.id)
	if err != nil {
		return &actionFailure{"PermissionError", err.Error()}
	}
	if run.action.ActionTypeID.Provider == "S3" {
		return e.fetch(who, run)
	}
	return e.build(ctx, who, run)
}

// resolve puts values in place of references, as they are: nothing is escaped,
// whatever the value of a variable does to the JSON around it.
// https://github.com/aws/aws-cdk/issues/8458
func (e *execution) resolve(run *actionRun) error {
	s := e.service
	s.mu.Lock()
	defer s.mu.Unlock()
	resolved := map[string]string{}
	for key, value := range run.action.Configuration {
		var missing error
		out := reference.ReplaceAllStringFunc(string(value), func(ref string) string {
			v, ok := e.lookUp(ref[2 : len(ref)-1])
			if !ok {
				missing = &actionFailure{"ConfigurationError", fmt.Sprintf("An action in this pipeline references %s, which is not known.", ref)}
			}
			return v
		})
		if missing != nil {
			return missing
		}
		// Whether the limit is asked before or after is not documented: both.
		if len([]rune(out)) > mostConfiguration {
			return &actionFailure{"ConfigurationError", fmt.Sprintf("The value of %s has %d characters once its variables are resolved; %d are allowed.", key, len([]rune(out)), mostConfiguration)}
		}
		resolved[key] = out
	}
	run.resolved = resolved // others may be reading the one before
	return nil
}

// lookUp returns what a reference stands for.
// https://docs.aws.amazon.com/codepipeline/latest/userguide/reference-variables.html
func (e *execution) lookUp(ref string) (string, bool) {
	space, name, _ := strings.Cut(ref, ".")
	switch space {
	case "variables":
		v, ok := e.variables[name]
		return v, ok
	case "codepipeline":
		return e.id, name == "PipelineExecutionId"
	}
	v, ok := e.outputs[space][name]
	return v, ok
}
