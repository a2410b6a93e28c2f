package tasks_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// bind binds a task with its real waits.
func bind(t *testing.T, name ops.TaskName, s tasks.Service) ops.Procedure {
	t.Helper()
	p, err := tasks.Bind(name, s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// missingDelete is a service that does not know the deletion of realms.
type missingDelete struct{ tasks.Service }

func (missingDelete) DeleteRealm(context.Context, string) error {
	return ops.Errorf(ops.NotFound, "no such route")
}

// fakeFeatures is a feature switch whose reads are old for a while.
type fakeFeatures struct {
	tasks.Service
	stale    time.Duration // how long reads are old after a switch
	wrong    bool          // answers the switch with the old value
	enabled  bool
	before   bool
	switched time.Time
	reads    int
}

func (f *fakeFeatures) Feature(_ context.Context, name string) (synapse.FeatureStatus, error) {
	f.reads++
	s := synapse.FeatureStatus{Feature: name, Enabled: f.enabled}
	if time.Since(f.switched) < f.stale {
		s.Enabled = f.before
	}
	return s, nil
}

func (f *fakeFeatures) SetFeature(_ context.Context, name string, enabled bool) (synapse.FeatureStatus, error) {
	f.before, f.enabled, f.switched = f.enabled, enabled, time.Now()
	return synapse.FeatureStatus{Feature: name, Enabled: enabled != f.wrong}, nil
}

// fakeJobs answers each look at a job with the next of its answers, and with the
// last for ever after.
type fakeJobs struct {
	tasks.Service
	starts  int
	started synapse.AsyncJobStatus
	answers []func() (synapse.AsyncJobStatus, error)
	looks   []time.Time
}

func (f *fakeJobs) StartAdminJob(context.Context, json.RawMessage) (synapse.AsyncJobStatus, error) {
	f.starts++
	return f.started, nil
}

func (f *fakeJobs) AdminJob(context.Context, string) (synapse.AsyncJobStatus, error) {
	n := min(len(f.looks), len(f.answers)-1)
	f.looks = append(f.looks, time.Now())
	return f.answers[n]()
}

// fakeVitals is a service that fails in some minutes.
type fakeVitals struct {
	tasks.Service
	looks   int
	noToken map[int]bool // by look, from 1
	denied  map[int]bool
	at      []time.Time
	during  func(look int) // called while the administrator is proven
}

func (f *fakeVitals) Version(context.Context) (synapse.Version, error) {
	return synapse.Version{Version: "544.0", StackInstance: "544"}, nil
}

func (f *fakeVitals) RenewToken(context.Context) error {
	f.looks++
	f.at = append(f.at, time.Now())
	if f.noToken[f.looks] {
		return ops.Errorf(ops.Denied, "env:SYNAPSE_ADMIN_PAT is not set.")
	}
	return nil
}

func (f *fakeVitals) Administrator(context.Context) error {
	if f.during != nil {
		f.during(f.looks)
	}
	if f.denied[f.looks] {
		return ops.Errorf(ops.Denied, "not an administrator.")
	}
	return nil
}

// oddAnswers is a service whose answers are not what was asked for.
type oddAnswers struct{ tasks.Service }

func (oddAnswers) SetDataType(context.Context, string, synapse.DataType) (synapse.DataTypeResponse, error) {
	return synapse.DataTypeResponse{DataType: "OTHER_DATA"}, nil
}

func (oddAnswers) ExportIDs(context.Context) (string, error) { return " \n", nil }

func (oddAnswers) StartAdminJob(context.Context, json.RawMessage) (synapse.AsyncJobStatus, error) {
	return synapse.AsyncJobStatus{JobState: synapse.JobProcessing}, nil
}

func (oddAnswers) Self(context.Context) (synapse.UserProfile, error) {
	return synapse.UserProfile{OwnerID: "5"}, nil
}

func (oddAnswers) UserBundle(_ context.Context, id string, _ int) (synapse.UserBundle, error) {
	return synapse.UserBundle{UserID: id, UserProfile: &synapse.UserProfile{OwnerID: id}}, nil
}
