package adminapi_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var credential = adminapi.Credential{Key: "migration", Secret: canary + ":é"}

var basic = "Basic " + base64.StdEncoding.EncodeToString([]byte("migration:"+canary+":é"))

func migrator(t testing.TB, c adminapi.Config, given adminapi.Credential) (*adminapi.Migration, *atomic.Int64) {
	t.Helper()
	var reads atomic.Int64
	m, err := adminapi.NewMigration(c, func(context.Context) (adminapi.Credential, error) { reads.Add(1); return given, nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m, &reads
}

func TestMigrationEndpoints(t *testing.T) {
	type ctx = context.Context
	type client = adminapi.Migration
	r := synapse.MigrationRange{Min: 3, Max: 900}
	const jobs = "POST /repo/v1/admin/asynchronous/job"
	const pkg = "org.sagebionetworks.repo.model.migration."
	envelope := func(kind, rest string) string {
		return `{"concreteType":"` + pkg + `AsyncMigrationRequest","adminRequest":{"concreteType":"` + pkg + kind + `",` + rest + `}}`
	}
	const accepted = `{"jobState":"PROCESSING","jobId":"9"}`
	nine := synapse.AsyncJobStatus{JobState: synapse.JobProcessing, JobID: "9"}
	for _, e := range []struct {
		name, request, body, answer string
		call                        func(x ctx, m *client) (any, error)
		want                        any
	}{
		{"Types", "GET /repo/v1/migration/types/names", "", `{"list":["NODE","NEW_ONE"]}`,
			func(x ctx, m *client) (any, error) { return m.Types(x) }, []string{"NODE", "NEW_ONE"}},
		{"PrimaryTypes", "GET /repo/v1/migration/primarytypes/names", "", `{"list":["NODE"]}`,
			func(x ctx, m *client) (any, error) { return m.PrimaryTypes(x) }, []string{"NODE"}},
		{"StartCounts", jobs, envelope("AsyncMigrationTypeCountsRequest", `"types":["NODE","CHANGE"]`), accepted,
			func(x ctx, m *client) (any, error) { return m.StartCounts(x, []string{"NODE", "CHANGE"}) }, nine},
		{"StartRanges", jobs, envelope("CalculateOptimalRangeRequest", `"migrationType":"NODE","minimumId":3,"maximumId":900,"optimalRowsPerRange":50`), accepted,
			func(x ctx, m *client) (any, error) { return m.StartRanges(x, "NODE", r, 50) }, nine},
		{"StartChecksum", jobs, envelope("BatchChecksumRequest", `"migrationType":"NODE","salt":"s","minimumId":3,"maximumId":900,"batchSize":50`), accepted,
			func(x ctx, m *client) (any, error) { return m.StartChecksum(x, "NODE", r, 50, "s") }, nine},
		{"StartBackup", jobs, envelope("BackupTypeRangeRequest", `"migrationType":"NODE","aliasType":"MIGRATION_TYPE_NAME","batchSize":50,"minimumId":3,"maximumId":900`), accepted,
			func(x ctx, m *client) (any, error) { return m.StartBackup(x, "NODE", r, 50) }, nine},
		{"StartRestore", jobs, envelope("RestoreTypeRequest", `"migrationType":"NODE","aliasType":"MIGRATION_TYPE_NAME","backupFileKey":"k.zip","batchSize":50,"minimumRowId":3,"maximumRowId":900`), accepted,
			func(x ctx, m *client) (any, error) { return m.StartRestore(x, "NODE", "k.zip", r, 50) }, nine},
		{"SetStackStatus", "PUT /repo/v1/admin/synapse/status", `{"status":"READ_ONLY"}`, `{"status":"READ_ONLY"}`,
			func(x ctx, m *client) (any, error) {
				return m.SetStackStatus(x, synapse.StackStatus{Status: "READ_ONLY"})
			}, synapse.StackStatus{Status: "READ_ONLY"}},
	} {
		t.Run(e.name, func(t *testing.T) {
			s := serve(t, say(200, e.answer))
			m, _ := migrator(t, adminapi.Config{Host: s.URL}, credential)
			got, err := e.call(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(e.want, got); d != "" {
				t.Errorf("returned (-want +got):\n%s", d)
			}
			h := s.requests()[0]
			if sent := h.Method + " " + h.URI; sent != e.request || h.Body != e.body {
				t.Errorf("sent %s with %s, want %s with %s", sent, h.Body, e.request, e.body)
			}
			if got := h.Header.Get("Authorization"); got != basic {
				t.Errorf("authorized by %q, want %q", got, basic)
			}
		})
	}
}

func TestMigrationSendsNoCredentialWhereNoneIsNeeded(t *testing.T) {
	s := serve(t, say(200, `{"status":"READ_WRITE","stackInstance":"544"}`))
	m, reads := migrator(t, adminapi.Config{Host: s.URL}, credential)
	if _, err := m.Version(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := m.StackStatus(t.Context()); err != nil {
		t.Error(err)
	}
	for _, h := range s.requests() {
		if a := h.Header.Get("Authorization"); a != "" || reads.Load() != 0 {
			t.Errorf("%s was authorized by %q, after %d reads", h.URI, a, reads.Load())
		}
	}
}

func TestMigrationJobAnswers(t *testing.T) {
	one, nine := int64(1), int64(9)
	complete := func(fields string) string {
		return `{"jobState":"COMPLETE","jobId":"9","runtimeMS":1500,"responseBody":{"concreteType":"x","adminResponse":{"concreteType":"y",` + fields + `}}}`
	}
	for _, x := range []struct {
		answer string
		want   synapse.MigrationAnswer
	}{
		{complete(`"list":[{"type":"NODE","minid":1,"maxid":9},{"type":"TEAM"}]`), synapse.MigrationAnswer{Counts: []synapse.MigrationCount{{Type: "NODE", Min: &one, Max: &nine}, {Type: "TEAM"}}}},
		{complete(`"ranges":[{"minimumId":1,"maximumId":10}]`), synapse.MigrationAnswer{Ranges: []synapse.MigrationIDs{{Min: 1, End: 10}}}},
		{complete(`"cheksums":[{"binNumber":0,"count":2,"checksum":"6040181620%1744426100","minimumId":12,"maximumId":13}]`),
			synapse.MigrationAnswer{Checksums: []synapse.MigrationChecksum{{Count: 2, Sum: "6040181620%1744426100", Min: 12, Max: 13}}}},
		{complete(`"backupFileKey":"k.zip"`), synapse.MigrationAnswer{BackupKey: "k.zip"}},
		{complete(`"restoredRowCount":77`), synapse.MigrationAnswer{Restored: 77}},
		{`{"jobState":"PROCESSING","jobId":"9"}`, synapse.MigrationAnswer{}},
		{`{"jobState":"FAILED","jobId":"9","errorMessage":"no"}`, synapse.MigrationAnswer{}},
	} {
		s := serve(t, say(200, x.answer))
		m, _ := migrator(t, adminapi.Config{Host: s.URL}, credential)
		_, got, err := m.Job(t.Context(), "9")
		if err != nil {
			t.Errorf("%s: %v", x.answer, err)
		}
		if d := cmp.Diff(x.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", x.answer, d)
		}
	}
	for _, bad := range []string{`{"jobState":"COMPLETE","jobId":"9"}`, complete(`"restoredRowCount":"many"`), `{"jobState":"COMPLETE","responseBody":{}}`} {
		s := serve(t, say(200, bad))
		m, _ := migrator(t, adminapi.Config{Host: s.URL}, credential)
		_, _, err := m.Job(t.Context(), "9")
		wantError(t, err, ops.Internal, `job "9"`)
	}
}

// TestARestoreIsNeverSentTwice, a read is.
func TestARestoreIsNeverSentTwice(t *testing.T) {
	s := serve(t, drop)
	m, _ := migrator(t, adminapi.Config{Host: s.URL}, credential)
	_, err := m.StartRestore(t.Context(), "NODE", "k.zip", synapse.MigrationRange{Min: 1, Max: 2}, 50)
	wantError(t, err, ops.Unsettled, "may have been started")
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestMigrationCredentialIsReadAgainOnceAndNeverShown(t *testing.T) {
	sent := strings.TrimPrefix(basic, "Basic ")
	s := serve(t, why(401, "no such pair: "+canary+":é or "+sent))
	m, reads := migrator(t, adminapi.Config{Host: s.URL}, credential)
	_, err := m.Types(t.Context())
	wantError(t, err, ops.Denied, "401")
	if strings.Contains(err.Error(), sent) || strings.Contains(err.Error(), canary) {
		t.Errorf("shown: %v", err)
	}
	if e, ok := errors.AsType[*ops.Error](err); !ok || !strings.Contains(e.Hint, "key and secret") {
		t.Errorf("the hint does not name the pair: %v", err)
	}
	if reads.Load() != 2 {
		t.Errorf("read %d times, want 2", reads.Load())
	}
	for _, k := range []adminapi.Credential{{}, {Key: " ", Secret: canary}, {Key: "a:b", Secret: canary}, {Key: "a", Secret: " "}} {
		m, _ := migrator(t, adminapi.Config{Host: s.URL}, k)
		before := len(s.requests())
		_, err := m.Types(t.Context())
		wantError(t, err, ops.Denied, "service credential")
		if len(s.requests()) != before {
			t.Errorf("%q was sent", k)
		}
	}
}

// TestAPageIsNoRefusalOfTheCredential: what stands between says it. It is asked again,
// without reading the credential anew; but no start of a job is sent twice.
func TestAPageIsNoRefusalOfTheCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		page := roundTrip(func(*http.Request) (*http.Response, error) { sent++; return respond(401, "<html>Sign in"), nil })
		m, reads := migrator(t, adminapi.Config{Host: "https://repo", Transport: page}, credential)
		_, err := m.Types(t.Context())
		wantError(t, err, ops.Unavailable, "401 Unauthorized", "not the service's", "5 times")
		if hint := ops.HintOf(err); sent != 5 || reads.Load() != 1 || strings.Contains(hint, "key and secret") {
			t.Errorf("%d requests, the credential was read %d times, hint %q", sent, reads.Load(), hint)
		}
		sent = 0
		_, err = m.StartRestore(t.Context(), "NODE", "k.zip", synapse.MigrationRange{Min: 1, Max: 2}, 50)
		wantError(t, err, ops.Unsettled, "may have been started")
		if sent != 1 {
			t.Errorf("%d requests, want 1", sent)
		}
	})
}

func TestNewMigrationRefuses(t *testing.T) {
	read := func(context.Context) (adminapi.Credential, error) { return credential, nil }
	_, err := adminapi.NewMigration(adminapi.Config{Host: "http://repo-prod.prod.sagebase.org"}, read)
	wantError(t, err, ops.Invalid, "plain http")
	_, err = adminapi.NewMigration(adminapi.Config{Host: "https://repo"}, nil)
	wantError(t, err, ops.Invalid, "source")
	_, err = adminapi.NewMigration(adminapi.Config{Host: "https://repo", Pace: ops.Pace{PerMinute: 10}}, read)
	wantError(t, err, ops.Invalid, "pace")
}

// TestMigrationHasItsOwnPace: above an ordinary account's, for which the service
// would answer 429, and still bounded.
func TestMigrationHasItsOwnPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &meter{answer: func(*http.Request) *http.Response { return respond(200, `{"list":[]}`) }, latency: upTo(100 * time.Millisecond)}
		m, _ := migrator(t, adminapi.Config{Host: "https://repo", Transport: roundTrip(w.RoundTrip)}, credential)
		load(t.Context(), 20, 3*time.Minute, func(ctx context.Context) error { _, err := m.Types(ctx); return err })
		if n := inAnyMinute(w.arrived); n > 930 || n < 850 {
			t.Errorf("a minute holds %d requests, want at most 930 and not far less", n)
		}
		if w.most > 8 {
			t.Errorf("%d requests at once, want at most 8", w.most)
		}
	})
}

// TestSlowStartIsWaitedFor: the restore that holds the migration's own user locks
// out others' start for minutes.
func TestSlowStartIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := roundTrip(func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(4 * time.Minute):
				return respond(201, `{"jobState":"PROCESSING","jobId":"9"}`), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		m, _ := migrator(t, adminapi.Config{Host: "https://repo", Transport: slow}, credential)
		s, err := m.StartBackup(t.Context(), "NODE", synapse.MigrationRange{Min: 1, Max: 2}, 50)
		if err != nil || s.JobID != "9" {
			t.Errorf("%+v, %v", s, err)
		}
	})
}
