package adminapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// basic is the scheme of what only migration's services and a few others accept:
// the caller is then user 1, for whom the service has no limits of its own.
const basic = "Basic"

// A stack has 8 to 12 migration workers, and checks key and secret with 20,000
// rounds of PBKDF2 at every request: so the limits are ours. The scheduler asks
// each about ten times a second when it is busiest.
const (
	migrationInFlight = 8
	// MigrationPerSecond is how many requests a second one stack is asked at most, and
	// MigrationBurst how many at once after a while of fewer.
	MigrationPerSecond = 15
	MigrationBurst     = 30
)

// throttledFor: the service never throttles user 1; what stands before it
// may, for a moment, and neither a copy of days nor one of six minutes must be slow
// long after.
const throttledFor = 10 * time.Second

// startPatience: the restore that holds the migration's own user may lock out the
// start of any other job until it is over.
const startPatience = 10 * time.Minute

// A Credential is a stack's service key and its secret.
type Credential struct{ Key, Secret string }

// Migration asks one stack as migration's client. It is apart from Client so that
// neither's credential reaches what is meant for the other. Safe for concurrent
// use. Close it when done.
type Migration struct{ c *Client }

// NewMigration returns a client with its own pace: c.Pace must be zero. c.Token is
// not used; read is asked as Config.Token is. Errors are New's.
func NewMigration(c Config, read func(ctx context.Context) (Credential, error)) (*Migration, error) {
	base, err := baseURL(c.Host)
	switch {
	case err != nil:
		return nil, err
	case read == nil:
		return nil, ops.Errorf(ops.Invalid, "a client needs a source for the key and the secret.")
	case c.Pace != ops.Pace{}:
		return nil, ops.Errorf(ops.Invalid, "migration's client has its own pace.")
	}
	cl := newClient(c, base, recovering(pacing{throttledFor, migrationInFlight, MigrationPerSecond, MigrationBurst}))
	cl.scheme, cl.tokens.what = basic, "service credential"
	cl.tokens.read = func(ctx context.Context) (string, error) {
		k, err := read(ctx)
		if err != nil {
			return "", err
		}
		cl.tokens.hide(k.Secret)
		if strings.TrimSpace(k.Key) == "" || strings.TrimSpace(k.Secret) == "" || strings.Contains(k.Key, ":") {
			return "", &ops.Error{Code: ops.Denied, Message: "the key or the secret is blank, or the key has a colon.", Hint: "Store them anew in their source."}
		}
		return base64.StdEncoding.EncodeToString([]byte(k.Key + ":" + k.Secret)), nil
	}
	return &Migration{cl}, nil
}

// Stats returns the counts so far.
func (m *Migration) Stats() Stats { return m.c.Stats() }

// Close closes idle connections. Calls in flight end as usual.
func (m *Migration) Close() { m.c.Close() }

// Version is Client's.
func (m *Migration) Version(ctx context.Context) (synapse.Version, error) { return m.c.Version(ctx) }

// StackStatus is Client's.
func (m *Migration) StackStatus(ctx context.Context) (synapse.StackStatus, error) {
	return m.c.StackStatus(ctx)
}

// SetStackStatus is Client's.
func (m *Migration) SetStackStatus(ctx context.Context, s synapse.StackStatus) (synapse.StackStatus, error) {
	return m.c.SetStackStatus(ctx, s)
}

// Types returns the names of all types the stack knows.
func (m *Migration) Types(ctx context.Context) ([]string, error) {
	return m.names(ctx, "/repo/v1/migration/types/names")
}

// PrimaryTypes returns the types that are addressed, in the stack's order.
func (m *Migration) PrimaryTypes(ctx context.Context) ([]string, error) {
	return m.names(ctx, "/repo/v1/migration/primarytypes/names")
}

func (m *Migration) names(ctx context.Context, path string) ([]string, error) {
	var l struct {
		List []string `json:"list"`
	}
	err := m.c.do(ctx, call{method: http.MethodGet, path: path, into: &l, need: []string{"list"}})
	return l.List, err
}

// StartCounts starts the job that returns the lowest and highest ID of types. As
// every job here it is sent once: after a lost answer, Unsettled, a job may run
// whose ID nobody knows.
func (m *Migration) StartCounts(ctx context.Context, types []string) (synapse.AsyncJobStatus, error) {
	return m.start(ctx, "AsyncMigrationTypeCountsRequest", synapse.MigrationCountsRequest{Types: types})
}

// StartRanges starts the job that cuts r into ranges of rows rows, secondary ones
// included.
func (m *Migration) StartRanges(ctx context.Context, kind string, r synapse.MigrationRange, rows int64) (synapse.AsyncJobStatus, error) {
	return m.start(ctx, "CalculateOptimalRangeRequest", synapse.MigrationRangesRequest{Type: kind, Min: r.Min, Max: r.Max, Rows: rows})
}

// StartChecksum starts the job that sums r in bins of so many IDs.
func (m *Migration) StartChecksum(ctx context.Context, kind string, r synapse.MigrationRange, bin int64, salt string) (synapse.AsyncJobStatus, error) {
	return m.start(ctx, "BatchChecksumRequest", synapse.MigrationChecksumRequest{Type: kind, Salt: salt, Min: r.Min, Max: r.Max, Bin: bin})
}

// StartBackup starts the job that writes the rows of r into a file.
func (m *Migration) StartBackup(ctx context.Context, kind string, r synapse.MigrationRange, batch int64) (synapse.AsyncJobStatus, error) {
	return m.start(ctx, "BackupTypeRangeRequest", synapse.MigrationBackupRequest{Type: kind, Alias: synapse.MigrationAlias, Batch: batch, Min: r.Min, Max: r.Max})
}

// StartRestore starts the job that deletes the rows of r and writes those of the
// backup named key. r must be the backup's range. Two restores of one type must
// never run at once: after Unsettled, find the first, or wait until it must be over.
func (m *Migration) StartRestore(ctx context.Context, kind, key string, r synapse.MigrationRange, batch int64) (synapse.AsyncJobStatus, error) {
	return m.start(ctx, synapse.MigrationRestore, synapse.NewMigrationRestoreRequest(kind, key, r, batch))
}

func (m *Migration) start(ctx context.Context, concrete string, request any) (synapse.AsyncJobStatus, error) {
	body, err := synapse.MigrationRequest(concrete, request)
	if err != nil {
		return synapse.AsyncJobStatus{}, ops.Errorf(ops.Invalid, "a job's request must be JSON: %v.", err)
	}
	return m.c.startAdminJob(ctx, body, startPatience)
}

// Job returns a job's status with its request, that of a failed job too, and what it
// answered once it is complete.
func (m *Migration) Job(ctx context.Context, id string) (synapse.AsyncJobStatus, synapse.MigrationAnswer, error) {
	s, err := m.c.AdminJob(ctx, id)
	if err != nil || s.JobState != synapse.JobComplete {
		return s, synapse.MigrationAnswer{}, err
	}
	var r struct {
		Answer *synapse.MigrationAnswer `json:"adminResponse"`
	}
	if err := json.Unmarshal(s.ResponseBody, &r); err != nil || r.Answer == nil {
		return s, synapse.MigrationAnswer{}, &ops.Error{
			Code: ops.Internal, Message: "job " + m.c.show(id) + " is complete, but its answer is not that of a migration's job.",
			Hint: "The service may be older or newer than this release of synops.",
		}
	}
	return s, *r.Answer, nil
}
