package report_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	at     = time.Date(2026, 11, 23, 14, 15, 2, 0, time.UTC)
	digest = ops.DigestOf([]byte("plan"))
	run    = ops.RunID("20261123T141502Z-remove-user-3f9c")
)

// hostile tries to move the cursor, color, reorder, break lines and form markup.
const hostile = "\x1b[2J\x1b]0;owned\a\u202eevil\u2066\r\n\n# <img src=x onerror=alert(1)> [a](javascript:x) | `b` **c** @team https://evil.example.org \u009b31m\x00\u200b\ufeff\xff\U000e0041"

func target(id string) ops.Target { return ops.Target{ID: id, Label: id} }

func removal() *ops.Plan {
	return &ops.Plan{
		Task: "remove-user", Environment: "prod", Host: "https://repo-prod.prod.sagebase.org", Instance: "544-0",
		Inputs: map[string]string{"users": "3350396,3350397,3350398"}, Digest: digest, Challenge: "alice, bob",
		Effects: []ops.Effect{
			{Target: target("user/3350396"), Summary: `redact the account "alice" and everything personal in it: names, e-mails, profile, picture, second factor`},
			{Target: target("user/33503970"), Summary: `redact the account "bob"`},
			{Target: target("user/3350398"), Summary: "already redacted", Nothing: true},
		},
		EffectsTotal: 3,
		Notes:        []string{"users: 2 duplicates folded.", "account: not pinned"},
	}
}

const removalCommand = "synops run remove-user users=3350396,33503970,3350398 -e prod"

func bulk(n int) *ops.Plan {
	p := &ops.Plan{Task: "unquarantine-email", Environment: "dev", Host: "https://repo-dev.dev.sagebase.org", Digest: digest, EffectsTotal: n}
	for i := range n {
		p.Effects = append(p.Effects, ops.Effect{Target: ops.Target{ID: fmt.Sprint("email/", i+1), Label: fmt.Sprintf("u%d***@example.org", i)}, Summary: "expire the quarantine", BeforeAbsent: "the service has no read for it", Nothing: i%10 == 9})
	}
	return p
}

func summaryPlan() *ops.Plan {
	p := bulk(20)
	p.EffectsTotal, p.Summary, p.ListDigest = 4312, true, ops.DigestOf([]byte("list"))
	return p
}

func failedResult() *ops.Result {
	return &ops.Result{
		Run: run, Attempt: 2, Task: "remove-user", Environment: "prod", Outcome: ops.RunFailed, Code: ops.Unavailable,
		Message:    "1 of 4 users could not be removed: the service did not answer in time.",
		PlanDigest: digest,
		Effects: []ops.EffectResult{
			{ID: "user/1001", Target: "user/1001", Summary: "redact", Outcome: ops.EffectDone},
			{ID: "user/1002", Target: "user/1002", Summary: "redact", Outcome: ops.EffectFailed, Code: ops.Unavailable, Message: "PUT /repo/v1/admin/user/1002/redact answered 503 three times."},
			{ID: "user/1003", Target: "user/1003", Summary: "redact", Outcome: ops.EffectRefused, Code: ops.Conflict, Message: "userName was carol and is dave."},
			{ID: "user/1004", Target: "user/1004", Summary: "redact", Outcome: ops.EffectNotReached},
		},
		EffectsTotal: 4,
		Counts:       map[ops.EffectOutcome]int{ops.EffectDone: 1, ops.EffectFailed: 1, ops.EffectRefused: 1, ops.EffectNotReached: 1},
		Changed:      "1 user was removed.", Unchanged: "3 users were not.", Next: "synops run remove-user users=@failed:" + string(run) + " -e prod",
		Undo:      "Removal cannot be undone; the profiles are kept for 30 days.",
		Artifacts: []ops.Artifact{{Name: "effects.jsonl", Path: "file:///home/alice/.local/state/synops/admin/runs/" + string(run) + "/artifacts/effects.jsonl", Size: 1234}},
		Notes:     []string{"The plan was approved by its digest."},
		Requester: "alice", Started: at, Ended: at.Add(72 * time.Second),
	}
}

