package sandbox_test

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

func keys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

func TestBundleHoldsOnlyWhatIsAsked(t *testing.T) {
	s := quiet()
	for _, c := range []struct {
		name, user, mask string
		want             []string
	}{
		{"certification only", "3350396", "8", []string{"isCertified", "userId"}},
		{"hexadecimal", "3350396", "0x1", []string{"userId", "userProfile"}},
		{"nothing", "3350396", "0", []string{"userId"}},
		{"all", "3350396", "0xFFFF", []string{"ORCID", "isACTMember", "isARReviewer", "isCertified", "isVerified", "userId", "userProfile", "verificationSubmission"}},
		{"no ORCID, no submission: no key", "3350397", "6", []string{"userId"}},
	} {
		r := admin(t, s, "GET", "/repo/v1/user/"+c.user+"/bundle?mask="+c.mask, "")
		if got := keys(r.object); r.status != 200 || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %d %q, want %q", c.name, r.status, got, c.want)
		}
	}
	for path, status := range map[string]int{
		"/repo/v1/user/3350396/bundle":          400,
		"/repo/v1/user/3350396/bundle?mask=all": 400,
		"/repo/v1/user/jdoe/bundle?mask=1":      400,
		"/repo/v1/user/3360001/bundle?mask=1":   400, // a team
		"/repo/v1/user/273948/bundle?mask=1":    400, // a group
		"/repo/v1/user/999/bundle?mask=1":       404,
	} {
		admin(t, s, "GET", path, "").wantError(t, path, status)
	}
}

func TestPrivateFields(t *testing.T) {
	s := quiet()
	private := []string{"etag", "emails", "openIds", "twoFactorAuthEnabled", "notificationSettings"}
	for token, sees := range map[string]bool{"": false, sandbox.UserToken: true, sandbox.ACTToken: true, sandbox.AdminToken: true} {
		p := call(t, s, token, "GET", "/repo/v1/user/3350396/bundle?mask=1", "").object["userProfile"].(map[string]any)
		for _, k := range private {
			if _, ok := p[k]; ok != sees {
				t.Errorf("token %q: field %s shown %v, want %v", token, k, ok, sees)
			}
		}
	}
	if r := call(t, s, sandbox.UserToken, "GET", "/repo/v1/user/3350397/bundle?mask=1", ""); r.object["userProfile"].(map[string]any)["emails"] != nil {
		t.Errorf("another user's e-mails are private: %s", r.body)
	}
	if r := call(t, s, "", "GET", "/repo/v1/user/3350396/bundle?mask=4", ""); r.object["verificationSubmission"] != nil {
		t.Errorf("a stranger must ask for 0x10 too: %s", r.body)
	}
	if r := call(t, s, "", "GET", "/repo/v1/user/3350396/bundle?mask=0x14", ""); r.object["verificationSubmission"].(map[string]any)["emails"] != nil {
		t.Errorf("a stranger sees no private fields of a submission: %s", r.body)
	}
	if r := admin(t, s, "GET", "/repo/v1/userProfile", ""); r.object["ownerId"] != "273960" || r.object["emails"] == nil {
		t.Errorf("own profile: %s", r.body)
	}
}

func TestRedact(t *testing.T) {
	s := quiet()
	for range 2 {
		admin(t, s, "POST", "/repo/v1/admin/redact/user/3350396", "").want(t, "redact, and again", 200, "")
	}
	p := admin(t, s, "GET", "/repo/v1/user/3350396/bundle?mask=3", "")
	profile := p.object["userProfile"].(map[string]any)
	if profile["userName"] != "3350396" || profile["firstName"] != "" || profile["lastName"] != "" || p.object["ORCID"] != nil {
		t.Errorf("after redaction: %s", p.body)
	}
	if e := profile["emails"].([]any); len(e) != 1 || e[0] != "gdpr-synapse+3350396@sagebase.org" {
		t.Errorf("e-mails after redaction: %v", e)
	}
	if u, _ := s.User("3350396"); !u.Redacted || !u.TwoFactor {
		t.Errorf("redaction leaves the second factor: %+v", u)
	}
	admin(t, s, "POST", "/repo/v1/admin/redact/user/999", "").wantError(t, "an unknown user is 500, not 404", 500)
}

