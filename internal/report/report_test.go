package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
	"github.com/google/go-cmp/cmp"
)

func hostileResult() *ops.Result {
	return &ops.Result{
		Run: ops.RunID(hostile), Task: ops.TaskName(hostile), Environment: "prod" + hostile, Outcome: ops.Outcome(hostile), Code: ops.Code(hostile),
		Message: "1. " + hostile, Changed: "    " + hostile, Unchanged: hostile, Next: "synops " + hostile, Undo: hostile, Requester: hostile, Notes: []string{hostile, "- " + hostile},
		Effects:      []ops.EffectResult{{Target: hostile, Summary: hostile, Outcome: ops.EffectFailed, Code: ops.Code(hostile), Message: hostile}},
		EffectsTotal: 3, EffectsFile: hostile, Counts: map[ops.EffectOutcome]int{ops.EffectFailed: 1},
		Artifacts: []ops.Artifact{{Name: hostile, Path: "`" + hostile + "``"}}, PlanDigest: ops.Digest(hostile),
	}
}

// TestHostile renders the same hostile text in every place there is.
func TestHostile(t *testing.T) {
	const env = ops.EnvironmentName(hostile)
	effects := []ops.Effect{
		{Target: ops.Target{Label: hostile}, Summary: hostile, BeforeAbsent: hostile},
		{Target: ops.Target{Label: hostile}, Nothing: true},
	}
	plan := &ops.Plan{Task: hostile, Environment: env, Host: hostile, Instance: hostile, Inputs: map[string]string{hostile: hostile}, Challenge: hostile, Effects: effects, Notes: []string{hostile}}
	task := ops.Task{Name: hostile, Title: hostile, Summary: hostile, Details: hostile, Undo: hostile, Class: hostile, Lane: hostile, Environments: []ops.EnvironmentName{env}, Lease: hostile,
		Inputs: []ops.Input{{Name: hostile, Help: hostile, Kind: hostile, Choices: []string{hostile}, Rule: hostile, Example: hostile}}}
	status := &ops.RunStatus{RunRef: ops.RunRef{Run: hostile}, Request: &ops.Request{Task: hostile, Environment: env, Requester: hostile, Reason: hostile},
		Attempts: []ops.Attempt{{Host: hostile}}, Cancel: &ops.CancelMarker{By: hostile, Reason: hostile}, Heartbeat: &ops.Heartbeat{Phase: hostile, Progress: ops.Progress{Done: 1, Unit: hostile, Note: hostile}}}
	everything := map[string]func(w io.Writer, st report.Style) error{
		"plan": func(w io.Writer, st report.Style) error {
			return report.Plan(w, report.PlanView{Plan: plan, Command: "synops run " + hostile}, st)
		},
		"result": func(w io.Writer, st report.Style) error { return report.Result(w, hostileResult(), st) },
		"runs": func(w io.Writer, st report.Style) error {
			return report.Runs(w, []report.Row{{Run: hostile, Environment: env, State: hostile, Requester: hostile, Reason: hostile}}, st)
		},
		"tasks":  func(w io.Writer, st report.Style) error { return report.Tasks(w, ops.Catalog{task}, st) },
		"task":   func(w io.Writer, st report.Style) error { return report.Task(w, &task, st) },
		"status": func(w io.Writer, st report.Style) error { return report.Status(w, status, false, st) },
		"leases": func(w io.Writer, st report.Style) error {
			return report.Leases(w, []ops.Lease{{Environment: env, Name: hostile, RunRef: ops.RunRef{Run: hostile}}}, st)
		},
		"error": func(w io.Writer, st report.Style) error { return report.Error(w, errors.New(hostile), st) },
		"hint": func(w io.Writer, st report.Style) error {
			return report.Error(w, &ops.Error{Code: hostile, Hint: hostile}, st)
		},
		"refusal": func(w io.Writer, st report.Style) error {
			return report.Error(w, ops.Refuse(hostile, hostile, hostile), st)
		},
		"inputs": func(w io.Writer, st report.Style) error {
			return report.Error(w, &ops.InputErrors{Task: hostile, Errors: []ops.InputError{{Input: hostile, Reason: hostile, Hint: hostile}}}, st)
		},
		"markdown": func(w io.Writer, _ report.Style) error { return report.Markdown(w, hostileResult()) },
		"job":      func(w io.Writer, _ report.Style) error { return hostileJob(w) },
		"json":     func(w io.Writer, _ report.Style) error { return report.JSON(w, hostileResult()) },
		"progress": func(w io.Writer, st report.Style) error {
			_, err := io.WriteString(w, report.ProgressLine(status.Heartbeat.Progress, 1, 500))
			return err
		},
	}
	for name, render := range everything {
		for _, width := range []int{0, 80, 120} {
			var out bytes.Buffer
			if err := render(&out, report.Style{Color: true, Width: width}); err != nil {
				t.Fatal(err)
			}
			text := uncolored(out.String())
			if !utf8.ValidString(text) {
				t.Errorf("%s: not valid UTF-8: %q", name, text)
			}
			for _, r := range text {
				if r != '\n' && !unicode.IsGraphic(r) {
					t.Errorf("%s: %U comes through", name, r)
					break
				}
			}
			if !strings.Contains(text, "evil") {
				t.Errorf("%s: the text itself is lost: %q", name, text)
			}
		}
	}
}

