package emulator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Statuses of builds and of their phases.
// https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Build.html
const (
	buildInProgress = "IN_PROGRESS"
	buildSucceeded  = "SUCCEEDED"
	buildFailed     = "FAILED"
	buildFault      = "FAULT"
	buildTimedOut   = "TIMED_OUT"
	buildStopped    = "STOPPED"
)

// A build is one carrying-out of a project. Its fields below mu change while it
// goes; those above do not.
type build struct {
	service   *CodeBuild
	id, arn   string // ID is PROJECT:UUID
	uuid      string
	serial    int
	project   Project // as it was when the build started
	initiator string
	variables []BuildVariable
	source    artifact
	behaves   Builds
	spec      *buildspec
	token     string // what the credentials endpoint asks for
	started   time.Time

	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it is COMPLETED

	mu       sync.Mutex
	status   string
	phases   []buildPhase
	ended    time.Time
	role     *Caller // its role's session, from PROVISIONING on
	logging  bool    // its log stream is there
	stopping bool    // SIGTERM was sent: nothing further begins
	holder   *holder // its process group
	env      []string
}

// A buildPhase is one phase of a build, newest last.
type buildPhase struct {
	name, status string // status "" while it goes
	start, end   time.Time
	code, text   string // context of a failure
}

// An artifact is an object that a pipeline hands from one action to the next.
type artifact struct{ bucket, key string }

// A buildStart is what who starts a build says.
type buildStart struct {
	project   string
	initiator string
	variables []BuildVariable // in place of the project's of the same name
	source    artifact
}

var (
	errBuildStopped  = errors.New("stopped")
	errBuildTimedOut = errors.New("timed out")
	errBuildFailed   = errors.New("failed")
	errBuildFault    = errors.New("fault")
)

// start starts a build. Who starts it was asked whether they may.
func (s *CodeBuild) start(in buildStart) (*build, error) {
	if err := checkBuildVariables(in.variables); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projects[in.project]
	if p == nil {
		return nil, noProject(in.project)
	}
	spec, err := readBuildspec(p.Source.BuildSpec)
	if err != nil {
		return nil, err
	}
	if limit := int(p.ConcurrentBuildLimit); limit > 0 && s.active(p.Name) >= limit {
		// Refused, not queued: https://docs.aws.amazon.com/codebuild/latest/userguide/builds-working.html
		return nil, fault("AccountLimitExceededException", "Cannot have more than %d builds in queue for the project", limit)
	}
	s.started[p.Name]++
	b := &build{
		service: s, uuid: requestID(), serial: s.started[p.Name], project: *p, initiator: in.initiator,
		source: in.source, spec: spec, behaves: s.behavior(p.Name), token: requestID(), started: s.account.cloud.now(),
		status: buildInProgress, done: make(chan struct{}),
	}
	b.id = p.Name + ":" + b.uuid
	b.arn = s.account.arn("codebuild", "build/"+b.id)
	b.variables = overridden(p.Environment.EnvironmentVariables, in.variables)
	b.phases = []buildPhase{{name: "SUBMITTED", status: buildSucceeded, start: b.started, end: b.started}}
	s.builds[b.id] = b
	var ctx context.Context
	ctx, b.cancel = context.WithCancelCause(s.account.cloud.ctx)
	s.account.cloud.background(func(context.Context) { b.run(ctx) })
	return b, nil
}

// active counts a project's builds in progress; it is called under the lock.
func (s *CodeBuild) active(project string) int {
	n := 0
	for _, b := range s.builds {
		if b.project.Name == project && b.Status() == buildInProgress {
			n++
		}
	}
	return n
}

// overridden returns the project's variables with those of the start in their place.
func overridden(of, by []BuildVariable) []BuildVariable {
	out := slices.DeleteFunc(slices.Clone(of), func(v BuildVariable) bool {
		return slices.ContainsFunc(by, func(o BuildVariable) bool { return o.Name == v.Name })
	})
	return append(out, by...)
}

// Status returns the build's status now.
func (b *build) Status() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// run takes the build through its phases.
// https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html
func (b *build) run(ctx context.Context) {
	defer b.cancel(nil)
	b.announce()
	err := b.queue(ctx)
	if err == nil {
		timed, stop := context.WithTimeoutCause(ctx, b.minutes(b.project.TimeoutInMinutes), errBuildTimedOut)
		err = b.work(timed)
		stop()
	}
	b.finish(err)
}

func (b *build) minutes(n Number) time.Duration { return time.Duration(n) * b.behaves.Minute }

// queue passes the phase QUEUED. A build that waits too long is dropped.
func (b *build) queue(ctx context.Context) error {
	return b.phase(ctx, "QUEUED", func(ctx context.Context) error {
		if !b.behaves.NeverBegins {
			return nil
		}
		ctx, stop := context.WithTimeoutCause(ctx, b.minutes(b.project.QueuedTimeoutInMinutes), errBuildTimedOut)
		defer stop()
		<-ctx.Done()
		return context.Cause(ctx)
	})
}

