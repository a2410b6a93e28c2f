package cli_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A hook is a webhook that remembers what it was told.
type hook struct {
	*httptest.Server
	mu   sync.Mutex
	told []string
}

func newHook(t *testing.T) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct{ Text string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		h.mu.Lock()
		h.told = append(h.told, body.Text)
		h.mu.Unlock()
	}))
	t.Cleanup(h.Close)
	return h
}

// wantTold wants that the team was told once, by the webhook and by the topic, all of
// it and of the run. The account itself may have told the topic that a build broke.
func (s *steps) wantTold(h *hook, parts ...string) {
	s.T.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	topic, _ := s.Dev.SNS.Topic(s.Resource("AlarmTopic"))
	told := map[string][]string{"webhook": h.told}
	for _, m := range topic.Messages {
		if m.From != "events.amazonaws.com" {
			told["topic"] = append(told["topic"], m.Body)
		}
	}
	for _, where := range []string{"webhook", "topic"} {
		if len(told[where]) != 1 {
			s.T.Fatalf("the %s is told %q", where, told[where])
		}
		for _, p := range parts {
			if !strings.Contains(told[where][0], p) {
				s.T.Errorf("the %s is not told %q: %s", where, p, told[where])
			}
		}
	}
}

// broke tells how often the account itself told the topic that a build broke. Whoever
// left at the start hears of a bad end by it (decision 0028).
func (s *steps) broke() (n int) {
	topic, _ := s.Dev.SNS.Topic(s.Resource("AlarmTopic"))
	for _, m := range topic.Messages {
		if m.From == "events.amazonaws.com" && strings.Contains(m.Body, `"build-status":"FAILED"`) {
			n++
		}
	}
	return n
}

// breaks waits until the account tells that a build broke, once: its events are a
// moment later than the end.
func (s *steps) breaks() {
	s.T.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	ctx, stop := context.WithTimeout(s.T.Context(), time.Minute)
	defer stop()
	for s.broke() != 1 {
		select {
		case <-ctx.Done():
			s.T.Fatalf("the account tells %d times that a build broke", s.broke())
		case <-look.C:
		}
	}
}

// killed is killedRun, started as a job does.
func (s *steps) killed() string {
	s.T.Helper()
	s.become("synops-perform")
	return s.killedRun()
}

// TestActions_Lost: the verdict over a run whose worker died is told to the team once,
// with what to do; the form Resume goes on with it, and run again starts nothing.
func TestActions_Lost(t *testing.T) {
	s, h := newSteps(t), newHook(t)
	run := s.killed()
	s.breaks()
	wantAnswer(t, s.step("synops-observe", "follow", "SYNOPS_RUN", run), 0, "is gone and left no result")
	s.wantOutputs("ended", "true")
	wantAnswer(t, s.step("synops-observe", "verdict", "SYNOPS_RUN", run, "SYNOPS_WEBHOOK", h.URL), 1, "::error title=dev failed::", "synops resume "+run)
	s.wantOutputs("state", "lost")
	s.wantSummary("decertify-user in dev: lost", "(or the workflow Run: resume)")
	s.wantTold(h, "dev "+run, "LOST", "synops resume "+run, "https://github.com/Sage-Bionetworks/synapse-ops-dev/actions/runs/77")

	again := []string{"SYNOPS_FORM", form(t, "run", run, "reason", "its machine died", "watch", "start", "force", "false")}
	wantAnswer(t, s.step("synops-perform", "resume", again...), 0, "goes on with attempt 2")
	s.wantOutputs("run", run, "watch", "start")
	s.wantSummary("decertify-user in dev goes on", "its machine died", "synops cancel "+run)
	wantAnswer(t, s.step("synops-perform", "resume", append(again, "GITHUB_RUN_ATTEMPT", "2")...), 0, "Nothing was started", "fill in the form anew")
	s.wantOutputs("run", run, "watch", "start")
	wantAnswer(t, s.step("synops-observe", "follow", "SYNOPS_RUN", run), 0, "ended: succeeded")

	// The same of a run that ended starts nothing either, by whoever.
	wantAnswer(t, s.step("synops-perform", "resume", append(again, "GITHUB_RUN_ID", "78")...), 0, "ended already: succeeded. Nothing was started.", "synops show "+run)
	s.wantSummary("decertify-user in dev: nothing was started", "ended succeeded")
}