// TestMarkdown_Inert asks that nothing in a result can begin markup.
func TestMarkdown_Inert(t *testing.T) {
	var out bytes.Buffer
	if err := report.Markdown(&out, hostileResult()); err != nil {
		t.Fatal(err)
	}
	inert(t, out.String())
}

// inert asks that nothing in Markdown that was made of hostile text is markup of it.
func inert(t *testing.T, markdown string) {
	t.Helper()
	for line := range strings.Lines(markdown) {
		// Code spans are inert; what is left must hold none of the characters that
		// markup is made of but our own.
		for _, fence := range []string{"```", "``", "`"} {
			for {
				before, rest, open := strings.Cut(line, fence)
				_, after, closed := strings.Cut(rest, fence)
				if !open || !closed {
					break
				}
				line = before + after
			}
		}
		for _, bad := range []string{"<", "[", "](", "`", "@", "https:", "javascript:", "example.org"} {
			if strings.Contains(line, bad) {
				t.Errorf("%q comes through in %q", bad, line)
			}
		}
		if n := strings.Count(line, "|"); n != 0 && n != 4 {
			t.Errorf("a table row has %d bars: %q", n, line)
		}
		if strings.HasPrefix(line, "1.") || strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "# ") {
			t.Errorf("a line begins a block: %q", line)
		}
	}
}

func TestMarkdown_Bounded(t *testing.T) {
	r := longResult()
	huge := strings.Repeat("&é", 1<<20)
	r.Message, r.Next, r.Undo = huge, huge, huge
	for i := range r.Effects {
		r.Effects[i].Message, r.Effects[i].Target = huge, huge
	}
	for range 1000 {
		r.Notes = append(r.Notes, huge)
	}
	var out bytes.Buffer
	if err := report.Markdown(&out, r); err != nil {
		t.Fatal(err)
	}
	if out.Len() >= 1<<20 {
		t.Errorf("%d bytes, more than a step summary may have", out.Len())
	}
}

func TestJSON_SameValue(t *testing.T) {
	type doc struct{ Text, HTML, Emoji string }
	in := doc{"\u009b\u202e\u007f\U000e0041", "<a href='x'>&</a>", "🔴 é"}
	var out bytes.Buffer
	if err := report.JSON(&out, in); err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"Text\": \"\\u009b\\u202e\\u007f\\udb40\\udc41\",\n  \"HTML\": \"<a href='x'>&</a>\",\n  \"Emoji\": \"🔴 é\"\n}\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	var back doc
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back != in {
		t.Errorf("it reads back as %+v, %v", back, err)
	}
}

