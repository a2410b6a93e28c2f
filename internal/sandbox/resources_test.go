package sandbox_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

func verifyPath(id, status, etag string) string {
	return "/repo/v1/admin/oauth2/client/" + id + "/verified?status=" + status + "&etag=" + etag
}

func TestOAuthClientFields(t *testing.T) {
	s := quiet()
	for token, full := range map[string]bool{sandbox.AdminToken: true, sandbox.UserToken: true, sandbox.ACTToken: false, "": false} {
		r := call(t, s, token, "GET", "/auth/v1/oauth2/client/100001", "")
		if _, ok := r.object["etag"]; ok != full || r.object["client_name"] != "Portal of Example Org" || r.object["verified"] != false {
			t.Errorf("token %q: %s, want an etag: %v", token, r.body, full)
		}
	}
	admin(t, s, "GET", "/auth/v1/oauth2/client/999", "").wantError(t, "unknown", 404)
}

func TestVerifyOAuthClient(t *testing.T) {
	s := quiet()
	before, _ := s.OAuthClient("100001")
	admin(t, s, "PUT", "/repo/v1/admin/oauth2/client/100001/verified?status=true", "").wantError(t, "no etag", 400)
	admin(t, s, "PUT", verifyPath("100001", "true", ""), "").wantError(t, "blank etag", 400)
	admin(t, s, "PUT", verifyPath("999", "true", "x"), "").wantError(t, "unknown", 404)
	admin(t, s, "PUT", verifyPath("100001", "true", "stale"), "").wantError(t, "stale etag", 412)

	r := call(t, s, sandbox.ACTToken, "PUT", verifyPath("100001", "true", before.Etag), "")
	if r.status != 200 || r.object["verified"] != true || r.object["etag"] == before.Etag {
		t.Errorf("verify: %d %s, want verified and a new etag", r.status, r.body)
	}
	admin(t, s, "PUT", verifyPath("100001", "true", before.Etag), "").wantError(t, "the same once more", 412)
	after, _ := s.OAuthClient("100001")
	r = admin(t, s, "PUT", verifyPath("100001", "true", after.Etag), "")
	if r.status != 200 || r.object["etag"] != after.Etag {
		t.Errorf("already so: %d %s, want the same etag %s", r.status, r.body, after.Etag)
	}

	wrong, _ := s.OAuthClient("100003")
	admin(t, s, "PUT", verifyPath("100003", "true", wrong.Etag), "").wantError(t, "wrong sector identifier document", 400)
	wrong.SectorDocument = "unreachable"
	s.SetOAuthClient(wrong)
	wrong, _ = s.OAuthClient("100003")
	admin(t, s, "PUT", verifyPath("100003", "true", wrong.Etag), "").wantError(t, "unreachable document", 503)
	extra, _ := s.OAuthClient("200001")
	admin(t, s, "PUT", verifyPath("200001", "true", extra.Etag), "").want(t, "a computed client", 200, "*")
	if c, _ := s.OAuthClient("200001"); !c.Verified {
		t.Error("the change of a computed client was lost")
	}
}

func TestEtagRace(t *testing.T) {
	s := quiet()
	yes := true
	s.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.EtagRace, Count: 1, Verified: &yes}}})
	before, _ := s.OAuthClient("100001")
	admin(t, s, "PUT", verifyPath("100001", "true", before.Etag), "").wantError(t, "somebody was faster", 412)
	after, _ := s.OAuthClient("100001")
	if !after.Verified || after.Etag == before.Etag {
		t.Errorf("somebody else's edit: %+v", after)
	}
	admin(t, s, "PUT", verifyPath("100001", "true", after.Etag), "").want(t, "only once", 200, "*")
}

func TestPrecheck(t *testing.T) {
	s := quiet()
	c, _ := s.OAuthClient("100002")
	path := "/auth/v1/oauth2/client/100002/verificationPrecheck"
	body := func(redirect, etag string) string {
		b, _ := json.Marshal(synapse.OAuthClient{ClientID: "100002", ClientName: "x", RedirectURIs: []string{redirect}, Etag: etag})
		return string(b)
	}
	admin(t, s, "PUT", path, body(c.RedirectURIs[0], c.Etag)).want(t, "same host", 200, `{"reverificationRequired":false}`)
	admin(t, s, "PUT", path, body("https://elsewhere.example.org/cb", c.Etag)).want(t, "other host", 200, `{"reverificationRequired":true}`)
	admin(t, s, "PUT", path, body("https://elsewhere.example.org/cb", "stale")).wantError(t, "stale", 412)
	admin(t, s, "PUT", path, `{}`).wantError(t, "nothing in it", 400)
	call(t, s, "", "PUT", path, body(c.RedirectURIs[0], c.Etag)).wantError(t, "anonymous", 403)
}

