package pipeline_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cb "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	cp "github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/pipeline"
)

var start = ops.Start{N: 2, Run: ref.Run, Lane: ops.LaneAdmin, Request: ops.DigestOf([]byte("request"))}

// TestStart_SaysLittle: the run's ID and the request's digest are all that a start
// carries, with a token of run and attempt.
func TestStart_SaysLittle(t *testing.T) {
	s, c := &script{}, &clock{at: noon}
	pinned := start
	pinned.Bundle = "version-7"
	exec, err := scripted(s, &tape{}, c).Start(t.Context(), pinned)
	if err != nil {
		t.Fatal(err)
	}
	if want := (ops.Execution{Engine: "pipeline", ID: execID, At: noon}); exec != want {
		t.Errorf("started %+v, want %+v", exec, want)
	}
	in := s.started[0]
	vars := map[string]string{}
	for _, v := range in.Variables {
		vars[*v.Name] = *v.Value
	}
	if diff := cmp.Diff(map[string]string{"RUN": string(ref.Run), "REQUEST": start.Request.Hex()}, vars); diff != "" {
		t.Error(diff)
	}
	if *in.Name != "synops-admin" || *in.ClientRequestToken != string(ref.Run)+"-2" {
		t.Errorf("started %s with token %s", *in.Name, *in.ClientRequestToken)
	}
	if len(in.SourceRevisions) != 1 || *in.SourceRevisions[0].RevisionValue != "version-7" || in.SourceRevisions[0].RevisionType != cp.SourceRevisionTypeS3ObjectVersionId {
		t.Errorf("source revisions %+v", in.SourceRevisions)
	}
}

// TestStart_Refuses what CodePipeline would put into a build's JSON unescaped.
func TestStart_Refuses(t *testing.T) {
	for name, change := range map[string]func(*ops.Start){
		"a quote":       func(s *ops.Start) { s.Run = `x"},{"name":"PATH` },
		"a blank":       func(s *ops.Start) { s.Run = "a run" },
		"an underscore": func(s *ops.Start) { s.Run = "20261123T141502Z-remove_user-3f9c" }, // not in a token
		"no digest":     func(s *ops.Start) { s.Request = "" },
		"half a digest": func(s *ops.Start) { s.Request = "sha256:abcd" },
		"too long":      func(s *ops.Start) { s.Run = ops.RunID(strings.Repeat("a", 127)) },
	} {
		s, bad := &script{}, start
		change(&bad)
		if _, err := scripted(s, &tape{}, &clock{at: noon}).Start(t.Context(), bad); ops.CodeOf(err) != ops.Invalid || len(s.started) > 0 {
			t.Errorf("%s: %v, %d started", name, err, len(s.started))
		}
	}
}

// TestStart_Again: one attempt is one execution, however often it is asked for; and
// a lane that is not there is told of.
func TestStart_Again(t *testing.T) {
	w := newWorld(t)
	e := w.engine()
	first, err := e.Start(t.Context(), start)
	w.ok(err)
	again, err := e.Start(t.Context(), start)
	w.ok(err)
	if again.ID != first.ID {
		t.Errorf("asked twice: %s and %s", first.ID, again.ID)
	}
	elsewhere := start
	elsewhere.Lane = ops.LaneDeploy
	if _, err := e.Start(t.Context(), elsewhere); ops.CodeOf(err) != ops.NotFound || !strings.Contains(err.Error(), "synops deploy deploy") {
		t.Errorf("a lane that is not deployed: %v", err)
	}
}

