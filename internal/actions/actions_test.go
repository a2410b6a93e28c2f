package actions_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/actions"
)

// commands is what a runner would take for a command in a log, read as the runner
// reads it: a line that begins with "::" behind spaces, or has "##[" anywhere.
func commands(log string) (found []string) {
	for line := range strings.FieldsFuncSeq(log, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
			found = append(found, line)
		}
	}
	return found
}

// hostile are texts that would be commands if they were printed as they are.
var hostile = []string{
	"::error::x", "  ::add-mask::a", "\t::stop-commands::x", "ok\n::set-output name=run::evil", "ok\r::error::x", "ok\r\n::error::x",
	"\u00a0::error::x", "\u2003\u3000::error::x", "\u0085::error::x", "\u2028::error::x", "\ufeff::error::x", "\x1b[0m::error::x", "\x00::error::x",
	"##[group]x", "text ##[error]x", "##[##[error]x", "::::error::x", ":::error::x", "::", "\v::error::x", "\f::error::x",
}

// TestConsole_Hostile: no text can be a command, whole or in pieces of any size.
func TestConsole_Hostile(t *testing.T) {
	for _, text := range hostile {
		for cut := range len(text) + 1 {
			var log bytes.Buffer
			c := actions.NewConsole(&log)
			for _, part := range []string{text[:cut], text[cut:]} {
				if n, err := c.Write([]byte(part)); n != len(part) || err != nil {
					t.Fatalf("wrote %d of %d: %v", n, len(part), err)
				}
			}
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := commands(log.String()); len(got) > 0 {
				t.Errorf("%q, cut at %d, makes %q", text, cut, got)
			}
		}
	}
}

// TestConsole_Commands: what we mean as a command is one line of its own, whatever it
// holds, and annotations beyond what GitHub keeps are text.
func TestConsole_Commands(t *testing.T) {
	for _, text := range hostile {
		var log bytes.Buffer
		c := actions.NewConsole(&log)
		for _, err := range []error{c.Group(text), c.Error(text, text), c.Warning(text, text), c.Notice(text, text), c.EndGroup(), c.EndGroup()} {
			if err != nil {
				t.Fatal(err)
			}
		}
		got := commands(log.String())
		var names []string
		for _, line := range got {
			names = append(names, strings.SplitN(strings.SplitN(line[2:], ":", 2)[0], " ", 2)[0])
		}
		if !slices.Equal(names, []string{"group", "error", "warning", "notice", "endgroup"}) {
			t.Errorf("%q: %q", text, got)
		}
	}
	var log bytes.Buffer
	c := actions.NewConsole(&log)
	for range 13 {
		_ = c.Error("t", "line one\n::error::two")
	}
	if got := commands(log.String()); len(got) != 10 || strings.Count(log.String(), "error: line one\n") != 3 {
		t.Errorf("%d annotations:\n%s", len(got), log.String())
	}
	log.Reset()
	_ = c.Warning("t", strings.Repeat("ü", 5000))
	if n := len([]rune(log.String())); n > 4096 || !strings.HasSuffix(log.String(), "…\n") {
		t.Errorf("a warning of %d characters", n)
	}
}

// TestConsole_Order: a command comes after the line before it.
func TestConsole_Order(t *testing.T) {
	var log bytes.Buffer
	c := actions.NewConsole(&log)
	_, _ = c.Write([]byte("half"))
	_ = c.Group("g")
	_, _ = c.Write([]byte("in\n"))
	_ = c.Group("h")
	_ = c.EndGroup()
	if want := "half\n::group::g\nin\n::endgroup::\n::group::h\n::endgroup::\n"; log.String() != want {
		t.Errorf("%q, want %q", log.String(), want)
	}
}

func TestConsole_Mask(t *testing.T) {
	var log bytes.Buffer
	c := actions.NewConsole(&log)
	for value, want := range map[string]string{
		"jane@example.org": "::add-mask::jane@example.org\n", "abc": "", "": "", "a%b\"cd": "::add-mask::a%25b\"cd\n::add-mask::a%25b\\\"cd\n",
		"first line\nsecond line": "::add-mask::first line\n::add-mask::second line\n",
	} {
		log.Reset()
		if masked := c.Mask(value); masked != (want != "") || log.String() != want {
			t.Errorf("%q: %t, %q, want %q", value, masked, log.String(), want)
		}
	}
}

