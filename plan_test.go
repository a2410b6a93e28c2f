package ops_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"pgregory.net/rapid"
)

// planTask has deciding, personal and other fields.
func planTask() *ops.Task {
	return &ops.Task{
		Name: "verify-oauth-client", Version: 2, Noun: "client", Plural: "clients",
		Deciding: []string{"verified", "etag", "userName"}, Personal: []string{"userName"},
	}
}

func samplePlan() *ops.Plan {
	return &ops.Plan{
		Task: "verify-oauth-client", Version: 2, Environment: "dev", Host: "https://repo-dev.dev.sagebase.org", Instance: "dev-544",
		Inputs: map[string]string{"client-ids": "100001,100002", "verified": "true"}, Notes: []string{"a note"}, EffectsTotal: 2,
		Effects: []ops.Effect{
			{
				Target: ops.Target{ID: "oauth-client/100001", Label: "oauth-client/100001", Value: "100001"}, Summary: "verified: false → true", Settle: ops.SettleRead,
				Before: ops.State{"verified": false, "etag": "e1", "userName": "jane", "modifiedOn": "2026"}, After: ops.State{"verified": true},
			},
			{
				Target: ops.Target{ID: "oauth-client/100002", Label: "oauth-client/100002", Value: "100002"}, Summary: "verified: false → true", Settle: ops.SettleRead,
				Before: ops.State{"verified": false, "etag": "e2", "userName": "joe", "modifiedOn": "2026"}, After: ops.State{"verified": true},
			},
		},
	}
}

func sealed(p *ops.Plan) ops.Digest {
	p.Seal(planTask(), p.Inputs)
	return p.Digest
}

// TestSealPinsTheDigest: an approved plan outlives a release.
func TestSealPinsTheDigest(t *testing.T) {
	const form = `{"task":"verify-oauth-client","version":2,"inputs":{"client-ids":"100001,100002","verified":"true"},"environment":"dev","host":"https://repo-dev.dev.sagebase.org","effects":[` +
		`{"id":"oauth-client/100001","target":"oauth-client/100001","before":{"etag":"e1","userName":"jane","verified":false},"after":{"verified":true}},` +
		`{"id":"oauth-client/100002","target":"oauth-client/100002","before":{"etag":"e2","userName":"joe","verified":false},"after":{"verified":true}}],"count":2,"list":""}`
	if got, want := sealed(samplePlan()), ops.DigestOf([]byte(form)); got != want {
		t.Errorf("the digest is %s, want that of\n%s", got, form)
	}
}

// TestSealBinds changes, one at a time, what an approval is about.
func TestSealBinds(t *testing.T) {
	was := sealed(samplePlan())
	for name, change := range map[string]func(p *ops.Plan){
		"task":                 func(p *ops.Plan) { p.Task = "x" },
		"version":              func(p *ops.Plan) { p.Version++ },
		"host":                 func(p *ops.Plan) { p.Host = "https://repo-staging.dev.sagebase.org" },
		"environment":          func(p *ops.Plan) { p.Environment = "prod" },
		"an input":             func(p *ops.Plan) { p.Inputs["verified"] = "false" },
		"one more input":       func(p *ops.Plan) { p.Inputs["x"] = "" },
		"an effect's ID":       func(p *ops.Plan) { p.Effects[0].ID = "oauth-client/100003" },
		"an effect's target":   func(p *ops.Plan) { p.Effects[0].Label = "oauth-client/100003" },
		"order":                func(p *ops.Plan) { slices.Reverse(p.Effects) },
		"one effect less":      func(p *ops.Plan) { p.Effects = p.Effects[:1] },
		"a deciding field":     func(p *ops.Plan) { p.Effects[1].Before["etag"] = "e3" },
		"its type":             func(p *ops.Plan) { p.Effects[1].Before["verified"] = "false" },
		"its absence":          func(p *ops.Plan) { delete(p.Effects[1].Before, "etag") },
		"null for absent":      func(p *ops.Plan) { p.Effects[1].After["etag"] = nil },
		"what it becomes":      func(p *ops.Plan) { p.Effects[1].After["verified"] = false },
		"a personal field":     func(p *ops.Plan) { p.Effects[1].Before["userName"] = "jim" },
		"the number of all":    func(p *ops.Plan) { p.EffectsTotal = 3 },
		"the list of a bulk":   func(p *ops.Plan) { p.ListDigest = ops.DigestOf(nil) },
		"being a summary plan": func(p *ops.Plan) { p.Summary = true },
	} {
		p := samplePlan()
		change(p)
		if sealed(p) == was {
			t.Errorf("%s can change unnoticed after the approval", name)
		}
	}
}