func TestCertification(t *testing.T) {
	s := quiet()
	status := func(id, query string) reply {
		return admin(t, s, "PUT", "/repo/v1/admin/user/"+id+"/certificationStatus"+query, "")
	}
	status("3350396", "?isCertified=false").want(t, "decertify", 204, "")
	if u, _ := s.User("3350396"); u.Certified || u.Record == nil || u.Record.Revoked {
		t.Errorf("decertifying leaves the passing record: %+v", u)
	}
	status("999", "?isCertified=false").want(t, "an unknown user is decertified in silence", 204, "")
	status("3350397", "?isCertified=true").want(t, "certify", 204, "")
	before, _ := sandbox.New(sandbox.Config{}).User("3350397")
	if u, _ := s.User("3350397"); !u.Certified || u.Etag == before.Etag {
		t.Errorf("rroe is not certified, or has the old etag: %+v", u)
	}
	status("3360001", "?isCertified=true").wantError(t, "a team", 400)
	status("3360001", "?isCertified=false").want(t, "a team is decertified in silence", 204, "")
	status("999", "?isCertified=true").wantError(t, "certify an unknown user", 404)
	status("3350396", "").wantError(t, "no value", 400)
	status("3350396", "?isCertified=maybe").wantError(t, "no boolean", 400)
}

func TestRevokeCertification(t *testing.T) {
	s := quiet()
	path := "/repo/v1/user/3350396/revokeCertification"
	call(t, s, sandbox.UserToken, "PUT", path, "").wantError(t, "no handler for this 403", 500)
	r := call(t, s, sandbox.ACTToken, "PUT", path, "")
	if r.object["revoked"] != true || r.object["certified"] != false || r.object["revokedOn"] == nil {
		t.Errorf("revoke: %d %s", r.status, r.body)
	}
	admin(t, s, "PUT", path, "").wantError(t, "not certified any more", 400)
	r = call(t, s, "", "GET", "/repo/v1/user/3350396/certifiedUserPassingRecord", "")
	if r.object["revoked"] != true || r.object["userId"] != "3350396" {
		t.Errorf("passing record: %d %s", r.status, r.body)
	}
	admin(t, s, "GET", "/repo/v1/user/3350397/certifiedUserPassingRecord", "").wantError(t, "never passed", 404)
	if r := admin(t, s, "GET", "/repo/v1/user/3350396/certifiedUserPassingRecords", ""); r.object["totalNumberOfResults"] != 1.0 {
		t.Errorf("all records: %s", r.body)
	}
	call(t, s, sandbox.UserToken, "GET", "/repo/v1/user/3350396/certifiedUserPassingRecords", "").wantError(t, "all records are for administrators", 403)
}

func TestReenableAndSecondFactor(t *testing.T) {
	s := quiet()
	for range 2 {
		admin(t, s, "PUT", "/repo/v1/admin/resetuserstatus/3350398", "").want(t, "reset status", 200, "")
		admin(t, s, "DELETE", "/repo/v1/admin/user/3350396/2fa", "").want(t, "2FA", 204, "")
	}
	if u, _ := s.User("3350398"); u.Disabled {
		t.Error("asmith is still disabled")
	}
	r := admin(t, s, "GET", "/repo/v1/user/3350396/bundle?mask=1", "")
	if r.object["userProfile"].(map[string]any)["twoFactorAuthEnabled"] != false {
		t.Errorf("second factor is still there: %s", r.body)
	}
	admin(t, s, "PUT", "/repo/v1/admin/resetuserstatus/999", "").wantError(t, "unknown user", 500)
	admin(t, s, "DELETE", "/repo/v1/admin/user/999/2fa", "").wantError(t, "unknown user", 500)
	admin(t, s, "DELETE", "/repo/v1/admin/user/273960/2fa", "").want(t, "one's own", 204, "")
	admin(t, s, "GET", bundlePath, "").wantError(t, "an administrator who lost the second factor is out", 403)
}

func TestQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := quiet()
		expire := func(token, body string) reply {
			return call(t, s, token, "POST", "/repo/v1/admin/emailQuarantine/expire", body)
		}
		expire(sandbox.UserToken, `{"email":" "}`).wantError(t, "the body is checked before the caller", 400)
		expire(sandbox.UserToken, `{"email":"bounce@example.org"}`).wantError(t, "then the caller", 403)
		expire(sandbox.AdminToken, `{"email":"never@example.org"}`).wantError(t, "then the address", 404)
		for range 2 {
			expire(sandbox.AdminToken, `{"email":"bounce@example.org"}`).want(t, "expire, and again", 204, "")
		}
		time.Sleep(time.Millisecond)
		if now, known := s.Quarantined("bounce@example.org"); now || !known {
			t.Errorf("bounce@example.org: in quarantine %v, known %v; want false, true", now, known)
		}
		if now, _ := s.Quarantined("old@example.org"); !now {
			t.Error("another address was let out")
		}
	})
}