func longResult() *ops.Result {
	r := failedResult()
	r.Effects, r.Environment = nil, "dev"
	for i := range 500 {
		o := ops.EffectDone
		if i >= 497 {
			o = ops.EffectFailed
		}
		r.Effects = append(r.Effects, ops.EffectResult{ID: fmt.Sprint("user/", i), Target: fmt.Sprint("user/", i), Summary: "redact", Outcome: o})
	}
	r.EffectsTotal, r.EffectsFile = 500, "artifacts/effects.jsonl"
	r.Counts = map[ops.EffectOutcome]int{ops.EffectDone: 497, ops.EffectFailed: 3}
	return r
}

func succeeded() *ops.Result {
	return &ops.Result{
		Run: "20261123T141502Z-set-feature-0a1b", Attempt: 1, Task: "set-feature", Environment: "dev", Outcome: ops.Succeeded, Message: "1 feature was set.",
		Effects:      []ops.EffectResult{{Target: "feature/ALLOW_AGENT_WRITES", Summary: "enabled: false → true", Outcome: ops.EffectDone}},
		EffectsTotal: 1, Counts: map[ops.EffectOutcome]int{ops.EffectDone: 1},
		Changed: "1 feature.", Undo: "synops run set-feature feature=ALLOW_AGENT_WRITES enabled=false -e dev", Requester: "alice", Started: at, Ended: at.Add(400 * time.Millisecond),
	}
}

func rows() []report.Row {
	return []report.Row{
		{Run: run, Task: "remove-user", Environment: "prod", State: ops.StateRunning, Lost: true, Requester: "alice", Reason: "Ticket 4711: accounts asked for by the person, confirmed by phone"},
		{Run: "20261123T101502Z-set-feature-0a1b", Task: "set-feature", Environment: "dev", State: ops.StateEnded, Outcome: ops.Succeeded, Requester: "a-rather-long-requester-name"},
		{Run: "20261122T090000Z-run-admin-job-77aa", Task: "run-admin-job", Environment: "dev", State: ops.StateEnded, Outcome: ops.RunFailed, Requester: "bob"},
		{Run: "20261121T090000Z-canary-0000", Task: "canary", Environment: "sandbox", State: ops.StateQueued, Requester: "carol"},
	}
}

func taskOf() *ops.Task {
	return &ops.Task{
		Name: "verify-oauth-client", Title: "Verify an OAuth client", Summary: "Marks OAuth clients as verified, or takes that back.",
		Details: "Users of a client that is not verified see a warning page and cannot log in with it.\n\nAsk the governance team before verifying a client of another organization.",
		Undo:    "Run it again with the other value of verified.", Class: ops.Changes, Lane: ops.LaneAdmin, TimeLimit: time.Hour, Noun: "OAuth client", Plural: "OAuth clients", TargetsInput: "client-ids", Lease: "oauth-clients",
		Environments: []ops.EnvironmentName{"prod"},
		Inputs: []ops.Input{
			{Name: "client-ids", Help: "The clients' IDs.", Kind: ops.KindOAuthClient, List: true, Example: "100001,100002"},
			{Name: "verified", Help: "Whether they shall be verified.", Kind: ops.KindBoolean, Default: "true"},
			{Name: "mode", Help: "How to go about it.", Kind: ops.KindChoice, Choices: []string{"careful", "bold"}, Open: true, Optional: true},
		},
	}
}

func catalog() ops.Catalog {
	return ops.Catalog{
		*taskOf(),
		{Name: "remove-user", Class: ops.Destroys, Summary: "Redacts accounts: everything personal is erased for good, and the people behind them can no longer log in."},
		{Name: "canary", Class: ops.Reads, Summary: "Proves secret, host and credentials."},
	}
}

func leases() []ops.Lease {
	ref := ops.RunRef{Lane: ops.LaneAdmin, Run: run}
	return []ops.Lease{
		{Environment: "prod", Name: "users", RunRef: ref, At: at},
		{Environment: "dev", Name: "oauth-clients", RunRef: ref, At: at, Released: at.Add(time.Minute)},
	}
}

