package ops_test

import (
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"pgregory.net/rapid"
)

func sampleRequest() *ops.Request {
	return &ops.Request{
		Task: "remove-user", TaskVersion: 1, Inputs: map[string]string{"users": "1,2"}, Environment: "dev",
		Host: "https://repo-dev.dev.sagebase.org", Lane: ops.LaneAdmin, Repository: "Sage-Bionetworks/synapse-ops-dev",
		Requester: "jane", Reason: "asked by <support> & co", Synops: "v1.2.3",
	}
}

// TestRequestDigest pins the digest: it names documents that are kept for years.
// It changes only when the form of requests does.
func TestRequestDigest(t *testing.T) {
	r := sampleRequest()
	const form = `{"task":"remove-user","task_version":1,"inputs":{"users":"1,2"},"environment":"dev","host":"https://repo-dev.dev.sagebase.org","lane":"admin","repository":"Sage-Bionetworks/synapse-ops-dev","requester":"jane","reason":"asked by <support> & co","synops":"v1.2.3","pace":{}}`
	if got, want := r.Digest(), ops.DigestOf([]byte(form)); got != want {
		t.Errorf("the digest is %s, want that of\n%s", got, form)
	}
}

// TestRequestDigestNamesEveryField changes each field in turn.
func TestRequestDigestNamesEveryField(t *testing.T) {
	was := sampleRequest().Digest()
	for name, change := range map[string]func(r *ops.Request){
		"task":           func(r *ops.Request) { r.Task = "x" },
		"task version":   func(r *ops.Request) { r.TaskVersion++ },
		"inputs":         func(r *ops.Request) { r.Inputs["users"] = "1" },
		"environment":    func(r *ops.Request) { r.Environment = "prod" },
		"host":           func(r *ops.Request) { r.Host = "http://127.0.0.1:1" },
		"lane":           func(r *ops.Request) { r.Lane = ops.LanePlan },
		"repository":     func(r *ops.Request) { r.Repository = "" },
		"requester":      func(r *ops.Request) { r.Requester = "joe" },
		"reason":         func(r *ops.Request) { r.Reason = "" },
		"synops":         func(r *ops.Request) { r.Synops = "v2" },
		"rate":           func(r *ops.Request) { r.Pace.PerMinute = 5 },
		"unlimited":      func(r *ops.Request) { r.Pace.Unlimited = true },
		"in flight":      func(r *ops.Request) { r.Pace.InFlight = 1 },
		"no hand-over":   func(r *ops.Request) { r.NoHandOver = true },
		"another input":  func(r *ops.Request) { r.Inputs["x"] = "" },
		"invalid reason": func(r *ops.Request) { r.Reason += "\xff" },
	} {
		r := sampleRequest()
		change(r)
		if r.Digest() == was {
			t.Errorf("%s is not in the digest", name)
		}
	}
}

func TestCommand(t *testing.T) {
	got := ops.Command("publish-dataset", "prod", [2]string{"entities", "syn1,syn2"}, [2]string{"note", "it's $(x)"})
	if want := `synops run publish-dataset entities=syn1,syn2 'note=it'\''s $(x)' -e prod`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDigest(t *testing.T) {
	d := ops.DigestOf(nil)
	if d != "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("DigestOf(nil) = %s", d)
	}
	if back, err := ops.ParseDigest(string(d)); err != nil || back != d {
		t.Errorf("ParseDigest(%s) = %s, %v", d, back, err)
	}
	if d.Short() != "e3b0c44298fc" || len(d.Hex()) != 64 || ops.Digest("").Hex() != "" || ops.Digest("sha256:ab").Short() != "ab" {
		t.Error("Hex or Short is not the digits")
	}
	for _, s := range []string{"", "sha256:", strings.ToUpper(string(d)), string(d) + "0", string(d) + "\n", string(d[7:]), "md5:" + d.Hex()} {
		if _, err := ops.ParseDigest(s); ops.CodeOf(err) != ops.Invalid {
			t.Errorf("ParseDigest(%q): %v, want it refused", s, err)
		}
	}
}

var taskNames = rapid.StringMatching(`[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,6}){0,3}`)

// TestRunIDSortsByTime wants listings by name to be listings by time, to the
// second, whatever the tasks are called.
func TestRunIDSortsByTime(t *testing.T) {
	first := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
	seconds := rapid.Int64Range(first, last)
	tails := rapid.StringMatching(`[0-9a-f]{4,16}`)
	rapid.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("", rapid.IntRange(-12*3600, 12*3600).Draw(t, "zone"))
		a, b := seconds.Draw(t, "a"), seconds.Draw(t, "b")
		ida := ops.NewRunID(ops.TaskName(taskNames.Draw(t, "task a")), time.Unix(a, 5).In(zone), tails.Draw(t, "tail a"))
		idb := ops.NewRunID(ops.TaskName(taskNames.Draw(t, "task b")), time.Unix(b, 0).UTC(), tails.Draw(t, "tail b"))
		if a < b && ida >= idb || a > b && ida <= idb {
			t.Errorf("%s and %s do not sort by time", ida, idb)
		}
		if _, err := ops.ParseRunID(string(ida)); err != nil {
			t.Error(err)
		}
		if ida.Time().Unix() != a {
			t.Errorf("%s was begun at %s, want %d", ida, ida.Time(), a)
		}
	})
}

func TestParseRunID(t *testing.T) {
	id, err := ops.ParseRunID("20261123T141502Z-remove-user-2fa-3f9c")
	if err != nil || id.Task() != "remove-user-2fa" || !id.Time().Equal(time.Date(2026, 11, 23, 14, 15, 2, 0, time.UTC)) {
		t.Errorf("got %s of %q at %s, %v", id, id.Task(), id.Time(), err)
	}
	for _, s := range []string{
		"", "remove-user", "20261123T141502Z-remove-user", "20261123T141502Z-remove-user-3F9C", "20261123T141502Z-remove--user-3f9c",
		"20261123T141502Z-../x-3f9c", " 20261123T141502Z-a-3f9c", "20261123T141502Z-a-3f9c\n", "20261399T141502Z-a-3f9c", "20261123T256199Z-a-3f9c",
		"20261123T141502Z-" + strings.Repeat("a", 90) + "-3f9c",
	} {
		if _, err := ops.ParseRunID(s); ops.CodeOf(err) != ops.Invalid {
			t.Errorf("ParseRunID(%q): %v, want it refused", s, err)
		}
	}
	if !ops.RunID("x").Time().IsZero() || ops.RunID("x").Task() != "" {
		t.Error("what is no run ID has a time or a task")
	}
}