// TestActions_Settle: a run that is canceled by its form, and whose worker is gone, is
// settled by the other one.
func TestActions_Settle(t *testing.T) {
	s := newSteps(t)
	run := s.killed()
	got := s.step("synops-observe", "cancel", "SYNOPS_FORM", form(t, "run", run, "reason", "not wanted"))
	wantAnswer(t, got, 0, "The cancel is durable", "::warning title=dev canceled%2C not settled::")
	s.wantSummary("decertify-user in dev: canceled, not settled", "Run: settle")
	settle := []string{"SYNOPS_FORM", form(t, "run", run, "reason", "clean up")}
	wantAnswer(t, s.step("synops-observe", "settle", settle...), 1, "AccessDenied")
	wantAnswer(t, s.step("synops-perform", "settle", settle...), 0, "goes on with attempt 2")
	s.wantOutputs("run", run, "watch", "all")
	wantAnswer(t, s.step("synops-observe", "follow", "SYNOPS_RUN", run), 0, "ended: canceled")
	wantAnswer(t, s.step("synops-observe", "verdict", "SYNOPS_RUN", run), 130, "CANCELED")
	s.wantOutputs("state", "canceled")
	wantAnswer(t, s.step("synops-observe", "cancel", "SYNOPS_FORM", form(t, "run", run)), 0, "ended already; nothing to cancel")
}

// TestActions_FormsOfRuns: what the forms about a run are refused for.
func TestActions_FormsOfRuns(t *testing.T) {
	s := newSteps(t)
	s.become("synops-perform")
	wantAnswer(t, s.synops(nil, "run", "verify-oauth-client", "client-ids=100001", "-e", "dev"), 0)
	run := s.newest()
	for _, c := range []struct {
		form, vars string // NAME=VALUE
		code       int
		says       string
	}{
		{form(t, "run", ""), "", 2, "The form names no run"},
		{form(t, "run", "20261123T141502Z-remove-user-3f9c1a"), "", 1, "::error title=dev failed::there is no run"},
		{form(t, "run", "../../etc/passwd"), "", 2, "::error title=dev invalid::"},
		{form(t, "run", run, "sudo", "true"), "", 2, `The form has no field \"sudo\"`},
		{"true", "", 2, "The form is not a JSON object"},
		{form(t, "run", run), "CONTEXT=prod", 3, "::error title=dev refused::"},
		{form(t, "run", run), "GITHUB_REPOSITORY=Sage-Bionetworks/synapse-ops-prod", 3, "guard environment-repository"},
	} {
		for _, step := range []string{"cancel", "resume", "settle"} {
			name, value, _ := strings.Cut(c.vars, "=")
			got := s.step("synops-perform", step, "SYNOPS_FORM", c.form, name, value)
			if got.code != c.code || !strings.Contains(got.stdout, strings.ReplaceAll(c.says, `\"`, `"`)) || !strings.Contains(got.stdout, "::error title=dev ") {
				t.Errorf("%s with %s %s: exit code %d, want %d and %q:\n%s", step, c.form, c.vars, got.code, c.code, c.says, got.stdout+got.stderr)
			}
			if s.summary != "" || len(s.outputs) > 0 {
				t.Errorf("%s with %s leaves %v and %q", step, c.form, s.outputs, s.summary)
			}
		}
	}
	var doc []ops.RunStatus
	got := s.synops(nil, "runs", "-e", "dev", "--format", "json")
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || len(doc) != 1 {
		t.Errorf("%v: %s", err, got.stdout)
	}
}
