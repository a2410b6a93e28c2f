package adminapi_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// An endpoint is one call, what it must send, an answer and what it must return.
type endpoint struct {
	name     string
	call     func(ctx context.Context, c *adminapi.Client) (any, error)
	request  string // method and URI
	body     string
	status   int
	answer   string
	want     any
	noToken  bool
	personal bool
	once     bool
	write    bool
}

// no makes a call that returns only an error fit.
func no(f func(ctx context.Context, c *adminapi.Client) error) func(context.Context, *adminapi.Client) (any, error) {
	return func(ctx context.Context, c *adminapi.Client) (any, error) { return nil, f(ctx, c) }
}

func endpoints() []endpoint {
	type client = adminapi.Client
	type ctx = context.Context
	isTrue := true
	const bundle = " {\"userId\":\"12\",  \"userProfile\":{\"ownerId\":\"12\",\"twoFactorAuthEnabled\":true},\"new\":1}\n"
	return []endpoint{
		{name: "Self", call: func(x ctx, c *client) (any, error) { return c.Self(x) }, request: "GET /repo/v1/userProfile",
			status: 200, answer: `{"ownerId":"273960","userName":"ops"}`, want: synapse.UserProfile{OwnerID: "273960", UserName: "ops"}, personal: true},
		{name: "UserBundle", call: func(x ctx, c *client) (any, error) { return c.UserBundle(x, "12", synapse.BundleAll) }, request: "GET /repo/v1/user/12/bundle?mask=65535",
			status: 200, answer: bundle, want: synapse.UserBundle{UserID: "12", UserProfile: &synapse.UserProfile{OwnerID: "12", TwoFactorAuthEnabled: &isTrue}, Raw: json.RawMessage(bundle)}, personal: true},
		{name: "RedactUser", call: no(func(x ctx, c *client) error { return c.RedactUser(x, "12") }), request: "POST /repo/v1/admin/redact/user/12", status: 200, write: true},
		{name: "SetCertified", call: no(func(x ctx, c *client) error { return c.SetCertified(x, "12", false) }), request: "PUT /repo/v1/admin/user/12/certificationStatus?isCertified=false", status: 204, write: true},
		{name: "ResetUserStatus", call: no(func(x ctx, c *client) error { return c.ResetUserStatus(x, "12") }), request: "PUT /repo/v1/admin/resetuserstatus/12", status: 200, write: true},
		{name: "DeleteSecondFactor", call: no(func(x ctx, c *client) error { return c.DeleteSecondFactor(x, "12") }), request: "DELETE /repo/v1/admin/user/12/2fa", status: 204, write: true},
		{name: "ExpireQuarantine", call: no(func(x ctx, c *client) error { return c.ExpireQuarantine(x, "jane.doe@example.org") }), request: "POST /repo/v1/admin/emailQuarantine/expire",
			body: `{"email":"jane.doe@example.org"}`, status: 204, personal: true, write: true},
		{name: "OAuthClient", call: func(x ctx, c *client) (any, error) { return c.OAuthClient(x, "100001") }, request: "GET /auth/v1/oauth2/client/100001",
			status: 200, answer: `{"client_id":"100001","verified":true,"etag":"e"}`, want: synapse.OAuthClient{ClientID: "100001", Verified: true, Etag: "e"}},
		{name: "SetOAuthClientVerified", call: func(x ctx, c *client) (any, error) {
			return c.SetOAuthClientVerified(x, "100001", true, "a+b&c=d é")
		}, request: "PUT /repo/v1/admin/oauth2/client/100001/verified?etag=a%2Bb%26c%3Dd+%C3%A9&status=true",
			status: 200, answer: `{"client_id":"100001","verified":true}`, want: synapse.OAuthClient{ClientID: "100001", Verified: true}, write: true},
		{name: "EntityPermissions", call: func(x ctx, c *client) (any, error) { return c.EntityPermissions(x, "syn123") }, request: "GET /repo/v1/entity/syn123/permissions",
			status: 200, answer: `{"canView":true,"isEntityOpenData":true,"ownerPrincipalId":7}`, want: synapse.EntityPermissions{CanView: true, IsEntityOpenData: true, OwnerPrincipalID: 7}},
		{name: "EntityACL", call: func(x ctx, c *client) (any, error) { return c.EntityACL(x, "syn123") }, request: "GET /repo/v1/entity/syn123/acl",
			status: 200, answer: `{"id":"syn123","resourceAccess":[{"principalId":273949,"accessType":["READ"]}]}`,
			want: synapse.ACL{ID: "syn123", ResourceAccess: []synapse.ResourceAccess{{PrincipalID: 273949, AccessType: []string{"READ"}}}}},
		{name: "SetDataType", call: func(x ctx, c *client) (any, error) { return c.SetDataType(x, "syn123", synapse.OpenData) }, request: "PUT /repo/v1/entity/syn123/datatype?type=OPEN_DATA",
			status: 200, answer: `{"objectId":"syn123","objectType":"ENTITY","dataType":"OPEN_DATA"}`, want: synapse.DataTypeResponse{ObjectID: "syn123", ObjectType: "ENTITY", DataType: synapse.OpenData}, write: true},
		{name: "Feature", call: func(x ctx, c *client) (any, error) { return c.Feature(x, "A_B") }, request: "GET /repo/v1/admin/feature/A_B/status",
			status: 200, answer: `{"feature":"A_B","enabled":true}`, want: synapse.FeatureStatus{Feature: "A_B", Enabled: true}},
		{name: "SetFeature", call: func(x ctx, c *client) (any, error) { return c.SetFeature(x, "A_B", false) }, request: "POST /repo/v1/admin/feature/A_B/status",
			body: `{"enabled":false}`, status: 200, answer: `{"feature":"A_B","enabled":false}`, want: synapse.FeatureStatus{Feature: "A_B"}, write: true},
		{name: "Realms", call: func(x ctx, c *client) (any, error) { return c.Realms(x) }, request: "GET /repo/v1/realm/list", status: 200, answer: `{"realms":["1","12"]}`, want: []string{"1", "12"}},
		{name: "Realm", call: func(x ctx, c *client) (any, error) { return c.Realm(x, "12") }, request: "GET /repo/v1/realm/12",
			status: 200, answer: `{"id":"12","name":"acme","identityProvider":[{"concreteType":"t","provider":"ORCID"}]}`,
			want: synapse.Realm{ID: "12", Name: "acme", IdentityProvider: []synapse.IdentityProvider{{ConcreteType: "t", Provider: "ORCID"}}}},
		{name: "CreateRealm", call: func(x ctx, c *client) (any, error) {
			return c.CreateRealm(x, synapse.Realm{Name: "acmé", IdentityProvider: []synapse.IdentityProvider{{ConcreteType: synapse.SynapseProviderType}}})
		}, request: "POST /repo/v1/admin/realm", body: `{"name":"acmé","identityProvider":[{"concreteType":"org.sagebionetworks.repo.model.auth.SynapseIdentityProvider"}]}`,
			status: 201, answer: `{"id":"14","name":"acmé","identityProvider":[]}`, want: synapse.Realm{ID: "14", Name: "acmé", IdentityProvider: []synapse.IdentityProvider{}}, write: true, once: true},
		{name: "DeleteRealm", call: no(func(x ctx, c *client) error { return c.DeleteRealm(x, "12") }), request: "DELETE /repo/v1/admin/realm/12", status: 200, write: true, once: true},
		{name: "StartAdminJob", call: func(x ctx, c *client) (any, error) {
			return c.StartAdminJob(x, json.RawMessage(`{"concreteType":"x","limit":25000}`))
		}, request: "POST /repo/v1/admin/asynchronous/job", body: `{"concreteType":"x","limit":25000}`,
			status: 201, answer: `{"jobState":"PROCESSING","jobId":"9","startedByUserId":1}`, want: synapse.AsyncJobStatus{JobState: synapse.JobProcessing, JobID: "9", StartedByUserID: 1}, write: true, once: true},
		{name: "AdminJob", call: func(x ctx, c *client) (any, error) { return c.AdminJob(x, "9") }, request: "GET /repo/v1/admin/asynchronous/job/9",
			status: 200, answer: `{"jobState":"FAILED","jobId":"9","errorMessage":"no"}`, want: synapse.AsyncJobStatus{JobState: synapse.JobFailed, JobID: "9", ErrorMessage: "no"}},
		{name: "ExportIDs", call: func(x ctx, c *client) (any, error) { return c.ExportIDs(x) }, request: "GET /repo/v1/admin/id/generator/export",
			status: 200, answer: `{"exportScript":"# A\nCREATE TABLE \"A\";\n"}`, want: "# A\nCREATE TABLE \"A\";\n"},
		{name: "BackfillGridSessions", call: func(x ctx, c *client) (any, error) { return c.BackfillGridSessions(x) }, request: "POST /repo/v1/admin/grid/session/backfill",
			status: 200, answer: "42\n", want: int64(42), write: true, once: true},
		{name: "StackStatus", call: func(x ctx, c *client) (any, error) { return c.StackStatus(x) }, request: "GET /repo/v1/status",
			status: 200, answer: `{"status":"DOWN","currentMessage":"m"}`, want: synapse.StackStatus{Status: "DOWN", CurrentMessage: "m"}, noToken: true},
		{name: "SetStackStatus", call: func(x ctx, c *client) (any, error) {
			return c.SetStackStatus(x, synapse.StackStatus{Status: "READ_WRITE", PendingMaintenanceMessage: "p"})
		}, request: "PUT /repo/v1/admin/synapse/status", body: `{"status":"READ_WRITE","pendingMaintenanceMessage":"p"}`,
			status: 200, answer: `{"status":"READ_WRITE"}`, want: synapse.StackStatus{Status: "READ_WRITE"}, write: true},
		{name: "Version", call: func(x ctx, c *client) (any, error) { return c.Version(x) }, request: "GET /repo/v1/version",
			status: 200, answer: `{"version":"544.0","stackInstance":"544"}`, want: synapse.Version{Version: "544.0", StackInstance: "544"}, noToken: true},
		{name: "Administrator", call: no(func(x ctx, c *client) error { return c.Administrator(x) }), request: "GET /repo/v1/admin/messages/currentnumber", status: 200, answer: `{"nextChangeNumber":77}`},
	}
}