// TestLiveness judges by the build, and by the execution where there is none.
func TestLiveness(t *testing.T) {
	worker := &ops.Attempt{N: 1, Build: buildID}
	local := ops.Execution{Engine: "local", ID: "4711/1/2@laptop"}
	const going = cb.StatusTypeInProgress
	for _, c := range []struct {
		name    string
		s       *script
		exec    ops.Execution
		attempt *ops.Attempt
		want    ops.Liveness
	}{
		{"not visible yet", &script{}, begun, nil, ops.AliveQueued},
		{"never visible", &script{}, ops.Execution{Engine: "pipeline", ID: execID, At: noon.Add(-time.Hour)}, nil, ops.Gone},
		{"in progress without a build", &script{status: cp.PipelineExecutionStatusInProgress}, begun, nil, ops.AliveQueued},
		{"stopping without a build", &script{status: cp.PipelineExecutionStatusStopping}, begun, nil, ops.AliveQueued},
		{"failed without a build", &script{status: cp.PipelineExecutionStatusFailed}, begun, nil, ops.Gone},
		{"stopped without a build", &script{status: cp.PipelineExecutionStatusStopped}, begun, nil, ops.Gone},
		{"superseded without a build", &script{status: cp.PipelineExecutionStatusSuperseded}, begun, nil, ops.Gone},
		{"canceled without a build", &script{status: cp.PipelineExecutionStatusCancelled}, begun, nil, ops.Gone},
		{"failed while its build goes on", &script{status: cp.PipelineExecutionStatusFailed, linked: true, build: aBuild(going, "BUILD")}, begun, worker, ops.AliveRunning},
		{"canceled, its build came meanwhile", &script{status: cp.PipelineExecutionStatusCancelled, afterStatus: func(s *script) { s.linked, s.build = true, aBuild(going, "QUEUED") }}, begun, nil, ops.AliveQueued},
		{"build queued", &script{status: cp.PipelineExecutionStatusInProgress, linked: true, build: aBuild(going, "QUEUED")}, begun, nil, ops.AliveQueued},
		{"build provisioning", &script{status: cp.PipelineExecutionStatusInProgress, linked: true, build: aBuild(going, "PROVISIONING")}, begun, nil, ops.AliveProvisioning},
		{"build downloads its source", &script{status: cp.PipelineExecutionStatusInProgress, linked: true, build: aBuild(going, "DOWNLOAD_SOURCE")}, begun, nil, ops.AliveProvisioning},
		{"build works, nobody claimed", &script{status: cp.PipelineExecutionStatusInProgress, linked: true, build: aBuild(going, "BUILD")}, begun, nil, ops.AliveProvisioning},
		{"build works", &script{build: aBuild(going, "BUILD")}, begun, worker, ops.AliveRunning},
		{"build puts things away", &script{build: aBuild(going, "FINALIZING")}, begun, worker, ops.AliveRunning},
		{"build works, its launcher died", &script{build: aBuild(going, "BUILD")}, ops.Execution{}, worker, ops.AliveRunning},
		{"build succeeded", &script{build: aBuild(cb.StatusTypeSucceeded, "COMPLETED")}, begun, worker, ops.Gone},
		{"build stopped", &script{build: aBuild(cb.StatusTypeStopped, "COMPLETED")}, begun, worker, ops.Gone},
		{"build timed out", &script{build: aBuild(cb.StatusTypeTimedOut, "COMPLETED")}, begun, worker, ops.Gone},
		{"build at fault", &script{build: aBuild(cb.StatusTypeFault, "COMPLETED")}, begun, worker, ops.Gone},
		{"build forgotten", &script{}, begun, worker, ops.LivenessUnknown},
		{"a process", &script{}, local, nil, ops.LivenessUnknown},
		{"a process that claimed", &script{}, local, &ops.Attempt{N: 1, Host: "laptop", Process: "4711/1/2"}, ops.LivenessUnknown},
		{"nobody knows", &script{}, ops.Execution{}, nil, ops.LivenessUnknown},
	} {
		live, err := scripted(c.s, &tape{}, &clock{at: noon}).Liveness(t.Context(), c.exec, c.attempt)
		if err != nil || live != c.want {
			t.Errorf("%s: %s, %v, want %s", c.name, live, err, c.want)
		}
	}
}

// TestLiveness_AsksSeldom: followers ask often; AWS is asked every 15 seconds, and
// never again about what is gone.
func TestLiveness_AsksSeldom(t *testing.T) {
	s, c := &script{build: aBuild(cb.StatusTypeInProgress, "BUILD")}, &clock{at: noon}
	e := scripted(s, &tape{}, c)
	ask := func(want ops.Liveness) {
		t.Helper()
		if live, err := e.Liveness(t.Context(), begun, &ops.Attempt{N: 1, Build: buildID}); err != nil || live != want {
			t.Errorf("%s, %v, want %s", live, err, want)
		}
	}
	for range 30 {
		ask(ops.AliveRunning)
		c.pass(2 * time.Second)
	}
	if n := s.count("build"); n != 4 {
		t.Errorf("a minute of looks asked %d times", n)
	}
	s.build.BuildStatus = cb.StatusTypeFailed
	for range 30 {
		c.pass(20 * time.Second)
		ask(ops.Gone)
	}
	if n := s.count("build"); n != 5 {
		t.Errorf("asked %d times after it was gone", n-4)
	}
}