// TestSealLeavesOut changes what may differ between approval and run.
func TestSealLeavesOut(t *testing.T) {
	was := sealed(samplePlan())
	for name, change := range map[string]func(p *ops.Plan){
		"notes":              func(p *ops.Plan) { p.Notes = nil },
		"challenge":          func(p *ops.Plan) { p.Challenge = "2 clients" },
		"another field":      func(p *ops.Plan) { p.Effects[0].Before["modifiedOn"] = "2027" },
		"one more field":     func(p *ops.Plan) { p.Effects[0].After["modifiedOn"] = "2027" },
		"a summary":          func(p *ops.Plan) { p.Effects[0].Summary = "worded anew" },
		"the working value":  func(p *ops.Plan) { p.Effects[0].Value = "x" },
		"the private image":  func(p *ops.Plan) { p.Effects[0].Private = json.RawMessage(`{}`) },
		"why before is none": func(p *ops.Plan) { p.Effects[0].BeforeAbsent = "no read" },
		"an earlier digest":  func(p *ops.Plan) { p.Digest = "sha256:x" },
	} {
		p := samplePlan()
		change(p)
		if sealed(p) != was {
			t.Errorf("%s is in the digest: approvals would lapse for nothing", name)
		}
	}
}

// TestSealSummaryBindsTheList: of a long list only the first were read, and what
// was read of them does not bind the rest.
func TestSealSummaryBindsTheList(t *testing.T) {
	summary := func() *ops.Plan {
		p := samplePlan()
		p.Summary, p.EffectsTotal, p.ListDigest = true, 5000, ops.DigestOf([]byte("list"))
		return p
	}
	was := sealed(summary())
	p := summary()
	p.Effects[0].Before["etag"] = "e9"
	if sealed(p) != was {
		t.Error("a summary plan is bound to the states of its first targets")
	}
	p.ListDigest = ops.DigestOf([]byte("another"))
	if sealed(p) == was {
		t.Error("a summary plan is not bound to its list")
	}
}

// TestSealSeesEveryDecidingField draws states of any fields and values: the digest
// moves exactly when a deciding field does.
func TestSealSeesEveryDecidingField(t *testing.T) {
	values := rapid.OneOf(rapid.Map(rapid.Int32(), func(v int32) any { return v }), rapid.Map(rapid.String(), func(v string) any { return v }), rapid.Just[any](nil))
	states := rapid.MapOf(rapid.SampledFrom([]string{"verified", "etag", "userName", "modifiedOn", "count"}), values)
	rapid.Check(t, func(t *rapid.T) {
		a, b := ops.State(states.Draw(t, "a")), ops.State(states.Draw(t, "b"))
		seal := func(s ops.State) ops.Digest {
			p := samplePlan()
			p.Effects[0].Before = s
			return sealed(p)
		}
		deciding := planTask().Deciding
		x, _ := json.Marshal(a.Only(deciding))
		y, _ := json.Marshal(b.Only(deciding))
		if same := string(x) == string(y); same != (seal(a) == seal(b)) {
			t.Errorf("deciding fields %s and %s: the same digest is %v", x, y, !same)
		}
	})
}