// work is everything from PROVISIONING to UPLOAD_ARTIFACTS.
func (b *build) work(ctx context.Context) error {
	if err := b.phase(ctx, "PROVISIONING", b.provision); err != nil {
		return err
	}
	defer b.cleanUp()
	if err := b.phase(ctx, "DOWNLOAD_SOURCE", b.download); err != nil {
		return err
	}
	failed := error(nil)
	for _, p := range specPhases {
		if failed != nil && p.name != "post_build" {
			continue
		}
		spec := b.spec.phases[p.name]
		err := b.phase(ctx, p.shown, func(ctx context.Context) error { return b.commands(ctx, p.shown, spec) })
		if err == nil {
			continue
		}
		// Only a BUILD that failed is followed by POST_BUILD. What was stopped or ran
		// out of time is dead: no page promises it anything more.
		if !errors.Is(err, errBuildFailed) || p.name != "build" || spec.abort {
			return err
		}
		failed = err
	}
	if err := b.phase(ctx, "UPLOAD_ARTIFACTS", func(context.Context) error { return nil }); err != nil {
		return err
	}
	return failed
}

// phase does one phase and records how it ended.
func (b *build) phase(ctx context.Context, name string, do func(context.Context) error) error {
	b.mu.Lock()
	b.phases = append(b.phases, buildPhase{name: name, start: b.service.account.cloud.now()})
	b.mu.Unlock()
	err := do(ctx)
	if cause := context.Cause(ctx); cause != nil {
		err = cause // whatever it was doing, this is why it ended
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopping {
		err = errBuildStopped
	}
	last := &b.phases[len(b.phases)-1]
	last.status, last.end = statusOf(err), b.service.account.cloud.now()
	if t, ok := errors.AsType[*buildTrouble](err); ok {
		last.code, last.text = t.code, t.text
	}
	return err
}

// A buildTrouble is a failure with the words that a phase's context has for it.
type buildTrouble struct {
	code, text string
	kind       error // errBuildFailed or errBuildFault
}

// Error returns the context's words.
func (t *buildTrouble) Error() string { return t.code + ": " + t.text }

// Unwrap returns the kind of failure.
func (t *buildTrouble) Unwrap() error { return t.kind }

func failed(code, format string, args ...any) error {
	return &buildTrouble{code, fmt.Sprintf(format, args...), errBuildFailed}
}

func statusOf(err error) string {
	switch {
	case err == nil:
		return buildSucceeded
	case errors.Is(err, errBuildTimedOut):
		return buildTimedOut
	case errors.Is(err, errBuildStopped), errors.Is(err, context.Canceled):
		return buildStopped
	case errors.Is(err, errBuildFault):
		return buildFault
	}
	return buildFailed
}

// finish closes the build: FINALIZING, then COMPLETED.
func (b *build) finish(err error) {
	now := b.service.account.cloud.now()
	b.mu.Lock()
	b.phases = append(b.phases,
		buildPhase{name: "FINALIZING", status: buildSucceeded, start: now, end: now},
		buildPhase{name: "COMPLETED", start: now})
	b.status, b.ended = statusOf(err), now
	b.mu.Unlock()
	close(b.done)
	b.announce()
}

// cleanUp ends what the build's commands left running, as the end of its container
// does, and removes its folder.
func (b *build) cleanUp() {
	b.mu.Lock()
	h := b.holder
	b.mu.Unlock()
	if h != nil {
		h.release()
	}
	_ = os.RemoveAll(b.dir()) // a scratch folder: whoever made it clears the rest
}

// dir is the build's folder, from the root: commands run in others.
func (b *build) dir() string {
	dir := filepath.Join(b.service.account.cloud.config.Dir, "builds", b.service.account.ID, b.uuid)
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// stop makes the build end soon; the answer to who asked does not wait for it.
func (b *build) stop() {
	b.service.account.cloud.background(func(ctx context.Context) {
		wait(ctx, b.behaves.StopDelay)
		b.mu.Lock()
		h := b.holder
		b.stopping = true
		b.mu.Unlock()
		if h != nil && b.behaves.StopGrace > 0 {
			h.signal(syscall.SIGTERM)
			select {
			case <-b.done:
			case <-ctx.Done():
			case <-time.After(b.behaves.StopGrace):
			}
		}
		b.cancel(errBuildStopped)
	})
}

// phaseNow returns the phase that the build is in.
func (b *build) phaseNow() string {
	return b.phases[len(b.phases)-1].name
}

// announce tells EventBridge of the build's status.
// https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications.html
func (b *build) announce() {
	b.mu.Lock()
	detail := map[string]any{
		"build-status": b.status, "project-name": b.project.Name, "build-id": b.arn,
		"current-phase": b.phaseNow(), "current-phase-context": "[: ]", "version": "1",
		"additional-information": map[string]any{
			"initiator": b.initiator, "build-number": b.serial, "build-complete": b.status != buildInProgress,
			"timeout-in-minutes": int(b.project.TimeoutInMinutes), "build-start-time": b.started.Format("Jan 2, 2006 3:04:05 PM"),
			"logs": map[string]any{"group-name": b.project.logGroup(), "stream-name": b.project.logStream(b.uuid)},
		},
	}
	b.mu.Unlock()
	b.service.account.Events.Emit(Event{Source: "aws.codebuild", DetailType: "CodeBuild Build State Change", Resources: []string{b.arn}, Detail: detail})
}