func TestPlan_Command(t *testing.T) {
	tests := []struct {
		name    string
		change  func(v *report.PlanView)
		want    string // in the output
		wantNot string
	}{
		{"as shown", func(*report.PlanView) {}, "  " + removalCommand + " --plan " + string(digest) + " --confirm 'alice, bob'\n", ""},
		{"one word is quoted too", func(v *report.PlanView) { v.Challenge = "alice" }, " --confirm 'alice'\n", ""},
		{"a quote in it", func(v *report.PlanView) { v.Challenge = "o'neil" }, ` --confirm 'o'\''neil'` + "\n", ""},
		{"no challenge", func(v *report.PlanView) { v.Challenge = "" }, " --plan " + string(digest) + "\n", "--confirm"},
		{"what cannot be shown is not", func(v *report.PlanView) { v.Command += " 'a\nb'" }, "some cannot be shown", "a b"},
		{"no command", func(v *report.PlanView) { v.Command = "" }, string(digest), "To do exactly this"},
		{"what only reads", func(v *report.PlanView) { v.Reads = true }, "reads only, changes nothing\n", "2 changes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := report.PlanView{Plan: removal(), Command: removalCommand}
			tt.change(&v)
			var out bytes.Buffer
			if err := report.Plan(&out, v, report.Style{Width: 80}); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), tt.want) || tt.wantNot != "" && strings.Contains(out.String(), tt.wantNot) {
				t.Errorf("want %q, not %q, in:\n%s", tt.want, tt.wantNot, out.String())
			}
		})
	}
}

// TestResult_UndoNotShowable: a command that reads otherwise than it must be typed
// would do something else.
func TestResult_UndoNotShowable(t *testing.T) {
	r := succeeded()
	for undo, marked := range map[string]bool{"synops run x message='a b' -e dev": false, "synops run x message='a\tb' -e dev": true} {
		r.Undo = undo
		var out bytes.Buffer
		if err := report.Result(&out, r, report.Style{}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "not to be copied") != marked {
			t.Errorf("%q: marked is not %v in:\n%s", undo, marked, out.String())
		}
	}
}

func TestProgressLine(t *testing.T) {
	p := ops.Progress{Done: 120, Total: 312, Unit: "users"}
	tests := []struct {
		name     string
		progress ops.Progress
		rate     float64
		width    int
		want     string
	}{
		{"bar, rate, rest", p, 6, 80, "[#######-------------]  38% 120/312 users, 6.0/s, 32s left"},
		{"failures and a note", ops.Progress{Done: 5, Total: 10, Failed: 2, Note: "slow\x1b"}, 5.0 / 60, 80, `[##########----------]  50% 5/10, 2 failed, slow\x1b`},
		{"a long note", ops.Progress{Done: 3, Total: 88, Unit: "types", Note: "18 min to 23 min left; waiting for FILE_HANDLE: repairing"}, 0.1, 60, "[---------------]   3% 3/88 types, 18 min to 23 min left; w…"},
		{"no room for a note", ops.Progress{Done: 3, Total: 88, Unit: "types", Note: "18 min to 23 min left"}, 0.1, 35, "[--------]   3% 3/88 types"},
		{"no time yet", p, 0, 80, "[#######-------------]  38% 120/312 users"},
		{"no total", ops.Progress{Done: 1234567, Unit: "rows"}, 12345.67, 80, "1,234,567 rows, 12,346/s"},
		{"nothing done", ops.Progress{Total: 10}, 0, 80, "[--------------------]   0% 0/10"},
		{"all done", ops.Progress{Done: 10, Total: 10}, 10, 80, "[####################] 100% 10/10, 10/s"},
		{"nearly is not all", ops.Progress{Done: 9999, Total: 10000}, 0, 80, "[###################-]  99% 9,999/10,000"},
		{"more than all", ops.Progress{Done: 12, Total: 10}, 0, 80, "[####################] 100% 12/10"},
		{"30 hours", ops.Progress{Done: 1, Total: 31}, 1.0 / 3600, 80, "[--------------------]   3% 1/31, 1.0/h, 30h00m left"},
		{"for ever", ops.Progress{Done: 1, Total: 1 << 62}, 1.0 / 3600, 80, "[--------------------]   0% 1/4,611,686,018,427,387,904, 1.0/h, months left"},
		{"narrow", p, 6, 20, "120/312 users, 6.0/s"},
		{"very narrow", p, 6, 12, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := report.ProgressLine(tt.progress, tt.rate, tt.width)
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if n := utf8.RuneCountInString(got); n > tt.width {
				t.Errorf("%d columns of %d", n, tt.width)
			}
		})
	}
}

type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestWriterErrorsReturn(t *testing.T) {
	for _, tt := range rendered {
		if err := tt.to(broken{}, report.Style{}); !errors.Is(err, errBroken) {
			t.Errorf("%s: error is %v, want the writer's", tt.name, err)
		}
	}
	if err := report.JSON(broken{}, 1); !errors.Is(err, errBroken) {
		t.Errorf("JSON: error is %v, want the writer's", err)
	}
}