func TestSetOutput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output")
	if err := actions.SetOutput(file, "run", "20261123T141502Z-x-3f9c"); err != nil {
		t.Fatal(err)
	}
	if err := actions.SetOutput(file, "cursor", `1 {"a":"b=c"}`); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][2]string{{"run", "a\nstate=succeeded"}, {"run", "a\rb"}, {"a=b", "c"}, {"", "c"}, {"run", "\xff"}, {"run<<E", "x"}} {
		if err := actions.SetOutput(file, bad[0], bad[1]); ops.CodeOf(err) != ops.Internal {
			t.Errorf("%q: %v", bad, err)
		}
	}
	got, _ := os.ReadFile(file)
	if want := "run=20261123T141502Z-x-3f9c\ncursor=1 {\"a\":\"b=c\"}\n"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := actions.SetOutput("", "run", "x"); err != nil {
		t.Errorf("without a file: %v", err)
	}
}

// TestSummarize: a summary never is so large that GitHub drops it.
func TestSummarize(t *testing.T) {
	file := filepath.Join(t.TempDir(), "summary")
	page := []byte(strings.Repeat("a line of text\n", 20_000))
	for range 5 {
		if err := actions.Summarize(file, page); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := os.ReadFile(file)
	if len(got) > actions.MostSummary || len(got) < actions.MostSummary/2 || !strings.Contains(string(got), "The rest is left out") {
		t.Errorf("%d bytes", len(got))
	}
	if strings.Count(string(page), "\n") != 20_000 {
		t.Error("the page was changed")
	}
}

func TestReadFields(t *testing.T) {
	got, err := actions.ReadFields(`{"run":" r ","force":true,"n":3,"reason":"","more":null}`, "run", "force", "n", "reason", "more")
	if err != nil || len(got) != 3 || got["run"] != "r" || got["force"] != "true" || got["n"] != "3" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "null", "[]", `"x"`, `{"other":"x"}`, `{"run":{}}`, `{"run":["a"]}`, `{"run":`, "{\"run\":\"\xff\"}"} {
		if _, err := actions.ReadFields(bad, "run"); ops.CodeOf(err) != ops.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestDispatched(t *testing.T) {
	file := filepath.Join(t.TempDir(), "event.json")
	_ = os.WriteFile(file, []byte(`{"inputs":{"emails":"a@example.org, b@example.org","n":3},"ref":"x"}`), 0o600)
	task := &ops.Task{Inputs: []ops.Input{{Name: "emails", List: true, Personal: true}, {Name: "users"}}}
	got := actions.Personal(task, actions.Dispatched(file))
	if want := []string{"a@example.org, b@example.org", "a@example.org", "b@example.org"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, none := range []string{"", file + "x"} {
		if got := actions.Dispatched(none); len(got) != 0 {
			t.Errorf("%q: %v", none, got)
		}
	}
	_ = os.WriteFile(file, []byte(`{"inputs":null`), 0o600)
	if got := actions.Dispatched(file); len(got) != 0 {
		t.Errorf("broken: %v", got)
	}
}

func TestWebhook(t *testing.T) {
	var got struct{ Text string }
	status := http.StatusOK
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&got)
		w.Header().Set("Location", "http://127.0.0.1:1/")
		w.WriteHeader(status)
	}))
	defer hook.Close()
	secret := hook.URL + "/services/T000/B000/canarySecret0123456789"
	if err := (&actions.Webhook{URL: secret}).Post(t.Context(), "PROD <!channel> & <https://evil|click>"); err != nil {
		t.Fatal(err)
	}
	if want := "PROD &lt;!channel&gt; &amp; &lt;https://evil|click&gt;"; got.Text != want {
		t.Errorf("%q, want %q", got.Text, want)
	}
	for _, c := range []struct {
		url    string
		status int
		code   ops.Code
	}{
		{secret, 500, ops.Unavailable}, {secret, 302, ops.Unavailable}, {"http://127.0.0.1:1/canarySecret0123456789", 200, ops.Unavailable},
		{"http://example.org/canarySecret0123456789", 200, ops.Invalid}, {"canarySecret0123456789", 200, ops.Invalid}, {"https://\x00canarySecret0123456789", 200, ops.Invalid},
	} {
		status = c.status
		err := (&actions.Webhook{URL: c.url}).Post(t.Context(), "x")
		if ops.CodeOf(err) != c.code || strings.Contains(err.Error(), "canarySecret") {
			t.Errorf("%d of %q: %v", c.status, c.url, err)
		}
	}
}
