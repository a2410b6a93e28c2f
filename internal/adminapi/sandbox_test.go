package adminapi_test

import (
	"context"
	"net/http/httptest"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// TestAgainstTheSandbox: client and sandbox were written from the same facts; here
// they meet.
func TestAgainstTheSandbox(t *testing.T) {
	s := httptest.NewServer(sandbox.New(sandbox.Config{}))
	defer s.Close()
	as := func(token string) *adminapi.Client {
		c, _ := client(t, s.URL, func(c *adminapi.Config) { c.Token, c.Pace = fixed(token), ops.Pace{} })
		return c
	}
	admin, user := as("sandbox-admin-token"), as("sandbox-user-token")
	ctx := t.Context()
	if err := admin.Administrator(ctx); err != nil {
		t.Error(err)
	}
	wantError(t, user.Administrator(ctx), ops.Denied)
	wantError(t, as("sandbox-expired-token").Administrator(ctx), ops.Denied, "401")
	wantError(t, as("sandbox-viewonly-token").RedactUser(ctx, "3350396"), ops.Denied, "scopes")

	oc, err := admin.OAuthClient(ctx, "100001")
	if err != nil || oc.Verified || oc.Etag == "" {
		t.Fatalf("%+v, %v", oc, err)
	}
	if now, err := admin.SetOAuthClientVerified(ctx, "100001", true, oc.Etag); err != nil || !now.Verified {
		t.Errorf("%+v, %v", now, err)
	}
	_, err = admin.SetOAuthClientVerified(ctx, "100001", true, oc.Etag)
	wantError(t, err, ops.Conflict, "412")

	if b, err := admin.UserBundle(ctx, "3350396", synapse.BundleAll); err != nil || b.UserProfile.UserName != "jdoe" || len(b.Raw) == 0 {
		t.Errorf("%+v, %v", b, err)
	}
	wantDone(t, ctx, map[string]func(context.Context) error{
		"certify":    func(x context.Context) error { return admin.SetCertified(x, "3350396", false) },
		"enable":     func(x context.Context) error { return admin.ResetUserStatus(x, "3350398") },
		"2FA":        func(x context.Context) error { return admin.DeleteSecondFactor(x, "3350396") },
		"quarantine": func(x context.Context) error { return admin.ExpireQuarantine(x, "bounce@example.org") },
		"redact":     func(x context.Context) error { return admin.RedactUser(x, "3350396") },
		"backfill":   func(x context.Context) error { _, err := admin.BackfillGridSessions(x); return err },
		"IDs":        func(x context.Context) error { _, err := admin.ExportIDs(x); return err },
		"realms":     func(x context.Context) error { _, err := admin.Realms(x); return err },
		"self":       func(x context.Context) error { _, err := admin.Self(x); return err },
		"ACL":        func(x context.Context) error { _, err := admin.EntityACL(x, "syn123"); return err },
		"open":       func(x context.Context) error { _, err := admin.SetDataType(x, "syn123", synapse.OpenData); return err },
	})
	if p, err := admin.EntityPermissions(ctx, "syn123"); err != nil || !p.IsEntityOpenData {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := admin.SetStackStatus(ctx, synapse.StackStatus{Status: synapse.ReadOnly, CurrentMessage: "Moving house."}); err != nil {
		t.Fatal(err)
	}
	_, err = admin.Self(ctx)
	wantError(t, err, ops.Unavailable, "READ_ONLY", "Moving house.")
	if err := admin.Administrator(ctx); err != nil {
		t.Error(err)
	}
}

func wantDone(t *testing.T, ctx context.Context, calls map[string]func(context.Context) error) {
	t.Helper()
	for name, call := range calls {
		if err := call(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