// TestReason tells what no log does: why a build never came to its commands.
func TestReason(t *testing.T) {
	w := newWorld(t, func(s *emulator.Settings) { s.Builds.Fault = "The subnet is out of addresses." })
	e := w.engine()
	exec, err := e.Start(t.Context(), start)
	w.ok(err)
	w.gone(e, exec)
	reason, err := e.Reason(t.Context(), exec, nil)
	if err != nil || !strings.Contains(reason, "PROVISIONING") || !strings.Contains(reason, "out of addresses") {
		t.Errorf("%q, %v", reason, err)
	}
	s := &script{status: cp.PipelineExecutionStatusCancelled}
	reason, err = scripted(s, &tape{}, &clock{at: noon}).Reason(t.Context(), begun, nil)
	if err != nil || reason != "Its execution ended Cancelled before a build began. that is why" {
		t.Errorf("%q, %v", reason, err)
	}
}

func (w *world) gone(e *pipeline.Engine, exec ops.Execution) {
	w.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for range look.C {
		live, err := e.Liveness(w.Context(), exec, nil)
		w.ok(err)
		if live == ops.Gone {
			return
		}
	}
}

// TestStop_ItsOwn: of several builds of a lane only the one asked for ends, and its
// execution is never abandoned.
func TestStop_ItsOwn(t *testing.T) {
	w := newWorld(t)
	w.Bundle(map[string]string{"synops": "#!/bin/sh\nexec sleep 1000\n"})
	e := w.engine()
	mine, err := e.Start(t.Context(), start)
	w.ok(err)
	other := start
	other.N = 3
	others, err := e.Start(t.Context(), other)
	w.ok(err)
	w.ok(e.Stop(t.Context(), mine, nil))
	if live, err := e.Liveness(t.Context(), mine, nil); err != nil || live != ops.Gone {
		t.Errorf("stopped, it is %s: %v", live, err)
	}
	if live, err := e.Liveness(t.Context(), others, nil); err != nil || live == ops.Gone {
		t.Errorf("the other run is %s: %v", live, err)
	}
	w.ok(e.Stop(t.Context(), others, nil))
}

// TestStop_Order: the build first, then what is left of the execution.
func TestStop_Order(t *testing.T) {
	worker := &ops.Attempt{N: 1, Build: buildID}
	quickly := func(c *pipeline.Config) { c.Pace = quick() }
	s := &script{status: cp.PipelineExecutionStatusInProgress, build: aBuild(cb.StatusTypeInProgress, "BUILD"),
		onStopBuild: func(s *script) { s.build = aBuild(cb.StatusTypeStopped, "COMPLETED") }}
	if err := scripted(s, &tape{}, &clock{at: noon}, quickly).Stop(t.Context(), begun, worker); err != nil {
		t.Fatal(err)
	}
	want := []string{"build", "stop build " + buildID, "build", "status", "stop, abandon false"}
	if diff := cmp.Diff(want, s.calls); diff != "" {
		t.Error(diff)
	}

	// No build yet: one comes of it nevertheless, after the execution was stopped.
	s = &script{status: cp.PipelineExecutionStatusInProgress, linked: true,
		onStop: func(s *script) {
			s.status, s.build = cp.PipelineExecutionStatusStopping, aBuild(cb.StatusTypeInProgress, "SUBMITTED")
		},
		onStopBuild: func(s *script) {
			s.status, s.build = cp.PipelineExecutionStatusStopped, aBuild(cb.StatusTypeStopped, "COMPLETED")
		}}
	if err := scripted(s, &tape{}, &clock{at: noon}, quickly).Stop(t.Context(), begun, nil); err != nil {
		t.Fatal(err)
	}
	if s.count("stop, abandon false") != 1 || s.count("stop build "+buildID) != 1 {
		t.Errorf("calls %q", s.calls)
	}
}

// TestStop_Unable: what cannot be known cannot be stopped, and a wait ends with its
// context.
func TestStop_Unable(t *testing.T) {
	e := scripted(&script{}, &tape{}, &clock{at: noon})
	if err := e.Stop(t.Context(), begun, &ops.Attempt{N: 1, Build: buildID}); ops.CodeOf(err) != ops.Unavailable {
		t.Errorf("a build that AWS does not know: %v", err)
	}
	s := &script{build: aBuild(cb.StatusTypeInProgress, "BUILD")}
	ctx, leave := context.WithCancel(t.Context())
	s.onStopBuild = func(*script) { leave() }
	e = scripted(s, &tape{}, &clock{at: noon})
	if err := e.Stop(ctx, begun, &ops.Attempt{N: 1, Build: aws.ToString(s.build.Id)}); !errors.Is(err, context.Canceled) {
		t.Errorf("a build that does not end: %v", err)
	}
}