func TestEndpoints(t *testing.T) {
	for _, e := range endpoints() {
		t.Run(e.name, func(t *testing.T) {
			s := serve(t, say(e.status, e.answer))
			c, _ := client(t, s.URL)
			got, err := e.call(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(e.want, got); d != "" {
				t.Errorf("returned (-want +got):\n%s", d)
			}
			reqs := s.requests()
			if len(reqs) != 1 {
				t.Fatalf("%d requests, want 1", len(reqs))
			}
			r := reqs[0]
			if sent := r.Method + " " + r.URI; sent != e.request {
				t.Errorf("sent %q, want %q", sent, e.request)
			}
			if r.Body != e.body {
				t.Errorf("body %q, want %q", r.Body, e.body)
			}
			wantHeaders(t, e, r)
		})
	}
}

func wantHeaders(t *testing.T, e endpoint, r heard) {
	t.Helper()
	want := map[string]string{"Accept": "application/json", "User-Agent": "synapse-ops-core", "Authorization": "Bearer " + canary, "Cookie": "", "Accept-Encoding": ""}
	if e.body != "" {
		want["Content-Type"] = "application/json; charset=UTF-8"
	}
	if e.noToken {
		want["Authorization"] = ""
	}
	for name, value := range want {
		if got := r.Header.Get(name); got != value {
			t.Errorf("header %s is %q, want %q", name, got, value)
		}
	}
}

func TestIDsAreEscapedAndNeverClimb(t *testing.T) {
	s := serve(t, say(200, `{"enabled":true}`))
	c, _ := client(t, s.URL)
	if _, err := c.Feature(t.Context(), "a/../b?c#d%2e {}é"); err != nil {
		t.Fatal(err)
	}
	if got, want := s.requests()[0].URI, "/repo/v1/admin/feature/a%2F..%2Fb%3Fc%23d%252e%20%7B%7D%C3%A9/status"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	for _, id := range []string{"", ".", ".."} {
		_, err := c.Realm(t.Context(), id)
		wantError(t, err, ops.Invalid, `"`+id+`"`)
		wantError(t, c.RedactUser(t.Context(), id), ops.Invalid)
	}
	_, err := c.StartAdminJob(t.Context(), json.RawMessage(`{"half":`))
	wantError(t, err, ops.Invalid, "JSON")
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// TestAnswersThatAreNotTheAnswer: a 2xx alone proves nothing where a body is due.
func TestAnswersThatAreNotTheAnswer(t *testing.T) {
	bodies := map[string]string{
		"empty": "", "blank": " \n", "HTML": "<html><b>Sign in, jane.doe@example.org</b>", "half": `{"half":`,
		"null": "null", "empty object": "{}", "another object": `{"reason":"x"}`, "array": "[]", "text": `"x"`, "two": "{}{}",
	}
	for _, e := range endpoints() {
		if e.answer == "" {
			continue
		}
		for name, body := range bodies {
			s := serve(t, say(200, body))
			c, _ := client(t, s.URL)
			_, err := e.call(t.Context(), c)
			code := ops.Internal
			if e.once || e.write {
				code = ops.Unsettled
			}
			wantError(t, err, code, strings.SplitN(e.request, "?", 2)[0], "200 OK")
			if shown := strings.Contains(err.Error(), "Sign in"); name == "HTML" && shown == e.personal {
				t.Errorf("%s: body shown: %v, want %v: %v", e.name, shown, !e.personal, err)
			}
			if n := len(s.requests()); n != 1 {
				t.Errorf("%s, %s: %d requests, want 1", e.name, name, n)
			}
		}
	}
}