func TestDataType(t *testing.T) {
	s := quiet()
	set := func(token, id, kind string) reply {
		return call(t, s, token, "PUT", "/repo/v1/entity/"+id+"/datatype?type="+kind, "")
	}
	r := set(sandbox.AdminToken, "syn123", "OPEN_DATA")
	if r.status != 200 || r.object["objectId"] != "syn123" || r.object["objectType"] != "ENTITY" || r.object["dataType"] != "OPEN_DATA" || r.object["updatedBy"] != "273960" {
		t.Errorf("open data: %d %s", r.status, r.body)
	}
	if p := call(t, s, "", "GET", "/repo/v1/entity/syn123/permissions", ""); p.object["isEntityOpenData"] != true || p.object["canDownload"] != true {
		t.Errorf("permissions of the public: %s", p.body)
	}
	if p := call(t, s, "", "GET", "/repo/v1/entity/syn30001/permissions", ""); p.object["canPublicRead"] != true || p.object["canDownload"] != false {
		t.Errorf("the public may not download what is not open: %s", p.body)
	}
	set(sandbox.ACTToken, "syn999999", "OPEN_DATA").want(t, "an unknown entity is stored, no 404", 200, "*")
	if !s.IsOpenData("syn999999") || s.IsOpenData("syn124") {
		t.Error("data types: want syn999999 open and syn124 not")
	}
	set(sandbox.UserToken, "syn123", "OPEN_DATA").wantError(t, "an owner may not open", 403)
	set(sandbox.UserToken, "syn123", "SENSITIVE_DATA").want(t, "an owner may close", 200, "*")
	set(sandbox.UserToken, "syn999", "SENSITIVE_DATA").wantError(t, "no entity, no owner", 403)
	set(sandbox.AdminToken, "syn123", "SECRET").wantError(t, "no such type", 400)
	set(sandbox.AdminToken, "abc", "OPEN_DATA").wantError(t, "no entity ID", 400)
	if r := set(sandbox.AdminToken, "125", "OPEN_DATA"); r.status != 200 || !s.IsOpenData("syn125") {
		t.Errorf("a bare number is an entity ID: %d %s", r.status, r.body)
	}
}

func TestACL(t *testing.T) {
	s := quiet()
	acl := func(id string) reply { return admin(t, s, "GET", "/repo/v1/entity/"+id+"/acl", "") }
	public := func(id string) string {
		var a synapse.ACL
		if err := json.Unmarshal([]byte(acl(id).body), &a); err != nil {
			t.Fatal(err)
		}
		for _, g := range a.ResourceAccess {
			if g.PrincipalID == 273949 {
				return strings.Join(g.AccessType, " ")
			}
		}
		return ""
	}
	for id, want := range map[string]string{"syn123": "READ DOWNLOAD", "syn124": "READ", "syn127": "", "syn30001": "READ DOWNLOAD"} {
		if got := public(id); got != want {
			t.Errorf("%s lets the public %q, want %q", id, got, want)
		}
	}
	r := acl("syn125")
	r.wantError(t, "inherited", 404)
	if !strings.Contains(r.body, "syn123") {
		t.Errorf("the reason points to the benefactor: %s", r.body)
	}
	acl("syn126").wantError(t, "in the trash", 404)
	acl("syn999").wantError(t, "unknown", 404)
	admin(t, s, "GET", "/repo/v1/entity/syn126/permissions", "").wantError(t, "in the trash", 404)
	call(t, s, "", "GET", "/repo/v1/entity/syn127/permissions", "").wantError(t, "not for the public", 403)
}

func TestFeatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Config{FeatureCache: time.Minute})
		path := "/repo/v1/admin/feature/ALLOW_AGENT_WRITES/status"
		on, off := `{"feature":"ALLOW_AGENT_WRITES","enabled":true}`, `{"feature":"ALLOW_AGENT_WRITES","enabled":false}`
		admin(t, s, "GET", path, "").want(t, "never set", 200, on)
		admin(t, s, "POST", path, `{"feature":"IGNORED","enabled":false}`).want(t, "set", 200, off)
		admin(t, s, "GET", path, "").want(t, "from another server's cache", 200, on)
		if s.Feature("ALLOW_AGENT_WRITES") {
			t.Error("the switch itself is set")
		}
		time.Sleep(time.Minute)
		admin(t, s, "GET", path, "").want(t, "a minute later", 200, off)
		admin(t, s, "POST", path, `{}`).wantError(t, "no value", 400)
		admin(t, s, "GET", "/repo/v1/admin/feature/NO_SUCH/status", "").wantError(t, "unknown name", 400)
		call(t, s, sandbox.UserToken, "GET", path, "").wantError(t, "not an administrator", 403)
	})
}

