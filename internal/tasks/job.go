package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// How an admin job is watched: pauses between looks, and how long it may stay
// unreadable. The service answers 500 about a job that waits for the stack to be
// READ_WRITE again, and deployments take it away for minutes.
const (
	jobFirstLook = time.Second
	jobSlowest   = 15 * time.Second
	jobPatience  = 30 * time.Minute
)

// jobCheckpoint is what a later attempt needs to go on watching.
type jobCheckpoint struct {
	JobID string `json:"job_id"`
}

// adminJob starts admin jobs and watches them to their end.
type adminJob struct {
	jobs
	pause pause
}

// run starts the job, or goes on watching the one of the step's checkpoint, and
// returns its final status. Without a checkpoint an open intent needs a person:
// each start makes another job, and none can be found without its ID. A lost
// answer to the start is Unsettled.
func (a adminJob) run(ctx context.Context, step *ops.Step, request json.RawMessage) (synapse.AsyncJobStatus, error) {
	id, err := a.started(ctx, step, request)
	if err != nil {
		return synapse.AsyncJobStatus{}, err
	}
	status, err := a.watch(ctx, step, id)
	if err != nil {
		return status, err
	}
	if status.JobState == synapse.JobFailed {
		return status, &ops.Error{
			Code:    ops.Internal,
			Message: fmt.Sprintf("job %s failed: %s.", id, ops.Quote(status.ErrorMessage)),
			Hint:    "The service's own log tells more. A new run starts a new job.",
		}
	}
	return status, nil
}

func (a adminJob) started(ctx context.Context, step *ops.Step, request json.RawMessage) (string, error) {
	if step.Checkpoint != nil {
		var c jobCheckpoint
		if err := json.Unmarshal(step.Checkpoint, &c); err != nil || c.JobID == "" {
			return "", ops.Errorf(ops.Internal, "the checkpoint of %s does not name a job.", step.Effect.Label)
		}
		step.Log("going on with job %s", c.JobID)
		return c.JobID, nil
	}
	status, err := a.StartAdminJob(ctx, request)
	if err != nil {
		return "", fmt.Errorf("starting the job: %w", err)
	}
	if status.JobID == "" {
		return "", ops.Errorf(ops.Unsettled, "the service started a job but did not tell its ID.")
	}
	// Told before it is saved: if saving fails, the log is where the ID can be found.
	step.Log("started job %s", status.JobID)
	if err := step.Save(ctx, jobCheckpoint{JobID: status.JobID}); err != nil {
		return "", fmt.Errorf("recording job %s, which runs: %w", status.JobID, err)
	}
	return status.JobID, nil
}

// watch reads the job until it has ended. Answers that may get better are borne
// for jobPatience in a row.
func (a adminJob) watch(ctx context.Context, step *ops.Step, id string) (synapse.AsyncJobStatus, error) {
	var blind time.Time
	for next := jobFirstLook; ; next = min(next*3/2, jobSlowest) {
		if err := a.pause(ctx, jittered(next)); err != nil {
			return synapse.AsyncJobStatus{}, fmt.Errorf("waiting for job %s: %w", id, err)
		}
		status, err := a.AdminJob(ctx, id)
		switch {
		case err == nil:
			blind = time.Time{}
			if status.ProgressCurrent > 0 || status.ProgressTotal > 0 {
				step.Progress(status.ProgressCurrent, status.ProgressTotal, "")
			}
			if status.JobState == synapse.JobComplete || status.JobState == synapse.JobFailed {
				return status, nil
			}
		case !mayRecover(ctx, err):
			return status, fmt.Errorf("reading job %s: %w", id, err)
		case blind.IsZero():
			blind = time.Now()
			step.Log("job %s cannot be read (%v); looking again for up to %s", id, err, jobPatience)
		case time.Since(blind) >= jobPatience:
			return status, &ops.Error{
				Code: ops.Unavailable, Err: err,
				Message: fmt.Sprintf("job %s could not be read for %s: %v.", id, jobPatience, err),
				Hint:    "It may still run. Resume the run to go on watching it.",
			}
		}
	}
}

// mayRecover tells whether reading the job again can help.
func mayRecover(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	switch ops.CodeOf(err) {
	case ops.Unavailable, ops.Internal, ops.Unsettled:
		return true
	}
	return false
}