func TestClean(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "a-b_c 1", "a-b_c 1"},
		{"accents and emoji", "é 🔴 日本", "é 🔴 日本"},
		{"line ends and tabs", "a\r\nb\tc", "a b c"},
		{"escape sequence", "\x1b[2J", `\x1b[2J`},
		{"C1", "\u009b31m", `\u009b31m`},
		{"direction", "a\u202eb\u2066c", `a\u202eb\u2066c`},
		{"zero width", "a\u200bb\ufeff", `a\u200bb\ufeff`},
		{"line separator", "a\u2028b", `a\u2028b`},
		{"tags", "\U000e0041", `\U000e0041`},
		{"filler", "a\u3164b", `a\u3164b`},
		{"not UTF-8", "a\xffb", `a\xffb`},
		{"replacement character", "a\ufffdb", "a\ufffdb"},
		{"wide blank", "a\u3000b\u00a0c", "a b c"},
	}
	for _, tt := range tests {
		if got := report.Clean(tt.in); got != tt.want {
			t.Errorf("%s: Clean(%q) = %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add(hostile)
	f.Fuzz(func(t *testing.T, s string) {
		got := report.Clean(s)
		if !utf8.ValidString(got) || report.Clean(got) != got {
			t.Errorf("Clean(%q) = %q, which is not clean", s, got)
		}
		for _, r := range got {
			if !unicode.IsGraphic(r) {
				t.Errorf("Clean(%q) = %q has %U", s, got, r)
			}
		}
	})
}

// TestLocalTime: the time of day where the reader is stands beside UTC, unless that
// is UTC.
func TestLocalTime(t *testing.T) {
	for zone, want := range map[*time.Location]string{
		nil: "2026-11-23 14:15:02 UTC\n", time.UTC: "2026-11-23 14:15:02 UTC\n", time.FixedZone("GMT", 0): "2026-11-23 14:15:02 UTC\n",
		time.FixedZone("PST", -8*3600): "2026-11-23 14:15:02 UTC (06:15:02 PST)\n", time.FixedZone("JST", 11*3600): "2026-11-23 14:15:02 UTC (2026-11-24 01:15:02 JST)\n",
	} {
		var out bytes.Buffer
		if err := report.Result(&out, succeeded(), report.Style{Local: zone}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "started    "+want) {
			t.Errorf("in zone %v it does not hold %q:\n%s", zone, want, out.String())
		}
	}
}

// hostileJob is a summary in which everything is hostile, and links that must not be.
func hostileJob(w io.Writer) error {
	plan := &ops.Plan{Task: hostile, Environment: "prod", Host: hostile, Instance: hostile, Inputs: map[string]string{hostile: hostile}, Challenge: hostile, Notes: []string{hostile}, EffectsTotal: 5,
		Effects: []ops.Effect{{Target: ops.Target{ID: hostile, Label: hostile}, Summary: hostile, BeforeAbsent: hostile}, {Target: ops.Target{Label: hostile}, Nothing: true}}}
	brief := report.Brief{Environment: "prod", Title: hostile, Text: "    " + hostile, Facts: []report.Fact{{Label: hostile, Text: hostile}, {Label: "code", Text: "`" + hostile + "``", Code: true}},
		Commands: []report.Fact{{Label: hostile, Text: hostile}}, Links: []report.Link{{Label: hostile, URL: hostile}, {Label: "bad", URL: "https://a.example/x)[y](z"}}}
	return report.JobPlan(w, report.PlanView{Plan: plan, Command: hostile}, brief)
}

// TestJob_Inert asks that nothing in a job's summary can begin markup, and that a
// link is made only of an address that holds none.
func TestJob_Inert(t *testing.T) {
	var out bytes.Buffer
	if err := hostileJob(&out); err != nil {
		t.Fatal(err)
	}
	inert(t, out.String())
	out.Reset()
	if err := report.Job(&out, report.Brief{Environment: "dev", Title: "t", Links: []report.Link{{Label: "Build", URL: "https://a.example/x%3Ay?z=1#$252F"}}}); err != nil {
		t.Fatal(err)
	}
	if want := "- [Build](https://a.example/x%3Ay?z=1#$252F)\n"; !strings.Contains(out.String(), want) {
		t.Errorf("%q does not hold %q", out.String(), want)
	}
}
