package sandbox

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

func stackRoutes() []route {
	return []route{
		{method: "GET", pattern: "/repo/v1/version", handle: getVersion},
		{method: "HEAD", pattern: "/repo/v1/healthcheck", handle: func(*request) (any, error) { return nil, nil }},
		{method: "GET", pattern: "/repo/v1/status", scopes: view, handle: getStackStatus},
		{method: "GET", pattern: "/repo/v1/admin/synapse/status", scopes: view, handle: getStackStatus},
		{method: "PUT", pattern: "/repo/v1/admin/synapse/status", scopes: view | modify, body: true, handle: putStackStatus},
		{method: "GET", pattern: "/repo/v1/admin/id/generator/export", scopes: view | modify, handle: exportIDs},
		{method: "POST", pattern: "/repo/v1/admin/grid/session/backfill", scopes: modify, isNew: true, handle: backfillGrids},
		{method: "GET", pattern: "/repo/v1/admin/messages/currentnumber", scopes: view, handle: currentChangeNumber},
	}
}

// StackStatus returns the stack's status.
func (s *Synapse) StackStatus() synapse.StackStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.status
}

// SetStackStatus replaces the stack's status.
func (s *Synapse) SetStackStatus(status synapse.StackStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.status = status
}

func readOnlyStatus() synapse.StackStatus {
	return synapse.StackStatus{Status: synapse.ReadOnly, CurrentMessage: "Only read services are available during migration."}
}

// Backfills is how often the grid sessions have been backfilled.
func (s *Synapse) Backfills() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.backfills
}

func getVersion(q *request) (any, error) {
	return synapse.Version{Version: q.s.config.Version, StackInstance: q.s.config.Instance}, nil
}

// getStackStatus lets anybody know, on the administrative path too: it proves
// nothing about a token.
func getStackStatus(q *request) (any, error) { return q.s.state.status, nil }

func putStackStatus(q *request) (any, error) {
	var in synapse.StackStatus
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	switch in.Status {
	case synapse.ReadWrite, synapse.ReadOnly, synapse.Down, "":
	default:
		return nil, failed(http.StatusBadRequest, "No enum constant org.sagebionetworks.repo.model.status.StatusEnum.%s", in.Status)
	}
	if err := q.caller.mustBeAdmin(); err != nil {
		return nil, err
	}
	if in.Status == "" {
		return nil, failed(http.StatusBadRequest, "Cannot set the status to null")
	}
	q.s.state.status = in
	return in, nil
}

// idTypes are the first of the service's types, in its order.
var idTypes = []string{"ACCESS_APPROVAL_ID", "ACCESS_REQUIREMENT_ID", "ACL_ID", "ACTIVITY_ID", "ASYNCH_JOB_STATUS_ID",
	"CHANGE_ID", "COLUMN_MODEL_ID", "ENTITY_ID", "EVALUATION_ID", "FILE_IDS", "PRINCIPAL_ID", "VERIFICATION_SUBMISSION_ID", "WIKI_ID"}

func exportIDs(q *request) (any, error) {
	if err := q.caller.mustBeAdmin(); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, t := range idTypes {
		fmt.Fprintf(&b, "# %s\n", t)
		fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS `%s` (\n  `ID` BIGINT NOT NULL AUTO_INCREMENT,\n  `CREATED_ON` BIGINT NOT NULL,\n  PRIMARY KEY (`ID`)\n);\n", t)
		fmt.Fprintf(&b, "INSERT IGNORE INTO `%s` (`ID`, `CREATED_ON`) VALUES (%d, UNIX_TIMESTAMP()*1000);\n", t, 1000*(i+1))
	}
	return map[string]string{"exportScript": b.String()}, nil
}

// backfillGrids answers a bare number, not an object.
func backfillGrids(q *request) (any, error) {
	if err := q.caller.mustBeAdmin(); err != nil {
		return nil, err
	}
	q.s.state.backfills++
	return gridSessions, nil
}

func currentChangeNumber(q *request) (any, error) {
	if err := q.caller.mustBeAdmin(); err != nil {
		return nil, err
	}
	return map[string]int64{"nextChangeNumber": 7_000_001}, nil
}
