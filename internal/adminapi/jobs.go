package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// StartAdminJob starts the asynchronous job that request describes. It is sent
// once: after a lost answer, Unsettled, a job may run whose ID nobody knows.
func (c *Client) StartAdminJob(ctx context.Context, request json.RawMessage) (synapse.AsyncJobStatus, error) {
	return c.startAdminJob(ctx, request, 0)
}

// startAdminJob is StartAdminJob with another patience; 0: the usual one.
func (c *Client) startAdminJob(ctx context.Context, request json.RawMessage, patience time.Duration) (synapse.AsyncJobStatus, error) {
	if !json.Valid(request) {
		return synapse.AsyncJobStatus{}, ops.Errorf(ops.Invalid, "a job's request must be JSON.")
	}
	var s synapse.AsyncJobStatus
	err := c.do(ctx, call{
		method: http.MethodPost, path: "/repo/v1/admin/asynchronous/job", body: request, into: &s, need: []string{"jobId", "jobState"},
		class: once, may: "The job may have been started.", patience: patience,
	})
	return s, err
}

// AdminJob returns a job's status, that of a failed job too.
func (c *Client) AdminJob(ctx context.Context, id string) (synapse.AsyncJobStatus, error) {
	var s synapse.AsyncJobStatus
	err := c.do(ctx, call{method: http.MethodGet, path: "/repo/v1/admin/asynchronous/job/{}", ids: []string{id}, into: &s, need: []string{"jobState"}})
	return s, err
}

// ExportIDs returns the decoded SQL script that seeds an ID generator. It may take
// minutes.
func (c *Client) ExportIDs(ctx context.Context) (string, error) {
	var e struct {
		Script string `json:"exportScript"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/repo/v1/admin/id/generator/export", into: &e, need: []string{"exportScript"}, patience: longPatience})
	return e.Script, err
}

// BackfillGridSessions sends a change message for every grid session and returns
// how many there were. It may take minutes. It is sent once; a lost answer is
// Unsettled.
func (c *Client) BackfillGridSessions(ctx context.Context) (int64, error) {
	var n int64
	err := c.do(ctx, call{
		method: http.MethodPost, path: "/repo/v1/admin/grid/session/backfill", into: &n, patience: longPatience,
		class: once, may: "The backfill may have run, wholly or in part.",
	})
	return n, err
}