func running() *ops.RunStatus {
	return &ops.RunStatus{
		RunRef:       ops.RunRef{Lane: ops.LaneAdmin, Run: run},
		Request:      &ops.Request{Task: "remove-user", Environment: "prod", Requester: "alice", Reason: "Ticket 4711"},
		Starts:       []ops.Start{{N: 1, At: at}},
		Attempts:     []ops.Attempt{{N: 1, At: at, Host: "build-7"}},
		Heartbeat:    &ops.Heartbeat{Phase: "performing", Progress: ops.Progress{Done: 120, Total: 312, Failed: 1, Unit: "users"}},
		HeartbeatAge: 7 * time.Second,
	}
}

func lost() *ops.RunStatus {
	s := running()
	s.HeartbeatAge = 26*time.Hour + 3*time.Minute
	s.Cancel = &ops.CancelMarker{By: "bob", Reason: "wrong list", At: at}
	return s
}

func ended() *ops.RunStatus {
	s := running()
	s.Result = succeeded()
	return s
}

// stopped is a run that was stopped before its first effect.
func stopped(o ops.Outcome, code ops.Code) *ops.Result {
	r := longResult()
	for i := range r.Effects {
		r.Effects[i].Outcome = ops.EffectNotReached
	}
	r.Outcome, r.Code, r.Next, r.Counts = o, code, "", map[ops.EffectOutcome]int{ops.EffectNotReached: 500}
	r.Changed, r.Unchanged, r.Message = "Nothing was changed.", "500 not reached.", "It was stopped."
	return r
}

// rendered is everything that has golden files.
var rendered = []struct {
	name string
	to   func(w io.Writer, st report.Style) error
}{
	{"plan", func(w io.Writer, st report.Style) error {
		return report.Plan(w, report.PlanView{Plan: removal(), Command: removalCommand}, st)
	}},
	{"plan_bulk", func(w io.Writer, st report.Style) error {
		return report.Plan(w, report.PlanView{Plan: bulk(500)}, st)
	}},
	{"plan_summary", func(w io.Writer, st report.Style) error {
		return report.Plan(w, report.PlanView{Plan: summaryPlan(), Command: "synops run unquarantine-email emails=@list.csv -e dev"}, st)
	}},
	{"result_failed", func(w io.Writer, st report.Style) error { return report.Result(w, failedResult(), st) }},
	{"result_long", func(w io.Writer, st report.Style) error { return report.Result(w, longResult(), st) }},
	{"result_succeeded", func(w io.Writer, st report.Style) error { return report.Result(w, succeeded(), st) }},
	{"runs", func(w io.Writer, st report.Style) error { return report.Runs(w, rows(), st) }},
	{"runs_none", func(w io.Writer, st report.Style) error { return report.Runs(w, nil, st) }},
	{"tasks", func(w io.Writer, st report.Style) error { return report.Tasks(w, catalog(), st) }},
	{"task", func(w io.Writer, st report.Style) error { return report.Task(w, taskOf(), st) }},
	{"leases", func(w io.Writer, st report.Style) error { return report.Leases(w, leases(), st) }},
	{"status_running", func(w io.Writer, st report.Style) error { return report.Status(w, running(), false, st) }},
	{"status_lost", func(w io.Writer, st report.Style) error { return report.Status(w, lost(), true, st) }},
	{"status_ended", func(w io.Writer, st report.Style) error { return report.Status(w, ended(), false, st) }},
	{"error_refused", func(w io.Writer, st report.Style) error {
		return report.Error(w, fmt.Errorf("reading the token: %w", ops.Refuse("token", "Run: chmod 600 token", "others than its owner may use it (mode %04o).", 0o644)), st)
	}},
	{"error_inputs", func(w io.Writer, st report.Style) error {
		_, err := taskOf().Parse(map[string]string{"client-ids": "alice", "verifed": "true"})
		return report.Error(w, err, st)
	}},
	{"error_hint", func(w io.Writer, st report.Style) error {
		return report.Error(w, fmt.Errorf("choosing: %w", &ops.Error{Code: ops.NotFound, Message: "There is no run.", Hint: "synops runs -e dev"}), st)
	}},
	{"error_lines", func(w io.Writer, st report.Style) error {
		return report.Error(w, &ops.Error{Code: ops.Invalid, Message: "x.yaml:1:1: first.\nx.yaml:2:1: second."}, st)
	}},
	{"error_internal", func(w io.Writer, st report.Style) error { return report.Error(w, errors.New("unexpected EOF"), st) }},
	{"failure_prod", func(w io.Writer, st report.Style) error {
		return report.Failure(w, report.Trouble{Environment: "prod", Err: ops.Refuse("reason", "Say why with --reason.", "prod asks for a reason, and this sentence is long enough to be wrapped at 80 columns."),
			Changed: "Nothing: no run was started.", Unchanged: "Everything is as it was."}, st)
	}},
	{"failure_begun", func(w io.Writer, st report.Style) error {
		return report.Failure(w, report.Trouble{Err: errors.New("reading the log: input/output error"), Changed: "What the run did, which its journal tells.", Unchanged: "What it did not reach.", Next: "synops show " + string(run)}, st)
	}},
	{"plan_nothing", func(w io.Writer, st report.Style) error {
		p := removal()
		p.Effects = p.Effects[2:]
		p.EffectsTotal, p.Challenge = 1, ""
		return report.Plan(w, report.PlanView{Plan: p, Command: removalCommand}, st)
	}},
	{"result_refused", func(w io.Writer, st report.Style) error {
		return report.Result(w, stopped(ops.RunRefused, ops.Denied), st)
	}},
	{"result_canceled", func(w io.Writer, st report.Style) error {
		return report.Result(w, stopped(ops.RunCanceled, ops.Canceled), st)
	}},
	{"error_canceled", func(w io.Writer, st report.Style) error { return report.Error(w, context.Canceled, st) }},
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: %s", file, diff)
	}
}