// TestDifference pins the sentences a person reads when an approval has lapsed.
func TestDifference(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *ops.Plan)
		want   []string
	}{
		{"deciding field", func(p *ops.Plan) { p.Effects[0].Before["etag"] = "e9" }, []string{`oauth-client/100001: etag was "e1" and is "e9".`}},
		{"boolean", func(p *ops.Plan) { p.Effects[1].Before["verified"] = true }, []string{`oauth-client/100002: verified was false and is true.`}},
		{"gone field", func(p *ops.Plan) { delete(p.Effects[1].Before, "etag") }, []string{`oauth-client/100002: etag was "e2" and is absent.`}},
		{"null", func(p *ops.Plan) { p.Effects[1].Before["etag"] = nil }, []string{`oauth-client/100002: etag was "e2" and is null.`}},
		{"list", func(p *ops.Plan) { p.Effects[1].Before["etag"] = []string{"x"} }, []string{`oauth-client/100002: etag was "e2" and is ["x"].`}},
		{"hostile", func(p *ops.Plan) { p.Effects[1].Before["etag"] = "\x1b[31m\u202e" }, []string{`oauth-client/100002: etag was "e2" and is "\x1b[31m\u202e".`}},
		{"hostile list", func(p *ops.Plan) { p.Effects[1].Before["etag"] = []string{"\u202e"} }, []string{`oauth-client/100002: etag was "e2" and is ["\u202e"].`}},
		{"end", func(p *ops.Plan) { p.Effects[1].After["verified"] = false }, []string{`oauth-client/100002: verified was to become true and is to become false.`}},
		{"input", func(p *ops.Plan) { p.Inputs["verified"] = "false" }, []string{`Input verified was "true" and is "false".`}},
		{"new input", func(p *ops.Plan) { p.Inputs["note"] = "x" }, []string{`Input note was not given and is "x".`}},
		{"dropped input", func(p *ops.Plan) { delete(p.Inputs, "verified") }, []string{`Input verified was "true" and is not given.`}},
		{"environment", func(p *ops.Plan) { p.Environment = "prod" }, []string{`The approved plan was for verify-oauth-client (version 2) in dev.`}},
		{"host", func(p *ops.Plan) { p.Host = "https://x.example.org" }, []string{`It was for host "https://repo-dev.dev.sagebase.org" and is for "https://x.example.org".`}},
		{"target label", func(p *ops.Plan) { p.Effects[0].Label = "oauth-client/1" }, []string{`oauth-client/1 was shown as oauth-client/100001.`}},
		{"fewer", func(p *ops.Plan) { p.Effects, p.EffectsTotal = p.Effects[:1], 1 }, []string{"It was for 2 clients and is for 1 client.", "oauth-client/100002 is gone from it."}},
		{"another", func(p *ops.Plan) {
			p.Effects[1].ID, p.Effects[1].Label = "oauth-client/7", "oauth-client/7"
		}, []string{"oauth-client/7 was not in it.", "oauth-client/100002 is gone from it."}},
		{"order", func(p *ops.Plan) { slices.Reverse(p.Effects) }, []string{"The targets are in another order."}},
		{"list of a bulk", func(p *ops.Plan) { p.ListDigest = ops.DigestOf(nil) }, []string{"The list of targets is another one."}},
		{"personal field", func(p *ops.Plan) { p.Effects[0].Before["userName"] = "jim" }, []string{"A personal field differs, which no document shows."}},
		{"not deciding", func(p *ops.Plan) { p.Effects[0].Before["modifiedOn"] = "x" }, []string{"A personal field differs, which no document shows."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			approved, p := samplePlan().Masked(planTask().Personal), samplePlan()
			p.Effects[0].Before, p.Effects[1].Before = maps.Clone(p.Effects[0].Before), maps.Clone(p.Effects[1].Before)
			c.change(p)
			got := p.Difference(planTask(), approved)
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			for _, s := range got {
				wantPrintable(t, s)
			}
		})
	}
	if got := samplePlan().Difference(planTask(), nil); len(got) != 1 || !strings.Contains(got[0], "not at hand") {
		t.Errorf("without the approved plan: %q", got)
	}
}

// TestDifferenceOfSummaries: what was read of the first targets binds nothing, so it
// is not what a refusal is about.
func TestDifferenceOfSummaries(t *testing.T) {
	summary := func(list string) *ops.Plan {
		p := samplePlan()
		p.Summary, p.EffectsTotal, p.ListDigest = true, 5000, ops.DigestOf([]byte(list))
		return p
	}
	p := summary("another")
	p.Effects[0].Before["etag"] = "e9"
	if got := p.Difference(planTask(), summary("list")); !slices.Equal(got, []string{"The list of targets is another one."}) {
		t.Errorf("got %q", got)
	}
}