func TestSecondFactorSwitch(t *testing.T) {
	s := quiet()
	s.AddToken("rroe-token", "3350397") // has none
	call(t, s, "rroe-token", "GET", bundlePath, "").want(t, "not required while DISABLE_2FA_REQUIREMENT is on", 200, "*")
	admin(t, s, "POST", "/repo/v1/admin/feature/DISABLE_2FA_REQUIREMENT/status", `{"enabled":false}`)
	call(t, s, "rroe-token", "GET", bundlePath, "").wantError(t, "required", 403)
}

const nih = `{"name":"nih","identityProvider":[{"concreteType":"org.sagebionetworks.repo.model.auth.OAuthIdentityProvider","provider":"NIH_RESEARCHER_AUTH_SERVICE"}]}`

func TestRealms(t *testing.T) {
	s := quiet()
	call(t, s, "", "GET", "/repo/v1/realm/list", "").want(t, "list", 200, `{"realms":["1","12","13"]}`)
	r := admin(t, s, "POST", "/repo/v1/admin/realm", nih)
	if r.status != 201 || r.object["id"] != "14" || r.object["name"] != "nih" || r.object["createdOn"] == nil {
		t.Errorf("create: %d %s", r.status, r.body)
	}
	create := func(name, provider string) reply {
		return admin(t, s, "POST", "/repo/v1/admin/realm", strings.NewReplacer(`"nih"`, `"`+name+`"`, "NIH_RESEARCHER_AUTH_SERVICE", provider).Replace(nih))
	}
	create("nih", "GOOGLE_OAUTH_2_0").wantError(t, "taken name", 400)
	create("other", "ORCID").wantError(t, "taken provider", 400)
	create("ab", "ORCID").wantError(t, "short name", 400)
	create("other", "FACEBOOK").wantError(t, "unknown provider", 400)
	admin(t, s, "POST", "/repo/v1/admin/realm", `{"name":"other"}`).wantError(t, "no provider", 400)
	s.SetFaults(sandbox.Faults{DuplicateRealm: 500})
	create("other", "ORCID").wantError(t, "taken provider, as switched", 500)
	if n := len(s.Realms()); n != 4 {
		t.Errorf("%d realms, want 4", n)
	}

	del := func(id string) reply { return admin(t, s, "DELETE", "/repo/v1/admin/realm/"+id, "") }
	del("14").want(t, "delete", 200, "")
	admin(t, s, "GET", "/repo/v1/realm/14", "").wantError(t, "gone", 404)
	if r := admin(t, s, "POST", "/repo/v1/admin/realm", nih); r.object["id"] != "15" {
		t.Errorf("an ID is not given twice: %s", r.body)
	}
	del("1").wantError(t, "the default realm", 400)
	del("13").wantError(t, "a realm with users", 500)
	del("99").want(t, "an unknown realm", 200, "")
	if r := call(t, s, "", "GET", "/repo/v1/realm/12/principals", ""); r.object["realmId"] != "12" {
		t.Errorf("principals: %d %s", r.status, r.body)
	}
	if r := admin(t, s, "GET", "/repo/v1/realm/principals", ""); r.object["realmId"] != "1" {
		t.Errorf("own principals: %d %s", r.status, r.body)
	}
}

func TestExportsAndNumbers(t *testing.T) {
	s := quiet()
	admin(t, s, "POST", "/repo/v1/admin/grid/session/backfill", "").want(t, "a bare number", 200, "42")
	if s.Backfills() != 1 {
		t.Errorf("backfills: %d, want 1", s.Backfills())
	}
	script, _ := admin(t, s, "GET", "/repo/v1/admin/id/generator/export", "").object["exportScript"].(string)
	if !strings.HasPrefix(script, "# ACCESS_APPROVAL_ID\nCREATE TABLE") || !strings.HasSuffix(script, ";\n") {
		t.Errorf("script: %q", script)
	}
	admin(t, s, "GET", "/repo/v1/admin/messages/currentnumber", "").want(t, "change number", 200, `{"nextChangeNumber":7000001}`)
	admin(t, s, "GET", "/repo/v1/version", "").want(t, "version", 200, `{"version":"544.0-12-gabcdef0","stackInstance":"544"}`)
}

func TestPairShowsAWrongEnvironment(t *testing.T) {
	dev, prod := sandbox.NewPair(sandbox.Config{})
	d, p := admin(t, dev, "GET", "/repo/v1/version", ""), admin(t, prod, "GET", "/repo/v1/version", "")
	if d.object["stackInstance"] != "dev544" || p.object["stackInstance"] != "544" {
		t.Errorf("versions: dev %s, prod %s", d.body, p.body)
	}
	admin(t, dev, "POST", redactPath, "")
	if u, _ := prod.User("3350397"); u.Redacted {
		t.Error("a change in dev reached prod")
	}
}