func TestText(t *testing.T) {
	for _, tt := range rendered {
		for _, width := range []int{80, 120} {
			var plain bytes.Buffer
			for _, color := range []bool{false, true} {
				st := report.Style{Width: width, Color: color, Local: time.FixedZone("PST", -8*3600)}
				name := fmt.Sprintf("%s.%d", tt.name, width)
				if color {
					name += ".color"
				}
				t.Run(name, func(t *testing.T) {
					var out bytes.Buffer
					if err := tt.to(&out, st); err != nil {
						t.Fatal(err)
					}
					golden(t, name+".txt", out.Bytes())
					if !color {
						plain = out
						if strings.Contains(out.String(), "\x1b") {
							t.Error("plain text has escape sequences")
						}
					} else if got := uncolored(out.String()); got != plain.String() {
						t.Errorf("without its colors it differs from plain:\n%s", cmp.Diff(plain.String(), got))
					}
				})
			}
		}
	}
}

func uncolored(s string) string {
	for _, c := range []string{"0", "1", "2", "31", "32", "33", "1;37;41"} {
		s = strings.ReplaceAll(s, "\x1b["+c+"m", "")
	}
	return s
}

func TestMarkdown(t *testing.T) {
	for name, r := range map[string]*ops.Result{"failed": failedResult(), "long": longResult(), "succeeded": succeeded(), "hostile": hostileResult()} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := report.Markdown(&out, r); err != nil {
				t.Fatal(err)
			}
			golden(t, "markdown_"+name+".md", out.Bytes())
		})
	}
}

func TestErrorJSON(t *testing.T) {
	_, inputs := taskOf().Parse(map[string]string{"client-ids": "alice", "verifed": "<true>"})
	for name, err := range map[string]error{"inputs": inputs, "refused": ops.Refuse("environment-host", "Use dev's.", "host %s is prod's.", ops.Quote("https://x")), "hostile": errors.New(hostile)} {
		t.Run(name, func(t *testing.T) {
			outcome := ops.RunFailed
			if ops.Refused(err) != nil {
				outcome = ops.RunRefused
			}
			var out bytes.Buffer
			if err := report.ErrorJSON(&out, outcome, err); err != nil {
				t.Fatal(err)
			}
			golden(t, "error_"+name+".json", out.Bytes())
		})
	}
}