// TestDifferenceIsBounded: a person reads ten lines, not a thousand.
func TestDifferenceIsBounded(t *testing.T) {
	p, approved := samplePlan(), samplePlan()
	for i := range 30 {
		p.Effects = append(p.Effects, ops.Effect{Target: ops.Target{ID: fmt.Sprint("x/", i), Label: fmt.Sprint("x/", i)}})
	}
	got := p.Difference(planTask(), approved)
	if len(got) != 11 || got[10] != "and 20 more differences." {
		t.Errorf("got %d sentences, the last %q", len(got), got[len(got)-1])
	}
}

// TestMaskedHidesPersonalValues draws personal values and looks for their bytes in
// what a document would hold.
func TestMaskedHidesPersonalValues(t *testing.T) {
	// Letters that no hash and no field name has, so that none shows by chance.
	value := rapid.StringMatching(`[G-Z]{4,20}`)
	rapid.Check(t, func(t *rapid.T) {
		secret := value.Draw(t, "value")
		var v any = secret
		switch rapid.IntRange(0, 2).Draw(t, "shape") {
		case 1:
			v = []string{secret, "x"}
		case 2:
			v = map[string]any{"in": secret}
		}
		s := ops.State{"name": v, "mail": secret + "@example.org", "etag": "e1", "none": "", "null": nil}
		personal := []string{"name", "mail", "none", "null", "absent"}
		key, other := []byte("key one"), []byte("key two")
		for _, k := range [][]byte{key, nil} {
			m := s.Masked(personal, k)
			b, err := json.Marshal(m)
			if err != nil || strings.Contains(string(b), secret) {
				t.Errorf("masked with key %q it reads %s", k, b)
			}
			if m["etag"] != "e1" || m["none"] != "" || m["null"] != nil || len(m) != len(s) {
				t.Errorf("masking changed other fields: %s", b)
			}
		}
		once, again, by := s.Masked(personal, key), s.Masked(personal, key), s.Masked(personal, other)
		if once["name"] != again["name"] {
			t.Error("the same value and key give two hashes")
		}
		if once["name"] == by["name"] {
			t.Error("another key gives the same hash")
		}
		same := ops.State{"name": v, "mail": v}.Masked(personal, key)
		if same["name"] == same["mail"] {
			t.Error("one value has the same hash in two fields: they could be joined")
		}
		if s["mail"] != secret+"@example.org" {
			t.Error("masking changed the state itself")
		}
	})
}

// TestPlanMasked looks for personal data in a plan as documents hold it.
func TestPlanMasked(t *testing.T) {
	p := samplePlan()
	p.Challenge = "2 clients"
	p.Effects[0].Private = json.RawMessage(`{"userName":"jane"}`)
	p.Effects[0].Value = "jane"
	m := p.Masked([]string{"userName"})
	b, err := json.Marshal(m)
	if err != nil || strings.Contains(string(b), "jane") || strings.Contains(string(b), "joe") {
		t.Errorf("the masked plan reads %s", b)
	}
	if m.Effects[0].Private != nil || m.Challenge != "2 clients" {
		t.Errorf("private image %s, challenge %q; want none and the challenge kept", m.Effects[0].Private, m.Challenge)
	}
	if p.Effects[0].Before["userName"] != "jane" {
		t.Error("masking changed the plan itself")
	}
}

func TestDiffers(t *testing.T) {
	a := ops.State{"same": 1, "type": 1, "gone": 1, "null": nil, "deep": map[string]any{"x": []any{1, 2}}}
	b := ops.State{"same": 1.0, "type": "1", "new": 1, "deep": map[string]any{"x": []any{1, 2}}}
	got := a.Differs(b, []string{"type", "same", "new", "gone", "null", "deep", "neither", "type"})
	if want := []string{"gone", "new", "type"}; !slices.Equal(got, want) {
		t.Errorf("Differs = %q, want %q", got, want)
	}
	if got := ops.State(nil).Differs(nil, []string{"x"}); got != nil {
		t.Errorf("two absent states differ in %q", got)
	}
}
